//! Reading a file system, within limits.
//!
//! Nothing of the file is held but a few metadata blocks: tables are looked up where they lie, and
//! a walk holds the folders that it is in. So no number of the file's decides how much memory is
//! taken.

use std::io;
use std::sync::Mutex;

use crate::bounded::{from_fault, read, u16_le, u32_le, u64_le};
use crate::payload::Payload;

use super::format::{
    COMPRESSION_ZLIB, COMPRESSION_ZSTD, MAGIC, NONE_U64, SUPERBLOCK, VERSION, inode,
};

mod body;
mod inodes;
mod metadata;
mod tables;
mod walk;
mod xattrs;

pub use body::Body;
pub use walk::Walk;
pub use xattrs::Xattr;

use body::BodyPlace;
use metadata::{Cache, Compressor};
use tables::Tables;

/// What a reader accepts before it gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files, folders and everything else.
    pub entries: u64,
    /// Folders within folders.
    pub depth: usize,
    /// Length of one path in bytes.
    pub path_bytes: usize,
    /// Length of all paths and targets of symbolic links in bytes.
    pub names_bytes: u64,
    /// Length of the extended attributes of one name in bytes, with their names.
    pub xattr_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 8_000_000,
            depth: 128,
            path_bytes: 16 << 10,
            names_bytes: 1 << 30,
            xattr_bytes: 1 << 20,
        }
    }
}

/// Why a file system can't be read, and where.
#[derive(Debug, thiserror::Error)]
#[error("squashfs, at byte {offset}: {kind}")]
pub struct ReadError {
    /// What is wrong.
    pub kind: ReadErrorKind,
    /// Where in the file; of what stands in a metadata block, where that block starts.
    pub offset: u64,
}

/// What is wrong with a file system.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadErrorKind {
    /// No superblock.
    #[error("no squashfs starts here")]
    Superblock,
    /// A file system of a kind that is not read here.
    #[error("{what} is {value}, which is not supported")]
    Unsupported {
        /// The field.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// Compressed with what is not read here.
    #[error("it is compressed with {name}; only gzip and zstd are read")]
    Compression {
        /// What it is compressed with, as `mksquashfs -comp` calls it.
        name: &'static str,
    },
    /// Something contradicts itself.
    #[error("{what}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
    /// Something does not lie in its table.
    #[error("{what} does not lie in its table")]
    Outside {
        /// What should be there.
        what: &'static str,
    },
    /// Something lies behind the end.
    #[error("{what} lies behind the end of the file")]
    BeyondEnd {
        /// What should be there.
        what: &'static str,
    },
    /// A limit was passed.
    #[error("more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much was allowed.
        limit: u64,
    },
    /// The file can't be read.
    #[error("can't be read: {0}")]
    Io(#[source] io::Error),
}

from_fault!(ReadError, ReadErrorKind);

/// What the superblock says; nothing of it is checked but that it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Major and minor version.
    pub version: [u16; 2],
    /// What it is compressed with, as `mksquashfs -comp` calls it, or `unknown`.
    pub compression: &'static str,
    /// How many inodes there are: files with several names count once.
    pub inodes: u32,
    /// When it was made, in seconds since 1970.
    pub mtime: u32,
    /// Length of a block of data.
    pub block_bytes: u32,
    /// Length of the file system; what comes after is padding.
    pub used_bytes: u64,
    head: Head,
}

/// The other fields of the superblock.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    compression: u16,
    block_log: u16,
    fragments: u32,
    owners: u16,
    root: u64,
    owner_table: u64,
    xattr_table: u64,
    inode_table: u64,
    directory_table: u64,
    fragment_table: u64,
    export_table: u64,
}

/// Names of `COMPRESSION_ZLIB` (1) and what follows it.
const COMPRESSIONS: [&str; 6] = ["gzip", "lzma", "lzo", "xz", "lz4", "zstd"];

