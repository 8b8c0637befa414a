//! Undoing a blob's compression.
//!
//! The format is told from the first bytes, not from the media type: registries are full of
//! layers whose media type says otherwise.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use formats::compress::reuse::{BlockLog, GzipBlocks};

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b, 0x08];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// A frame to be skipped (RFC 8878 3.1.2), which pzstd begins with; the first byte's lower half may be
/// anything.
const ZSTD_SKIPPABLE_MAGIC: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];
const XZ_MAGIC: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
const LZ4_MAGIC: &[u8] = &[0x04, 0x22, 0x4d, 0x18];
/// So many bytes tell every compression.
pub(crate) const MAGIC_BYTES: usize = 10;
/// zstd's own default: larger windows need a flag there too, and memory here.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
const BUFFER_BYTES: usize = 128 << 10;

/// How a blob is compressed (image-spec, layer.md, media types `+gzip`, `+zstd` and plain).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobCompression {
    /// RFC 1952, one or more members.
    Gzip,
    /// RFC 8878, one or more frames.
    Zstd,
    /// A plain tar.
    None,
}

impl BlobCompression {
    /// Told from the first bytes of a blob.
    pub fn sniff(start: &[u8]) -> Self {
        if start.starts_with(GZIP_MAGIC) {
            BlobCompression::Gzip
        } else if start.starts_with(ZSTD_MAGIC) || is_skippable(start) {
            BlobCompression::Zstd
        } else {
            BlobCompression::None
        }
    }
}

/// What a file is compressed with that is no compression of layers. That a tar begins so with the name
/// of its first file can't be by chance.
pub(crate) fn other_compression(start: &[u8]) -> Option<&'static str> {
    // The size of bzip2's blocks is a digit, and then comes pi.
    let is_bzip2 =
        matches!(start, [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..] if rest.starts_with(b"1AY&SY"));
    match start {
        _ if start.starts_with(XZ_MAGIC) => Some("xz"),
        _ if start.starts_with(LZ4_MAGIC) => Some("lz4"),
        _ if is_bzip2 => Some("bzip2"),
        _ => None,
    }
}

fn is_skippable(start: &[u8]) -> bool {
    let [first, rest @ ..] = ZSTD_SKIPPABLE_MAGIC;
    start.first().is_some_and(|byte| byte & 0xf0 == first) && start[1..].starts_with(&rest)
}

/// The uncompressed bytes of a blob, whatever its compression. When they are exhausted the blob has
/// been read to its last byte.
pub struct Plain<'a> {
    /// The bytes.
    pub reader: Box<dyn Read + Send + 'a>,
    /// What is known of the deflate blocks they come from, where that was asked for and the blob
    /// is gzip.
    pub blocks: Option<BlockLog>,
}

/// Undoes a blob's compression, told from its first bytes; with `remember_blocks` a gzip blob's
/// deflate blocks can be used again.
pub fn decompress<'a, R: Read + Send + 'a>(
    blob: R,
    remember_blocks: bool,
) -> io::Result<Plain<'a>> {
    let mut blob = BufReader::with_capacity(BUFFER_BYTES, blob);
    // The first read may be short (it comes from a network).
    let mut start = Vec::new();
    (&mut blob)
        .take(MAGIC_BYTES as u64)
        .read_to_end(&mut start)?;
    if let Some(name) = other_compression(&start) {
        let message = format!(
            "it is compressed with {name}, and layers are compressed with gzip, zstd or not at all"
        );
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    let format = BlobCompression::sniff(&start);
    let blob = BufReader::with_capacity(BUFFER_BYTES, io::Cursor::new(start).chain(blob));
    let mut blocks = None;
    let reader: Box<dyn Read + Send + 'a> = match format {
        BlobCompression::Gzip if remember_blocks => {
            let (reader, log) = GzipBlocks::new(blob)?;
            blocks = Some(log);
            Box::new(reader)
        }
        BlobCompression::Gzip => Box::new(GzipMembers {
            decoder: Some(GzDecoder::new(blob)),
            tail: None,
        }),
        BlobCompression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(blob)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
        BlobCompression::None => Box::new(blob),
    };
    Ok(Plain { reader, blocks })
}

/// All members of a gzip file; bytes after the last member that are no member are read over, as
/// gzip does (containerd#4628).
struct GzipMembers<B> {
    decoder: Option<GzDecoder<B>>,
    tail: Option<B>,
}

impl<B: BufRead> Read for GzipMembers<B> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        while let Some(decoder) = &mut self.decoder {
            let n = decoder.read(buf)?;
            if n > 0 {
                return Ok(n);
            }
            let Some(decoder) = self.decoder.take() else {
                break;
            };
            let mut rest = decoder.into_inner();
            // One byte is enough to tell padding from a further member at almost no cost; the
            // decoder checks the rest of the header.
            if rest.fill_buf()?.first() == Some(&GZIP_MAGIC[0]) {
                self.decoder = Some(GzDecoder::new(rest));
            } else {
                self.tail = Some(rest);
            }
        }
        if let Some(tail) = &mut self.tail {
            io::copy(tail, &mut io::sink())?;
        }
        Ok(0)
    }
}
