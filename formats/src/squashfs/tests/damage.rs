//! Images that are damaged or hostile, one test for each thing that is guarded.

use super::plain::*;
use super::read::{body, entries};
use super::*;

/// Changes an image, and gives the error that a walk over it, or its bodies, ends with.
fn error_of(image: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut image = image.to_vec();
    change(&mut image);
    let reader = match SquashfsReader::open(image) {
        Ok(reader) => reader,
        Err(error) => return error.to_string(),
    };
    let entries = match reader.entries(Limits::default()) {
        Ok(entries) => entries,
        Err(error) => return error.to_string(),
    };
    for entry in &entries {
        if let Err(error) = body(&reader, entry) {
            return error.to_string();
        }
        if let Some(Err(error)) = entry
            .xattrs
            .map(|set| reader.xattrs(set, Limits::default()))
        {
            return error.to_string();
        }
    }
    String::new()
}

#[track_caller]
fn assert_error(image: &[u8], expected: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let error = error_of(image, change);
    assert!(error.contains(expected), "{error:?} is not {expected:?}");
}

#[test]
fn the_image_to_be_damaged_is_good() {
    let image = plain_image(b"hello");
    assert_eq!(error_of(&image, |_| {}), "");
    let paths: Vec<_> = entries(&image)
        .unwrap()
        .into_iter()
        .map(|e| e.path)
        .collect();
    assert_eq!(paths, [&b"d"[..], b"d/f"]);
}

#[test]
fn what_is_no_squashfs_is_refused() {
    let image = plain_image(b"hello");
    assert_error(&image, "no squashfs starts here", |bad| bad[0] = b'x');
    assert_error(&image, "the version is 3001, which", |bad| {
        put(bad, 28, &[3, 0, 1, 0]);
    });
    assert_error(&image, "the compression is 9, which", |bad| bad[20] = 9);
    for len in [0, 95] {
        assert_error(&image, "lies behind the end", |bad| bad.truncate(len));
    }
}

#[test]
fn a_cut_image_is_an_error_wherever_it_is_cut() {
    let (image, _) = image(everything);
    let used = usize::try_from(u64_at(&image, 40)).unwrap();
    for len in (0..used).step_by(used / 60).chain([used - 1]) {
        assert_ne!(error_of(&image, |bad| bad.truncate(len)), "", "{len}");
    }
}

#[test]
fn a_block_size_that_is_none_is_refused() {
    let image = plain_image(b"hello");
    for (bytes, log) in [
        (0_u32, 0_u16),
        (1 << 31, 31),
        (1 << 11, 11),
        (131_071, 17),
        (1 << 17, 16),
    ] {
        assert_error(&image, "the block size is", |bad| {
            put(bad, 12, &bytes.to_le_bytes());
            put(bad, BLOCK_LOG_AT, &log.to_le_bytes());
        });
    }
}

#[test]
fn a_table_that_claims_four_gib_is_not_believed() {
    let image = plain_image(b"hello");
    assert_error(
        &image,
        "the table of fragments lies behind the end",
        |bad| {
            put(bad, FRAGMENTS_AT, &u32::MAX.to_le_bytes());
        },
    );
    assert_error(&image, "the table of owners lies behind the end", |bad| {
        put(bad, OWNERS_AT, &u16::MAX.to_le_bytes());
    });
    let xattrs = usize::try_from(u64_at(&image, XATTR_TABLE_AT)).unwrap();
    assert_error(&image, "extended attributes lies behind the end", |bad| {
        put(bad, xattrs + 8, &u32::MAX.to_le_bytes());
    });
    assert_error(&image, "there are no owners", |bad| {
        put(bad, OWNERS_AT, &[0; 2]);
    });
}

#[test]
fn tables_outside_their_order_are_refused() {
    let image = plain_image(b"hello");
    for at in [
        INODE_TABLE_AT,
        DIRECTORY_TABLE_AT,
        OWNER_TABLE_AT,
        XATTR_TABLE_AT,
    ] {
        for place in [u64::MAX - 1, image.len() as u64, 0] {
            let error = error_of(&image, |bad| put(bad, at, &place.to_le_bytes()));
            assert_ne!(error, "", "{at} {place}");
        }
    }
    assert_error(&image, "not stand before its index", |bad| {
        let index = usize::try_from(u64_at(&image, OWNER_TABLE_AT)).unwrap();
        put(bad, index, &(image.len() as u64 - 1).to_le_bytes());
    });
}

