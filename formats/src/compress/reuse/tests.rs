// Offsets of inputs that are in memory.
#![allow(clippy::cast_possible_truncation)]

use std::io::{Read, Write};

use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::compress::{BodyDecoder, BodyInfo, Compression};
use crate::testing::{noise, text};

fn gzip(plain: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Text, noise and zeros in turn: blocks of every type.
fn mixed(pieces: &[(u8, usize)]) -> Vec<u8> {
    pieces
        .iter()
        .flat_map(|&(kind, len)| match kind % 3 {
            0 => text(len),
            1 => noise(len),
            _ => vec![0; len],
        })
        .collect()
}

fn read_all(file: &[u8], step: usize) -> std::io::Result<(Vec<u8>, Vec<Block>)> {
    let (mut reader, log) = GzipBlocks::new(std::io::BufReader::with_capacity(1000, file))?;
    let (mut plain, mut blocks) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; step];
    loop {
        let n = reader.read(&mut buffer)?;
        plain.extend_from_slice(&buffer[..n]);
        assert_eq!(log.served(), plain.len() as u64);
        blocks.extend(log.take(0, log.served()));
        if n == 0 {
            return Ok((plain, blocks));
        }
    }
}

/// Splices all blocks of a file and decodes them as a body whose first bytes they are.
fn check_splice(plain: &[u8], blocks: &[Block]) {
    let mut splice = Splice::default();
    let mut done = 0;
    for block in blocks {
        assert_eq!(block.start, done, "no block is missing");
        let (start, end) = (block.start as usize, block.end() as usize);
        splice.push(block, &plain[start..end]);
        done = block.end();
    }
    let spliced = splice.finish();
    let compression = Compression::GZIP_DEFAULT;
    let mut whole = plain[..done as usize].to_vec();
    // Bodies up to 4 KiB are kept plain; this one is made longer by a stored block.
    whole.extend([7; 5000]);
    let mut tail = Splice::default();
    tail.push_stored(&[7; 5000]);
    let info = BodyInfo::of(&whole);
    let mut decoder = BodyDecoder::new(compression, info).unwrap();
    let mut out = Vec::new();
    if done > 0 {
        decoder
            .segment_of(&spliced, done as usize, &mut out)
            .unwrap();
    }
    decoder.segment_of(&tail.finish(), 5000, &mut out).unwrap();
    decoder.finish().unwrap();
    assert!(out == whole);
}

#[test]
fn spliced_blocks_inflate_to_what_they_held() {
    for level in [0, 1, 4, 6, 9] {
        let plain = mixed(&[(0, 300_000), (1, 100_000), (2, 200_000), (0, 1)]);
        let (read, blocks) = read_all(&gzip(&plain, level), 777).unwrap();
        assert!(read == plain, "level {level}");
        assert!(!blocks.is_empty(), "level {level}");
        check_splice(
            &plain[..400_000.min(plain.len())],
            &blocks_within(&blocks, 400_000),
        );
    }
}

fn blocks_within(blocks: &[Block], end: u64) -> Vec<Block> {
    blocks
        .iter()
        .take_while(|b| b.end() <= end)
        .cloned()
        .collect()
}

#[test]
fn members_follow_each_other_and_trailing_bytes_are_read_over() {
    let (a, b) = (text(100_000), noise(50_000));
    let file = [gzip(&a, 6), gzip(&b, 6), b"padding".to_vec()].concat();
    let (plain, blocks) = read_all(&file, 4096).unwrap();
    assert!(plain == [a, b].concat());
    check_splice(&plain, &blocks);
    let (plain, blocks) = read_all(&gzip(b"", 6), 10).unwrap();
    assert!(plain.is_empty() && blocks.len() <= 1);
}

#[test]
fn an_oversized_block_is_served_but_not_remembered() {
    // One block of zeros can hold megabytes.
    let plain = vec![0; 8 << 20];
    let (read, blocks) = read_all(&gzip(&plain, 9), 1 << 16).unwrap();
    assert!(read == plain);
    assert!(
        blocks
            .iter()
            .all(|b| b.plain_bytes <= MAX_BLOCK_BYTES as u64)
    );
}

#[test]
fn cut_and_damaged_files_are_errors() {
    let file = gzip(&text(50_000), 6);
    for end in (0..file.len()).step_by(37) {
        assert!(read_all(&file[..end], 1000).is_err(), "cut at {end}");
    }
    for at in (0..file.len()).step_by(53) {
        let mut bad = file.clone();
        bad[at] ^= 0x10;
        // A few header bits mean nothing; the trailer notices everything else.
        if let Ok((plain, _)) = read_all(&bad, 1000) {
            assert!(plain == text(50_000), "at {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_blocks_splice(
        pieces in prop::collection::vec((any::<u8>(), 0usize..120_000), 1..6),
        level in 0u32..10,
        step in 1usize..70_000,
    ) {
        let plain = mixed(&pieces);
        let (read, blocks) = read_all(&gzip(&plain, level), step).unwrap();
        prop_assert!(read == plain);
        let end = blocks.iter().take_while(|b| b.end() <= 1_000_000).count();
        check_splice(&plain, &blocks[..end]);
    }

    #[test]
    fn any_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read_all(&[&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &bytes].concat(), 100);
        let _ = read_all(&bytes, 100);
    }
}
