//! Opening packs and reading bodies from them.
//!
//! Bytes are read with `pread` and checked segment by segment: a store that changes or rots
//! beneath a build ends in an error that names the pack, never in wrong bytes.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use formats::compress::{BodyDecoder, Compression};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use super::format::{
    BodyRecord, FOOTER_BYTES, Index, MAGIC, SegmentRecord, index_check, parse_footer, segment_check,
};
use super::key::PackKey;
use super::store::PackStore;
use crate::tree::Body;

/// What is wrong with a pack.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// It can't be read.
    #[error("can't read the pack {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its bytes are not those that were written.
    #[error("the pack {} is damaged ({what})", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which part.
        what: &'static str,
    },
}

/// An open pack.
#[derive(Debug)]
pub struct Pack {
    file: File,
    path: PathBuf,
    compression: Compression,
    index: Index,
}

impl Pack {
    /// Opens the pack of `key` in `store`; `None` where there is none. The index is verified here,
    /// bodies when they are read.
    pub fn open(store: &PackStore, key: &PackKey) -> Result<Option<Pack>, PackError> {
        let path = store.path(key);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(PackError::Read { path, source }),
        };
        Pack::of_file(file, path, key).map(Some)
    }

    /// As [`Pack::open`], of a file that is open; `path` is what messages call it.
    pub(super) fn of_file(file: File, path: PathBuf, key: &PackKey) -> Result<Pack, PackError> {
        match read_index(&file, &key.file_name()) {
            Ok(index) => Ok(Pack::from_parts(file, path, key.compression, index)),
            Err(ReadIndexError::Io(source)) => Err(PackError::Read { path, source }),
            Err(ReadIndexError::Damaged(what)) => Err(PackError::Damaged { path, what }),
        }
    }

    pub(super) fn from_parts(
        file: File,
        path: PathBuf,
        compression: Compression,
        index: Index,
    ) -> Pack {
        Pack {
            file,
            path,
            compression,
            index,
        }
    }

    /// Records that the pack is used now, so that others are evicted before it. Where that is not
    /// allowed (a store of somebody else's) nothing is lost but that.
    pub fn mark_used(&self) {
        let _ = self.file.set_modified(SystemTime::now());
    }

    /// What the pack holds.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, which stays readable when its name goes. Its position is shared: read it by place.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// A body's record; `None` where the pack has no such body.
    pub fn body(&self, body: u32) -> Option<&BodyRecord> {
        self.index.bodies.get(body as usize)
    }

    /// The segments of a body in order, each verified when it is read. A body that the pack does
    /// not have yields one error.
    pub fn segments(&self, body: u32) -> Segments<'_> {
        let record = self.body(body);
        Segments {
            pack: self,
            offset: record.map_or(0, |r| r.offset),
            left: record.map_or(&[][..], |r| &r.segments),
            missing: record.is_none(),
        }
    }

    /// The plain bytes of a body.
    pub fn reader(&self, body: u32) -> Result<BodyReader<'_>, PackError> {
        let record = self
            .body(body)
            .ok_or_else(|| self.damaged("a body is missing"))?;
        let decoder = BodyDecoder::new(self.compression, record.info)
            .map_err(|source| self.decode_error(source))?;
        let segments = self.segments(body);
        Ok(BodyReader {
            segments,
            decoder: Some(decoder),
            plain: Vec::new(),
            position: 0,
        })
    }

    /// Reads all of it once and checks every checksum.
    pub fn verify(&self) -> Result<(), PackError> {
        for body in 0..self.index.bodies.len() {
            // The index has far fewer than 2^32 bodies.
            self.segments(u32::try_from(body).unwrap_or(u32::MAX))
                .try_for_each(|s| s.map(drop))?;
        }
        Ok(())
    }

    fn read_segment(&self, segment: &SegmentRecord, offset: u64) -> Result<Vec<u8>, PackError> {
        let stored = read_at(&self.file, offset, segment.stored_bytes as usize);
        let stored = stored.map_err(|source| {
            if source.kind() == io::ErrorKind::UnexpectedEof {
                self.damaged("it is cut short")
            } else {
                PackError::Read {
                    path: self.path.clone(),
                    source,
                }
            }
        })?;
        if segment_check(&stored) != segment.check {
            return Err(self.damaged("a body's checksum does not match"));
        }
        Ok(stored)
    }

    fn decode_error(&self, source: formats::compress::DecodeError) -> PackError {
        PackError::Read {
            path: self.path.clone(),
            source: io::Error::other(source),
        }
    }

    fn damaged(&self, what: &'static str) -> PackError {
        PackError::Damaged {
            path: self.path.clone(),
            what,
        }
    }
}