#[test]
fn a_folder_that_is_its_own_child_is_found() {
    let image = plain_image(b"hello");
    // The root's only name, "d", with the place of the root's inode.
    assert_error(&image, "a folder is in the tree twice", |bad| {
        let reference = u64_at(&image, ROOT_AT);
        let at = directories(&image) + 21 + 12;
        assert_eq!(image[at + 8], b'd');
        put(bad, at, &reference.to_le_bytes()[..2]);
    });
}

#[test]
fn a_folder_in_two_places_is_refused() {
    let (image, _) = image(|writer| {
        for name in [b"a", b"b"] {
            writer.begin_folder(name, &attributes(0o755)).unwrap();
            writer.end_folder().unwrap();
        }
        let xattrs: [(&[u8], &[u8]); 1] = [(b"user.a", b"value")];
        let with = Attributes {
            xattrs: &xattrs,
            ..attributes(0o644)
        };
        writer.entry(b"x", &with, Kind::Fifo).unwrap();
    });
    let image = store_plain(&image);
    assert_error(&image, "a folder is in the tree twice", |bad| {
        let first = directories(&image) + 12;
        let place = [image[first], image[first + 1]];
        put(bad, first + 9, &place);
    });
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let image = plain_image_of(b"xy");
    for name in [b"..", b"a/", b"/a", b"a\0"] {
        assert_error(&image, "a name is . or ..", |bad| {
            let at = directories(&image) + 12 + 8;
            assert_eq!(&image[at..at + 2], b"xy");
            put(bad, at, name);
        });
    }
    let image = plain_image_of(b"x");
    assert_error(&image, "a name is . or ..", |bad| {
        let at = directories(&image) + 12 + 8;
        put(bad, at, b".");
    });
}

#[test]
fn names_twice_or_out_of_order_are_refused() {
    let (image, _) = image(|writer| {
        for name in [b"a", b"b"] {
            writer.entry(name, &attributes(0o644), Kind::Fifo).unwrap();
        }
        let xattrs: [(&[u8], &[u8]); 1] = [(b"user.a", b"value")];
        let with = Attributes {
            xattrs: &xattrs,
            ..attributes(0o644)
        };
        writer.entry(b"c", &with, Kind::Fifo).unwrap();
    });
    let image = store_plain(&image);
    for name in [b"b", b"d"] {
        assert_error(&image, "the names of a folder are not in order", |bad| {
            put(bad, directories(&image) + 12 + 8, name);
        });
    }
}

#[test]
fn a_listing_that_lies_about_itself_is_refused() {
    let image = plain_image_of(b"f");
    assert_error(&image, "too many names under one header", |bad| {
        put(bad, directories(&image), &u32::MAX.to_le_bytes());
    });
    assert_error(&image, "shorter than the names in it", |bad| {
        put(bad, directories(&image), &5_u32.to_le_bytes());
    });
    assert_error(&image, "a name is too long", |bad| {
        put(bad, directories(&image) + 12 + 6, &u16::MAX.to_le_bytes());
    });
    assert_error(&image, "of different types", |bad| {
        put(bad, directories(&image) + 12 + 4, &[1]);
    });
    // The root, after the file, is long and its listing far away.
    assert_error(&image, "a folder does not lie in its table", |bad| {
        put(
            bad,
            inodes(&image) + FILE_BYTES + 16,
            &u32::MAX.to_le_bytes(),
        );
    });
    assert_error(&image, "a folder does not lie in its table", |bad| {
        put(
            bad,
            inodes(&image) + FILE_BYTES + 16 + 10,
            &u16::MAX.to_le_bytes(),
        );
    });
}

