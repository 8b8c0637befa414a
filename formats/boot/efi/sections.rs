//! The loader's own sections, where it is part of a unified kernel image.

use core::slice;

use crate::firmware::LoadedImage;

/// Places in a PE file (Microsoft PE/COFF specification): of the PE header's offset, and from there
/// of the number of sections and of the optional header's length.
const PE_OFFSET_AT: usize = 0x3c;
const SECTIONS_AT: usize = 6;
const OPTIONAL_BYTES_AT: usize = 20;
const OPTIONAL_AT: usize = 24;
/// In the optional header: the image's version.
const IMAGE_VERSION_AT: usize = 44;
/// In an entry of the section table: its length in memory and its place.
const VIRTUAL_BYTES_AT: usize = 8;
const VIRTUAL_ADDRESS_AT: usize = 12;
const SECTION_BYTES: usize = 40;

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(usize::from(u16::from_le_bytes(bytes.try_into().ok()?)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
}

/// The PE header of a file or image.
fn pe_at(bytes: &[u8]) -> Option<usize> {
    let at = u32_at(bytes, PE_OFFSET_AT)?;
    (u32_at(bytes, at)? == u32::from_le_bytes(*b"PE\0\0") as usize).then_some(at)
}

/// The major version of a PE file.
pub fn major_version(bytes: &[u8]) -> Option<usize> {
    u16_at(bytes, pe_at(bytes)? + OPTIONAL_AT + IMAGE_VERSION_AT)
}

/// A section of the running program, which is in memory as a whole.
pub fn own<'a>(image: &LoadedImage, name: &[u8; 8]) -> Option<&'a [u8]> {
    // SAFETY: the firmware loaded the image there, and it stays as long as the program.
    let bytes: &'a [u8] =
        unsafe { slice::from_raw_parts(image.image_base, image.image_bytes as usize) };
    let pe = pe_at(bytes)?;
    let sections = u16_at(bytes, pe + SECTIONS_AT)?;
    let table = pe + OPTIONAL_AT + u16_at(bytes, pe + OPTIONAL_BYTES_AT)?;
    for index in 0..sections {
        let entry = table + index * SECTION_BYTES;
        let mut found = bytes.get(entry..entry + name.len())?.iter().zip(name);
        if found.all(|(one, other)| one == other) {
            let start = u32_at(bytes, entry + VIRTUAL_ADDRESS_AT)?;
            let length = u32_at(bytes, entry + VIRTUAL_BYTES_AT)?;
            return bytes.get(start..start.checked_add(length)?);
        }
    }
    None
}
