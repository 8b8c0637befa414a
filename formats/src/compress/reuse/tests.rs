// Offsets of inputs that are in memory.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss
)]

use std::io::{Read, Write};

use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::super::deflate::bits::BitWriter;
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

/// What a file inflates to, read in steps, and what is known of its blocks.
fn read_all(file: &[u8], step: usize) -> std::io::Result<(Vec<u8>, BlockLog)> {
    let (mut reader, log) = GzipBlocks::new(std::io::BufReader::with_capacity(1000, file))?;
    let mut plain = Vec::new();
    let mut buffer = vec![0; step];
    loop {
        let n = reader.read(&mut buffer)?;
        plain.extend_from_slice(&buffer[..n]);
        assert_eq!(log.served(), plain.len() as u64);
        if n == 0 {
            return Ok((plain, log));
        }
    }
}

/// Makes a body of `from..to` of a file out of what its blocks give, and stored blocks between, and
/// decodes it. Gives how many bytes came from blocks.
fn check_parts(plain: &[u8], log: &BlockLog, from: usize, to: usize) -> usize {
    // Bodies up to 4 KiB are kept plain; this one is made longer by a stored block.
    let body = [&plain[from..to], &[7; 5000]].concat();
    let mut segments = Vec::new();
    let stored = |bytes: &[u8]| {
        let mut splice = Splice::default();
        splice.0.push_stored(bytes);
        (bytes.len(), splice.finish())
    };
    let (mut done, mut reused) = (from, 0);
    let (parts, next) = log.parts(from as u64, to as u64, from as u64, false);
    assert_eq!(next, to as u64);
    for part in parts {
        let (start, end) = (part.start() as usize, part.end() as usize);
        assert!(done <= start && end <= to, "{done} {start} {end} {to}");
        segments.push(stored(&plain[done..start]));
        let mut splice = Splice::default();
        splice.push(&part, &plain[start..end]);
        segments.push((end - start, splice.finish()));
        reused += end - start;
        done = end;
    }
    segments.push(stored(&body[done - from..]));
    let mut decoder = BodyDecoder::new(Compression::GZIP_DEFAULT, BodyInfo::of(&body)).unwrap();
    let mut out = Vec::new();
    for (bytes, segment) in segments.iter().filter(|(bytes, _)| *bytes > 0) {
        decoder.segment_of(segment, *bytes, &mut out).unwrap();
    }
    decoder.finish().unwrap();
    assert!(out == body);
    reused
}

#[test]
fn parts_of_blocks_inflate_to_what_they_held() {
    for level in [0, 1, 4, 6, 9] {
        let plain = mixed(&[(0, 300_000), (1, 100_000), (2, 200_000), (0, 1)]);
        let (read, log) = read_all(&gzip(&plain, level), 777).unwrap();
        assert!(read == plain, "level {level}");
        let reused = check_parts(&plain, &log, 0, 400_000);
        assert!(reused > 390_000, "level {level}: {reused}");
        let reused = check_parts(&plain, &log, 100_000, 200_000);
        assert!(reused > 60_000, "level {level}: {reused}");
    }
}

#[test]
fn a_block_is_cut_where_a_file_starts_and_where_it_ends() {
    let plain = text(60_000);
    let file = gzip(&plain, 9);
    let (_, log) = read_all(&file, 4096).unwrap();
    // All of it is one block or two; what stands 32 KiB into a file can be used up to its last symbol.
    let (parts, _) = log.parts(10_000, 55_000, 10_000, false);
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        panic!("no part");
    };
    assert!(first.start() <= 10_000 + 32_768 + 258, "{}", first.start());
    assert!(
        last.end() + 258 > 55_000 && last.end() <= 55_000,
        "{}",
        last.end()
    );
    assert!(check_parts(&plain, &log, 10_000, 55_000) > 10_000);
}

#[test]
fn a_block_that_goes_on_with_its_text_is_left_for_the_next_time() {
    let plain = text(600_000);
    let (_, log) = read_all(&gzip(&plain, 6), 4096).unwrap();
    let (parts, next) = log.parts(0, 300_000, 0, true);
    assert!(next < 300_000);
    assert_eq!(parts.last().map(Part::end), Some(next));
    log.forget(next);
    let (parts, _) = log.parts(next, 600_000, 0, false);
    assert_eq!(parts.first().map(Part::start), Some(next));
}

