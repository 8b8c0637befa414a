//! Layer bytes, compressed or not, to entries.

use lkbuild::layer::{EntryKind, Limits, read_layer};

/// Limits small enough that meeting them is cheap.
pub(crate) const LIMITS: Limits = Limits {
    layer_bytes: 4 << 20,
    layer_ratio: 200,
    blob_bytes: None,
    entries: 1000,
    header_bytes: 1 << 16,
    path_bytes: 4096,
    sparse_ranges: 100,
    image_bytes: 16 << 20,
    image_entries: 4000,
    links: 40,
    link_steps: 100_000,
    metadata_bytes: 1 << 20,
};

/// Reads any bytes as a layer, every body to its end or not at all.
pub fn layer(data: &[u8]) {
    let mut count = 0u64;
    let result = read_layer(data, &LIMITS, |entry, body| {
        count += 1;
        for name in entry.path.split(|&byte| byte == b'/') {
            assert!(name != b".." && name != b"." && !name.contains(&0));
            assert!(!name.is_empty() || entry.path.is_empty());
            assert!(!name.starts_with(b".wh."), "{}", entry.path.escape_ascii());
        }
        if let EntryKind::File { size } = entry.kind {
            assert!(size <= LIMITS.layer_bytes, "holes count as well");
            if !count.is_multiple_of(3) {
                let read = std::io::copy(body, &mut std::io::sink())?;
                assert_eq!(read, size);
            }
        } else {
            assert_eq!(body.read(&mut [0])?, 0, "only files have bodies");
        }
        Ok(())
    });
    if let Ok(summary) = result {
        assert!(summary.uncompressed_bytes <= LIMITS.layer_bytes);
        assert!(count <= summary.entries && summary.entries <= LIMITS.entries);
    }
}
