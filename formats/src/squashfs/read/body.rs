//! Files' bytes: blocks, holes, and ends in fragments.

use std::fmt;
use std::io::{self, Read};

use crate::bounded::read_vec;
use crate::payload::Payload;

use super::super::format::DATA_STORED;
use super::metadata::Cursor;
use super::{EntryKind, ReadError, SquashfsEntry, SquashfsReader, damaged};

/// Where a file's bytes are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BodyPlace {
    /// Where its blocks start; each follows the one before.
    pub(super) start: u64,
    /// In which fragment the end is, and where in it.
    pub(super) fragment: Option<(u32, u32)>,
    /// Where the lengths of its blocks stand.
    pub(super) sizes: Cursor,
}

/// A file's bytes from the first to the last; one block is held in memory.
///
/// What is damaged is an error of kind [`io::ErrorKind::InvalidData`] with a [`ReadError`] in it.
pub struct Body<'a, P> {
    reader: &'a SquashfsReader<P>,
    place: BodyPlace,
    left_bytes: u64,
    block: Vec<u8>,
    /// What of the block was given.
    done: usize,
}

impl<P> fmt::Debug for Body<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("left_bytes", &self.left_bytes)
            .finish_non_exhaustive()
    }
}

impl<P: Payload> SquashfsReader<P> {
    /// The bytes of a file of this file system; none of anything else.
    pub fn body(&self, entry: &SquashfsEntry) -> Body<'_, P> {
        Body {
            reader: self,
            place: entry.body.clone(),
            left_bytes: match entry.kind {
                EntryKind::File { len_bytes } => len_bytes,
                _ => 0,
            },
            block: Vec::new(),
            done: 0,
        }
    }

    /// The plain bytes of a block of data, at most `most`.
    fn block(&self, start: u64, size: u32, most: usize) -> Result<Vec<u8>, ReadError> {
        let bytes = size & !DATA_STORED;
        let is_stored = size & DATA_STORED != 0;
        if bytes > self.summary.block_bytes || (is_stored && bytes as usize > most) {
            return Err(damaged(start, "a block of data is longer than a block"));
        }
        let stored = read_vec(&self.file, start, u64::from(bytes), "a block of data")?;
        if is_stored {
            return Ok(stored);
        }
        let what = "a block of data can't be decompressed, or is longer than it should be";
        let plain = self.compressor.decompress(&stored, most);
        plain.ok_or_else(|| damaged(start, what))
    }
}

impl<P: Payload> Body<'_, P> {
    /// Reads the next block.
    fn advance(&mut self) -> Result<(), ReadError> {
        let reader = self.reader;
        let block_bytes = reader.summary.block_bytes;
        let left = self.left_bytes.min(u64::from(block_bytes));
        let expected = usize::try_from(left).unwrap_or(usize::MAX);
        self.done = 0;
        self.block.clear();
        if let (true, Some((number, offset))) = (
            self.left_bytes < u64::from(block_bytes),
            self.place.fragment,
        ) {
            let (start, size) = reader.fragment(number)?;
            let plain = reader.block(start, size, block_bytes as usize)?;
            let end = (offset as usize).checked_add(expected);
            let part = end.and_then(|end| plain.get(offset as usize..end));
            let part = part.ok_or_else(|| damaged(start, "a file does not lie in its fragment"))?;
            self.block = part.to_vec();
        } else {
            let mut size = [0; 4];
            let what = "the length of a block";
            reader.next_bytes(&mut self.place.sizes, &mut size, what)?;
            let (start, size) = (self.place.start, u32::from_le_bytes(size));
            self.block = match size {
                0 => vec![0; expected],
                _ => reader.block(start, size, expected)?,
            };
            if self.block.len() != expected {
                let what = "a block of data is shorter than it should be";
                return Err(damaged(start, what));
            }
            self.place.start = start.saturating_add(u64::from(size & !DATA_STORED));
        }
        self.left_bytes -= expected as u64;
        Ok(())
    }
}

impl<P: Payload> Read for Body<'_, P> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.done == self.block.len() && self.left_bytes > 0 {
            self.advance()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        let now = out.len().min(self.block.len() - self.done);
        out[..now].copy_from_slice(&self.block[self.done..self.done + now]);
        self.done += now;
        Ok(now)
    }
}
