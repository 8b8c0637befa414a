//! A program from its parts.

use super::format::*;
use super::write::set_checksum;

/// What may be done with a section. None may be both written and executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
    /// Reading and executing.
    Execute,
}

/// A part of a program.
#[derive(Debug, Clone)]
pub struct ProgramSection {
    /// Its name, of up to eight bytes.
    pub name: &'static str,
    /// Where it is in memory: a multiple of 4096, counted from the program's start.
    pub address: u32,
    /// Its first bytes; zeros follow.
    pub bytes: Vec<u8>,
    /// Length in memory.
    pub memory_bytes: u32,
    /// What may be done with it.
    pub access: Access,
}

/// A program for UEFI on x86-64, linked to address 0.
#[derive(Debug, Clone)]
pub struct Program {
    /// Address of the first instruction.
    pub entry: u32,
    /// By their addresses, none below 4096.
    pub sections: Vec<ProgramSection>,
    /// Addresses of eight-byte addresses, to which the program's start is added.
    pub relocations: Vec<u32>,
}

/// Headers that leave room for more sections.
const HEADERS_BYTES: u32 = 1024;

/// Writes a program as a file.
///
/// # Panics
/// If sections are not in order, or too many for the headers.
pub fn write_program(program: &Program) -> Vec<u8> {
    let mut sections = program.sections.clone();
    let address = sections.last().map_or(PAGE_BYTES, |last| {
        (last.address + last.memory_bytes).next_multiple_of(PAGE_BYTES)
    });
    let bytes = relocations(&program.relocations);
    let relocation_bytes = length(bytes.len());
    sections.push(ProgramSection {
        name: ".reloc",
        address,
        memory_bytes: relocation_bytes,
        bytes,
        access: Access::Read,
    });

    let mut file = vec![0; HEADERS_BYTES as usize];
    put(&mut file, 0, DOS_MAGIC);
    put(&mut file, PE_OFFSET_AT, &length(DOS_BYTES).to_le_bytes());
    let pe = DOS_BYTES;
    let optional = pe + OPTIONAL_AT;
    let optional_bytes = OPTIONAL_FIXED_BYTES + DIRECTORIES * DIRECTORY_BYTES;
    let table = optional + optional_bytes;
    let mut at = HEADERS_BYTES;
    let (mut code_bytes, mut data_bytes, mut code_at) = (0, 0, 0);
    for (number, section) in sections.iter().enumerate() {
        let entry = table + number * SECTION_BYTES;
        let raw_bytes = length(section.bytes.len()).next_multiple_of(FILE_ALIGNMENT);
        let mut flags = match section.access {
            Access::Read => READABLE | HAS_DATA,
            Access::Write => READABLE | WRITABLE | HAS_DATA,
            Access::Execute => READABLE | EXECUTABLE | HAS_CODE,
        };
        if section.access == Access::Execute {
            code_bytes += raw_bytes;
            code_at = section.address;
        } else {
            data_bytes += raw_bytes;
        }
        if section.name == ".reloc" {
            flags |= DISCARDABLE;
        }
        put(&mut file, entry, section.name.as_bytes());
        for (field, number) in [
            (VIRTUAL_BYTES_AT, section.memory_bytes),
            (VIRTUAL_ADDRESS_AT, section.address),
            (RAW_BYTES_AT, raw_bytes),
            (RAW_AT, at),
            (SECTION_CHARACTERISTICS_AT, flags),
        ] {
            put(&mut file, entry + field, &number.to_le_bytes());
        }
        file.extend_from_slice(&section.bytes);
        at += raw_bytes;
        file.resize(at as usize, 0);
    }
    let image_bytes = (address + relocation_bytes).next_multiple_of(PAGE_BYTES);
    put(&mut file, pe, PE_MAGIC);
    for (field, number) in [
        (pe + MACHINE_AT, MACHINE_AMD64),
        (pe + SECTIONS_AT, low_half(length(sections.len()))),
        (pe + OPTIONAL_BYTES_AT, low_half(length(optional_bytes))),
        (pe + CHARACTERISTICS_AT, PROGRAM_CHARACTERISTICS),
        (optional + OPTIONAL_MAGIC_AT, OPTIONAL_MAGIC),
        (optional + SUBSYSTEM_AT, SUBSYSTEM_EFI),
        (optional + DLL_CHARACTERISTICS_AT, NX_COMPATIBLE),
    ] {
        put(&mut file, field, &number.to_le_bytes());
    }
    let directories = optional + OPTIONAL_FIXED_BYTES;
    let relocations = directories + DIRECTORY_RELOCATIONS * DIRECTORY_BYTES;
    for (field, number) in [
        (optional + CODE_BYTES_AT, code_bytes),
        (optional + DATA_BYTES_AT, data_bytes),
        (optional + ENTRY_AT, program.entry),
        (optional + CODE_AT, code_at),
        (optional + SECTION_ALIGNMENT_AT, PAGE_BYTES),
        (optional + FILE_ALIGNMENT_AT, FILE_ALIGNMENT),
        (optional + IMAGE_BYTES_AT, image_bytes),
        (optional + HEADERS_BYTES_AT, HEADERS_BYTES),
        (optional + DIRECTORIES_AT, length(DIRECTORIES)),
        (relocations, address),
        (relocations + 4, relocation_bytes),
    ] {
        put(&mut file, field, &number.to_le_bytes());
    }
    set_checksum(&mut file);
    file
}

/// The `.reloc` section: a block for each page ("Base Relocation Block"). Where there is nothing to
/// relocate it has an empty block: without a block, firmware would load the program to address
/// 0 only.
fn relocations(addresses: &[u32]) -> Vec<u8> {
    const BLOCK_HEADER_BYTES: u32 = 8;
    const ABSOLUTE: u16 = 0;
    let mut addresses = addresses.to_vec();
    addresses.sort_unstable();
    let mut section = Vec::new();
    let mut add = |page: u32, mut entries: Vec<u16>| {
        // Blocks start at multiples of four; this entry does nothing.
        if entries.len() % 2 == 1 {
            entries.push(ABSOLUTE);
        }
        let bytes = BLOCK_HEADER_BYTES + 2 * length(entries.len());
        section.extend_from_slice(&page.to_le_bytes());
        section.extend_from_slice(&bytes.to_le_bytes());
        for entry in entries {
            section.extend_from_slice(&entry.to_le_bytes());
        }
    };
    for block in addresses.chunk_by(|one, next| one / PAGE_BYTES == next / PAGE_BYTES) {
        let entry = |address: &u32| RELOCATION_DIR64 << 12 | low_half(address % PAGE_BYTES);
        let page = block[0] / PAGE_BYTES * PAGE_BYTES;
        add(page, block.iter().map(entry).collect());
    }
    if addresses.is_empty() {
        add(PAGE_BYTES, vec![ABSOLUTE, ABSOLUTE]);
    }
    section
}

/// A length in memory, none of which is near 4 GiB here.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn low_half(number: u32) -> u16 {
    let [low, high, ..] = number.to_le_bytes();
    u16::from_le_bytes([low, high])
}
