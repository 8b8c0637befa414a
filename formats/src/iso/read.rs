//! Reading a volume's descriptors, boot catalog and folders, within limits.

use std::fmt;
use std::io;
use std::ops::Range;

use crate::bounded::{from_fault, read, u32_le};
use crate::payload::Payload;

use super::catalog::{
    BOOTABLE, ENTRY_BYTES, HEADER_LAST, HEADER_MORE, HEADER_VALIDATION, checksum,
};
use super::format::{
    DESCRIPTORS_LBA, EL_TORITO, EL_TORITO_CATALOG, ESCAPE_SEQUENCES, FLAG_FOLDER, ROOT_RECORD,
    ROOT_RECORD_BYTES, SECTOR, SECTOR_BYTES, STANDARD_ID, TYPE_BOOT_RECORD, TYPE_PRIMARY,
    TYPE_SUPPLEMENTARY, TYPE_TERMINATOR,
};

mod folders;
mod system_use;

use folders::{Record, parse_record};

/// What a reader accepts before it gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files, folders and everything else.
    pub entries: usize,
    /// Folders within folders.
    pub depth: usize,
    /// Length of one folder.
    pub folder_bytes: u64,
    /// Bytes of the system use fields of one entry.
    pub system_use_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 1_000_000,
            depth: 128,
            folder_bytes: 64 << 20,
            system_use_bytes: 16 << 10,
        }
    }
}

/// Why a volume can't be read, and where.
#[derive(Debug, thiserror::Error)]
#[error("ISO 9660 volume, at byte {offset}: {kind}")]
pub struct ReadError {
    /// What is wrong.
    pub kind: ReadErrorKind,
    /// Where in the volume.
    pub offset: u64,
}

/// What is wrong with a volume.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadErrorKind {
    /// No volume descriptor where one must be, or no primary one.
    #[error("no {what}")]
    Missing {
        /// What is not there.
        what: &'static str,
    },
    /// Something contradicts itself.
    #[error("{what}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
    /// Something lies behind the end.
    #[error("{what} lies behind the end")]
    BeyondEnd {
        /// What should be there.
        what: &'static str,
    },
    /// A limit was passed.
    #[error("more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much was allowed.
        limit: u64,
    },
    /// The volume can't be read.
    #[error("can't be read: {0}")]
    Io(#[source] io::Error),
}

from_fault!(ReadError, ReadErrorKind);

/// An image of the boot catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootEntry {
    /// 0 for a PC's BIOS, 0xef for UEFI.
    pub platform: u8,
    /// Whether the catalog says that it can be booted.
    pub is_bootable: bool,
    /// Emulation: 0 for none.
    pub media_type: u8,
    /// What firmware loads of it, in units of 512 bytes.
    pub load_sectors: u16,
    /// Where it starts.
    pub start_bytes: u64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A file; its bytes are in these places, one after the other.
    File {
        /// Where they are; neighbours are joined.
        extents: Vec<Range<u64>>,
    },
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink {
        /// What it points at.
        target: Vec<u8>,
    },
    /// A device, pipe or whatever else Rock Ridge's mode says.
    Other {
        /// Major and minor number.
        device: (u32, u32),
    },
}

/// A name of the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsoEntry {
    /// Path from the root, with `/` between names.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Length of a file in bytes; 0 for all else.
    pub len_bytes: u64,
    /// File type and permissions as `st_mode`, by Rock Ridge.
    pub mode: Option<u32>,
    /// Owner and group, by Rock Ridge.
    pub owner: Option<(u32, u32)>,
    /// Number of names, by Rock Ridge.
    pub links: Option<u32>,
    /// Serial number, the same for all names of one file, by Rock Ridge.
    pub serial: Option<u32>,
    /// When it was changed, as ECMA-119 9.1.5 has it: years since 1900, month, day, hour, minute,
    /// second, and the zone's offset in quarters of an hour.
    pub time: [u8; 7],
}

/// By which names a volume is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// The names of ECMA-119, without version numbers.
    Plain,
    /// The names of Rock Ridge; those of ECMA-119 where there are none.
    RockRidge,
    /// The names of Joliet.
    Joliet,
}

