//! The text that describes a disk ("The Descriptor File").

use std::io::Write;

use crate::blocks::ImageError;

use super::format::{DESCRIPTOR_SECTORS, GRAIN_BYTES, GRAIN_SECTORS, SECTOR_BYTES, TABLE_ENTRIES};

/// What tells a disk's content from another's. Derive it from the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DiskId(pub [u8; 16]);

impl DiskId {
    /// `CID`: 32 bits. All ones would mean "no parent", all ones but one is reserved too.
    fn content_id(self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        let id = u32::from_be_bytes([a, b, c, d]);
        if id >= 0xffff_fffe { 0x7fff_ffff } else { id }
    }

    /// `ddb.longContentID`: ends in the same digits as `CID`.
    fn long_content_id(self) -> String {
        let digits: String = self.0[4..]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{digits}{:08x}", self.content_id())
    }
}

/// What a disk's description says besides its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Tells the content from another's.
    pub id: DiskId,
    /// The file's own name, as the description repeats it: without a folder, quote or line end.
    pub file_name: String,
    /// Hardware version of the virtual machine (`ddb.virtualHWVersion`).
    pub hardware_version: u32,
}

impl Options {
    /// Hardware version 13 (ESXi 6.5 and later).
    pub fn new(id: DiskId, file_name: impl Into<String>) -> Self {
        Self {
            id,
            file_name: file_name.into(),
            hardware_version: 13,
        }
    }
}

/// Largest disk: VMware's limit of 62 TiB.
const MAX_BYTES: u64 = 62 << 40;

/// The disk's length in sectors, in whole grains.
pub(super) fn capacity_sectors(bytes: u64) -> Result<u64, ImageError> {
    if bytes > MAX_BYTES {
        return Err(ImageError::TooLarge {
            bytes,
            format: "VMDK",
            max_bytes: MAX_BYTES,
        });
    }
    Ok(bytes.div_ceil(GRAIN_BYTES as u64) * GRAIN_SECTORS)
}

/// Grain tables of a disk.
pub(super) fn tables(capacity_sectors: u64) -> usize {
    let grains = capacity_sectors / GRAIN_SECTORS;
    usize::try_from(grains.div_ceil(TABLE_ENTRIES as u64)).unwrap_or(usize::MAX)
}

/// How the description names the one extent.
pub(super) enum ExtentKind {
    StreamOptimized,
    MonolithicSparse,
    Vmfs,
}

pub(super) fn text(kind: &ExtentKind, capacity_sectors: u64, options: &Options) -> String {
    let (create_type, access, extent_type) = match kind {
        ExtentKind::StreamOptimized => ("streamOptimized", "RDONLY", "SPARSE"),
        ExtentKind::MonolithicSparse => ("monolithicSparse", "RW", "SPARSE"),
        ExtentKind::Vmfs => ("vmfs", "RW", "VMFS"),
    };
    // The usual translation of large disks; the BIOS of a virtual machine does not insist.
    let cylinders = (capacity_sectors / (255 * 63)).clamp(1, 65_535);
    format!(
        "# Disk DescriptorFile\n\
         version=1\n\
         CID={:08x}\n\
         parentCID=ffffffff\n\
         createType=\"{create_type}\"\n\
         \n\
         # Extent description\n\
         {access} {capacity_sectors} {extent_type} \"{}\"\n\
         \n\
         # The Disk Data Base\n\
         #DDB\n\
         \n\
         ddb.adapterType = \"lsilogic\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\n\
         ddb.geometry.heads = \"255\"\n\
         ddb.geometry.sectors = \"63\"\n\
         ddb.longContentID = \"{}\"\n\
         ddb.virtualHWVersion = \"{}\"\n",
        options.id.content_id(),
        options.file_name,
        options.id.long_content_id(),
        options.hardware_version,
    )
}

