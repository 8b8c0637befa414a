//! Runs of deflate blocks that can be copied anywhere between bytes of a deflate stream.

pub(super) mod alphabet;
pub(super) mod bits;
mod short;

use std::io;

use flate2::{Compress, FlushCompress};

use self::bits::BitWriter;
use self::short::SHORT_BYTES;
use super::format::{DEFLATE_STORED_HEADER_BYTES, DEFLATE_STORED_MAX_BYTES};

/// Makes runs, in room that is kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct Deflater {
    room: Vec<u8>,
}

impl Deflater {
    /// Appends `plain` to `out` as non-final deflate blocks that end on a byte.
    ///
    /// `window` is what stands before it in the stream, at most the last 32 KiB of it (or
    /// empty, when that is not known): it may be referred to.
    pub(super) fn run(
        &mut self,
        level: u32,
        window: &[u8],
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        self.room.clear();
        match plain.len() {
            ..=SHORT_BYTES => short::run(plain, &mut self.room),
            _ => self.run_zlib(level, window, plain)?,
        }
        if self.room.len() < stored_run_bytes(plain.len()) {
            out.extend_from_slice(&self.room);
        } else {
            let mut stored = BitWriter::new(std::mem::take(out));
            stored.push_stored(plain);
            *out = stored.into_bytes();
        }
        Ok(())
    }

    fn run_zlib(&mut self, level: u32, window: &[u8], plain: &[u8]) -> io::Result<()> {
        // Not one that is reset: zlib-rs keeps its window then, and levels 3 to 6 read beyond the
        // input's end there, so that the output would depend on what was compressed before.
        let mut state = Compress::new(flate2::Compression::new(level), false);
        if !window.is_empty() {
            state.set_dictionary(window).map_err(io::Error::other)?;
        }
        // The worst case has room, so that zlib never waits for it: what it writes could depend on
        // that, and its level 1 panics when incompressible bytes meet a full buffer (zlib-rs 0.6).
        self.room.reserve(worst_case_bytes(plain.len()));
        state
            .compress_vec(plain, &mut self.room, FlushCompress::Sync)
            .map_err(io::Error::other)?;
        // Room left over is how zlib says that a flush is complete.
        if state.total_in() != plain.len() as u64 || self.room.len() == self.room.capacity() {
            return Err(io::Error::other("deflate did not finish its flush"));
        }
        Ok(())
    }
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
