//! Reading a GPT, within limits.

use std::io;

use crate::bounded::{u32_le, u64_le};
use crate::payload::Payload;

use super::format::{
    GPT_ENTRIES, GPT_ENTRY_BYTES, GPT_HEADER_BYTES, GPT_SIGNATURE, MBR_PROTECTIVE, SECTOR_BYTES,
    TYPE_ESP, stored_guid,
};

/// Why a disk's partitions can't be read, and where.
#[derive(Debug, thiserror::Error)]
#[error("partition table, at byte {offset}: {kind}")]
pub struct ReadError {
    /// What is wrong.
    pub kind: ReadErrorKind,
    /// Where on the disk.
    pub offset: u64,
}

/// What is wrong with a partition table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadErrorKind {
    /// No MBR that protects a GPT.
    #[error("no protective MBR")]
    Mbr,
    /// No GPT header, or one with a wrong checksum.
    #[error("no good GPT header")]
    Header,
    /// The table's copy, which stands at the disk's end, is beyond it: the disk was cut.
    #[error("the disk ends before the table's copy in sector {copy_lba}: it was cut")]
    Cut {
        /// Where the header says that its copy is.
        copy_lba: u64,
    },
    /// The entries' checksum is wrong, or they are of a size that is not read here.
    #[error("no good GPT entries")]
    Entries,
    /// A partition that is not on the disk.
    #[error("partition {number} is not on the disk")]
    Partition {
        /// Its number, from 1.
        number: usize,
    },
    /// The disk can't be read.
    #[error("can't be read: {0}")]
    Io(#[source] io::Error),
}

/// An entry of the table that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionEntry {
    /// Number, from 1.
    pub number: usize,
    /// Type, as a GUID.
    pub type_guid: String,
    /// The partition's own GUID.
    pub guid: String,
    /// Its name.
    pub name: String,
    /// Where it starts.
    pub start_bytes: u64,
    /// How long it is.
    pub len_bytes: u64,
}

impl PartitionEntry {
    /// Whether firmware looks for loaders on it.
    pub fn is_esp(&self) -> bool {
        self.type_guid == TYPE_ESP
    }
}

/// Reads the partitions of a disk with sectors of 512 bytes from its first GPT.
///
/// # Errors
/// If there is none, or it is damaged.
pub fn read_partitions(disk: &dyn Payload) -> Result<Vec<PartitionEntry>, ReadError> {
    let mut mbr = [0; 512];
    read(disk, 0, &mut mbr)?;
    if mbr[510..] != [0x55, 0xaa] || mbr[450] != MBR_PROTECTIVE {
        return Err(error(0, ReadErrorKind::Mbr));
    }
    let mut header = [0; GPT_HEADER_BYTES];
    read(disk, SECTOR_BYTES, &mut header)?;
    let checksum = u32_le(&header, 16);
    let mut without = header;
    without[16..20].fill(0);
    let good = header.starts_with(GPT_SIGNATURE)
        && u32_le(&header, 12) == 92
        && crc32fast::hash(&without) == checksum;
    if !good {
        return Err(error(SECTOR_BYTES, ReadErrorKind::Header));
    }
    let copy_lba = u64_le(&header, 32);
    if copy_lba >= disk.len_bytes() / SECTOR_BYTES {
        return Err(error(SECTOR_BYTES, ReadErrorKind::Cut { copy_lba }));
    }
    let place = u64_le(&header, 72).saturating_mul(SECTOR_BYTES);
    let bad_entries = || error(place, ReadErrorKind::Entries);
    if u32_le(&header, 80) != 128 || u32_le(&header, 84) != 128 {
        return Err(bad_entries());
    }
    let mut entries = vec![0; GPT_ENTRIES * GPT_ENTRY_BYTES];
    read(disk, place, &mut entries)?;
    if crc32fast::hash(&entries) != u32_le(&header, 88) {
        return Err(bad_entries());
    }
    let used = |(_, entry): &(usize, &[u8])| entry[..16].iter().any(|&byte| byte != 0);
    (1..)
        .zip(entries.chunks_exact(GPT_ENTRY_BYTES))
        .filter(used)
        .map(|(number, entry)| partition(disk, number, entry).map_err(|kind| error(place, kind)))
        .collect()
}

fn partition(
    disk: &dyn Payload,
    number: usize,
    entry: &[u8],
) -> Result<PartitionEntry, ReadErrorKind> {
    let (first, last) = (u64_le(entry, 32), u64_le(entry, 40));
    let off_disk = last >= disk.len_bytes() / SECTOR_BYTES || first > last;
    if off_disk {
        return Err(ReadErrorKind::Partition { number });
    }
    let (units, _) = entry[56..128].as_chunks::<2>();
    let units = units
        .iter()
        .map(|unit| u16::from_le_bytes(*unit))
        .take_while(|&unit| unit != 0);
    Ok(PartitionEntry {
        number,
        type_guid: stored_guid(&entry[..16]),
        guid: stored_guid(&entry[16..32]),
        name: char::decode_utf16(units)
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect(),
        start_bytes: first * SECTOR_BYTES,
        len_bytes: (last - first + 1) * SECTOR_BYTES,
    })
}

fn error(offset: u64, kind: ReadErrorKind) -> ReadError {
    ReadError { kind, offset }
}

fn read(disk: &dyn Payload, offset: u64, out: &mut [u8]) -> Result<(), ReadError> {
    if offset.saturating_add(out.len() as u64) > disk.len_bytes() {
        let end = io::Error::from(io::ErrorKind::UnexpectedEof);
        return Err(error(offset, ReadErrorKind::Io(end)));
    }
    disk.read_exact_at(offset, out)
        .map_err(|source| error(offset, ReadErrorKind::Io(source)))
}
