//! Reading, within limits.

use std::io;

use crate::bounded::{from_fault, read, read_vec, u64_be};
use crate::payload::Payload;

use super::format::{
    BITMAP_BYTES, BLOCK, BLOCK_BYTES, DYNAMIC_COOKIE, DYNAMIC_HEADER_BYTES, DiskType, FOOTER_BYTES,
    Footer, MAX_BYTES, NO_BLOCK, SECTOR_BYTES, checksum_without, stored_checksum,
};

/// Why a file is not a disk that is read here, and where.
#[derive(Debug, thiserror::Error)]
#[error("VHD, at byte {offset}: {kind}")]
pub struct ReadError {
    /// What is wrong.
    pub kind: ReadErrorKind,
    /// Where in the file.
    pub offset: u64,
}

/// What is wrong with a disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadErrorKind {
    /// No footer of a fixed or dynamic disk, or one with a wrong checksum.
    #[error("no good footer of a fixed or dynamic disk")]
    Footer,
    /// No dynamic header, or one with a wrong checksum.
    #[error("no good header of a dynamic disk")]
    Header,
    /// A disk of a kind that is not read here.
    #[error("{what} is {value}, which is not supported")]
    Unsupported {
        /// The field.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// A table that is too short for the disk.
    #[error("{what} has {entries} entries, and the disk needs {needed}")]
    Short {
        /// The table.
        what: &'static str,
        /// How many entries it has.
        entries: u64,
        /// How many the disk's length asks for.
        needed: u64,
    },
    /// Something points behind the file's end.
    #[error("{what} lies behind the end of the file")]
    BeyondEnd {
        /// What should be there.
        what: &'static str,
    },
    /// The file can't be read.
    #[error("can't be read: {0}")]
    Io(#[source] io::Error),
}

from_fault!(ReadError, ReadErrorKind);

/// A fixed or dynamic disk; as a [`Payload`] it is what the guest sees.
#[derive(Debug)]
pub struct VhdReader<P> {
    file: P,
    footer: Footer,
    /// Sectors of the blocks of a dynamic disk.
    table: Option<Vec<u32>>,
}

impl<P: Payload> VhdReader<P> {
    /// Reads the footer and, of a dynamic disk, header and allocation table.
    ///
    /// # Errors
    /// If the file is not such a disk.
    pub fn open(file: P) -> Result<Self, ReadError> {
        let footer_offset = file.len_bytes().saturating_sub(FOOTER_BYTES as u64);
        let mut bytes = [0; FOOTER_BYTES];
        read(&file, footer_offset, &mut bytes, "the footer")?;
        let footer =
            Footer::decode(&bytes).ok_or_else(|| error(footer_offset, ReadErrorKind::Footer))?;
        if footer.disk_bytes > MAX_BYTES {
            let kind = ReadErrorKind::Unsupported {
                what: "the disk's length",
                value: footer.disk_bytes,
            };
            return Err(error(footer_offset, kind));
        }
        let table = match footer.disk_type {
            DiskType::Fixed if footer.disk_bytes > footer_offset => {
                let what = "the end of the disk";
                return Err(error(footer_offset, ReadErrorKind::BeyondEnd { what }));
            }
            DiskType::Fixed => None,
            DiskType::Dynamic => {
                let data_offset = u64_be(&bytes, 16);
                Some(read_table(&file, data_offset, footer.disk_bytes)?)
            }
        };
        Ok(Self {
            file,
            footer,
            table,
        })
    }

    /// The disk's unique id.
    pub fn id(&self) -> [u8; 16] {
        self.footer.id
    }

    /// Whether blocks can be left out.
    pub fn is_dynamic(&self) -> bool {
        self.table.is_some()
    }
}

/// Reads the dynamic header and the allocation table.
fn read_table(
    file: &impl Payload,
    header_offset: u64,
    disk_bytes: u64,
) -> Result<Vec<u32>, ReadError> {
    let mut header = [0; DYNAMIC_HEADER_BYTES];
    read(file, header_offset, &mut header, "the dynamic header")?;
    let good = header.starts_with(DYNAMIC_COOKIE)
        && stored_checksum(&header, 36) == Some(checksum_without(&header, 36));
    if !good {
        return Err(error(header_offset, ReadErrorKind::Header));
    }
    let table_offset = u64_be(&header, 16);
    let entries = u64_be(&header, 28) >> 32;
    let block_bytes = u64_be(&header, 32) >> 32;
    let blocks = disk_bytes.div_ceil(BLOCK_BYTES);
    if block_bytes != BLOCK_BYTES {
        let kind = ReadErrorKind::Unsupported {
            what: "the block size",
            value: block_bytes,
        };
        return Err(error(header_offset, kind));
    }
    let what = "the allocation table";
    if entries < blocks {
        let kind = ReadErrorKind::Short {
            what,
            entries,
            needed: blocks,
        };
        return Err(error(header_offset, kind));
    }
    let bytes = read_vec(file, table_offset, blocks * 4, what)?;
    let (entries, _) = bytes.as_chunks::<4>();
    Ok(entries
        .iter()
        .map(|entry| u32::from_be_bytes(*entry))
        .collect())
}

impl<P: Payload> Payload for VhdReader<P> {
    fn len_bytes(&self) -> u64 {
        self.footer.disk_bytes
    }

    fn read_exact_at(&self, mut offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        if offset.saturating_add(out.len() as u64) > self.footer.disk_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(table) = &self.table else {
            return self.file.read_exact_at(offset, out);
        };
        while !out.is_empty() {
            let start = offset % BLOCK_BYTES;
            let left = BLOCK - usize::try_from(start).map_err(io::Error::other)?;
            let (now, later) = out.split_at_mut(out.len().min(left));
            let index = usize::try_from(offset / BLOCK_BYTES).map_err(io::Error::other)?;
            match table.get(index) {
                None | Some(&NO_BLOCK) => now.fill(0),
                // Sectors that the bitmap leaves out are zeros in the data too.
                Some(&sector) => {
                    let data = u64::from(sector) * SECTOR_BYTES + BITMAP_BYTES as u64;
                    read(&self.file, data + start, now, "a block").map_err(|fault| {
                        io::Error::new(io::ErrorKind::InvalidData, ReadError::from(fault))
                    })?;
                }
            }
            offset += now.len() as u64;
            out = later;
        }
        Ok(())
    }
}

fn error(offset: u64, kind: ReadErrorKind) -> ReadError {
    ReadError { kind, offset }
}
