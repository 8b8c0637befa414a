//! What a file is that somebody wants to boot.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use formats::boot::bios::{STAGE2_BYTES, read_stage2};
use formats::boot::kernel::{Architecture, Kernel, KernelFormat};
use formats::disk::LOADER_START_BYTES;
use formats::payload::{FilePayload, Payload};
use formats::qcow2::Qcow2Reader;
use formats::vhd::VhdReader;
use formats::vmdk::SparseReader;

use crate::cli::CliError;

/// What a file that ends a name of LinuxKit's is.
const KERNEL: &str = "-kernel";
const INITRD: &str = "-initrd.img";
const CMDLINE: &str = "-cmdline";

/// More is no command line.
const CMDLINE_MAX_BYTES: u64 = 64 << 10;

/// Something to boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    /// Kernel and initrd, which QEMU loads.
    Kernel {
        kernel: PathBuf,
        initrd: PathBuf,
        cmdline: String,
    },
    /// A unified kernel image, which UEFI runs.
    Uki(PathBuf),
    /// An ISO.
    Cd(PathBuf),
    /// A disk.
    Disk { file: PathBuf, format: DiskFormat },
}

/// A disk's format, as QEMU reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiskFormat {
    Raw,
    Qcow2,
    Vmdk,
    Vhd,
}

impl DiskFormat {
    /// QEMU's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            DiskFormat::Raw => "raw",
            DiskFormat::Qcow2 => "qcow2",
            DiskFormat::Vmdk => "vmdk",
            DiskFormat::Vhd => "vpc",
        }
    }
}

/// A medium and what it says of itself.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) medium: Medium,
    pub(super) architecture: Option<Architecture>,
    /// What the loader on it wants there to be.
    pub(super) ram_bytes: Option<u64>,
    /// The name without what says which format it is.
    prefix: PathBuf,
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> CliError {
    let path = path.to_owned();
    move |source| CliError::File {
        path: path.clone(),
        source,
    }
}

/// `path` with `end` behind its last name.
fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

impl Medium {
    /// Looks at `path`: at what it begins with, not at its name.
    pub(super) fn find(path: &Path) -> Result<Found, CliError> {
        if !path.is_file() && with_end(path, KERNEL).is_file() {
            return kernel(path.to_owned());
        }
        let name = path.to_string_lossy();
        if let Some(prefix) = name.strip_suffix(KERNEL).filter(|_| path.is_file()) {
            return kernel(prefix.into());
        }
        if path.is_dir() {
            let source = io::Error::other("is a folder, and none holds NAME-kernel before it");
            return Err(file_error(path)(source));
        }
        let payload = open(path)?;
        let head = head(&payload).map_err(file_error(path))?;
        let prefix = path.with_extension("");
        let found = |medium| Found {
            medium,
            architecture: None,
            ram_bytes: None,
            prefix: prefix.clone(),
        };
        if head
            .get(0x8001..)
            .is_some_and(|rest| rest.starts_with(b"CD001"))
        {
            return Ok(Found {
                ram_bytes: loader_ram(&payload),
                ..found(Medium::Cd(path.into()))
            });
        }
        if let Some(format) = sniff(path)? {
            let ram_bytes = match format {
                DiskFormat::Raw => loader_ram(&payload),
                DiskFormat::Qcow2 => Qcow2Reader::open(payload).ok().and_then(|d| loader_ram(&d)),
                DiskFormat::Vmdk => SparseReader::open(payload)
                    .ok()
                    .and_then(|d| loader_ram(&d)),
                DiskFormat::Vhd => VhdReader::open(payload).ok().and_then(|d| loader_ram(&d)),
            };
            let file = path.into();
            return Ok(Found {
                ram_bytes,
                ..found(Medium::Disk { file, format })
            });
        }
        let refused = |what: &str| {
            let source = io::Error::other(what.to_owned());
            Err(file_error(path)(source))
        };
        if let Ok(kernel) = Kernel::read(&payload) {
            return match (kernel.format, kernel.efi) {
                (KernelFormat::Efi, Some(architecture)) => Ok(Found {
                    architecture: Some(architecture),
                    ..found(Medium::Uki(path.into()))
                }),
                _ => refused(
                    "is a kernel; name what stands before -kernel, -initrd.img and -cmdline",
                ),
            };
        }
        if head.starts_with(b"\x1f\x8b") {
            return refused("is compressed; unpack it, and name the disk");
        }
        if head
            .get(257..)
            .is_some_and(|rest| rest.starts_with(b"ustar"))
        {
            return refused("is a tar (an OVA is one); unpack it, and name the disk in it");
        }
        refused("is nothing that QEMU can boot: no ISO, no disk, no kernel")
    }
}

