//! What `lkbuild inspect` does with any file, and programs for UEFI.

use std::sync::Arc;

use formats::boot::efi::read_loader;
use formats::payload::{Extents, Payload};
use formats::pe::{NewSection, PeFile, append};
use lkbuild::inspect::{Options, inspect_bytes};
use lkbuild::layer::path::misleads;

use crate::disk_image::file;

/// Inspects any bytes, as they are and in parts as disks are; what is said can be shown.
pub fn inspect(data: &[u8]) {
    let options = Options {
        files: true,
        security: true,
    };
    let files: [Arc<dyn Payload>; 2] = [Arc::new(data.to_vec()), Arc::new(file(data))];
    for file in files {
        let Some(report) = inspect_bytes("any", &file, None, options) else {
            continue;
        };
        let shown = report.to_string();
        let odd = |c: char| misleads(c) && c != '\n';
        assert!(!shown.contains(odd), "{shown:?}");
    }
}

/// Reads any bytes as a program; what can take a section has it afterwards.
pub fn pe(data: &[u8]) {
    let data = data.to_vec();
    let _ = read_loader(&data);
    let section = NewSection {
        name: ".new",
        content: Arc::new(b"new".to_vec()),
    };
    if let Ok(file) = append(data, &[section]) {
        has_section(&file);
    }
}

fn has_section(file: &Extents) {
    let Ok(pe) = PeFile::read(file) else {
        panic!("what was written can't be read");
    };
    let Some(section) = pe.section(".new") else {
        panic!("the new section is not there");
    };
    let mut content = [0; 3];
    let read = file.read_exact_at(section.content().start, &mut content);
    assert!(read.is_ok() && &content == b"new");
}
