//! The cache: an OCI image layout (image-spec, image-layout.md) that LinuxKit's own commands can
//! use as well.
//!
//! Blobs are written beside their place and renamed when they are whole and verified, so several
//! builds share one store without waiting for each other; only changes of `index.json` take the
//! `lock`. Every blob is verified whenever it is read. LinuxKit writes `index.json` in place, so
//! what can't be read of it is read again under the lock before it counts as damaged.

mod blob;
pub(crate) mod index;
mod lock;
mod settle;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use blob::BlobWriter;
pub use index::{IndexEntry, NAME_ANNOTATION};

use crate::atomic::remove_stale_files;
use crate::digest::{Digest, VerifyingReader};

/// Largest JSON document (index, manifest, config) that is read unless the user says otherwise: what
/// registries accept at most.
pub const MAX_DOCUMENT_BYTES: u64 = 4 << 20;
/// A local `index.json` may name many images.
const MAX_INDEX_BYTES: u64 = 64 << 20;
/// Where LinuxKit has its cache, below the user's folder.
pub const USUAL_CACHE: &str = ".linuxkit/cache";
/// The file `oci-layout`, which says what the folder is.
pub const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Why the store could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder of the store can't be read or written.
    #[error("can't {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// `index.json` is no OCI image index.
    #[error(
        "{} is damaged: {reason}; `lkbuild cache verify` moves it away", .path.display()
    )]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A folder of something else.
    #[error(
        "{} is no cache's: neither oci-layout nor blobs is beside it; name another folder with --cache", .path.display()
    )]
    Foreign {
        /// The `index.json` that is there.
        path: PathBuf,
    },
    /// A blob's bytes are not those of its digest.
    #[error("the blob {} is damaged: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A folder with an OCI image layout.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
    document_bytes: u64,
    settling: settle::Settling,
}

