//! Manifests, indexes and configs, checked (image-spec, manifest.md, image-index.md, config.md;
//! Docker's schema 2 is the same under other names).

use std::collections::BTreeMap;

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use serde_json::Value;

use super::platform::Platform;
use crate::digest::Digest;
use crate::store::MAX_DOCUMENT_BYTES;

/// Media types that are asked of a registry for a name.
pub const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// Far more than an index that is bounded in bytes can sensibly list.
const MAX_INDEX_ENTRIES: usize = 10_000;

/// Bounds on the documents of an image. Real images never meet the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentLimits {
    /// Bytes of an index, manifest or config.
    pub bytes: u64,
    /// Layers of one image (127 at most in practice: overlay's own limit).
    pub layers: usize,
}

impl Default for DocumentLimits {
    fn default() -> Self {
        DocumentLimits {
            bytes: MAX_DOCUMENT_BYTES,
            layers: 1024,
        }
    }
}

/// A document that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is no JSON, or not that of an image.
    #[error("its {what} makes no sense: {reason}")]
    Malformed {
        /// Manifest, index or config.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// It could be read in two ways (CVE-2021-41190).
    #[error(
        "its manifest is an index and an image at once (both `manifests` and `layers`), and is refused"
    )]
    Ambiguous,
    /// An image of the first registry protocol.
    #[error(
        "its manifest has schema version 1, which nothing verifies; push it again with a current tool"
    )]
    Schema1,
    /// It says it is something else than it is.
    #[error("its {what} calls itself {media_type}, which does not fit its content")]
    MediaType {
        /// Manifest, index or config.
        what: &'static str,
        /// What it claims.
        media_type: String,
    },
    /// Nothing in the index fits.
    #[error("it has no image for {wanted}; there are: {found}")]
    Platform {
        /// What `--arch` asks for.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// A layer that has to be fetched from elsewhere.
    #[error(
        "layer {digest} is stored outside the registry (a foreign layer), and is not fetched from there"
    )]
    Foreign {
        /// The layer.
        digest: String,
    },
    /// More images than any index has.
    #[error("its index lists {count} entries, more than the limit of {limit}")]
    TooManyEntries {
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// More layers than any image has.
    #[error(
        "its manifest lists {count} layers, more than the limit of {limit}; raise it with \
         --max-layers if this image is to be trusted"
    )]
    TooManyLayers {
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// An index, manifest or config larger than registries take.
    #[error(
        "one of its documents has more than the limit of {limit} bytes; raise it with \
         --max-document-bytes if this image is to be trusted"
    )]
    DocumentBytes {
        /// The limit.
        limit: u64,
    },
    /// Something else larger than it should be.
    #[error("one of its documents has {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Its length.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Config and manifest disagree.
    #[error("its config names {diff_ids} layers, its manifest {layers}")]
    LayerCount {
        /// Layers by the config.
        diff_ids: usize,
        /// Layers by the manifest.
        layers: usize,
    },
}

/// What a manifest document is.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// Images for several platforms.
    Index(Box<ImageIndex>),
    /// One image.
    Manifest(Box<ImageManifest>),
}

/// Reads an index or a manifest; which of the two is told from its content, and the media types
/// (its own and that of the answer or descriptor it came with) must agree.
pub fn parse(bytes: &[u8], media_type: &str) -> Result<Document, DocumentError> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|e| malformed("manifest", e.to_string()))?;
    let has = |key| value.get(key).is_some_and(|v| !v.is_null());
    if value.get("schemaVersion").and_then(Value::as_u64) == Some(1) {
        return Err(DocumentError::Schema1);
    }
    if has("manifests") && (has("layers") || has("config")) {
        return Err(DocumentError::Ambiguous);
    }
    let own_type = value
        .get("mediaType")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    if has("manifests") {
        for claimed in [media_type, &own_type] {
            check_type(
                "index",
                claimed,
                &[MANIFEST_TYPES[0], MANIFEST_TYPES[2]],
                &MANIFEST_TYPES,
            )?;
        }
        let index: ImageIndex =
            serde_json::from_value(value).map_err(|e| malformed("index", e.to_string()))?;
        let (count, limit) = (index.manifests().len(), MAX_INDEX_ENTRIES);
        if count > limit {
            return Err(DocumentError::TooManyEntries { count, limit });
        }
        return Ok(Document::Index(Box::new(index)));
    }
    for claimed in [media_type, &own_type] {
        check_type(
            "manifest",
            claimed,
            &[MANIFEST_TYPES[1], MANIFEST_TYPES[3]],
            &MANIFEST_TYPES,
        )?;
    }
    let manifest: ImageManifest =
        serde_json::from_value(value).map_err(|e| malformed("manifest", e.to_string()))?;
    Ok(Document::Manifest(Box::new(manifest)))
}

