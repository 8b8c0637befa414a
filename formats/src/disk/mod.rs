//! A disk to boot from: GPT, an EFI system partition, our BIOS loader, and room.
//!
//! | LBA | what |
//! | --- | --- |
//! | 0 | protective MBR, with the BIOS loader's first part |
//! | 1 to 33 | GPT header and entries (UEFI specification 2.10, 5.3) |
//! | 36 | the BIOS loader's second part, at a multiple of 2048 bytes |
//! | 2048 | EFI system partition: a [`FatVolume`](crate::fat::FatVolume) that holds kernel and initrd |
//! | after it | a partition for data, if asked for; room |
//! | last 33 | the GPT's copy |
//!
//! [`build`] gives the disk as extents, which the writers of raw disks, VMDK, qcow2 and VHD take.
//! The `gpt` crate writes the tables; what it would take from a random number is given by the
//! caller.

mod format;
mod read;
mod write;

pub use format::{ESP_START_BYTES, LOADER_START_BYTES, MBR_CODE_BYTES, SECTOR_BYTES};
pub use read::{MbrEntry, PartitionEntry, ReadError, ReadErrorKind, read_mbr, read_partitions};
pub(crate) use write::hybrid_tables;
pub use write::{BiosLoader, Disk, DiskError, DiskOptions, Partition, build};

#[cfg(test)]
mod tests;
