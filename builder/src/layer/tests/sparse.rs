//! Sparse files whose maps are long, half empty or without any data.

use super::*;

/// Twelve octal digits of a slot's field, as GNU tar writes them.
fn octal(number: usize) -> [u8; 12] {
    format!("{number:011o}\0").into_bytes().try_into().unwrap()
}

/// A file of so many ranges of one byte, each after a hole of one, in an old GNU header (GNU tar
/// manual, "Storing Sparse Files"): four slots in the header, 21 in each block after it.
fn old_gnu(ranges: usize, change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut slots: Vec<u8> = (0..ranges)
        .flat_map(|n| [octal(2 * n + 1), octal(1)].concat())
        .collect();
    change(&mut slots);
    let (first, rest) = slots.split_at(slots.len().min(4 * 24));
    let mut header = tar::Header::new_gnu();
    header.set_path("f").unwrap();
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(ranges as u64);
    header.set_entry_type(tar::EntryType::GNUSparse);
    let block = header.as_mut_bytes();
    block[386..][..first.len()].copy_from_slice(first);
    block[482] = u8::from(!rest.is_empty());
    block[483..495].copy_from_slice(&octal(2 * ranges));
    header.set_cksum();
    let mut tar = header.as_bytes().to_vec();
    let mut blocks = rest.chunks(21 * 24).peekable();
    while let Some(slots) = blocks.next() {
        let mut block = padded(slots);
        block[21 * 24] = u8::from(blocks.peek().is_some());
        tar.extend(block);
    }
    tar.extend(padded(&vec![b'x'; ranges]));
    tar
}

#[test]
fn an_old_gnu_map_goes_on_in_the_blocks_after_its_header() {
    for ranges in [1, 4, 5, 4 + 21, 4 + 21 + 1, 4 + 3 * 21] {
        let tar = [old_gnu(ranges, |_| ()), file("g", b"next")].concat();
        let seen = read(&tar).unwrap();
        assert_eq!(seen[0].1, b"\0x".repeat(ranges), "{ranges}");
        assert_eq!(seen[1].1, b"next");
    }
}

/// A slot is used where both its numbers are there.
#[test]
fn half_of_a_slot_is_no_range() {
    let extra = |slot: [&[u8]; 2]| {
        let slot = slot.concat();
        let tar = old_gnu(2, |slots| slots[24..].copy_from_slice(&slot));
        read(&tar)
    };
    let (three, one, none) = (octal(3), octal(1), [0; 12]);
    assert!(extra([&three, &one]).is_ok());
    for slot in [[&three, &none], [&none, &one], [&none, &none]] {
        let error = extra(slot.map(|s| &s[..])).unwrap_err().to_string();
        assert!(error.contains("its map and its size disagree"), "{error}");
    }
}

#[test]
fn a_sparse_file_may_be_one_hole() {
    let versions = [
        pax(&[("GNU.sparse.size", b"20"), ("GNU.sparse.numblocks", b"0")]),
        pax(&[("GNU.sparse.size", b"20"), ("GNU.sparse.map", b"")]),
    ];
    for head in versions {
        let seen = read(&[head, file("f", b"")].concat()).unwrap();
        assert_eq!(seen[0].1, [0; 20]);
    }
}