#[test]
fn blocks_that_nobody_asks_for_are_forgotten() {
    let plain = text(600_000);
    let (_, log) = read_all(&gzip(&plain, 6), 4096).unwrap();
    log.forget(600_000);
    assert!(log.parts(0, 600_000, 0, false).0.is_empty());
    assert_eq!(log.kept(), (0, 0));
    // What stands behind the end of a layer is read by nobody who could say so.
    let (_, log) = read_all(&gzip(&noise(30 << 20), 6), 1 << 16).unwrap();
    let (blocks, bytes) = log.kept();
    assert!(
        (7 << 20..=8 << 20).contains(&bytes),
        "{blocks} blocks, {bytes} bytes"
    );
}

#[test]
fn a_flood_of_tiny_blocks_is_not_remembered() {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut bits = BitWriter::default();
    for _ in 0..100_000 {
        bits.push_stored(b"");
        bits.push_stored(b"x");
    }
    file.extend(bits.into_bytes());
    // The last one, and the trailer.
    file.extend([1, 0, 0, 0xff, 0xff]);
    let plain = vec![b'x'; 100_000];
    let mut crc = flate2::Crc::new();
    crc.update(&plain);
    file.extend(crc.sum().to_le_bytes());
    file.extend((plain.len() as u32).to_le_bytes());
    let (read, log) = read_all(&file, 1000).unwrap();
    assert!(read == plain);
    assert_eq!(log.kept(), (0, 0));
    assert_eq!(check_parts(&plain, &log, 0, plain.len()), 0);
}

#[test]
fn fixed_codes_are_cut_as_well() {
    // One block: literals of 8 and of 9 bits, and matches of 3 bytes at distance 1.
    let mut bits = BitWriter::default();
    bits.push(0b011, 3);
    let mut plain = Vec::new();
    for round in 0..5_000_u64 {
        let low = round % 144;
        bits.push_code(0x30 + low, 8);
        bits.push_code(0b1_1001_0000 + round % 112, 9);
        bits.push_code(1, 7);
        bits.push_code(0, 5);
        plain.extend([low as u8, 144 + (round % 112) as u8]);
        plain.extend([144 + (round % 112) as u8; 3]);
    }
    bits.push_code(0, 7);
    let mut crc = flate2::Crc::new();
    crc.update(&plain);
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    file.extend(bits.into_bytes());
    file.extend(crc.sum().to_le_bytes());
    file.extend((plain.len() as u32).to_le_bytes());
    let (read, log) = read_all(&file, 1000).unwrap();
    assert!(read == plain);
    assert!(check_parts(&plain, &log, 0, plain.len()) > plain.len() - 300);
    let reused = check_parts(&plain, &log, 1001, 20_001);
    assert!(reused > 18_500, "{reused}");
}

#[test]
fn members_follow_each_other_and_trailing_bytes_are_read_over() {
    let (a, b) = (text(100_000), noise(50_000));
    let file = [gzip(&a, 6), gzip(&b, 6), b"padding".to_vec()].concat();
    let (plain, log) = read_all(&file, 4096).unwrap();
    assert!(plain == [a, b].concat());
    check_parts(&plain, &log, 0, 150_000);
    let (plain, log) = read_all(&gzip(b"", 6), 10).unwrap();
    assert!(plain.is_empty() && log.parts(0, 0, 0, false).0.is_empty());
}

#[test]
fn an_oversized_block_is_served_but_not_remembered() {
    // One block of zeros can hold megabytes.
    let plain = vec![0; 8 << 20];
    let (read, log) = read_all(&gzip(&plain, 9), 1 << 16).unwrap();
    assert!(read == plain);
    let (parts, _) = log.parts(0, 8 << 20, 0, false);
    assert!(
        parts
            .iter()
            .all(|p| p.end() - p.start() <= MAX_BLOCK_BYTES as u64)
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
    fn any_parts_inflate_to_what_they_held(
        pieces in prop::collection::vec((any::<u8>(), 0usize..120_000), 1..6),
        level in 0u32..10,
        step in 1usize..70_000,
        places in (0.0f64..1.0, 0.0f64..1.0),
    ) {
        let plain = mixed(&pieces);
        let (read, log) = read_all(&gzip(&plain, level), step).unwrap();
        prop_assert!(read == plain);
        let place = |part: f64| (part * plain.len() as f64) as usize;
        let (from, to) = (place(places.0.min(places.1)), place(places.0.max(places.1)));
        check_parts(&plain, &log, from, to);
    }

    #[test]
    fn any_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read_all(&[&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &bytes].concat(), 100);
        let _ = read_all(&bytes, 100);
    }
}
