//! The sections of a YAML become one [`Image`].
//!
//! [`Assembler`] knows LinuxKit's order and paths; [`standard`] what LinuxKit leaves out of every
//! image and what it adds.

mod assembler;
mod image;
pub mod sbom;
pub mod standard;

pub use assembler::{AssembleError, Assembler, FileEntry, FileKind, KernelFiles, PackedLayer};
pub use image::{Image, Kernel, Origin};