/// Types that say nothing (registries answer with text/plain) are passed over; a known type that
/// is not among `right` is a lie.
fn check_type(
    what: &'static str,
    claimed: &str,
    right: &[&str],
    known: &[&str],
) -> Result<(), DocumentError> {
    let claimed = claimed.split(';').next().unwrap_or_default().trim();
    if known.contains(&claimed) && !right.contains(&claimed) {
        return Err(DocumentError::MediaType {
            what,
            media_type: claimed.into(),
        });
    }
    Ok(())
}

/// Reads an image's config.
pub fn parse_config(bytes: &[u8]) -> Result<ImageConfiguration, DocumentError> {
    serde_json::from_slice(bytes).map_err(|e| malformed("config", e.to_string()))
}

/// The entry of an index that fits best; the first of equals. Entries without a platform are
/// taken where nothing else fits. Attestations are no images.
pub fn choose<'i>(
    index: &'i ImageIndex,
    platform: &Platform,
) -> Result<&'i Descriptor, DocumentError> {
    let mut best: Option<(u8, &Descriptor)> = None;
    for entry in index.manifests().iter().filter(|e| !is_attestation(e)) {
        let rank = match entry.platform() {
            None => 1,
            Some(p) => {
                let variant = p.variant().as_deref().unwrap_or_default();
                let rank =
                    platform.rank(&p.os().to_string(), &p.architecture().to_string(), variant);
                if rank == 0 { 0 } else { rank + 1 }
            }
        };
        if rank > best.map_or(0, |(rank, _)| rank) {
            best = Some((rank, entry));
        }
    }
    best.map(|(_, entry)| entry).ok_or_else(|| {
        let found: Vec<String> = index
            .manifests()
            .iter()
            .filter(|e| !is_attestation(e))
            .filter_map(platform_name)
            .collect();
        DocumentError::Platform {
            wanted: platform.to_string(),
            found: if found.is_empty() {
                "none".into()
            } else {
                found.join(", ")
            },
        }
    })
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

/// `os/architecture[/variant]` of an image by its config.
pub(crate) fn config_platform(config: &ImageConfiguration) -> String {
    let mut name = format!("{}/{}", config.os(), config.architecture());
    if let Some(variant) = config.variant() {
        name.push('/');
        name.push_str(variant);
    }
    name
}

/// The manifest of each platform that an index names; the first of two counts, as in [`choose`].
pub fn platforms_of(index: &ImageIndex) -> Result<BTreeMap<String, Digest>, DocumentError> {
    let mut platforms = BTreeMap::new();
    for entry in index.manifests().iter().filter(|e| !is_attestation(e)) {
        if let Some(platform) = platform_name(entry) {
            let digest = digest_of(entry, "index")?;
            platforms.entry(platform).or_insert(digest);
        }
    }
    Ok(platforms)
}

/// BuildKit's attestation manifests (SBOM, provenance) stand in the index beside the image.
pub fn is_attestation(entry: &Descriptor) -> bool {
    annotation(entry, "vnd.docker.reference.type") == Some("attestation-manifest")
}

/// The attestations of one image of an index.
pub fn attestations_of<'i>(
    index: &'i ImageIndex,
    image: &'i Digest,
) -> impl Iterator<Item = &'i Descriptor> {
    let image = image.to_string();
    index.manifests().iter().filter(move |e| {
        is_attestation(e) && annotation(e, "vnd.docker.reference.digest") == Some(&image)
    })
}

/// An annotation of a descriptor.
pub fn annotation<'d>(entry: &'d Descriptor, key: &str) -> Option<&'d str> {
    entry.annotations().as_ref()?.get(key).map(String::as_str)
}

/// A descriptor's digest, validated.
pub fn digest_of(descriptor: &Descriptor, what: &'static str) -> Result<Digest, DocumentError> {
    descriptor
        .digest()
        .to_string()
        .parse()
        .map_err(|e| malformed(what, format!("{e}")))
}

fn malformed(what: &'static str, reason: impl Into<String>) -> DocumentError {
    let mut reason = reason.into();
    if reason.contains("recursion limit") {
        // serde_json's own bound; documents of images have 6 levels.
        reason = "it is nested deeper than the limit of 128 levels".into();
    }
    DocumentError::Malformed { what, reason }
}
