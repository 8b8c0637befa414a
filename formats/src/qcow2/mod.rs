//! QEMU's disks (QEMU's docs/interop/qcow2.txt, version 3).
//!
//! Clusters of zeros take no room. The others are compressed, in parallel, and stored as they are
//! where that saves little: then the guest reads and overwrites them at full speed.

mod format;
mod read;
mod write;

pub use crate::blocks::ImageError;
pub use read::{Qcow2Reader, ReadError, ReadErrorKind};
pub use write::write_qcow2;

#[cfg(test)]
mod tests;
