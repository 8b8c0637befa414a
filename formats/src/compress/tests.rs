use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use testdata::judge;

use super::format::LITERAL_RUN_BYTES;
use super::*;
use crate::testing::{noise, text};

const ALL: [Compression; 5] = [
    Compression::None,
    Compression::Gzip { level: 1 },
    Compression::GZIP_DEFAULT,
    Compression::ZSTD_DEFAULT,
    Compression::Zstd { level: 6 },
];

/// Lengths around everything that is cut somewhere.
fn awkward_lengths() -> Vec<usize> {
    let around = |n: usize| [n - 1, n, n + 1];
    [
        vec![0, 1, 2, 100],
        around(INLINE_BODY_BYTES).to_vec(),
        around(WINDOW_BYTES).to_vec(),
        vec![65_535, 65_536, 131_072, 131_073],
        around(SEGMENT_BYTES).to_vec(),
        around(3 * SEGMENT_BYTES).to_vec(),
    ]
    .concat()
}

/// Writes header, body, padding per body and ends the stream.
fn stitch(compression: Compression, bodies: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
    let mut plain = Vec::new();
    let mut stream = Stitcher::new(Vec::new(), compression).unwrap();
    for (index, body) in bodies.iter().enumerate() {
        let header = format!("header of body {index:06}, {} bytes", body.len());
        stream.literal(header.as_bytes()).unwrap();
        let (info, segments) = encode_body(compression, body).unwrap();
        stream
            .body(info, segments.iter().map(io::Result::Ok))
            .unwrap();
        stream.literal(b"pad").unwrap();
        stream.entry_boundary().unwrap();
        plain.extend_from_slice(header.as_bytes());
        plain.extend_from_slice(body);
        plain.extend_from_slice(b"pad");
    }
    assert_eq!(stream.plain_bytes(), plain.len() as u64);
    (stream.finish().unwrap(), plain)
}

fn unpack(compression: Compression, stream: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match compression {
        Compression::None => plain.extend_from_slice(stream),
        Compression::Gzip { .. } => {
            let mut member = flate2::bufread::GzDecoder::new(stream);
            member.read_to_end(&mut plain).unwrap();
            assert!(member.into_inner().is_empty(), "one member only");
        }
        Compression::Zstd { .. } => plain = zstd::decode_all(stream).unwrap(),
    }
    plain
}

#[test]
fn bodies_of_awkward_lengths_come_back() {
    for compression in ALL {
        for len in awkward_lengths() {
            for body in [text(len), noise(len)] {
                let (info, segments) = encode_body(compression, &body).unwrap();
                assert_eq!(info, BodyInfo::of(&body));
                assert_eq!(segments.len() as u64, info.segments());
                let decoded = decode_body(compression, info, &segments)
                    .unwrap_or_else(|error| panic!("{compression}, {len} bytes: {error}"));
                assert_eq!(decoded, body, "{compression}, {len} bytes");
            }
        }
    }
}

#[test]
fn streams_of_awkward_bodies_come_back() {
    let bodies: Vec<_> = awkward_lengths()
        .into_iter()
        .flat_map(|len| [text(len), noise(len)])
        .collect();
    for compression in ALL {
        let (stream, plain) = stitch(compression, &bodies);
        assert_eq!(unpack(compression, &stream), plain, "{compression}");
    }
}

/// The highest level has the largest window.
#[test]
fn the_highest_zstd_level_stays_within_the_window_it_announces() {
    let compression = Compression::Zstd { level: 19 };
    let body = text(9 * SEGMENT_BYTES);
    let (stream, plain) = stitch(compression, std::slice::from_ref(&body));
    let mut decoder = zstd::stream::read::Decoder::new(&stream[..]).unwrap();
    decoder.window_log_max(23).unwrap();
    let mut unpacked = Vec::new();
    decoder.read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == plain);
}

#[test]
fn segments_made_out_of_order_are_the_encoders() {
    let body = text(3 * SEGMENT_BYTES + 77);
    let compression = Compression::GZIP_DEFAULT;
    let (_, expected) = encode_body(compression, &body).unwrap();
    let mut scratch = Scratch::new();
    let chunks: Vec<_> = body.chunks(SEGMENT_BYTES).collect();
    for index in [2, 0, 3, 1, 1] {
        let before = &body[..index * SEGMENT_BYTES];
        let window = &before[before.len().saturating_sub(WINDOW_BYTES)..];
        let mut out = Vec::new();
        compress_segment(
            &mut scratch,
            compression,
            body.len() as u64,
            window,
            chunks[index],
            &mut out,
        )
        .unwrap();
        assert_eq!(out, expected[index], "segment {index}");
    }
}

