//! Where packs lie: `packs/` beside the blobs of the store.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::key::PackKey;
use crate::atomic::{PendingFile, WriteFileError, make_folder};

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

    /// A file to write the pack into; it is gone when dropped without a name.
    pub(super) fn create(&self, key: &PackKey) -> Result<PendingFile, WriteFileError> {
        let path = self.path(key);
        make_folder(path.parent().unwrap_or(&self.dir))?;
        PendingFile::create(&path)
    }

    /// Takes a damaged pack away, so that it is made anew.
    pub fn remove(&self, key: &PackKey) -> io::Result<()> {
        match fs::remove_file(self.path(key)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}
