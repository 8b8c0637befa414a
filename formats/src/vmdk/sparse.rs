//! monolithicSparse: tables before the data, grains as they are.

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};

use crate::blocks::{Block, Counting, ImageError, encode_blocks};
use crate::payload::Payload;

use super::descriptor::{ExtentKind, Options, capacity_sectors, embedded, tables};
use super::format::{
    COMPRESSION_NONE, DESCRIPTOR_SECTOR, DESCRIPTOR_SECTORS, FLAG_NEW_LINE_TEST,
    FLAG_REDUNDANT_TABLES, GRAIN_BYTES, GRAIN_SECTORS, Header, SECTOR_BYTES, TABLE_ENTRIES,
    TABLE_SECTORS, VERSION_SPARSE, encode_entries,
};

/// Writes `disk` as a monolithicSparse disk to `out`, which must be empty, and gives its length.
///
/// Grains of zeros take no room. Grains follow each other as they come; the tables are written
/// in the end, into room left for them at the start.
///
/// # Errors
/// If the disk can't be read or is too large, or `out` can't be written.
pub fn write_monolithic_sparse(
    mut out: impl Write + Seek + Send,
    disk: &dyn Payload,
    options: &Options,
) -> Result<u64, ImageError> {
    let capacity_sectors = capacity_sectors(disk.len_bytes())?;
    let layout = Layout::new(capacity_sectors);
    let header = Header {
        version: VERSION_SPARSE,
        flags: FLAG_NEW_LINE_TEST | FLAG_REDUNDANT_TABLES,
        capacity_sectors,
        grain_sectors: GRAIN_SECTORS,
        descriptor_sector: DESCRIPTOR_SECTOR,
        descriptor_sectors: DESCRIPTOR_SECTORS,
        table_entries: 512,
        redundant_directory_sector: layout.directories[0],
        directory_sector: layout.directories[1],
        overhead_sectors: layout.overhead_sectors,
        compression: COMPRESSION_NONE,
    };
    let mut head = header.encode().to_vec();
    head.extend(embedded(
        &ExtentKind::MonolithicSparse,
        capacity_sectors,
        options,
    )?);

    let overhead_bytes = layout.overhead_sectors * SECTOR_BYTES;
    seek_to(&mut out, overhead_bytes).map_err(ImageError::Write)?;
    let mut grains = Grains {
        out: Counting {
            inner: &mut out,
            bytes: overhead_bytes,
        },
        tables: BTreeMap::new(),
    };
    encode_blocks(
        disk,
        GRAIN_BYTES,
        |plain, encoded| {
            encoded.extend_from_slice(plain);
            Ok(())
        },
        |block| grains.grain(&block),
    )?;
    let (len_bytes, tables) = (grains.out.bytes, grains.tables);
    layout
        .write(&mut out, &head, &tables)
        .map_err(ImageError::Write)?;
    Ok(len_bytes)
}

fn seek_to(out: &mut impl Seek, byte: u64) -> io::Result<()> {
    out.seek(SeekFrom::Start(byte)).map(drop)
}

/// Where directories and tables are. Both copies have all their tables right behind them.
struct Layout {
    directories: [u64; 2],
    directory_sectors: u64,
    tables: usize,
    overhead_sectors: u64,
}

impl Layout {
    fn new(capacity_sectors: u64) -> Self {
        let tables = tables(capacity_sectors);
        let directory_sectors = (tables as u64 * 4).div_ceil(SECTOR_BYTES);
        let copy_sectors = directory_sectors + tables as u64 * TABLE_SECTORS;
        let first = DESCRIPTOR_SECTOR + DESCRIPTOR_SECTORS;
        Self {
            directories: [first, first + copy_sectors],
            directory_sectors,
            tables,
            overhead_sectors: (first + 2 * copy_sectors).next_multiple_of(GRAIN_SECTORS),
        }
    }

    fn table_sector(&self, copy: usize, table: usize) -> u64 {
        self.directories[copy] + self.directory_sectors + table as u64 * TABLE_SECTORS
    }

    fn write(
        &self,
        out: &mut (impl Write + Seek),
        head: &[u8],
        tables: &BTreeMap<usize, Box<[u32; TABLE_ENTRIES]>>,
    ) -> io::Result<()> {
        seek_to(out, 0)?;
        out.write_all(head)?;
        for (copy, &start) in self.directories.iter().enumerate() {
            let directory: Vec<u32> = (0..self.tables)
                .map(|table| u32::try_from(self.table_sector(copy, table)))
                .collect::<Result<_, _>>()
                .map_err(|_| io::ErrorKind::FileTooLarge)?;
            seek_to(out, start * SECTOR_BYTES)?;
            out.write_all(&encode_entries(&directory))?;
            // A table without a grain is zeros, as is what nobody wrote.
            for (&table, entries) in tables {
                seek_to(out, self.table_sector(copy, table) * SECTOR_BYTES)?;
                out.write_all(&encode_entries(&entries[..]))?;
            }
        }
        if tables.is_empty() {
            // The file of an empty disk would end before its tables do.
            seek_to(out, self.overhead_sectors * SECTOR_BYTES - 1)?;
            out.write_all(&[0])?;
        }
        out.flush()
    }
}

struct Grains<W> {
    out: Counting<W>,
    /// Entries of the tables that have any.
    tables: BTreeMap<usize, Box<[u32; TABLE_ENTRIES]>>,
}

impl<W: Write> Grains<W> {
    fn grain(&mut self, block: &Block<'_>) -> io::Result<()> {
        let entries = TABLE_ENTRIES as u64;
        let table = usize::try_from(block.index / entries).map_err(io::Error::other)?;
        let slot = usize::try_from(block.index % entries).map_err(io::Error::other)?;
        let sector = u32::try_from(self.out.bytes / SECTOR_BYTES).map_err(|_| {
            io::Error::new(
                io::ErrorKind::FileTooLarge,
                "a monolithicSparse disk can't have more than 2 TiB of data",
            )
        })?;
        let table = self
            .tables
            .entry(table)
            .or_insert_with(|| Box::new([0; TABLE_ENTRIES]));
        table[slot] = sector;
        self.out.write_all(block.encoded)
    }
}
