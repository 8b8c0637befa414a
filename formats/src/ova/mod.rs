//! Virtual appliances: a machine's description and its disk in one tar (DMTF DSP0243, "Open
//! Virtualization Format Specification" 1.1).
//!
//! | place | file | what |
//! | --- | --- | --- |
//! | first | `NAME.ovf` | the machine: firmware, processors, memory, controllers, network |
//! | second | `NAME.mf` | SHA-256 of the other two |
//! | third | `NAME-disk1.vmdk` | the disk, as [`streamOptimized`](crate::vmdk) |
//!
//! Importers read the tar as a stream, so the description stands first (DSP0243, 5.3). It names
//! the disk's length and checksum, which are known last: [`write_ova`] writes the disk first,
//! behind room for the rest; [`stream_ova`], which can't go back, makes the disk twice. Both give
//! the same bytes.

mod archive;
mod descriptor;
mod format;
mod read;
mod write;

pub use archive::{OvaFile, OvaReader};
pub use descriptor::{Controller, Firmware, Machine, NameError, describe};
pub use read::{
    Descriptor, Device, DiskEntry, FileEntry, ReadError, ReadErrorKind, read_descriptor,
    read_manifest,
};
pub use write::{Options, OvaError, stream_ova, write_ova};

#[cfg(test)]
mod tests;
