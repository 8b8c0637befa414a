//! On-disk structures. All numbers are little-endian.

/// `SQUASHFS_MAGIC`: "hsqs".
pub(super) const MAGIC: u32 = 0x7371_7368;

/// Length of a block of data.
pub const BLOCK_BYTES: usize = 128 << 10;

/// Its logarithm, which the superblock repeats.
const BLOCK_LOG: u16 = 17;

/// `ZLIB_COMPRESSION`.
pub(super) const COMPRESSION_ZLIB: u16 = 1;

/// `ZSTD_COMPRESSION`, which is read only.
pub(super) const COMPRESSION_ZSTD: u16 = 6;

/// Version 4.0.
pub(super) const VERSION: [u16; 2] = [4, 0];

/// Flag: no extended attributes.
const FLAG_NO_XATTRS: u16 = 0x200;

/// A table that is not there, an inode without fragment or extended attributes.
pub(super) const NONE_U64: u64 = u64::MAX;
pub(super) const NONE_U32: u32 = u32::MAX;

/// Length of the superblock, in memory.
pub(super) const SUPERBLOCK: usize = 96;

/// Length of the superblock.
pub(super) const SUPERBLOCK_BYTES: u64 = SUPERBLOCK as u64;

/// Plain length of a metadata block.
pub(super) const METADATA_BYTES: usize = 8192;

/// In the length before a metadata block: it is stored.
pub(super) const METADATA_STORED: u16 = 1 << 15;

/// In the length of a block of data: it is stored.
pub(super) const DATA_STORED: u32 = 1 << 24;

/// Entries under one header of a directory.
pub(super) const DIRECTORY_RUN: usize = 256;

/// Longest name.
pub(super) const MAX_NAME_BYTES: usize = 256;

/// Longest target of a symbolic link.
pub(super) const MAX_TARGET_BYTES: usize = 65_535;

/// Longest value of an extended attribute that Linux has.
pub(super) const MAX_XATTR_BYTES: usize = 65_536;

/// What names of extended attributes start with, by the number of their kind.
pub(super) const XATTR_PREFIXES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

/// In the number of an extended attribute's kind: its value stands with another one.
pub(super) const XATTR_ELSEWHERE: u16 = 1 << 8;

/// The file system is whole pages, so that it can be mounted from a disk.
pub(super) const PADDING_BYTES: u64 = 4096;

/// Types of inodes. In directories stand the basic ones only.
pub(super) mod inode {
    pub(crate) const FOLDER: u16 = 1;
    pub(crate) const FILE: u16 = 2;
    pub(crate) const SYMLINK: u16 = 3;
    pub(crate) const BLOCK_DEVICE: u16 = 4;
    pub(crate) const CHAR_DEVICE: u16 = 5;
    pub(crate) const FIFO: u16 = 6;
    /// Only read.
    pub(crate) const SOCKET: u16 = 7;
    /// What an extended type is more than its basic one.
    pub(crate) const EXTENDED: u16 = 7;
}

/// What stands at the start.
#[derive(Debug)]
pub(super) struct Superblock {
    pub(super) inodes: u32,
    pub(super) mtime: u32,
    pub(super) fragments: u32,
    pub(super) owners: u16,
    pub(super) root: u64,
    pub(super) bytes: u64,
    pub(super) owner_table: u64,
    pub(super) xattr_table: u64,
    pub(super) inode_table: u64,
    pub(super) directory_table: u64,
    pub(super) fragment_table: u64,
}

impl Superblock {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let flags = if self.xattr_table == NONE_U64 {
            FLAG_NO_XATTRS
        } else {
            0
        };
        let block_bytes = 1_u32 << BLOCK_LOG;
        for word in [MAGIC, self.inodes, self.mtime, block_bytes, self.fragments] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for half in [COMPRESSION_ZLIB, BLOCK_LOG, flags, self.owners] {
            out.extend_from_slice(&half.to_le_bytes());
        }
        for half in VERSION {
            out.extend_from_slice(&half.to_le_bytes());
        }
        for long in [
            self.root,
            self.bytes,
            self.owner_table,
            self.xattr_table,
            self.inode_table,
            self.directory_table,
            self.fragment_table,
            // No table for NFS.
            NONE_U64,
        ] {
            out.extend_from_slice(&long.to_le_bytes());
        }
        out
    }
}

const _: () = assert!(BLOCK_BYTES == 1 << BLOCK_LOG);

/// A device's number as Linux writes it (`new_encode_dev`).
pub(super) fn device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// Major and minor number out of a device's number (`new_decode_dev`).
pub(super) fn device_numbers(device: u32) -> (u32, u32) {
    let minor = (device & 0xff) | ((device >> 12) & !0xff);
    ((device >> 8) & 0xfff, minor)
}
