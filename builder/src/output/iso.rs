//! The ISO that boots everywhere.

use formats::iso::{BootIso, BootIsoError, boot_iso};
use formats::medium::{BootFiles, Loaders};

use crate::tree::SYNTHETIC_MTIME;

/// Names of the ISO. LinuxKit's names for one firmware give the same image, which boots on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IsoFormat {
    /// `NAME.iso`.
    Iso,
    /// `NAME.iso`.
    IsoBios,
    /// `NAME-efi.iso`.
    IsoEfi,
    /// `NAME-efi-initrd.iso`.
    IsoEfiInitrd,
}

impl IsoFormat {
    /// All of them.
    pub const ALL: [IsoFormat; 4] = [
        IsoFormat::Iso,
        IsoFormat::IsoBios,
        IsoFormat::IsoEfi,
        IsoFormat::IsoEfiInitrd,
    ];

    /// The name as `-f` takes it.
    pub fn name(self) -> &'static str {
        match self {
            IsoFormat::Iso => "iso",
            IsoFormat::IsoBios => "iso-bios",
            IsoFormat::IsoEfi => "iso-efi",
            IsoFormat::IsoEfiInitrd => "iso-efi-initrd",
        }
    }

    /// What follows the build's name in the file's name.
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            IsoFormat::Iso | IsoFormat::IsoBios => &[".iso"],
            IsoFormat::IsoEfi => &["-efi.iso"],
            IsoFormat::IsoEfiInitrd => &["-efi-initrd.iso"],
        }
    }
}

/// Lays the image out; `label` is any text.
pub(super) fn make(
    files: &BootFiles,
    loaders: &Loaders,
    label: &str,
) -> Result<BootIso, BootIsoError> {
    boot_iso(files, loaders, label, SYNTHETIC_MTIME)
}
