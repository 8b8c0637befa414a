//! Indexes, manifests and configs of images.

use lkbuild::registry::Platform;
use lkbuild::registry::document::{
    Document, MANIFEST_TYPES, attestations_of, choose, digest_of, parse, parse_config,
};

/// Parses any bytes as each document of an image; what is accepted is looked through, and means
/// one thing only, whatever media type it came with.
pub fn document(data: &[u8]) {
    let kinds = MANIFEST_TYPES.into_iter().chain([""]);
    let mut indexes = 0;
    let mut manifests = 0;
    for media_type in kinds {
        match parse(data, media_type) {
            Ok(Document::Index(index)) => {
                indexes += 1;
                let platform = Platform::linux("amd64");
                let chosen = choose(&index, &platform).and_then(|entry| digest_of(entry, "index"));
                if let Ok(digest) = chosen {
                    attestations_of(&index, &digest).count();
                }
            }
            Ok(Document::Manifest(manifest)) => {
                manifests += 1;
                for layer in manifest.layers() {
                    if let Ok(digest) = digest_of(layer, "manifest") {
                        assert!(digest.hex().bytes().all(|b| b.is_ascii_hexdigit()));
                    }
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    assert!(indexes == 0 || manifests == 0, "an index and a manifest");
    if let Err(error) = parse_config(data) {
        assert!(!error.to_string().is_empty());
    }
}
