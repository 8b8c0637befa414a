//! Bodies compressed once, and one stream made of them.
//!
//! A file body is compressed on its own, in **segments** of at most [`SEGMENT_BYTES`] of it, and
//! can later stand at any place of any compressed stream. A [`Stitcher`] joins such bodies with
//! small new runs (cpio headers, padding) to one gzip member or to a row of zstd frames. So a
//! layer is compressed once, however often and under whatever path its files are used.
//!
//! | | segment | stream |
//! | --- | --- | --- |
//! | gzip | non-final deflate blocks that end on a byte (RFC 1951 3.2.3); refers to nothing outside its body | one member (RFC 1952): literal runs, segments, an empty final block, the joined CRC-32 |
//! | zstd | blocks of one frame (RFC 8878 3.1.1.2), none marked last | frames that end at entry boundaries, because the kernel reads each as an archive of its own |
//! | none | the bytes | the bytes |
//!
//! Bodies of at most [`INLINE_BODY_BYTES`] are kept as they are and compressed together with the
//! headers around them: alone, they would not compress.
//!
//! Which bytes come out depends on the input and the [`Compression`] alone: not on the number of
//! threads, nor on whether a segment was made now or read from a cache, nor on how the caller cut
//! what it wrote.
//!
//! ```
//! use formats::compress::{encode_body, Compression, Stitcher};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let compression: Compression = "gzip".parse()?;
//! let text = vec![b'x'; 3 << 20];
//! let (body, segments) = encode_body(compression, &text)?;
//! let mut stream = Stitcher::new(Vec::new(), compression)?;
//! stream.literal(b"header")?;
//! stream.body(body, segments.iter().map(std::io::Result::Ok))?;
//! stream.entry_boundary()?;
//! let gzip_bytes = stream.finish()?;
//! # assert!(gzip_bytes.len() < 10_000);
//! # Ok(()) }
//! ```

mod compression;
mod decode;
mod deflate;
mod encode;
mod format;
pub mod reuse;
mod runs;
mod stitch;
mod zstd_frame;

pub use compression::{Compression, ParseCompressionError};
pub use decode::{BodyDecoder, DecodeError, decode_body};
pub use encode::{BodyEncoder, BodyInfo, Scratch, compress_segment, encode_body};
pub use format::{INLINE_BODY_BYTES, SEGMENT_BYTES, WINDOW_BYTES};
pub use stitch::Stitcher;

#[cfg(test)]
mod tests;
