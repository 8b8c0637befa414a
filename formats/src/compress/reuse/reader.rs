//! Inflating a gzip file and remembering its blocks.

use std::io::{self, BufRead, Read};

use super::super::deflate::alphabet::STORED;
use super::super::deflate::bits::peek;
use super::MAX_BLOCK_BYTES;
use super::inflate::Inflate;
use super::log::BlockLog;

const GZIP_MAGIC: u8 = 0x1f;
const OUTPUT_BYTES: usize = 64 << 10;

/// A deflate block as it stands in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Where its plain bytes start, in all that the file inflates to.
    pub(super) start: u64,
    /// How many they are.
    pub(super) plain_bytes: u64,
    /// The bytes that hold its bits.
    pub(super) bytes: Vec<u8>,
    /// The first of its bits in the first of them; the lowest bit is 0.
    pub(super) first_bit: u8,
    /// How many bits it has, header and end-of-block code included.
    pub(super) bits: u64,
}

impl Block {
    /// Where its plain bytes end.
    pub(super) fn end(&self) -> u64 {
        self.start + self.plain_bytes
    }

    /// `BTYPE` (RFC 1951 3.2.3).
    pub(super) fn kind(&self) -> u64 {
        peek(&self.bytes, u64::from(self.first_bit)) >> 1 & 3
    }

    pub(super) fn is_stored(&self) -> bool {
        self.kind() == STORED
    }
}

/// Reads what a gzip file inflates to, member after member; what follows the last member and is
/// none is read over, as gzip does. A block is given out once all of it is known.
pub struct GzipBlocks<B> {
    input: B,
    inflate: Inflate,
    log: BlockLog,
    /// Room for plain bytes, which is not cleared between blocks: `position..filled` are to be given out.
    plain: Vec<u8>,
    filled: usize,
    position: usize,
    /// Plain offset of the end of what is filled.
    inflated: u64,
    /// The block that is being read; none before a member's first.
    block: Option<OpenBlock>,
    ended: bool,
}

struct OpenBlock {
    start: u64,
    first_bit: u8,
    bytes: Vec<u8>,
    /// It has become too large to be remembered.
    oversized: bool,
}

impl<B: BufRead> GzipBlocks<B> {
    /// Starts at the first member of `input`. The log tells of what was read.
    pub fn new(input: B) -> io::Result<(Self, BlockLog)> {
        let log = BlockLog::default();
        let reader = GzipBlocks {
            input,
            inflate: Inflate::new()?,
            log: log.clone(),
            plain: Vec::new(),
            filled: 0,
            position: 0,
            inflated: 0,
            block: None,
            ended: false,
        };
        Ok((reader, log))
    }

    /// Inflates up to the end of a block, or as much as may be held of an oversized one.
    fn fill(&mut self) -> io::Result<()> {
        self.filled = 0;
        self.position = 0;
        while !self.ended {
            let input = self.input.fill_buf()?;
            if input.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if self.plain.len() < self.filled + OUTPUT_BYTES {
                self.plain.resize(self.filled + OUTPUT_BYTES, 0);
            }
            let room = &mut self.plain[self.filled..][..OUTPUT_BYTES];
            let step = self.inflate.step(input, room)?;
            self.filled += step.produced;
            self.inflated += step.produced as u64;
            let taken = &input[..step.consumed];
            if let Some(block) = &mut self.block {
                block.take(taken, self.inflated);
            }
            let last = taken.last().copied();
            self.input.consume(step.consumed);
            if step.ended {
                self.end_member()?;
            } else if let Some(unused_bits) = step.boundary {
                self.end_block(last, unused_bits);
            } else if step.consumed == 0 && step.produced == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "gzip data makes no progress",
                ));
            }
            let held_back = self.block.as_ref().is_some_and(|block| !block.oversized);
            if self.filled > 0 && (step.boundary.is_some() || !held_back) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A block is complete (or a member's header); the next one starts in the same byte, if that
    /// has bits left.
    fn end_block(&mut self, last: Option<u8>, unused_bits: u8) {
        let shared = match unused_bits {
            0 => None,
            // Nothing was taken: the byte is the one that the block before ended with.
            _ => last.or_else(|| self.block.as_ref().and_then(|b| b.bytes.last().copied())),
        };
        if let Some(block) = self.block.take() {
            let bits = (block.bytes.len() as u64 * 8)
                .saturating_sub(u64::from(unused_bits) + u64::from(block.first_bit));
            if !block.oversized {
                self.log.remember(Block {
                    start: block.start,
                    plain_bytes: self.inflated - block.start,
                    bytes: block.bytes,
                    first_bit: block.first_bit,
                    bits,
                });
            }
        }
        self.block = Some(OpenBlock {
            start: self.inflated,
            first_bit: (8 - unused_bits) % 8,
            bytes: shared.into_iter().collect(),
            oversized: false,
        });
    }

    fn end_member(&mut self) -> io::Result<()> {
        self.block = None;
        if self.input.fill_buf()?.first() == Some(&GZIP_MAGIC) {
            return self.inflate.reset();
        }
        io::copy(&mut self.input, &mut io::sink())?;
        self.ended = true;
        Ok(())
    }
}

impl OpenBlock {
    fn take(&mut self, bytes: &[u8], inflated: u64) {
        let large = inflated - self.start > MAX_BLOCK_BYTES as u64
            || self.bytes.len() + bytes.len() > MAX_BLOCK_BYTES;
        if large && !self.oversized {
            self.oversized = true;
            // What follows starts in the last byte at most.
            self.bytes = self.bytes.last().copied().into_iter().collect();
        }
        if self.oversized {
            if let Some(&last) = bytes.last() {
                self.bytes = vec![last];
            }
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

impl<B: BufRead> Read for GzipBlocks<B> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        while self.position == self.filled && !self.ended {
            self.fill()?;
        }
        let n = buf.len().min(self.filled - self.position);
        buf[..n].copy_from_slice(&self.plain[self.position..self.position + n]);
        self.position += n;
        self.log.serve(n as u64);
        Ok(n)
    }
}
