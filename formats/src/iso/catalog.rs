//! The boot catalog (El Torito 1.0, 2.0): which images firmware may boot.

use super::format::{SECTOR, SECTOR_BYTES};

/// Length of an entry.
pub(super) const ENTRY_BYTES: usize = 32;

/// Header IDs (2.1, 2.3).
pub(super) const HEADER_VALIDATION: u8 = 1;
pub(super) const HEADER_MORE: u8 = 0x90;
pub(super) const HEADER_LAST: u8 = 0x91;
/// "Bootable", the first byte of an entry (2.2).
pub(super) const BOOTABLE: u8 = 0x88;
/// Boot media type: no emulation.
const NO_EMULATION: u8 = 0;

/// Platforms (2.1; UEFI specification 2.10, 13.3.2.1).
pub(super) const PLATFORM_X86: u8 = 0;
pub(super) const PLATFORM_EFI: u8 = 0xef;

/// Sector counts of the catalog are in units of this, whatever the medium's sectors are.
const VIRTUAL_SECTOR_BYTES: u64 = 512;

/// What a BIOS loads of the BIOS loader: one CD sector. Some load no other number.
const BIOS_LOAD_SECTORS: u16 = 4;

/// Images that can be booted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct BootImages {
    /// Where the BIOS loader starts.
    pub(super) bios_lba: Option<u32>,
    /// Where the FAT volume for UEFI starts, and its length in bytes.
    pub(super) efi: Option<(u32, u64)>,
}

impl BootImages {
    /// The catalog; the first image is its default entry, a second one has a section of its own.
    pub(super) fn catalog(&self) -> [u8; SECTOR] {
        let bios = self
            .bios_lba
            .map(|lba| (PLATFORM_X86, entry(BIOS_LOAD_SECTORS, lba)));
        let efi = self
            .efi
            .map(|(lba, bytes)| (PLATFORM_EFI, entry(efi_sectors(bytes), lba)));
        let mut images = bios.into_iter().chain(efi);
        let mut catalog = Vec::new();
        if let Some((platform, entry)) = images.next() {
            catalog.extend(validation(platform));
            catalog.extend(entry);
        }
        if let Some((platform, entry)) = images.next() {
            let mut header = [0; ENTRY_BYTES];
            header[0] = HEADER_LAST;
            header[1] = platform;
            // One entry follows.
            header[2] = 1;
            catalog.extend(header);
            catalog.extend(entry);
        }
        let mut sector = [0; SECTOR];
        sector[..catalog.len()].copy_from_slice(&catalog);
        sector
    }
}

/// The sector count has 16 bits. 0 means "up to the end of the medium" to UEFI, which for what
/// starts an ISO's last part is right.
fn efi_sectors(bytes: u64) -> u16 {
    u16::try_from(bytes.div_ceil(VIRTUAL_SECTOR_BYTES)).unwrap_or(0)
}

/// The validation entry (2.1): all its words add up to 0.
fn validation(platform: u8) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    entry[0] = HEADER_VALIDATION;
    entry[1] = platform;
    entry[4..11].copy_from_slice(b"LKBUILD");
    entry[30..].copy_from_slice(&[0x55, 0xaa]);
    let sum = checksum(&entry);
    entry[28..30].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
    entry
}

/// The sum of an entry's 16-bit words.
pub(super) fn checksum(entry: &[u8; ENTRY_BYTES]) -> u16 {
    let (words, _) = entry.as_chunks::<2>();
    words.iter().fold(0, |sum: u16, word| {
        sum.wrapping_add(u16::from_le_bytes(*word))
    })
}

/// A default or section entry (2.2, 2.4).
fn entry(sectors: u16, lba: u32) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    entry[0] = BOOTABLE;
    entry[1] = NO_EMULATION;
    // Load segment 0 means the customary 0x7c0.
    entry[6..8].copy_from_slice(&sectors.to_le_bytes());
    entry[8..12].copy_from_slice(&lba.to_le_bytes());
    entry
}

const _: () = assert!(SECTOR_BYTES == 4 * VIRTUAL_SECTOR_BYTES);
