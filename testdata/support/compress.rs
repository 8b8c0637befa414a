//! How a layer's tar is compressed.

use std::io::Write;

/// Compression of a layer blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// One gzip member (RFC 1952).
    Gzip,
    /// Several gzip members, one after the other, cut without regard to entries.
    GzipMembers(usize),
    /// One zstd frame (RFC 8878).
    Zstd,
    /// Several zstd frames.
    ZstdFrames(usize),
    /// The bare tar.
    None,
}

impl Compression {
    /// Compresses `plain`.
    pub fn compress(self, plain: &[u8]) -> Vec<u8> {
        match self {
            Compression::Gzip => gzip(plain),
            Compression::GzipMembers(members) => {
                pieces(plain, members).into_iter().flat_map(gzip).collect()
            }
            Compression::Zstd => zstd(plain),
            Compression::ZstdFrames(frames) => {
                pieces(plain, frames).into_iter().flat_map(zstd).collect()
            }
            Compression::None => plain.to_vec(),
        }
    }

    /// What the media type of a layer ends in.
    pub fn suffix(self) -> &'static str {
        match self {
            Compression::Gzip | Compression::GzipMembers(_) => "+gzip",
            Compression::Zstd | Compression::ZstdFrames(_) => "+zstd",
            Compression::None => "",
        }
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(plain).unwrap();
    out.finish().unwrap()
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(plain, 3).unwrap()
}

/// `plain` in `count` pieces (one, if it is empty), the last one maybe shorter.
fn pieces(plain: &[u8], count: usize) -> Vec<&[u8]> {
    if plain.is_empty() {
        return vec![plain];
    }
    plain.chunks(plain.len().div_ceil(count.max(1))).collect()
}
