//! A cache in a registry: one tag, an artifact whose blobs are packs.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::manifest::{self, EMPTY, MANIFEST_TYPE, PackDescriptor};
use super::{CacheError, PackSource, PackTarget, Stored, WantedPack};
use crate::digest::{Algorithm, Digest, VerifyingReader};
use crate::pack::{Pack, PackSet, PackStore, TakeInError};
use crate::progress::Progress;
use crate::reference::Reference;
use crate::registry::remote::{PushBytes, Remote};
use crate::registry::{RegistryError, RegistryErrorKind, Source};
use crate::store::MAX_DOCUMENT_BYTES;

/// Packs that are sent at once.
const AT_ONCE: usize = 4;
/// How often a manifest is sent that the registry refuses.
const MANIFEST_ATTEMPTS: u32 = 4;
/// Between the first two of them; longer each time.
const PAUSE: Duration = Duration::from_millis(250);

type Packs = HashMap<String, PackDescriptor>;

/// A tag with packs. Only those that a build needs are fetched.
pub struct RegistryCache {
    name: Reference,
    shown: String,
    remote: Arc<Remote>,
    /// What the tag holds, once it was asked for; nothing where it can't be used.
    packs: OnceLock<Packs>,
    /// Nothing more is asked of a registry that failed.
    failed: AtomicBool,
}

impl RegistryCache {
    /// The cache at `name`; nothing is asked yet.
    pub fn new(name: Reference, remote: Arc<Remote>) -> Self {
        RegistryCache {
            shown: name.to_string(),
            name,
            remote,
            packs: OnceLock::new(),
            failed: AtomicBool::new(false),
        }
    }

    fn packs(&self, progress: &Progress) -> &Packs {
        self.packs.get_or_init(|| {
            let shown = &self.shown;
            let read = match self.remote.top(&self.name, MAX_DOCUMENT_BYTES) {
                Ok(None) => {
                    progress.info(format!("there is no cache {shown} yet"));
                    return Packs::new();
                }
                Ok(Some(raw)) => self.read(&raw.bytes, &raw.media_type),
                Err(error) => Err(error),
            };
            match read {
                Ok(Some(packs)) => packs,
                Ok(None) => {
                    progress.warn(format!("{shown} is no cache of lkbuild; it is not used"));
                    Packs::new()
                }
                Err(error) => {
                    progress.warn(format!("the cache is not used: {error}"));
                    Packs::new()
                }
            }
        })
    }

    fn read(&self, bytes: &[u8], media_type: &str) -> Result<Option<Packs>, RegistryError> {
        let read = match bytes.len() as u64 > MAX_DOCUMENT_BYTES {
            true => Err(crate::registry::document::DocumentError::TooLarge {
                bytes: bytes.len() as u64,
                limit: MAX_DOCUMENT_BYTES,
            }),
            false => manifest::parse(bytes, media_type),
        };
        read.map_err(|e| RegistryErrorKind::from(e).of(&self.name))
    }

    /// Whether the tag may be written: nothing but a cache is replaced.
    fn check_tag(&self) -> Result<(), CacheError> {
        let Some(raw) = self.remote.tagged(&self.name, MAX_DOCUMENT_BYTES)? else {
            return Ok(());
        };
        match self.read(&raw.bytes, &raw.media_type) {
            Ok(Some(_)) => Ok(()),
            _ => Err(CacheError::NoCache(format!(
                "{} is no cache of lkbuild, and is not replaced; name a tag of its own",
                self.shown
            ))),
        }
    }

    /// Sends what is not there, several at once; the first error ends it.
    fn send(&self, packs: &[(&Pack, PackDescriptor)]) -> Result<Stored, CacheError> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new((Stored::default(), None));
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE.min(packs.len()) {
                scope.spawn(|| {
                    loop {
                        let place = next.fetch_add(1, Ordering::Relaxed);
                        let Some((pack, descriptor)) = packs.get(place) else {
                            break;
                        };
                        let sent = self.send_one(pack, descriptor);
                        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                        match sent {
                            Ok(true) => {
                                done.0.packs += 1;
                                done.0.bytes += descriptor.size;
                            }
                            Ok(false) => {
                                done.0.kept += 1;
                                done.0.kept_bytes += descriptor.size;
                            }
                            Err(error) => {
                                next.store(packs.len(), Ordering::Relaxed);
                                done.1.get_or_insert(error);
                            }
                        }
                    }
                });
            }
        });
        let (stored, error) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        error.map_or(Ok(stored), Err)
    }

    fn send_one(&self, pack: &Pack, descriptor: &PackDescriptor) -> Result<bool, CacheError> {
        let file = Arc::new(pack.file().try_clone()?);
        let bytes = PushBytes::File(file, descriptor.size);
        Ok(self
            .remote
            .push_blob(&self.name, &descriptor.digest, &bytes)?)
    }
}

