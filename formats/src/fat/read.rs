//! Reading a volume's folders, within limits.

use std::fmt;
use std::io;
use std::ops::Range;

use crate::bounded::{from_fault, read, u16_le, u32_le};
use crate::payload::Payload;

/// What a reader accepts before it gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files and folders.
    pub entries: usize,
    /// Folders within folders.
    pub depth: usize,
    /// Length of one folder; the specification's own limit is 2 MiB.
    pub folder_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 10_000,
            depth: 16,
            folder_bytes: 2 << 20,
        }
    }
}

/// Why a volume can't be read, and where.
#[derive(Debug, thiserror::Error)]
#[error("FAT volume, at byte {offset}: {kind}")]
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
    /// The boot sector's numbers make no volume.
    #[error("no FAT boot sector")]
    BootSector,
    /// The volume is larger than what it lies in.
    #[error("{what} lies behind the end")]
    BeyondEnd {
        /// What should be there.
        what: &'static str,
    },
    /// A chain of clusters leaves the volume, comes back to itself or is too short.
    #[error("the chain of clusters of {path:?} is damaged")]
    Chain {
        /// The file or folder.
        path: String,
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

/// A file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FatEntry {
    /// Path from the root, with `/` between names; the long name, where there is one.
    pub path: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Length of the file; 0 for folders.
    pub len_bytes: u64,
    /// Where its clusters are in the volume, in order; neighbours are joined.
    pub extents: Vec<Range<u64>>,
}

/// Width of the table's entries (3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Fat12,
    Fat16,
    Fat32,
}

/// A volume, of which only folders and the table are read.
pub struct FatReader<'a> {
    volume: &'a dyn Payload,
    width: Width,
    cluster_bytes: u64,
    table: Range<u64>,
    /// The root folder of FAT12 and FAT16.
    fixed_root: Range<u64>,
    /// First cluster of FAT32's.
    root_cluster: u32,
    data_start: u64,
    clusters: u32,
}

impl fmt::Debug for FatReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FatReader")
            .field("width", &self.width)
            .field("cluster_bytes", &self.cluster_bytes)
            .field("clusters", &self.clusters)
            .field("data_start", &self.data_start)
            .finish_non_exhaustive()
    }
}

/// Length of a folder's entry (6).
pub(super) const SLOT_BYTES: usize = 32;
const ATTRIBUTE_FOLDER: u8 = 0x10;
const ATTRIBUTE_LABEL: u8 = 0x08;
pub(super) const ATTRIBUTE_LONG_NAME: u8 = 0x0f;
const SLOT_FREE: u8 = 0xe5;
const SLOT_END: u8 = 0;

impl<'a> FatReader<'a> {
    /// Reads the boot sector (3.1).
    ///
    /// # Errors
    /// If there is none, or its volume is not all there.
    pub fn open(volume: &'a dyn Payload) -> Result<Self, ReadError> {
        let mut boot = [0; 512];
        read(volume, 0, &mut boot, "the boot sector")?;
        let bad = || error(0, ReadErrorKind::BootSector);
        let sector_bytes = u64::from(u16_le(&boot, 11));
        let cluster_sectors = u64::from(boot[13]);
        let good = boot[510..] == [0x55, 0xaa]
            && matches!(sector_bytes, 512 | 1024 | 2048 | 4096)
            && cluster_sectors.is_power_of_two()
            && boot[16] > 0;
        if !good {
            return Err(bad());
        }
        let either = |short: u16, long: u32| match short {
            0 => u64::from(long),
            short => u64::from(short),
        };
        let reserved = u64::from(u16_le(&boot, 14));
        let root_bytes = u64::from(u16_le(&boot, 17)) * SLOT_BYTES as u64;
        let total = either(u16_le(&boot, 19), u32_le(&boot, 32));
        let table_sectors = either(u16_le(&boot, 22), u32_le(&boot, 36));
        let root_sector = reserved + u64::from(boot[16]) * table_sectors;
        let data_sector = root_sector + root_bytes.div_ceil(sector_bytes);
        let data_sectors = total.checked_sub(data_sector).ok_or_else(bad)?;
        let clusters = u32::try_from(data_sectors / cluster_sectors).map_err(|_| bad())?;
        // The number of clusters alone decides (3.5).
        let width = match clusters {
            0..4085 => Width::Fat12,
            4085..65_525 => Width::Fat16,
            _ => Width::Fat32,
        };
        if total * sector_bytes > volume.len_bytes() {
            let what = "the volume's end";
            return Err(error(0, ReadErrorKind::BeyondEnd { what }));
        }
        let table_start = reserved * sector_bytes;
        let root_start = root_sector * sector_bytes;
        Ok(Self {
            volume,
            width,
            cluster_bytes: cluster_sectors * sector_bytes,
            table: table_start..table_start + table_sectors * sector_bytes,
            fixed_root: root_start..root_start + root_bytes,
            root_cluster: u32_le(&boot, 44),
            data_start: data_sector * sector_bytes,
            clusters,
        })
    }