/// The description as it is embedded: padded with zeros to its sectors.
pub(super) fn embedded(
    kind: &ExtentKind,
    capacity_sectors: u64,
    options: &Options,
) -> Result<Vec<u8>, ImageError> {
    let mut bytes = text(kind, capacity_sectors, options).into_bytes();
    let room = usize::try_from(DESCRIPTOR_SECTORS * SECTOR_BYTES).unwrap_or(usize::MAX);
    // There must be a zero after it. Only an absurdly long file name can take all the room.
    if bytes.len() >= room {
        return Err(ImageError::Write(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "the file's name is too long for the disk's description",
        )));
    }
    bytes.resize(room, 0);
    Ok(bytes)
}

/// Writes the descriptor of a flat disk: the raw disk of `disk_bytes` lies beside it under the
/// name `options.file_name` (by custom `NAME-flat.vmdk`).
///
/// # Errors
/// If the disk is not whole sectors or too large, or the text can't be written.
pub fn write_flat(
    out: &mut impl Write,
    disk_bytes: u64,
    options: &Options,
) -> Result<(), ImageError> {
    capacity_sectors(disk_bytes)?;
    if !disk_bytes.is_multiple_of(SECTOR_BYTES) {
        return Err(ImageError::Write(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "a flat disk must be whole sectors of 512 bytes",
        )));
    }
    out.write_all(text(&ExtentKind::Vmfs, disk_bytes / SECTOR_BYTES, options).as_bytes())
        .map_err(ImageError::Write)
}

/// A flat disk, as its description has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlatDisk {
    /// `createType`, as in `vmfs`.
    pub create_type: String,
    /// Name of the raw disk's file, which lies beside the description.
    pub file_name: String,
    /// How long it is.
    pub disk_bytes: u64,
}

/// Reads the description of a flat disk in one file; `None` if it is none, or the file is not
/// beside it.
pub fn read_flat(text: &str) -> Option<FlatDisk> {
    let mut create_type = String::new();
    let mut flat = None;
    for line in text.lines() {
        if let Some(quoted) = line.strip_prefix("createType=\"") {
            quoted.trim_end_matches('"').clone_into(&mut create_type);
        }
        let mut words = line.splitn(4, ' ');
        let (Some("RW" | "RDONLY"), Some(sectors), Some("FLAT" | "VMFS"), Some(file)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let (file_name, _) = file.strip_prefix('"')?.split_once('"')?;
        let is_beside =
            !file_name.contains(['/', '\\', '\0']) && !matches!(file_name, "" | "." | "..");
        if flat.is_some() || !is_beside {
            return None;
        }
        let disk_bytes = sectors.parse::<u64>().ok()?.checked_mul(SECTOR_BYTES)?;
        flat = Some((file_name.to_owned(), disk_bytes));
    }
    let (file_name, disk_bytes) = flat?;
    Some(FlatDisk {
        create_type,
        file_name,
        disk_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_of_a_flat_disk_comes_back() {
        let options = Options::new(DiskId([7; 16]), "a disk-flat.vmdk");
        let mut text = Vec::new();
        write_flat(&mut text, 1 << 20, &options).unwrap();
        let text = String::from_utf8(text).unwrap();
        let flat = read_flat(&text).unwrap();
        assert_eq!(flat.create_type, "vmfs");
        assert_eq!(flat.file_name, "a disk-flat.vmdk");
        assert_eq!(flat.disk_bytes, 1 << 20);
        // Files elsewhere are none of ours.
        for name in ["../x", "/etc/passwd", "a\\b", "..", ""] {
            assert_eq!(
                read_flat(&text.replace("a disk-flat.vmdk", name)),
                None,
                "{name}"
            );
        }
        let huge = text.replace("RW 2048 ", "RW 18446744073709551615 ");
        assert_eq!(read_flat(&huge), None);
        assert_eq!(read_flat(&(text.clone() + &text)), None, "two extents");
        assert_eq!(read_flat(""), None);
    }
}
