//! Frames taken apart to their blocks and put together again (RFC 8878 3.1.1).

use std::io;

use zstd::zstd_safe::{
    CCtx, CParameter, InBuffer, OutBuffer, ResetDirective, compress_bound, get_error_name,
    zstd_sys::ZSTD_EndDirective,
};

use super::compression::Compression;
use super::format::{
    ZSTD_BLOCK_COMPRESSED, ZSTD_BLOCK_HEADER_BYTES, ZSTD_BLOCK_MAX_BYTES, ZSTD_BLOCK_RAW,
    ZSTD_BLOCK_RLE, ZSTD_MAGIC,
};

/// The longest frame header (RFC 8878 3.1.1.1).
const FRAME_HEADER_MAX_BYTES: usize = 18;

/// Makes a body's blocks, chunk after chunk.
pub(super) struct ZstdEncoder {
    level: i32,
    context: CCtx<'static>,
    remaining_bytes: u64,
    at_start: bool,
}

impl ZstdEncoder {
    pub(super) fn new(level: i32) -> io::Result<Self> {
        let context = CCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            level,
            context,
            remaining_bytes: 0,
            at_start: true,
        })
    }

    pub(super) fn level(&self) -> i32 {
        self.level
    }

    /// Starts a frame of `plain_bytes` bytes; an unfinished one is dropped.
    pub(super) fn begin(&mut self, plain_bytes: u64) -> io::Result<()> {
        let window_log = Compression::zstd_window_log(self.level, plain_bytes);
        let context = &mut self.context;
        context
            .reset(ResetDirective::SessionAndParameters)
            .map_err(zstd_error)?;
        for parameter in [
            CParameter::CompressionLevel(self.level),
            CParameter::WindowLog(window_log),
            CParameter::ChecksumFlag(false),
            CParameter::DictIdFlag(false),
        ] {
            context.set_parameter(parameter).map_err(zstd_error)?;
        }
        context
            .set_pledged_src_size(Some(plain_bytes))
            .map_err(zstd_error)?;
        self.remaining_bytes = plain_bytes;
        self.at_start = true;
        Ok(())
    }

    /// Appends the frame's next part to `out`: header and last-block mark as zstd writes them.
    fn compress(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.remaining_bytes = self
            .remaining_bytes
            .checked_sub(chunk.len() as u64)
            .ok_or_else(|| invalid("more bytes than the body was said to have"))?;
        let directive = if self.remaining_bytes == 0 {
            ZSTD_EndDirective::ZSTD_e_end
        } else {
            ZSTD_EndDirective::ZSTD_e_flush
        };
        let mut input = InBuffer::around(chunk);
        // With room for the worst case zstd compresses a whole frame straight into it and may cut
        // blocks elsewhere than when it has not: so there is always room.
        out.reserve(compress_bound(chunk.len()) + FRAME_HEADER_MAX_BYTES);
        loop {
            let pos = out.len();
            let mut output = OutBuffer::around_pos(out, pos);
            let left = self
                .context
                .compress_stream2(&mut output, &mut input, directive)
                .map_err(zstd_error)?;
            if left == 0 && input.pos() == chunk.len() {
                return Ok(());
            }
            out.reserve(ZSTD_BLOCK_MAX_BYTES);
        }
    }

    /// Appends the chunk's blocks to `out`, without frame header and without a last block.
    pub(super) fn blocks(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let start = out.len();
        self.compress(chunk, out)?;
        if std::mem::take(&mut self.at_start) {
            let header_bytes = frame_header_bytes(&out[start..])
                .ok_or_else(|| invalid("zstd wrote a frame header that is none"))?;
            out.drain(start..start + header_bytes);
        }
        clear_last_block(&mut out[start..])
            .ok_or_else(|| invalid("zstd wrote blocks that can't be walked"))
    }

    /// Appends `plain` to `out` as a frame of its own.
    pub(super) fn frame(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.begin(plain.len() as u64)?;
        self.compress(plain, out)
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn zstd_error(code: usize) -> io::Error {
    io::Error::other(get_error_name(code))
}

/// Length of the frame header at the start of `frame` (RFC 8878 3.1.1.1).
fn frame_header_bytes(frame: &[u8]) -> Option<usize> {
    if frame.get(..4)? != ZSTD_MAGIC {
        return None;
    }
    let descriptor = *frame.get(4)?;
    let single_segment = descriptor & 0x20 != 0;
    let content_size_bytes = match descriptor >> 6 {
        0 => usize::from(single_segment),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    let dictionary_id_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let bytes = 5 + usize::from(!single_segment) + dictionary_id_bytes + content_size_bytes;
    (frame.len() >= bytes).then_some(bytes)
}

/// Walks whole blocks and clears the last-block bit; `None` if they are not whole blocks.
fn clear_last_block(blocks: &mut [u8]) -> Option<()> {
    let mut at = 0;
    while at < blocks.len() {
        let header = blocks.get_mut(at..at + ZSTD_BLOCK_HEADER_BYTES)?;
        let word = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        header[0] &= !1;
        let content_bytes = match (word >> 1) & 3 {
            ZSTD_BLOCK_RAW | ZSTD_BLOCK_COMPRESSED => usize::try_from(word >> 3).ok()?,
            ZSTD_BLOCK_RLE => 1,
            _ => return None,
        };
        at += ZSTD_BLOCK_HEADER_BYTES + content_bytes;
    }
    (at == blocks.len()).then_some(())
}

/// A frame header that announces a window and neither length, checksum nor dictionary.
pub(super) fn frame_header(window_log: u32) -> [u8; 6] {
    let [a, b, c, d] = ZSTD_MAGIC;
    // Window_Descriptor: exponent over 1 KiB in the upper five bits, mantissa 0.
    let exponent = u8::try_from(window_log.saturating_sub(10)).unwrap_or(0);
    [a, b, c, d, 0, exponent << 3]
}

/// Appends `plain` as raw blocks; the last of them ends the frame if `last`.
pub(super) fn raw_blocks(plain: &[u8], last: bool, out: &mut Vec<u8>) {
    let mut pieces = plain.chunks(ZSTD_BLOCK_MAX_BYTES).peekable();
    if last && pieces.peek().is_none() {
        out.extend_from_slice(&raw_block_header(0, true));
    }
    while let Some(piece) = pieces.next() {
        out.extend_from_slice(&raw_block_header(
            piece.len(),
            last && pieces.peek().is_none(),
        ));
        out.extend_from_slice(piece);
    }
}

fn raw_block_header(content_bytes: usize, last: bool) -> [u8; ZSTD_BLOCK_HEADER_BYTES] {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "blocks have at most 128 KiB"
    )]
    let word = (content_bytes as u32) << 3 | ZSTD_BLOCK_RAW << 1 | u32::from(last);
    let [a, b, c, _] = word.to_le_bytes();
    [a, b, c]
}
