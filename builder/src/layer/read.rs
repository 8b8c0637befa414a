//! A whole layer, from the blob's first byte to its last.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use super::archive::{Archive, RawEntry, read_error};
use super::decompress::decompress;
use super::entry::{Entry, EntryKind};
use super::error::{LayerError, LayerErrorKind};
use super::limits::{Bound, Limits};
use super::path::{NAME_MAX_BYTES, clean, components, split};

const WHITEOUT_PREFIX: &[u8] = b".wh.";
const OPAQUE_MARKER: &[u8] = b".wh..wh..opq";
/// aufs kept its own files under such names; they are no part of the image.
const AUFS_PREFIX: &[u8] = b".wh..wh.";

/// How names that begin with `.wh.` are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// As in an image layer: whiteouts.
    Layer,
    /// As in any other tar, a kernel.tar for instance: they are names like others.
    Plain,
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerSummary {
    /// SHA-256 of the uncompressed bytes: the layer's diff ID (image-spec, config.md).
    pub diff_id: [u8; 32],
    /// Uncompressed bytes.
    pub uncompressed_bytes: u64,
    /// Entries seen, whiteouts and dropped ones included.
    pub entries: u64,
}

/// Reads a layer blob to its last byte and hands every entry, in order, to `visit` with its body
/// (empty but for files). A body need not be read to its end. Compression is told from the bytes.
///
/// The blob's own digest is its reader's affair; the caller compares the diff ID.
pub fn read_layer<'a, R, F>(blob: R, limits: &Limits, visit: F) -> Result<LayerSummary, LayerError>
where
    R: Read + Send + 'a,
    F: FnMut(Entry, &mut dyn Read) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
{
    let plain = decompress(blob, false).map_err(|e| read_error(e).at(None, 0))?;
    read_plain_layer(plain.reader, limits, visit)
}

/// As [`read_layer`], for a layer whose compression is undone.
pub fn read_plain_layer<R, F>(
    plain: R,
    limits: &Limits,
    visit: F,
) -> Result<LayerSummary, LayerError>
where
    R: Read,
    F: FnMut(Entry, &mut dyn Read) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
{
    let mut metered = Metered {
        inner: plain,
        hasher: Sha256::new(),
        bytes: 0,
        bound: limits.unpacked(),
    };
    let entries = read_archive(&mut metered, limits, Names::Layer, visit)?;
    // What stands after the end marker is part of the diff ID all the same.
    io::copy(&mut metered, &mut io::sink()).map_err(|e| read_error(e).at(None, metered.bytes))?;
    Ok(LayerSummary {
        diff_id: metered.hasher.finalize().into(),
        uncompressed_bytes: metered.bytes,
        entries,
    })
}

/// Reads a plain tar up to its end marker; see [`read_layer`]. Returns the number of entries.
pub fn read_archive<R, F>(
    tar: R,
    limits: &Limits,
    names: Names,
    mut visit: F,
) -> Result<u64, LayerError>
where
    R: Read,
    F: FnMut(Entry, &mut dyn Read) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
{
    let mut archive = Archive::new(tar, limits);
    let bound = limits.unpacked();
    let mut entries = 0u64;
    let mut body_bytes = 0u64;
    let mut metadata_bytes = 0u64;
    while let Some(mut raw) = archive.next_entry()? {
        let offset = archive.offset();
        entries += 1;
        if entries > limits.entries {
            let limit = LayerErrorKind::Limit {
                what: "entries in one layer",
                limit: limits.entries,
                flag: "max-layer-entries",
            };
            return Err(limit.at(Some(&raw.name), offset));
        }
        let interpreted =
            interpret(&mut raw, names).map_err(|kind| kind.at(Some(&raw.name), offset))?;
        if let Some(entry) = interpreted {
            metadata_bytes = metadata_bytes.saturating_add(entry.metadata_bytes());
            if metadata_bytes > limits.metadata_bytes {
                let limit = LayerErrorKind::Limit {
                    what: "bytes of paths, links and attributes in one layer",
                    limit: limits.metadata_bytes,
                    flag: "max-metadata-bytes",
                };
                return Err(limit.at(Some(&raw.name), offset));
            }
            // The holes of a sparse file are not among the bytes that are read.
            if let EntryKind::File { size } = entry.kind {
                body_bytes = body_bytes.saturating_add(size);
                if body_bytes > bound.limit {
                    return Err(LayerErrorKind::from(bound).at(Some(&raw.name), offset));
                }
            }
            // A whiteout may come with content, which is no part of the image.
            let mut body: Box<dyn Read> = match entry.kind {
                EntryKind::File { .. } => archive.body(&raw),
                _ => Box::new(io::empty()),
            };
            visit(entry, &mut body).map_err(|e| visitor_error(e).at(Some(&raw.name), offset))?;
        }
    }
    Ok(entries)
}

