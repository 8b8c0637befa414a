//! Reading a volume's descriptors, boot catalog and folders, within limits.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::ops::Range;

use crate::payload::Payload;

use super::catalog::{
    BOOTABLE, ENTRY_BYTES, HEADER_LAST, HEADER_MORE, HEADER_VALIDATION, checksum,
};
use super::format::{
    DESCRIPTORS_LBA, EL_TORITO, EL_TORITO_CATALOG, ESCAPE_SEQUENCES, FLAG_FOLDER,
    FLAG_MULTI_EXTENT, RECORD_HEADER_BYTES, ROOT_RECORD, ROOT_RECORD_BYTES, SECTOR, SECTOR_BYTES,
    STANDARD_ID, TYPE_BOOT_RECORD, TYPE_PRIMARY, TYPE_SUPPLEMENTARY, TYPE_TERMINATOR,
};

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
                    let lba = u32_at(&sector, EL_TORITO_CATALOG);
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

    /// Everything in the volume, folders before what is in them.
    ///
    /// # Errors
    /// If a folder is damaged or a limit is passed.
    pub fn entries(&self, names: Names, limits: Limits) -> Result<Vec<IsoEntry>, ReadError> {
        let head = match (names, &self.joliet) {
            (Names::Joliet, Some(joliet)) => joliet,
            (Names::Joliet, None) => return Ok(Vec::new()),
            _ => &self.primary,
        };
        let mut found = Vec::new();
        let mut seen = HashSet::from([head.root.start_bytes()]);
        let mut folders = vec![(0, Vec::new(), head.root.clone())];
        while let Some((depth, path, folder)) = folders.pop() {
            let mut inside = Vec::new();
            for mut file in self.folder(&folder, names, limits)? {
                let name = std::mem::take(&mut file.entry.path);
                file.entry.path = match path.as_slice() {
                    b"" => name,
                    parent => [parent, b"/", &name].concat(),
                };
                if found.len() >= limits.entries {
                    return Err(limit(
                        folder.start_bytes(),
                        "entries",
                        limits.entries as u64,
                    ));
                }
                if file.entry.kind == EntryKind::Folder {
                    if depth + 1 > limits.depth {
                        let what = "folders within folders";
                        return Err(limit(folder.start_bytes(), what, limits.depth as u64));
                    }
                    if !seen.insert(file.record.start_bytes()) {
                        let what = "a folder is in the tree twice";
                        return Err(error(folder.start_bytes(), ReadErrorKind::Damaged { what }));
                    }
                    inside.push((depth + 1, file.entry.path.clone(), file.record));
                }
                found.push(file.entry);
            }
            folders.extend(inside.into_iter().rev());
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

    /// The names of one folder, but "." and "..".
    fn folder(
        &self,
        folder: &Record,
        names: Names,
        limits: Limits,
    ) -> Result<Vec<Found>, ReadError> {
        let start = folder.start_bytes();
        if u64::from(folder.bytes) > limits.folder_bytes {
            return Err(limit(start, "bytes of a folder", limits.folder_bytes));
        }
        if start + u64::from(folder.bytes) > self.volume.len_bytes() {
            let what = "a folder";
            return Err(error(start, ReadErrorKind::BeyondEnd { what }));
        }
        let mut bytes = vec![0; folder.bytes as usize];
        read(self.volume, start, &mut bytes, "a folder")?;
        let mut found: Vec<Found> = Vec::new();
        let mut is_continued = false;
        for (sector, sector_start) in bytes.chunks(SECTOR).zip((start..).step_by(SECTOR)) {
            let mut at = 0;
            // The rest of a sector is zeros.
            while let Some(record) = parse_record(&sector[at..]) {
                let offset = sector_start + at as u64;
                at += record.len;
                if record.id == [0] || record.id == [1] {
                    continue;
                }
                let next = record.is(FLAG_MULTI_EXTENT);
                match found.last_mut() {
                    Some(last) if is_continued => self.add_section(last, &record, offset)?,
                    _ => found.push(self.entry(record, names, limits, offset)?),
                }
                is_continued = next;
                if found.len() > limits.entries {
                    return Err(limit(start, "entries", limits.entries as u64));
                }
            }
        }
        Ok(found)
    }

    /// The next section of a file that has several.
    fn add_section(&self, file: &mut Found, record: &Record, offset: u64) -> Result<(), ReadError> {
        let more = self.extent(record, offset)?;
        if let EntryKind::File { extents } = &mut file.entry.kind {
            file.entry.len_bytes += u64::from(record.bytes);
            join(extents, more);
        }
        Ok(())
    }

    fn extent(&self, record: &Record, offset: u64) -> Result<Range<u64>, ReadError> {
        let start = record.start_bytes();
        let end = start + u64::from(record.bytes);
        if record.bytes > 0 && end > self.volume.len_bytes() {
            let what = "a file";
            return Err(error(offset, ReadErrorKind::BeyondEnd { what }));
        }
        Ok(start..end)
    }

    fn entry(
        &self,
        record: Record,
        names: Names,
        limits: Limits,
        offset: u64,
    ) -> Result<Found, ReadError> {
        let mut said = Said::default();
        if let (Names::RockRidge, Some(rock_ridge)) = (names, self.rock_ridge) {
            let fields = record.system_use.get(rock_ridge.skip..).unwrap_or(&[]);
            self.fields(fields, &mut said, limits, offset)?;
        }
        let plain = match names {
            Names::Joliet => joliet_name(&record.id),
            _ => plain_name(&record.id),
        };
        let kind = if record.is(FLAG_FOLDER) {
            EntryKind::Folder
        } else {
            match said.mode.unwrap_or(S_IFREG) & S_IFMT {
                S_IFREG => EntryKind::File {
                    extents: Vec::new(),
                },
                S_IFLNK => EntryKind::Symlink {
                    target: std::mem::take(&mut said.target.text),
                },
                _ => EntryKind::Other {
                    device: said.device,
                },
            }
        };
        let name = said.name.unwrap_or(plain);
        let mut found = Found {
            entry: IsoEntry {
                path: match name.is_empty() || name.contains(&b'/') {
                    true => return Err(damaged(offset, "an entry has no name")),
                    false => name,
                },
                kind,
                len_bytes: 0,
                mode: said.mode,
                owner: said.owner,
                links: said.links,
                serial: said.serial,
                time: said.time.unwrap_or(record.time),
            },
            record,
        };
        let record = found.record.clone();
        self.add_section(&mut found, &record, offset)?;
        Ok(found)
    }

    /// Reads system use fields, also those that are continued elsewhere.
    fn fields(
        &self,
        fields: &[u8],
        said: &mut Said,
        limits: Limits,
        offset: u64,
    ) -> Result<(), ReadError> {
        let mut fields = fields.to_vec();
        let mut read_bytes = fields.len();
        loop {
            let mut continued = None;
            let mut rest = fields.as_slice();
            while let [a, b, bytes, _, ..] = *rest {
                let bytes = usize::from(bytes);
                if bytes < 4 || bytes > rest.len() {
                    break;
                }
                let content = &rest[4..bytes];
                match &[a, b] {
                    b"ST" => break,
                    b"CE" if content.len() >= 24 => {
                        continued = Some((
                            u64::from(u32_at(content, 0)) * SECTOR_BYTES
                                + u64::from(u32_at(content, 8)),
                            u32_at(content, 16) as usize,
                        ));
                    }
                    signature => said.field(signature, content),
                }
                rest = &rest[bytes..];
            }
            let Some((start, bytes)) = continued else {
                return Ok(());
            };
            // A pointer is longer than nothing, so the limit ends loops as well.
            read_bytes = read_bytes.saturating_add(bytes.max(28));
            if read_bytes > limits.system_use_bytes {
                let most = limits.system_use_bytes as u64;
                return Err(limit(offset, "bytes of system use fields", most));
            }
            fields = vec![0; bytes];
            read(self.volume, start, &mut fields, "a continuation area")?;
        }
    }
}

struct Found {
    entry: IsoEntry,
    record: Record,
}

const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;

/// What Rock Ridge says of an entry.
#[derive(Default)]
struct Said {
    name: Option<Vec<u8>>,
    mode: Option<u32>,
    links: Option<u32>,
    owner: Option<(u32, u32)>,
    serial: Option<u32>,
    device: (u32, u32),
    time: Option<[u8; 7]>,
    target: Target,
}

impl Said {
    fn field(&mut self, signature: &[u8; 2], content: &[u8]) {
        let number = |at: usize| (content.len() >= at + 4).then(|| u32_at(content, at));
        match signature {
            b"PX" => {
                self.mode = number(0);
                self.links = number(8);
                self.owner = number(16).zip(number(24));
                self.serial = number(32);
            }
            b"PN" => {
                self.device = match number(0).zip(number(8)) {
                    // As Linux tells one way of writing it from the other.
                    Some((0, low)) if low > 0xff => (low >> 8, low & 0xff),
                    halves => halves.unwrap_or_default(),
                };
            }
            // "." and ".." have flags of their own and no name.
            b"NM" if content.first().is_some_and(|flags| flags & 6 == 0) => {
                let name = self.name.get_or_insert_default();
                name.extend_from_slice(&content[1..]);
            }
            b"TF" => self.time = changed(content),
            b"SL" if !content.is_empty() => self.target.components(&content[1..]),
            _ => {}
        }
    }
}

/// The time of the last change in a TF field of short times (RRIP 4.1.6).
fn changed(content: &[u8]) -> Option<[u8; 7]> {
    const CREATED: u8 = 1;
    const CHANGED: u8 = 2;
    const LONG: u8 = 0x80;
    let (&flags, times) = content.split_first()?;
    if flags & CHANGED == 0 || flags & LONG != 0 {
        return None;
    }
    let before = usize::from(flags & CREATED);
    times.get(before * 7..)?.first_chunk().copied()
}

/// The target of a symbolic link, as far as it is known.
#[derive(Default)]
struct Target {
    text: Vec<u8>,
    /// Whether the last component is complete and no slash stands behind it.
    needs_slash: bool,
}

impl Target {
    fn components(&mut self, mut records: &[u8]) {
        while let [flags, bytes, rest @ ..] = records {
            let bytes = usize::from(*bytes).min(rest.len());
            if self.needs_slash {
                self.text.push(b'/');
            }
            self.needs_slash = flags & 1 == 0;
            match flags & !1 {
                2 => self.text.push(b'.'),
                4 => self.text.extend_from_slice(b".."),
                8 => {
                    self.text.push(b'/');
                    self.needs_slash = false;
                }
                _ => self.text.extend_from_slice(&rest[..bytes]),
            }
            records = &rest[bytes..];
        }
    }
}

/// A directory record as it was read.
#[derive(Clone)]
struct Record {
    len: usize,
    lba: u32,
    bytes: u32,
    flags: u8,
    time: [u8; 7],
    id: Vec<u8>,
    system_use: Vec<u8>,
}

impl Record {
    fn start_bytes(&self) -> u64 {
        u64::from(self.lba) * SECTOR_BYTES
    }

    fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The record at the start of `bytes`; `None` at the end of a sector's records.
fn parse_record(bytes: &[u8]) -> Option<Record> {
    let len = usize::from(*bytes.first()?);
    let record = bytes.get(..len).filter(|_| len > RECORD_HEADER_BYTES)?;
    let id_end = RECORD_HEADER_BYTES + usize::from(record[32]);
    let id = record.get(RECORD_HEADER_BYTES..id_end)?;
    let mut time = [0; 7];
    time.copy_from_slice(&record[18..25]);
    Some(Record {
        len,
        // An extended attribute record would come first.
        lba: u32_at(record, 2).saturating_add(u32::from(record[1])),
        bytes: u32_at(record, 10),
        flags: record[25],
        time,
        id: id.to_vec(),
        system_use: record
            .get(id_end.next_multiple_of(2)..)
            .unwrap_or(&[])
            .to_vec(),
    })
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
        len_bytes: u64::from(u32_at(sector, 80)) * SECTOR_BYTES,
        root: root.ok_or_else(|| damaged(start, "it has no root folder"))?,
    })
}

