//! Writing fixed and dynamic disks.

use std::io::{self, Seek, SeekFrom, Write};

use crate::blocks::{ImageError, encode_blocks};
use crate::payload::Payload;
use crate::raw::write_data;

use super::format::{
    BITMAP_BYTES, BLOCK, BLOCK_BYTES, DYNAMIC_HEADER_BYTES, DiskType, FOOTER_BYTES, Footer,
    MAX_BYTES, NO_BLOCK, SECTOR_BYTES, dynamic_header,
};

/// Where the allocation table of a dynamic disk is: behind footer copy and header.
const TABLE_OFFSET: u64 = FOOTER_BYTES as u64 + DYNAMIC_HEADER_BYTES as u64;

fn footer(disk: &dyn Payload, disk_type: DiskType, id: [u8; 16]) -> Result<Footer, ImageError> {
    let disk_bytes = disk.len_bytes().next_multiple_of(1 << 20);
    if disk_bytes > MAX_BYTES {
        return Err(ImageError::TooLarge {
            bytes: disk_bytes,
            format: "VHD",
            max_bytes: MAX_BYTES,
        });
    }
    Ok(Footer {
        disk_bytes,
        disk_type,
        id,
    })
}

/// Writes `disk` as a fixed VHD to `out`, which must be empty, and gives its length. `id` tells
/// the disk from others: derive it from the content.
///
/// # Errors
/// If the disk can't be read or is too large, or `out` can't be written.
pub fn write_fixed(
    mut out: impl Write + Seek + Send,
    disk: &dyn Payload,
    id: [u8; 16],
) -> Result<u64, ImageError> {
    let footer = footer(disk, DiskType::Fixed, id)?;
    write_data(&mut out, disk, footer.disk_bytes)?;
    out.write_all(&footer.encode())
        .and_then(|()| out.flush())
        .map_err(ImageError::Write)?;
    Ok(footer.disk_bytes + FOOTER_BYTES as u64)
}

/// Writes `disk` as a dynamic VHD to `out`, which must be empty, and gives its length. `id` tells
/// the disk from others: derive it from the content.
///
/// # Errors
/// If the disk can't be read or is too large, or `out` can't be written.
pub fn write_dynamic(
    mut out: impl Write + Seek + Send,
    disk: &dyn Payload,
    id: [u8; 16],
) -> Result<u64, ImageError> {
    let footer = footer(disk, DiskType::Dynamic, id)?;
    let blocks = u32::try_from(footer.disk_bytes.div_ceil(BLOCK_BYTES)).unwrap_or(NO_BLOCK);
    let table_bytes = (u64::from(blocks) * 4).next_multiple_of(SECTOR_BYTES);
    // Behind the blocks the table is filled up with entries that stand for none.
    let mut table = vec![NO_BLOCK; usize::try_from(table_bytes / 4).unwrap_or(usize::MAX)];
    let mut len_bytes = TABLE_OFFSET + table_bytes;
    out.seek(SeekFrom::Start(len_bytes))
        .map_err(ImageError::Write)?;
    encode_blocks(
        disk,
        BLOCK,
        |plain, encoded| {
            encoded.extend_from_slice(&[0xff; BITMAP_BYTES]);
            encoded.extend_from_slice(plain);
            Ok(())
        },
        |block| {
            let index = usize::try_from(block.index).map_err(io::Error::other)?;
            table[index] = u32::try_from(len_bytes / SECTOR_BYTES).map_err(io::Error::other)?;
            out.write_all(block.encoded)?;
            len_bytes += block.encoded.len() as u64;
            Ok(())
        },
    )?;
    let mut finish = || {
        let footer = footer.encode();
        out.write_all(&footer)?;
        out.seek(SeekFrom::Start(0))?;
        out.write_all(&footer)?;
        out.write_all(&dynamic_header(TABLE_OFFSET, blocks))?;
        let table: Vec<u8> = table.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        out.write_all(&table)?;
        out.flush()
    };
    finish().map_err(ImageError::Write)?;
    Ok(len_bytes + FOOTER_BYTES as u64)
}
