//! Headers of a PE32+ file, within limits.

use std::io;
use std::ops::Range;

use crate::payload::Payload;

use super::format::*;

/// The PE header is not looked for farther on.
const PE_MAX_AT: u64 = 64 << 10;
/// More sections than any loader takes (96).
const SECTIONS_MAX: usize = 96;

/// Why a file can't be read, and where.
#[derive(Debug, thiserror::Error)]
#[error("PE file, at byte {offset}: {kind}")]
pub struct ReadError {
    /// What is wrong.
    pub kind: ReadErrorKind,
    /// Where in the file.
    pub offset: u64,
}

/// What is wrong with a PE file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadErrorKind {
    /// It does not start as one.
    #[error("no PE file")]
    Magic,
    /// Not of the kind that 64-bit firmware runs.
    #[error("not PE32+, which is the kind for 64-bit processors")]
    Kind,
    /// Headers that contradict themselves.
    #[error("{0}")]
    Header(&'static str),
    /// A section that is not in the file.
    #[error("section {name:?} ends beyond the file, at byte {end}")]
    Section {
        /// The section.
        name: String,
        /// Where it would end.
        end: u64,
    },
    /// The file can't be read.
    #[error("can't be read: {0}")]
    Io(#[source] io::Error),
}

/// A section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Where it is in memory, counted from the program's start.
    pub address: u32,
    /// Length in memory.
    pub memory_bytes: u32,
    /// Where its bytes are in the file; what is missing to `memory_bytes` is zeros.
    pub raw: Range<u64>,
    /// Whether it can be written.
    pub is_writable: bool,
    /// Whether it can be executed.
    pub is_executable: bool,
}

impl Section {
    /// Its content in the file, without what only fills the last sector.
    pub fn content(&self) -> Range<u64> {
        let bytes = (self.raw.end - self.raw.start).min(u64::from(self.memory_bytes));
        self.raw.start..self.raw.start + bytes
    }
}

/// What the headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeFile {
    /// Processor; 0x8664 is x86-64, 0xaa64 is arm64.
    pub machine: u16,
    /// Subsystem; 10 is a UEFI application.
    pub subsystem: u16,
    /// Major version of the image. Linux kernels of 1 and more take an initrd from UEFI.
    pub image_major: u16,
    /// Address of the first instruction.
    pub entry: u32,
    /// Length in memory.
    pub image_bytes: u32,
    /// Checksum as the header has it; 0 is none.
    pub checksum: u32,
    /// Sections, in the table's order.
    pub sections: Vec<Section>,
    /// Where signatures are in the file, if there are any.
    pub signatures: Option<Range<u64>>,
    /// Where the PE header starts.
    pub(super) pe_at: usize,
    /// Length of all headers.
    pub(super) headers_bytes: u32,
    pub(super) section_alignment: u32,
    pub(super) file_alignment: u32,
    /// Where the section table starts.
    pub(super) table_at: usize,
}

