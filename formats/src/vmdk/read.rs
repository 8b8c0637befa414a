//! Reading sparse disks of one file, within limits.

use std::io;
use std::ops::Range;

use flate2::{Decompress, FlushDecompress, Status};

use crate::bounded::{from_fault, read, read_vec};
use crate::payload::Payload;

use super::format::{
    COMPRESSION_DEFLATE, COMPRESSION_NONE, DIRECTORY_AT_END, FLAG_COMPRESSED, GRAIN_BYTES,
    GRAIN_MARKER_BYTES, GRAIN_SECTORS, Header, SECTOR, SECTOR_BYTES, TABLE_ENTRIES,
};

/// Why a file is not a disk that is read here, and where.
#[derive(Debug, thiserror::Error)]
#[error("VMDK, at byte {offset}: {kind}")]
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
    /// There is no header with its magic and line ends.
    #[error("no sparse disk starts here, or it was transferred as text")]
    Header,
    /// A disk of a kind that is not read here.
    #[error("{what} is {value}, which is not supported")]
    Unsupported {
        /// The header's field.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// Something points behind the file's end.
    #[error("{what} lies behind the end of the file")]
    BeyondEnd {
        /// What should be there.
        what: &'static str,
    },
    /// A compressed grain is not what its table says.
    #[error("the grain of sector {sector} is damaged")]
    Grain {
        /// First sector of the disk that it holds.
        sector: u64,
    },
    /// The file can't be read.
    #[error("can't be read: {0}")]
    Io(#[source] io::Error),
}

from_fault!(ReadError, ReadErrorKind);

/// A monolithicSparse or streamOptimized disk; as a [`Payload`] it is what the guest sees.
#[derive(Debug)]
pub struct SparseReader<P> {
    file: P,
    header: Header,
    /// Sector of each grain table.
    directory: Vec<u32>,
    descriptor: String,
}

/// Directories are read if they describe at most this many tables: 62 TiB.
const MAX_TABLES: u64 = (62 << 40) / (GRAIN_BYTES as u64 * TABLE_ENTRIES as u64);

impl<P: Payload> SparseReader<P> {
    /// Reads header, descriptor and directory.
    ///
    /// # Errors
    /// If the file is not such a disk.
    pub fn open(file: P) -> Result<Self, ReadError> {
        let mut header = read_header(&file, 0)?;
        if header.directory_sector == DIRECTORY_AT_END {
            // Before the end come the footer and the end-of-stream marker.
            let offset = file.len_bytes().saturating_sub(2 * SECTOR_BYTES);
            header = read_header(&file, offset)?;
        }
        let compression = if header.flags & FLAG_COMPRESSED == 0 {
            COMPRESSION_NONE
        } else {
            COMPRESSION_DEFLATE
        };
        for (what, value, supported) in [
            ("the grain size", header.grain_sectors, GRAIN_SECTORS),
            (
                "the number of entries of a table",
                u64::from(header.table_entries),
                TABLE_ENTRIES as u64,
            ),
            (
                "the compression",
                u64::from(header.compression),
                u64::from(compression),
            ),
        ] {
            if value != supported {
                return Err(error(0, ReadErrorKind::Unsupported { what, value }));
            }
        }
        let tables = header
            .capacity_sectors
            .div_ceil(GRAIN_SECTORS)
            .div_ceil(TABLE_ENTRIES as u64);
        if tables > MAX_TABLES || !(1..=3).contains(&header.version) {
            let (what, value) = if tables > MAX_TABLES {
                ("the number of grain tables", tables)
            } else {
                ("the version", u64::from(header.version))
            };
            return Err(error(0, ReadErrorKind::Unsupported { what, value }));
        }
        let place = sectors(header.directory_sector);
        let directory = read_vec(&file, place, tables * 4, "the grain directory")?;
        let place = sectors(header.descriptor_sector);
        let bytes = sectors(header.descriptor_sectors.min(128));
        let descriptor = read_vec(&file, place, bytes, "the descriptor")?;
        let text = descriptor.split(|&byte| byte == 0).next().unwrap_or(&[]);
        Ok(Self {
            descriptor: String::from_utf8_lossy(text).into_owned(),
            directory: decode_entries(&directory),
            header,
            file,
        })
    }

    /// The embedded descriptor.
    pub fn descriptor(&self) -> &str {
        &self.descriptor
    }

    /// The header's version and flags.
    pub fn version_and_flags(&self) -> (u32, u32) {
        (self.header.version, self.header.flags)
    }

    /// Sector of the file where a grain is; `None` if it is zeros.
    fn grain_sector(&self, index: u64) -> Result<Option<u64>, ReadError> {
        let entries = TABLE_ENTRIES as u64;
        let table = usize::try_from(index / entries)
            .ok()
            .and_then(|table| self.directory.get(table))
            .copied()
            .unwrap_or(0);
        if table == 0 {
            return Ok(None);
        }
        let place = sectors(u64::from(table)) + index % entries * 4;
        let mut entry = [0; 4];
        read(&self.file, place, &mut entry, "a grain table")?;
        let sector = u32::from_le_bytes(entry);
        Ok((sector != 0).then_some(u64::from(sector)))
    }

    /// Fills `out` with a part of a grain.
    fn read_grain(&self, index: u64, part: Range<usize>, out: &mut [u8]) -> Result<(), ReadError> {
        let Some(sector) = self.grain_sector(index)? else {
            out.fill(0);
            return Ok(());
        };
        let place = sectors(sector);
        if self.header.flags & FLAG_COMPRESSED == 0 {
            return Ok(read(&self.file, place + part.start as u64, out, "a grain")?);
        }
        let mut marker = [0; GRAIN_MARKER_BYTES];
        read(&self.file, place, &mut marker, "a grain's marker")?;
        let [first @ .., a, b, c, d] = marker;
        let first = u64::from_le_bytes(first);
        let bytes = u64::from(u32::from_le_bytes([a, b, c, d]));
        let damaged = || {
            error(
                place,
                ReadErrorKind::Grain {
                    sector: index * GRAIN_SECTORS,
                },
            )
        };
        if first != index * GRAIN_SECTORS || bytes > 2 * GRAIN_BYTES as u64 {
            return Err(damaged());
        }
        let packed = read_vec(
            &self.file,
            place + GRAIN_MARKER_BYTES as u64,
            bytes,
            "a grain",
        )?;
        let mut plain = vec![0; GRAIN_BYTES];
        let mut state = Decompress::new(true);
        let status = state.decompress(&packed, &mut plain, FlushDecompress::Finish);
        let whole = state.total_in() == bytes && state.total_out() == GRAIN_BYTES as u64;
        if !matches!(status, Ok(Status::StreamEnd)) || !whole {
            return Err(damaged());
        }
        out.copy_from_slice(&plain[part]);
        Ok(())
    }
}

impl<P: Payload> Payload for SparseReader<P> {
    fn len_bytes(&self) -> u64 {
        sectors(self.header.capacity_sectors)
    }

    fn read_exact_at(&self, mut offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        if offset.saturating_add(out.len() as u64) > self.len_bytes() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while !out.is_empty() {
            let grain = GRAIN_BYTES as u64;
            let start = usize::try_from(offset % grain).map_err(io::Error::other)?;
            let (now, later) = out.split_at_mut(out.len().min(GRAIN_BYTES - start));
            self.read_grain(offset / grain, start..start + now.len(), now)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            offset += now.len() as u64;
            out = later;
        }
        Ok(())
    }
}

fn error(offset: u64, kind: ReadErrorKind) -> ReadError {
    ReadError { kind, offset }
}

fn sectors(count: u64) -> u64 {
    count.saturating_mul(SECTOR_BYTES)
}

fn read_header(file: &impl Payload, offset: u64) -> Result<Header, ReadError> {
    let mut sector = [0; SECTOR];
    read(file, offset, &mut sector, "a header")?;
    Header::decode(&sector).ok_or_else(|| error(offset, ReadErrorKind::Header))
}

fn decode_entries(bytes: &[u8]) -> Vec<u32> {
    let (entries, _) = bytes.as_chunks::<4>();
    entries
        .iter()
        .map(|entry| u32::from_le_bytes(*entry))
        .collect()
}