/// Exactly so many bytes of a file, read into memory that nobody cleared for it.
fn read_at(file: &File, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut read = Vec::with_capacity(bytes);
    while read.len() < bytes {
        let at = offset.saturating_add(read.len() as u64);
        match rustix::io::pread(file, spare_capacity(&mut read), at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The vector may have more room than was asked for.
    read.truncate(bytes);
    Ok(read)
}

/// Reads a pack once, whatever it is of, and checks every checksum. `name` is what
/// [`super::PackFile::name`] says.
pub fn verify_file(path: &Path, name: &str) -> Result<(), PackError> {
    let path = path.to_owned();
    let file = match File::open(&path) {
        Ok(file) => file,
        // Evicted meanwhile.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(PackError::Read { path, source }),
    };
    match read_index(&file, name) {
        // Stored bytes are checked, so how they are compressed does not matter.
        Ok(index) => Pack::from_parts(file, path, Compression::None, index).verify(),
        Err(ReadIndexError::Io(source)) => Err(PackError::Read { path, source }),
        Err(ReadIndexError::Damaged(what)) => Err(PackError::Damaged { path, what }),
    }
}

/// Iterator over a body's stored segments; see [`Pack::segments`].
pub struct Segments<'p> {
    pack: &'p Pack,
    offset: u64,
    left: &'p [SegmentRecord],
    missing: bool,
}

impl Iterator for Segments<'_> {
    type Item = Result<Vec<u8>, PackError>;

    fn next(&mut self) -> Option<Self::Item> {
        if std::mem::take(&mut self.missing) {
            return Some(Err(self.pack.damaged("a body is missing")));
        }
        let (segment, left) = self.left.split_first()?;
        let offset = self.offset;
        self.left = left;
        self.offset += u64::from(segment.stored_bytes);
        Some(self.pack.read_segment(segment, offset))
    }
}

/// Reads the plain bytes of a body; see [`Pack::reader`]. Errors are [`PackError`]s inside
/// [`io::Error`]. A body whose bytes do not have its checksum ends in an error.
pub struct BodyReader<'p> {
    segments: Segments<'p>,
    decoder: Option<BodyDecoder>,
    plain: Vec<u8>,
    position: usize,
}

impl Read for BodyReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.position == self.plain.len() {
            let pack = self.segments.pack;
            let decode_error = |e| io::Error::other(pack.decode_error(e));
            self.plain.clear();
            self.position = 0;
            let plain_bytes = self
                .segments
                .left
                .first()
                .map_or(0, |s| s.plain_bytes as usize);
            match (self.segments.next(), &mut self.decoder) {
                (Some(stored), Some(decoder)) => {
                    let stored = stored.map_err(io::Error::other)?;
                    decoder
                        .segment_of(&stored, plain_bytes, &mut self.plain)
                        .map_err(decode_error)?;
                }
                (None, decoder) => {
                    if let Some(decoder) = decoder.take() {
                        decoder.finish().map_err(decode_error)?;
                    }
                    return Ok(0);
                }
                (Some(_), None) => return Ok(0),
            }
        }
        let n = buf.len().min(self.plain.len() - self.position);
        buf[..n].copy_from_slice(&self.plain[self.position..self.position + n]);
        self.position += n;
        Ok(n)
    }
}

