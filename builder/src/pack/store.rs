//! Where packs lie: `packs/` beside the blobs of the store.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::key::PackKey;
use crate::atomic::{PendingFile, WriteFileError, make_folder};
use crate::digest::Digest;

/// The folder of packs. Packs appear in it whole (written beside, renamed) or not at all, and any
/// of them may be deleted at any time: who has one open keeps its bytes, and who comes later makes
/// it anew.
///
/// A pack's modification time is the record of its last use, set whenever a build opens it; access
/// times would not do, as most file systems hardly keep them.
#[derive(Clone, Debug)]
pub struct PackStore {
    dir: PathBuf,
}

/// A pack as the file system knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackFile {
    /// Its name below the folder of packs, as [`PackKey::file_name`] gives it.
    pub name: String,
    /// The layer that it is of.
    pub layer: Digest,
    /// Its length.
    pub bytes: u64,
    /// When a build used it last.
    pub used: SystemTime,
}

/// What was taken away, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
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
        remove(&self.path(key)).map(drop)
    }

    /// Every pack that is there, by name. Files that are no packs are passed over.
    pub fn list(&self) -> io::Result<Vec<PackFile>> {
        let mut found = Vec::new();
        for algorithm in ["sha256", "sha512"] {
            let entries = match fs::read_dir(self.dir.join(algorithm)) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            for entry in entries.flatten() {
                let file = entry.file_name().to_string_lossy().into_owned();
                let layer = layer_of(algorithm, &file);
                // One that goes meanwhile is not there.
                if let (Some(layer), Ok(data)) = (layer, entry.metadata()) {
                    found.push(PackFile {
                        name: format!("{algorithm}/{file}"),
                        layer,
                        bytes: data.len(),
                        used: data.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                    });
                }
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Takes the packs away that `unwanted` says.
    pub fn remove_if(&self, unwanted: impl Fn(&PackFile) -> bool) -> io::Result<Freed> {
        let mut freed = Freed::default();
        for pack in self.list()?.iter().filter(|pack| unwanted(pack)) {
            self.take(pack, &mut freed)?;
        }
        Ok(freed)
    }

    /// Takes the least recently used packs away until the rest has at most `max_bytes`. Builds
    /// that run meanwhile are not harmed: a pack is open from when it is found, and one that goes
    /// before is made anew.
    pub fn evict(&self, max_bytes: u64) -> io::Result<Freed> {
        let mut packs = self.list()?;
        let mut left: u64 = packs.iter().map(|p| p.bytes).sum();
        let mut freed = Freed::default();
        packs.sort_by(|a, b| (a.used, &a.name).cmp(&(b.used, &b.name)));
        for pack in &packs {
            if left <= max_bytes {
                break;
            }
            left -= pack.bytes;
            self.take(pack, &mut freed)?;
        }
        Ok(freed)
    }

    fn take(&self, pack: &PackFile, freed: &mut Freed) -> io::Result<()> {
        if remove(&self.dir.join(&pack.name))? {
            freed.files += 1;
            freed.bytes += pack.bytes;
        }
        Ok(())
    }
}

/// Whether there was a file to remove.
fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// The layer in a name such as `4f…-gzip-4.pack`.
fn layer_of(algorithm: &str, file: &str) -> Option<Digest> {
    let (hex, _) = file.strip_suffix(".pack")?.split_once('-')?;
    format!("{algorithm}:{hex}").parse().ok()
}
