//! Names to layers, blobs to bytes: the store first, then the sources.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use oci_spec::image::{Descriptor, ImageConfiguration, ImageManifest};

use super::document::{self, Document, DocumentError, DocumentLimits};
use super::error::{RegistryError, RegistryErrorKind};
use super::pins::check_platforms;
use super::platform::Platform;
use super::{RawDocument, Source};
use crate::digest::{Digest, VerifyError, VerifyingReader};
use crate::lockfile::LockEntry;
use crate::reference::Reference;
use crate::store::{IndexEntry, Store, StoreError};

/// An index may point to an index, but not for ever.
const MAX_INDEX_DEPTH: usize = 4;
const SPDX_PREDICATE: &str = "https://spdx.dev/Document";

/// One layer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerDescriptor {
    /// Digest of the blob.
    pub digest: Digest,
    /// Length of the blob in bytes.
    pub size: u64,
    /// What the manifest calls it.
    pub media_type: String,
    /// Digest of the unpacked tar, as the config names it.
    pub diff_id: Option<Digest>,
}

/// An SPDX document attached to an image (an in-toto statement).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SbomDescriptor {
    /// Digest of the statement.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

impl SbomDescriptor {
    /// The statement as a blob like a layer's.
    pub fn to_layer(&self) -> LayerDescriptor {
        LayerDescriptor {
            digest: self.digest.clone(),
            size: self.size,
            media_type: "application/vnd.in-toto+json".into(),
            diff_id: None,
        }
    }
}

/// What a name stands for on one platform.
#[derive(Clone, Debug)]
pub struct ResolvedImage {
    /// The name that was asked for.
    pub reference: Reference,
    /// The document that the name itself stands for: an index, or the manifest.
    pub top: IndexEntry,
    /// Digest of the platform's manifest.
    pub manifest_digest: Digest,
    /// The config's bytes.
    pub config_bytes: Vec<u8>,
    /// The config.
    pub config: ImageConfiguration,
    /// Lowest first.
    pub layers: Vec<LayerDescriptor>,
    /// Attached SPDX documents, in the order of the index.
    pub sboms: Vec<SbomDescriptor>,
}

impl ResolvedImage {
    /// The platform that the config of an image without an index names, where it is another system or
    /// processor. Of an image in an index the index is to be believed, by which it was chosen.
    pub fn other_platform(&self, wanted: &Platform) -> Option<String> {
        if self.top.digest != self.manifest_digest {
            return None;
        }
        let os = self.config.os().to_string();
        let architecture = self.config.architecture().to_string();
        let is_known = |name: &str| !name.is_empty() && name != "unknown";
        let is_other = |own: &str, wanted: &str| is_known(own) && own != wanted;
        (is_other(&os, &wanted.os) || is_other(&architecture, &wanted.architecture))
            .then(|| document::config_platform(&self.config))
    }
}

/// How images are looked for.
pub struct ImagesOptions {
    /// Which image of an index is meant.
    pub platform: Platform,
    /// Ask the sources even for names that the store knows.
    pub pull: bool,
    /// Look for attached SPDX documents.
    pub sboms: bool,
    /// Layouts and archives that the user names, asked before the registries.
    pub files: Vec<Box<dyn Source>>,
    /// Registries; `None` to stay off the network.
    pub remote: Option<Box<dyn Source>>,
    /// What names must stand for, by full name. A name that is pinned is fetched by its digest,
    /// wherever its tag points today.
    pub pins: HashMap<String, LockEntry>,
}

/// The store and the sources of one build.
pub struct Images {
    store: Store,
    options: ImagesOptions,
    limits: DocumentLimits,
    /// Which file a name was found in: its blobs are there too.
    found_in: Mutex<HashMap<String, usize>>,
    /// Names that a source was asked for: one run asks once, also for several platforms.
    asked: Mutex<HashSet<String>>,
    /// What names stand for, of which the store was not told yet.
    found: Mutex<Vec<(String, IndexEntry)>>,
    pub(super) fetched_bytes: Arc<AtomicU64>,
    reused_bytes: AtomicU64,
}

