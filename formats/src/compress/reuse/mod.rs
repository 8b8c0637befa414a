//! Deflate blocks of a gzip file, used again as they are.
//!
//! Most of a layer's bytes stand in large files, and are compressed already. A deflate block that
//! starts at least 32 KiB after the start of a file's bytes can refer to nothing before them
//! (RFC 1951 2), so it means the same wherever these bytes stand: it is copied, shifted to where
//! the bits before it end. Only a file's first bytes and its last block are compressed anew.
//!
//! [`GzipBlocks`] inflates a layer and remembers the blocks it saw; [`Splice`] makes a segment of
//! such blocks. What comes out depends on the layer's bytes alone.

mod inflate;
mod reader;
mod splice;

pub use reader::{Block, BlockLog, GzipBlocks};
pub use splice::Splice;

/// A block that holds more is not remembered, nor is anything of it held back.
pub(super) const MAX_BLOCK_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
