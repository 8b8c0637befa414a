//! Runs of deflate blocks that can be copied anywhere between bytes of a deflate stream.

pub(super) mod alphabet;
pub(super) mod bits;
mod short;

use std::io;

use flate2::{Compress, FlushCompress};

use self::short::SHORT_BYTES;
use super::format::{DEFLATE_STORED_HEADER_BYTES, DEFLATE_STORED_MAX_BYTES};

/// A deflate encoder and the room it writes to.
#[derive(Debug)]
pub(super) struct Deflater {
    level: u32,
    state: Compress,
    /// Holds the worst case, so that zlib never waits for room: what it writes could depend on
    /// that, and its level 1 panics when incompressible bytes meet a full buffer (zlib-rs 0.6).
    room: Vec<u8>,
}

impl Deflater {
    pub(super) fn new(level: u32) -> Self {
        Self {
            level,
            state: fresh(level),
            room: Vec::new(),
        }
    }

    pub(super) fn level(&self) -> u32 {
        self.level
    }

    /// Appends `plain` to `out` as non-final deflate blocks that end on a byte.
    ///
    /// `window` is what stands before it in the stream, at most the last 32 KiB of it (or
    /// empty, when that is not known): it may be referred to.
    pub(super) fn run(&mut self, window: &[u8], plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        if plain.len() <= SHORT_BYTES {
            let start = out.len();
            short::run(plain, out);
            if out.len() - start >= stored_run_bytes(plain.len()) {
                out.truncate(start);
                store_run(plain, out);
            }
            return Ok(());
        }
        // Not reset(): zlib-rs keeps its window then, and levels 3 to 6 read beyond the input's end
        // there, so that the output would depend on what was compressed before.
        self.state = fresh(self.level);
        if !window.is_empty() {
            self.state
                .set_dictionary(window)
                .map_err(io::Error::other)?;
        }
        self.room.clear();
        self.room.reserve(worst_case_bytes(plain.len()));
        self.state
            .compress_vec(plain, &mut self.room, FlushCompress::Sync)
            .map_err(io::Error::other)?;
        // Room left over is how zlib says that a flush is complete.
        if self.state.total_in() != plain.len() as u64 || self.room.len() == self.room.capacity() {
            return Err(io::Error::other("deflate did not finish its flush"));
        }
        if self.room.len() < stored_run_bytes(plain.len()) {
            out.extend_from_slice(&self.room);
        } else {
            store_run(plain, out);
        }
        Ok(())
    }
}

fn fresh(level: u32) -> Compress {
    Compress::new(flate2::Compression::new(level), false)
}

/// No encoder writes more: 9 bits a byte with fixed codes, and room for block headers.
fn worst_case_bytes(plain_bytes: usize) -> usize {
    plain_bytes + plain_bytes / 8 + plain_bytes / 64 + 1024
}

/// Length of `plain_bytes` bytes as stored blocks.
fn stored_run_bytes(plain_bytes: usize) -> usize {
    plain_bytes
        + plain_bytes.div_ceil(DEFLATE_STORED_MAX_BYTES).max(1) * DEFLATE_STORED_HEADER_BYTES
}

/// Appends `plain` as stored blocks (RFC 1951 3.2.4).
fn store_run(plain: &[u8], out: &mut Vec<u8>) {
    for piece in plain.chunks(DEFLATE_STORED_MAX_BYTES) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "pieces have at most 65,535 bytes"
        )]
        let len = piece.len() as u16;
        out.push(0);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(piece);
    }
}