impl Images {
    /// Images kept in `store`.
    pub fn new(store: Store, options: ImagesOptions) -> Self {
        Images {
            store,
            options,
            limits: DocumentLimits::default(),
            found_in: Mutex::default(),
            asked: Mutex::default(),
            found: Mutex::default(),
            fetched_bytes: Arc::default(),
            reused_bytes: AtomicU64::new(0),
        }
    }

    /// Bounds documents otherwise than by the defaults.
    pub fn with_limits(mut self, limits: DocumentLimits) -> Self {
        self.store.limit_documents(limits.bytes);
        self.limits = limits;
        self
    }

    fn check_size(&self, bytes: u64) -> Result<(), DocumentError> {
        let limit = self.limits.bytes;
        if bytes > limit {
            return Err(DocumentError::DocumentBytes { limit });
        }
        Ok(())
    }

    /// What came from sources so far, documents and blobs.
    pub fn fetched_bytes(&self) -> u64 {
        self.fetched_bytes.load(Ordering::Relaxed)
    }

    /// Documents that the store had so far.
    pub fn reused_bytes(&self) -> u64 {
        self.reused_bytes.load(Ordering::Relaxed)
    }

    /// Whether there is no source but the store.
    pub fn is_offline(&self) -> bool {
        self.options.remote.is_none()
    }

    /// The platform that is meant where none is named.
    pub fn platform(&self) -> &Platform {
        &self.options.platform
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Resolves names, several at a time; the results are in the order of the names. What was
    /// fetched is in the store afterwards. The first error in that order ends it.
    pub fn resolve(&self, wanted: &[Reference]) -> Result<Vec<ResolvedImage>, RegistryError> {
        self.resolve_on(wanted, &self.options.platform)
            .into_iter()
            .collect()
    }

    /// As [`Images::resolve`], on another platform, and with every error.
    pub fn resolve_on(
        &self,
        wanted: &[Reference],
        platform: &Platform,
    ) -> Vec<Result<ResolvedImage, RegistryError>> {
        const AT_ONCE: usize = 8;
        let next = AtomicUsize::new(0);
        let resolved: Vec<OnceLock<_>> = wanted.iter().map(|_| OnceLock::new()).collect();
        std::thread::scope(|scope| {
            let work = || {
                while let place = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(name) = wanted.get(place)
                {
                    // Nobody else has this place.
                    let _ = resolved[place].set(self.resolve_one(name, platform));
                }
            };
            let threads: Vec<_> = (0..AT_ONCE.min(wanted.len()))
                .map(|_| scope.spawn(work))
                .collect();
            for thread in threads {
                // What a thread that died leaves undone is told below.
                let _ = thread.join();
            }
        });
        let mut resolved: Vec<_> = (wanted.iter().zip(resolved))
            .map(|(name, result)| {
                let died = || io::Error::other("a thread died while resolving");
                let died = || Err(RegistryErrorKind::from(died()).of(name));
                result.into_inner().unwrap_or_else(died)
            })
            .collect();
        if let Err(error) = self.keep_names()
            && let (Some(name), Some(result)) = (wanted.first(), resolved.first_mut())
        {
            *result = Err(RegistryErrorKind::from(error).of(name));
        }
        resolved
    }

    fn resolve_one(
        &self,
        name: &Reference,
        platform: &Platform,
    ) -> Result<ResolvedImage, RegistryError> {
        let (top, bytes) = self.find_top(name)?;
        let of = |kind: DocumentError| RegistryErrorKind::from(kind).of(name);
        let mut digest = top.digest.clone();
        let mut document = document::parse(&bytes, &top.media_type).map_err(of)?;
        let mut sbom_manifests = Vec::new();
        for depth in 0.. {
            let Document::Index(index) = &document else {
                break;
            };
            if depth == MAX_INDEX_DEPTH {
                let reason = "indexes are nested too deeply".into();
                return Err(of(DocumentError::Malformed {
                    what: "index",
                    reason,
                }));
            }
            let entry = document::choose(index, platform).map_err(of)?;
            let found = document::digest_of(entry, "index").map_err(of)?;
            sbom_manifests.extend(document::attestations_of(index, &found).cloned());
            let media_type = entry.media_type().to_string();
            let bytes = self.document(name, &found, entry.size(), true)?;
            document = document::parse(&bytes, &media_type).map_err(of)?;
            digest = found;
        }
        let Document::Manifest(manifest) = document else {
            return Err(of(DocumentError::Ambiguous));
        };
        let (count, limit) = (manifest.layers().len(), self.limits.layers);
        if count > limit {
            return Err(of(DocumentError::TooManyLayers { count, limit }));
        }
        let config_digest = document::digest_of(manifest.config(), "manifest").map_err(of)?;
        let config_bytes = self.document(name, &config_digest, manifest.config().size(), false)?;
        let config = document::parse_config(&config_bytes).map_err(of)?;
        let layers = layers(&manifest, &config).map_err(of)?;
        let mut sboms = Vec::new();
        if self.options.sboms {
            for attestation in &sbom_manifests {
                sboms.extend(self.sboms(name, attestation)?);
            }
        }
        Ok(ResolvedImage {
            reference: name.clone(),
            top,
            manifest_digest: digest,
            config_bytes,
            config,
            layers,
            sboms,
        })
    }

    /// The document that a name stands for, from the store or a source.
    pub fn top(&self, name: &Reference) -> Result<(IndexEntry, Vec<u8>), RegistryError> {
        let found = self.find_top(name)?;
        let kept = self.keep_names();
        kept.map_err(|e| RegistryErrorKind::from(e).of(name))?;
        Ok(found)
    }

    /// Tells the store all that names were found to stand for, in one change of its index: each
    /// is a file to be synced.
    fn keep_names(&self) -> Result<(), StoreError> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = std::mem::take(&mut *found);
        drop(found);
        if names.is_empty() {
            return Ok(());
        }
        // Not in the order in which answers came.
        names.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.store.set_all(&names)
    }

