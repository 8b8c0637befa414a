//! What loaders were told, against what is there.

use std::collections::HashMap;

use formats::boot::{BootSpec, Extent};
use formats::payload::crc32;

use super::images::ImageList;
use super::{Bytes, Inspector, Section, part};

/// What one loader was told.
pub(super) struct Told {
    /// Which firmware runs it.
    pub(super) firmware: &'static str,
    /// Where it is: a file, or a place.
    pub(super) place: String,
    pub(super) spec: BootSpec,
}

impl Inspector {
    /// Compares what loaders were told with a medium, and looks at what the first one loads;
    /// `images` is the list of what its initrd is made of.
    pub(super) fn loaders(
        &mut self,
        medium: &Bytes,
        told: &[Told],
        images: Option<&ImageList>,
    ) -> Section {
        let mut seen = HashMap::new();
        let mut rows = Vec::new();
        for told in told {
            let parts = [("kernel", told.spec.kernel), ("initrd", told.spec.initrd)];
            let mut verified = true;
            for (name, extent) in parts {
                let key = (extent.start_bytes, extent.len_bytes);
                let found = *seen.entry(key).or_insert_with(|| checksum(medium, extent));
                verified &= self.verify(told.firmware, name, extent, found);
            }
            rows.push(describe(told).flag("verified", verified));
        }
        let mut section = Section::default().table("loaders", rows);
        let Some(first) = told.first() else {
            return section;
        };
        section = section
            .text("cmdline", &first.spec.cmdline)
            .bytes("ram_bytes", first.spec.ram_bytes);
        let extent = |extent: Extent| part(medium, extent.start_bytes, extent.len_bytes);
        if let Some(kernel) = extent(first.spec.kernel) {
            section = self.boot_kernel(section, &kernel);
        }
        if let Some(initrd) = extent(first.spec.initrd) {
            section = section.section("initrd", self.initrd(&initrd, images));
        }
        section
    }

    pub(super) fn boot_kernel(&mut self, section: Section, kernel: &Bytes) -> Section {
        match self.kernel(kernel) {
            Some(kernel) => section.section("kernel", kernel),
            None => {
                self.problem("the kernel is no Linux kernel that is known here");
                section
            }
        }
    }

    /// Whether a part is what a loader expects; a problem if not.
    pub(super) fn verify(
        &mut self,
        firmware: &str,
        name: &str,
        expected: Extent,
        found: Option<u32>,
    ) -> bool {
        match found {
            Some(found) if found == expected.crc32 => true,
            Some(found) => {
                self.problem(format!(
                    "the {name} has the checksum {found:08x}, and the {firmware} loader expects {:08x}",
                    expected.crc32
                ));
                false
            }
            None => {
                self.problem(format!(
                    "the {name} can't be read: {} bytes from byte {} on, which the {firmware} loader expects",
                    expected.len_bytes, expected.start_bytes
                ));
                false
            }
        }
    }
}

fn checksum(medium: &Bytes, extent: Extent) -> Option<u32> {
    crc32(&part(medium, extent.start_bytes, extent.len_bytes)?).ok()
}

fn describe(told: &Told) -> Section {
    let BootSpec { kernel, initrd, .. } = &told.spec;
    Section::default()
        .text("firmware", told.firmware)
        .text("place", &told.place)
        .number("kernel_start_bytes", kernel.start_bytes)
        .number("kernel_bytes", kernel.len_bytes)
        .text("kernel_crc32", format!("{:08x}", kernel.crc32))
        .number("initrd_start_bytes", initrd.start_bytes)
        .number("initrd_bytes", initrd.len_bytes)
        .text("initrd_crc32", format!("{:08x}", initrd.crc32))
}