impl PackSource for RegistryCache {
    fn name(&self) -> &str {
        &self.shown
    }

    fn take(
        &self,
        wanted: &WantedPack<'_>,
        store: &PackStore,
        progress: &Progress,
    ) -> Result<Option<Pack>, TakeInError> {
        let found = self.packs(progress).get(&wanted.key.file_name());
        let Some(pack) = found.filter(|_| !self.failed.load(Ordering::Relaxed)) else {
            return Ok(None);
        };
        wanted.check_size(pack.size)?;
        let failed = |error: RegistryErrorKind| {
            self.failed.store(true, Ordering::Relaxed);
            TakeInError::Source(io::Error::other(error))
        };
        let bytes = self
            .remote
            .blob(&self.name, &pack.digest, pack.size)
            .map_err(|e| failed(e.kind))?;
        let mut bytes = VerifyingReader::new(bytes, pack.digest.clone(), pack.size);
        match store.take_in(wanted.key, wanted.diff_id, &mut bytes) {
            Ok(pack) => Ok(Some(pack)),
            Err(TakeInError::Source(error)) => Err(match RegistryErrorKind::from_io(error) {
                // One pack may be gone or wrong, and others not.
                kind @ (RegistryErrorKind::Verify(_) | RegistryErrorKind::NotFound { .. }) => {
                    TakeInError::Source(io::Error::other(kind))
                }
                kind => failed(kind),
            }),
            Err(error) => Err(error),
        }
    }
}

impl PackTarget for RegistryCache {
    fn name(&self) -> &str {
        &self.shown
    }

    /// Blobs first, then the manifest: whoever reads the tag meanwhile finds the earlier cache
    /// whole. Of several writers the last one stays, and each wrote a whole cache.
    fn store(&self, packs: &PackSet) -> Result<Stored, CacheError> {
        self.check_tag()?;
        let mut described = Vec::with_capacity(packs.len());
        for pack in packs.iter() {
            pack.verify()?;
            described.push((pack, describe(pack)?));
        }
        let keys: Vec<(&str, PackDescriptor)> = described
            .iter()
            .map(|(pack, descriptor)| (pack.index().key.as_str(), descriptor.clone()))
            .collect();
        let manifest = manifest::write(&keys);
        let stored = self.send(&described)?;
        for attempt in 1.. {
            let empty = PushBytes::Memory(EMPTY.into());
            self.remote
                .push_blob(&self.name, &Digest::sha256(EMPTY), &empty)?;
            let pushed = self
                .remote
                .push_manifest(&self.name, MANIFEST_TYPE, manifest.clone());
            match pushed {
                Err(error) if lacks_blobs(&error) && attempt < MANIFEST_ATTEMPTS => {
                    std::thread::sleep(PAUSE * attempt);
                    self.send(&described)?;
                }
                pushed => {
                    pushed?;
                    break;
                }
            }
        }
        Ok(stored)
    }
}

/// Whether a registry may have refused a manifest because it does not see a blob that it was given:
/// docker-registry does not for a moment while another writer brings the same one, and what was just
/// collected is gone. (distribution-spec, "Error Codes": MANIFEST_BLOB_UNKNOWN comes with 400 or 404.)
fn lacks_blobs(error: &RegistryError) -> bool {
    matches!(
        error.kind,
        RegistryErrorKind::Status {
            status: 400 | 404,
            ..
        }
    )
}

/// Digest and length of a pack's file.
fn describe(pack: &Pack) -> io::Result<PackDescriptor> {
    let mut hasher = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let n = match pack.file().read_at(&mut buffer, size) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..n]);
        size += n as u64;
    }
    Ok(PackDescriptor {
        digest: Digest::from_bytes(Algorithm::Sha256, &hasher.finalize()),
        size,
    })
}