    /// Where clusters start in the volume.
    pub fn data_start_bytes(&self) -> u64 {
        self.data_start
    }

    /// Length of a cluster.
    pub fn cluster_bytes(&self) -> u64 {
        self.cluster_bytes
    }

    /// All files and folders, folders before what is in them.
    ///
    /// # Errors
    /// If a chain is damaged or a limit is passed.
    pub fn entries(&self, limits: Limits) -> Result<Vec<FatEntry>, ReadError> {
        let root = match self.width {
            Width::Fat32 => self.chain(self.root_cluster, "", limits.folder_bytes)?,
            _ => vec![self.fixed_root.clone()],
        };
        let mut found = Vec::new();
        // The depth of a folder and where it is.
        let mut folders = vec![(0, String::new(), root)];
        while let Some((depth, path, extents)) = folders.pop() {
            for slot in self.slots(&extents, limits)? {
                let path = match path.as_str() {
                    "" => slot.name,
                    parent => format!("{parent}/{}", slot.name),
                };
                let most = if slot.is_folder {
                    limits.folder_bytes
                } else {
                    u64::from(slot.len_bytes)
                };
                let extents = self.chain(slot.first_cluster, &path, most)?;
                let bytes: u64 = extents.iter().map(|extent| extent.end - extent.start).sum();
                if bytes < u64::from(slot.len_bytes) {
                    return Err(error(0, ReadErrorKind::Chain { path }));
                }
                if slot.is_folder {
                    if depth + 1 > limits.depth {
                        return Err(limit("folders within folders", limits.depth as u64));
                    }
                    folders.push((depth + 1, path.clone(), extents.clone()));
                }
                if found.len() >= limits.entries {
                    return Err(limit("files and folders", limits.entries as u64));
                }
                found.push(FatEntry {
                    path,
                    is_folder: slot.is_folder,
                    len_bytes: u64::from(slot.len_bytes),
                    extents,
                });
            }
        }
        Ok(found)
    }