impl Summary {
    /// Reads the superblock.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(file: &(impl Payload + ?Sized)) -> Result<Self, ReadError> {
        let mut block = [0; SUPERBLOCK];
        read(file, 0, &mut block, "the superblock")?;
        if u32_le(&block, 0) != MAGIC {
            return Err(error(0, ReadErrorKind::Superblock));
        }
        let compression = u16_le(&block, 20);
        let name = usize::from(compression.wrapping_sub(1));
        Ok(Self {
            version: [u16_le(&block, 28), u16_le(&block, 30)],
            compression: COMPRESSIONS.get(name).unwrap_or(&"unknown"),
            inodes: u32_le(&block, 4),
            mtime: u32_le(&block, 8),
            block_bytes: u32_le(&block, 12),
            used_bytes: u64_le(&block, 40),
            head: Head {
                compression,
                block_log: u16_le(&block, 22),
                fragments: u32_le(&block, 16),
                owners: u16_le(&block, 26),
                root: u64_le(&block, 32),
                owner_table: u64_le(&block, 48),
                xattr_table: u64_le(&block, 56),
                inode_table: u64_le(&block, 64),
                directory_table: u64_le(&block, 72),
                fragment_table: u64_le(&block, 80),
                export_table: u64_le(&block, 88),
            },
        })
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File {
        /// Its length.
        len_bytes: u64,
    },
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink {
        /// What it points at.
        target: Vec<u8>,
    },
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// A name of the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SquashfsEntry {
    /// Path from the root, with `/` between names.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permissions: the lower twelve bits of `st_mode`.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When it was changed, in seconds since 1970.
    pub mtime: u32,
    /// How many names it is said to have; of folders, one more than it has folders within.
    pub links: u32,
    /// The number of its inode: the same for all names of one file.
    pub inode: u32,
    /// The number of its set of extended attributes, for [`SquashfsReader::xattrs`].
    pub xattrs: Option<u32>,
    body: BodyPlace,
}

/// A file system, read where it lies.
#[derive(Debug)]
pub struct SquashfsReader<P> {
    file: P,
    summary: Summary,
    compressor: Compressor,
    tables: Tables,
    cache: Mutex<Cache>,
}

impl<P: Payload> SquashfsReader<P> {
    /// Reads the superblock and where the tables are.
    ///
    /// # Errors
    /// If the file is no squashfs 4.0, is compressed with neither gzip nor zstd, or if a table is
    /// not in it.
    pub fn open(file: P) -> Result<Self, ReadError> {
        let summary = Summary::read(&file)?;
        let head = &summary.head;
        let unsupported =
            |at, what, value| Err(error(at, ReadErrorKind::Unsupported { what, value }));
        if summary.version != VERSION {
            let [major, minor] = summary.version.map(u64::from);
            return unsupported(28, "the version", major * 1000 + minor);
        }
        let compressor = match head.compression {
            COMPRESSION_ZLIB => Compressor::Zlib,
            COMPRESSION_ZSTD => Compressor::Zstd,
            number => {
                return match summary.compression {
                    "unknown" => unsupported(20, "the compression", u64::from(number)),
                    name => Err(error(20, ReadErrorKind::Compression { name })),
                };
            }
        };
        let log = u32::from(head.block_log);
        if !(12..=20).contains(&log) || summary.block_bytes != 1 << log {
            return unsupported(12, "the block size", u64::from(summary.block_bytes));
        }
        let tables = Tables::open(&file, head)?;
        Ok(Self {
            file,
            summary,
            compressor,
            tables,
            cache: Mutex::default(),
        })
    }

    /// What the superblock says.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }
}

fn damaged(offset: u64, what: &'static str) -> ReadError {
    error(offset, ReadErrorKind::Damaged { what })
}

fn limit(offset: u64, what: &'static str, limit: u64) -> ReadError {
    error(offset, ReadErrorKind::Limit { what, limit })
}

fn error(offset: u64, kind: ReadErrorKind) -> ReadError {
    ReadError { kind, offset }
}
