//! Segments back to the body.

use std::fmt;
use std::io;

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::compression::Compression;
use super::encode::BodyInfo;
use super::format::{DEFLATE_FINAL_BLOCK, INLINE_BODY_BYTES, SEGMENT_BYTES, ZSTD_WINDOW_LOG_MAX};
use super::zstd_frame::{frame_header, raw_blocks};

/// Why segments are not those of the body they are said to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The compressed bytes follow no rule of their format.
    #[error("segment {segment} of the body is damaged: its {format} blocks can't be read")]
    Damaged {
        /// Index of the segment in its body.
        segment: u64,
        /// `gzip` or `zstd`.
        format: &'static str,
        /// What the decoder said.
        source: io::Error,
    },
    /// A segment yields more or fewer bytes than its place in the body says.
    #[error("segment {segment} of the body does not hold {expected_bytes} bytes")]
    Length {
        /// Index of the segment in its body.
        segment: u64,
        /// What it must hold.
        expected_bytes: u64,
    },
    /// More or fewer segments than the body has.
    #[error("the body ends after {got_bytes} of {expected_bytes} bytes")]
    Incomplete {
        /// Bytes decoded.
        got_bytes: u64,
        /// The body's length.
        expected_bytes: u64,
    },
    /// The bytes are not the body's.
    #[error("the body's CRC-32 is {got:08x} instead of {expected:08x}")]
    Checksum {
        /// Computed.
        got: u32,
        /// Announced.
        expected: u32,
    },
    /// The decoder could not be set up.
    #[error("no memory for a decoder")]
    Setup(#[source] io::Error),
}

/// Decodes the segments of one body, in order. Takes no more memory than a segment and the
/// compression's window, whatever the input claims.
pub struct BodyDecoder {
    body: BodyInfo,
    done: BodyInfo,
    segment: u64,
    state: State,
}

enum State {
    Plain,
    Deflate(Box<Decompress>),
    Zstd(Box<Decoder<'static>>),
}

impl fmt::Debug for BodyDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyDecoder")
            .field("body", &self.body)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

impl BodyDecoder {
    /// For a body encoded with `compression`.
    ///
    /// # Errors
    /// If zstd finds no memory.
    pub fn new(compression: Compression, body: BodyInfo) -> Result<Self, DecodeError> {
        let state = match compression {
            _ if body.bytes <= INLINE_BODY_BYTES as u64 => State::Plain,
            Compression::None => State::Plain,
            Compression::Gzip { .. } => State::Deflate(Box::new(Decompress::new(false))),
            Compression::Zstd { level } => {
                let window_log = Compression::zstd_window_log(level, body.bytes);
                State::Zstd(Box::new(
                    zstd_decoder(window_log).map_err(DecodeError::Setup)?,
                ))
            }
        };
        Ok(Self {
            body,
            done: BodyInfo { bytes: 0, crc32: 0 },
            segment: 0,
            state,
        })
    }

    /// Appends the plain bytes of the next segment to `out`: [`SEGMENT_BYTES`], or what is left
    /// of the body.
    ///
    /// # Errors
    /// As [`segment_of`](Self::segment_of).
    pub fn segment(&mut self, segment: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let left = self.body.bytes - self.done.bytes;
        let expected = usize::try_from(left).map_or(SEGMENT_BYTES, |left| left.min(SEGMENT_BYTES));
        self.segment_of(segment, expected, out)
    }

    /// Appends the plain bytes of the next segment to `out`, of which there are `plain_bytes`.
    ///
    /// # Errors
    /// If the segment is damaged or yields another number of bytes, or if the body or a segment
    /// can't have that many. `out` then holds bytes that are not to be used.
    pub fn segment_of(
        &mut self,
        segment: &[u8],
        plain_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        let start = out.len();
        let expected = plain_bytes;
        let expected_bytes = plain_bytes as u64;
        let length_error = DecodeError::Length {
            segment: self.segment,
            expected_bytes,
        };
        let left = self.body.bytes - self.done.bytes;
        if expected == 0 || expected > SEGMENT_BYTES || expected_bytes > left {
            return Err(length_error);
        }
        let (format, result) = match &mut self.state {
            State::Plain => {
                let fits = segment.len() == expected;
                out.extend_from_slice(if fits { segment } else { &[] });
                ("plain", Ok(fits))
            }
            State::Deflate(state) => ("gzip", inflate(state, segment, expected, out)),
            State::Zstd(state) => ("zstd", unzstd(state, segment, expected, out)),
        };
        let whole = result.map_err(|source| DecodeError::Damaged {
            segment: self.segment,
            format,
            source,
        })?;
        if !whole {
            return Err(length_error);
        }
        self.done = self.done.join(BodyInfo::of(&out[start..]));
        self.segment += 1;
        Ok(())
    }

