//! Sparse files: old GNU headers and the three PAX flavours (GNU tar manual, "Storing Sparse
//! Files").

use std::io::{self, Read};

use super::error::LayerErrorKind;
use super::pax::decimal;

/// Where a sparse file has data; holes between the ranges read as zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseMap {
    ranges: Vec<(u64, u64)>,
    size_bytes: u64,
}

impl SparseMap {
    /// Checks that `ranges` (offset, length) ascend, do not overlap and end by `size_bytes`.
    pub fn new(ranges: Vec<(u64, u64)>, size_bytes: u64) -> Result<Self, LayerErrorKind> {
        let mut end = 0u64;
        for &(offset, length) in &ranges {
            if offset < end {
                return Err(LayerErrorKind::Sparse(
                    "its ranges overlap or are out of order",
                ));
            }
            end = offset
                .checked_add(length)
                .ok_or(LayerErrorKind::Sparse("a range ends beyond 64 bits"))?;
        }
        if end > size_bytes {
            return Err(LayerErrorKind::Sparse("a range ends after the file"));
        }
        Ok(SparseMap { ranges, size_bytes })
    }

    /// Length of the file with its holes, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Bytes that the archive holds of it.
    pub fn stored_bytes(&self) -> u64 {
        self.ranges.iter().map(|&(_, length)| length).sum()
    }
}

/// Parses `GNU.sparse.map` (PAX 0.1): `offset,length,offset,length…`.
pub fn parse_map_0_1(text: &[u8], limit: usize) -> Result<Vec<(u64, u64)>, LayerErrorKind> {
    const BAD: LayerErrorKind = LayerErrorKind::Sparse("GNU.sparse.map is not a list of pairs");
    let mut ranges = Vec::new();
    if text.is_empty() {
        return Ok(ranges);
    }
    let mut numbers = text.split(|&b| b == b',');
    while let Some(offset) = numbers.next() {
        let length = numbers.next().ok_or(BAD)?;
        push_bounded(
            &mut ranges,
            (decimal(offset).ok_or(BAD)?, decimal(length).ok_or(BAD)?),
            limit,
        )?;
    }
    Ok(ranges)
}

/// Adds a range unless there are too many.
pub fn push_bounded(
    ranges: &mut Vec<(u64, u64)>,
    range: (u64, u64),
    limit: usize,
) -> Result<(), LayerErrorKind> {
    if ranges.len() >= limit {
        return Err(LayerErrorKind::Limit {
            what: "data ranges in one sparse file",
            limit: limit as u64,
            flag: "max-sparse-ranges",
        });
    }
    ranges.push(range);
    Ok(())
}

/// Reads the map that stands before the data of a PAX 1.0 sparse file: decimal numbers, one a
/// line, padded to a block of 512 bytes. Returns the ranges and how many bytes were read.
pub fn read_map_1_0(
    body: &mut dyn Read,
    limit: usize,
) -> Result<(Vec<(u64, u64)>, u64), LayerErrorKind> {
    const BAD: LayerErrorKind = LayerErrorKind::Sparse("the map before its data is malformed");
    let mut block = [0u8; 512];
    let mut at = block.len();
    let mut read_bytes = 0u64;
    let mut number = || -> Result<u64, LayerErrorKind> {
        let mut digits = Vec::with_capacity(20);
        loop {
            if at == block.len() {
                body.read_exact(&mut block)
                    .map_err(|_| LayerErrorKind::Truncated)?;
                read_bytes += block.len() as u64;
                at = 0;
            }
            let byte = block[at];
            at += 1;
            match byte {
                b'\n' => return decimal(&digits).ok_or(BAD),
                _ if digits.len() == 20 => return Err(BAD),
                _ => digits.push(byte),
            }
        }
    };
    let count = number()?;
    let mut ranges = Vec::new();
    for _ in 0..count {
        let offset = number()?;
        let length = number()?;
        push_bounded(&mut ranges, (offset, length), limit)?;
    }
    Ok((ranges, read_bytes))
}

/// Reads a sparse file with its holes filled by zeros; `data` holds the ranges one after the other.
pub struct SparseReader<R> {
    data: R,
    map: SparseMap,
    /// The range that is being read or comes next.
    next: usize,
    position: u64,
}

impl<R: Read> SparseReader<R> {
    /// `data` must hold at least [`SparseMap::stored_bytes`].
    pub fn new(data: R, map: SparseMap) -> Self {
        SparseReader {
            data,
            map,
            next: 0,
            position: 0,
        }
    }
}

impl<R: Read> Read for SparseReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self
            .map
            .ranges
            .get(self.next)
            .is_some_and(|&(o, l)| self.position >= o + l)
        {
            self.next += 1;
        }
        let (start, end) = match self.map.ranges.get(self.next) {
            Some(&(offset, length)) => (offset, offset + length),
            None => (self.map.size_bytes, self.map.size_bytes),
        };
        if self.position < start {
            let n = clamp(buf.len(), start - self.position);
            buf[..n].fill(0);
            self.position += n as u64;
            return Ok(n);
        }
        let n = clamp(buf.len(), end - self.position);
        if n == 0 {
            return Ok(0);
        }
        let n = self.data.read(&mut buf[..n])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += n as u64;
        Ok(n)
    }
}

fn clamp(length: usize, most: u64) -> usize {
    usize::try_from(most).map_or(length, |most| length.min(most))
}
