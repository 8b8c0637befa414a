//! A layer blob becomes checked entries.
//!
//! [`read_layer`] takes the bytes of a blob as they arrive, undoes their compression
//! ([`decompress`]), walks the tar ([`archive`], [`pax`], [`sparse`]) and hands each entry with
//! its body to a visitor. Names are cleaned ([`path`]), whiteouts are told from files
//! (image-spec, layer.md, "Whiteouts"), and every size that an attacker chooses is bounded
//! ([`Limits`]).
//!
//! The `tar` crate decodes the header blocks; the walk from block to block is our own, because
//! that crate cuts PAX records at newlines (a binary xattr value may hold one, and a `size`
//! record after it would then be missed), reads extension headers without a bound, and does not
//! know PAX sparse files.

pub mod archive;
pub mod decompress;
mod entry;
mod error;
mod limits;
pub mod path;
pub mod pax;
mod read;
pub mod sparse;

pub use entry::{Entry, EntryKind, Meta, Xattr};
pub use error::{LayerError, LayerErrorKind};
pub use limits::{Limits, RATIO_FREE_BYTES};
pub use path::Escaped;
pub use read::{LayerSummary, Names, read_archive, read_layer, read_plain_layer};

#[cfg(test)]
mod tests;