impl PeFile {
    /// Reads the headers of a file.
    ///
    /// # Errors
    /// If it is none, or damaged.
    pub fn read(file: &dyn Payload) -> Result<Self, ReadError> {
        let mut dos = [0; DOS_BYTES];
        read(file, 0, &mut dos)?;
        let pe_at = u32_at(&dos, PE_OFFSET_AT);
        if !dos.starts_with(DOS_MAGIC) || u64::from(pe_at) > PE_MAX_AT {
            return Err(error(0, ReadErrorKind::Magic));
        }
        let at = u64::from(pe_at);
        let mut coff = [0; OPTIONAL_AT];
        read(file, at, &mut coff)?;
        if !coff.starts_with(PE_MAGIC) {
            return Err(error(at, ReadErrorKind::Magic));
        }
        let optional_at = at + OPTIONAL_AT as u64;
        let optional_bytes = usize::from(u16_at(&coff, OPTIONAL_BYTES_AT));
        let mut optional = vec![0; optional_bytes];
        read(file, optional_at, &mut optional)?;
        if u16_at(&optional, OPTIONAL_MAGIC_AT) != OPTIONAL_MAGIC {
            return Err(error(optional_at, ReadErrorKind::Kind));
        }
        let header = |what| error(optional_at, ReadErrorKind::Header(what));
        let section_alignment = u32_at(&optional, SECTION_ALIGNMENT_AT);
        let file_alignment = u32_at(&optional, FILE_ALIGNMENT_AT);
        if !section_alignment.is_power_of_two() || !file_alignment.is_power_of_two() {
            return Err(header("alignments that are no powers of two"));
        }
        let count = usize::from(u16_at(&coff, SECTIONS_AT));
        if optional_bytes < OPTIONAL_FIXED_BYTES || count > SECTIONS_MAX {
            return Err(header("too many sections, or too short a header"));
        }
        let table_at = optional_at + optional_bytes as u64;
        let mut table = vec![0; count * SECTION_BYTES];
        read(file, table_at, &mut table)?;
        let sections = table
            .chunks_exact(SECTION_BYTES)
            .map(|entry| section(file, entry).map_err(|kind| error(table_at, kind)))
            .collect::<Result<_, _>>()?;
        let directory = OPTIONAL_FIXED_BYTES + DIRECTORY_CERTIFICATES * DIRECTORY_BYTES;
        let has_directory =
            u64::from(u32_at(&optional, DIRECTORIES_AT)) > DIRECTORY_CERTIFICATES as u64;
        let signatures_at = u64::from(u32_at(&optional, directory));
        let signatures_bytes = u64::from(u32_at(&optional, directory + 4));
        let signatures = (has_directory && signatures_bytes > 0)
            .then_some(signatures_at..signatures_at + signatures_bytes);
        let in_memory = |place: u64| usize::try_from(place).map_err(|_| header("a place too far"));
        Ok(Self {
            machine: u16_at(&coff, MACHINE_AT),
            subsystem: u16_at(&optional, SUBSYSTEM_AT),
            image_major: u16_at(&optional, IMAGE_VERSION_AT),
            entry: u32_at(&optional, ENTRY_AT),
            image_bytes: u32_at(&optional, IMAGE_BYTES_AT),
            checksum: u32_at(&optional, CHECKSUM_AT),
            sections,
            signatures,
            pe_at: in_memory(at)?,
            headers_bytes: u32_at(&optional, HEADERS_BYTES_AT),
            section_alignment,
            file_alignment,
            table_at: in_memory(table_at)?,
        })
    }

    /// A section by its name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// Whether it is a program that 64-bit UEFI on x86-64 runs.
    pub fn is_efi_amd64(&self) -> bool {
        self.machine == MACHINE_AMD64 && self.subsystem == SUBSYSTEM_EFI
    }
}

fn section(file: &dyn Payload, entry: &[u8]) -> Result<Section, ReadErrorKind> {
    let name = &entry[..SECTION_NAME_BYTES];
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name).into_owned();
    let raw_bytes = u64::from(u32_at(entry, RAW_BYTES_AT));
    let start = match raw_bytes {
        0 => 0,
        _ => u64::from(u32_at(entry, RAW_AT)),
    };
    let end = start + raw_bytes;
    if end > file.len_bytes() {
        return Err(ReadErrorKind::Section { name, end });
    }
    let flags = u32_at(entry, SECTION_CHARACTERISTICS_AT);
    Ok(Section {
        name,
        address: u32_at(entry, VIRTUAL_ADDRESS_AT),
        memory_bytes: u32_at(entry, VIRTUAL_BYTES_AT),
        raw: start..end,
        is_writable: flags & WRITABLE != 0,
        is_executable: flags & EXECUTABLE != 0,
    })
}

fn error(offset: u64, kind: ReadErrorKind) -> ReadError {
    ReadError { kind, offset }
}

fn read(file: &dyn Payload, offset: u64, out: &mut [u8]) -> Result<(), ReadError> {
    if offset + out.len() as u64 > file.len_bytes() {
        let end = io::ErrorKind::UnexpectedEof.into();
        return Err(error(offset, ReadErrorKind::Io(end)));
    }
    file.read_exact_at(offset, out)
        .map_err(|source| error(offset, ReadErrorKind::Io(source)))
}
