//! A device in memory that keeps only what is not zero.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::payload::{Extents, PlaceError};

/// No longer than a sector: data of others may start at any.
const PAGE: usize = 512;
const PAGE_BYTES: u64 = PAGE as u64;

/// What libraries that want a device write to: metadata of media of any size.
#[derive(Debug, Default)]
pub(crate) struct SparseMemory {
    len_bytes: u64,
    position: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
}

impl SparseMemory {
    pub(crate) fn new(len_bytes: u64) -> Self {
        Self {
            len_bytes,
            ..Self::default()
        }
    }

    /// A copy of what is in it now.
    pub(crate) fn snapshot(&self) -> Self {
        Self {
            len_bytes: self.len_bytes,
            position: 0,
            pages: self.pages.clone(),
        }
    }

    /// What was written, as extents; pages in a row are one.
    pub(crate) fn into_extents(self) -> Result<Extents, PlaceError> {
        let mut all = Extents::new(self.len_bytes);
        let mut run: Option<(u64, Vec<u8>)> = None;
        for (page, bytes) in self.pages {
            let start = page * PAGE_BYTES;
            let left = usize::try_from(self.len_bytes - start).unwrap_or(usize::MAX);
            let bytes = &bytes[..left.min(PAGE)];
            match &mut run {
                Some((run_start, run)) if *run_start + run.len() as u64 == start => {
                    run.extend_from_slice(bytes);
                }
                _ => {
                    if let Some((start, bytes)) = run.replace((start, bytes.to_vec())) {
                        all.place(start, bytes)?;
                    }
                }
            }
        }
        if let Some((start, bytes)) = run {
            all.place(start, bytes)?;
        }
        Ok(all)
    }

    /// How many of these bytes are zeros that change nothing.
    fn skips(&self, bytes: &[u8]) -> usize {
        static ZEROS: [u8; 32 << 10] = [0; 32 << 10];
        let left = usize::try_from(self.len_bytes.saturating_sub(self.position));
        let count = bytes.len().min(left.unwrap_or(usize::MAX)).min(ZEROS.len());
        let end = self.position + count as u64;
        let mut pages = self
            .pages
            .range(self.position / PAGE_BYTES..end.div_ceil(PAGE_BYTES));
        match bytes[..count] == ZEROS[..count] && pages.next().is_none() {
            true => count,
            false => 0,
        }
    }

    /// The page at the position, where in it, and how many of `wanted` bytes are left in it.
    fn step(&self, wanted: usize) -> (u64, usize, usize) {
        let left = usize::try_from(self.len_bytes.saturating_sub(self.position));
        let within = usize::try_from(self.position % PAGE_BYTES).unwrap_or(0);
        let bytes = wanted.min(PAGE - within).min(left.unwrap_or(usize::MAX));
        (self.position / PAGE_BYTES, within, bytes)
    }
}

impl Read for SparseMemory {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let (page, within, bytes) = self.step(out.len());
        match self.pages.get(&page) {
            Some(page) => out[..bytes].copy_from_slice(&page[within..within + bytes]),
            None => out[..bytes].fill(0),
        }
        self.position += bytes as u64;
        Ok(bytes)
    }
}

impl Write for SparseMemory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let skipped = self.skips(bytes);
        if skipped > 0 {
            self.position += skipped as u64;
            return Ok(skipped);
        }
        let (page, within, count) = self.step(bytes.len());
        let bytes = &bytes[..count];
        let is_zero = bytes.iter().all(|&byte| byte == 0);
        if !is_zero || self.pages.contains_key(&page) {
            let page = self
                .pages
                .entry(page)
                .or_insert_with(|| Box::new([0; PAGE]));
            page[within..within + count].copy_from_slice(bytes);
        }
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for SparseMemory {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(distance) => self.len_bytes.checked_add_signed(distance),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