#[test]
fn inodes_outside_their_table_are_refused() {
    let image = plain_image(b"hello");
    assert_error(&image, "an inode does not lie in its table", |bad| {
        put(bad, ROOT_AT, &u64::MAX.to_le_bytes());
    });
    assert_error(&image, "an inode does not lie in its table", |bad| {
        put(bad, directories(&image) + 4, &u32::MAX.to_le_bytes());
    });
    assert_error(&image, "an inode does not lie in its table", |bad| {
        put(bad, directories(&image) + 12, &u16::MAX.to_le_bytes());
    });
    assert_error(&image, "an inode is of no known type", |bad| {
        let root = inodes(&image) + FILE_BYTES + FOLDER_BYTES;
        put(bad, root, &15_u16.to_le_bytes());
    });
    assert_error(&image, "its root is no folder", |bad| {
        put(bad, ROOT_AT, &0_u64.to_le_bytes());
    });
    assert_error(&image, "a number is not in its table", |bad| {
        // The owner of the file.
        put(bad, inodes(&image) + 4, &u16::MAX.to_le_bytes());
    });
}

#[test]
fn metadata_blocks_that_are_too_long_or_damaged_are_refused() {
    let image = plain_image(b"hello");
    for (header, expected) in [
        (0_u16, "empty or too long"),
        (0x8000, "empty or too long"),
        (8193, "empty or too long"),
        (0xffff, "empty or too long"),
        (0x8000 | 8192, "does not lie in its table"),
        (20, "can't be decompressed"),
    ] {
        assert_error(&image, expected, |bad| {
            let at = inodes(&image) - 2;
            put(bad, at, &header.to_le_bytes());
        });
    }
}

#[test]
fn a_metadata_block_that_inflates_to_more_is_refused() {
    let mut image = plain_image(b"hello");
    let mut bomb = Vec::new();
    let plain = vec![0; 1 << 20];
    assert!(metadata::compress(&plain, 9, &mut bomb).unwrap());
    let start = image.len() as u64;
    image.extend_from_slice(&u16::try_from(bomb.len()).unwrap().to_le_bytes());
    image.extend_from_slice(&bomb);
    let index = image.len() as u64;
    image.extend_from_slice(&start.to_le_bytes());
    assert_error(&image, "a metadata block can't be decompressed", |bad| {
        put(bad, OWNER_TABLE_AT, &index.to_le_bytes());
    });
}

#[test]
fn a_block_longer_than_its_size_is_refused() {
    let mut image = plain_image(&text(BLOCK_BYTES));
    assert_eq!(error_of(&image, |_| {}), "");
    let sizes = inodes(&image) + FILE_BYTES;
    let at = sizes;
    assert_error(&image, "longer than a block", |bad| {
        put(bad, at, &0x00ff_ffff_u32.to_le_bytes());
    });
    assert_error(&image, "longer than a block", |bad| {
        put(bad, at, &u32::MAX.to_le_bytes());
    });
    assert_error(&image, "is shorter than it should be", |bad| {
        put(bad, at, &(100 | 1_u32 << 24).to_le_bytes());
    });
    assert_error(&image, "can't be decompressed", |bad| {
        put(bad, at, &100_u32.to_le_bytes());
    });
    // A block that is compressed to little and inflates to more than a block.
    let mut bomb = Vec::new();
    assert!(metadata::compress(&vec![7; 2 * BLOCK_BYTES], 9, &mut bomb).unwrap());
    let size = u32::try_from(bomb.len()).unwrap();
    put(
        &mut image,
        usize::try_from(format::SUPERBLOCK_BYTES).unwrap(),
        &bomb,
    );
    assert_error(&image, "is longer than it should be", |bad| {
        put(bad, at, &size.to_le_bytes());
    });
    // The file's own length: what follows its one block's is no block's length.
    assert_error(&image, "longer than a block", |bad| {
        put(bad, inodes(&image) + 24, &(1_u64 << 60).to_le_bytes());
        put(bad, at, &0_u32.to_le_bytes());
    });
    assert_error(&image, "a block of data lies behind the end", |bad| {
        put(bad, inodes(&image) + 16, &(1_u64 << 60).to_le_bytes());
    });
}

