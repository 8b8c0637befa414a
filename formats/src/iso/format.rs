//! On-disk structures of ECMA-119, and their constants.

/// Logical sector and logical block (6.1.2, 6.2.2).
pub const SECTOR_BYTES: u64 = 2048;

/// The same as a length in memory.
pub(super) const SECTOR: usize = 2048;

/// Where the volume descriptors start, behind the system area (6.2.1).
pub(super) const DESCRIPTORS_LBA: u32 = 16;

/// Identifier of all volume descriptors (8.1.2).
pub(super) const STANDARD_ID: &[u8; 5] = b"CD001";
pub(super) const VERSION: u8 = 1;

/// Volume descriptor types (8.1.1).
pub(super) const TYPE_BOOT_RECORD: u8 = 0;
pub(super) const TYPE_PRIMARY: u8 = 1;
pub(super) const TYPE_SUPPLEMENTARY: u8 = 2;
pub(super) const TYPE_TERMINATOR: u8 = 255;

/// The boot record that an El Torito catalog hangs on, by its boot system identifier.
pub(super) const EL_TORITO: &[u8] = b"EL TORITO SPECIFICATION";
/// Where in it the catalog's block number is.
pub(super) const EL_TORITO_CATALOG: usize = 71;

/// Where the escape sequences of a supplementary descriptor are (8.5.6).
pub(super) const ESCAPE_SEQUENCES: usize = 88;
/// UCS-2 level 3: Joliet as all write it.
pub(super) const JOLIET_LEVEL_3: &[u8; 3] = b"%/E";

/// Where the root folder's record is in a descriptor (8.4.18).
pub(super) const ROOT_RECORD: usize = 156;
/// Length of the root folder's record, and of "." and ".." without system use fields.
pub(super) const ROOT_RECORD_BYTES: usize = 34;

/// Length of a directory record before the identifier (9.1).
pub(super) const RECORD_HEADER_BYTES: usize = 33;
/// The longest record: its length is one byte, and even.
pub(super) const RECORD_MAX_BYTES: usize = 254;

/// File flags (9.1.6).
pub(super) const FLAG_FOLDER: u8 = 0x02;
pub(super) const FLAG_MULTI_EXTENT: u8 = 0x80;

/// Identifiers of "." and ".." (7.6.2).
pub(super) const SELF_ID: &[u8] = &[0];
pub(super) const PARENT_ID: &[u8] = &[1];

/// The longest section of a file; more is told by several records of one name (6.5.1). A whole
/// number of sectors below 4 GiB.
pub(super) const SECTION_MAX_BYTES: u64 = (1 << 32) - SECTOR_BYTES;

/// A 16-bit number in both byte orders (7.2.3).
pub(super) fn both16(value: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (value.to_le_bytes(), value.to_be_bytes());
    [a, b, c, d]
}

/// A 32-bit number in both byte orders (7.3.3).
pub(super) fn both32(value: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&value.to_le_bytes());
    bytes[4..].copy_from_slice(&value.to_be_bytes());
    bytes
}

/// A point in time, UTC, by its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    year: i64,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Time {
    /// From seconds since 1970. What the format can't say becomes its first or last second.
    pub(super) fn from_unix(seconds: i64) -> Self {
        // 1900-01-01 and 2155-12-31T23:59:59: a year is a byte, from 1900 on.
        let seconds = seconds.clamp(-2_208_988_800, 5_869_583_999);
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // Years here start in March, so that the leap day comes last; eras have 400 of them.
        let day_of_era = (days + 719_468).rem_euclid(146_097);
        let era = (days + 719_468).div_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = (month_from_march + 2) % 12 + 1;
        let byte = |value: i64| u8::try_from(value).unwrap_or(0);
        Self {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month: byte(month),
            day: byte(day_of_year - (153 * month_from_march + 2) / 5 + 1),
            hour: byte(second / 3600),
            minute: byte(second / 60 % 60),
            second: byte(second % 60),
        }
    }

    /// As directory records and Rock Ridge have it (9.1.5).
    pub(super) fn short(self) -> [u8; 7] {
        let year = u8::try_from(self.year - 1900).unwrap_or(0);
        let utc = 0;
        let Self {
            month,
            day,
            hour,
            minute,
            second,
            ..
        } = self;
        [year, month, day, hour, minute, second, utc]
    }

    /// As volume descriptors have it (8.4.26.1): digits, hundredths of a second, time zone.
    fn long(self) -> [u8; 17] {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = self;
        let text = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}00");
        let mut bytes = [0; 17];
        bytes[..16].copy_from_slice(&text.as_bytes()[..16]);
        bytes
    }
}

