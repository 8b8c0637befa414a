//! Manifests of caches in registries.

use lkbuild::pack_cache::manifest::{MANIFEST_TYPE, PackDescriptor, parse, write};

/// Parses any bytes as the manifest of a cache; what is accepted comes back from its own text.
pub fn cache_manifest(data: &[u8]) {
    match parse(data, MANIFEST_TYPE) {
        Ok(Some(packs)) => {
            let listed: Vec<(&str, PackDescriptor)> = packs
                .iter()
                .map(|(key, pack)| (key.as_str(), pack.clone()))
                .collect();
            assert_eq!(parse(&write(&listed), MANIFEST_TYPE), Ok(Some(packs)));
        }
        Ok(None) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