    /// As [`Images::top`]; what the name stands for is to be kept by [`Images::keep_names`].
    fn find_top(&self, name: &Reference) -> Result<(IndexEntry, Vec<u8>), RegistryError> {
        let (entry, bytes) = self.find_any_top(name)?;
        if let Some(pin) = self.pin(name) {
            check_platforms(pin, &entry, &bytes).map_err(|e| e.of(name))?;
        }
        Ok((entry, bytes))
    }

    /// As [`Images::find_top`], whatever a pin says of platforms.
    fn find_any_top(&self, name: &Reference) -> Result<(IndexEntry, Vec<u8>), RegistryError> {
        let of = |kind: RegistryErrorKind| kind.of(name);
        let asked = self.pinned(name)?;
        let full_name = asked.to_string();
        let pinned: Option<Digest> = match asked.digest() {
            Some(text) => Some(text.parse().map_err(|e| {
                of(DocumentError::Malformed {
                    what: "name",
                    reason: format!("{e}"),
                }
                .into())
            })?),
            None => None,
        };
        let (raw, place) = match self.in_files(&asked)? {
            Some((raw, place)) => (raw, Some(place)),
            None => {
                let ask_store = !self.options.pull || pinned.is_some() || self.was_asked(&asked);
                let known = match ask_store {
                    true => self.known(&full_name, pinned.as_ref()).map_err(of)?,
                    false => None,
                };
                if let Some(known) = known {
                    let bytes = known.1.len() as u64;
                    self.reused_bytes.fetch_add(bytes, Ordering::Relaxed);
                    return Ok(known);
                }
                (self.fetch_top(&asked)?, None)
            }
        };
        self.check_size(raw.bytes.len() as u64)
            .map_err(|e| of(e.into()))?;
        self.fetched_bytes
            .fetch_add(raw.bytes.len() as u64, Ordering::Relaxed);
        let digest = match &pinned {
            Some(pinned) if !pinned.matches(&raw.bytes) => {
                let found = Digest::sha256(&raw.bytes);
                return Err(of(VerifyError::Mismatch {
                    expected: pinned.clone(),
                    found,
                }
                .into()));
            }
            Some(pinned) => pinned.clone(),
            None => Digest::sha256(&raw.bytes),
        };
        if let Some(place) = place {
            let mut found_in = self.found_in.lock().unwrap_or_else(PoisonError::into_inner);
            found_in.insert(name.to_string(), place);
        }
        let media_type = match document::parse(&raw.bytes, &raw.media_type) {
            Ok(parsed) => own_media_type(&parsed),
            Err(error) => return Err(of(error.into())),
        };
        let entry = IndexEntry {
            media_type,
            digest,
            size: raw.bytes.len() as u64,
        };
        self.keep(&entry.digest, &raw.bytes).map_err(of)?;
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.push((full_name.clone(), entry.clone()));
        drop(found);
        let mut asked_for = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked_for.insert(full_name);
        Ok((entry, raw.bytes))
    }