/// A time that is not said (8.4.26.1).
const NO_TIME: [u8; 17] = *b"0000000000000000\0";

/// Where something is in the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Section {
    pub(super) lba: u32,
    pub(super) bytes: u32,
}

/// A directory record (9.1).
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) section: Section,
    pub(super) time: Time,
    pub(super) flags: u8,
    pub(super) id: &'a [u8],
    pub(super) system_use: &'a [u8],
}

/// Length of a record before its system use fields, padding included.
pub(super) fn record_bytes(id: &[u8]) -> usize {
    (RECORD_HEADER_BYTES + id.len()).next_multiple_of(2)
}

impl Record<'_> {
    /// Appends the record; it must not be longer than [`RECORD_MAX_BYTES`].
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let fixed = record_bytes(self.id);
        let bytes = (fixed + self.system_use.len()).next_multiple_of(2);
        debug_assert!(bytes <= RECORD_MAX_BYTES);
        let start = out.len();
        out.push(u8::try_from(bytes).unwrap_or(u8::MAX));
        // No extended attribute record.
        out.push(0);
        out.extend(both32(self.section.lba));
        out.extend(both32(self.section.bytes));
        out.extend(self.time.short());
        out.push(self.flags);
        // Not interleaved.
        out.extend([0, 0]);
        out.extend(both16(1));
        out.push(u8::try_from(self.id.len()).unwrap_or(u8::MAX));
        out.extend(self.id);
        out.resize(start + fixed, 0);
        out.extend(self.system_use);
        out.resize(start + bytes, 0);
    }
}

/// Primary or supplementary volume descriptor (8.4, 8.5).
#[derive(Debug)]
pub(super) struct Descriptor<'a> {
    pub(super) joliet: bool,
    /// For the primary one, of d-characters.
    pub(super) volume_id: &'a str,
    /// Anything of d-characters; the same for all volumes of a set.
    pub(super) set_id: &'a str,
    pub(super) sectors: u32,
    pub(super) path_table_bytes: u32,
    pub(super) path_table_le_lba: u32,
    pub(super) path_table_be_lba: u32,
    pub(super) root: Section,
    pub(super) time: Time,
}

impl Descriptor<'_> {
    pub(super) fn encode(&self) -> [u8; SECTOR] {
        let kind = if self.joliet {
            TYPE_SUPPLEMENTARY
        } else {
            TYPE_PRIMARY
        };
        let mut bytes = header(kind);
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        let text = |text: &str, len: usize| match self.joliet {
            true => wide(text, len),
            false => padded(text, len),
        };
        put(8, &text("LINUX", 32));
        put(40, &text(self.volume_id, 32));
        put(80, &both32(self.sectors));
        if self.joliet {
            put(ESCAPE_SEQUENCES, JOLIET_LEVEL_3);
        }
        // One volume in the set, and it is the first.
        put(120, &both16(1));
        put(124, &both16(1));
        put(128, &both16(2048));
        put(132, &both32(self.path_table_bytes));
        put(140, &self.path_table_le_lba.to_le_bytes());
        put(148, &self.path_table_be_lba.to_be_bytes());
        let mut root = Vec::new();
        let record = Record {
            section: self.root,
            time: self.time,
            flags: FLAG_FOLDER,
            id: SELF_ID,
            system_use: &[],
        };
        record.encode(&mut root);
        put(ROOT_RECORD, &root);
        put(190, &text(self.set_id, 128));
        // Publisher, data preparer, application.
        put(318, &text("", 128));
        put(446, &text("LKBUILD", 128));
        put(574, &text("LKBUILD", 128));
        // No files of copyright, abstract, bibliography.
        for at in [702, 739, 776] {
            put(at, &text("", 37));
        }
        // Created, changed, of no use after, of no use before.
        put(813, &self.time.long());
        put(830, &self.time.long());
        put(847, &NO_TIME);
        put(864, &NO_TIME);
        // Version of records and path tables.
        put(881, &[1]);
        bytes
    }
}

