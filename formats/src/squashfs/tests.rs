use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use testdata::judge;

use super::*;
use crate::testing::{noise, text};

mod damage;
mod plain;
mod read;

const MTIME: i64 = 1_492_533_000;

fn attributes(mode: u16) -> Attributes<'static> {
    Attributes {
        mode,
        mtime: MTIME,
        links: 1,
        ..Attributes::default()
    }
}

type Writer<'a> = SquashfsWriter<&'a mut Cursor<Vec<u8>>>;

fn image(fill: impl FnOnce(&mut Writer<'_>)) -> (Vec<u8>, u64) {
    let mut out = Cursor::new(Vec::new());
    let mut writer = SquashfsWriter::new(&mut out, 1_492_533_000, &attributes(0o755)).unwrap();
    fill(&mut writer);
    let (bytes, lost) = writer.finish().unwrap();
    assert_eq!(bytes, out.get_ref().len() as u64);
    (out.into_inner(), lost)
}

fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let mut holes = vec![0; 5 * BLOCK_BYTES + 1000];
    holes[BLOCK_BYTES..BLOCK_BYTES + 9].copy_from_slice(b"something");
    vec![
        ("all-zero", vec![0; 3 * BLOCK_BYTES]),
        ("block", text(BLOCK_BYTES)),
        ("block-less-one", text(BLOCK_BYTES - 1)),
        ("block-and-one", text(BLOCK_BYTES + 1)),
        ("empty", Vec::new()),
        ("holes", holes),
        ("large", text(40 * BLOCK_BYTES + 77)),
        ("noise", noise(3 * BLOCK_BYTES + 5)),
        ("short", text(100)),
        ("short-zero", vec![0; 1000]),
    ]
}

fn everything(writer: &mut Writer<'_>) {
    for (name, body) in bodies() {
        let bytes = body.len() as u64;
        writer
            .file(name.as_bytes(), &attributes(0o4755), bytes, &body[..])
            .unwrap();
    }
    writer.begin_folder(b"dev", &attributes(0o755)).unwrap();
    let (major, minor) = (5, 1);
    let kind = Kind::CharDevice { major, minor };
    writer.entry(b"console", &attributes(0o600), kind).unwrap();
    let (major, minor) = (8, 17);
    let kind = Kind::BlockDevice { major, minor };
    writer.entry(b"disk", &attributes(0o660), kind).unwrap();
    writer
        .entry(b"fifo", &attributes(0o644), Kind::Fifo)
        .unwrap();
    writer.end_folder().unwrap();
    writer
        .begin_folder(b"empty-folder", &attributes(0o1777))
        .unwrap();
    writer.end_folder().unwrap();
    writer.begin_folder(b"links", &attributes(0o755)).unwrap();
    let linked = Attributes {
        links: 3,
        uid: 1000,
        gid: 4_000_000_000,
        ..attributes(0o640)
    };
    let file = writer.file(b"one", &linked, 5, &b"hello"[..]).unwrap();
    writer.link(b"two", file).unwrap();
    writer.end_folder().unwrap();
    writer.begin_folder(b"many", &attributes(0o700)).unwrap();
    writer.link(b"three", file).unwrap();
    for i in 0..3000 {
        let owner = Attributes {
            uid: i,
            ..attributes(0o644)
        };
        let name = format!("file-{i:04}-with-a-name-that-takes-room");
        let body = format!("{i}");
        writer
            .file(name.as_bytes(), &owner, body.len() as u64, body.as_bytes())
            .unwrap();
    }
    writer.end_folder().unwrap();
    let target = b"many/three";
    let kind = Kind::Symlink { target };
    writer.entry(b"symlink", &attributes(0o777), kind).unwrap();
    let xattrs: [(&[u8], &[u8]); 2] = [(b"user.two", b"2"), (b"user.one", b"\x01\0")];
    let with_xattrs = Attributes {
        xattrs: &xattrs,
        ..attributes(0o644)
    };
    writer.begin_folder(b"xattrs", &with_xattrs).unwrap();
    writer.file(b"a", &with_xattrs, 1, &b"a"[..]).unwrap();
    let more: [(&[u8], &[u8]); 2] = [(b"user.two", b"2"), (b"system.posix_acl_access", b"x")];
    let more = Attributes {
        xattrs: &more,
        ..attributes(0o644)
    };
    writer.file(b"b", &more, 1, &b"b"[..]).unwrap();
    writer.end_folder().unwrap();
}

