//! Where packs lie: `packs/` beside the blobs of the store.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::key::PackKey;

/// The folder of packs. Packs appear in it whole (written beside, renamed) or not at all, and any
/// of them may be deleted at any time.
#[derive(Clone, Debug)]
pub struct PackStore {
    dir: PathBuf,
}

impl PackStore {
    /// The packs of the store at `cache_dir`. Nothing is made before the first pack is.
    pub fn new(cache_dir: &Path) -> Self {
        PackStore {
            dir: cache_dir.join("packs"),
        }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the pack of `key` is or would be.
    pub fn path(&self, key: &PackKey) -> PathBuf {
        self.dir.join(key.file_name())
    }

    /// A file beside `path(key)` to write the pack into; deleted when dropped unless persisted.
    pub(super) fn create(&self, key: &PackKey) -> io::Result<tempfile::NamedTempFile> {
        let path = self.path(key);
        let folder = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(folder)?;
        tempfile::Builder::new()
            .prefix(".tmp-")
            .suffix(".pack")
            .tempfile_in(folder)
    }

    /// Gives a written pack its name. Not synced: what a crash leaves of it fails its checksums
    /// and is made anew.
    pub(super) fn commit(&self, key: &PackKey, file: tempfile::NamedTempFile) -> io::Result<File> {
        file.persist(self.path(key)).map_err(|e| e.error)
    }

    /// Takes a damaged pack away, so that it is made anew.
    pub fn remove(&self, key: &PackKey) -> io::Result<()> {
        match fs::remove_file(self.path(key)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}