#[test]
fn what_a_scratch_was_used_for_does_not_show() {
    for compression in ALL {
        let mut used = Scratch::new();
        for (round, len) in [400_000, 70_000, 3_000, 900_000].into_iter().enumerate() {
            let body = if round % 2 == 0 {
                text(len)
            } else {
                noise(len)
            };
            let mut fresh_out = Vec::new();
            // Room in the vector must not show either.
            let mut used_out = Vec::with_capacity(4 << 20);
            let bytes = body.len() as u64;
            compress_segment(&mut used, compression, bytes, &[], &body, &mut used_out).unwrap();
            compress_segment(
                &mut Scratch::new(),
                compression,
                bytes,
                &[],
                &body,
                &mut fresh_out,
            )
            .unwrap();
            assert_eq!(used_out, fresh_out, "{compression}, round {round}");
        }
    }
}

/// zlib-rs keeps its window over a reset, and its levels 3 to 6 look at bytes beyond the end of
/// the input: what they find there must always be the same.
#[test]
fn what_zlib_left_in_its_window_does_not_show() {
    let body = nibbles(5 * SEGMENT_BYTES, 4);
    for compression in [Compression::GZIP_DEFAULT, Compression::Gzip { level: 6 }] {
        let mut used = Scratch::new();
        for at in 1..5 {
            let (before, chunk) = (at * SEGMENT_BYTES - WINDOW_BYTES, at * SEGMENT_BYTES);
            let segment = |scratch: &mut Scratch| {
                let mut out = Vec::new();
                let chunk = &body[chunk..chunk + 700_000];
                let window = &body[before..at * SEGMENT_BYTES];
                let bytes = body.len() as u64;
                compress_segment(scratch, compression, bytes, window, chunk, &mut out).unwrap();
                out
            };
            let fresh = segment(&mut Scratch::new());
            assert!(segment(&mut used) == fresh, "{compression}, segment {at}");
        }
    }
}

/// Bytes below 16 without any pattern: many short matches.
fn nibbles(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state & 0x0f) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn noise_grows_by_stored_block_headers_only() {
    let body = noise(SEGMENT_BYTES);
    let (_, segments) = encode_body(Compression::GZIP_DEFAULT, &body).unwrap();
    assert_eq!(segments[0].len(), SEGMENT_BYTES + 17 * 5);
}

#[test]
fn how_literals_are_cut_does_not_show() {
    let bytes = text(LITERAL_RUN_BYTES * 2 + 99);
    for compression in ALL {
        let whole = {
            let mut stream = Stitcher::new(Vec::new(), compression).unwrap();
            stream.literal(&bytes).unwrap();
            stream.finish().unwrap()
        };
        let mut stream = Stitcher::new(Vec::new(), compression).unwrap();
        for piece in bytes.chunks(1009) {
            stream.literal(piece).unwrap();
        }
        assert_eq!(stream.finish().unwrap(), whole, "{compression}");
        assert_eq!(unpack(compression, &whole), bytes, "{compression}");
    }
}

#[test]
fn zstd_frames_end_at_entry_boundaries() {
    let bodies: Vec<_> = (0..40).map(|n| text(n * 5_000)).collect();
    let (stream, _) = stitch(Compression::ZSTD_DEFAULT, &bodies);
    let mut rest = &stream[..];
    let mut frames = 0;
    while !rest.is_empty() {
        let bytes = zstd::zstd_safe::find_frame_compressed_size(rest).unwrap();
        let plain = zstd::decode_all(&rest[..bytes]).unwrap();
        assert!(plain.starts_with(b"header of body "), "frame {frames}");
        assert!(plain.ends_with(b"pad"), "frame {frames}");
        rest = &rest[bytes..];
        frames += 1;
    }
    assert_eq!(
        frames, 40,
        "the first body is empty, all others have a frame"
    );
}

