//! Reading a GPT, or the table of an MBR, within limits.

use std::io;
use std::ops::Range;

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
    /// No MBR that protects the GPT that is there.
    #[error("no protective MBR")]
    Mbr,
    /// Neither a GPT nor what protects one: the disk is empty, or another's. Beside the entries of
    /// an MBR, a GPT is one that was left from before, and counts as none.
    #[error("no GPT")]
    NoGpt,
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
        return Err(error(
            0,
            match has_gpt(disk)? && !has_partitions(disk)? {
                true => ReadErrorKind::Mbr,
                false => ReadErrorKind::NoGpt,
            },
        ));
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

/// Whether the table or its copy, in the last sector, begins as one.
fn has_gpt(disk: &dyn Payload) -> Result<bool, ReadError> {
    let last = (disk.len_bytes() / SECTOR_BYTES).saturating_sub(1);
    for lba in [1, last].into_iter().filter(|&lba| lba >= 1 && lba <= last) {
        let mut start = [0; GPT_SIGNATURE.len()];
        read(disk, lba * SECTOR_BYTES, &mut start)?;
        if start == *GPT_SIGNATURE {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether an MBR has partitions of its own. An entry over the GPT's header is what protects it,
/// with a wrong type.
fn has_partitions(disk: &dyn Payload) -> Result<bool, ReadError> {
    let entries = read_mbr(disk)?;
    let covers_header = |entry: &MbrEntry| entry.start_bytes <= SECTOR_BYTES;
    Ok(!entries.is_empty() && !entries.iter().any(covers_header))
}

/// An entry of an MBR that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MbrEntry {
    /// Number, from 1.
    pub number: usize,
    /// Type.
    pub type_id: u8,
    /// Whether a BIOS boots from it.
    pub is_active: bool,
    /// Where it starts.
    pub start_bytes: u64,
    /// How long it is.
    pub len_bytes: u64,
}

/// Reads the four entries of an MBR. There are none if the disk has no MBR, or one with an entry
/// that makes no sense: boot sectors of volumes end as an MBR does, and have other things there.
///
/// # Errors
/// If the disk can't be read.
pub fn read_mbr(disk: &dyn Payload) -> Result<Vec<MbrEntry>, ReadError> {
    const ENTRIES: Range<usize> = 446..510;
    const ENTRY_BYTES: usize = 16;
    let mut mbr = [0; 512];
    read(disk, 0, &mut mbr)?;
    let entries = mbr[ENTRIES].chunks_exact(ENTRY_BYTES).map(|entry| {
        let sectors = |at| u64::from(u32_le(entry, at)) * SECTOR_BYTES;
        (entry[0], entry[4], sectors(8), sectors(12))
    });
    let makes_sense = |(flag, type_id, start, len): (u8, u8, u64, u64)| {
        let is_there = start > 0 && len > 0 && start + len <= disk.len_bytes();
        flag & 0x7f == 0 && (type_id == 0 || is_there)
    };
    if mbr[510..] != [0x55, 0xaa] || !entries.clone().all(makes_sense) {
        return Ok(Vec::new());
    }
    Ok((1..)
        .zip(entries)
        .filter(|(_, (_, type_id, ..))| *type_id != 0)
        .map(
            |(number, (flag, type_id, start_bytes, len_bytes))| MbrEntry {
                number,
                type_id,
                is_active: flag != 0,
                start_bytes,
                len_bytes,
            },
        )
        .collect())
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
