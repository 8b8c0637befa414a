//! What layers may cost.

/// Unpacked bytes that every layer may have, whatever the length of its blob.
pub const RATIO_FREE_BYTES: u64 = 512 << 20;

/// Bounds on what one layer, and the layers of one image together, can make a build do. Real
/// images never meet the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Uncompressed bytes of one layer; a sparse file counts with its holes.
    pub layer_bytes: u64,
    /// Uncompressed bytes of one layer for each byte of its blob, beyond [`RATIO_FREE_BYTES`].
    pub layer_ratio: u64,
    /// Length of the layer's blob, which [`Limits::layer_ratio`] is about; where it is not known,
    /// that limit is none.
    pub blob_bytes: Option<u64>,
    /// Entries of one layer, directories and links included.
    pub entries: u64,
    /// Bytes of extension headers (PAX records, long names, sparse maps) before one entry.
    pub header_bytes: u64,
    /// Bytes of a path or link target.
    pub path_bytes: usize,
    /// Data ranges of one sparse file.
    pub sparse_ranges: usize,
    /// Uncompressed bytes of all layers of an image.
    pub image_bytes: u64,
    /// Entries of all layers of an image.
    pub image_entries: u64,
    /// Symlinks that one path may lead through (Linux has 40, Go's SecureJoin 255).
    pub links: usize,
    /// Components of symlinks that all paths of an image together may lead through.
    pub link_steps: u64,
    /// Bytes of the paths, link targets and extended attributes of all layers of an image, which are
    /// kept in memory (each attribute counts 96 bytes more than its name and value); and of the paths
    /// of folders that an image implies without listing them.
    pub metadata_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            layer_bytes: 16 << 30,
            layer_ratio: 100,
            blob_bytes: None,
            entries: 4_000_000,
            header_bytes: 1 << 20,
            path_bytes: 4096,
            sparse_ranges: 10_000,
            image_bytes: 64 << 30,
            image_entries: 8_000_000,
            links: 255,
            link_steps: 100_000_000,
            metadata_bytes: 512 << 20,
        }
    }
}

/// A bound as messages name it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) what: &'static str,
    pub(super) limit: u64,
    pub(super) flag: &'static str,
}

impl Limits {
    /// The bounds for a layer whose blob has so many bytes.
    pub fn for_blob(&self, bytes: u64) -> Self {
        Limits {
            blob_bytes: Some(bytes),
            ..self.clone()
        }
    }

    /// How many bytes the layer may unpack to.
    pub fn unpacked_bytes(&self) -> u64 {
        self.unpacked().limit
    }

    /// How many bytes the layer may unpack to: what is met first.
    pub(super) fn unpacked(&self) -> Bound {
        let by_ratio = self.blob_bytes.map(|bytes| {
            let limit = bytes.saturating_mul(self.layer_ratio);
            limit.max(RATIO_FREE_BYTES)
        });
        match by_ratio {
            Some(limit) if limit < self.layer_bytes => Bound {
                what: "unpacked bytes in a layer whose blob is so small",
                limit,
                flag: "max-layer-ratio",
            },
            _ => Bound {
                what: "unpacked bytes in one layer",
                limit: self.layer_bytes,
                flag: "max-layer-bytes",
            },
        }
    }
}
