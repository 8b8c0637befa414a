//! Writing one blob.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{StoreError, io_error};
use crate::atomic::{PendingFile, WriteFileError, make_folder};

/// A blob on its way into the store: nothing is left of it unless it is committed.
pub struct BlobWriter {
    file: PendingFile,
    path: PathBuf,
}

impl From<WriteFileError> for StoreError {
    fn from(error: WriteFileError) -> Self {
        io_error("write", &error.path, error.source)
    }
}

impl BlobWriter {
    pub(super) fn new(path: PathBuf) -> Result<Self, StoreError> {
        make_folder(path.parent().unwrap_or(Path::new(".")))?;
        Ok(BlobWriter {
            file: PendingFile::create(&path)?,
            path,
        })
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file
            .write_all(bytes)
            .map_err(|e| io_error("write", &self.path, e))
    }

    /// Syncs the file and gives it its name. Another build may have done the same: then the
    /// same bytes replace each other.
    pub fn commit(self) -> Result<(), StoreError> {
        self.file.finish(true)?;
        Ok(())
    }

    /// Gives the file its name; the caller syncs it.
    pub(super) fn commit_unsynced(self) -> Result<(File, PathBuf), StoreError> {
        Ok((self.file.finish(false)?, self.path))
    }
}
