//! On-disk structures ("Hard Disk Footer Format", "Dynamic Disk Header Format"). Numbers are
//! big-endian.

/// Unit of places in the file.
pub(super) const SECTOR_BYTES: u64 = 512;

/// Length of the footer.
pub(super) const FOOTER_BYTES: usize = 512;

/// Length of the dynamic header.
pub(super) const DYNAMIC_HEADER_BYTES: usize = 1024;

/// Data of a block; the customary size.
pub(super) const BLOCK: usize = 2 << 20;

/// The same, for places on the disk.
pub(super) const BLOCK_BYTES: u64 = BLOCK as u64;

/// The bitmap before a block's data: one bit a sector.
pub(super) const BITMAP_BYTES: usize = BLOCK / 512 / 8;

/// Allocation table entry of a block that is not there.
pub(super) const NO_BLOCK: u32 = u32::MAX;

/// "Data Offset" where no structure follows.
pub(super) const NO_OFFSET: u64 = u64::MAX;

/// The largest disk: the format's limit of 2040 GiB.
pub(super) const MAX_BYTES: u64 = 2040 << 30;

pub(super) const FOOTER_COOKIE: &[u8; 8] = b"conectix";
pub(super) const DYNAMIC_COOKIE: &[u8; 8] = b"cxsparse";

/// "Disk Type".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiskType {
    Fixed = 2,
    Dynamic = 3,
}

/// The footer's fields that differ from disk to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) disk_bytes: u64,
    pub(super) disk_type: DiskType,
    pub(super) id: [u8; 16],
}

impl Footer {
    pub(super) fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut out = [0; FOOTER_BYTES];
        let data_offset = match self.disk_type {
            DiskType::Fixed => NO_OFFSET,
            DiskType::Dynamic => FOOTER_BYTES as u64,
        };
        let (cylinders, heads, sectors) = geometry(self.disk_bytes);
        out[0..8].copy_from_slice(FOOTER_COOKIE);
        // Features: the reserved bit that is always set. File format version 1.0.
        out[8..12].copy_from_slice(&2_u32.to_be_bytes());
        out[12..16].copy_from_slice(&0x1_0000_u32.to_be_bytes());
        out[16..24].copy_from_slice(&data_offset.to_be_bytes());
        // Time stamp: none, the same disk is always the same bytes. Creator application and host:
        // Windows, for otherwise programs take the disk's length from its rounded geometry.
        out[28..32].copy_from_slice(b"win ");
        out[32..36].copy_from_slice(&0xa_0000_u32.to_be_bytes());
        out[36..40].copy_from_slice(b"Wi2k");
        // Original and current size.
        out[40..48].copy_from_slice(&self.disk_bytes.to_be_bytes());
        out[48..56].copy_from_slice(&self.disk_bytes.to_be_bytes());
        out[56..58].copy_from_slice(&cylinders.to_be_bytes());
        out[58] = heads;
        out[59] = sectors;
        out[60..64].copy_from_slice(&(self.disk_type as u32).to_be_bytes());
        out[68..84].copy_from_slice(&self.id);
        let sum = checksum(&out);
        out[64..68].copy_from_slice(&sum.to_be_bytes());
        out
    }

    /// `None` if cookie or checksum are wrong, or the disk is of another type.
    pub(super) fn decode(bytes: &[u8; FOOTER_BYTES]) -> Option<Self> {
        let good = bytes.starts_with(FOOTER_COOKIE)
            && stored_checksum(bytes, 64)? == checksum_without(bytes, 64);
        let disk_type = match bytes[60..64] {
            [0, 0, 0, 2] => DiskType::Fixed,
            [0, 0, 0, 3] => DiskType::Dynamic,
            _ => return None,
        };
        good.then_some(Self {
            disk_bytes: u64::from_be_bytes(bytes[48..56].try_into().ok()?),
            disk_type,
            id: bytes[68..84].try_into().ok()?,
        })
    }
}

/// The dynamic header of a disk with so many blocks, whose allocation table is at `table_offset`.
pub(super) fn dynamic_header(table_offset: u64, blocks: u32) -> [u8; DYNAMIC_HEADER_BYTES] {
    let mut out = [0; DYNAMIC_HEADER_BYTES];
    out[0..8].copy_from_slice(DYNAMIC_COOKIE);
    out[8..16].copy_from_slice(&NO_OFFSET.to_be_bytes());
    out[16..24].copy_from_slice(&table_offset.to_be_bytes());
    out[24..28].copy_from_slice(&0x1_0000_u32.to_be_bytes());
    out[28..32].copy_from_slice(&blocks.to_be_bytes());
    out[32..36].copy_from_slice(&(2_u32 << 20).to_be_bytes());
    let sum = checksum(&out);
    out[36..40].copy_from_slice(&sum.to_be_bytes());
    out
}

/// One's complement of the sum of all bytes; the field itself is still zero.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>()
}

/// The checksum of bytes whose field for it stands at `at`.
pub(super) fn checksum_without(bytes: &[u8], at: usize) -> u32 {
    let field: u32 = bytes[at..at + 4].iter().map(|&byte| u32::from(byte)).sum();
    checksum(bytes).wrapping_add(field)
}

/// The field at `at`.
pub(super) fn stored_checksum(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Cylinders, heads and sectors as the specification computes them ("CHS Calculation").
pub(super) fn geometry(disk_bytes: u64) -> (u16, u8, u8) {
    let total = (disk_bytes / SECTOR_BYTES).min(65_535 * 16 * 255);
    let (sectors, heads) = if total >= 65_535 * 16 * 63 {
        (255, 16)
    } else {
        let heads = |sectors: u64, least: u64| (total / sectors).div_ceil(1024).max(least);
        let few = heads(17, 4);
        if few <= 16 && total / 17 < few * 1024 {
            (17, few)
        } else if total / 31 < 16 * 1024 {
            (31, 16)
        } else {
            (63, 16)
        }
    };
    let cylinders = total / sectors / heads;
    (
        u16::try_from(cylinders).unwrap_or(u16::MAX),
        u8::try_from(heads).unwrap_or(16),
        u8::try_from(sectors).unwrap_or(255),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometry_is_the_specifications() {
        for (bytes, expected) in [
            (1 << 20, (30, 4, 17)),
            (40 << 20, (963, 5, 17)),
            (100 << 20, (1003, 12, 17)),
            (200 << 20, (825, 16, 31)),
            (1 << 30, (2080, 16, 63)),
            (2 << 30, (4161, 16, 63)),
            (100 << 30, (51400, 16, 255)),
            (2040 << 30, (65535, 16, 255)),
        ] {
            assert_eq!(geometry(bytes), expected, "{bytes}");
        }
    }
}
