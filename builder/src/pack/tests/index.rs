//! The index of a pack at the edges of what it may hold.

use formats::compress::BodyInfo;

use super::super::format::{BodyRecord, Nested, SegmentRecord, footer, parse_footer};
use super::super::format::{FOOTER_BYTES, MAX_INDEX_BYTES, index_check, segment_check};
use super::*;
use crate::layer::{Entry, Meta, Xattr};

fn entry(kind: EntryKind) -> Entry {
    Entry {
        path: b"a/b".to_vec(),
        meta: Meta {
            mode: 0o7777,
            uid: u32::MAX - 1,
            gid: 300,
            mtime: -1,
        },
        xattrs: vec![
            Xattr {
                name: b"user.a".as_slice().into(),
                value: b"\0\n".as_slice().into(),
            },
            Xattr {
                name: b"user.b".as_slice().into(),
                value: b"".as_slice().into(),
            },
        ],
        kind,
    }
}

/// Entries of every kind, the file among them with body 1 of two.
fn entries() -> (Vec<Entry>, Vec<Option<u32>>) {
    let target = || b"../c".to_vec();
    let (major, minor) = (u32::MAX, 7);
    let kinds = [
        EntryKind::File { size: 5 },
        EntryKind::File { size: 0 },
        EntryKind::Directory,
        EntryKind::HardLink { target: target() },
        EntryKind::Symlink { target: target() },
        EntryKind::CharDevice { major, minor },
        EntryKind::BlockDevice { major, minor },
        EntryKind::Fifo,
        EntryKind::Whiteout,
        EntryKind::Opaque,
    ];
    let mut body_of = vec![None; kinds.len()];
    body_of[0] = Some(1);
    (kinds.into_iter().map(entry).collect(), body_of)
}

fn body(offset: u64, plain_bytes: &[u32]) -> BodyRecord {
    let segments = plain_bytes.iter().map(|&plain_bytes| SegmentRecord {
        plain_bytes,
        stored_bytes: 10,
        check: u64::MAX - 1,
    });
    BodyRecord {
        offset,
        info: BodyInfo {
            bytes: plain_bytes.iter().map(|&n| u64::from(n)).sum(),
            crc32: 0x8000_0001,
        },
        segments: segments.collect(),
    }
}

fn index() -> Index {
    let (entries, body_of) = entries();
    Index {
        key: "key".into(),
        diff_id: [9; 32],
        uncompressed_bytes: 1 << 40,
        nested: Some(Nested {
            entry: 9,
            entries: entries.clone(),
            body_of: body_of.clone(),
        }),
        entries,
        body_of,
        bodies: vec![body(8, &[u32::MAX, 1]), body(28, &[5])],
    }
}

/// Where the last body of [`index`] ends.
const END: u64 = 38;

#[test]
fn entries_of_every_kind_come_back_from_an_index() {
    let with = index();
    let without = Index {
        nested: None,
        ..index()
    };
    for index in [with, without] {
        assert_eq!(Index::decode(&index.encode(), END), Some(index));
    }
}

#[test]
fn an_index_names_only_what_is_there() {
    type Change = fn(&mut Index);
    let changes: [(&str, Change); 6] = [
        ("a body beyond the last", |i| i.body_of[0] = Some(2)),
        ("a mode of more than twelve bits", |i| {
            i.entries[0].meta.mode = 0o10000;
        }),
        ("a tar inside that is no entry", |i| {
            i.nested.as_mut().unwrap().entry = 10;
        }),
        ("a body beyond the last, inside", |i| {
            i.nested.as_mut().unwrap().body_of[0] = Some(2);
        }),
        ("a body shorter than its segments", |i| {
            i.bodies[1].info.bytes = 4;
        }),
        ("a body behind the end", |i| i.bodies[1].offset += 1),
    ];
    for (what, change) in changes {
        let mut index = index();
        change(&mut index);
        assert_eq!(Index::decode(&index.encode(), END), None, "{what}");
    }
    let encoded = index().encode();
    assert_eq!(Index::decode(&encoded, END - 1), None);
    assert_eq!(Index::decode(&[&encoded[..], b"\0"].concat(), END), None);
}

#[test]
fn a_footer_gives_offset_length_and_checksum_of_the_index() {
    let bytes = footer(1 << 40, b"index");
    let want = (1 << 40, 5, index_check(b"index"));
    assert_eq!(parse_footer(&bytes), Some(want));
    for at in 32..FOOTER_BYTES {
        let mut bad = bytes;
        bad[at] ^= 1;
        assert_eq!(parse_footer(&bad), None, "{at}");
    }
    let length = |bytes: u64| {
        let mut footer = footer(0, b"");
        footer[8..16].copy_from_slice(&bytes.to_le_bytes());
        parse_footer(&footer).map(|(_, length, _)| length)
    };
    assert_eq!(length(MAX_INDEX_BYTES), Some(MAX_INDEX_BYTES));
    assert_eq!(length(MAX_INDEX_BYTES + 1), None);
}

/// XXH3 of nothing, as xxHash's own tool prints it.
#[test]
fn checksums_of_packs_are_xxh3() {
    assert_eq!(segment_check(b""), 0x2d06_8005_38d3_94c2);
    assert_eq!(index_check(b""), 0x99aa_06d3_0147_98d8_6001_c324_468d_497f);
    assert_ne!(segment_check(b"a"), segment_check(b"b"));
}
