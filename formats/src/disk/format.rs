//! Where things are, and GUIDs as GPT has them (UEFI specification 2.10, 5.3).

/// Sectors of all our disks.
pub const SECTOR_BYTES: u64 = 512;

/// Code before the MBR's disk signature and partition entries.
pub const MBR_CODE_BYTES: usize = 440;

/// Where the BIOS loader's second part starts.
pub const LOADER_START_BYTES: u64 = 36 * SECTOR_BYTES;

/// Where the EFI system partition starts.
pub const ESP_START_BYTES: u64 = 2048 * SECTOR_BYTES;

/// Partitions and disks are whole MiB.
pub(super) const ALIGNMENT_BYTES: u64 = 1 << 20;

/// Status byte of the first MBR entry.
pub(super) const MBR_STATUS: u64 = 446;

/// "Active": some BIOSes boot no disk without it. The UEFI specification wants 0 there; sgdisk
/// warns that some UEFI firmware may pass the disk over.
pub(super) const MBR_ACTIVE: u8 = 0x80;

/// Type of a protective MBR's entry.
pub(super) const MBR_PROTECTIVE: u8 = 0xee;

/// Signature of the GPT header.
pub(super) const GPT_SIGNATURE: &[u8; 8] = b"EFI PART";

/// Length of the header that its checksum covers.
pub(super) const GPT_HEADER_BYTES: usize = 92;

/// Length of an entry.
pub(super) const GPT_ENTRY_BYTES: usize = 128;

/// Entries of a table; the least that the specification allows.
pub(super) const GPT_ENTRIES: usize = 128;

/// The EFI system partition's type.
pub(super) const TYPE_ESP: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";

/// A GUID as text from sixteen bytes of any origin: version 8 (RFC 9562, 5.8), which says no more
/// than that somebody chose them.
pub(super) fn guid(bytes: [u8; 16]) -> String {
    let mut bytes = bytes;
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..4], &hex[4..6], &hex[6..8], &hex[8..10], &hex[10..]]
        .map(|part| part.concat())
        .join("-")
}

/// A GUID as it is stored, whose first three parts are little-endian, as text.
pub(super) fn stored_guid(bytes: &[u8]) -> String {
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let hex = order.map(|at: usize| {
        bytes
            .get(at)
            .map_or(String::new(), |byte| format!("{byte:02X}"))
    });
    [&hex[..4], &hex[4..6], &hex[6..8], &hex[8..10], &hex[10..]]
        .map(|part| part.concat())
        .join("-")
}