    /// Where the clusters of a chain are: enough for `most_bytes`, or up to its end.
    fn chain(&self, first: u32, path: &str, most_bytes: u64) -> Result<Vec<Range<u64>>, ReadError> {
        let damaged = || {
            error(
                self.table.start,
                ReadErrorKind::Chain {
                    path: path.to_owned(),
                },
            )
        };
        let mut extents: Vec<Range<u64>> = Vec::new();
        let mut cluster = first;
        let mut bytes = 0;
        // An empty file has no cluster.
        while first != 0 && bytes < most_bytes {
            if !(2..self.clusters.saturating_add(2)).contains(&cluster) {
                return Err(damaged());
            }
            let start = self.data_start + u64::from(cluster - 2) * self.cluster_bytes;
            let end = start + self.cluster_bytes;
            match extents.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => extents.push(start..end),
            }
            bytes += self.cluster_bytes;
            match self.next(cluster)? {
                Some(next) if bytes / self.cluster_bytes <= u64::from(self.clusters) => {
                    cluster = next;
                }
                Some(_) => return Err(damaged()),
                None => break,
            }
        }
        Ok(extents)
    }

    /// The table's entry; `None` at the end of a chain.
    fn next(&self, cluster: u32) -> Result<Option<u32>, ReadError> {
        let index = u64::from(cluster);
        let (offset, bytes) = match self.width {
            Width::Fat12 => (index * 3 / 2, 2),
            Width::Fat16 => (index * 2, 2),
            Width::Fat32 => (index * 4, 4),
        };
        let place = self.table.start + offset;
        let what = "an entry of the table";
        if place + bytes > self.table.end {
            return Err(error(place, ReadErrorKind::BeyondEnd { what }));
        }
        let mut entry = [0; 4];
        let bytes = if bytes == 2 { 2 } else { 4 };
        read(self.volume, place, &mut entry[..bytes], what)?;
        let word = u32::from_le_bytes(entry);
        let (value, end) = match self.width {
            Width::Fat12 if cluster % 2 == 1 => (word >> 4, 0xff8),
            Width::Fat12 => (word & 0xfff, 0xff8),
            Width::Fat16 => (word, 0xfff8),
            Width::Fat32 => (word & 0x0fff_ffff, 0x0fff_fff8),
        };
        Ok((value < end).then_some(value))
    }

    fn slots(&self, extents: &[Range<u64>], limits: Limits) -> Result<Vec<Slot>, ReadError> {
        let bytes = read_folder(self.volume, extents, limits)?;
        let mut slots = Vec::new();
        let mut long = Vec::new();
        for slot in bytes.chunks_exact(SLOT_BYTES) {
            match (slot[0], slot[11]) {
                (SLOT_END, _) => break,
                (SLOT_FREE, _) => long.clear(),
                // Parts of a long name stand in reverse order, before the entry.
                (_, ATTRIBUTE_LONG_NAME) => {
                    let units = slot[1..11].iter().chain(&slot[14..26]).chain(&slot[28..32]);
                    let mut part: Vec<u8> = units.copied().collect();
                    part.append(&mut long);
                    // No name has more than 20 parts.
                    part.truncate(20 * 26);
                    long = part;
                }
                (_, attributes) if attributes & ATTRIBUTE_LABEL != 0 => long.clear(),
                (b'.', _) => long.clear(),
                (_, attributes) => {
                    let name = long_name(&long).unwrap_or_else(|| short_name(slot));
                    long.clear();
                    slots.push(Slot {
                        name,
                        is_folder: attributes & ATTRIBUTE_FOLDER != 0,
                        first_cluster: u32::from(u16_le(slot, 20)) << 16
                            | u32::from(u16_le(slot, 26)),
                        len_bytes: u32_le(slot, 28),
                    });
                }
            }
        }
        Ok(slots)
    }
}

struct Slot {
    name: String,
    is_folder: bool,
    first_cluster: u32,
    len_bytes: u32,
}

fn long_name(bytes: &[u8]) -> Option<String> {
    let (units, _) = bytes.as_chunks::<2>();
    let units = units
        .iter()
        .map(|unit| u16::from_le_bytes(*unit))
        .take_while(|&unit| unit != 0);
    let name: String = char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    (!name.is_empty()).then_some(name)
}

fn short_name(slot: &[u8]) -> String {
    let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    match (part(&slot[..8]), part(&slot[8..11])) {
        (name, extension) if extension.is_empty() => name,
        (name, extension) => format!("{name}.{extension}"),
    }
}

/// All bytes of a folder.
pub(super) fn read_folder(
    volume: &dyn Payload,
    extents: &[Range<u64>],
    limits: Limits,
) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    for extent in extents {
        let start = bytes.len();
        let len = (extent.end - extent.start).min(limits.folder_bytes);
        bytes.resize(start + usize::try_from(len).unwrap_or(0), 0);
        read(volume, extent.start, &mut bytes[start..], "a folder")?;
    }
    Ok(bytes)
}

fn limit(what: &'static str, limit: u64) -> ReadError {
    error(0, ReadErrorKind::Limit { what, limit })
}

fn error(offset: u64, kind: ReadErrorKind) -> ReadError {
    ReadError { kind, offset }
}
