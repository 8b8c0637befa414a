//! Bodies to segments.

use std::fmt;
use std::io;

use super::compression::Compression;
use super::deflate::Deflater;
use super::format::{INLINE_BODY_BYTES, SEGMENT_BYTES, WINDOW_BYTES};
use super::zstd_frame::ZstdEncoder;

/// What a stream must know of a body besides its segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyInfo {
    /// Length of the plain body.
    pub bytes: u64,
    /// CRC-32 (RFC 1952 8) of the plain body.
    pub crc32: u32,
}

impl BodyInfo {
    /// Of a body in memory.
    pub fn of(body: &[u8]) -> Self {
        Self {
            bytes: body.len() as u64,
            crc32: crc32fast::hash(body),
        }
    }

    /// Into how many segments a body of this length is cut; 0 for an empty one.
    pub fn segments(&self) -> u64 {
        self.bytes.div_ceil(SEGMENT_BYTES as u64)
    }

    /// The body made of this one and `next` after it: segments are hashed in parallel.
    #[must_use]
    pub fn join(self, next: Self) -> Self {
        let mut hasher = crc32fast::Hasher::new_with_initial_len(self.crc32, self.bytes);
        hasher.combine(&crc32fast::Hasher::new_with_initial_len(
            next.crc32, next.bytes,
        ));
        Self {
            bytes: self.bytes + next.bytes,
            crc32: hasher.finalize(),
        }
    }
}

/// Encoder states to use again; one per thread. What it was used for before never shows in the
/// output.
#[derive(Default)]
pub struct Scratch {
    pub(super) deflater: Deflater,
    zstd: Option<ZstdEncoder>,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

impl Scratch {
    /// Without any state yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn zstd(&mut self, level: i32) -> io::Result<&mut ZstdEncoder> {
        let kept = match self.zstd.take() {
            Some(kept) if kept.level() == level => kept,
            _ => ZstdEncoder::new(level)?,
        };
        Ok(self.zstd.insert(kept))
    }
}

/// Appends one segment of a body to `out`; a pure function of its input.
///
/// Serves bodies whose [`segments_are_independent`](Compression::segments_are_independent):
/// `chunk` is the body's n-th piece of [`SEGMENT_BYTES`] and `previous_window` the last
/// [`WINDOW_BYTES`] of the body before it (empty for the first; ignored where the compression
/// has no use for it). `body_bytes` is the length of the whole body.
///
/// # Errors
/// If `chunk` is not a piece of such a body, or zstd finds no memory.
pub fn compress_segment(
    scratch: &mut Scratch,
    compression: Compression,
    body_bytes: u64,
    previous_window: &[u8],
    chunk: &[u8],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    if chunk.len() > SEGMENT_BYTES || chunk.len() as u64 > body_bytes {
        return Err(invalid("a chunk longer than a segment or than its body"));
    }
    if body_bytes <= INLINE_BODY_BYTES as u64 {
        out.extend_from_slice(chunk);
        return Ok(());
    }
    match compression {
        Compression::None => out.extend_from_slice(chunk),
        Compression::Gzip { level } => {
            let window = &previous_window[previous_window.len().saturating_sub(WINDOW_BYTES)..];
            scratch.deflater.run(level, window, chunk, out)?;
        }
        Compression::Zstd { level } => {
            if chunk.len() as u64 != body_bytes {
                return Err(invalid("part of a zstd body outside of its encoder"));
            }
            let encoder = scratch.zstd(level)?;
            encoder.begin(body_bytes)?;
            encoder.blocks(chunk, out)?;
        }
    }
    Ok(())
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// Encodes one body chunk after chunk, with any compression; what [`compress_segment`] makes in
/// parallel has the same bytes.
pub struct BodyEncoder {
    compression: Compression,
    body_bytes: u64,
    done: BodyInfo,
    window: Vec<u8>,
    scratch: Scratch,
}

impl fmt::Debug for BodyEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyEncoder")
            .field("compression", &self.compression)
            .field("body_bytes", &self.body_bytes)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

impl BodyEncoder {
    /// For a body of `body_bytes` bytes.
    pub fn new(compression: Compression, body_bytes: u64) -> Self {
        Self::with_scratch(compression, body_bytes, Scratch::new())
    }

    /// The same, with states from an earlier body: see [`into_scratch`](Self::into_scratch).
    pub fn with_scratch(compression: Compression, body_bytes: u64, scratch: Scratch) -> Self {
        Self {
            compression,
            body_bytes,
            done: BodyInfo { bytes: 0, crc32: 0 },
            window: Vec::new(),
            scratch,
        }
    }

    /// Appends the segment of the next chunk to `out`. Every chunk but the body's last has
    /// exactly [`SEGMENT_BYTES`].
    ///
    /// # Errors
    /// If the chunk has another length, or zstd finds no memory.
    pub fn segment(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let expected = (self.body_bytes - self.done.bytes).min(SEGMENT_BYTES as u64);
        if chunk.len() as u64 != expected {
            return Err(invalid("a chunk that is not the next of its body"));
        }
        match self.compression {
            Compression::Zstd { level }
                if !self.compression.segments_are_independent(self.body_bytes) =>
            {
                let encoder = self.scratch.zstd(level)?;
                if self.done.bytes == 0 {
                    encoder.begin(self.body_bytes)?;
                }
                encoder.blocks(chunk, out)?;
            }
            _ => {
                compress_segment(
                    &mut self.scratch,
                    self.compression,
                    self.body_bytes,
                    &self.window,
                    chunk,
                    out,
                )?;
                self.window.clear();
                self.window
                    .extend_from_slice(&chunk[chunk.len().saturating_sub(WINDOW_BYTES)..]);
            }
        }
        self.done = self.done.join(BodyInfo::of(chunk));
        Ok(())
    }

    /// Length and CRC-32 of the chunks so far.
    pub fn info(&self) -> BodyInfo {
        self.done
    }

    /// Gives the states back for the next body.
    pub fn into_scratch(self) -> Scratch {
        self.scratch
    }
}

/// Encodes a body in memory: its checksum and its segments.
///
/// # Errors
/// If zstd finds no memory.
pub fn encode_body(compression: Compression, body: &[u8]) -> io::Result<(BodyInfo, Vec<Vec<u8>>)> {
    let mut encoder = BodyEncoder::new(compression, body.len() as u64);
    let segments = body
        .chunks(SEGMENT_BYTES)
        .map(|chunk| {
            let mut out = Vec::new();
            encoder.segment(chunk, &mut out).map(|()| out)
        })
        .collect::<io::Result<_>>()?;
    Ok((encoder.info(), segments))
}
