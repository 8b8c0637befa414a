//! What a pack is of.

use std::fmt::Write;

use formats::compress::Compression;
use xxhash_rust::xxh3::xxh3_64;

use crate::digest::Digest;

/// Names a pack: the layer, how bodies are compressed, and the tar inside that was opened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PackKey {
    /// Digest of the layer's blob.
    pub layer: Digest,
    /// How bodies are stored.
    pub compression: Compression,
    /// Name of a tar in the layer (`kernel.tar`) whose files become bodies of their own.
    pub nested: Option<Vec<u8>>,
}

impl PackKey {
    /// File name below the store's folder of packs, for example `sha256/4f…-gzip-4.pack`. Digests
    /// are hex only, so a key can't lead out of that folder.
    pub fn file_name(&self) -> String {
        let mut name = format!("{}/{}-", self.layer.algorithm(), self.layer.hex());
        name.extend(
            self.compression
                .to_string()
                .chars()
                .map(|c| if c == ':' { '-' } else { c }),
        );
        if let Some(nested) = &self.nested {
            // Only the hash: the name in the image may hold anything.
            let _ = write!(name, "-tar{:016x}", xxh3_64(nested));
        }
        name.push_str(".pack");
        name
    }
}
