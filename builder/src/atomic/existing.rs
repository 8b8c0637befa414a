//! The file that has an output's name already: when a build makes the same bytes again, it stays.

use std::fs::{self, File, Metadata};
use std::io::{self, Seek, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use xxhash_rust::xxh3::Xxh3;

/// How much is compared at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// An earlier output that is compared with what would be written.
pub(super) struct Existing {
    file: File,
    found: Identity,
    /// What is the same so far, in the order in which it was written. What is never written reads as
    /// zeros.
    compared: Vec<Range<u64>>,
    /// Where the last of it ends.
    end: u64,
    /// Of the bytes that were compared: should they have to be copied, they are the same ones.
    hasher: Xxh3,
    buffer: Vec<u8>,
    /// Whether the file is what was written so far; `None` until somebody asks.
    is_whole: Option<bool>,
}

/// What changes when a file is replaced or written to.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Existing {
    /// The file at `path`; `None` where there is nothing that could be kept: no file, a symlink, one
    /// that has other names as well, or one that can't be read.
    pub(super) fn open(path: &Path) -> Option<Self> {
        let metadata = fs::symlink_metadata(path).ok()?;
        if !metadata.is_file() || metadata.nlink() != 1 || metadata.len() == 0 {
            return None;
        }
        let file = File::open(path).ok()?;
        let found = Identity::of(&file.metadata().ok()?);
        (found == Identity::of(&metadata)).then(|| Existing {
            file,
            found,
            compared: Vec::new(),
            end: 0,
            hasher: Xxh3::new(),
            buffer: vec![0; BUFFER_BYTES],
            is_whole: None,
        })
    }

    /// The file, to be read by place.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Whether the bytes at a place of the file are these. Only then are they taken as written;
    /// what was written before can't be written over.
    pub(super) fn has(&mut self, start: u64, bytes: &[u8]) -> io::Result<bool> {
        let range = start..start.saturating_add(bytes.len() as u64);
        let is_new = start >= self.end
            || self
                .compared
                .iter()
                .all(|r| r.end <= range.start || r.start >= range.end);
        if range.end > self.found.bytes || !is_new {
            return Ok(false);
        }
        let mut at = start;
        for chunk in bytes.chunks(BUFFER_BYTES) {
            if !self.fill(at, chunk.len())? || self.buffer[..chunk.len()] != *chunk {
                return Ok(false);
            }
            at += chunk.len() as u64;
        }
        self.hasher.update(bytes);
        self.is_whole = None;
        self.end = self.end.max(range.end);
        match self.compared.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.compared.push(range),
        }
        Ok(true)
    }

    /// Reads so many bytes of the file, as the buffer can hold; `false` if somebody has cut it
    /// meanwhile.
    fn fill(&mut self, at: u64, bytes: usize) -> io::Result<bool> {
        match self.file.read_exact_at(&mut self.buffer[..bytes], at) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether there are only zeros in a range. What the file system knows to be a hole is not read.
    fn has_zeros(&mut self, range: Range<u64>) -> io::Result<bool> {
        let mut at = range.start;
        while at < range.end {
            at = match seek(&self.file, SeekFrom::Data(at)) {
                Ok(data) => data,
                // Nothing but a hole up to the end.
                Err(Errno::NXIO) => range.end,
                // Not every file system tells.
                Err(_) => at,
            };
            let left = range.end.saturating_sub(at);
            let bytes = usize::try_from(left).map_or(BUFFER_BYTES, |left| left.min(BUFFER_BYTES));
            if !self.fill(at, bytes)? || self.buffer[..bytes].iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            at += bytes as u64;
        }
        Ok(true)
    }

    /// Whether the file is what was written, with zeros for what was left out.
    pub(super) fn is_whole(&mut self) -> io::Result<bool> {
        if let Some(known) = self.is_whole {
            return Ok(known);
        }
        let is_whole = self.end == self.found.bytes && self.has_zeros_between()?;
        self.is_whole = Some(is_whole);
        Ok(is_whole)
    }

    fn has_zeros_between(&mut self) -> io::Result<bool> {
        let mut compared = self.compared.clone();
        compared.sort_unstable_by_key(|range| range.start);
        let mut at = 0;
        for range in compared {
            if !self.has_zeros(at..range.start)? {
                return Ok(false);
            }
            at = range.end;
        }
        Ok(true)
    }

    /// Makes the file an output of now, if nobody has touched it and all of it is the same: it gets
    /// the time of one that is written, and its bytes are on the disk.
    pub(super) fn keep(&mut self, path: &Path) -> io::Result<bool> {
        if !self.is_whole()? || Identity::of(&fs::symlink_metadata(path)?) != self.found {
            return Ok(false);
        }
        self.file.set_modified(SystemTime::now())?;
        self.file.sync_all()?;
        Ok(true)
    }

    /// Copies what was compared to an empty file, each piece to its place.
    pub(super) fn copy_to(&mut self, out: &mut (impl Write + Seek)) -> io::Result<()> {
        let mut hasher = Xxh3::new();
        for range in &self.compared {
            out.seek(io::SeekFrom::Start(range.start))?;
            let mut at = range.start;
            while at < range.end {
                let left = usize::try_from(range.end - at).unwrap_or(BUFFER_BYTES);
                let buffer = &mut self.buffer[..left.min(BUFFER_BYTES)];
                self.file.read_exact_at(buffer, at)?;
                hasher.update(buffer);
                out.write_all(buffer)?;
                at += buffer.len() as u64;
            }
        }
        if hasher.digest128() != self.hasher.digest128() {
            return Err(io::Error::other(
                "another program has changed the file that is to be replaced; run the build again",
            ));
        }
        Ok(())
    }
}
