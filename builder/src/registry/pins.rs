//! What a lock file says of an image, held against the image.

use super::document::{self, Document};
use super::error::{LockMismatch, RegistryErrorKind};
use crate::lockfile::LockEntry;
use crate::store::IndexEntry;

/// Whether what a name stands for has the platforms' manifests that it was locked with.
pub(super) fn check_platforms(
    pin: &LockEntry,
    top: &IndexEntry,
    bytes: &[u8],
) -> Result<(), RegistryErrorKind> {
    let platforms = match document::parse(bytes, &top.media_type)? {
        Document::Index(index) => Some(document::platforms_of(&index)?),
        Document::Manifest(_) => None,
    };
    for (platform, locked) in &pin.platforms {
        let found = match &platforms {
            Some(platforms) => platforms.get(platform),
            None => Some(&top.digest),
        };
        if found != Some(locked) {
            let mismatch = LockMismatch {
                platform: platform.clone(),
                locked: locked.to_string(),
                top: top.digest.to_string(),
                found: found.map_or_else(|| "none".into(), ToString::to_string),
            };
            return Err(Box::new(mismatch).into());
        }
    }
    Ok(())
}
