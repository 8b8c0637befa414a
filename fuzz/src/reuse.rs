//! Deflate blocks of any gzip file, used again.

use std::io::Read;

use formats::compress::reuse::{GzipBlocks, Splice};
use formats::compress::{BodyDecoder, BodyInfo, Compression};

/// A segment holds this much at most, and bodies of 4 KiB or less are not compressed.
const MOST: u64 = 1 << 20;
const LEAST: u64 = 4097;

/// Inflates the bytes as a gzip file; whatever blocks it has must, spliced, inflate to the same.
pub fn reuse(data: &[u8]) {
    let Ok((reader, log)) = GzipBlocks::new(data) else {
        return;
    };
    let mut plain = Vec::new();
    let read = reader.take(MOST).read_to_end(&mut plain);
    let mut splice = Splice::default();
    let mut end = 0;
    for block in log.take(0, plain.len() as u64) {
        // An oversized one is not remembered: then the row ends.
        if block.start != end {
            break;
        }
        let bytes = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        splice.push(&block, &plain[bytes(block.start)..bytes(block.end())]);
        end = block.end();
    }
    // A file that proves damaged later on may have blocks that refer to what is not there.
    if read.is_err() || !(LEAST..=MOST).contains(&end) {
        return;
    }
    let length = usize::try_from(end).unwrap_or(usize::MAX);
    let body = BodyInfo::of(&plain[..length]);
    let mut out = Vec::new();
    let decoded = BodyDecoder::new(Compression::GZIP_DEFAULT, body).and_then(|mut decoder| {
        decoder.segment_of(&splice.finish(), length, &mut out)?;
        decoder.finish()
    });
    assert!(decoded.is_ok(), "{decoded:?}");
    assert!(
        out == plain[..length],
        "spliced blocks inflate to something else"
    );
}