impl Store {
    /// Opens the store at `dir`, which is made where it is missing.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let store = Store {
            dir: dir.to_owned(),
            document_bytes: MAX_DOCUMENT_BYTES,
            settling: settle::Settling::default(),
        };
        let (blobs, marker) = (dir.join("blobs/sha256"), dir.join("oci-layout"));
        // Names would be written over a file that means something else.
        let index = store.index_path();
        if index.exists() && !marker.exists() && !dir.join("blobs").exists() {
            return Err(StoreError::Foreign { path: index });
        }
        fs::create_dir_all(&blobs).map_err(|e| io_error("make the folder", &blobs, e))?;
        if !marker.exists() {
            index::write_atomically(&marker, OCI_LAYOUT)?;
        }
        let folders = ["", "blobs/sha256", "packs/sha256", "packs/sha512"];
        remove_stale_files(folders.map(|folder| store.dir.join(folder)));
        Ok(store)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads documents of up to so many bytes; see [`Store::read_document`].
    pub fn limit_documents(&mut self, bytes: u64) {
        self.document_bytes = bytes;
    }

    /// Where a blob is or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.dir
            .join("blobs")
            .join(digest.algorithm())
            .join(digest.hex())
    }

    /// Opens a blob; its bytes are verified while they are read. `None` where it is not there, or
    /// has another size than it must (then it is taken away).
    pub fn open_blob(
        &self,
        digest: &Digest,
        size: u64,
    ) -> Result<Option<VerifyingReader<File>>, StoreError> {
        let path = self.blob_path(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io_error("open", &path, e)),
        };
        let length = file
            .metadata()
            .map_err(|e| io_error("look at", &path, e))?
            .len();
        if length != size {
            self.remove_blob(digest)?;
            return Ok(None);
        }
        Ok(Some(VerifyingReader::new(file, digest.clone(), size)))
    }

    /// Reads a small blob whole and verifies it; `None` where it is not there or damaged (then it
    /// is taken away, and can be fetched again).
    pub fn read_document(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.blob_path(digest);
        let bytes = match read_bounded(&path, self.document_bytes) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                let hint = "raise that with --max-document-bytes if this image is to be trusted";
                let error = io::Error::new(e.kind(), format!("{e}; {hint}"));
                return Err(io_error("read", &path, error));
            }
            Err(e) => return Err(io_error("read", &path, e)),
        };
        if digest.matches(&bytes) {
            return Ok(Some(bytes));
        }
        self.remove_blob(digest)?;
        Ok(None)
    }

    /// As [`Store::read_document`], but what is damaged or can't be read stays as it is.
    pub fn peek_document(&self, digest: &Digest) -> Option<Vec<u8>> {
        let bytes = read_bounded(&self.blob_path(digest), self.document_bytes).ok()?;
        digest.matches(&bytes).then_some(bytes)
    }

    /// Whether a blob of this length is there; its bytes are verified only when it is read.
    pub fn has_blob(&self, digest: &Digest, size: u64) -> bool {
        fs::metadata(self.blob_path(digest)).is_ok_and(|m| m.is_file() && m.len() == size)
    }

    /// Takes a blob away. It may be gone already.
    pub fn remove_blob(&self, digest: &Digest) -> Result<(), StoreError> {
        let path = self.blob_path(digest);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &path, e)),
            _ => Ok(()),
        }
    }

    /// Starts writing a blob. The bytes are the caller's to verify before
    /// [`BlobWriter::commit`].
    pub fn create_blob(&self, digest: &Digest) -> Result<BlobWriter, StoreError> {
        BlobWriter::new(self.blob_path(digest))
    }

    /// Gives a blob its name now and syncs it beside what goes on; see [`Store::settle`].
    pub fn commit_later(&self, blob: BlobWriter) -> Result<(), StoreError> {
        let (file, path) = blob.commit_unsynced()?;
        self.settling.later(file, path);
        Ok(())
    }

    /// Waits until every blob that was committed for later is on the disk.
    pub fn settle(&self) -> Result<(), StoreError> {
        self.settling.settle()
    }

    /// Writes a small blob whose bytes are at hand.
    pub fn write_document(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::sha256(bytes);
        if self.read_document(&digest)?.is_none() {
            let mut blob = self.create_blob(&digest)?;
            blob.write(bytes)?;
            blob.commit()?;
        }
        Ok(digest)
    }

    /// The entry of an image's full name; `None` where the store does not know it.
    pub fn find(&self, name: &str) -> Result<Option<IndexEntry>, StoreError> {
        self.read_index(|path| index::find(path, name))
    }

    /// Names of all images in the store.
    pub fn names(&self) -> Result<Vec<String>, StoreError> {
        self.read_index(index::names)
    }

    /// All images: name, where it has one, and what it stands for.
    pub fn entries(&self) -> Result<Vec<(Option<String>, IndexEntry)>, StoreError> {
        self.read_index(index::entries)
    }

    /// Makes `name` stand for `entry`, in place of what it stood for.
    pub fn set(&self, name: &str, entry: &IndexEntry) -> Result<(), StoreError> {
        self.set_all(&[(name.to_owned(), entry.clone())])
    }

    /// As [`Store::set`], for several names at once: all of them or none.
    pub fn set_all(&self, images: &[(String, IndexEntry)]) -> Result<(), StoreError> {
        let _lock = lock::exclusive(&self.dir)?;
        index::set(&self.index_path(), images)
    }

    /// Runs `action` while no other process changes `index.json`.
    pub fn locked<T>(
        &self,
        action: impl FnOnce(&Locked<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _lock = lock::exclusive(&self.dir)?;
        action(&Locked { store: self })
    }

    /// Moves an `index.json` that is damaged or can't be read away, so that the store can be used; gives
    /// where it is then, and what is wrong with it. `None` where it is good. Names are found again when they are asked of a registry.
    pub fn heal_index(&self) -> Result<Option<(PathBuf, String)>, StoreError> {
        let problem = match self.entries() {
            Err(StoreError::Index { reason, .. }) => reason,
            Err(error) => error.to_string(),
            Ok(_) => return Ok(None),
        };
        let path = self.index_path();
        let aside = self.dir.join("index.json.damaged");
        let _lock = lock::exclusive(&self.dir)?;
        if index::entries(&path).is_ok() {
            return Ok(None);
        }
        fs::rename(&path, &aside).map_err(|e| io_error("move away", &path, e))?;
        Ok(Some((aside, problem)))
    }

    fn index_path(&self) -> PathBuf {
        self.dir.join("index.json")
    }

    fn read_index<T>(
        &self,
        read: impl Fn(&Path) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let path = self.index_path();
        match read(&path) {
            Err(StoreError::Index { .. }) => {
                let _lock = lock::exclusive(&self.dir)?;
                read(&path)
            }
            other => other,
        }
    }

    /// Every blob that is there, with length and time of its last change, in the order of the
    /// digests. Files that are no blobs are passed over.
    pub fn blobs(&self) -> Result<Vec<BlobFile>, StoreError> {
        let mut found = Vec::new();
        for algorithm in ["sha256", "sha512"] {
            let dir = self.dir.join("blobs").join(algorithm);
            let entries = match fs::read_dir(&dir) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(|e| io_error("list", &dir, e))?,
            };
            for entry in entries.flatten() {
                let hex = entry.file_name();
                let digest = format!("{algorithm}:{}", hex.to_string_lossy());
                // One that goes meanwhile is not there.
                if let (Ok(digest), Ok(data)) = (digest.parse(), entry.metadata()) {
                    found.push(BlobFile {
                        digest,
                        bytes: data.len(),
                        modified: data.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                    });
                }
            }
        }
        found.sort_by(|a, b| a.digest.cmp(&b.digest));
        Ok(found)
    }
}

/// A blob as the file system knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobFile {
    /// Its name; the bytes are not verified.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
    /// When it was written.
    pub modified: SystemTime,
}

/// The store while this process holds its lock; see [`Store::locked`].
pub struct Locked<'s> {
    store: &'s Store,
}

impl Locked<'_> {
    /// As [`Store::entries`].
    pub fn entries(&self) -> Result<Vec<(Option<String>, IndexEntry)>, StoreError> {
        index::entries(&self.store.index_path())
    }

    /// Takes names out of `index.json`; gives how many entries went.
    pub fn remove(&self, names: &[String]) -> Result<usize, StoreError> {
        index::remove(&self.store.index_path(), names)
    }

    /// Makes `index.json` one without images.
    pub fn clear(&self) -> Result<(), StoreError> {
        index::clear(&self.store.index_path())
    }
}

/// Reads a file that must not be longer than `limit` bytes.
fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let file = File::open(path)?;
    if file.metadata()?.len() > limit {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it is longer than {limit} bytes"),
        ));
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
