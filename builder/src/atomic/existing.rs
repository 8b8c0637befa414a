//! The file that has an output's name already: when a build makes the same bytes again, it stays.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::SystemTime;

use xxhash_rust::xxh3::Xxh3;

/// How much is compared at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// An earlier output that is compared with what would be written.
pub(super) struct Existing {
    file: File,
    found: Identity,
    /// So many bytes are the same so far.
    compared: u64,
    /// Of the bytes that were compared: should they have to be copied, they are the same ones.
    hasher: Xxh3,
    buffer: Vec<u8>,
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
            compared: 0,
            hasher: Xxh3::new(),
            buffer: Vec::new(),
        })
    }

    /// The file, to be read by place.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Whether the next bytes of the file are these; only then is it moved on.
    pub(super) fn continues(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let end = self.compared.saturating_add(bytes.len() as u64);
        if end > self.found.bytes {
            return Ok(false);
        }
        self.buffer.resize(BUFFER_BYTES, 0);
        let mut at = self.compared;
        for chunk in bytes.chunks(BUFFER_BYTES) {
            let buffer = &mut self.buffer[..chunk.len()];
            match self.file.read_exact_at(buffer, at) {
                Ok(()) if buffer == chunk => at += chunk.len() as u64,
                Ok(()) => return Ok(false),
                // Somebody has cut it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.hasher.update(bytes);
        self.compared = end;
        Ok(true)
    }

    /// Whether all of the file was compared and is the same.
    pub(super) fn is_whole(&self) -> bool {
        self.compared == self.found.bytes
    }

    /// Makes the file an output of now, if nobody has touched it and all of it is the same: it gets
    /// the time of one that is written, and its bytes are on the disk.
    pub(super) fn keep(&self, path: &Path) -> io::Result<bool> {
        if !self.is_whole() || Identity::of(&fs::symlink_metadata(path)?) != self.found {
            return Ok(false);
        }
        self.file.set_modified(SystemTime::now())?;
        self.file.sync_all()?;
        Ok(true)
    }

    /// Copies what was compared.
    pub(super) fn copy_to(&mut self, out: &mut impl Write) -> io::Result<()> {
        let mut hasher = Xxh3::new();
        let mut left = self.compared;
        self.file.seek(SeekFrom::Start(0))?;
        self.buffer.resize(BUFFER_BYTES, 0);
        while left > 0 {
            let bytes = usize::try_from(left).map_or(BUFFER_BYTES, |left| left.min(BUFFER_BYTES));
            let buffer = &mut self.buffer[..bytes];
            self.file.read_exact(buffer)?;
            hasher.update(buffer);
            out.write_all(buffer)?;
            left -= bytes as u64;
        }
        if hasher.digest128() != self.hasher.digest128() {
            return Err(io::Error::other(
                "another program has changed the file that is to be replaced; run the build again",
            ));
        }
        Ok(())
    }
}
