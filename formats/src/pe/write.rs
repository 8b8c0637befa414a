//! Sections behind a program's own, and the checksum.

use std::io::{self, Read};
use std::sync::Arc;

use crate::payload::{Extents, Payload, PayloadReader, PlaceError};

use super::format::*;
use super::read::{PeFile, ReadError};

/// A section to append.
#[derive(Clone)]
pub struct NewSection {
    /// Its name, of one to eight bytes.
    pub name: &'static str,
    /// Its content; where it is empty there is no section.
    pub content: Arc<dyn Payload>,
}

impl std::fmt::Debug for NewSection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSection")
            .field("name", &self.name)
            .field("len_bytes", &self.content.len_bytes())
            .finish()
    }
}

/// Why sections can't be appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The program is damaged or none.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The program is not for UEFI on x86-64.
    #[error("it is no UEFI program for x86-64")]
    NotEfi,
    /// It is signed, and no longer would be.
    #[error("it is signed, which it would no longer be with a kernel in it: take an unsigned one")]
    Signed,
    /// It has a section of a name that is to be appended.
    #[error("it has a section {0} already")]
    Twice(&'static str),
    /// Its headers have no room for more sections.
    #[error("its headers have room for {room} more sections, and {needed} are needed")]
    NoRoom {
        /// How many fit.
        room: usize,
        /// How many there are.
        needed: usize,
    },
    /// The sections are too long.
    #[error(
        "its sections would have {bytes} bytes, and a PE file has less than 2 GiB: take a smaller initrd, or a format with the initrd outside"
    )]
    TooLarge {
        /// Length in memory.
        bytes: u64,
    },
    /// Parts overlap.
    #[error("the parts of the PE file overlap")]
    Place(#[from] PlaceError),
    /// A section can't be read.
    #[error("can't be read: {0}")]
    Io(#[from] io::Error),
}

/// Firmware takes lengths as signed numbers at times.
const IMAGE_MAX_BYTES: u64 = 2 << 30;

/// Puts sections behind those of a program for UEFI. All content is read once, for the checksum.
///
/// # Errors
/// If the program can't take them, or content can't be read.
pub fn append(program: Vec<u8>, sections: &[NewSection]) -> Result<Extents, AppendError> {
    let file = PeFile::read(&program)?;
    if !file.is_efi_amd64() {
        return Err(AppendError::NotEfi);
    }
    if file.signatures.is_some() {
        return Err(AppendError::Signed);
    }
    let new: Vec<_> = sections
        .iter()
        .filter(|section| section.content.len_bytes() > 0)
        .collect();
    if let Some(twice) = new.iter().find(|s| file.section(s.name).is_some()) {
        return Err(AppendError::Twice(twice.name));
    }
    // Up to the first byte of a section, which may come before the end of the headers, as may the
    // end of a program that was cut.
    let raw_starts = file.sections.iter().filter(|s| !s.raw.is_empty());
    let first_raw = raw_starts.map(|s| s.raw.start).min().unwrap_or(u64::MAX);
    let headers_end = first_raw.min(u64::from(file.headers_bytes));
    let headers_end = headers_end.min(program.len() as u64);
    let table_end = file.table_at + file.sections.len() * SECTION_BYTES;
    let room = headers_end.saturating_sub(table_end as u64) / SECTION_BYTES as u64;
    let room = usize::try_from(room).unwrap_or(0);
    if room < new.len() {
        let needed = new.len();
        return Err(AppendError::NoRoom { room, needed });
    }

    // Whole pages, even where the program has none, so that each has one kind of access.
    let section_alignment = u64::from(file.section_alignment.max(PAGE_BYTES));
    let file_alignment = u64::from(file.file_alignment);
    let ends = file
        .sections
        .iter()
        .map(|s| u64::from(s.address) + u64::from(s.memory_bytes));
    let mut address = ends.max().unwrap_or(section_alignment);
    let mut raw_at = program.len() as u64;
    let mut placed = Vec::new();
    let mut entries = Vec::new();
    for section in &new {
        let bytes = section.content.len_bytes();
        address = address.next_multiple_of(section_alignment);
        raw_at = raw_at.next_multiple_of(file_alignment);
        let raw_bytes = bytes.next_multiple_of(file_alignment);
        let too_large = AppendError::TooLarge {
            bytes: address.saturating_add(bytes),
        };
        if address.saturating_add(bytes).max(raw_at + raw_bytes) >= IMAGE_MAX_BYTES {
            return Err(too_large);
        }
        let mut entry = [0; SECTION_BYTES];
        put(&mut entry, 0, section.name.as_bytes());
        for (field, number) in [
            (VIRTUAL_BYTES_AT, bytes),
            (VIRTUAL_ADDRESS_AT, address),
            (RAW_BYTES_AT, raw_bytes),
            (RAW_AT, raw_at),
            (SECTION_CHARACTERISTICS_AT, u64::from(READABLE | HAS_DATA)),
        ] {
            put(&mut entry, field, &low(number));
        }
        entries.extend_from_slice(&entry);
        placed.push((raw_at, section.content.clone()));
        address += bytes;
        raw_at += raw_bytes;
    }

    let mut program = program;
    put(&mut program, table_end, &entries);
    let count = file.sections.len() + new.len();
    let optional = file.pe_at + OPTIONAL_AT;
    put(
        &mut program,
        file.pe_at + SECTIONS_AT,
        &low(count as u64)[..2],
    );
    let data: u64 = placed.iter().map(|(_, content)| content.len_bytes()).sum();
    let data = u64::from(u32_at(&program, optional + DATA_BYTES_AT)) + data;
    put(&mut program, optional + DATA_BYTES_AT, &low(data));
    let image_bytes = address.next_multiple_of(section_alignment);
    put(&mut program, optional + IMAGE_BYTES_AT, &low(image_bytes));
    put(&mut program, optional + CHECKSUM_AT, &[0; 4]);

    let whole = |program: Vec<u8>| -> Result<Extents, AppendError> {
        let mut whole = Extents::new(raw_at.next_multiple_of(file_alignment));
        whole.place(0, program)?;
        for (start, content) in &placed {
            whole.place(*start, content.clone())?;
        }
        Ok(whole)
    };
    let sum = checksum(&whole(program.clone())?, optional + CHECKSUM_AT)?;
    put(&mut program, optional + CHECKSUM_AT, &sum.to_le_bytes());
    whole(program)
}

/// The low half of a number that is known to be no larger.
fn low(number: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = number.to_le_bytes();
    [a, b, c, d]
}

/// The checksum of a file whose checksum field is at `field_at` (which is counted as zeros): the
/// one's complement sum of its 16-bit words, folded, and its length.
///
/// # Errors
/// If the file can't be read.
pub fn checksum(file: &dyn Payload, field_at: usize) -> io::Result<u32> {
    const PIECE_BYTES: usize = 1 << 18;
    let mut sum = 0_u64;
    let mut piece = vec![0; PIECE_BYTES];
    let mut reader = PayloadReader::new(file);
    let mut at = 0;
    loop {
        let mut filled = 0;
        while filled < PIECE_BYTES {
            match reader.read(&mut piece[filled..])? {
                0 => break,
                bytes => filled += bytes,
            }
        }
        for field in field_at..field_at + 4 {
            if (at..at + filled).contains(&field) {
                piece[field - at] = 0;
            }
        }
        // Four bytes at a time: each half goes to the same sum, which is folded at the end.
        let (words, rest) = piece[..filled].as_chunks::<4>();
        sum += words
            .iter()
            .map(|word| u64::from(u32::from_le_bytes(*word)))
            .sum::<u64>();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        sum += u64::from(u32::from_le_bytes(last));
        at += filled;
        if filled < PIECE_BYTES {
            break;
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = sum + file.len_bytes();
    Ok(u32::from_le_bytes(low(sum)))
}

/// Sets the checksum of a program in memory. Does nothing to what is none.
pub fn set_checksum(program: &mut Vec<u8>) {
    let pe_at = u32_at(program, PE_OFFSET_AT) as usize;
    let field_at = pe_at.saturating_add(OPTIONAL_AT + CHECKSUM_AT);
    // Memory can always be read.
    let Ok(sum) = checksum(program, field_at) else {
        return;
    };
    if let Some(field) = program.get_mut(field_at..field_at + 4) {
        field.copy_from_slice(&sum.to_le_bytes());
    }
}
