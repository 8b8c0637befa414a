//! The sections of a YAML become one [`Image`].
//!
//! [`Assembler`] knows LinuxKit's order and paths; [`standard`] what LinuxKit leaves out of every
//! image and what it adds.

mod assembler;
mod error;
mod image;
pub mod sbom;
pub mod standard;

pub use assembler::{Assembler, FileEntry, FileKind, Given, KernelFiles, PackedLayer};
pub use error::AssembleError;
pub use image::{Image, Kernel, Origin};
