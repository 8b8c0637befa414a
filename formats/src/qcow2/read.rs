//! Reading, within limits.

use std::io;
use std::ops::Range;

use flate2::{Decompress, FlushDecompress};

use crate::bounded::{from_fault, read, read_vec};
use crate::payload::Payload;

use super::format::{
    CLUSTER, CLUSTER_BITS, CLUSTER_BYTES, COMPRESSED, HEADER_BYTES, MAGIC, OFFSET_MASK,
    SECTOR_BYTES, SECTORS_SHIFT, TABLE_ENTRIES, ZERO,
};

/// Why a file is not a disk that is read here, and where.
#[derive(Debug, thiserror::Error)]
#[error("qcow2, at byte {offset}: {kind}")]
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
    /// No magic.
    #[error("no qcow2 disk starts here")]
    Header,
    /// A disk of a kind that is not read here.
    #[error("{what} is {value}, which is not supported")]
    Unsupported {
        /// The header's field.
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
    /// A compressed cluster can't be inflated.
    #[error("the compressed cluster {index} of the disk is damaged")]
    Cluster {
        /// Index of the cluster in the disk.
        index: u64,
    },
    /// The file can't be read.
    #[error("can't be read: {0}")]
    Io(#[source] io::Error),
}

from_fault!(ReadError, ReadErrorKind);

/// A disk with clusters of 64 KiB and without backing file, encryption or data file; as a
/// [`Payload`] it is what the guest sees.
#[derive(Debug)]
pub struct Qcow2Reader<P> {
    file: P,
    disk_bytes: u64,
    l1: Vec<u64>,
}

impl<P: Payload> Qcow2Reader<P> {
    /// Reads header and L1 table.
    ///
    /// # Errors
    /// If the file is not such a disk.
    pub fn open(file: P) -> Result<Self, ReadError> {
        let mut header = [0; HEADER_BYTES];
        // Version 2 has a shorter header; zeros stand for what it lacks.
        read(&file, 0, &mut header[..72], "the header")?;
        let u32_at = |header: &[u8; HEADER_BYTES], at: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&header[at..at + 4]);
            u32::from_be_bytes(word)
        };
        let u64_at = |header: &[u8; HEADER_BYTES], at: usize| {
            u64::from(u32_at(header, at)) << 32 | u64::from(u32_at(header, at + 4))
        };
        if u32_at(&header, 0) != MAGIC {
            return Err(error(0, ReadErrorKind::Header));
        }
        if u32_at(&header, 4) == 3 {
            read(&file, 0, &mut header, "the header")?;
        }
        let disk_bytes = u64_at(&header, 24);
        let l1_entries = u64::from(u32_at(&header, 36));
        for (what, value, supported) in [
            ("the version", u64::from(u32_at(&header, 4)), 2..=3),
            ("the backing file", u64_at(&header, 8), 0..=0),
            (
                "the cluster size (log2)",
                u64::from(u32_at(&header, 20)),
                u64::from(CLUSTER_BITS)..=u64::from(CLUSTER_BITS),
            ),
            ("the encryption", u64::from(u32_at(&header, 32)), 0..=0),
            ("the number of L1 entries", l1_entries, 0..=(32 << 20) / 8),
            ("the features", u64_at(&header, 72), 0..=0),
        ] {
            if !supported.contains(&value) {
                return Err(error(0, ReadErrorKind::Unsupported { what, value }));
            }
        }
        let needed = disk_bytes.div_ceil(CLUSTER_BYTES * TABLE_ENTRIES as u64);
        let what = "the L1 table";
        if l1_entries < needed {
            let entries = l1_entries;
            let kind = ReadErrorKind::Short {
                what,
                entries,
                needed,
            };
            return Err(error(0, kind));
        }
        let l1 = read_vec(&file, u64_at(&header, 40), needed * 8, what)?;
        let (l1, _) = l1.as_chunks::<8>();
        Ok(Self {
            file,
            disk_bytes,
            l1: l1.iter().map(|entry| u64::from_be_bytes(*entry)).collect(),
        })
    }

    /// The L2 entry of a cluster, 0 if there is none.
    fn entry(&self, index: u64) -> Result<u64, ReadError> {
        let entries = TABLE_ENTRIES as u64;
        let table = usize::try_from(index / entries)
            .ok()
            .and_then(|table| self.l1.get(table))
            .map_or(0, |entry| entry & OFFSET_MASK);
        if table == 0 {
            return Ok(0);
        }
        let mut entry = [0; 8];
        let place = table + index % entries * 8;
        read(&self.file, place, &mut entry, "an L2 table")?;
        Ok(u64::from_be_bytes(entry))
    }

    /// Fills `out` with a part of a cluster.
    fn read_cluster(
        &self,
        index: u64,
        part: Range<usize>,
        out: &mut [u8],
    ) -> Result<(), ReadError> {
        let entry = self.entry(index)?;
        if entry & COMPRESSED != 0 {
            let plain = self.inflate(index, entry)?;
            out.copy_from_slice(&plain[part]);
            return Ok(());
        }
        let offset = entry & OFFSET_MASK;
        if offset == 0 || entry & ZERO != 0 {
            out.fill(0);
            return Ok(());
        }
        Ok(read(
            &self.file,
            offset + part.start as u64,
            out,
            "a cluster",
        )?)
    }

    fn inflate(&self, index: u64, entry: u64) -> Result<Vec<u8>, ReadError> {
        let offset = entry & ((1 << SECTORS_SHIFT) - 1);
        let further_sectors = (entry & (COMPRESSED - 1)) >> SECTORS_SHIFT;
        let end = (offset / SECTOR_BYTES + 1 + further_sectors) * SECTOR_BYTES;
        // The file may end inside the last sector.
        let bytes = end.min(self.file.len_bytes()).saturating_sub(offset);
        let packed = read_vec(&self.file, offset, bytes, "a compressed cluster")?;
        let mut plain = vec![0; CLUSTER];
        let mut state = Decompress::new(false);
        let result = state.decompress(&packed, &mut plain, FlushDecompress::Finish);
        // Behind the stream stand bytes of others.
        if result.is_err() || state.total_out() != CLUSTER_BYTES {
            return Err(error(offset, ReadErrorKind::Cluster { index }));
        }
        Ok(plain)
    }
}

impl<P: Payload> Payload for Qcow2Reader<P> {
    fn len_bytes(&self) -> u64 {
        self.disk_bytes
    }

    fn read_exact_at(&self, mut offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        if offset.saturating_add(out.len() as u64) > self.disk_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while !out.is_empty() {
            let start = usize::try_from(offset % CLUSTER_BYTES).map_err(io::Error::other)?;
            let (now, later) = out.split_at_mut(out.len().min(CLUSTER - start));
            self.read_cluster(offset / CLUSTER_BYTES, start..start + now.len(), now)
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
