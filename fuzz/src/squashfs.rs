//! squashfs images, from any writer.
//!
//! The seeds `stored` and `zstd` are `mksquashfs`'s (`-b 4K -noI -noD -noF -noX -noId`, and
//! `-b 4K -comp zstd`), cut at the length that the superblock says.

use std::collections::HashSet;
use std::io::{ErrorKind, Read};

use formats::squashfs::{EntryKind, Limits, SquashfsReader};

/// Opens any bytes as a squashfs, and reads all that is in it.
pub fn squashfs(data: &[u8]) {
    const ENTRIES: u64 = 200;
    const BODY_MAX: u64 = 1 << 20;
    let limits = Limits {
        entries: ENTRIES,
        depth: 4,
        path_bytes: 1000,
        names_bytes: 64 << 10,
        xattr_bytes: 4 << 10,
    };
    let Ok(reader) = SquashfsReader::open(data.to_vec()) else {
        return;
    };
    let (mut paths, mut count) = (HashSet::new(), 0);
    let mut folders = HashSet::from([Vec::new()]);
    for entry in reader.walk(limits).map_while(Result::ok) {
        count += 1;
        let mut names = entry.path.split(|&byte| byte == b'/');
        let clean = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && !name.contains(&0);
        assert!(names.all(clean), "{:?}", entry.path);
        let slash = entry.path.iter().rposition(|&byte| byte == b'/');
        let parent = &entry.path[..slash.unwrap_or(0)];
        assert!(
            folders.contains(parent),
            "not in a folder: {:?}",
            entry.path
        );
        assert!(paths.insert(entry.path.clone()), "twice: {:?}", entry.path);
        if let Some(xattrs) = entry.xattrs.and_then(|set| reader.xattrs(set, limits).ok()) {
            let bytes: usize = xattrs
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum();
            assert!(bytes as u64 <= limits.xattr_bytes, "the limit was not kept");
        }
        let mut body = reader.body(&entry).take(BODY_MAX);
        match (std::io::copy(&mut body, &mut std::io::sink()), &entry.kind) {
            (Ok(bytes), EntryKind::File { len_bytes }) => {
                assert_eq!(bytes, (*len_bytes).min(BODY_MAX));
            }
            (Ok(bytes), _) => assert_eq!(bytes, 0),
            (Err(error), _) => assert_eq!(error.kind(), ErrorKind::InvalidData),
        }
        if entry.kind == EntryKind::Folder {
            folders.insert(entry.path);
        }
    }
    assert!(count <= ENTRIES, "the limit on entries was not kept");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_read_to_their_end() {
        for (name, count) in [("written", 6), ("stored", 6), ("zstd", 6)] {
            let path = format!("{}/seeds/squashfs/{name}", env!("CARGO_MANIFEST_DIR"));
            let reader = SquashfsReader::open(std::fs::read(path).unwrap()).unwrap();
            let entries = reader.entries(Limits::default()).unwrap();
            assert_eq!(entries.len(), count, "{name}");
            for entry in &entries {
                let body = std::io::copy(&mut reader.body(entry), &mut std::io::sink());
                assert!(body.is_ok(), "{name}");
            }
        }
    }
}
