//! ISO 9660: CDs, and what boots from CD, stick and disk alike.
//!
//! | part | where it is specified |
//! | --- | --- |
//! | volume descriptors, path tables, directories | ECMA-119, 4th edition (ISO 9660) |
//! | system use fields: continuations | SUSP 1.12 (IEEE P1281) |
//! | long names, modes, owners, links, devices | Rock Ridge: RRIP 1.12 (IEEE P1282) |
//! | names for Windows | Joliet 1 |
//! | boot catalog | El Torito 1.0; UEFI specification 2.10, 13.3.2 |
//!
//! [`IsoTree`] is what a volume holds, [`plan`] lays it out: all but the files' bytes, which the
//! caller puts where the plan says. [`boot_iso`] makes the hybrid image: a directory tree and a
//! boot catalog around the FAT volume of [`medium`](crate::medium), a partition table in the system
//! area, one copy of kernel and initrd. [`IsoReader`] reads volumes, within limits.
//!
//! ```text
//! byte       0  MBR with the BIOS loader's first part
//!          512  GPT: one partition, the EFI system partition
//!       18,432  the BIOS loader, which the MBR and the boot catalog load
//!       32,768  volume descriptors, boot catalog, path tables, directories
//!    1,048,576  the FAT volume; kernel, initrd and command line in it are files of the ISO too
//!          end  the GPT's copy
//! ```
//!
//! Folders may be nested deeper than the eight levels of ECMA-119, 6.8.2.1, as with mkisofs' `-D`:
//! no system that reads Rock Ridge minds.

mod boot;
mod catalog;
mod format;
mod layout;
mod names;
mod read;
mod rock_ridge;
mod tree;

pub use boot::{BootIso, BootIsoError, VOLUME_START_BYTES, boot_iso};
pub use format::SECTOR_BYTES;
pub use layout::{IsoOptions, IsoPlan, plan};
pub use read::{
    BootEntry, EntryKind, IsoEntry, IsoReader, Limits, Names, ReadError, ReadErrorKind,
};
pub use tree::{Attributes, FileSource, IsoError, IsoTree};

#[cfg(test)]
mod tests;
