//! Kernel and initrd: what they must be, and reading them piece by piece.

use crate::crc32::Tables;
use crate::firmware::{Firmware, Status};
use crate::memory::{Pages, copy};
use crate::parameters::{EXTENT_CRC32_AT, EXTENT_LEN_AT};
use crate::patched;

/// The most that is read at once: some firmware fails with more.
pub const PIECE_BYTES: usize = 1 << 20;

/// What is to be loaded.
pub struct Part {
    /// As messages name it.
    pub name: &'static str,
    /// Its path on the FAT volume, with `/` between names.
    pub file: &'static str,
    /// Where it starts on the whole medium.
    pub start_bytes: u64,
    pub len_bytes: usize,
    pub crc32: u32,
}

impl Part {
    /// The part whose extent is at `at` of the parameters.
    pub fn patched(name: &'static str, file: &'static str, at: usize) -> Self {
        Self {
            name,
            file,
            start_bytes: patched::u64_at(at),
            len_bytes: patched::u64_at(at + EXTENT_LEN_AT) as usize,
            crc32: patched::u64_at(at + EXTENT_CRC32_AT) as u32,
        }
    }

    /// Whether bytes are what they must be.
    pub fn verify(&self, found_bytes: u64, found_crc32: u32) -> Result<(), Failure> {
        if found_bytes != self.len_bytes as u64 {
            return Err(Failure::Length { found_bytes });
        }
        if found_crc32 != self.crc32 {
            return Err(Failure::Checksum { found_crc32 });
        }
        Ok(())
    }
}

/// Why a part can't be had from a source.
#[derive(Clone, Copy)]
pub enum Failure {
    /// The firmware has no such source.
    Source(Status),
    /// Reading failed.
    Read { at: u64, status: Status },
    /// Another length than it must have.
    Length { found_bytes: u64 },
    /// Other bytes than it must have.
    Checksum { found_crc32: u32 },
    /// The medium ends too early.
    MediumEnd { medium_bytes: u64 },
    /// Not enough memory.
    Memory { bytes: u64 },
}

/// What all reading goes through: memory that every firmware can read to, and checksums.
pub struct Reading<'a> {
    pub firmware: &'a Firmware,
    bounce: Pages<'a>,
    tables: &'a Tables,
}

/// Room for a piece, wherever it must start.
const BOUNCE_BYTES: usize = 2 * PIECE_BYTES;

impl<'a> Reading<'a> {
    pub fn new(firmware: &'a Firmware, tables: &'a Tables) -> Result<Self, Failure> {
        let bounce = Pages::low(firmware, BOUNCE_BYTES).map_err(|_| Failure::Memory {
            bytes: BOUNCE_BYTES as u64,
        })?;
        Ok(Self {
            firmware,
            bounce,
            tables,
        })
    }

    /// Reads a part from `source`, which is given the place in the part and the memory to read
    /// to, and says how many bytes it read and at which of them the part's own start.
    pub fn read(
        &mut self,
        part: &Part,
        mut source: impl FnMut(usize, &mut [u8]) -> Result<(usize, usize), Failure>,
    ) -> Result<Pages<'a>, Failure> {
        let bytes = part.len_bytes as u64;
        let memory = Pages::new(self.firmware, part.len_bytes);
        let mut memory = memory.map_err(|_| Failure::Memory { bytes })?;
        let mut crc32 = 0;
        let mut at = 0;
        while at < part.len_bytes {
            let (start, end) = source(at, self.bounce.bytes_mut())?;
            let read = self.bounce.bytes().get(start..end).unwrap_or_default();
            let to = memory.bytes_mut().get_mut(at..).unwrap_or_default();
            let read = read.get(..read.len().min(to.len())).unwrap_or_default();
            if read.is_empty() {
                let found_bytes = at as u64;
                return Err(Failure::Length { found_bytes });
            }
            // While it is in the processor's cache.
            crc32 = self.tables.update(crc32, read);
            copy(to, read);
            at += read.len();
        }
        part.verify(at as u64, crc32)?;
        Ok(memory)
    }

    /// Verifies a part that is in memory already.
    pub fn verify(&self, part: &Part, bytes: &[u8]) -> Result<(), Failure> {
        part.verify(bytes.len() as u64, self.tables.update(0, bytes))
    }
}
