//! Blocks of data.

use std::io;

use crate::blocks::{is_zero, looks_random};

use super::format::DATA_STORED;
use super::metadata::{DATA_LEVEL, compress};

/// Where a file's bytes are.
#[derive(Default)]
pub(super) struct Data {
    pub(super) start: u64,
    pub(super) sizes: Vec<u32>,
    pub(super) hole_bytes: u64,
    pub(super) fragment: Option<(u32, u32)>,
}

/// A block as it is written.
pub(super) struct Encoded {
    /// Length, with a flag where it is stored; 0 for a hole.
    pub(super) size: u32,
    /// What it was compressed to; empty where it was not.
    compressed: Vec<u8>,
}

impl Encoded {
    pub(super) fn new(plain: &[u8]) -> io::Result<Self> {
        let mut compressed = Vec::new();
        if is_zero(plain) {
            return Ok(Self {
                size: 0,
                compressed,
            });
        }
        let size = match !looks_random(plain) && compress(plain, DATA_LEVEL, &mut compressed)? {
            true => u32::try_from(compressed.len()).unwrap_or(u32::MAX),
            false => stored(plain),
        };
        Ok(Self { size, compressed })
    }

    pub(super) fn bytes<'a>(&'a self, plain: &'a [u8]) -> &'a [u8] {
        match self.size {
            0 => &[],
            size if size & DATA_STORED != 0 => plain,
            _ => &self.compressed,
        }
    }
}

pub(super) fn stored(plain: &[u8]) -> u32 {
    u32::try_from(plain.len()).unwrap_or(0) | DATA_STORED
}
