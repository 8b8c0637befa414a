//! Metadata blocks: found by place, decompressed, the last ones kept.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use flate2::{Decompress, FlushDecompress, Status};

use crate::bounded::{read, read_vec};
use crate::payload::Payload;

use super::super::format::{METADATA_BYTES, METADATA_STORED};
use super::{ReadError, ReadErrorKind, SquashfsReader, damaged, error};

/// What blocks are compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compressor {
    Zlib,
    Zstd,
}

impl Compressor {
    /// The plain bytes of a block, at most `most`; `None` if it is damaged or has more.
    pub(super) fn decompress(self, stored: &[u8], most: usize) -> Option<Vec<u8>> {
        let mut plain = vec![0; most];
        let bytes = match self {
            Self::Zlib => {
                let mut state = Decompress::new(true);
                let status = state.decompress(stored, &mut plain, FlushDecompress::Finish);
                (status.ok()? == Status::StreamEnd)
                    .then(|| usize::try_from(state.total_out()).ok())??
            }
            // Into memory of a given length, so no window is allocated.
            Self::Zstd => zstd::bulk::decompress_to_buffer(stored, &mut plain).ok()?,
        };
        plain.truncate(bytes);
        Some(plain)
    }
}

/// A block of metadata.
#[derive(Debug)]
pub(super) struct Block {
    start: u64,
    plain: Vec<u8>,
    /// Where the next one starts.
    next: u64,
}

/// Blocks that were read last, each at the place that its start gives it.
#[derive(Debug, Default)]
pub(super) struct Cache {
    slots: Vec<Option<Arc<Block>>>,
}

const CACHE_BLOCKS: usize = 64;

impl Cache {
    fn slot(&mut self, start: u64) -> &mut Option<Arc<Block>> {
        // Fibonacci hashing: starts have no pattern that a remainder would keep apart.
        let hash = start.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        self.slots.resize(CACHE_BLOCKS, None);
        &mut self.slots[usize::try_from(hash).unwrap_or(0) % CACHE_BLOCKS]
    }
}

/// Where something is read in metadata: in which block, and from which of its plain bytes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    block: u64,
    offset: usize,
    /// Where the table of the block starts and ends.
    table: Range<u64>,
}

impl Cursor {
    /// From a reference: the start of a block from that of `table` on, and a place within it.
    pub(super) fn new(table: &Range<u64>, block: u64, offset: u16) -> Self {
        Self {
            block: table.start.saturating_add(block),
            offset: usize::from(offset),
            table: table.clone(),
        }
    }

    /// From a reference of both in one number.
    pub(super) fn from_reference(table: &Range<u64>, reference: u64) -> Self {
        let [low, high, ..] = reference.to_le_bytes();
        Self::new(table, reference >> 16, u16::from_le_bytes([low, high]))
    }

    /// Where in the file the block is.
    pub(super) fn block(&self) -> u64 {
        self.block
    }
}

impl<P: Payload> SquashfsReader<P> {
    /// Fills `out` with the next bytes of metadata, which are `what`.
    pub(super) fn next_bytes(
        &self,
        cursor: &mut Cursor,
        mut out: &mut [u8],
        what: &'static str,
    ) -> Result<(), ReadError> {
        while !out.is_empty() {
            if !cursor.table.contains(&cursor.block) {
                return Err(outside(cursor.block, what));
            }
            let block = self.metadata(cursor.block, cursor.table.end, what)?;
            let left = block.plain.get(cursor.offset..).unwrap_or(&[]);
            if left.is_empty() && cursor.offset != block.plain.len() {
                return Err(outside(cursor.block, what));
            }
            let (now, later) = out.split_at_mut(out.len().min(left.len()));
            now.copy_from_slice(&left[..now.len()]);
            cursor.offset += now.len();
            out = later;
            if cursor.offset == block.plain.len() {
                cursor.block = block.next;
                cursor.offset = 0;
            }
        }
        Ok(())
    }

    fn metadata(
        &self,
        start: u64,
        table_end: u64,
        what: &'static str,
    ) -> Result<Arc<Block>, ReadError> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = cache.slot(start);
        if let Some(block) = slot.as_ref().filter(|block| block.start == start) {
            return Ok(block.clone());
        }
        let mut header = [0; 2];
        read(&self.file, start, &mut header, what)?;
        let header = u16::from_le_bytes(header);
        let bytes = usize::from(header & !METADATA_STORED);
        if bytes == 0 || bytes > METADATA_BYTES {
            return Err(damaged(start, "a metadata block is empty or too long"));
        }
        let next = start + 2 + bytes as u64;
        if next > table_end {
            return Err(outside(start, what));
        }
        let mut plain = read_vec(&self.file, start + 2, bytes as u64, what)?;
        if header & METADATA_STORED == 0 {
            let found = self.compressor.decompress(&plain, METADATA_BYTES);
            let what = "a metadata block can't be decompressed";
            plain = found.ok_or_else(|| damaged(start, what))?;
        }
        if plain.is_empty() {
            return Err(damaged(start, "a metadata block is empty or too long"));
        }
        let block = Arc::new(Block { start, plain, next });
        *slot = Some(block.clone());
        Ok(block)
    }
}

fn outside(offset: u64, what: &'static str) -> ReadError {
    error(offset, ReadErrorKind::Outside { what })
}
