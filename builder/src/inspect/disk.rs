//! Disks: partitions, FAT volumes, and what boots from them.

use formats::boot::bios::{STAGE2_BYTES, read_stage2};
use formats::boot::efi::read_loader;
use formats::disk::{
    LOADER_START_BYTES, MbrEntry, PartitionEntry, ReadErrorKind, read_mbr, read_partitions,
};
use formats::fat::{FatEntry, FatReader, Limits};

use super::images::ImageList;
use super::loaders::Told;
use super::{Bytes, Inspector, Section, part};

/// A FAT volume.
pub(super) struct Volume {
    /// What is in it.
    pub(super) section: Section,
    /// What the loaders on it were told.
    pub(super) told: Vec<Told>,
    /// What the initrd on it is made of.
    pub(super) images: Option<ImageList>,
}

impl Inspector {
    /// A disk without what it is packed in.
    pub(super) fn disk(&mut self, disk: &Bytes) -> Section {
        let mut told: Vec<Told> = bios_loader(disk, LOADER_START_BYTES).into_iter().collect();
        let (mut rows, mut volumes, mut images) = (Vec::new(), Vec::new(), None);
        let mut table = "GPT";
        match read_partitions(disk) {
            Ok(partitions) => {
                for entry in partitions {
                    rows.push(gpt_row(&entry).text("guid", &entry.guid));
                    if let Some(volume) = part(disk, entry.start_bytes, entry.len_bytes)
                        && entry.is_esp()
                    {
                        let place = entry.start_bytes;
                        let volume = self.fat(&volume);
                        told.extend(volume.told);
                        images = images.or(volume.images);
                        let start = Section::default().number("start_bytes", place);
                        volumes.push(start.and(volume.section));
                    }
                }
            }
            Err(error) => {
                let has_none = matches!(error.kind, ReadErrorKind::NoGpt);
                if has_none {
                    rows.extend(read_mbr(disk).unwrap_or_default().iter().map(mbr_row));
                    table = if rows.is_empty() { "none" } else { "MBR" };
                }
                // Disks with our loader have a GPT: such a one has lost it.
                if !has_none || !told.is_empty() {
                    self.problem(error.to_string());
                }
            }
        }
        Section::default()
            .text("partition_table", table)
            .table("partitions", rows)
            .table("volumes", volumes)
            .and(self.loaders(disk, &told, images.as_ref()))
    }

    /// A volume alone, on no medium that loaders could know places on.
    pub(super) fn fat_only(&mut self, volume: &Bytes) -> Section {
        let volume = self.fat(volume);
        Section::of_kind("fat").and(volume.section)
    }

    pub(super) fn fat(&mut self, volume: &Bytes) -> Volume {
        let read = FatReader::open(volume).and_then(|reader| reader.entries(Limits::default()));
        let entries = match read {
            Ok(entries) => entries,
            Err(error) => {
                self.problem(error.to_string());
                return Volume {
                    section: Section::default(),
                    told: Vec::new(),
                    images: None,
                };
            }
        };
        let mut images = None;
        let mut told = Vec::new();
        let mut programs = Vec::new();
        let mut rows = Vec::new();
        for entry in entries.iter().filter(|entry| !entry.is_folder) {
            rows.push(
                Section::default()
                    .bytes("bytes", entry.len_bytes)
                    .text("path", &entry.path),
            );
            images =
                images.or_else(|| ImageList::at(entry.path.as_bytes(), contiguous(volume, entry)));
            if !entry.path.to_ascii_lowercase().ends_with(".efi") {
                continue;
            }
            let Some(file) = contiguous(volume, entry) else {
                continue;
            };
            let place = entry.path.clone();
            match read_loader(&file) {
                Ok(Some(spec)) if !self.is_unified(&file) => told.push(Told {
                    firmware: "UEFI",
                    place,
                    spec,
                }),
                Ok(_) => {
                    let program = Section::default().text("path", &place);
                    programs.push(program.and(self.program(&file)));
                }
                Err(error) => self.problem(format!("{place}: {error}")),
            }
        }
        let section = self.list_files(Section::default().text("file_system", "FAT"), rows);
        Volume {
            section: section.table("programs", programs),
            told,
            images,
        }
    }
}

/// A partition as people look for it, without its GUID.
pub(super) fn gpt_row(entry: &PartitionEntry) -> Section {
    Section::default()
        .number("number", entry.number as u64)
        .text("name", &entry.name)
        .text("type", type_name(&entry.type_guid))
        .number("start_bytes", entry.start_bytes)
        .bytes("partition_bytes", entry.len_bytes)
}

fn mbr_row(entry: &MbrEntry) -> Section {
    Section::default()
        .number("number", entry.number as u64)
        .text("type", format!("{:#04x}", entry.type_id))
        .number("start_bytes", entry.start_bytes)
        .bytes("partition_bytes", entry.len_bytes)
        .flag("active", entry.is_active)
}

/// The bytes of a file that is in one piece.
fn contiguous(volume: &Bytes, entry: &FatEntry) -> Option<Bytes> {
    let [extent] = entry.extents.as_slice() else {
        return None;
    };
    part(volume, extent.start, entry.len_bytes)
}

/// Our BIOS loader, if it is there.
pub(super) fn bios_loader(medium: &Bytes, start_bytes: u64) -> Option<Told> {
    let mut loader = vec![0; STAGE2_BYTES];
    let end = start_bytes.checked_add(STAGE2_BYTES as u64)?;
    if end > medium.len_bytes() {
        return None;
    }
    medium.read_exact_at(start_bytes, &mut loader).ok()?;
    Some(Told {
        firmware: "BIOS",
        place: format!("byte {start_bytes}"),
        spec: read_stage2(&loader)?,
    })
}

/// Types of partitions that are met often (UEFI specification 2.10, 5.3.3; UAPI group,
/// Discoverable Partitions).
fn type_name(guid: &str) -> String {
    let name = match guid {
        "C12A7328-F81F-11D2-BA4B-00A0C93EC93B" => "EFI system partition",
        "0FC63DAF-8483-4772-8E79-3D69D8477DE4" => "Linux data",
        "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7" => "Microsoft data",
        "21686148-6449-6E6F-744E-656564454649" => "BIOS boot",
        other => other,
    };
    name.to_owned()
}
