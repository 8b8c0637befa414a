//! On-disk structures of sparse extents ("Hosted Sparse Extents", "Stream-Optimized Compressed").
//!
//! All numbers are little-endian; places and lengths are in sectors.

/// Length of a sector, in memory.
pub(super) const SECTOR: usize = 512;

/// Length of a sector.
pub(super) const SECTOR_BYTES: u64 = SECTOR as u64;

/// Sectors of a grain: 64 KiB, the only size that ESXi imports.
pub(super) const GRAIN_SECTORS: u64 = 128;

/// Length of a grain, the unit of allocation.
pub const GRAIN_BYTES: usize = 64 << 10;

/// Entries of a grain table, which so maps 32 MiB.
pub(super) const TABLE_ENTRIES: usize = 512;

/// Sectors of a grain table.
pub(super) const TABLE_SECTORS: u64 = TABLE_ENTRIES as u64 * 4 / SECTOR_BYTES;

/// `SPARSE_MAGICNUMBER`: "KDMV".
pub(super) const MAGIC: u32 = 0x564d_444b;

/// Header version of streams, as VMware's own converter writes it.
pub(super) const VERSION_STREAM: u32 = 3;

/// Header version of monolithic sparse disks.
pub(super) const VERSION_SPARSE: u32 = 1;

/// Bit 0 of the flags: the line-end test bytes are valid.
pub(super) const FLAG_NEW_LINE_TEST: u32 = 1;

/// Bit 1: there is a second grain directory.
pub(super) const FLAG_REDUNDANT_TABLES: u32 = 1 << 1;

/// Bit 16: grains are compressed.
pub(super) const FLAG_COMPRESSED: u32 = 1 << 16;

/// Bit 17: there are markers before grains and metadata.
pub(super) const FLAG_MARKERS: u32 = 1 << 17;

/// `compressAlgorithm`: none.
pub(super) const COMPRESSION_NONE: u16 = 0;

/// `compressAlgorithm`: RFC 1950.
pub(super) const COMPRESSION_DEFLATE: u16 = 1;

/// `gdOffset` of a header whose footer says where the grain directory is.
pub(super) const DIRECTORY_AT_END: u64 = u64::MAX;

/// Where the embedded descriptor starts.
pub(super) const DESCRIPTOR_SECTOR: u64 = 1;

/// What is kept free for it.
pub(super) const DESCRIPTOR_SECTORS: u64 = 20;

/// `MARKER_EOS`: the stream ends.
pub(super) const MARKER_END: u32 = 0;

/// `MARKER_GT`: a grain table follows.
pub(super) const MARKER_TABLE: u32 = 1;

/// `MARKER_GD`: the grain directory follows.
pub(super) const MARKER_DIRECTORY: u32 = 2;

/// `MARKER_FOOTER`: the header's copy follows.
pub(super) const MARKER_FOOTER: u32 = 3;

/// Bytes before a compressed grain: its first sector (u64) and its length (u32).
pub(super) const GRAIN_MARKER_BYTES: usize = 12;

/// `SparseExtentHeader`, which takes a sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) flags: u32,
    pub(super) capacity_sectors: u64,
    pub(super) grain_sectors: u64,
    pub(super) descriptor_sector: u64,
    pub(super) descriptor_sectors: u64,
    pub(super) table_entries: u32,
    pub(super) redundant_directory_sector: u64,
    pub(super) directory_sector: u64,
    /// Sectors before the first grain.
    pub(super) overhead_sectors: u64,
    pub(super) compression: u16,
}

/// Tells a transfer in text mode, which would change them, from a whole file.
const LINE_ENDS: [u8; 4] = *b"\n \r\n";

impl Header {
    pub(super) fn encode(&self) -> [u8; SECTOR] {
        let mut out = [0; SECTOR];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&MAGIC.to_le_bytes());
        put(&self.version.to_le_bytes());
        put(&self.flags.to_le_bytes());
        put(&self.capacity_sectors.to_le_bytes());
        put(&self.grain_sectors.to_le_bytes());
        put(&self.descriptor_sector.to_le_bytes());
        put(&self.descriptor_sectors.to_le_bytes());
        put(&self.table_entries.to_le_bytes());
        put(&self.redundant_directory_sector.to_le_bytes());
        put(&self.directory_sector.to_le_bytes());
        put(&self.overhead_sectors.to_le_bytes());
        // Not in use by a virtual machine.
        put(&[0]);
        put(&LINE_ENDS);
        put(&self.compression.to_le_bytes());
        out
    }

    /// `None` if magic or line ends are not there.
    pub(super) fn decode(sector: &[u8; SECTOR]) -> Option<Self> {
        let u32_at = |at: usize| -> Option<u32> {
            Some(u32::from_le_bytes(sector.get(at..at + 4)?.try_into().ok()?))
        };
        let u64_at = |at: usize| -> Option<u64> {
            Some(u64::from_le_bytes(sector.get(at..at + 8)?.try_into().ok()?))
        };
        let flags = u32_at(8)?;
        let line_ends_good = flags & FLAG_NEW_LINE_TEST == 0 || sector[73..77] == LINE_ENDS;
        (u32_at(0)? == MAGIC && line_ends_good).then_some(())?;
        Some(Self {
            version: u32_at(4)?,
            flags,
            capacity_sectors: u64_at(12)?,
            grain_sectors: u64_at(20)?,
            descriptor_sector: u64_at(28)?,
            descriptor_sectors: u64_at(36)?,
            table_entries: u32_at(44)?,
            redundant_directory_sector: u64_at(48)?,
            directory_sector: u64_at(56)?,
            overhead_sectors: u64_at(64)?,
            compression: u16::from_le_bytes([sector[77], sector[78]]),
        })
    }
}

/// A metadata marker: sectors that follow, size 0, type.
pub(super) fn marker(sectors: u64, kind: u32) -> [u8; SECTOR] {
    let mut out = [0; SECTOR];
    out[..8].copy_from_slice(&sectors.to_le_bytes());
    out[12..16].copy_from_slice(&kind.to_le_bytes());
    out
}

/// Table entries as bytes, padded to whole sectors.
pub(super) fn encode_entries(entries: &[u32]) -> Vec<u8> {
    let mut out: Vec<u8> = entries
        .iter()
        .flat_map(|entry| entry.to_le_bytes())
        .collect();
    out.resize(out.len().next_multiple_of(SECTOR), 0);
    out
}