/// The boot record (8.2) that says where the boot catalog is (El Torito, 2.0).
pub(super) fn boot_record(catalog_lba: u32) -> [u8; SECTOR] {
    let mut bytes = header(TYPE_BOOT_RECORD);
    bytes[7..7 + EL_TORITO.len()].copy_from_slice(EL_TORITO);
    bytes[EL_TORITO_CATALOG..EL_TORITO_CATALOG + 4].copy_from_slice(&catalog_lba.to_le_bytes());
    bytes
}

/// The end of the volume descriptors (8.3).
pub(super) fn terminator() -> [u8; SECTOR] {
    header(TYPE_TERMINATOR)
}

fn header(kind: u8) -> [u8; SECTOR] {
    let mut bytes = [0; SECTOR];
    bytes[0] = kind;
    bytes[1..6].copy_from_slice(STANDARD_ID);
    bytes[6] = VERSION;
    bytes
}

/// A field of characters, filled with spaces.
fn padded(text: &str, len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = text.bytes().take(len).collect();
    bytes.resize(len, b' ');
    bytes
}

/// A field of UCS-2 characters, big-endian, filled with spaces; a byte that is left over is 0.
fn wide(text: &str, len: usize) -> Vec<u8> {
    let spaces = std::iter::repeat(u16::from(b' '));
    let units = text.encode_utf16().chain(spaces).take(len / 2);
    let mut bytes: Vec<u8> = units.flat_map(u16::to_be_bytes).collect();
    bytes.resize(len, 0);
    bytes
}

/// A path table (9.4), little-endian or big-endian, of folders by (identifier, LBA, number of the
/// parent).
pub(super) fn path_table<'a>(
    folders: impl Iterator<Item = (&'a [u8], u32, u16)>,
    big_endian: bool,
) -> Vec<u8> {
    let mut out = Vec::new();
    for (id, lba, parent) in folders {
        out.push(u8::try_from(id.len()).unwrap_or(u8::MAX));
        out.push(0);
        if big_endian {
            out.extend(lba.to_be_bytes());
            out.extend(parent.to_be_bytes());
        } else {
            out.extend(lba.to_le_bytes());
            out.extend(parent.to_le_bytes());
        }
        out.extend(id);
        if !id.len().is_multiple_of(2) {
            out.push(0);
        }
    }
    out
}

/// Length of a folder's entry in a path table.
pub(super) fn path_table_bytes(id: &[u8]) -> usize {
    8 + id.len().next_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, short) in [
            (0, [70, 1, 1, 0, 0, 0, 0]),
            (951_782_399, [100, 2, 28, 23, 59, 59, 0]),
            (951_782_400, [100, 2, 29, 0, 0, 0, 0]),
            (1_492_533_000, [117, 4, 18, 16, 30, 0, 0]),
            (1_735_689_599, [124, 12, 31, 23, 59, 59, 0]),
            (-1, [69, 12, 31, 23, 59, 59, 0]),
            (i64::MIN, [0, 1, 1, 0, 0, 0, 0]),
            (i64::MAX, [255, 12, 31, 23, 59, 59, 0]),
        ] {
            assert_eq!(Time::from_unix(seconds).short(), short, "{seconds}");
        }
        let long = Time::from_unix(1_492_533_000).long();
        assert_eq!(&long, b"2017041816300000\0");
    }

    #[test]
    fn a_record_is_even_and_says_its_length() {
        for id in [&b"A"[..], b"AB", b"KERNEL.;1"] {
            for system_use in [&b""[..], b"123", b"1234"] {
                let mut out = Vec::new();
                let record = Record {
                    section: Section { lba: 7, bytes: 9 },
                    time: Time::from_unix(0),
                    flags: 0,
                    id,
                    system_use,
                };
                record.encode(&mut out);
                assert_eq!(out.len() % 2, 0);
                assert_eq!(out.len(), usize::from(out[0]));
                assert_eq!(&out[33..33 + id.len()], id);
                let at = record_bytes(id);
                assert_eq!(&out[at..at + system_use.len()], system_use);
            }
        }
    }
}
