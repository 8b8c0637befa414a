//! Planning a volume and filling it.

use std::io::{self, Write};

use fatfs::{Date, DateTime, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider};

use crate::payload::{Extents, Payload, PlaceError};

use super::read::{FatReader, Limits, ReadError, read_folder};
use super::repair;
use crate::memory::SparseMemory;

/// A file that a volume is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpec {
    /// Path from the root, with `/` between names; folders on the way are made.
    pub path: String,
    /// Length of the file.
    pub len_bytes: u64,
}

/// What a volume is besides its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeOptions {
    /// Name: up to eleven letters, digits and spaces; stored in capitals.
    pub label: String,
    /// Serial number. Derive it from the content.
    pub id: u32,
    /// The volume is at least so long, even if its files need less.
    pub least_bytes: u64,
}

/// Why a volume can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FatError {
    /// A file of 4 GiB or more.
    #[error("{path:?} has {bytes} bytes: files on a FAT volume have less than 4 GiB")]
    FileTooLarge {
        /// The file.
        path: String,
        /// Its length.
        bytes: u64,
    },
    /// A label that FAT can't hold.
    #[error("{label:?} can't be a FAT label: 1 to 11 letters, digits, spaces, '-' or '_'")]
    Label {
        /// The label.
        label: String,
    },
    /// The library could not lay the volume out.
    #[error("the FAT volume could not be laid out: {what}")]
    Layout {
        /// At what.
        what: String,
        /// What the library said.
        source: io::Error,
    },
    /// No layout puts the clusters where they must be.
    #[error("no FAT layout of about {bytes} bytes has its clusters on 2048-byte boundaries")]
    Alignment {
        /// The length tried.
        bytes: u64,
    },
    /// What was laid out can't be read back.
    #[error("the FAT volume that was laid out is damaged")]
    ReadBack(#[from] ReadError),
    /// A file is not where, or what, it was planned.
    #[error("{path:?} is not in the volume as it was planned")]
    File {
        /// The file.
        path: String,
    },
    /// Extents overlap.
    #[error("the FAT volume's parts overlap")]
    Place(#[from] PlaceError),
}

/// A volume: all but what is in its files.
#[derive(Debug)]
pub struct FatVolume {
    metadata: Extents,
    files: Vec<(FileSpec, u64)>,
    cluster_bytes: u64,
}

/// Clusters start at multiples of this: the sectors of a CD.
const ALIGNMENT_BYTES: u64 = 2048;

/// Lengths that are tried until clusters are aligned.
const ATTEMPTS: u64 = 16;

/// The only time there is: the first that FAT can say.
#[derive(Debug)]
struct Epoch;

const EPOCH: Date = Date {
    year: 1980,
    month: 1,
    day: 1,
};

impl TimeProvider for Epoch {
    fn get_current_date(&self) -> Date {
        EPOCH
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime {
            date: EPOCH,
            time: Time {
                hour: 0,
                min: 0,
                sec: 0,
                millis: 0,
            },
        }
    }
}

impl FatVolume {
    /// Lays a volume out: as long as its files need, or as `options` say. Files stand in the
    /// order given, each in one piece, at multiples of 2048 bytes.
    ///
    /// # Errors
    /// If a file or the label does not fit FAT.
    pub fn plan(options: &VolumeOptions, files: &[FileSpec]) -> Result<Self, FatError> {
        let label = label(&options.label)?;
        for file in files {
            if u32::try_from(file.len_bytes).is_err() {
                return Err(FatError::FileTooLarge {
                    path: file.path.clone(),
                    bytes: file.len_bytes,
                });
            }
        }
        // Clusters have up to 32 KiB, and so much can be lost at the end of each file and folder.
        // Both tables take 8 bytes for 4 KiB or 4 for 2 KiB; the root folder and what is reserved
        // take less than the rest.
        const CLUSTER_MAX_BYTES: u64 = 32 << 10;
        let clusters = |file: &FileSpec| {
            let folders = file.path.matches('/').count() as u64;
            file.len_bytes + CLUSTER_MAX_BYTES * (1 + folders)
        };
        let data: u64 = files.iter().map(clusters).sum();
        let needed = (data + data / 256 + (256 << 10)).next_multiple_of(64 << 10);
        let len_bytes = needed.max(options.least_bytes.next_multiple_of(ALIGNMENT_BYTES));
        for attempt in 0..ATTEMPTS {
            let len_bytes = len_bytes + attempt * (64 << 10);
            // The root folder's length moves the clusters by an odd number of sectors.
            for root_entries in [496, 512, 528] {
                let memory = format(len_bytes, options.id, label, root_entries)
                    .map_err(layout("its tables"))?;
                let empty = memory.into_extents()?;
                if FatReader::open(&empty)?.data_start_bytes() % ALIGNMENT_BYTES == 0 {
                    let memory = format(len_bytes, options.id, label, root_entries)
                        .map_err(layout("its tables"))?;
                    return Self::fill(memory, files);
                }
            }
        }
        Err(FatError::Alignment { bytes: len_bytes })
    }

    fn fill(mut memory: SparseMemory, files: &[FileSpec]) -> Result<Self, FatError> {
        let options = FsOptions::new()
            .time_provider(&Epoch)
            .update_accessed_date(false);
        {
            let system =
                FileSystem::new(&mut memory, options).map_err(layout("the empty volume"))?;
            let root = system.root_dir();
            for file in files {
                for (end, _) in file.path.match_indices('/') {
                    root.create_dir(&file.path[..end])
                        .map_err(layout(&file.path))?;
                }
                let mut entry = root.create_file(&file.path).map_err(layout(&file.path))?;
                write_zeros(&mut entry, file.len_bytes).map_err(layout(&file.path))?;
            }
            drop(root);
            // Counts the free clusters, so that FAT32's summary of them is written.
            system.stats().map_err(layout("its free clusters"))?;
            system.unmount().map_err(layout("its end"))?;
        }
        Self::finish(memory, files)
    }

    /// Mends the folders, and looks where the files are.
    fn finish(mut memory: SparseMemory, files: &[FileSpec]) -> Result<Self, FatError> {
        let limits = Limits::default();
        let laid_out = memory.snapshot().into_extents()?;
        let reader = FatReader::open(&laid_out)?;
        let entries = reader.entries(limits)?;
        let cluster_bytes = reader.cluster_bytes();
        for folder in entries.iter().filter(|entry| entry.is_folder) {
            let mut bytes = read_folder(&laid_out, &folder.extents, limits)?;
            repair::folder(&mut memory, folder, &mut bytes).map_err(layout(&folder.path))?;
        }
        let metadata = memory.into_extents()?;
        let reader = FatReader::open(&metadata)?;
        let entries = reader.entries(limits)?;
        let mut placed = Vec::new();
        for file in files {
            let found = entries
                .iter()
                .find(|entry| entry.path == file.path && entry.len_bytes == file.len_bytes);
            let start = match found.map(|entry| entry.extents.as_slice()) {
                Some([]) => 0,
                Some([extent]) => extent.start,
                _ => {
                    return Err(FatError::File {
                        path: file.path.clone(),
                    });
                }
            };
            placed.push((file.clone(), start));
        }
        Ok(Self {
            metadata,
            files: placed,
            cluster_bytes,
        })
    }

    /// Length of the volume.
    pub fn len_bytes(&self) -> u64 {
        self.metadata.len_bytes()
    }

    /// Length of a cluster.
    pub fn cluster_bytes(&self) -> u64 {
        self.cluster_bytes
    }

    /// Where in the volume a file starts; `None` if there is no such file.
    pub fn file_start_bytes(&self, path: &str) -> Option<u64> {
        let (_, start) = self.files.iter().find(|(file, _)| file.path == path)?;
        Some(*start)
    }

    /// Puts the files in: the payloads of the planned files, in the same order.
    ///
    /// # Errors
    /// If there are more or fewer, or one has another length than planned.
    pub fn fill_with<P: Payload + 'static>(
        mut self,
        payloads: impl IntoIterator<Item = P>,
    ) -> Result<Extents, FatError> {
        let mut payloads = payloads.into_iter();
        for (file, start) in &self.files {
            let payload = payloads
                .next()
                .filter(|payload| payload.len_bytes() == file.len_bytes)
                .ok_or_else(|| FatError::File {
                    path: file.path.clone(),
                })?;
            self.metadata.place(*start, payload)?;
        }
        match payloads.next() {
            None => Ok(self.metadata),
            Some(_) => Err(FatError::File {
                path: "a file that was not planned".to_owned(),
            }),
        }
    }
}

