//! Deflate blocks of a gzip file, used again as they are.
//!
//! A layer's bytes are compressed already. A deflate block that refers to nothing before the start of
//! a file's bytes means the same wherever these bytes stand: it is copied, shifted to where the bits
//! before it end. At least 32 KiB after the start that is so of every block (RFC 1951 2). Of the
//! blocks in which a file starts or ends, and of those near its start, the symbols that refer to
//! nothing before it become blocks of their own, with the codes of the block they are from. Only what
//! is left is compressed anew.
//!
//! [`GzipBlocks`] inflates a layer and remembers the blocks it saw, [`BlockLog`] gives the parts of
//! them that can be used, and [`Splice`] makes a segment of these. What comes out depends on the
//! layer's bytes alone.

mod codes;
mod inflate;
mod log;
mod reader;
mod splice;
mod symbols;

pub use log::{BlockLog, Part};
pub use reader::GzipBlocks;
pub use splice::Splice;

/// A block that holds more is not remembered, nor is anything of it held back.
pub(super) const MAX_BLOCK_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
