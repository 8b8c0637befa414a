//! Which blobs an image consists of.

use std::collections::{BTreeMap, BTreeSet, HashMap};

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
        // Indexes may name one document any number of times, on every level: each is read once.
        let mut seen: HashMap<Digest, bool> = HashMap::new();
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
                        let is_image = !document::is_attestation(&entry);
                        let (is_there, is_new) = match seen.get(&digest) {
                            Some(&is_there) => (is_there, false),
                            None => (read(&digest, entry.size())?.is_some(), true),
                        };
                        if is_image && is_there {
                            self.images += usize::from(is_new);
                            self.platforms.extend(document::platform_name(&entry));
                        }
                        if is_new {
                            seen.insert(digest.clone(), is_there);
                            wanted.push((digest, entry.size(), media_type, depth + 1));
                        }
                    }
                }
            }
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::{Value, json};

    use super::*;

    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

    fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::sha256(bytes).to_string();
        json!({"mediaType": media_type, "size": bytes.len(), "digest": digest})
    }

    fn index(entries: Vec<Value>) -> Vec<u8> {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
        serde_json::to_vec(&index).unwrap()
    }

    fn manifest() -> Vec<u8> {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", b"{}"),
            "layers": [],
        });
        serde_json::to_vec(&manifest).unwrap()
    }

    /// What is found from the last of the documents on, and how many were read.
    fn find(documents: &[(&str, Vec<u8>)]) -> (Result<Parts, DocumentError>, usize) {
        let (media_type, last) = documents.last().unwrap();
        let top = IndexEntry {
            media_type: (*media_type).to_owned(),
            digest: Digest::sha256(last),
            size: last.len() as u64,
        };
        let known: HashMap<Digest, &Vec<u8>> = documents
            .iter()
            .map(|(_, bytes)| (Digest::sha256(bytes), bytes))
            .collect();
        let mut reads = 0;
        let mut parts = Parts::default();
        let mut read = |digest: &Digest, _| {
            reads += 1;
            // Far more than any of these towers has, so that a search without an end fails.
            assert!(reads < 1000, "read again and again");
            Ok::<_, DocumentError>(known.get(digest).map(|bytes| bytes.to_vec()))
        };
        let result = parts.add(&top, &everything, &mut read);
        (result.map(|()| parts), reads)
    }

    /// Indexes of which each names the one below it so many times, above one manifest.
    fn tower(levels: usize, times: usize) -> Vec<(&'static str, Vec<u8>)> {
        let mut documents = vec![(MANIFEST, manifest())];
        for _ in 0..levels {
            let (media_type, below) = documents.last().unwrap();
            let next = index(vec![descriptor(media_type, below); times]);
            documents.push((INDEX, next));
        }
        documents
    }

    #[test]
    fn a_document_named_many_times_is_read_once() {
        let (parts, reads) = find(&tower(4, 200));
        let parts = parts.unwrap();
        // Each is looked for, and then read.
        assert_eq!((parts.documents.len(), reads), (5, 9));
        assert_eq!(parts.blobs.len(), 1);
    }

    #[test]
    fn indexes_inside_one_another_are_bounded() {
        assert!(find(&tower(4, 1)).0.is_ok());
        let error = find(&tower(5, 1)).0.unwrap_err().to_string();
        assert!(error.contains("nested too deeply"), "{error}");
    }
}
