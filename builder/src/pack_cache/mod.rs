//! Packs that builds on other machines can use: `--cache-to` and `--cache-from`.
//!
//! A cache holds nothing but packs: names, manifests and configs come from the registries (or the
//! store) as in every build, and say which packs are meant. So a cache can be old, incomplete or
//! damaged, and what is missing is made from the layer. What its packs say about a layer is
//! believed, though: their checksums show damage, not that somebody wrote another pack.
//!
//! [`folder`] is a folder that CI systems save and restore, [`registry`] an artifact in a registry
//! ([`manifest`]), [`spec`] how both are named on the command line.

pub mod folder;
pub mod manifest;
pub mod registry;
pub mod spec;

use std::io;

use crate::atomic::WriteFileError;
use crate::layer::Limits;
use crate::pack::format::MAX_INDEX_BYTES;
use crate::pack::{Freed, Pack, PackError, PackKey, PackSet, PackStore, TakeInError};
use crate::progress::{Progress, size};
use crate::registry::{LayerDescriptor, RegistryError};

pub use folder::FolderCache;
pub use registry::RegistryCache;
pub use spec::{CacheFrom, CacheTo, Place};

/// Why a cache was not written. The packs of a cache that is read are never an error.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It holds something else.
    #[error("{0}")]
    NoCache(String),
    /// A pack of the build can't be read.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A file can't be written.
    #[error(transparent)]
    Write(#[from] WriteFileError),
    /// The folder can't be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The registry does not take it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl From<TakeInError> for CacheError {
    fn from(error: TakeInError) -> Self {
        match error {
            TakeInError::Source(error) => CacheError::Io(error),
            TakeInError::Pack(error) => CacheError::Pack(error),
            TakeInError::Write(error) => CacheError::Write(error),
        }
    }
}

/// What was done to write a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Packs that were brought there.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packs that were there already.
    pub kept: u64,
    /// Their bytes.
    pub kept_bytes: u64,
    /// What no build of now uses was taken away.
    pub freed: Freed,
}

/// Somewhere that packs come from.
pub trait PackSource: Send + Sync {
    /// Its folder or name, for messages.
    fn name(&self) -> &str;

    /// Takes a pack into `store`; `None` where the source does not have it.
    fn take(
        &self,
        wanted: &WantedPack<'_>,
        store: &PackStore,
        progress: &Progress,
    ) -> Result<Option<Pack>, TakeInError>;
}

/// A pack that is looked for.
#[derive(Clone, Copy, Debug)]
pub struct WantedPack<'a> {
    /// The pack.
    pub key: &'a PackKey,
    /// What the layer unpacks to, where the image's config says.
    pub diff_id: Option<[u8; 32]>,
    /// More than any honest pack of the key has.
    pub most_bytes: u64,
}

impl<'a> WantedPack<'a> {
    /// The pack `key` of a layer that keeps to the limits.
    pub fn new(key: &'a PackKey, layer: &LayerDescriptor, limits: &Limits) -> Self {
        // Bodies that do not compress grow a little; the index is bounded on its own.
        let bodies = limits.for_blob(layer.size).unpacked_bytes();
        let most_bytes = bodies
            .saturating_add(bodies / 8)
            .saturating_add(MAX_INDEX_BYTES);
        WantedPack {
            key,
            diff_id: layer.diff_id.as_ref().and_then(|d| d.sha256_bytes()),
            most_bytes,
        }
    }

    /// An error where a pack is larger than any honest one.
    fn check_size(&self, bytes: u64) -> Result<(), TakeInError> {
        if bytes <= self.most_bytes {
            return Ok(());
        }
        Err(TakeInError::Source(io::Error::other(format!(
            "a pack of {bytes} bytes, more than its layer can come to ({})",
            self.most_bytes
        ))))
    }
}

/// The caches that a build reads, in the order in which they are asked.
#[derive(Default)]
pub struct PackSources(Vec<Box<dyn PackSource>>);

impl PackSources {
    /// These.
    pub fn new(sources: Vec<Box<dyn PackSource>>) -> Self {
        PackSources(sources)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a pack from the first cache that has a good one. What is wrong with a cache is said,
    /// and harms nothing: the pack is made from its layer then.
    pub fn take(
        &self,
        wanted: &WantedPack<'_>,
        store: &PackStore,
        progress: &Progress,
    ) -> Option<Pack> {
        for source in &self.0 {
            match source.take(wanted, store, progress) {
                Ok(Some(pack)) => {
                    progress.detail(format!(
                        "{} from the cache {}",
                        wanted.key.file_name(),
                        source.name()
                    ));
                    return Some(pack);
                }
                Ok(None) => {}
                Err(error) => progress.warn(format!(
                    "the cache {}: {}: {}; it is made from its layer",
                    source.name(),
                    wanted.key.file_name(),
                    reason(&error)
                )),
            }
        }
        None
    }
}

/// Damage is told without the name of a file that is not there yet.
fn reason(error: &TakeInError) -> String {
    match error {
        TakeInError::Pack(PackError::Damaged { what, .. }) => format!("damaged ({what})"),
        error => error.to_string(),
    }
}

/// Somewhere that packs are brought to.
pub trait PackTarget {
    /// Its folder or name, for messages.
    fn name(&self) -> &str;

    /// Makes the cache hold the packs of a build.
    fn store(&self, packs: &PackSet) -> Result<Stored, CacheError>;
}

/// Says what writing a cache came to.
pub fn report(name: &str, stored: &Stored, progress: &Progress) {
    let removed = match stored.freed.files {
        0 => String::new(),
        files => format!(", {files} removed"),
    };
    progress.info(format!(
        "cache {name}: {} packs written ({}), {} there already{removed}",
        stored.packs,
        size(stored.bytes),
        stored.kept,
    ));
}