#[test]
fn fragments_that_are_not_there_are_refused() {
    let image = plain_image(b"hello");
    let (fragment, offset) = (inodes(&image) + 44, inodes(&image) + 48);
    assert_error(&image, "a number is not in its table", |bad| {
        put(bad, fragment, &1_u32.to_le_bytes());
    });
    for at in [1_u32, u32::MAX - 2] {
        assert_error(&image, "a file does not lie in its fragment", |bad| {
            put(bad, offset, &at.to_le_bytes());
        });
    }
    assert_error(&image, "there are none", |bad| {
        put(bad, FRAGMENT_TABLE_AT, &u64::MAX.to_le_bytes());
    });
    let table = usize::try_from(u64_at(&image, FRAGMENT_TABLE_AT)).unwrap();
    let entry = usize::try_from(u64_at(&image, table)).unwrap() + 2;
    assert_error(&image, "a block of data lies behind the end", |bad| {
        put(bad, entry, &u64::MAX.to_le_bytes());
    });
    assert_error(&image, "longer than a block", |bad| {
        put(bad, entry + 8, &0x00ff_ffff_u32.to_le_bytes());
    });
}

#[test]
fn extended_attributes_that_lie_are_refused() {
    let image = plain_image(b"hello");
    let head = usize::try_from(u64_at(&image, XATTR_TABLE_AT)).unwrap();
    let pairs = usize::try_from(u64_at(&image, head)).unwrap() + 2;
    let sets = usize::try_from(u64_at(&image, head + 16)).unwrap() + 2;
    assert_eq!(&image[pairs + 4..pairs + 5], b"a");
    assert_error(&image, "a number is not in its table", |bad| {
        put(bad, inodes(&image) + 52, &1_u32.to_le_bytes());
    });
    assert_error(&image, "and there are none", |bad| {
        put(bad, XATTR_TABLE_AT, &u64::MAX.to_le_bytes());
    });
    assert_error(&image, "of no known kind", |bad| put(bad, pairs, &[3]));
    assert_error(&image, "more than 1048576 bytes of extended", |bad| {
        put(bad, pairs + 5, &u32::MAX.to_le_bytes());
    });
    assert_error(&image, "an extended attribute does not lie", |bad| {
        put(bad, pairs + 2, &u16::MAX.to_le_bytes());
    });
    assert_error(&image, "has not eight bytes", |bad| {
        put(bad, pairs, &0x100_u16.to_le_bytes());
    });
    assert_error(&image, "an extended attribute does not lie", |bad| {
        put(bad, sets, &u64::MAX.to_le_bytes());
    });
    assert_error(&image, "an extended attribute does not lie", |bad| {
        put(bad, sets + 8, &u32::MAX.to_le_bytes());
    });
}

#[test]
fn links_that_are_none_are_refused() {
    let (image, _) = image(|writer| {
        let xattrs: [(&[u8], &[u8]); 1] = [(b"user.a", b"value")];
        let with = Attributes {
            xattrs: &xattrs,
            ..attributes(0o777)
        };
        let target = b"target";
        writer.entry(b"l", &with, Kind::Symlink { target }).unwrap();
    });
    let image = store_plain(&image);
    for bytes in [0, 65_536, u32::MAX] {
        assert_error(&image, "is empty or too long", |bad| {
            put(bad, inodes(&image) + 20, &bytes.to_le_bytes());
        });
    }
    assert_error(&image, "a symbolic link has a zero in it", |bad| {
        put(bad, inodes(&image) + 25, &[0]);
    });
}

#[test]
fn limits_hold() {
    let (image, _) = image(everything);
    let reader = SquashfsReader::open(image).unwrap();
    let default = Limits::default();
    for (limits, what) in [
        (
            Limits {
                entries: 3000,
                ..default
            },
            "more than 3000 entries",
        ),
        (
            Limits {
                depth: 0,
                ..default
            },
            "more than 0 folders within folders",
        ),
        (
            Limits {
                path_bytes: 20,
                ..default
            },
            "more than 20 bytes of a path",
        ),
        (
            Limits {
                names_bytes: 9000,
                ..default
            },
            "more than 9000 bytes of paths",
        ),
    ] {
        let error = reader.entries(limits).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    let mut walk = reader.walk(Limits {
        entries: 3,
        ..default
    });
    assert_eq!(walk.by_ref().filter(Result::is_ok).count(), 3);
    assert!(walk.next().is_none(), "it goes on after an error");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn flipped_bytes_never_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let image = plain_image(b"hello");
        let _ = error_of(&image, |bad| {
            for (at, byte) in flips {
                let at = at.index(bad.len());
                bad[at] = byte;
            }
        });
    }
}