fn unsquashfs(arguments: &[&str], image: &Path) -> Option<Vec<u8>> {
    let output = Command::new(judge("unsquashfs")?)
        .args(arguments)
        .arg(image)
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "unsquashfs {arguments:?}: {complaints}"
    );
    Some(output.stdout)
}

#[test]
fn unsquashfs_lists_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.squashfs");
    let (image, lost) = image(everything);
    assert_eq!(lost, 1, "an ACL is none of the three kinds");
    assert_eq!(image.len() % 4096, 0);
    std::fs::write(&path, image).unwrap();
    let Some(listed) = unsquashfs(&["-UTC", "-lln"], &path) else {
        return;
    };
    let listed = String::from_utf8(listed).unwrap();
    let squeezed: Vec<String> = listed
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let when = "2017-04-18 16:30 squashfs-root";
    for line in [
        format!("drwxr-xr-x 0/0 291 {when}"),
        format!("-rwsr-xr-x 0/0 393216 {when}/all-zero"),
        format!("crw------- 0/0 5, 1 {when}/dev/console"),
        format!("brw-rw---- 0/0 8, 17 {when}/dev/disk"),
        format!("prw-r--r-- 0/0 0 {when}/dev/fifo"),
        format!("drwxrwxrwt 0/0 3 {when}/empty-folder"),
        format!("-rw-r----- 1000/4000000000 5 {when}/links/one"),
        format!("-rw-r----- 1000/4000000000 5 {when}/links/two"),
        format!("-rw-r----- 1000/4000000000 5 {when}/many/three"),
        format!("-rw-r--r-- 2999/0 4 {when}/many/file-2999-with-a-name-that-takes-room"),
        format!("lrwxrwxrwx 0/0 10 {when}/symlink -> many/three"),
    ] {
        assert!(squeezed.contains(&line), "no {line:?} in {listed}");
    }
    let count = squeezed.iter().filter(|line| line.contains(when)).count();
    assert_eq!(count, 3001 + 10 + 4 + 1 + 3 + 1 + 1 + 3 + 1);
    let info = String::from_utf8(unsquashfs(&["-s"], &path).unwrap()).unwrap();
    for line in [
        "Number of inodes 3023",
        "Compression gzip",
        "Block size 131072",
    ] {
        assert!(info.contains(line), "{info}");
    }
}

#[test]
fn unsquashfs_gives_back_bodies_links_and_attributes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.squashfs");
    let files = |writer: &mut Writer<'_>| {
        for (name, body) in bodies() {
            let bytes = body.len() as u64;
            let name = name.as_bytes();
            writer
                .file(name, &attributes(0o644), bytes, &body[..])
                .unwrap();
        }
        let linked = Attributes {
            links: 2,
            ..attributes(0o644)
        };
        let file = writer.file(b"x-one", &linked, 5, &b"hello"[..]).unwrap();
        writer.link(b"x-two", file).unwrap();
        let xattrs: [(&[u8], &[u8]); 2] = [(b"user.two", b"2"), (b"user.one", b"value")];
        let with_xattrs = Attributes {
            xattrs: &xattrs,
            ..attributes(0o644)
        };
        writer.file(b"y", &with_xattrs, 1, &b"y"[..]).unwrap();
    };
    std::fs::write(&path, image(files).0).unwrap();
    let out = folder.path().join("out");
    let arguments = ["-no-progress", "-d", out.to_str().unwrap()];
    if unsquashfs(&arguments, &path).is_none() {
        return;
    }
    for (name, body) in bodies() {
        assert!(std::fs::read(out.join(name)).unwrap() == body, "{name}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let inode = |name: &str| std::fs::metadata(out.join(name)).unwrap().ino();
        assert_eq!(inode("x-one"), inode("x-two"));
    }
    let script = "import os, sys\nprint(sorted((n, os.getxattr(sys.argv[1], n)) for n in os.listxattr(sys.argv[1])))";
    let Some(python) = judge("python3") else {
        return;
    };
    let output = Command::new(python)
        .args(["-c", script])
        .arg(out.join("y"))
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        printed.trim(),
        "[('user.one', b'value'), ('user.two', b'2')]"
    );
}

