//! Listing what is in the store, and taking out what is not wanted.
//!
//! Blobs that a name reaches stay; what a build or LinuxKit is bringing in has no name yet, so
//! other blobs stay for [`GRACE`] after they were written. Packs can always go.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, SystemTime};

use super::parts::{Parts, everything};
use crate::digest::Digest;
use crate::pack::{Freed, PackFile, PackStore};
use crate::registry::document::{self, Document, DocumentError};
use crate::store::{IndexEntry, Locked, Store, StoreError};

/// Blobs without a name, and packs of layers that no image has, stay so long after their last use.
pub const GRACE: Duration = Duration::from_secs(60 * 60);

/// An image of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// Its full name; `None` where LinuxKit or somebody else wrote an entry without.
    pub name: Option<String>,
    /// What it stands for.
    pub entry: IndexEntry,
    /// Platforms of which something is there.
    pub platforms: BTreeSet<String>,
    /// Bytes of its blobs that are there.
    pub present_bytes: u64,
    /// How many of its blobs are not.
    pub absent_blobs: usize,
}

/// Every image with what is there of it, sorted by name. Nothing but documents is read.
pub fn list(store: &Store) -> Result<Vec<ImageInfo>, StoreError> {
    let there: BTreeMap<Digest, u64> = store
        .blobs()?
        .into_iter()
        .map(|blob| (blob.digest, blob.bytes))
        .collect();
    let mut images = Vec::new();
    for (name, entry) in store.entries()? {
        let mut parts = reachable(store, &entry);
        if parts.platforms.is_empty() {
            parts.platforms.extend(own_platform(store, &entry));
        }
        let all = parts.all();
        let present = |(digest, size): &(&Digest, &u64)| there.get(*digest) == Some(*size);
        images.push(ImageInfo {
            name,
            present_bytes: all.iter().filter(present).map(|(_, size)| *size).sum(),
            absent_blobs: all.len() - all.iter().filter(present).count()
                + usize::from(all.is_empty()),
            platforms: parts.platforms,
            entry,
        });
    }
    images.sort_by(|a, b| (&a.name, &a.entry.digest).cmp(&(&b.name, &b.entry.digest)));
    Ok(images)
}

/// What can be reached from an entry by the documents that are there and make sense.
pub(super) fn reachable(store: &Store, entry: &IndexEntry) -> Parts {
    let mut parts = Parts::default();
    let mut read = |digest: &Digest, _| Ok::<_, DocumentError>(store.peek_document(digest));
    // What makes no sense ends there: what was found before counts.
    let _ = parts.add(entry, &everything, &mut read);
    parts
}

/// The platform of an image without an index, as its config has it.
fn own_platform(store: &Store, entry: &IndexEntry) -> Option<String> {
    let manifest = store.peek_document(&entry.digest)?;
    let Document::Manifest(manifest) = document::parse(&manifest, &entry.media_type).ok()? else {
        return None;
    };
    let config = document::digest_of(manifest.config(), "manifest").ok()?;
    let config = document::parse_config(&store.peek_document(&config)?).ok()?;
    Some(document::config_platform(&config))
}

/// All digests that the names reach, the tops included.
fn wanted(
    store: &Store,
    entries: &[(Option<String>, IndexEntry)],
) -> Result<BTreeSet<Digest>, StoreError> {
    let mut wanted = BTreeSet::new();
    for (_, entry) in entries {
        wanted.insert(entry.digest.clone());
        wanted.extend(reachable(store, entry).all().into_keys());
    }
    Ok(wanted)
}

/// Takes names out, and the blobs and packs that only they needed. Gives what was freed; names
/// that are not there are the caller's to notice.
pub fn remove(store: &Store, names: &[String]) -> Result<Freed, StoreError> {
    store.locked(|locked| {
        let entries = locked.entries()?;
        let is_meant = |name: &Option<String>| name.as_ref().is_some_and(|n| names.contains(n));
        let (gone, kept): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(name, _)| is_meant(name));
        let kept = wanted(store, &kept)?;
        let mut unwanted = wanted(store, &gone)?;
        unwanted.retain(|digest| !kept.contains(digest));
        locked.remove(names)?;
        let mut freed = Freed::default();
        for blob in store.blobs()? {
            if unwanted.contains(&blob.digest) {
                take(store, &blob.digest, blob.bytes, &mut freed)?;
            }
        }
        let packs = remove_packs(store, |pack| unwanted.contains(&pack.layer))?;
        Ok(add(freed, packs))
    })
}

/// Takes out every blob that no name reaches and every pack of a layer that no image has, older
/// than `grace`, then the least used packs above `max_pack_bytes`.
pub fn gc(
    store: &Store,
    grace: Duration,
    max_pack_bytes: Option<u64>,
) -> Result<Freed, StoreError> {
    let before = SystemTime::now().checked_sub(grace);
    // A clock that was set back makes files young, which only keeps them.
    let is_old = |time: SystemTime| before.is_some_and(|before| time <= before);
    let freed = store.locked(|locked: &Locked<'_>| {
        let wanted = wanted(store, &locked.entries()?)?;
        let mut freed = Freed::default();
        for blob in store.blobs()? {
            if !wanted.contains(&blob.digest) && is_old(blob.modified) {
                take(store, &blob.digest, blob.bytes, &mut freed)?;
            }
        }
        let packs = remove_packs(store, |p| !wanted.contains(&p.layer) && is_old(p.used))?;
        Ok(add(freed, packs))
    })?;
    let packs = PackStore::new(store.dir());
    let evicted = max_pack_bytes.map(|max| packs.evict(max)).transpose();
    let evicted = evicted.map_err(|e| packs_error(&packs, e))?;
    Ok(add(freed, evicted.unwrap_or_default()))
}

/// Takes everything out: names and blobs unless `only_packs`, and packs.
pub fn clean(store: &Store, only_packs: bool) -> Result<Freed, StoreError> {
    let packs = remove_packs(store, |_| true)?;
    if only_packs {
        return Ok(packs);
    }
    store.locked(|locked| {
        // An index that is damaged goes with the rest.
        locked.clear()?;
        let mut freed = packs;
        for blob in store.blobs()? {
            take(store, &blob.digest, blob.bytes, &mut freed)?;
        }
        Ok(freed)
    })
}

fn take(store: &Store, digest: &Digest, bytes: u64, freed: &mut Freed) -> Result<(), StoreError> {
    store.remove_blob(digest)?;
    freed.files += 1;
    freed.bytes += bytes;
    Ok(())
}

fn remove_packs(store: &Store, unwanted: impl Fn(&PackFile) -> bool) -> Result<Freed, StoreError> {
    let packs = PackStore::new(store.dir());
    packs
        .remove_if(unwanted)
        .map_err(|e| packs_error(&packs, e))
}

fn packs_error(packs: &PackStore, source: io::Error) -> StoreError {
    StoreError::Io {
        action: "remove packs in",
        path: packs.dir().to_owned(),
        source,
    }
}

fn add(a: Freed, b: Freed) -> Freed {
    Freed {
        files: a.files + b.files,
        bytes: a.bytes + b.bytes,
    }
}
