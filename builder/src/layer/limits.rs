//! What a layer may cost.

/// Bounds on what one layer can make the reader do. Real images never meet the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Uncompressed bytes of one layer.
    pub layer_bytes: u64,
    /// Entries of one layer, directories and links included.
    pub entries: u64,
    /// Bytes of extension headers (PAX records, long names, sparse maps) before one entry.
    pub header_bytes: u64,
    /// Bytes of a path or link target.
    pub path_bytes: usize,
    /// Data ranges of one sparse file.
    pub sparse_ranges: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            layer_bytes: 16 << 30,
            entries: 4_000_000,
            header_bytes: 1 << 20,
            path_bytes: 4096,
            sparse_ranges: 10_000,
        }
    }
}
