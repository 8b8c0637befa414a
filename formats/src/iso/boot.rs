//! The hybrid image: one file for CD, stick and disk, for BIOS and UEFI.

use crate::disk::{self, DiskError, LOADER_START_BYTES};
use crate::medium::{BootFiles, BootVolume, Loaders, MediumError, PlacedFile, boot_volume};
use crate::payload::{Extents, Payload, PlaceError};

use super::catalog::BootImages;
use super::format::SECTOR_BYTES;
use super::layout::{IsoOptions, plan_bootable};
use super::tree::{Attributes, FileSource, IsoError, IsoTree};

/// Where the FAT volume starts: where partition tools align partitions, and as on our disks.
pub const VOLUME_START_BYTES: u64 = disk::ESP_START_BYTES;

/// The BIOS loader as a file: who makes another ISO of this one needs it.
const BIOS_LOADER_PATH: &[u8] = b"boot/bios.img";

/// The GPT's copy at the end: 32 sectors of entries and a header.
const BACKUP_GPT_BYTES: u64 = 33 * disk::SECTOR_BYTES;

/// Why no image can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootIsoError {
    /// The volume with kernel and initrd.
    #[error(transparent)]
    Medium(#[from] MediumError),
    /// The directory tree.
    #[error(transparent)]
    Iso(#[from] IsoError),
    /// The partition table.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Parts overlap.
    #[error("the ISO's parts overlap")]
    Place(#[from] PlaceError),
}

/// A hybrid image.
#[derive(Debug)]
pub struct BootIso {
    /// All of it.
    pub content: Extents,
    /// The files of the FAT volume, which are files of the ISO too.
    pub files: Vec<PlacedFile>,
}

/// Partitions are whole MiB, as on our disks.
const PARTITION_ALIGNMENT_BYTES: u64 = 1 << 20;

const FOLDER: u16 = 0o755;
const FILE: u16 = 0o644;

/// What a person finds who looks what the medium is.
const README: &str = "\
This medium boots a Linux system that was built by lkbuild from a LinuxKit YAML:
the kernel /boot/kernel with the initrd /boot/initrd.img. The command line that
it gives the kernel is in /boot/cmdline (for reading: a change has no effect).
";

/// What it says of [`BootFiles::images`].
const README_IMAGES: &str = "\
What images the initrd is made of is in /boot/images.json.
";

const README_COPY: &str = "
It boots from CD, USB stick and disk. To write it to a stick, copy the whole
image, byte by byte: dd if=NAME.iso of=/dev/STICK bs=4M oflag=direct. What is
on the stick is lost.
";

/// Makes the image that boots from CD, stick and disk, with the loaders that are given. `label` is
/// any text; `time`, in seconds since 1970, is that of all files.
///
/// # Errors
/// If the files do not fit a loader, FAT or an ISO.
pub fn boot_iso(
    files: &BootFiles,
    loaders: &Loaders,
    label: &str,
    time: i64,
) -> Result<BootIso, BootIsoError> {
    let volume = boot_volume(files, loaders, label, VOLUME_START_BYTES)?;
    let volume_bytes = volume.content.len_bytes();
    // Partition tools want ends on whole MiB, too; the volume itself may be shorter.
    let partition_bytes = volume_bytes.next_multiple_of(PARTITION_ALIGNMENT_BYTES);
    let partition_end = VOLUME_START_BYTES + partition_bytes;
    let options = IsoOptions {
        label: label.to_owned(),
        id: volume.id,
        time,
        least_bytes: partition_end + BACKUP_GPT_BYTES,
    };
    let images = BootImages {
        bios_lba: volume.bios.as_ref().map(|_| lba(LOADER_START_BYTES)),
        efi: loaders
            .efi
            .map(|_| (lba(VOLUME_START_BYTES), partition_bytes)),
    };
    let readme = readme(files);
    let plan = plan_bootable(&tree(&volume, &readme, time)?, &options, &images)?;

    let bios = volume.bios.as_ref();
    let mut content = disk::hybrid_tables(plan.len_bytes, partition_bytes, volume.id, bios)?;
    if let Some(bios) = &volume.bios {
        content.place(LOADER_START_BYTES, bios.loader.clone())?;
    }
    content.place(plan.metadata_start_bytes, plan.metadata)?;
    for ((start_bytes, _), text) in plan.files.into_iter().zip([readme]) {
        content.place(start_bytes, text.into_bytes())?;
    }
    content.place(VOLUME_START_BYTES, volume.content)?;
    Ok(BootIso {
        content,
        files: volume.files,
    })
}

fn readme(files: &BootFiles) -> String {
    let images = match files.images.is_empty() {
        true => "",
        false => README_IMAGES,
    };
    [README, images, README_COPY].concat()
}

fn lba(bytes: u64) -> u32 {
    u32::try_from(bytes / SECTOR_BYTES).unwrap_or(u32::MAX)
}

/// The volume's files as files of the ISO, under the same paths: copied to a FAT-formatted stick,
/// they boot under UEFI as well.
fn tree(volume: &BootVolume, readme: &str, mtime: i64) -> Result<IsoTree, IsoError> {
    let attributes = |mode| Attributes {
        mode,
        uid: 0,
        gid: 0,
        mtime,
    };
    let mut tree = IsoTree::new(attributes(FOLDER));
    let mut folders: Vec<&str> = Vec::new();
    for file in &volume.files {
        for (end, _) in file.path.match_indices('/') {
            let folder = &file.path[..end];
            if !folders.contains(&folder) {
                tree.folder(folder.as_bytes(), attributes(FOLDER))?;
                folders.push(folder);
            }
        }
        let source = FileSource::Placed {
            start_bytes: file.start_bytes,
            len_bytes: file.len_bytes,
        };
        tree.file(file.path.as_bytes(), attributes(FILE), source)?;
    }
    if let Some(bios) = &volume.bios {
        let source = FileSource::Placed {
            start_bytes: LOADER_START_BYTES,
            len_bytes: bios.loader.len() as u64,
        };
        tree.file(BIOS_LOADER_PATH, attributes(FILE), source)?;
    }
    let len_bytes = readme.len() as u64;
    let source = FileSource::New { len_bytes };
    tree.file(b"README.txt", attributes(FILE), source)?;
    Ok(tree)
}