impl Found {
    /// LinuxKit's folder for what a machine keeps.
    pub(super) fn state_folder(&self) -> PathBuf {
        with_end(&self.prefix, "-state")
    }
}

fn open(path: &Path) -> Result<FilePayload, CliError> {
    let file = File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => file_error(path)(io::Error::other(
            "there is no such file, and no NAME-kernel for it either",
        )),
        _ => file_error(path)(source),
    })?;
    FilePayload::new(file).map_err(file_error(path))
}

/// What a file begins with: enough to see an ISO.
fn head(file: &FilePayload) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len_bytes().min(0x8800)).unwrap_or_default();
    let mut head = vec![0; len];
    file.read_exact_at(0, &mut head)?;
    Ok(head)
}

/// Which disk a file is; none if it is none, or an empty one.
pub(super) fn sniff(path: &Path) -> Result<Option<DiskFormat>, CliError> {
    let file = open(path)?;
    let head = head(&file).map_err(file_error(path))?;
    let magics: [(&[u8], DiskFormat); 4] = [
        (b"QFI\xfb", DiskFormat::Qcow2),
        (b"KDMV", DiskFormat::Vmdk),
        (b"# Disk DescriptorFile", DiskFormat::Vmdk),
        // The copy of a dynamic VHD's footer.
        (b"conectix", DiskFormat::Vhd),
    ];
    if let Some((_, format)) = magics.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Ok(Some(*format));
    }
    let mut end = [0; 8];
    if let Some(at) = file.len_bytes().checked_sub(512) {
        file.read_exact_at(at, &mut end).map_err(file_error(path))?;
    }
    if end == *b"conectix" {
        return Ok(Some(DiskFormat::Vhd));
    }
    // A disk has the MBR's signature; so has a kernel, but that is none.
    let is_kernel = Kernel::read(&file).is_ok();
    let is_disk = head.get(510..512) == Some(&[0x55, 0xaa]) && !is_kernel;
    Ok(is_disk.then_some(DiskFormat::Raw))
}

/// What our BIOS loader on a medium was told of RAM.
fn loader_ram(medium: &dyn Payload) -> Option<u64> {
    let mut loader = [0; STAGE2_BYTES];
    medium.read_exact_at(LOADER_START_BYTES, &mut loader).ok()?;
    Some(read_stage2(&loader)?.ram_bytes)
}

fn kernel(prefix: PathBuf) -> Result<Found, CliError> {
    let [kernel, initrd, cmdline] = [KERNEL, INITRD, CMDLINE].map(|end| with_end(&prefix, end));
    let read = Kernel::read(&open(&kernel)?);
    let error =
        |error: &dyn std::fmt::Display| file_error(&kernel)(io::Error::other(error.to_string()));
    let architecture = match read {
        Ok(read) => Some(read.architecture),
        // QEMU boots more than we know.
        Err(formats::boot::kernel::ReadKernelError::Kernel(_)) => None,
        Err(other) => return Err(error(&other)),
    };
    open(&initrd)?;
    let payload = open(&cmdline)?;
    if payload.len_bytes() > CMDLINE_MAX_BYTES {
        return Err(file_error(&cmdline)(io::Error::other("is no command line")));
    }
    let line = std::fs::read_to_string(&cmdline).map_err(file_error(&cmdline))?;
    Ok(Found {
        medium: Medium::Kernel {
            kernel,
            initrd,
            cmdline: line.trim().to_owned(),
        },
        architecture,
        ram_bytes: None,
        prefix,
    })
}