    /// The name with the digest that it must stand for, where one is given.
    fn pinned(&self, name: &Reference) -> Result<Reference, RegistryError> {
        let Some(pin) = self.pin(name) else {
            return Ok(name.clone());
        };
        Reference::parse(&format!("{name}@{}", pin.top)).map_err(|e| {
            let reason = e.to_string();
            let what = "name";
            RegistryErrorKind::from(DocumentError::Malformed { what, reason }).of(name)
        })
    }

    /// What a name without a digest must stand for.
    fn pin(&self, name: &Reference) -> Option<&LockEntry> {
        let pin = || self.options.pins.get(&name.to_string());
        name.digest().is_none().then(pin).flatten()
    }

    fn was_asked(&self, name: &Reference) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.contains(&name.to_string())
    }

    /// What the store knows of a name (or of a pinned digest under whatever name). With a source
    /// to ask, what makes no sense in the store is as good as not there.
    fn known(
        &self,
        full_name: &str,
        pinned: Option<&Digest>,
    ) -> Result<Option<(IndexEntry, Vec<u8>)>, RegistryErrorKind> {
        let mut entry = match self.store.find(full_name) {
            Err(StoreError::Index { .. }) if !self.is_offline() => None,
            found => found?,
        };
        if let Some(pinned) = pinned {
            entry = entry.filter(|e| e.digest == *pinned).or_else(|| {
                Some(IndexEntry {
                    media_type: String::new(),
                    digest: pinned.clone(),
                    size: 0,
                })
            });
        }
        let Some(mut entry) = entry else {
            return Ok(None);
        };
        let Some(bytes) = self.stored_document(&entry.digest)? else {
            return Ok(None);
        };
        if !self.is_offline() && document::parse(&bytes, &entry.media_type).is_err() {
            return Ok(None);
        }
        entry.size = bytes.len() as u64;
        // Known by its digest alone. Whoever reads an index wants to know what it is.
        if entry.media_type.is_empty()
            && let Ok(parsed) = document::parse(&bytes, "")
        {
            entry.media_type = own_media_type(&parsed);
        }
        Ok(Some((entry, bytes)))
    }

    /// A document of the store; where a source can give it again, one that can't be read is taken
    /// away like one that is damaged.
    fn stored_document(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        match self.store.read_document(digest) {
            Err(StoreError::Io { source, .. })
                if !self.is_offline() && source.kind() != io::ErrorKind::InvalidData =>
            {
                self.store.remove_blob(digest)?;
                Ok(None)
            }
            read => read,
        }
    }

    /// Asks the files that the user named; the place of the one that has the name comes with it.
    fn in_files(&self, name: &Reference) -> Result<Option<(RawDocument, usize)>, RegistryError> {
        for (place, file) in self.options.files.iter().enumerate() {
            if let Some(raw) = file.top(name, self.limits.bytes)? {
                return Ok(Some((raw, place)));
            }
        }
        Ok(None)
    }

    fn fetch_top(&self, name: &Reference) -> Result<RawDocument, RegistryError> {
        let Some(remote) = &self.options.remote else {
            return Err(RegistryErrorKind::Missing { what: None }.of(name));
        };
        let found = remote.top(name, self.limits.bytes)?;
        found.ok_or_else(|| {
            RegistryErrorKind::NotFound {
                place: name.registry().into(),
            }
            .of(name)
        })
    }

    pub(super) fn source(&self, name: &Reference) -> Option<&dyn Source> {
        let found_in = self.found_in.lock().unwrap_or_else(PoisonError::into_inner);
        match found_in.get(&name.to_string()) {
            Some(&place) => self.options.files.get(place).map(AsRef::as_ref),
            None => self.options.remote.as_deref(),
        }
    }

    /// A manifest, config or other small blob: verified, and in the store afterwards.
    pub fn document(
        &self,
        name: &Reference,
        digest: &Digest,
        size: u64,
        is_manifest: bool,
    ) -> Result<Vec<u8>, RegistryError> {
        let of = |kind: RegistryErrorKind| kind.of(name);
        self.check_size(size).map_err(|e| of(e.into()))?;
        if let Some(bytes) = self.stored_document(digest).map_err(|e| of(e.into()))? {
            self.reused_bytes
                .fetch_add(bytes.len() as u64, Ordering::Relaxed);
            return Ok(bytes);
        }
        let source = self.source(name).ok_or_else(|| {
            of(RegistryErrorKind::Missing {
                what: Some(digest.to_string()),
            })
        })?;
        let raw = source.document(name, digest, size, is_manifest)?;
        let mut verified = Vec::new();
        VerifyingReader::new(&*raw.bytes, digest.clone(), size)
            .read_to_end(&mut verified)
            .map_err(|e| of(RegistryErrorKind::from_io(e)))?;
        self.fetched_bytes.fetch_add(size, Ordering::Relaxed);
        self.keep(digest, &verified).map_err(of)?;
        Ok(verified)
    }

    fn keep(&self, digest: &Digest, bytes: &[u8]) -> Result<(), RegistryErrorKind> {
        let mut blob = self.store.create_blob(digest)?;
        blob.write(bytes)?;
        Ok(self.store.commit_later(blob)?)
    }

    fn sboms(
        &self,
        name: &Reference,
        attestation: &Descriptor,
    ) -> Result<Vec<SbomDescriptor>, RegistryError> {
        let of = |kind: DocumentError| RegistryErrorKind::from(kind).of(name);
        let digest = document::digest_of(attestation, "index").map_err(of)?;
        let bytes = self.document(name, &digest, attestation.size(), true)?;
        let Document::Manifest(manifest) = document::parse(&bytes, "").map_err(of)? else {
            return Ok(Vec::new());
        };
        let is_spdx = |layer: &&Descriptor| {
            document::annotation(layer, "in-toto.io/predicate-type") == Some(SPDX_PREDICATE)
        };
        let spdx = manifest.layers().iter().filter(is_spdx);
        spdx.map(|layer| {
            let digest = document::digest_of(layer, "manifest").map_err(of)?;
            Ok(SbomDescriptor {
                digest,
                size: layer.size(),
            })
        })
        .collect()
    }
}