/// Gives a raw entry its meaning; `None` for what is no part of the image.
fn interpret(raw: &mut RawEntry, names: Names) -> Result<Option<Entry>, LayerErrorKind> {
    let mut path = clean(&raw.name);
    let mut kind = match raw.type_flag {
        b'0' | b'7' => EntryKind::File { size: raw.size },
        b'1' => EntryKind::HardLink {
            target: clean(&raw.link),
        },
        b'2' if raw.link.is_empty() => return Err(LayerErrorKind::Name("a symlink to nothing")),
        b'2' => EntryKind::Symlink {
            target: raw.link.clone(),
        },
        b'3' => EntryKind::CharDevice {
            major: raw.device.0,
            minor: raw.device.1,
        },
        b'4' => EntryKind::BlockDevice {
            major: raw.device.0,
            minor: raw.device.1,
        },
        b'5' => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        other => return Err(LayerErrorKind::UnknownType(char::from(other))),
    };
    if path.is_empty() && kind != EntryKind::Directory {
        return Err(LayerErrorKind::RootType);
    }
    if names == Names::Layer {
        let (folder, name) = split(&path);
        // A whiteout is no folder: what claims to lie in one is dropped like aufs's own files.
        if components(folder).any(|c| c.starts_with(WHITEOUT_PREFIX)) {
            return Ok(None);
        }
        if name == OPAQUE_MARKER {
            kind = EntryKind::Opaque;
            path = folder.to_vec();
        } else if name.starts_with(AUFS_PREFIX) {
            return Ok(None);
        } else if let Some(hidden) = name.strip_prefix(WHITEOUT_PREFIX) {
            if matches!(hidden, b"" | b"." | b"..") {
                return Err(LayerErrorKind::EmptyWhiteout);
            }
            kind = EntryKind::Whiteout;
            path = [
                folder,
                if folder.is_empty() {
                    b"".as_slice()
                } else {
                    b"/"
                },
                hidden,
            ]
            .concat();
        }
    }
    if components(&path).any(|c| c.len() > NAME_MAX_BYTES) {
        return Err(LayerErrorKind::Name(
            "a part of it is longer than 255 bytes, which no system could unpack",
        ));
    }
    Ok(Some(Entry {
        path,
        meta: raw.meta,
        xattrs: std::mem::take(&mut raw.xattrs),
        kind,
    }))
}

fn visitor_error(error: Box<dyn std::error::Error + Send + Sync>) -> LayerErrorKind {
    match error.downcast::<io::Error>() {
        Ok(error) => read_error(*error),
        Err(error) => LayerErrorKind::Visitor(error),
    }
}

/// Counts, bounds and hashes what goes through.
struct Metered<R> {
    inner: R,
    hasher: Sha256,
    bytes: u64,
    bound: Bound,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.bytes += n as u64;
        if self.bytes > self.bound.limit {
            return Err(io::Error::other(LayerErrorKind::from(self.bound)));
        }
        self.hasher.update(&buf[..n]);
        Ok(n)
    }
}
