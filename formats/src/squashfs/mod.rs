//! squashfs 4.0: a compressed file system to be mounted (Linux, `fs/squashfs/squashfs_fs.h` and
//! Documentation/filesystems/squashfs.rst).
//!
//! | part | what |
//! | --- | --- |
//! | superblock | where the tables are |
//! | data | blocks of 128 KiB, each compressed on its own; files that are shorter share fragments |
//! | inodes, directories | in metadata blocks of 8 KiB |
//! | fragments, owners, extended attributes | tables, each with an index |
//!
//! [`SquashfsWriter`] takes a tree depth first and writes data as it comes; inodes and directories
//! are kept compressed until the end, some 20 to 60 bytes for each file. Hard links stay hard
//! links, and extended attributes of the three kinds that squashfs knows are kept. Everything is
//! compressed with zlib, which every kernel with squashfs can read.
//!
//! [`SquashfsReader`] reads what is compressed with gzip (zlib) or zstd, from any writer, within
//! limits: [`SquashfsReader::walk`] for the names, [`SquashfsReader::body`] for a file's bytes.

mod data;
mod entry;
mod format;
mod metadata;
mod read;
mod write;
mod xattr;

pub use entry::{Attributes, FileRef, Kind, SquashfsError};
pub use format::BLOCK_BYTES;
pub use read::{
    Body, EntryKind, Limits, ReadError, ReadErrorKind, SquashfsEntry, SquashfsReader, Summary,
    Walk, Xattr,
};
pub use write::SquashfsWriter;

#[cfg(test)]
mod tests;
