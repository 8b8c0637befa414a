//! Folders: their records and the names in them.

use std::collections::HashSet;
use std::ops::Range;

use crate::bounded::{read_vec, u32_le};

use super::super::format::{
    FLAG_FOLDER, FLAG_MULTI_EXTENT, RECORD_HEADER_BYTES, SECTOR, SECTOR_BYTES,
};
use super::system_use::Said;
use super::{
    EntryKind, IsoEntry, IsoReader, Limits, Names, ReadError, ReadErrorKind, damaged, error, limit,
    ucs2,
};

impl IsoReader<'_> {
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
        let bytes = read_vec(self.volume, start, u64::from(folder.bytes), "a folder")?;
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
            said.fields(self.volume, fields, limits, offset)?;
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
                path: match name.as_slice() {
                    b"" => return Err(damaged(offset, "an entry has no name")),
                    b"." | b".." => return Err(damaged(offset, "an entry is called . or ..")),
                    name if name.contains(&b'/') => {
                        return Err(damaged(offset, "an entry has a slash in its name"));
                    }
                    _ => name,
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
}

struct Found {
    entry: IsoEntry,
    record: Record,
}

const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;

/// A directory record as it was read.
#[derive(Clone)]
pub(super) struct Record {
    len: usize,
    lba: u32,
    bytes: u32,
    flags: u8,
    time: [u8; 7],
    id: Vec<u8>,
    pub(super) system_use: Vec<u8>,
}

impl Record {
    pub(super) fn start_bytes(&self) -> u64 {
        u64::from(self.lba) * SECTOR_BYTES
    }

    pub(super) fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The record at the start of `bytes`; `None` at the end of a sector's records.
pub(super) fn parse_record(bytes: &[u8]) -> Option<Record> {
    let len = usize::from(*bytes.first()?);
    let record = bytes.get(..len).filter(|_| len > RECORD_HEADER_BYTES)?;
    let id_end = RECORD_HEADER_BYTES + usize::from(record[32]);
    let id = record.get(RECORD_HEADER_BYTES..id_end)?;
    let mut time = [0; 7];
    time.copy_from_slice(&record[18..25]);
    Some(Record {
        len,
        // An extended attribute record would come first.
        lba: u32_le(record, 2).saturating_add(u32::from(record[1])),
        bytes: u32_le(record, 10),
        flags: record[25],
        time,
        id: id.to_vec(),
        system_use: record
            .get(id_end.next_multiple_of(2)..)
            .unwrap_or(&[])
            .to_vec(),
    })
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

fn join(extents: &mut Vec<Range<u64>>, more: Range<u64>) {
    match extents.last_mut() {
        _ if more.is_empty() => {}
        Some(last) if last.end == more.start => last.end = more.end,
        _ => extents.push(more),
    }
}
