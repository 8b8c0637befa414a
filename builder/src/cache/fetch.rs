//! Bringing everything that images consist of into the store.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use oci_spec::image::{Descriptor, ImageIndex};

use super::parts::Parts;
use crate::build::kept_entries;
use crate::config::{Moby, VolumeFormat};
use crate::digest::Digest;
use crate::progress::Progress;
use crate::reference::Reference;
use crate::registry::document::{self, DocumentError};
use crate::registry::{Images, MissingImages, Platform, RegistryError, RegistryErrorKind};
use crate::store::{IndexEntry, StoreError};

/// Blobs that are fetched at once.
const AT_ONCE: usize = 4;

/// An image that is wanted, for the platforms that are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its name.
    pub name: Reference,
    /// Where a volume holds the image itself: the platforms that it keeps, all if there are none.
    pub volume: Option<Vec<String>>,
}

/// What was brought, all of it in the store.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// Each name once, in full, and what it stands for; sorted.
    pub images: BTreeMap<String, IndexEntry>,
    /// What they consist of.
    pub parts: Parts,
}

/// Why not everything could be brought.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nothing may be fetched, and something is missing.
    #[error(transparent)]
    Missing(#[from] Box<MissingImages>),
    /// An image can't be had.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// What was fetched can't be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The images that a build of this configuration reads.
pub fn wishes(moby: &Moby) -> Vec<Wish> {
    let images = moby.images().map(|name| Wish {
        name: name.value.clone(),
        volume: None,
    });
    let volumes = moby.volumes.iter().filter_map(|volume| {
        let name = volume.image.as_ref()?;
        (volume.format() == VolumeFormat::Oci).then(|| Wish {
            name: name.value.clone(),
            volume: Some(volume.platforms.iter().map(|p| p.to_string()).collect()),
        })
    });
    let mut wishes: Vec<Wish> = Vec::new();
    for wish in images.chain(volumes) {
        if !wishes.contains(&wish) {
            wishes.push(wish);
        }
    }
    wishes
}

/// Fetches what is not in the store: documents, layers, attestations. Everything that can't be had
/// without a network is reported at once. All of it is on the disk then.
pub fn fetch(
    images: &Images,
    wishes: &[Wish],
    platforms: &[Platform],
    progress: &Progress,
) -> Result<Fetched, FetchError> {
    let mut fetched = Fetched::default();
    let mut missing = MissingImages::new(
        images.store().dir().to_owned(),
        match platforms {
            [] => vec![images.platform().clone()],
            platforms => platforms.to_vec(),
        },
    );
    // A blob of several images is fetched from the first.
    let mut blobs: BTreeMap<Digest, (u64, &Reference)> = BTreeMap::new();
    {
        let _task = progress.task(format!("resolving {} images", wishes.len()), None);
        for wish in wishes {
            match parts_of(images, wish, platforms) {
                Ok((entry, parts)) => {
                    for (digest, size) in &parts.blobs {
                        let blob = (*size, &wish.name);
                        blobs.entry(digest.clone()).or_insert(blob);
                    }
                    fetched.images.insert(wish.name.to_string(), entry);
                    fetched.parts.merge(parts);
                }
                Err(error) => {
                    if let Some(error) = missing.add_error(error) {
                        return Err(error.into());
                    }
                }
            }
        }
    }
    let absent: Vec<(&Digest, u64, &Reference)> = blobs
        .iter()
        .filter(|(digest, (size, _))| !images.store().has_blob(digest, *size))
        .map(|(digest, (size, name))| (digest, *size, *name))
        .collect();
    for error in fetch_blobs(images, &absent, progress) {
        if let Some(error) = missing.add_error(error) {
            return Err(error.into());
        }
    }
    missing.check()?;
    images.store().settle()?;
    Ok(fetched)
}

fn parts_of(
    images: &Images,
    wish: &Wish,
    platforms: &[Platform],
) -> Result<(IndexEntry, Parts), RegistryError> {
    let of = |e: Failed| e.0.unwrap_or_else(|kind| kind.of(&wish.name));
    let (entry, _) = images.top(&wish.name)?;
    let mut parts = Parts::default();
    let choose = |index: &ImageIndex| match &wish.volume {
        None => chosen(index, platforms),
        Some(kept) => {
            let kept: Vec<&str> = kept.iter().map(String::as_str).collect();
            let entries = kept_entries(index, &kept);
            Ok(entries.into_iter().cloned().collect())
        }
    };
    let mut read = |digest: &Digest, size: u64| {
        let bytes = images.document(&wish.name, digest, size, true);
        bytes.map(Some).map_err(|e| Failed(Ok(e)))
    };
    parts.add(&entry, &choose, &mut read).map_err(of)?;
    Ok((entry, parts))
}

/// A registry's error, or that of a document, which does not know its image.
struct Failed(Result<RegistryError, RegistryErrorKind>);

impl From<DocumentError> for Failed {
    fn from(error: DocumentError) -> Self {
        Failed(Err(error.into()))
    }
}

/// The image of each platform with its attestations.
fn chosen(index: &ImageIndex, platforms: &[Platform]) -> Result<Vec<Descriptor>, DocumentError> {
    let mut entries: Vec<Descriptor> = Vec::new();
    for platform in platforms {
        let image = document::choose(index, platform)?;
        let digest = document::digest_of(image, "index")?;
        for entry in [image]
            .into_iter()
            .chain(document::attestations_of(index, &digest))
        {
            if !entries.contains(entry) {
                entries.push(entry.clone());
            }
        }
    }
    Ok(entries)
}

/// Fetches several blobs at a time; gives what failed, in the order of the blobs. After an error
/// that is not about a missing blob no other blob is begun.
fn fetch_blobs(
    images: &Images,
    blobs: &[(&Digest, u64, &Reference)],
    progress: &Progress,
) -> Vec<RegistryError> {
    let next = AtomicUsize::new(0);
    let failed: Mutex<Vec<(usize, RegistryError)>> = Mutex::default();
    let stop = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(blobs.len()) {
            scope.spawn(|| {
                while stop.load(Ordering::Relaxed) == 0 {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&(digest, size, name)) = blobs.get(place) else {
                        break;
                    };
                    if let Err(error) = fetch_blob(images, digest, size, name, progress) {
                        let fatal = !matches!(error.kind, RegistryErrorKind::Missing { .. });
                        stop.fetch_add(usize::from(fatal), Ordering::Relaxed);
                        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                        failed.push((place, error));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.sort_by_key(|(place, _)| *place);
    failed.into_iter().map(|(_, error)| error).collect()
}

/// Fetches one blob into the store, verified.
pub(super) fn fetch_blob(
    images: &Images,
    digest: &Digest,
    size: u64,
    name: &Reference,
    progress: &Progress,
) -> Result<(), RegistryError> {
    let text = digest.to_string();
    let task = progress.task(
        format!("{name} {}", &text[..text.len().min(19)]),
        Some(size),
    );
    images.read(name, digest, size, |blob| {
        let mut buffer = vec![0; 1 << 16];
        loop {
            match blob.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => task.advance(read as u64),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    })?;
    progress.fetched(size);
    Ok(())
}
