//! Images whose metadata can be changed, because it is stored as it is.

use super::*;

/// Where fields of the superblock stand.
pub(super) const FRAGMENTS_AT: usize = 16;
pub(super) const BLOCK_LOG_AT: usize = 22;
pub(super) const OWNERS_AT: usize = 26;
pub(super) const ROOT_AT: usize = 32;
pub(super) const OWNER_TABLE_AT: usize = 48;
pub(super) const XATTR_TABLE_AT: usize = 56;
pub(super) const INODE_TABLE_AT: usize = 64;
pub(super) const DIRECTORY_TABLE_AT: usize = 72;
pub(super) const FRAGMENT_TABLE_AT: usize = 80;

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().unwrap())
}

pub(super) fn put(bytes: &mut [u8], at: usize, new: &[u8]) {
    bytes[at..at + new.len()].copy_from_slice(new);
}

/// An image of one folder `d` with a file `f` of `body` in it, whose metadata is stored plain, so
/// that it can be changed.
pub(super) fn plain_image(body: &[u8]) -> Vec<u8> {
    let (image, _) = image(|writer| {
        writer.begin_folder(b"d", &attributes(0o755)).unwrap();
        let xattrs: [(&[u8], &[u8]); 1] = [(b"user.a", b"value")];
        let with_xattrs = Attributes {
            xattrs: &xattrs,
            ..attributes(0o644)
        };
        writer
            .file(b"f", &with_xattrs, body.len() as u64, body)
            .unwrap();
        writer.end_folder().unwrap();
    });
    store_plain(&image)
}

/// The same image with all metadata stored, laid out anew: data, then the tables in their order.
pub(super) fn store_plain(image: &[u8]) -> Vec<u8> {
    let inodes = u64_at(image, INODE_TABLE_AT);
    let directories = u64_at(image, DIRECTORY_TABLE_AT);
    let start = |at: usize| usize::try_from(u64_at(image, at)).unwrap();
    let mut out = image[..start(INODE_TABLE_AT)].to_vec();
    let plain = |range: std::ops::Range<usize>| {
        let mut all = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let header = u16::from_le_bytes(*image[at..].first_chunk().unwrap());
            let stored = &image[at + 2..at + 2 + usize::from(header & 0x7fff)];
            match header & 0x8000 {
                0 => std::io::copy(&mut flate2::read::ZlibDecoder::new(stored), &mut all).unwrap(),
                _ => std::io::copy(&mut &stored[..], &mut all).unwrap(),
            };
            at += 2 + stored.len();
        }
        assert!(all.len() <= 8192, "one block will do for a test");
        all
    };
    let mut add = |bytes: &[u8]| {
        let place = out.len() as u64;
        let header = u16::try_from(bytes.len()).unwrap() | 0x8000;
        out.extend_from_slice(&header.to_le_bytes());
        out.extend_from_slice(bytes);
        place
    };
    let mut heads = Vec::new();
    let to = |at: u64| usize::try_from(at).unwrap();
    heads.push((INODE_TABLE_AT, add(&plain(to(inodes)..to(directories)))));
    let first = |at: usize| to(u64_at(image, start(at)));
    let fragment_end = start(FRAGMENT_TABLE_AT).min(image.len());
    let has_fragments = u64_at(image, FRAGMENT_TABLE_AT) != u64::MAX;
    let next = match has_fragments {
        true => first(FRAGMENT_TABLE_AT),
        false => first(OWNER_TABLE_AT),
    };
    heads.push((DIRECTORY_TABLE_AT, add(&plain(to(directories)..next))));
    let mut indexes = Vec::new();
    if has_fragments {
        indexes.push((
            FRAGMENT_TABLE_AT,
            add(&plain(first(FRAGMENT_TABLE_AT)..fragment_end)),
        ));
    }
    indexes.push((
        OWNER_TABLE_AT,
        add(&plain(first(OWNER_TABLE_AT)..start(OWNER_TABLE_AT))),
    ));
    let xattrs = start(XATTR_TABLE_AT);
    let sets = to(u64_at(image, xattrs + 16));
    let pairs = add(&plain(to(u64_at(image, xattrs))..sets));
    let sets = add(&plain(sets..xattrs));
    for (at, place) in indexes {
        // Each index must stand right behind its table; these are told apart by a copy.
        heads.push((at, out.len() as u64));
        out.extend_from_slice(&place.to_le_bytes());
    }
    heads.push((XATTR_TABLE_AT, out.len() as u64));
    out.extend_from_slice(&pairs.to_le_bytes());
    out.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(&sets.to_le_bytes());
    for (at, place) in heads {
        put(&mut out, at, &place.to_le_bytes());
    }
    out
}

/// Where in the file the inodes' and directories' plain bytes start.
pub(super) fn inodes(image: &[u8]) -> usize {
    usize::try_from(u64_at(image, INODE_TABLE_AT)).unwrap() + 2
}

pub(super) fn directories(image: &[u8]) -> usize {
    usize::try_from(u64_at(image, DIRECTORY_TABLE_AT)).unwrap() + 2
}

/// Inodes in the order in which they stand: the file (extended), its folder, the root.
pub(super) const FILE_BYTES: usize = 56;
pub(super) const FOLDER_BYTES: usize = 32;

/// An image with one name.
pub(super) fn plain_image_of(name: &[u8]) -> Vec<u8> {
    let (image, _) = image(|writer| {
        let xattrs: [(&[u8], &[u8]); 1] = [(b"user.a", b"value")];
        let with = Attributes {
            xattrs: &xattrs,
            ..attributes(0o644)
        };
        writer.file(name, &with, 5, &b"hello"[..]).unwrap();
    });
    store_plain(&image)
}
