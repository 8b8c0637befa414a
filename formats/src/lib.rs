//! Bytes on disk: initrd archives and compression now, boot media next to them.
//!
//! This crate knows nothing of registries, YAML or images. It is given names, attributes and
//! bodies, and writes the same bytes for the same input: no clock, no random numbers, no
//! environment.
//!
//! | module | what |
//! | --- | --- |
//! | [`compress`] | bodies compressed once, and gzip or zstd streams stitched of them |
//! | [`cpio`] | the initrd's archives |
//! | [`tarball`] | tar with PAX records |
//! | [`payload`] | what all media are written from: bytes by place, sparse |
//! | [`fat`], [`disk`] | a volume for firmware, and a GPT disk around it |
//! | [`boot`] | our loaders for BIOS and UEFI, and what they are told |
//! | [`pe`], [`uki`] | programs for UEFI; a system as one of them |
//! | [`medium`] | the volume with loader, kernel and initrd that every medium is made around |
//! | [`iso`] | ISO 9660: CDs, and what boots from CD, stick and disk alike |
//! | [`raw`], [`vmdk`], [`qcow2`], [`vhd`], [`gcp`] | disks as files |
//! | [`ova`] | a virtual appliance: description, checksums and disk in one tar |
//! | [`squashfs`] | a compressed file system to be mounted |
//!
//! Each format has its on-disk structures in `format.rs`, a writer, and a reader within limits
//! that is a fuzz target. Outside programs judge what is written.

mod blocks;
pub mod boot;
mod bounded;
pub mod compress;
pub mod cpio;
pub mod disk;
pub mod fat;
pub mod gcp;
pub mod iso;
pub mod medium;
mod memory;
pub mod ova;
pub mod payload;
pub mod pe;
pub mod qcow2;
pub mod raw;
pub mod squashfs;
pub mod tarball;
pub mod uki;
pub mod vhd;
pub mod vmdk;

#[cfg(test)]
mod testing;