/// A volume, of which only descriptors, catalog and folders are read.
pub struct IsoReader<'a> {
    volume: &'a dyn Payload,
    primary: Head,
    joliet: Option<Head>,
    catalog_start: Option<u64>,
    rock_ridge: Option<RockRidge>,
}

impl fmt::Debug for IsoReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IsoReader")
            .field("label", &self.primary.label)
            .field("len_bytes", &self.primary.len_bytes)
            .field("joliet", &self.joliet.is_some())
            .field("rock_ridge", &self.rock_ridge.is_some())
            .finish_non_exhaustive()
    }
}

/// What a descriptor says.
struct Head {
    label: String,
    set_id: String,
    len_bytes: u64,
    root: Record,
}

/// Rock Ridge is there; so many bytes come before the fields of each record (SUSP 5.3).
#[derive(Clone, Copy)]
struct RockRidge {
    skip: usize,
}

/// Descriptors that are looked at; more is not a volume that anybody made.
const DESCRIPTORS_MAX: u64 = 64;

impl<'a> IsoReader<'a> {
    /// Reads the volume descriptors.
    ///
    /// # Errors
    /// If there is no primary one.
    pub fn open(volume: &'a dyn Payload) -> Result<Self, ReadError> {
        let (mut primary, mut joliet, mut catalog_start) = (None, None, None);
        let mut start = u64::from(DESCRIPTORS_LBA) * SECTOR_BYTES;
        let end = start + DESCRIPTORS_MAX * SECTOR_BYTES;
        while start < end {
            let mut sector = [0; SECTOR];
            read(volume, start, &mut sector, "a volume descriptor")?;
            if &sector[1..6] != STANDARD_ID {
                let what = "volume descriptor";
                return Err(error(start, ReadErrorKind::Missing { what }));
            }
            match sector[0] {
                TYPE_TERMINATOR => break,
                TYPE_PRIMARY if primary.is_none() => primary = Some(head(&sector, start, false)?),
                TYPE_SUPPLEMENTARY if joliet.is_none() && is_joliet(&sector) => {
                    joliet = Some(head(&sector, start, true)?);
                }
                TYPE_BOOT_RECORD if sector[7..].starts_with(EL_TORITO) => {
                    let lba = u32_le(&sector, EL_TORITO_CATALOG);
                    catalog_start = Some(u64::from(lba) * SECTOR_BYTES);
                }
                _ => {}
            }
            start += SECTOR_BYTES;
        }
        let what = "primary volume descriptor";
        let primary = primary.ok_or_else(|| error(start, ReadErrorKind::Missing { what }))?;
        let mut reader = Self {
            volume,
            primary,
            joliet,
            catalog_start,
            rock_ridge: None,
        };
        reader.rock_ridge = reader.find_rock_ridge()?;
        Ok(reader)
    }

    /// The volume identifier.
    pub fn label(&self) -> &str {
        &self.primary.label
    }

    /// The volume set identifier.
    pub fn set_id(&self) -> &str {
        &self.primary.set_id
    }

    /// Joliet's volume identifier, if there is Joliet.
    pub fn joliet_label(&self) -> Option<&str> {
        self.joliet.as_ref().map(|head| head.label.as_str())
    }

    /// Length of the volume by its own word.
    pub fn len_bytes(&self) -> u64 {
        self.primary.len_bytes
    }

    /// Whether there are Rock Ridge names.
    pub fn has_rock_ridge(&self) -> bool {
        self.rock_ridge.is_some()
    }

