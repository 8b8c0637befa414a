//! Names of output formats, LinuxKit's and ours.

use std::fmt;
use std::str::FromStr;

use super::disk::DiskFormat;
use super::iso::IsoFormat;

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
    /// The system as one program for UEFI: a unified kernel image.
    Uki,
    /// `NAME-kernel`, `NAME-squashfs.img`, `NAME-cmdline`.
    KernelSquashfs,
    /// `NAME-kernel`, `NAME.iso` with the root tree, which does not boot by itself, `NAME-cmdline`.
    KernelIso,
    /// An image that boots from CD, stick and disk, on BIOS and UEFI.
    Iso(IsoFormat),
    /// A disk that boots on BIOS and UEFI.
    Disk(DiskFormat),
}

/// Formats that LinuxKit knows and this version does not write, and what serves instead.
const NOT_YET: [(&str, &str); 2] = [
    ("kernel+erofs", "kernel+squashfs"),
    (
        "rpi3",
        "kernel+initrd with --arch arm64, and the Raspberry Pi's own firmware",
    ),
];

/// A name that is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseFormatError {
    /// Known, but not written by this version.
    #[error("the format {name} is not there yet: use {instead}; this version writes {available}", available = available())]
    NotYet {
        /// The format.
        name: String,
        /// What serves instead.
        instead: &'static str,
    },
    /// Unknown.
    #[error("there is no format {0:?}; this version writes {available}", available = available())]
    Unknown(String),
}

impl Format {
    /// All formats.
    pub fn all() -> impl Iterator<Item = Format> {
        let others = [
            Format::KernelInitrd,
            Format::Tar,
            Format::Docker,
            Format::TarKernelInitrd,
            Format::Uki,
            Format::KernelSquashfs,
            Format::KernelIso,
        ];
        let isos = IsoFormat::ALL.into_iter().map(Format::Iso);
        let disks = DiskFormat::ALL.into_iter().map(Format::Disk);
        others.into_iter().chain(isos).chain(disks)
    }

    /// Whether it is one file.
    pub fn is_one_file(self) -> bool {
        self.endings().len() == 1
    }

    /// Whether it is one stream that can go to standard output.
    pub fn streams(self) -> bool {
        match self {
            Format::KernelInitrd | Format::KernelSquashfs | Format::KernelIso => false,
            Format::Tar | Format::Docker | Format::TarKernelInitrd => true,
            Format::Uki | Format::Iso(_) => true,
            Format::Disk(disk) => disk.streams(),
        }
    }

    /// Whether an initrd is part of it.
    pub fn has_initrd(self) -> bool {
        let trees = [
            Format::Tar,
            Format::Docker,
            Format::KernelSquashfs,
            Format::KernelIso,
        ];
        !trees.contains(&self)
    }

    /// What follows the build's name in the names of its files.
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            Format::KernelInitrd => &["-kernel", "-initrd.img", "-cmdline"],
            Format::KernelSquashfs => &["-kernel", "-squashfs.img", "-cmdline"],
            Format::KernelIso => &["-kernel", ".iso", "-cmdline"],
            Format::Tar => &[".tar"],
            Format::Docker => &[".docker"],
            Format::TarKernelInitrd => &["-initrd.tar"],
            Format::Uki => &[".efi"],
            Format::Iso(iso) => iso.endings(),
            Format::Disk(disk) => disk.endings(),
        }
    }

    /// Two of `formats` that would give a file the same name, and what that ends in. Kernel and
    /// command line are the same in all.
    pub fn clash(formats: &[Format]) -> Option<(Format, Format, &'static str)> {
        let mut pairs = (1..formats.len()).flat_map(|i| (0..i).map(move |j| (j, i)));
        pairs.find_map(|(one, other)| {
            let (one, other) = (formats[one], formats[other]);
            let differs = |ending: &&&str| !matches!(**ending, "-kernel" | "-cmdline");
            let mut shared = one.endings().iter().filter(differs);
            let shared = shared.find(|ending| other.endings().contains(ending))?;
            Some((one, other, *shared))
        })
    }

    /// The name as `-f` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Format::KernelInitrd => "kernel+initrd",
            Format::Tar => "tar",
            Format::Docker => "docker",
            Format::TarKernelInitrd => "tar-kernel-initrd",
            Format::Uki => "uki",
            Format::KernelSquashfs => "kernel+squashfs",
            Format::KernelIso => "kernel+iso",
            Format::Iso(iso) => iso.name(),
            Format::Disk(disk) => disk.name(),
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
        Format::all().find(|f| f.name() == name).ok_or_else(|| {
            match NOT_YET.iter().find(|(known, _)| *known == name) {
                Some(&(_, instead)) => ParseFormatError::NotYet {
                    name: name.into(),
                    instead,
                },
                None => ParseFormatError::Unknown(name.into()),
            }
        })
    }
}

fn available() -> String {
    Format::all()
        .map(Format::name)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_file_names_are_linuxkit_s() {
        for (name, ending) in [
            ("kernel+initrd", "-kernel"),
            ("tar-kernel-initrd", "-initrd.tar"),
            ("kernel+squashfs", "-kernel"),
            ("kernel+iso", "-kernel"),
            ("iso-bios", ".iso"),
            ("iso-efi", "-efi.iso"),
            ("iso-efi-initrd", "-efi-initrd.iso"),
            ("raw-bios", "-bios.img"),
            ("raw-efi", "-efi.img"),
            ("aws", ".raw"),
            ("gcp", ".img.tar.gz"),
            ("qcow2-bios", ".qcow2"),
            ("qcow2-efi", "-efi.qcow2"),
            ("vhd", ".vhd"),
            ("dynamic-vhd", ".vhd"),
            ("vmdk", ".vmdk"),
        ] {
            let format: Format = name.parse().unwrap();
            assert_eq!(format.name(), name);
            assert_eq!(format.endings()[0], ending);
        }
        for format in Format::all() {
            assert_eq!(format.name().parse(), Ok(format));
        }
    }

    #[test]
    fn formats_that_share_a_file_name_clash() {
        let clash = |names: &[&str]| {
            let formats: Vec<Format> = names.iter().map(|name| name.parse().unwrap()).collect();
            Format::clash(&formats).map(|(one, other, ending)| (one.name(), other.name(), ending))
        };
        assert_eq!(clash(&[]), None);
        assert_eq!(clash(&["kernel+initrd", "kernel+squashfs"]), None);
        assert_eq!(clash(&["vmdk", "ova", "vmdk-sparse", "qcow2", "vhd"]), None);
        let two = clash(&["tar", "vhd", "raw", "dynamic-vhd"]);
        assert_eq!(two, Some(("vhd", "dynamic-vhd", ".vhd")));
        assert!(clash(&["vmdk-flat", "vmdk"]).is_some());
        assert!(clash(&["iso", "kernel+iso"]).is_some());
        assert!(clash(&["qcow2", "qcow2-bios"]).is_some());
    }
}