fn layout(what: &str) -> impl FnOnce(io::Error) -> FatError {
    let what = what.to_owned();
    move |source| FatError::Layout { what, source }
}

fn label(text: &str) -> Result<[u8; 11], FatError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b" -_".contains(&byte);
    if text.is_empty() || text.len() > 11 || !text.bytes().all(allowed) {
        return Err(FatError::Label {
            label: text.to_owned(),
        });
    }
    let mut label = [b' '; 11];
    label[..text.len()].copy_from_slice(text.to_ascii_uppercase().as_bytes());
    Ok(label)
}

fn format(len_bytes: u64, id: u32, label: [u8; 11], root_entries: u16) -> io::Result<SparseMemory> {
    let mut memory = SparseMemory::new(len_bytes);
    let options = FormatVolumeOptions::new()
        .bytes_per_cluster(cluster_bytes(len_bytes))
        .volume_id(id)
        .volume_label(label)
        .max_root_dir_entries(root_entries);
    fatfs::format_volume(&mut memory, options)?;
    Ok(memory)
}

/// The smallest cluster that FAT16 can do with below 512 MiB, and FAT32's customary one above;
/// never less than a sector of a CD.
fn cluster_bytes(len_bytes: u64) -> u32 {
    const FAT16_MAX_BYTES: u64 = 512 << 20;
    // Below the 65,525 that would make it FAT32.
    const FAT16_CLUSTERS: u64 = 65_000;
    if len_bytes < FAT16_MAX_BYTES {
        let fits = |bytes: &u32| len_bytes / u64::from(*bytes) <= FAT16_CLUSTERS;
        return [2048, 4096].into_iter().find(fits).unwrap_or(8192);
    }
    match len_bytes >> 30 {
        0..8 => 4096,
        8..16 => 8192,
        16..32 => 16_384,
        _ => 32_768,
    }
}

/// Makes a file so long: the memory keeps no zeros, and the clusters follow each other.
fn write_zeros(file: &mut impl Write, len_bytes: u64) -> io::Result<()> {
    static ZEROS: [u8; 32 << 10] = [0; 32 << 10];
    let mut left = len_bytes;
    while left > 0 {
        let step = usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        file.write_all(&ZEROS[..step])?;
        left -= step as u64;
    }
    file.flush()
}