enum ReadIndexError {
    Io(io::Error),
    Damaged(&'static str),
}

impl From<io::Error> for ReadIndexError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => ReadIndexError::Damaged("it is cut short"),
            _ => ReadIndexError::Io(error),
        }
    }
}

fn read_index(file: &File, key: &str) -> Result<Index, ReadIndexError> {
    let length = file.metadata()?.len();
    let footer_offset = length
        .checked_sub(FOOTER_BYTES as u64)
        .ok_or(ReadIndexError::Damaged("it is cut short"))?;
    let mut magic = [0; MAGIC.len()];
    file.read_exact_at(&mut magic, 0)?;
    let mut footer = [0; FOOTER_BYTES];
    file.read_exact_at(&mut footer, footer_offset)?;
    let (offset, index_bytes, check) = parse_footer(&footer)
        .filter(|&(offset, bytes, _)| offset.checked_add(bytes) == Some(footer_offset))
        .filter(|_| magic == MAGIC)
        .ok_or(ReadIndexError::Damaged("its footer is not that of a pack"))?;
    // Bounded by the file's own length.
    let mut encoded = vec![0; usize::try_from(index_bytes).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut encoded, offset)?;
    if index_check(&encoded) != check {
        return Err(ReadIndexError::Damaged(
            "its index's checksum does not match",
        ));
    }
    let index = Index::decode(&encoded, offset)
        .ok_or(ReadIndexError::Damaged("its index makes no sense"))?;
    if index.key != key {
        return Err(ReadIndexError::Damaged("it is the pack of another layer"));
    }
    Ok(index)
}

/// The packs of one build; a [`crate::tree::Body`] names its pack by the place in this list.
#[derive(Debug, Default)]
pub struct PackSet {
    packs: Vec<Pack>,
}

impl PackSet {
    /// Adds a pack and returns its place.
    pub fn add(&mut self, pack: Pack) -> u32 {
        self.packs.push(pack);
        // A build has some hundreds of layers at most.
        u32::try_from(self.packs.len() - 1).unwrap_or(u32::MAX)
    }

    /// How all their bodies are compressed; `None` without packs.
    pub fn compression(&self) -> Option<Compression> {
        self.packs.first().map(|p| p.compression)
    }

    /// The pack at a place that [`PackSet::add`] returned.
    pub fn get(&self, pack: u32) -> &Pack {
        &self.packs[pack as usize]
    }

    /// The plain bytes of a body as a stream, verified on the way.
    pub fn open<'a>(&'a self, body: &'a Body) -> Result<Box<dyn Read + 'a>, PackError> {
        Ok(match body {
            Body::Packed { pack, body, .. } => Box::new(self.get(*pack).reader(*body)?),
            Body::Inline(bytes) => Box::new(&**bytes),
            // Only kernel images have one, and nothing but its files goes into a tree.
            Body::Opened { pack, .. } => {
                return Err(self
                    .get(*pack)
                    .damaged("a tar that was opened is read as a file"));
            }
        })
    }

    /// All plain bytes of a body that has `limit` bytes at most.
    pub fn read_body(&self, body: &Body, limit: u64) -> Result<Vec<u8>, PackError> {
        let mut bytes = Vec::new();
        let read = self.open(body)?.take(limit).read_to_end(&mut bytes);
        match (read, body) {
            (Ok(_), _) => Ok(bytes),
            (Err(error), _) => Err(match error.downcast::<PackError>() {
                Ok(error) => error,
                Err(source) => PackError::Read {
                    path: PathBuf::new(),
                    source,
                },
            }),
        }
    }

    /// Reads all packs once and checks every checksum.
    pub fn verify(&self) -> Result<(), PackError> {
        self.packs.iter().try_for_each(Pack::verify)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Pack> {
        self.packs.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.packs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.packs.is_empty()
    }
}
