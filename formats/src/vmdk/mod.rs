//! VMware's virtual disks (VMware Technical Note "Virtual Disk Format 5.0").
//!
//! | function | createType | for |
//! | --- | --- | --- |
//! | [`write_stream_optimized`] | `streamOptimized` | import into ESXi and vCenter, OVA; can't be attached as it lies |
//! | [`write_monolithic_sparse`] | `monolithicSparse` | VMware Workstation and Fusion, QEMU |
//! | [`write_flat`] | `vmfs` | a descriptor beside a raw file, to be copied to a VMFS or NFS datastore |
//!
//! ESXi takes streamOptimized only with header version 3, valid line-end detection, compressed
//! grains and markers, and the grain directory at the end. The disk's length is rounded up to
//! whole grains of 64 KiB.

mod descriptor;
mod format;
mod grain;
mod read;
mod sparse;
mod stream;

pub use crate::blocks::ImageError;
pub use descriptor::{DiskId, FlatDisk, Options, read_flat, write_flat};
pub use format::GRAIN_BYTES;
pub use read::{ReadError, ReadErrorKind, SparseReader};
pub use sparse::write_monolithic_sparse;
pub use stream::write_stream_optimized;

#[cfg(test)]
mod tests;
