//! Names of output formats, LinuxKit's and ours.

use std::fmt;
use std::str::FromStr;

/// What can be made of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `NAME-kernel`, `NAME-initrd.img`, `NAME-cmdline`.
    KernelInitrd,
    /// The root tree with `boot/` in one tar.
    Tar,
    /// The same with a Dockerfile: a build context for Docker.
    Docker,
    /// kernel, initrd.img and cmdline in one tar.
    TarKernelInitrd,
}

/// Formats that LinuxKit knows and this version does not write.
const NOT_YET: [&str; 16] = [
    "aws",
    "dynamic-vhd",
    "gcp",
    "iso-bios",
    "iso-efi",
    "iso-efi-initrd",
    "kernel+erofs",
    "kernel+iso",
    "kernel+squashfs",
    "qcow2-bios",
    "qcow2-efi",
    "raw-bios",
    "raw-efi",
    "rpi3",
    "vhd",
    "vmdk",
];

/// A name that is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseFormatError {
    /// Known, but not written by this version.
    #[error("the format {0} is not there yet; this version writes {available}", available = available())]
    NotYet(String),
    /// Unknown.
    #[error("there is no format {0:?}; this version writes {available}", available = available())]
    Unknown(String),
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 4] = [
        Format::KernelInitrd,
        Format::Tar,
        Format::Docker,
        Format::TarKernelInitrd,
    ];

    /// Whether it is one stream that can go to standard output.
    pub fn streams(self) -> bool {
        !matches!(self, Format::KernelInitrd)
    }

    /// Whether an initrd is part of it.
    pub fn has_initrd(self) -> bool {
        matches!(self, Format::KernelInitrd | Format::TarKernelInitrd)
    }

    /// The name as `-f` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Format::KernelInitrd => "kernel+initrd",
            Format::Tar => "tar",
            Format::Docker => "docker",
            Format::TarKernelInitrd => "tar-kernel-initrd",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = ParseFormatError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Format::ALL
            .into_iter()
            .find(|f| f.name() == name)
            .ok_or_else(|| match NOT_YET.contains(&name) {
                true => ParseFormatError::NotYet(name.into()),
                false => ParseFormatError::Unknown(name.into()),
            })
    }
}

fn available() -> String {
    Format::ALL.map(Format::name).join(", ")
}
