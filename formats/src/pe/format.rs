//! Where things are in the headers. Numbers are little-endian.

/// First bytes of a file ("MS-DOS Stub").
pub(super) const DOS_MAGIC: &[u8; 2] = b"MZ";
/// Where the file says where its PE header is.
pub(super) const PE_OFFSET_AT: usize = 0x3c;
/// Length of the DOS header.
pub(super) const DOS_BYTES: usize = 64;

/// First bytes of the PE header ("Signature").
pub(super) const PE_MAGIC: &[u8; 4] = b"PE\0\0";

// "COFF File Header", counted from the signature.
pub(super) const MACHINE_AT: usize = 4;
pub(super) const SECTIONS_AT: usize = 6;
pub(super) const OPTIONAL_BYTES_AT: usize = 20;
pub(super) const CHARACTERISTICS_AT: usize = 22;
/// Where the optional header starts.
pub(super) const OPTIONAL_AT: usize = 24;

/// x86-64.
pub(super) const MACHINE_AMD64: u16 = 0x8664;
/// Can be run; knows addresses above 2 GiB.
pub(super) const PROGRAM_CHARACTERISTICS: u16 = 0x0002 | 0x0020;

// "Optional Header", counted from its start.
pub(super) const OPTIONAL_MAGIC_AT: usize = 0;
pub(super) const CODE_BYTES_AT: usize = 4;
pub(super) const DATA_BYTES_AT: usize = 8;
pub(super) const ENTRY_AT: usize = 16;
pub(super) const CODE_AT: usize = 20;
pub(super) const SECTION_ALIGNMENT_AT: usize = 32;
pub(super) const FILE_ALIGNMENT_AT: usize = 36;
pub(super) const IMAGE_VERSION_AT: usize = 44;
pub(super) const IMAGE_BYTES_AT: usize = 56;
pub(super) const HEADERS_BYTES_AT: usize = 60;
pub(super) const CHECKSUM_AT: usize = 64;
pub(super) const SUBSYSTEM_AT: usize = 68;
pub(super) const DLL_CHARACTERISTICS_AT: usize = 70;
pub(super) const DIRECTORIES_AT: usize = 108;
/// Length of the optional header up to the data directories.
pub(super) const OPTIONAL_FIXED_BYTES: usize = 112;

/// PE32+.
pub(super) const OPTIONAL_MAGIC: u16 = 0x20b;
/// A program for UEFI.
pub(super) const SUBSYSTEM_EFI: u16 = 10;
/// Needs no memory that can be both written and executed.
pub(super) const NX_COMPATIBLE: u16 = 0x0100;

/// Data directories of a usual program: all that there are.
pub(super) const DIRECTORIES: usize = 16;
/// Length of an entry: place and length.
pub(super) const DIRECTORY_BYTES: usize = 8;
/// The entry of signatures, whose place is one in the file.
pub(super) const DIRECTORY_CERTIFICATES: usize = 4;
/// The entry of base relocations.
pub(super) const DIRECTORY_RELOCATIONS: usize = 5;

// "Section Table", counted from an entry's start.
pub(super) const SECTION_NAME_BYTES: usize = 8;
pub(super) const VIRTUAL_BYTES_AT: usize = 8;
pub(super) const VIRTUAL_ADDRESS_AT: usize = 12;
pub(super) const RAW_BYTES_AT: usize = 16;
pub(super) const RAW_AT: usize = 20;
pub(super) const SECTION_CHARACTERISTICS_AT: usize = 36;
/// Length of an entry.
pub(super) const SECTION_BYTES: usize = 40;

// "Section Flags".
pub(super) const HAS_CODE: u32 = 0x20;
pub(super) const HAS_DATA: u32 = 0x40;
pub(super) const DISCARDABLE: u32 = 0x0200_0000;
pub(super) const EXECUTABLE: u32 = 0x2000_0000;
pub(super) const READABLE: u32 = 0x4000_0000;
pub(super) const WRITABLE: u32 = 0x8000_0000;

/// Sections start at such addresses, so that each page has one kind of access.
pub(super) const PAGE_BYTES: u32 = 4096;
/// Sections start at such places in a file.
pub(super) const FILE_ALIGNMENT: u32 = 512;

/// A base relocation of a whole address ("Base Relocation Types").
pub(super) const RELOCATION_DIR64: u16 = 10;

/// Two bytes of `bytes` as a number; 0 beyond its end.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let pair = bytes.get(at..).and_then(|rest| rest.first_chunk());
    u16::from_le_bytes(*pair.unwrap_or(&[0; 2]))
}

/// Four bytes of `bytes` as a number; 0 beyond its end.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
    u32::from_le_bytes(*word.unwrap_or(&[0; 4]))
}

/// Puts bytes over others, which are there.
pub(super) fn put(bytes: &mut [u8], at: usize, new: &[u8]) {
    bytes[at..at + new.len()].copy_from_slice(new);
}
