//! Writing: data and L2 tables as they come, the other tables at the end, then the header.

use std::io::{self, Seek, SeekFrom, Write};

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::blocks::{Block, Counting, ImageError, encode_blocks, looks_random};
use crate::payload::Payload;

use super::format::{
    CLUSTER, CLUSTER_BYTES, COMPRESSED, COPIED, Header, REFCOUNTS, SECTOR_BYTES, SECTORS_SHIFT,
    TABLE_ENTRIES, WINDOW_BITS, encode_entries,
};

/// Larger disks would need an L1 table larger than QEMU takes (32 MiB).
const MAX_BYTES: u64 = (32 << 20) / 8 * TABLE_ENTRIES as u64 * CLUSTER_BYTES;

/// What clusters that compress are compressed with.
const LEVEL: u32 = 3;

/// Less than this is not worth that the guest can't write in place.
const LEAST_SAVING: usize = CLUSTER / 16;

/// Writes `disk` as a qcow2 disk to `out`, which must be empty, and gives its length. The disk is
/// rounded up to whole sectors of 512 bytes.
///
/// # Errors
/// If the disk can't be read or is too large, or `out` can't be written.
pub fn write_qcow2(
    mut out: impl Write + Seek + Send,
    disk: &dyn Payload,
) -> Result<u64, ImageError> {
    let disk_bytes = disk.len_bytes();
    if disk_bytes > MAX_BYTES {
        return Err(ImageError::TooLarge {
            bytes: disk_bytes,
            format: "qcow2",
            max_bytes: MAX_BYTES,
        });
    }
    let disk_bytes = disk_bytes.next_multiple_of(SECTOR_BYTES);
    let tables = disk_bytes.div_ceil(CLUSTER_BYTES * TABLE_ENTRIES as u64);
    // A cluster is left for the header, which is written in the end.
    out.seek(SeekFrom::Start(CLUSTER_BYTES))
        .map_err(ImageError::Write)?;
    let mut writer = Writer {
        out: Counting {
            inner: &mut out,
            bytes: CLUSTER_BYTES,
        },
        l1: vec![0; usize::try_from(tables).unwrap_or(usize::MAX)],
        l2: None,
        refcounts: vec![1],
    };
    encode_blocks(disk, CLUSTER, compress, |block| writer.cluster(&block))?;
    let (header, len_bytes) = writer.tables(disk_bytes).map_err(ImageError::Write)?;
    out.seek(SeekFrom::Start(0))
        .and_then(|_| out.write_all(&header.encode()))
        .and_then(|()| out.flush())
        .map_err(ImageError::Write)?;
    Ok(len_bytes)
}

/// Appends the cluster as a raw deflate stream, or as it is: then it has the cluster's length.
fn compress(plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    if !looks_random(plain) {
        out.reserve(plain.len() + 1024);
        let mut state = Compress::new_with_window_bits(Compression::new(LEVEL), false, WINDOW_BITS);
        let status = state
            .compress_vec(plain, out, FlushCompress::Finish)
            .map_err(io::Error::other)?;
        if status == Status::StreamEnd && out.len() <= plain.len() - LEAST_SAVING {
            return Ok(());
        }
        out.clear();
    }
    out.extend_from_slice(plain);
    Ok(())
}

struct Writer<W> {
    out: Counting<W>,
    l1: Vec<u64>,
    /// Index and entries of the table that is being filled.
    l2: Option<(usize, Vec<u64>)>,
    /// How often each cluster of the file is referred to.
    refcounts: Vec<u16>,
}

impl<W: Write> Writer<W> {
    /// Counts a reference to all clusters that hold a part of these bytes.
    fn refer(&mut self, offset: u64, bytes: u64) -> io::Result<()> {
        let first = usize::try_from(offset / CLUSTER_BYTES).map_err(io::Error::other)?;
        let end =
            usize::try_from((offset + bytes).div_ceil(CLUSTER_BYTES)).map_err(io::Error::other)?;
        if self.refcounts.len() < end {
            self.refcounts.resize(end, 0);
        }
        for count in &mut self.refcounts[first..end] {
            // A cluster has room for some hundreds of compressed ones at most.
            *count = count.saturating_add(1);
        }
        Ok(())
    }

