//! Writing one blob.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{StoreError, TEMPORARY_PREFIX, io_error};

/// A blob on its way into the store: a file beside its place, deleted unless committed.
pub struct BlobWriter {
    file: BufWriter<tempfile::NamedTempFile>,
    path: PathBuf,
}

impl BlobWriter {
    pub(super) fn new(path: PathBuf) -> Result<Self, StoreError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(|e| io_error("make the folder", folder, e))?;
        let file = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)
            .map_err(|e| io_error("make a file in", folder, e))?;
        Ok(BlobWriter {
            file: BufWriter::with_capacity(1 << 18, file),
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
        let error = |e| io_error("write", &self.path, e);
        let file = self.file.into_inner().map_err(|e| error(e.into_error()))?;
        file.as_file().sync_data().map_err(error)?;
        file.persist(&self.path).map_err(|e| error(e.error))?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)
                .and_then(|f| f.sync_all())
                .map_err(error)?;
        }
        Ok(())
    }
}
