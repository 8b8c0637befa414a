//! Building a disk as extents.

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};

use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition_types::{self, Type};

use crate::memory::SparseMemory;
use crate::payload::{Extents, Payload, PlaceError};

use super::format::{
    ALIGNMENT_BYTES, ESP_START_BYTES, LOADER_START_BYTES, MBR_ACTIVE, MBR_CODE_BYTES, MBR_STATUS,
    SECTOR_BYTES, guid,
};

/// Code for machines without UEFI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BiosLoader {
    /// Code of the MBR.
    pub mbr: [u8; MBR_CODE_BYTES],
    /// What it loads, from [`LOADER_START_BYTES`] on.
    pub loader: Vec<u8>,
}

/// What a disk is besides its EFI system partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskOptions {
    /// What GUIDs and signature are made of. Derive it from the content.
    pub id: [u8; 16],
    /// Makes the disk boot on a BIOS too.
    pub bios: Option<BiosLoader>,
    /// Length of a partition for data, rounded up to whole MiB; 0 for none.
    pub data_bytes: u64,
    /// The disk is at least so long; rounded up to whole MiB.
    pub least_bytes: u64,
}

/// A partition of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// As it stands in the table.
    pub name: &'static str,
    /// Where it starts.
    pub start_bytes: u64,
    /// How long it is.
    pub len_bytes: u64,
}

/// A disk, to be written in any format.
#[derive(Debug)]
pub struct Disk {
    /// All of it.
    pub content: Extents,
    /// In the order of the table.
    pub partitions: Vec<Partition>,
}

/// Why a disk can't be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The loader does not fit before the first partition.
    #[error("the BIOS loader has {bytes} bytes, and there is room for {max_bytes}")]
    LoaderTooLarge {
        /// Its length.
        bytes: u64,
        /// The room.
        max_bytes: u64,
    },
    /// The table could not be written.
    #[error("the partition table could not be made: {what}")]
    Table {
        /// What the library said.
        what: String,
    },
    /// Extents overlap.
    #[error("the disk's parts overlap")]
    Place(#[from] PlaceError),
}

fn table_error(error: impl std::fmt::Display) -> DiskError {
    DiskError::Table {
        what: error.to_string(),
    }
}

/// Puts a disk together around the EFI system partition, which starts at [`ESP_START_BYTES`].
///
/// # Errors
/// If the loader is too long, or the table can't be made.
pub fn build(esp: impl Payload + 'static, options: &DiskOptions) -> Result<Disk, DiskError> {
    let aligned = |bytes: u64| bytes.next_multiple_of(ALIGNMENT_BYTES);
    let mut planned = vec![(
        Partition {
            name: "EFI system",
            start_bytes: ESP_START_BYTES,
            len_bytes: aligned(esp.len_bytes()),
        },
        partition_types::EFI,
    )];
    let mut end = ESP_START_BYTES + aligned(esp.len_bytes());
    if options.data_bytes > 0 {
        let data = Partition {
            name: "data",
            start_bytes: end,
            len_bytes: aligned(options.data_bytes),
        };
        end += data.len_bytes;
        planned.push((data, partition_types::LINUX_FS));
    }
    // The last MiB has the table's copy.
    let len_bytes = (end + ALIGNMENT_BYTES).max(aligned(options.least_bytes));

    let mut content = tables(len_bytes, options, &planned)?.into_extents()?;
    if let Some(bios) = &options.bios {
        let room = ESP_START_BYTES - LOADER_START_BYTES;
        if bios.loader.len() as u64 > room {
            return Err(DiskError::LoaderTooLarge {
                bytes: bios.loader.len() as u64,
                max_bytes: room,
            });
        }
        content.place(LOADER_START_BYTES, bios.loader.clone())?;
    }
    content.place(ESP_START_BYTES, esp)?;
    Ok(Disk {
        content,
        partitions: planned
            .into_iter()
            .map(|(partition, _)| partition)
            .collect(),
    })
}

/// MBR, GPT and its copy around one EFI system partition that starts at [`ESP_START_BYTES`], for a
/// medium that is something else as well.
pub(crate) fn hybrid_tables(
    len_bytes: u64,
    esp_bytes: u64,
    id: [u8; 16],
    bios: Option<&BiosLoader>,
) -> Result<Extents, DiskError> {
    let options = DiskOptions {
        id,
        bios: bios.cloned(),
        data_bytes: 0,
        least_bytes: 0,
    };
    let esp = Partition {
        name: "EFI system",
        start_bytes: ESP_START_BYTES,
        len_bytes: esp_bytes,
    };
    let planned = [(esp, partition_types::EFI)];
    Ok(tables(len_bytes, &options, &planned)?.into_extents()?)
}

/// MBR, GPT and its copy, on an otherwise empty disk.
fn tables(
    len_bytes: u64,
    options: &DiskOptions,
    planned: &[(Partition, Type)],
) -> Result<SparseMemory, DiskError> {
    let mut partitions = BTreeMap::new();
    for ((partition, kind), number) in planned.iter().zip(1_u8..) {
        let first_lba = partition.start_bytes / SECTOR_BYTES;
        // Given instead of gpt's random one: the disk's, counted on.
        let mut id = options.id;
        id[15] = id[15].wrapping_add(number);
        let entry = gpt::partition::Partition {
            part_type_guid: kind.clone(),
            part_guid: guid(id).parse().map_err(table_error)?,
            first_lba,
            last_lba: first_lba + partition.len_bytes / SECTOR_BYTES - 1,
            flags: 0,
            name: partition.name.to_owned(),
        };
        partitions.insert(u32::from(number), entry);
    }
    let disk_guid = guid(options.id).parse().map_err(table_error)?;
    let mut table = gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(LogicalBlockSize::Lb512)
        .create_from_device(SparseMemory::new(len_bytes), Some(disk_guid))
        .map_err(table_error)?;
    table.update_partitions(partitions).map_err(table_error)?;
    let mut memory = table.write().map_err(table_error)?;
    mbr(&mut memory, len_bytes, options).map_err(table_error)?;
    Ok(memory)
}

/// The protective MBR (UEFI specification 2.10, 5.2.3).
fn mbr(memory: &mut SparseMemory, len_bytes: u64, options: &DiskOptions) -> io::Result<()> {
    // All but the MBR itself, or as much as fits.
    let sectors = u32::try_from(len_bytes / SECTOR_BYTES - 1).unwrap_or(u32::MAX);
    let mut mbr = ProtectiveMBR::with_lb_size(sectors);
    let [a, b, c, d, ..] = options.id;
    mbr.set_disk_signature([a, b, c, d]);
    if let Some(bios) = &options.bios {
        mbr.set_bootcode(bios.mbr);
    }
    mbr.overwrite_lba0(memory).map_err(io::Error::other)?;
    if options.bios.is_some() {
        memory.seek(SeekFrom::Start(MBR_STATUS))?;
        memory.write_all(&[MBR_ACTIVE])?;
    }
    Ok(())
}