    /// Writes whole clusters that are referred to once.
    fn aligned(&mut self, bytes: &[u8]) -> io::Result<u64> {
        self.out.pad(CLUSTER_BYTES)?;
        let offset = self.out.bytes;
        self.out.write_all(bytes)?;
        self.refer(offset, bytes.len() as u64)?;
        Ok(offset)
    }

    fn cluster(&mut self, block: &Block<'_>) -> io::Result<()> {
        let entries = TABLE_ENTRIES as u64;
        let table = usize::try_from(block.index / entries).map_err(io::Error::other)?;
        let slot = usize::try_from(block.index % entries).map_err(io::Error::other)?;
        if self.l2.as_ref().is_some_and(|(index, _)| *index != table) {
            self.end_table()?;
        }
        let entry = if block.encoded.len() == CLUSTER {
            self.aligned(block.encoded)? | COPIED
        } else {
            self.packed(block.encoded)?
        };
        let (_, l2) = self
            .l2
            .get_or_insert_with(|| (table, vec![0; TABLE_ENTRIES]));
        l2[slot] = entry;
        Ok(())
    }

    /// Writes compressed bytes right behind what is there and gives their entry.
    fn packed(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let offset = self.out.bytes;
        self.out.write_all(bytes)?;
        let last_sector = (self.out.bytes - 1) / SECTOR_BYTES;
        let further_sectors = last_sector - offset / SECTOR_BYTES;
        // Who reads takes whole sectors.
        self.refer(offset, (last_sector + 1) * SECTOR_BYTES - offset)?;
        Ok(COMPRESSED | further_sectors << SECTORS_SHIFT | offset)
    }

    fn end_table(&mut self) -> io::Result<()> {
        if let Some((index, entries)) = self.l2.take() {
            self.l1[index] = self.aligned(&encode_entries(&entries))? | COPIED;
        }
        Ok(())
    }

    /// Writes the last L2 table, the L1 table and the refcounts; gives the header and the length.
    fn tables(mut self, disk_bytes: u64) -> io::Result<(Header, u64)> {
        self.end_table()?;
        let l1 = encode_entries(&self.l1);
        let l1_offset = self.aligned(&l1)?;
        self.out.pad(CLUSTER_BYTES)?;

        let used = self.out.bytes / CLUSTER_BYTES;
        let (blocks, table_clusters) = refcount_clusters(used);
        let offset = self.out.bytes;
        self.refer(offset, (blocks + table_clusters) * CLUSTER_BYTES)?;
        let mut counts: Vec<u8> = self
            .refcounts
            .iter()
            .flat_map(|count| count.to_be_bytes())
            .collect();
        counts.resize(counts.len().next_multiple_of(CLUSTER), 0);
        self.out.write_all(&counts)?;
        let places: Vec<u64> = (0..blocks)
            .map(|block| offset + block * CLUSTER_BYTES)
            .collect();
        let refcount_table_offset = self.out.bytes;
        self.out.write_all(&encode_entries(&places))?;
        let header = Header {
            disk_bytes,
            l1_entries: u32::try_from(self.l1.len()).map_err(io::Error::other)?,
            l1_offset,
            refcount_table_offset,
            refcount_table_clusters: u32::try_from(table_clusters).map_err(io::Error::other)?,
        };
        Ok((header, self.out.bytes))
    }
}

/// Refcount blocks and clusters of the refcount table for a file of `used` clusters and those.
fn refcount_clusters(used: u64) -> (u64, u64) {
    let (mut blocks, mut table) = (1, 1);
    loop {
        let needed_blocks = (used + blocks + table).div_ceil(REFCOUNTS as u64);
        let needed_table = needed_blocks.div_ceil(TABLE_ENTRIES as u64);
        if needed_blocks <= blocks && needed_table <= table {
            return (blocks, table);
        }
        (blocks, table) = (blocks.max(needed_blocks), table.max(needed_table));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refcounts_have_room_for_their_own_clusters() {
        let per_block = REFCOUNTS as u64;
        for used in [
            1,
            per_block - 2,
            per_block - 1,
            per_block,
            10 * per_block - 11,
            1 << 34,
        ] {
            let (blocks, table) = refcount_clusters(used);
            assert!(used + blocks + table <= blocks * per_block, "{used}");
            assert!(blocks <= table * TABLE_ENTRIES as u64, "{used}");
        }
        assert_eq!(refcount_clusters(per_block - 2), (1, 1));
        assert_eq!(refcount_clusters(per_block - 1), (2, 1));
    }
}