fn boot_entry(platform: u8, entry: &[u8; ENTRY_BYTES]) -> BootEntry {
    BootEntry {
        platform,
        is_bootable: entry[0] == BOOTABLE,
        media_type: entry[1] & 0x0f,
        load_sectors: u16::from_le_bytes([entry[6], entry[7]]),
        start_bytes: u64::from(u32_at(entry, 8)) * SECTOR_BYTES,
    }
}

/// Without version number, and without a dot that nothing follows.
fn plain_name(id: &[u8]) -> Vec<u8> {
    let name = id.split(|&byte| byte == b';').next().unwrap_or(id);
    name.strip_suffix(b".").unwrap_or(name).to_vec()
}

fn joliet_name(id: &[u8]) -> Vec<u8> {
    let name = ucs2(id);
    let name = name.split(';').next().unwrap_or(&name);
    name.as_bytes().to_vec()
}

fn ucs2(bytes: &[u8]) -> String {
    let (units, _) = bytes.as_chunks::<2>();
    let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
    char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

fn join(extents: &mut Vec<Range<u64>>, more: Range<u64>) {
    match extents.last_mut() {
        _ if more.is_empty() => {}
        Some(last) if last.end == more.start => last.end = more.end,
        _ => extents.push(more),
    }
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

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn read(
    volume: &dyn Payload,
    offset: u64,
    out: &mut [u8],
    what: &'static str,
) -> Result<(), ReadError> {
    if offset.saturating_add(out.len() as u64) > volume.len_bytes() {
        return Err(error(offset, ReadErrorKind::BeyondEnd { what }));
    }
    volume
        .read_exact_at(offset, out)
        .map_err(|source| error(offset, ReadErrorKind::Io(source)))
}
