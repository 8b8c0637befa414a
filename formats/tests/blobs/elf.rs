//! ELF as the linker writes it (System V ABI, "Object Files"), as far as it becomes a PE file.

use formats::pe::{Access, Program, ProgramSection};

/// A linked program for x86-64.
pub(crate) struct Elf(Vec<u8>);

/// Section types.
const SYMBOLS: u32 = 2;
const RELA: u32 = 4;
const NO_BITS: u32 = 8;
/// Flags of sections that are in memory.
const WRITE: u64 = 1;
const ALLOCATE: u64 = 2;
const EXECUTE: u64 = 4;
/// Type of a function's symbol.
const FUNCTION: u8 = 2;
/// Adds the program's start to an address.
const R_X86_64_RELATIVE: u64 = 8;

const PAGE_BYTES: u64 = 4096;

/// Sections that only a dynamic linker or an unwinder reads.
const UNUSED: [&str; 7] = [
    ".dynsym",
    ".gnu.hash",
    ".hash",
    ".dynstr",
    ".rela.dyn",
    ".eh_frame",
    ".dynamic",
];

struct Section {
    name: String,
    kind: u32,
    flags: u64,
    address: u64,
    start: usize,
    bytes: usize,
    link: usize,
}

impl Elf {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        assert!(
            bytes.starts_with(b"\x7fELF\x02\x01"),
            "64 bits, little-endian"
        );
        Self(bytes)
    }

    fn number(&self, at: usize, bytes: usize) -> u64 {
        let mut number = [0; 8];
        number[..bytes].copy_from_slice(&self.0[at..at + bytes]);
        u64::from_le_bytes(number)
    }

    fn place(&self, at: usize, bytes: usize) -> usize {
        usize::try_from(self.number(at, bytes)).unwrap()
    }

    fn text(&self, at: usize) -> String {
        let text = self.0[at..].split(|&byte| byte == 0).next().unwrap();
        String::from_utf8(text.to_vec()).unwrap()
    }

    fn sections(&self) -> Vec<Section> {
        let (table, entry_bytes, count, names) = (
            self.place(0x28, 8),
            self.place(0x3a, 2),
            self.place(0x3c, 2),
            self.place(0x3e, 2),
        );
        let names = self.place(table + names * entry_bytes + 0x18, 8);
        (0..count)
            .map(|index| {
                let at = table + index * entry_bytes;
                Section {
                    name: self.text(names + self.place(at, 4)),
                    kind: u32::try_from(self.number(at + 4, 4)).unwrap(),
                    flags: self.number(at + 8, 8),
                    address: self.number(at + 0x10, 8),
                    start: self.place(at + 0x18, 8),
                    bytes: self.place(at + 0x20, 8),
                    link: self.place(at + 0x28, 4),
                }
            })
            .collect()
    }

    /// Names of all functions that were linked.
    pub(crate) fn functions(&self) -> Vec<String> {
        const SYMBOL_BYTES: usize = 24;
        let sections = self.sections();
        let symbols = sections.iter().find(|s| s.kind == SYMBOLS).unwrap();
        let names = sections[symbols.link].start;
        (symbols.start..symbols.start + symbols.bytes)
            .step_by(SYMBOL_BYTES)
            .filter(|&at| self.0[at + 4] & 0xf == FUNCTION)
            .map(|at| self.text(names + self.place(at, 4)))
            .collect()
    }

    /// The program, without what nothing in it reads.
    pub(crate) fn program(&self) -> Program {
        let mut parts: Vec<ProgramSection> = Vec::new();
        for section in self.sections() {
            let used = section.flags & ALLOCATE != 0 && !UNUSED.contains(&section.name.as_str());
            if !used || section.bytes == 0 {
                continue;
            }
            let (name, access) = match section.flags & (WRITE | EXECUTE) {
                0 => (".rodata", Access::Read),
                WRITE => (".data", Access::Write),
                EXECUTE => (".text", Access::Execute),
                _ => panic!("{} can be written and executed", section.name),
            };
            let page = section.address / PAGE_BYTES * PAGE_BYTES;
            if parts.last().is_none_or(|part| part.name != name) {
                parts.push(ProgramSection {
                    name,
                    address: u32::try_from(page).unwrap(),
                    bytes: Vec::new(),
                    memory_bytes: 0,
                    access,
                });
            }
            let part = parts.last_mut().unwrap();
            let at = usize::try_from(section.address - u64::from(part.address)).unwrap();
            part.memory_bytes = u32::try_from(at + section.bytes).unwrap();
            if section.kind != NO_BITS {
                part.bytes.resize(at, 0);
                let bytes = &self.0[section.start..section.start + section.bytes];
                part.bytes.extend_from_slice(bytes);
            }
        }
        let relocations = self.relocate(&mut parts);
        Program {
            entry: u32::try_from(self.number(0x18, 8)).unwrap(),
            sections: parts,
            relocations,
        }
    }

    /// Writes addresses to where they are used, as if the program started at 0.
    fn relocate(&self, parts: &mut [ProgramSection]) -> Vec<u32> {
        const ENTRY_BYTES: usize = 24;
        let mut addresses = Vec::new();
        for section in self.sections().iter().filter(|s| s.kind == RELA) {
            for at in (section.start..section.start + section.bytes).step_by(ENTRY_BYTES) {
                assert_eq!(self.number(at + 8, 8), R_X86_64_RELATIVE);
                let address = u32::try_from(self.number(at, 8)).unwrap();
                let value = self.number(at + 16, 8);
                let part = parts.iter_mut().rev().find(|part| part.address <= address);
                let part = part.unwrap();
                let at = (address - part.address) as usize;
                part.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
                addresses.push(address);
            }
        }
        addresses
    }
}
