//! Programs for UEFI: our loader, unified kernel images, others.

use formats::boot::efi::read_loader;
use formats::payload::{Payload, crc32};
use formats::pe::PeFile;
use formats::uki::{
    SECTION_CMDLINE, SECTION_IMAGES, SECTION_INITRD, SECTION_LINUX, SECTION_OS_RELEASE,
    SECTION_UNAME,
};

use super::images::ImageList;
use super::{Bytes, Inspector, Section, part};

/// Texts in sections are shorter.
const TEXT_MAX_BYTES: u64 = 64 << 10;

impl Inspector {
    pub(super) fn is_unified(&self, file: &Bytes) -> bool {
        PeFile::read(file).is_ok_and(|pe| pe.section(SECTION_LINUX).is_some())
    }

    pub(super) fn program(&mut self, file: &Bytes) -> Section {
        let pe = match PeFile::read(file) {
            Ok(pe) => pe,
            Err(error) => {
                self.problem(error.to_string());
                return Section::of_kind("efi");
            }
        };
        let is_unified = pe.section(SECTION_LINUX).is_some();
        let told = read_loader(file).ok().flatten();
        let what = match (is_unified, &told) {
            (true, Some(_)) => "unified kernel image with lkbuild's loader",
            (true, None) => "unified kernel image",
            (false, Some(_)) => "lkbuild's loader",
            (false, None) => "program",
        };
        let rows = pe.sections.iter().map(|section| {
            let access = match (section.is_writable, section.is_executable) {
                (false, false) => "read",
                (true, false) => "write",
                (false, true) => "execute",
                (true, true) => "write and execute",
            };
            Section::default()
                .text("name", &section.name)
                .number("address", u64::from(section.address))
                .bytes("bytes", u64::from(section.memory_bytes))
                .text("access", access)
        });
        let mut section = Section::of_kind(if is_unified { "uki" } else { "efi" })
            .text("what", what)
            .text("machine", format!("{:#06x}", pe.machine))
            .flag("uefi_x86_64", pe.is_efi_amd64())
            .flag("signed", pe.signatures.is_some())
            .table("sections", rows.collect());
        if !is_unified {
            if let Some(spec) = told {
                section = section
                    .text("cmdline", spec.cmdline)
                    .bytes("ram_bytes", spec.ram_bytes);
            }
            return section;
        }
        let content = |name: &str| {
            let range = pe.section(name)?.content();
            part(file, range.start, range.end - range.start)
        };
        for (key, name) in [("cmdline", SECTION_CMDLINE), ("uname", SECTION_UNAME)] {
            if let Some(text) = content(name).and_then(|bytes| text(&bytes)) {
                section = section.text(key, text);
            }
        }
        if let Some(text) = content(SECTION_OS_RELEASE).and_then(|bytes| text(&bytes)) {
            let lines = text.split(|&byte| byte == b'\n');
            section = section.list("os_release", lines.filter(|line| !line.is_empty()));
        }
        if let Some(spec) = told {
            section = section.bytes("ram_bytes", spec.ram_bytes);
            let parts = [
                ("kernel", SECTION_LINUX, spec.kernel),
                ("initrd", SECTION_INITRD, spec.initrd),
            ];
            let mut verified = true;
            for (name, part, extent) in parts {
                let found = content(part).filter(|bytes| bytes.len_bytes() == extent.len_bytes);
                let found = found.and_then(|bytes| crc32(&bytes).ok());
                verified &= self.verify("UEFI", name, extent, found);
            }
            section = section.flag("verified", verified);
        }
        if let Some(kernel) = content(SECTION_LINUX) {
            section = self.boot_kernel(section, &kernel);
        }
        let images = content(SECTION_IMAGES).map(|bytes| ImageList {
            place: SECTION_IMAGES,
            bytes,
        });
        if let Some(initrd) = content(SECTION_INITRD) {
            section = section.section("initrd", self.initrd(&initrd, images.as_ref()));
        }
        section
    }
}

fn text(bytes: &Bytes) -> Option<Vec<u8>> {
    let len = usize::try_from(bytes.len_bytes().min(TEXT_MAX_BYTES)).ok()?;
    let mut text = vec![0; len];
    bytes.read_exact_at(0, &mut text).ok()?;
    Some(text)
}
