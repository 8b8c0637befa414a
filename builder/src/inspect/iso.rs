//! ISO 9660 images.

use std::collections::HashSet;

use formats::disk::read_partitions;
use formats::iso::{EntryKind, IsoEntry, IsoReader, Limits, Names};
use formats::payload::PayloadReader;

use super::content::{KEPT_MAX, Name, Names as Content};
use super::disk::{bios_loader, gpt_row};
use super::images::ImageList;
use super::metadata::{METADATA_PATH, Metadata};
use super::{Bytes, Inspector, Section, part};

/// Platforms of the boot catalog (El Torito 1.0, 2.1; UEFI specification 2.10, 13.3.2).
const PLATFORM_BIOS: u8 = 0;
const PLATFORM_UEFI: u8 = 0xef;

impl Inspector {
    pub(super) fn iso(&mut self, image: &Bytes) -> Section {
        let section = Section::of_kind("iso");
        let reader = match IsoReader::open(image) {
            Ok(reader) => reader,
            Err(error) => {
                self.problem(error.to_string());
                return section;
            }
        };
        let mut section = section
            .text("label", reader.label())
            .bytes("volume_bytes", reader.len_bytes())
            .flag("rock_ridge", reader.has_rock_ridge())
            .flag("joliet", reader.joliet_label().is_some());
        if reader.len_bytes() > image.len_bytes() {
            self.problem(format!(
                "the image is cut short: it has {} of {} bytes",
                image.len_bytes(),
                reader.len_bytes()
            ));
        }
        let entries = reader.boot_entries().unwrap_or_else(|error| {
            self.problem(error.to_string());
            Vec::new()
        });
        let (mut rows, mut told, mut volumes) = (Vec::new(), Vec::new(), Vec::new());
        let mut images = None;
        for entry in &entries {
            let platform = match entry.platform {
                PLATFORM_BIOS => "BIOS",
                PLATFORM_UEFI => "UEFI",
                _ => "other",
            };
            rows.push(
                Section::default()
                    .text("platform", platform)
                    .flag("bootable", entry.is_bootable)
                    .number("start_bytes", entry.start_bytes)
                    .number("load_sectors", u64::from(entry.load_sectors)),
            );
            match entry.platform {
                PLATFORM_BIOS => told.extend(bios_loader(image, entry.start_bytes)),
                PLATFORM_UEFI => {
                    let rest = image.len_bytes().saturating_sub(entry.start_bytes);
                    if let Some(volume) = part(image, entry.start_bytes, rest) {
                        let volume = self.fat(&volume);
                        told.extend(volume.told);
                        let start = Section::default().number("start_bytes", entry.start_bytes);
                        volumes.push(start.and(volume.section));
                    }
                }
                _ => {}
            }
        }
        section = section.table("boot_entries", rows);
        // An ISO that boots from a stick, too, has a partition table in its system area.
        match read_partitions(image) {
            Ok(partitions) => {
                let rows = partitions.iter().map(gpt_row);
                section = section.table("partitions", rows.collect());
            }
            // Tables of others are not always to the letter: only ours are held against it.
            Err(error) if !told.is_empty() => self.problem(error.to_string()),
            Err(_) => {}
        }
        // One that does not boot may hold a system as a tree.
        let is_tree = entries.is_empty();
        section = match reader.entries(Names::RockRidge, Limits::default()) {
            Ok(entries) => {
                images = entries.iter().find_map(|entry| image_list(image, entry));
                let files = entries
                    .iter()
                    .filter(|entry| matches!(entry.kind, EntryKind::File { .. }));
                let rows = files.map(|entry| {
                    Section::default()
                        .bytes("bytes", entry.len_bytes)
                        .text("path", &entry.path)
                });
                let section = self.list_files(section, rows.collect());
                match is_tree {
                    true => self.tree(section, image, &entries),
                    false => section,
                }
            }
            Err(error) => {
                self.problem(error.to_string());
                section
            }
        };
        section
            .table("volumes", volumes)
            .and(self.loaders(image, &told, images.as_ref()))
    }

    /// What is in the files of a tree, by container.
    fn tree(&self, section: Section, image: &Bytes, entries: &[IsoEntry]) -> Section {
        let mut content = Content::default();
        let mut linked = HashSet::new();
        for entry in entries {
            let (file_type, bytes, device) = match &entry.kind {
                EntryKind::File { .. } => {
                    // A body counts once, as in an initrd or tar.
                    let is_new = entry.links.is_none_or(|links| links < 2)
                        || linked.len() >= KEPT_MAX
                        || entry.serial.is_none_or(|serial| linked.insert(serial));
                    (0o100_000, if is_new { entry.len_bytes } else { 0 }, (0, 0))
                }
                EntryKind::Folder => (0o040_000, 0, (0, 0)),
                EntryKind::Symlink { target } => (0o120_000, target.len() as u64, (0, 0)),
                EntryKind::Other { device } => (0, 0, *device),
            };
            let (uid, gid) = entry.owner.unwrap_or_default();
            let name = Name {
                mode: entry.mode.unwrap_or(file_type),
                uid,
                gid,
                bytes,
                device,
                path: &entry.path,
            };
            content.add(&name, None, self);
            if entry.path == METADATA_PATH
                && let Some(file) = in_one_piece(image, entry)
            {
                let mut body = PayloadReader::new(&file);
                content.metadata = Metadata::read(&mut body, entry.len_bytes);
            }
        }
        let section = content.by_container(section);
        content.rights(section, self)
    }
}

/// The list of images, if an entry is that.
fn image_list(image: &Bytes, entry: &IsoEntry) -> Option<ImageList> {
    ImageList::at(&entry.path, in_one_piece(image, entry))
}

/// The bytes of a file that is in one piece.
fn in_one_piece(image: &Bytes, entry: &IsoEntry) -> Option<Bytes> {
    let EntryKind::File { extents } = &entry.kind else {
        return None;
    };
    let [extent] = extents.as_slice() else {
        return None;
    };
    part(image, extent.start, entry.len_bytes)
}
