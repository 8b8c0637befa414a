//! The manifest of a cache in a registry: an artifact whose layers are packs (image-spec 1.1,
//! manifest.md, "Guidelines for Artifact Usage").

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::digest::Digest;
use crate::registry::document::{self, Document, DocumentError, MANIFEST_TYPES};

/// What the artifact is.
pub const ARTIFACT_TYPE: &str = "application/vnd.lkbuild.packs.v1";
/// A pack as a blob. The number is that of the pack's own magic: others are passed over.
pub const PACK_TYPE: &str = "application/vnd.lkbuild.pack.v3";
/// Which pack a blob is: [`crate::pack::PackKey::file_name`].
pub const KEY_ANNOTATION: &str = "vnd.lkbuild.pack.key";
/// The type of a manifest.
pub const MANIFEST_TYPE: &str = MANIFEST_TYPES[1];
/// A config or layer that stands for none (image-spec, manifest.md).
pub const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// The bytes of it.
pub const EMPTY: &[u8] = b"{}";
/// More packs than any build has; a manifest that registries take (4 MiB) has room for some more.
const MAX_PACKS: usize = 10_000;

/// A pack of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackDescriptor {
    /// Digest of the pack's file.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// The manifest of a cache with these packs (key and descriptor): the same packs, the same bytes.
pub fn write(packs: &[(&str, PackDescriptor)]) -> Vec<u8> {
    let empty = json!({
        "mediaType": EMPTY_TYPE,
        "digest": Digest::sha256(EMPTY).to_string(),
        "size": EMPTY.len(),
    });
    let pack = |(key, pack): &(&str, PackDescriptor)| {
        json!({
            "mediaType": PACK_TYPE,
            "digest": pack.digest.to_string(),
            "size": pack.size,
            "annotations": { KEY_ANNOTATION: key },
        })
    };
    let mut layers: Vec<Value> = packs.iter().map(pack).collect();
    if layers.is_empty() {
        // Registries want one at least.
        layers.push(empty.clone());
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": empty,
        "layers": layers,
    });
    manifest.to_string().into_bytes()
}

/// The packs of a cache by key; `None` where the document is that of something else. Blobs that
/// are no packs, or packs of another version, are passed over; of a key that comes twice, the first
/// counts.
pub fn parse(
    bytes: &[u8],
    media_type: &str,
) -> Result<Option<HashMap<String, PackDescriptor>>, DocumentError> {
    let Document::Manifest(manifest) = document::parse(bytes, media_type)? else {
        return Ok(None);
    };
    let artifact_type = manifest.artifact_type().as_ref().map(ToString::to_string);
    if artifact_type.as_deref() != Some(ARTIFACT_TYPE) {
        return Ok(None);
    }
    let (count, limit) = (manifest.layers().len(), MAX_PACKS);
    if count > limit {
        return Err(DocumentError::TooManyEntries { count, limit });
    }
    let mut packs = HashMap::new();
    for layer in manifest.layers() {
        let key = document::annotation(layer, KEY_ANNOTATION);
        let Some(key) = key.filter(|_| layer.media_type().to_string() == PACK_TYPE) else {
            continue;
        };
        let pack = PackDescriptor {
            digest: document::digest_of(layer, "manifest")?,
            size: layer.size(),
        };
        packs.entry(key.to_owned()).or_insert(pack);
    }
    Ok(Some(packs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(bytes: &[u8]) -> PackDescriptor {
        PackDescriptor {
            digest: Digest::sha256(bytes),
            size: bytes.len() as u64,
        }
    }

    #[test]
    fn a_manifest_comes_back() {
        let packs = [
            ("sha256/a-gzip-4.pack", pack(b"a")),
            ("sha256/b-none.pack", pack(b"bb")),
        ];
        let read = parse(&write(&packs), MANIFEST_TYPE).unwrap().unwrap();
        assert_eq!(read.len(), 2);
        for (key, pack) in packs {
            assert_eq!(read[key], pack);
        }
        assert!(parse(&write(&[]), "").unwrap().unwrap().is_empty());
    }

    #[test]
    fn what_is_no_pack_is_passed_over_and_what_is_no_cache_is_none() {
        let text = String::from_utf8(write(&[("k", pack(b"a"))])).unwrap();
        let newer = text.replace(PACK_TYPE, "application/vnd.lkbuild.pack.v4");
        assert!(parse(newer.as_bytes(), "").unwrap().unwrap().is_empty());
        let unnamed = text.replace(KEY_ANNOTATION, "other");
        assert!(parse(unnamed.as_bytes(), "").unwrap().unwrap().is_empty());
        let image = text.replace(ARTIFACT_TYPE, "application/x");
        assert_eq!(parse(image.as_bytes(), ""), Ok(None));
        let index = br#"{"schemaVersion":2,"manifests":[]}"#;
        assert_eq!(parse(index, ""), Ok(None));
    }

    #[test]
    fn a_manifest_with_bad_digests_or_too_many_packs_is_refused() {
        let text = String::from_utf8(write(&[("k", pack(b"a"))])).unwrap();
        let digest = Digest::sha256(b"a").to_string();
        for bad in ["sha256:../../etc", "md5:00", ""] {
            let bad = text.replace(&digest, bad);
            assert!(parse(bad.as_bytes(), "").is_err());
        }
        let many = vec![("k", pack(b"a")); MAX_PACKS + 1];
        let error = parse(&write(&many), "").unwrap_err();
        assert!(matches!(error, DocumentError::TooManyEntries { .. }));
    }
}