    /// Says whether all the body was decoded and has its checksum.
    ///
    /// # Errors
    /// If it was not.
    pub fn finish(mut self) -> Result<(), DecodeError> {
        if self.done.bytes != self.body.bytes {
            return Err(DecodeError::Incomplete {
                got_bytes: self.done.bytes,
                expected_bytes: self.body.bytes,
            });
        }
        let (format, ended) = match &mut self.state {
            State::Plain => ("plain", true),
            State::Deflate(state) => ("gzip", deflate_ends(state)),
            State::Zstd(state) => ("zstd", zstd_ends(state)),
        };
        if !ended {
            return Err(DecodeError::Damaged {
                segment: self.segment.saturating_sub(1),
                format,
                source: io::ErrorKind::UnexpectedEof.into(),
            });
        }
        if self.done.crc32 != self.body.crc32 {
            return Err(DecodeError::Checksum {
                got: self.done.crc32,
                expected: self.body.crc32,
            });
        }
        Ok(())
    }
}

/// A decoder that has read a frame header which announces this window.
fn zstd_decoder(window_log: u32) -> io::Result<Decoder<'static>> {
    let mut decoder = Decoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
    let header = frame_header(window_log);
    decoder.run_on_buffers(&header, &mut [])?;
    Ok(decoder)
}

/// Whether the blocks so far are whole: then a final one ends the stream.
fn deflate_ends(state: &mut Decompress) -> bool {
    let end = state.decompress(&DEFLATE_FINAL_BLOCK, &mut [0], FlushDecompress::Finish);
    matches!(end, Ok(Status::StreamEnd))
}

/// Whether the blocks so far are whole: then a last one ends the frame.
fn zstd_ends(state: &mut Decoder<'static>) -> bool {
    let mut last_block = Vec::new();
    raw_blocks(&[], true, &mut last_block);
    let end = state.run_on_buffers(&last_block, &mut [0]);
    end.is_ok_and(|status| status.remaining == 0)
}

/// Appends what `segment` inflates to; whether that are `expected` bytes, neither more nor less.
fn inflate(
    state: &mut Decompress,
    segment: &[u8],
    expected: usize,
    out: &mut Vec<u8>,
) -> io::Result<bool> {
    let limit = out.len() + expected;
    // One byte more than allowed shows that there is more; it is never kept.
    out.reserve(expected + 1);
    let mut consumed = 0;
    loop {
        let (in_before, out_before) = (state.total_in(), out.len());
        let status = state
            .decompress_vec(&segment[consumed..], out, FlushDecompress::Sync)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let step = usize::try_from(state.total_in() - in_before).map_err(io::Error::other)?;
        consumed += step;
        if out.len() > limit || status == Status::StreamEnd {
            return Ok(false);
        }
        if consumed == segment.len() || (step == 0 && out.len() == out_before) {
            break;
        }
    }
    Ok(out.len() == limit && consumed == segment.len())
}

/// Appends what the blocks of `segment` hold; whether that are `expected` bytes.
fn unzstd(
    state: &mut Decoder<'static>,
    segment: &[u8],
    expected: usize,
    out: &mut Vec<u8>,
) -> io::Result<bool> {
    let start = out.len();
    out.resize(start + expected + 1, 0);
    let mut input = InBuffer::around(segment);
    let mut output = OutBuffer::around(&mut out[start..]);
    let mut ended = false;
    loop {
        let (in_before, out_before) = (input.pos(), output.pos());
        ended |= state.run(&mut input, &mut output)? == 0;
        if ended || (input.pos() == in_before && output.pos() == out_before) {
            break;
        }
    }
    let (consumed, produced) = (input.pos(), output.pos());
    out.truncate(start + produced.min(expected));
    Ok(!ended && consumed == segment.len() && produced == expected)
}

/// Decodes a body in memory and verifies it.
///
/// # Errors
/// If the segments are not those of `body`.
pub fn decode_body<S: AsRef<[u8]>>(
    compression: Compression,
    body: BodyInfo,
    segments: impl IntoIterator<Item = S>,
) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = BodyDecoder::new(compression, body)?;
    let mut out = Vec::new();
    for segment in segments {
        decoder.segment(segment.as_ref(), &mut out)?;
    }
    decoder.finish()?;
    Ok(out)
}
