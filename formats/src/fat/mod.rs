//! FAT volumes (Microsoft FAT File System Specification 1.03), for what firmware boots from.
//!
//! A [`FatVolume`] is planned from names and lengths before anybody reads a file: each file is one
//! contiguous extent, so that loaders which know no file system and other directories of the same
//! medium can point at it. The `fatfs` crate lays the volume out; two faults of its folders are
//! repaired (see `repair`), and [`FatReader`] proves where every file is.

mod read;
mod repair;
mod write;

pub use read::{FatEntry, FatReader, Limits, ReadError, ReadErrorKind};
pub use write::{FatError, FatVolume, FileSpec, VolumeOptions};

#[cfg(test)]
mod tests;
