//! Virtual appliances.

use formats::ova::OvaReader;

use super::{Bytes, Inspector, Section, part};

impl Inspector {
    pub(super) fn appliance(&mut self, bytes: &Bytes) -> Section {
        let section = Section::of_kind("ova");
        let reader = match OvaReader::open(bytes.clone()) {
            Ok(reader) => reader,
            Err(error) => {
                self.problem(error.to_string());
                return section;
            }
        };
        let machine = reader.descriptor();
        let mut section = section
            .text("name", &machine.name)
            .list("hardware", &machine.hardware);
        for (key, text) in [
            ("guest_id", &machine.guest_id),
            ("firmware", &machine.firmware),
        ] {
            if let Some(text) = text {
                section = section.text(key, text);
            }
        }
        if let Some(cpus) = machine.cpus {
            section = section.number("cpus", cpus);
        }
        if let Some(bytes) = machine.memory_bytes {
            section = section.bytes("memory_bytes", bytes);
        }
        let devices = machine.devices.iter().map(|device| {
            Section::default()
                .text("name", &device.name)
                .text("model", device.subtype.as_deref().unwrap_or_default())
        });
        let files = reader.files().iter().map(|file| {
            Section::default()
                .bytes("bytes", file.len_bytes)
                .text("path", &file.name)
        });
        section = section
            .list("networks", &machine.networks)
            .table("devices", devices.collect())
            .table("files", files.collect());
        section = match reader.verify() {
            Ok(Some(files)) => section.number("manifest_files_verified", files as u64),
            Ok(None) => section.number("manifest_files_verified", 0),
            Err(error) => {
                self.problem(error.to_string());
                section
            }
        };
        let disks: Vec<_> = reader
            .files()
            .iter()
            .filter(|file| file.name.ends_with(".vmdk"))
            .filter_map(|file| Some((&file.name, part(bytes, file.start_bytes, file.len_bytes)?)))
            .collect();
        let mut looked = Vec::new();
        for (name, disk) in disks {
            let found = Section::default().text("path", name);
            looked.push(match self.look(&disk) {
                Some(disk) => found.and(disk),
                None => {
                    self.problem(format!("{name} is no disk"));
                    found
                }
            });
        }
        section.table("disks", looked)
    }
}
