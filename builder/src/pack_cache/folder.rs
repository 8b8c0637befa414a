//! A cache in a folder: `packs/` as in the store, and nothing else.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::{CacheError, PackSource, PackTarget, Stored, WantedPack};
use crate::atomic::remove_stale_files;
use crate::pack::{Pack, PackSet, PackStore, TakeInError, verify_file};
use crate::progress::Progress;

/// A folder with packs. Each file is checked on its own when it is used, so any of them may be
/// missing, cut or damaged.
#[derive(Debug)]
pub struct FolderCache {
    name: String,
    packs: PackStore,
    is_store: bool,
    keep: bool,
}

impl FolderCache {
    /// The cache in `dir`, which is made when it is written.
    pub fn new(dir: &Path) -> Self {
        FolderCache {
            name: dir.display().to_string(),
            packs: PackStore::new(dir),
            is_store: dir.join("oci-layout").exists(),
            keep: false,
        }
    }

    /// Whether packs of other builds stay when it is written.
    pub fn keep(self, keep: bool) -> Self {
        FolderCache { keep, ..self }
    }
}

impl PackSource for FolderCache {
    fn name(&self) -> &str {
        &self.name
    }

    fn take(
        &self,
        wanted: &WantedPack<'_>,
        store: &PackStore,
        _: &Progress,
    ) -> Result<Option<Pack>, TakeInError> {
        let mut file = match File::open(self.packs.path(wanted.key)) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TakeInError::Source(error)),
        };
        let length = file.metadata().map_err(TakeInError::Source)?.len();
        wanted.check_size(length)?;
        store
            .take_in(wanted.key, wanted.diff_id, &mut file)
            .map(Some)
    }
}

impl PackTarget for FolderCache {
    fn name(&self) -> &str {
        &self.name
    }

    /// Good packs that are there stay as they are, damaged ones are replaced, and what this build
    /// does not use goes, so that the folder does not grow from build to build.
    fn store(&self, packs: &PackSet) -> Result<Stored, CacheError> {
        if self.is_store {
            return Err(CacheError::NoCache(format!(
                "{} holds images: it is a store, as --cache names one; name a folder of its own",
                self.name
            )));
        }
        let mut stored = Stored::default();
        let mut used = Vec::new();
        for pack in packs.iter() {
            let name = pack.index().key.as_str();
            used.push(name);
            let bytes = pack.file().metadata()?.len();
            let there = self.packs.dir().join(name);
            let whole = fs::metadata(&there).is_ok_and(|m| m.len() == bytes);
            if whole && verify_file(&there, name).is_ok() {
                stored.kept += 1;
                stored.kept_bytes += bytes;
                continue;
            }
            self.packs.put(pack)?;
            stored.packs += 1;
            stored.bytes += bytes;
        }
        if !self.keep {
            stored.freed = self
                .packs
                .remove_if(|pack| !used.contains(&pack.name.as_str()))?;
        }
        let folders = ["sha256", "sha512"].map(|algorithm| self.packs.dir().join(algorithm));
        remove_stale_files(folders);
        Ok(stored)
    }
}
