//! On-disk structures (qcow2.txt, "Header", "Refcounts", "L2 table entry"). Numbers are big-endian.

/// log2 of the cluster size; QEMU's default.
pub(super) const CLUSTER_BITS: u32 = 16;

/// Unit of allocation, of tables and of refcounts.
pub(super) const CLUSTER: usize = 1 << CLUSTER_BITS;

/// The same, for places in files.
pub(super) const CLUSTER_BYTES: u64 = CLUSTER as u64;

/// Entries of an L2 table, which takes a cluster.
pub(super) const TABLE_ENTRIES: usize = CLUSTER / 8;

/// Entries of a refcount block, of 16 bits each.
pub(super) const REFCOUNTS: usize = CLUSTER / 2;

/// "QFI\xfb".
pub(super) const MAGIC: u32 = 0x5146_49fb;

/// Version with feature bits.
pub(super) const VERSION: u32 = 3;

/// log2 of the bits of a refcount.
pub(super) const REFCOUNT_ORDER: u32 = 4;

/// Length of the header without optional fields.
pub(super) const HEADER_BYTES: usize = 104;

/// Bit 63 of a table entry: the refcount is exactly one, it can be written in place.
pub(super) const COPIED: u64 = 1 << 63;

/// Bit 62 of an L2 entry: the cluster is compressed.
pub(super) const COMPRESSED: u64 = 1 << 62;

/// Bit 0 of an L2 entry: the cluster reads as zeros.
pub(super) const ZERO: u64 = 1;

/// Bits of an entry that are a place in the file.
pub(super) const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;

/// Where in the entry of a compressed cluster the number of further sectors stands.
pub(super) const SECTORS_SHIFT: u32 = 62 - (CLUSTER_BITS - 8);

/// Compressed data are counted in sectors.
pub(super) const SECTOR_BYTES: u64 = 512;

/// log2 of the window of compressed clusters: QEMU inflates with no more.
pub(super) const WINDOW_BITS: u8 = 12;

/// The header's fields that we use; all others are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) disk_bytes: u64,
    pub(super) l1_entries: u32,
    pub(super) l1_offset: u64,
    pub(super) refcount_table_offset: u64,
    pub(super) refcount_table_clusters: u32,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + 8);
        out.extend_from_slice(&MAGIC.to_be_bytes());
        out.extend_from_slice(&VERSION.to_be_bytes());
        // No backing file: offset and length of its name.
        out.extend_from_slice(&[0; 12]);
        out.extend_from_slice(&CLUSTER_BITS.to_be_bytes());
        out.extend_from_slice(&self.disk_bytes.to_be_bytes());
        // Not encrypted.
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.l1_entries.to_be_bytes());
        out.extend_from_slice(&self.l1_offset.to_be_bytes());
        out.extend_from_slice(&self.refcount_table_offset.to_be_bytes());
        out.extend_from_slice(&self.refcount_table_clusters.to_be_bytes());
        // No snapshots (12 bytes) and no feature bits (24).
        out.extend_from_slice(&[0; 36]);
        out.extend_from_slice(&REFCOUNT_ORDER.to_be_bytes());
        out.extend_from_slice(&104_u32.to_be_bytes());
        // The end of header extensions.
        out.extend_from_slice(&[0; 8]);
        out
    }
}

/// Table entries as bytes, padded to whole clusters.
pub(super) fn encode_entries(entries: &[u64]) -> Vec<u8> {
    let mut out: Vec<u8> = entries
        .iter()
        .flat_map(|entry| entry.to_be_bytes())
        .collect();
    out.resize(out.len().next_multiple_of(CLUSTER), 0);
    out
}