#[test]
fn many_bodyless_entries_become_few_zstd_frames() {
    let mut stream = Stitcher::new(Vec::new(), Compression::ZSTD_DEFAULT).unwrap();
    for n in 0..20_000 {
        stream
            .literal(format!("folder {n:08} and its header").as_bytes())
            .unwrap();
        stream.entry_boundary().unwrap();
    }
    let bytes = stream.finish().unwrap();
    let mut frames = 0;
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        rest = &rest[zstd::zstd_safe::find_frame_compressed_size(rest).unwrap()..];
        frames += 1;
    }
    assert_eq!(frames, (20_000 * 30usize).div_ceil(LITERAL_RUN_BYTES));
}

#[test]
fn compression_is_read_and_printed() {
    for (given, printed) in [
        ("none", "none"),
        ("gzip", "gzip:2"),
        ("gzip:9", "gzip:9"),
        ("zstd", "zstd:3"),
        ("zstd:19", "zstd:19"),
    ] {
        assert_eq!(given.parse::<Compression>().unwrap().to_string(), printed);
    }
    for wrong in [
        "", "gzip:0", "gzip:10", "zstd:20", "zstd:-1", "none:1", "xz", "gzip:",
    ] {
        let error = wrong.parse::<Compression>().unwrap_err().to_string();
        assert!(error.contains("gzip:LEVEL"), "{error}");
    }
}

#[test]
fn damaged_segments_are_errors() {
    let body = text(2 * SEGMENT_BYTES + 5_000);
    for compression in ALL {
        let (info, segments) = encode_body(compression, &body).unwrap();
        for index in 0..segments.len() {
            for at in (0..segments[index].len()).step_by(segments[index].len() / 7 + 1) {
                let mut damaged = segments.clone();
                damaged[index][at] ^= 0x10;
                assert!(
                    decode_body(compression, info, &damaged).is_err(),
                    "{compression}: segment {index}, byte {at}"
                );
            }
            let mut cut = segments.clone();
            cut[index].pop();
            assert!(decode_body(compression, info, &cut).is_err());
            let mut missing = segments.clone();
            missing.remove(index);
            assert!(decode_body(compression, info, &missing).is_err());
        }
        let extra = segments.iter().chain(segments.last());
        assert!(decode_body(compression, info, extra).is_err());
        let wrong = BodyInfo {
            crc32: info.crc32 ^ 1,
            ..info
        };
        assert!(matches!(
            decode_body(compression, wrong, &segments),
            Err(DecodeError::Checksum { .. })
        ));
    }
}

#[test]
fn misuse_of_a_stitcher_is_an_error() {
    for compression in ALL {
        let body = text(10_000);
        let (info, segments) = encode_body(compression, &body).unwrap();
        let mut stream = Stitcher::new(Vec::new(), compression).unwrap();
        assert!(stream.body(info, Vec::<io::Result<&[u8]>>::new()).is_err());
        let mut stream = Stitcher::new(Vec::new(), compression).unwrap();
        stream
            .body(info, segments.iter().map(io::Result::Ok))
            .unwrap();
        let second = stream.body(info, segments.iter().map(io::Result::Ok));
        assert!(second.is_err(), "{compression}: two bodies in one entry");
    }
}

#[test]
fn gzip_and_zstd_programs_accept_the_streams() {
    let bodies: Vec<_> = awkward_lengths().into_iter().map(text).collect();
    for (compression, program) in [
        (Compression::GZIP_DEFAULT, "gzip"),
        (Compression::ZSTD_DEFAULT, "zstd"),
    ] {
        let Some(path) = judge(program) else { continue };
        let (stream, plain) = stitch(compression, &bodies);
        let mut child = Command::new(path)
            .arg("-dc")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let feeder = std::thread::spawn(move || stdin.write_all(&stream));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap().unwrap();
        assert!(output.status.success(), "{program} refused the stream");
        assert!(output.stdout == plain, "{program} read other bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_bodies_come_back(
        seeds in prop::collection::vec((any::<bool>(), 0usize..300_000), 0..12),
        which in 0usize..ALL.len() - 1,
    ) {
        let compression = ALL[which];
        let bodies: Vec<_> = seeds
            .into_iter()
            .map(|(random, len)| if random { noise(len) } else { text(len) })
            .collect();
        let (stream, plain) = stitch(compression, &bodies);
        prop_assert!(unpack(compression, &stream) == plain);
    }

    #[test]
    fn any_bytes_as_segments_are_no_panic(
        segments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..4),
        bytes in 0u64..3_000_000,
        which in 0usize..ALL.len(),
    ) {
        let info = BodyInfo { bytes, crc32: 1 };
        prop_assert!(decode_body(ALL[which], info, &segments).is_err());
    }
}
