//! Which blobs an image consists of.

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::image::{Descriptor, ImageIndex};

use crate::digest::Digest;
use crate::registry::document::{self, Document, DocumentError};
use crate::store::IndexEntry;

/// An index may point to an index, but not for ever.
const MAX_DEPTH: usize = 4;

/// The bytes of a document, `None` where it is not there.
type Bytes<E> = Result<Option<Vec<u8>>, E>;

/// Blobs of one or more images, with their lengths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Indexes and manifests.
    pub documents: BTreeMap<Digest, u64>,
    /// Configs, layers and what attestations hold.
    pub blobs: BTreeMap<Digest, u64>,
    /// Platforms of the images found, as `linux/amd64`; those of plain manifests are not known.
    pub platforms: BTreeSet<String>,
    /// Images found, attestations not counted.
    pub images: usize,
}

impl Parts {
    /// Adds all that is found from `top` on. `choose` says which entries of an index are followed;
    /// `read` gives the bytes of a document that is there, verified. An entry whose document is
    /// not there is passed over, as layouts may hold only some platforms of an image.
    pub fn add<E: From<DocumentError>>(
        &mut self,
        top: &IndexEntry,
        choose: &dyn Fn(&ImageIndex) -> Result<Vec<Descriptor>, DocumentError>,
        read: &mut dyn FnMut(&Digest, u64) -> Bytes<E>,
    ) -> Result<(), E> {
        let mut wanted = vec![(top.digest.clone(), top.size, top.media_type.clone(), 0)];
        while let Some((digest, size, media_type, depth)) = wanted.pop() {
            let Some(bytes) = read(&digest, size)? else {
                continue;
            };
            let parsed = document::parse(&bytes, &media_type)?;
            self.documents.insert(digest, bytes.len() as u64);
            match parsed {
                Document::Manifest(manifest) => {
                    self.images += usize::from(depth == 0);
                    for blob in manifest.layers().iter().chain([manifest.config()]) {
                        let digest = document::digest_of(blob, "manifest")?;
                        self.blobs.insert(digest, blob.size());
                    }
                }
                Document::Index(_) if depth == MAX_DEPTH => {
                    let reason = "indexes are nested too deeply".into();
                    let what = "index";
                    return Err(DocumentError::Malformed { what, reason }.into());
                }
                Document::Index(index) => {
                    for entry in choose(&index)? {
                        let digest = document::digest_of(&entry, "index")?;
                        let media_type = entry.media_type().to_string();
                        self.note_platform(&entry, &mut |d| read(d, entry.size()))?;
                        wanted.push((digest, entry.size(), media_type, depth + 1));
                    }
                }
            }
        }
        Ok(())
    }

    /// Counts an image of an index, where its manifest is there.
    fn note_platform<E: From<DocumentError>>(
        &mut self,
        entry: &Descriptor,
        read: &mut dyn FnMut(&Digest) -> Bytes<E>,
    ) -> Result<(), E> {
        if document::is_attestation(entry) {
            return Ok(());
        }
        let digest = document::digest_of(entry, "index")?;
        if read(&digest)?.is_some() {
            self.images += 1;
            self.platforms.extend(platform_name(entry));
        }
        Ok(())
    }

    /// Everything, documents and blobs, in the order of the digests.
    pub fn all(&self) -> BTreeMap<Digest, u64> {
        let mut all = self.documents.clone();
        all.extend(self.blobs.iter().map(|(d, n)| (d.clone(), *n)));
        all
    }

    /// Takes another's parts in.
    pub fn merge(&mut self, other: Parts) {
        self.documents.extend(other.documents);
        self.blobs.extend(other.blobs);
        self.platforms.extend(other.platforms);
        self.images += other.images;
    }
}

/// For [`Parts::add`]: every entry of an index.
pub(super) fn everything(index: &ImageIndex) -> Result<Vec<Descriptor>, DocumentError> {
    Ok(index.manifests().clone())
}

/// `os/architecture[/variant]` of an index's entry.
pub(crate) fn platform_name(entry: &Descriptor) -> Option<String> {
    let platform = entry.platform().as_ref()?;
    let mut name = format!("{}/{}", platform.os(), platform.architecture());
    if let Some(variant) = platform.variant() {
        name.push('/');
        name.push_str(variant);
    }
    Some(name)
}
