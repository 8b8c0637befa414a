//! Layers that are described first and written then: what is read must be what was described.
//!
//! Bytes alone seldom make a tar with a right checksum, let alone a sparse file; here they are
//! choices.

use lkbuild::layer::path::clean;
use lkbuild::layer::{Entry, EntryKind, read_layer};
use testdata::{Compression, Dialect, Kind, Layer, SparseFormat};

use crate::layer::LIMITS;

type Choose<'a> = &'a mut dyn FnMut(usize) -> usize;

fn pick<'t, T>(choose: Choose<'_>, from: &'t [T]) -> &'t T {
    &from[choose(from.len())]
}

fn name(choose: Choose<'_>) -> Vec<u8> {
    let part = *pick(
        choose,
        &[
            &b"a"[..],
            b"dir",
            b"\xff",
            b"new\nline",
            b"..",
            b".",
            b"x y",
        ],
    );
    let parts = *pick(choose, &[1, 2, 3, 30, 90, 120]);
    let mut name = vec![part; parts].join(&b'/');
    // Not the root, and no whiteout.
    name.extend_from_slice(b"/f");
    name
}

fn content(choose: Choose<'_>) -> Vec<u8> {
    let length = *pick(choose, &[0, 1, 511, 512, 513, 3000]);
    let byte = u8::try_from(choose(256)).unwrap_or(0);
    vec![byte; length]
}

fn sparse(choose: Choose<'_>) -> Kind {
    let format = *pick(
        choose,
        &[
            SparseFormat::OldGnu,
            SparseFormat::Pax00,
            SparseFormat::Pax01,
            SparseFormat::Pax10,
        ],
    );
    let mut at = 0;
    let mut chunks = Vec::new();
    for _ in 0..choose(8) {
        at += 512 * choose(4) as u64;
        let byte = u8::try_from(choose(256)).unwrap_or(0);
        chunks.push((at, vec![byte; 512]));
        at += 512;
    }
    Kind::Sparse {
        format,
        size: at + choose(700) as u64,
        chunks,
    }
}

fn entry(layer: Layer, choose: Choose<'_>) -> Layer {
    let path = name(choose);
    let kind = match choose(9) {
        0 => Kind::Dir,
        1 => Kind::Symlink(name(choose)),
        2 => Kind::Hardlink(name(choose)),
        3 => Kind::Char(1 + u32::try_from(choose(2000)).unwrap_or(0), 3),
        4 => Kind::Fifo,
        5 | 6 => sparse(choose),
        _ => Kind::File(content(choose)),
    };
    // A PAX 1.0 sparse file has its name in a record, which the writer wants in UTF-8.
    let path = match &kind {
        Kind::Sparse { .. } => String::from_utf8_lossy(&path).into_owned().into_bytes(),
        _ => path,
    };
    let is_sparse = matches!(kind, Kind::Sparse { .. });
    let mut layer = layer
        .entry(path, kind)
        .mode(*pick(choose, &[0, 0o644, 0o4755, 0o7777]))
        .owner(
            *pick(choose, &[0, 7, 2_097_151, 2_097_152, 4_294_967_294]),
            *pick(choose, &[0, 4_294_967_294]),
        )
        .mtime(*pick(choose, &[0, 1, -1, -1_000_000, 8_589_934_592]));
    if choose(3) == 0 {
        let value: Vec<u8> = (0..=250).cycle().take(choose(600)).collect();
        layer = layer.xattr("user.x", value);
    }
    let records = layer.entries.last().is_some_and(|e| !e.pax.is_empty());
    match choose(3) {
        0 if !records && !is_sparse => layer.dialect(Dialect::Gnu),
        1 if !is_sparse => layer.dialect(Dialect::Prefix),
        _ => layer,
    }
}

/// Writes layers of all sorts and reads them back.
pub fn described(data: &[u8]) {
    let mut rest = data.iter();
    let mut choose = |bound: usize| {
        // Two bytes, so that a choice may be among many.
        let high = rest.next().copied().unwrap_or(0);
        let low = rest.next().copied().unwrap_or(0);
        usize::from(u16::from_be_bytes([low, high])) % bound
    };
    let count = 1 + choose(6);
    let layer = (0..count).fold(Layer::new(), |layer, _| entry(layer, &mut choose));
    let compression = *pick(
        &mut choose,
        &[
            Compression::None,
            Compression::GzipMembers(2),
            Compression::Zstd,
        ],
    );
    let blob = compression.compress(&layer.tar());
    let mut wanted = layer.entries.iter();
    let read = read_layer(blob.as_slice(), &LIMITS, |entry, body| {
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes)?;
        match wanted.next() {
            Some(wanted) => compare(wanted, &entry, &bytes),
            None => panic!("an entry that was not described: {entry:?}"),
        }
        Ok(())
    });
    match read {
        Ok(_) => assert!(wanted.next().is_none(), "entries are missing"),
        // Names may be longer than the limit.
        Err(error) => assert!(error.to_string().contains("limit"), "{error}"),
    }
}

fn compare(wanted: &testdata::Entry, got: &Entry, body: &[u8]) {
    assert_eq!(got.path, clean(&wanted.path));
    assert_eq!(u32::from(got.meta.mode), wanted.mode & 0o7777);
    assert_eq!(u64::from(got.meta.uid), wanted.uid);
    assert_eq!(u64::from(got.meta.gid), wanted.gid);
    assert_eq!(got.meta.mtime, wanted.mtime);
    for (key, value) in &wanted.pax {
        let name = key.strip_prefix(b"SCHILY.xattr.").unwrap_or(key);
        let found = got.xattrs.iter().find(|x| *x.name == *name);
        assert!(
            found.is_some_and(|x| *x.value == **value),
            "an xattr is lost"
        );
    }
    let (kind, content) = match &wanted.kind {
        Kind::Dir => (EntryKind::Directory, Vec::new()),
        Kind::Symlink(target) => (
            EntryKind::Symlink {
                target: target.clone(),
            },
            Vec::new(),
        ),
        Kind::Hardlink(target) => (
            EntryKind::HardLink {
                target: clean(target),
            },
            Vec::new(),
        ),
        Kind::Char(major, minor) => (
            EntryKind::CharDevice {
                major: *major,
                minor: *minor,
            },
            Vec::new(),
        ),
        Kind::Fifo => (EntryKind::Fifo, Vec::new()),
        Kind::Sparse { size, chunks, .. } => {
            let mut content = vec![0; usize::try_from(*size).unwrap_or(0)];
            for (at, chunk) in chunks {
                let at = usize::try_from(*at).unwrap_or(0);
                content[at..at + chunk.len()].copy_from_slice(chunk);
            }
            (EntryKind::File { size: *size }, content)
        }
        Kind::File(content) => (
            EntryKind::File {
                size: content.len() as u64,
            },
            content.clone(),
        ),
        other => panic!("not described here: {other:?}"),
    };
    assert_eq!(got.kind, kind);
    assert!(body == content, "another body");
}
