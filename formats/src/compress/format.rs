//! Constants of the compressed streams (RFC 1951, RFC 1952, RFC 8878) and of our use of them.

/// A body is cut into chunks of this many plain bytes; each becomes one segment.
///
/// All but the last chunk of a body have exactly this length, so a segment's plain length
/// follows from its place. A multiple of zstd's largest block (128 KiB): cutting costs nothing.
pub const SEGMENT_BYTES: usize = 1 << 20;

/// How far deflate looks back: the preset dictionary of a segment is this much of its body.
pub const WINDOW_BYTES: usize = 32 << 10;

/// Bodies up to this length are stored plain and compressed with the headers around them.
///
/// They are compressed again in every build, on one core: 4 KiB makes 1.2 % of an initrd of small
/// files (against 1 KiB) for some hundredths of a second; 16 KiB would make 4 % and cost ten times that.
pub const INLINE_BODY_BYTES: usize = 4096;

/// Literal bytes are compressed in runs of this length at most (gzip), or in groups of whole
/// entries that reach it (zstd): the memory that headers take.
pub(super) const LITERAL_RUN_BYTES: usize = 256 << 10;

/// gzip member header (RFC 1952 2.3): deflate, no flags, no time, no extra flags, OS unknown.
pub(super) const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// An empty final block with fixed Huffman codes (RFC 1951 3.2.6): bits 1, 01, 0000000.
pub(super) const DEFLATE_FINAL_BLOCK: [u8; 2] = [0x03, 0x00];

/// The longest stored deflate block (RFC 1951 3.2.4).
pub(super) const DEFLATE_STORED_MAX_BYTES: usize = 65_535;

/// Length of a stored block's header when it starts on a byte: type, LEN, NLEN.
pub(super) const DEFLATE_STORED_HEADER_BYTES: usize = 5;

/// zstd frame magic, as bytes (RFC 8878 3.1.1).
pub(super) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The largest zstd block (RFC 8878 3.1.1.2.4), and the window that it needs.
pub(super) const ZSTD_BLOCK_MAX_BYTES: usize = 128 << 10;

/// Smallest window we announce: a raw block of a header must fit (log2).
pub(super) const ZSTD_WINDOW_LOG_MIN: u32 = 17;

/// Largest window we use (log2): 8 MiB, what every decoder must support (RFC 8878 3.1.1.1.2)
/// and what the kernel allocates for it while it unpacks.
pub(super) const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Bytes of a zstd block header.
pub(super) const ZSTD_BLOCK_HEADER_BYTES: usize = 3;

/// `Block_Type` of blocks that hold their bytes as they are.
pub(super) const ZSTD_BLOCK_RAW: u32 = 0;

/// `Block_Type` of blocks that hold one byte to repeat.
pub(super) const ZSTD_BLOCK_RLE: u32 = 1;

/// `Block_Type` of compressed blocks.
pub(super) const ZSTD_BLOCK_COMPRESSED: u32 = 2;
