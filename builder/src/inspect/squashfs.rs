//! squashfs images, as far as their superblock says (Linux, fs/squashfs/squashfs_fs.h).

use super::{Bytes, Inspector, Section};

const SUPERBLOCK_BYTES: usize = 96;
const INODES_AT: usize = 4;
const BLOCK_BYTES_AT: usize = 12;
const COMPRESSION_AT: usize = 20;
const VERSION_AT: usize = 28;
const USED_AT: usize = 40;

const COMPRESSIONS: [&str; 6] = ["gzip", "lzma", "lzo", "xz", "lz4", "zstd"];

impl Inspector {
    pub(super) fn squashfs(&mut self, bytes: &Bytes) -> Section {
        let section = Section::of_kind("squashfs");
        let mut block = [0; SUPERBLOCK_BYTES];
        if let Err(error) = bytes.read_exact_at(0, &mut block) {
            self.problem(format!("the superblock can't be read: {error}"));
            return section;
        }
        let number = |at: usize, bytes: usize| {
            let mut number = [0; 8];
            number[..bytes].copy_from_slice(&block[at..at + bytes]);
            u64::from_le_bytes(number)
        };
        let compression = usize::try_from(number(COMPRESSION_AT, 2).wrapping_sub(1));
        let compression = compression.ok().and_then(|index| COMPRESSIONS.get(index));
        let used = number(USED_AT, 8);
        if used > bytes.len_bytes() {
            self.problem(format!(
                "the image is cut short: it has {} of {used} bytes",
                bytes.len_bytes()
            ));
        }
        section
            .text(
                "version",
                format!("{}.{}", number(VERSION_AT, 2), number(VERSION_AT + 2, 2)),
            )
            .text("compression", compression.unwrap_or(&"unknown"))
            .number("inode_count", number(INODES_AT, 4))
            .bytes("block_bytes", number(BLOCK_BYTES_AT, 4))
            .bytes("used_bytes", used)
    }
}
