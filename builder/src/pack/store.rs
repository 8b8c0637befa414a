//! Where packs lie: `packs/` beside the blobs of the store.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::key::PackKey;
use super::read::{Pack, PackError};
use crate::atomic::{PendingFile, WriteFileError, make_folder};
use crate::digest::Digest;

/// How much of a pack from elsewhere is read at once.
const COPY_BYTES: usize = 1 << 18;

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

/// Why a pack from elsewhere was not taken in. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum TakeInError {
    /// Its bytes can't be had.
    #[error("{0}")]
    Source(io::Error),
    /// It is damaged, or the pack of something else.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The store can't be written.
    #[error(transparent)]
    Write(#[from] WriteFileError),
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

    /// Takes in a pack that was made elsewhere, with as many bytes as come. It appears only when
    /// it is whole: every checksum is right, it is the pack of `key`, and the layer that it was made
    /// of had `diff_id`. Whether it tells the truth about that layer, its bytes can't show.
    pub fn take_in(
        &self,
        key: &PackKey,
        diff_id: Option<[u8; 32]>,
        bytes: &mut dyn Read,
    ) -> Result<Pack, TakeInError> {
        let mut file = self.create(key)?;
        copy(bytes, &mut file)?;
        let written = file.reader().map_err(|source| WriteFileError {
            path: self.path(key),
            source,
        })?;
        let pack = Pack::of_file(written, self.path(key), key)?;
        pack.verify()?;
        if diff_id.is_some_and(|diff_id| diff_id != pack.index().diff_id) {
            let path = self.path(key);
            let what = "it was made of a layer with another diff_id";
            return Err(PackError::Damaged { path, what }.into());
        }
        // Not synced: what a crash leaves of it fails its checksums and is made anew.
        file.finish(false)?;
        Ok(pack)
    }

    /// Writes an open pack under the name that its own key gives it, verified on the way.
    pub fn put(&self, pack: &Pack) -> Result<(), TakeInError> {
        pack.verify()?;
        let path = self.dir.join(&pack.index().key);
        make_folder(path.parent().unwrap_or(&self.dir))?;
        let mut file = PendingFile::create(&path)?;
        let bytes = &mut PackBytes { pack, position: 0 };
        copy(bytes, &mut file)?;
        file.finish(false)?;
        Ok(())
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

/// The bytes of a pack's file, read by place: others read it too.
struct PackBytes<'p> {
    pack: &'p Pack,
    position: u64,
}

impl Read for PackBytes<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.pack.file().read_at(buf, self.position)?;
        self.position += n as u64;
        Ok(n)
    }
}

/// All bytes; which side failed is told.
fn copy(bytes: &mut dyn Read, file: &mut PendingFile) -> Result<(), TakeInError> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let n = match bytes.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(TakeInError::Source(error)),
        };
        file.write_all(&buffer[..n])
            .map_err(|source| WriteFileError {
                path: file.path().to_owned(),
                source,
            })?;
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
