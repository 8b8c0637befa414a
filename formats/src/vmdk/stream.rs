//! streamOptimized: compressed grains in the order of the disk, tables where they are known, the
//! directory at the end. It is written without going back.

use std::io::{self, Write};

use crate::blocks::{Block, Counting, ImageError, encode_blocks};
use crate::payload::Payload;

use super::descriptor::{ExtentKind, Options, capacity_sectors, embedded, tables};
use super::format::{
    COMPRESSION_DEFLATE, DESCRIPTOR_SECTOR, DESCRIPTOR_SECTORS, DIRECTORY_AT_END, FLAG_COMPRESSED,
    FLAG_MARKERS, FLAG_NEW_LINE_TEST, GRAIN_BYTES, GRAIN_SECTORS, Header, MARKER_DIRECTORY,
    MARKER_END, MARKER_FOOTER, MARKER_TABLE, SECTOR_BYTES, TABLE_ENTRIES, TABLE_SECTORS,
    VERSION_STREAM, encode_entries, marker,
};
use super::grain;

/// Writes `disk` as a streamOptimized disk to `out` and gives the bytes written.
///
/// Grains of zeros take no room; the others are compressed on all cores, and stored where that
/// does not make them smaller. Memory does not grow with the disk but for four bytes per 32 MiB.
///
/// # Errors
/// If the disk can't be read or is too large, or `out` can't be written.
pub fn write_stream_optimized(
    out: impl Write + Send,
    disk: &dyn Payload,
    options: &Options,
) -> Result<u64, ImageError> {
    let capacity_sectors = capacity_sectors(disk.len_bytes())?;
    let header = Header {
        version: VERSION_STREAM,
        flags: FLAG_NEW_LINE_TEST | FLAG_COMPRESSED | FLAG_MARKERS,
        capacity_sectors,
        grain_sectors: GRAIN_SECTORS,
        descriptor_sector: DESCRIPTOR_SECTOR,
        descriptor_sectors: DESCRIPTOR_SECTORS,
        table_entries: 512,
        redundant_directory_sector: 0,
        directory_sector: DIRECTORY_AT_END,
        overhead_sectors: GRAIN_SECTORS,
        compression: COMPRESSION_DEFLATE,
    };
    let descriptor = embedded(&ExtentKind::StreamOptimized, capacity_sectors, options)?;
    let mut stream = Stream {
        out: Counting::new(out),
        directory: vec![0; tables(capacity_sectors)],
        table: None,
    };
    stream
        .start(&header, &descriptor)
        .map_err(ImageError::Write)?;
    encode_blocks(disk, GRAIN_BYTES, grain::compress, |block| {
        stream.grain(&block)
    })?;
    stream.finish(header).map_err(ImageError::Write)
}

struct Stream<W> {
    out: Counting<W>,
    /// Sector of each grain table, 0 for those without a grain.
    directory: Vec<u32>,
    /// Index and entries of the table that is being filled.
    table: Option<(usize, Box<[u32; TABLE_ENTRIES]>)>,
}

impl<W: Write> Stream<W> {
    fn start(&mut self, header: &Header, descriptor: &[u8]) -> io::Result<()> {
        self.out.write_all(&header.encode())?;
        self.out.write_all(descriptor)?;
        self.out.pad(header.overhead_sectors * SECTOR_BYTES)
    }

    /// Where the next byte goes, in sectors. Directory and tables have 32 bits for it.
    fn sector(&self) -> io::Result<u32> {
        u32::try_from(self.out.bytes / SECTOR_BYTES).map_err(|_| {
            io::Error::new(
                io::ErrorKind::FileTooLarge,
                "a streamOptimized disk can't have more than 2 TiB of compressed data",
            )
        })
    }

    fn grain(&mut self, block: &Block<'_>) -> io::Result<()> {
        let entries = TABLE_ENTRIES as u64;
        let table_index = usize::try_from(block.index / entries).map_err(io::Error::other)?;
        let slot = usize::try_from(block.index % entries).map_err(io::Error::other)?;
        if self
            .table
            .as_ref()
            .is_some_and(|(index, _)| *index != table_index)
        {
            self.end_table()?;
        }
        let sector = self.sector()?;
        let (_, table) = self
            .table
            .get_or_insert_with(|| (table_index, Box::new([0; TABLE_ENTRIES])));
        table[slot] = sector;
        let size = u32::try_from(block.encoded.len()).map_err(io::Error::other)?;
        self.out
            .write_all(&(block.index * GRAIN_SECTORS).to_le_bytes())?;
        self.out.write_all(&size.to_le_bytes())?;
        self.out.write_all(block.encoded)?;
        self.out.pad(SECTOR_BYTES)
    }

    fn end_table(&mut self) -> io::Result<()> {
        if let Some((index, entries)) = self.table.take() {
            self.out.write_all(&marker(TABLE_SECTORS, MARKER_TABLE))?;
            self.directory[index] = self.sector()?;
            self.out.write_all(&encode_entries(&entries[..]))?;
        }
        Ok(())
    }

    fn finish(mut self, header: Header) -> io::Result<u64> {
        self.end_table()?;
        let directory = encode_entries(&self.directory);
        self.out.write_all(&marker(
            directory.len() as u64 / SECTOR_BYTES,
            MARKER_DIRECTORY,
        ))?;
        let footer = Header {
            directory_sector: u64::from(self.sector()?),
            ..header
        };
        self.out.write_all(&directory)?;
        self.out.write_all(&marker(1, MARKER_FOOTER))?;
        self.out.write_all(&footer.encode())?;
        self.out.write_all(&marker(0, MARKER_END))?;
        self.out.flush()?;
        Ok(self.out.bytes)
    }
}