/// unsquashfs lists devices as if minor numbers had eight bits; Linux takes 20.
#[test]
fn device_numbers_are_encoded_as_linux_does() {
    assert_eq!(format::device(8, 17), 0x0811);
    assert_eq!(format::device(259, 70_000), 0x1111_0370);
}

#[test]
fn the_number_of_threads_does_not_show() {
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| image(everything).0)
    };
    let one = with(1);
    assert!(with(3) == one);
    assert!(one.len() < 4 << 20, "{} bytes", one.len());
}

#[test]
fn what_does_not_fit_is_an_error() {
    let (_, lost) = image(|writer| {
        let long = "x".repeat(257);
        for name in ["", ".", "..", "a/b", "a\0b", &long] {
            let result = writer.file(name.as_bytes(), &attributes(0o644), 0, &b""[..]);
            assert!(matches!(result, Err(SquashfsError::Name { .. })), "{name}");
        }
        let device = Kind::CharDevice {
            major: 4096,
            minor: 0,
        };
        let result = writer.entry(b"a", &attributes(0o644), device);
        assert!(matches!(result, Err(SquashfsError::Device { .. })));
        for bytes in [2, 4, 200_000] {
            let result = writer.file(b"a", &attributes(0o644), bytes, &b"abc"[..]);
            assert!(matches!(result, Err(SquashfsError::BodyLength { .. })));
        }
        assert!(writer.end_folder().is_err(), "the root is not to be ended");
    });
    assert_eq!(lost, 0);
    let mut out = Cursor::new(Vec::new());
    let mut writer = SquashfsWriter::new(&mut out, 0, &attributes(0o755)).unwrap();
    writer.begin_folder(b"a", &attributes(0o755)).unwrap();
    assert!(writer.finish().is_err(), "a folder is open");
    let mut writer = SquashfsWriter::new(&mut out, 0, &attributes(0o755)).unwrap();
    for _ in 0..2 {
        writer
            .entry(b"twice", &attributes(0o644), Kind::Fifo)
            .unwrap();
    }
    let error = writer.finish().unwrap_err().to_string();
    assert!(error.contains("twice"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_bodies_come_back(
        bodies in prop::collection::vec((0usize..400_000, 0u8..3), 0..12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.squashfs");
        let bodies: Vec<Vec<u8>> = bodies
            .into_iter()
            .map(|(len, kind)| match kind {
                0 => vec![0; len],
                1 => text(len),
                _ => noise(len),
            })
            .collect();
        let (image, _) = image(|writer| {
            for (i, body) in bodies.iter().enumerate() {
                let name = format!("{i:03}");
                let bytes = body.len() as u64;
                writer.file(name.as_bytes(), &attributes(0o644), bytes, &body[..]).unwrap();
            }
        });
        std::fs::write(&path, image).unwrap();
        let out = folder.path().join("out");
        let arguments = ["-no-progress", "-d", out.to_str().unwrap()];
        if unsquashfs(&arguments, &path).is_some() {
            for (i, body) in bodies.iter().enumerate() {
                let read = std::fs::read(out.join(format!("{i:03}"))).unwrap();
                prop_assert!(read == *body);
            }
        }
    }
}