    /// The images of the boot catalog; none if there is no catalog.
    ///
    /// # Errors
    /// If the catalog is damaged.
    pub fn boot_entries(&self) -> Result<Vec<BootEntry>, ReadError> {
        let Some(start) = self.catalog_start else {
            return Ok(Vec::new());
        };
        let mut catalog = [0; SECTOR];
        read(self.volume, start, &mut catalog, "the boot catalog")?;
        let (entries, _) = catalog.as_chunks::<ENTRY_BYTES>();
        let damaged = |what| error(start, ReadErrorKind::Damaged { what });
        let [validation, default, rest @ ..] = entries else {
            return Ok(Vec::new());
        };
        let is_valid = validation[0] == HEADER_VALIDATION
            && validation[30..] == [0x55, 0xaa]
            && checksum(validation) == 0;
        if !is_valid {
            return Err(damaged("the boot catalog's validation entry is wrong"));
        }
        let mut found = vec![boot_entry(validation[1], default)];
        let mut rest = rest.iter();
        while let Some(header) = rest.next() {
            if header[0] != HEADER_MORE && header[0] != HEADER_LAST {
                break;
            }
            let count = usize::from(u16::from_le_bytes([header[2], header[3]]));
            for _ in 0..count {
                let entry = rest.next();
                let entry =
                    entry.ok_or_else(|| damaged("the boot catalog is longer than a sector"))?;
                found.push(boot_entry(header[1], entry));
            }
            if header[0] == HEADER_LAST {
                break;
            }
        }
        Ok(found)
    }

    fn find_rock_ridge(&self) -> Result<Option<RockRidge>, ReadError> {
        let root = &self.primary.root;
        let mut sector = [0; SECTOR];
        let what = "the root folder";
        read(self.volume, root.start_bytes(), &mut sector, what)?;
        let Some(own) = parse_record(&sector) else {
            return Ok(None);
        };
        let fields = own.system_use.as_slice();
        // The field stands first, but for CD-ROM XA, which has 14 bytes before it.
        let at = [0, 14].into_iter().find(|&at| {
            let start = fields.get(at..at + 7);
            start.is_some_and(|field| field[..2] == *b"SP" && field[4..6] == [0xbe, 0xef])
        });
        Ok(at.map(|at| RockRidge {
            skip: usize::from(fields[at + 6]),
        }))
    }
}

fn is_joliet(sector: &[u8; SECTOR]) -> bool {
    let escape = &sector[ESCAPE_SEQUENCES..ESCAPE_SEQUENCES + 3];
    [b"%/@", b"%/C", b"%/E"]
        .iter()
        .any(|level| escape == *level)
}

fn head(sector: &[u8; SECTOR], start: u64, wide: bool) -> Result<Head, ReadError> {
    let text = |range: Range<usize>| {
        let bytes = &sector[range];
        let text = match wide {
            true => ucs2(bytes),
            false => String::from_utf8_lossy(bytes).into_owned(),
        };
        text.trim_end_matches([' ', '\0']).to_owned()
    };
    if u16::from_le_bytes([sector[128], sector[129]]) != 2048 {
        return Err(damaged(start, "its blocks have not 2048 bytes"));
    }
    let root = &sector[ROOT_RECORD..ROOT_RECORD + ROOT_RECORD_BYTES];
    let root = parse_record(root).filter(|root| root.is(FLAG_FOLDER));
    Ok(Head {
        label: text(40..72),
        set_id: text(190..318),
        len_bytes: u64::from(u32_le(sector, 80)) * SECTOR_BYTES,
        root: root.ok_or_else(|| damaged(start, "it has no root folder"))?,
    })
}

fn boot_entry(platform: u8, entry: &[u8; ENTRY_BYTES]) -> BootEntry {
    BootEntry {
        platform,
        is_bootable: entry[0] == BOOTABLE,
        media_type: entry[1] & 0x0f,
        load_sectors: u16::from_le_bytes([entry[6], entry[7]]),
        start_bytes: u64::from(u32_le(entry, 8)) * SECTOR_BYTES,
    }
}

fn ucs2(bytes: &[u8]) -> String {
    let (units, _) = bytes.as_chunks::<2>();
    let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
    char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

fn damaged(offset: u64, what: &'static str) -> ReadError {
    error(offset, ReadErrorKind::Damaged { what })
}

fn limit(offset: u64, what: &'static str, limit: u64) -> ReadError {
    error(offset, ReadErrorKind::Limit { what, limit })
}

fn error(offset: u64, kind: ReadErrorKind) -> ReadError {
    ReadError { kind, offset }
}