fn layers(
    manifest: &ImageManifest,
    config: &ImageConfiguration,
) -> Result<Vec<LayerDescriptor>, DocumentError> {
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != manifest.layers().len() {
        return Err(DocumentError::LayerCount {
            diff_ids: diff_ids.len(),
            layers: manifest.layers().len(),
        });
    }
    let pairs = manifest.layers().iter().zip(diff_ids);
    pairs
        .map(|(layer, diff_id)| {
            let digest = document::digest_of(layer, "manifest")?;
            let media_type = layer.media_type().to_string();
            let foreign = media_type.contains("foreign") || media_type.contains("nondistributable");
            if foreign && layer.urls().as_ref().is_some_and(|urls| !urls.is_empty()) {
                return Err(DocumentError::Foreign {
                    digest: digest.to_string(),
                });
            }
            let reason = |e| DocumentError::Malformed {
                what: "config",
                reason: format!("{e}"),
            };
            let diff_id = Some(diff_id.to_string().parse().map_err(reason)?);
            Ok(LayerDescriptor {
                digest,
                size: layer.size(),
                media_type,
                diff_id,
            })
        })
        .collect()
}

fn own_media_type(document: &Document) -> String {
    let (own, standard) = match document {
        Document::Index(index) => (index.media_type(), document::MANIFEST_TYPES[0]),
        Document::Manifest(manifest) => (manifest.media_type(), document::MANIFEST_TYPES[1]),
    };
    own.as_ref()
        .map_or_else(|| standard.to_owned(), ToString::to_string)
}
