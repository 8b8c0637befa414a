//! What is patched into the loader when a medium is written: a block of bytes with a magic before
//! it. The program that patches it and the loader are both built with this file.
//!
//! Numbers are little-endian. An extent is where it starts on the whole medium (8 bytes), its length
//! (8) and the CRC-32 of its bytes (4), and 4 bytes of nothing.

/// How the block starts.
pub const MAGIC: [u8; 16] = *b"lkbuild UEFI 1\r\n";
/// The kernel's extent.
pub const KERNEL_AT: usize = 16;
/// The initrd's extent.
pub const INITRD_AT: usize = 40;
/// Where in an extent its length is.
pub const EXTENT_LEN_AT: usize = 8;
/// Where in an extent its checksum is.
pub const EXTENT_CRC32_AT: usize = 16;
/// RAM that the system needs, in bytes (8 bytes).
pub const RAM_AT: usize = 64;
/// Length of the command line (8 bytes).
pub const CMDLINE_LEN_AT: usize = 72;
/// The command line, UTF-8.
pub const CMDLINE_AT: usize = 80;
/// Room for it.
pub const CMDLINE_BYTES: usize = 2048;
/// Length of the block.
pub const BLOCK_BYTES: usize = CMDLINE_AT + CMDLINE_BYTES;

/// The kernel's path on the FAT volume, with `/` between names.
pub const KERNEL_FILE: &str = "boot/kernel";
/// The initrd's path.
pub const INITRD_FILE: &str = "boot/initrd.img";
