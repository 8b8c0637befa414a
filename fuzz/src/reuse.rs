//! Deflate blocks of any gzip file, used again.

use std::io::Read;

use formats::compress::reuse::{GzipBlocks, Splice};
use formats::compress::{BodyDecoder, BodyInfo, Compression, Scratch, compress_segment};

/// A segment holds this much at most, and bodies of 4 KiB or less are not compressed.
const MOST: u64 = 1 << 20;
const LEAST: u64 = 4097;
const COMPRESSION: Compression = Compression::GZIP_DEFAULT;

/// Inflates the bytes as a gzip file, after two that say which part of it is a body. Whatever its blocks
/// give for the body must, with what is between compressed, inflate to it.
pub fn reuse(data: &[u8]) {
    let Some(([from, to], data)) = data.split_first_chunk() else {
        return;
    };
    let Ok((reader, log)) = GzipBlocks::new(data) else {
        return;
    };
    let mut plain = Vec::new();
    let read = reader.take(MOST).read_to_end(&mut plain);
    let place = |part: &u8| plain.len() as u64 * u64::from(*part) / 255;
    let (from, to) = (place(from.min(to)), place(from.max(to)));
    let (parts, next) = log.parts(from, to, from, false);
    assert_eq!(next, to, "nothing goes on behind the end");
    // A file that proves damaged later on may have blocks that refer to what is not there.
    if read.is_err() || !(LEAST..=MOST).contains(&(to - from)) {
        return;
    }
    let bytes = |from: u64, to: u64| {
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        &plain[index(from)..index(to)]
    };
    let body = bytes(from, to);
    let mut segments = Vec::new();
    let mut scratch = Scratch::new();
    let mut compress = |chunk: &[u8]| {
        let mut out = Vec::new();
        let done = compress_segment(&mut scratch, COMPRESSION, to - from, &[], chunk, &mut out);
        assert!(done.is_ok(), "{done:?}");
        (chunk.len(), out)
    };
    let mut done = from;
    for part in parts {
        let (start, end) = (part.start(), part.end());
        assert!(done <= start && start <= end && end <= to, "parts in order");
        segments.push(compress(bytes(done, start)));
        let mut splice = Splice::default();
        splice.push(&part, bytes(start, end));
        segments.push((bytes(start, end).len(), splice.finish()));
        done = end;
    }
    segments.push(compress(bytes(done, to)));
    let mut out = Vec::new();
    let decoded = BodyDecoder::new(COMPRESSION, BodyInfo::of(body)).and_then(|mut decoder| {
        for (length, segment) in segments.iter().filter(|(length, _)| *length > 0) {
            decoder.segment_of(segment, *length, &mut out)?;
        }
        decoder.finish()
    });
    assert!(decoded.is_ok(), "{decoded:?}");
    assert!(out == body, "parts of blocks inflate to something else");
}
