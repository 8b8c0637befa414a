//! Microsoft's virtual hard disks (Virtual Hard Disk Image Format Specification 1.0).
//!
//! [`write_fixed`] writes the raw disk and a footer, which is what Azure takes;
//! [`write_dynamic`] leaves blocks of 2 MiB out that are zeros, for Hyper-V and VirtualBox. The
//! disk's length is rounded up to whole MiB, as Azure wants it.

mod format;
mod read;
mod write;

pub use crate::blocks::ImageError;
pub use read::{ReadError, ReadErrorKind, VhdReader};
pub use write::{write_dynamic, write_fixed};

#[cfg(test)]
mod tests;
