//! Bytes on disk: initrd archives and compression now, boot media next to them.
//!
//! This crate knows nothing of registries, YAML or images. It is given names, attributes and
//! bodies, and writes the same bytes for the same input: no clock, no random numbers, no
//! environment.

mod blocks;
pub mod compress;
pub mod cpio;
pub mod disk;
pub mod fat;
mod memory;
pub mod payload;
pub mod qcow2;
pub mod raw;
pub mod tarball;
pub mod vhd;
pub mod vmdk;

#[cfg(test)]
mod testing;
