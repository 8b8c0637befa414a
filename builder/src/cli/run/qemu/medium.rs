//! What a file is that somebody wants to boot.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use formats::boot::bios::{STAGE2_BYTES, read_stage2};
use formats::boot::efi::read_loader;
use formats::boot::kernel::{Architecture, Kernel, KernelFormat};
use formats::disk::LOADER_START_BYTES;
use formats::ova::OvaReader;
use formats::payload::{FilePayload, Part, Payload};
use formats::pe::PeFile;
use formats::qcow2::Qcow2Reader;
use formats::uki::SECTION_INITRD;
use formats::vhd::VhdReader;
use formats::vmdk::{SparseReader, read_flat};

use crate::cli::CliError;
use crate::inspect::{Options, Value, inspect_bytes, open_by_place, read_description};

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
    Disk {
        file: PathBuf,
        format: DiskFormat,
        /// Where in the file it is, if that holds more: an appliance does.
        part: Option<Range<u64>>,
    },
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
pub(super) struct Found {
    pub(super) medium: Medium,
    pub(super) architecture: Option<Architecture>,
    /// It describes a machine with UEFI.
    pub(super) is_efi: bool,
    ram: Ram,
    /// The name without what says which format it is.
    prefix: PathBuf,
}

/// How much RAM a system needs.
enum Ram {
    Unknown,
    /// Its loader was told.
    Said(u64),
    /// Nobody says: it follows from what is in the initrd.
    Initrd(Arc<dyn Payload>),
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
        let payload = open_by_place(path).map_err(|source| {
            file_error(path)(match source.kind() {
                io::ErrorKind::NotFound => {
                    io::Error::other("there is no such file, and no NAME-kernel for it either")
                }
                _ => source,
            })
        })?;
        let head = head(&payload).map_err(file_error(path))?;
        let prefix = path.with_extension("");
        let found = |medium, ram| Found {
            medium,
            architecture: None,
            is_efi: false,
            ram,
            prefix: prefix.clone(),
        };
        if head
            .get(0x8001..)
            .is_some_and(|rest| rest.starts_with(b"CD001"))
        {
            return Ok(found(Medium::Cd(path.into()), loader_ram(&payload)));
        }
        if let Some(format) = sniff(path)? {
            let ram = match format {
                DiskFormat::Raw => loader_ram(&payload),
                DiskFormat::Qcow2 => disk_ram(Qcow2Reader::open(payload)),
                DiskFormat::Vmdk if head.starts_with(b"#") => flat_ram(path, &payload),
                DiskFormat::Vmdk => disk_ram(SparseReader::open(payload)),
                DiskFormat::Vhd => disk_ram(VhdReader::open(payload)),
            };
            let (file, part) = (path.into(), None);
            return Ok(found(Medium::Disk { file, format, part }, ram));
        }
        let refused = |what: &str| {
            let source = io::Error::other(what.to_owned());
            Err(file_error(path)(source))
        };
        if let Ok(kernel) = Kernel::read(&payload) {
            return match (kernel.format, kernel.efi) {
                (KernelFormat::Efi, Some(architecture)) => Ok(Found {
                    architecture: Some(architecture),
                    ..found(Medium::Uki(path.into()), uki_ram(payload))
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
            return match appliance(path, Arc::new(payload)) {
                Ok((medium, ram, is_efi)) => Ok(Found {
                    is_efi,
                    ..found(medium, ram)
                }),
                Err(why) => refused(&format!("is a tar that QEMU can't boot: {why}")),
            };
        }
        refused("is nothing that QEMU can boot: no ISO, no disk, no kernel")
    }
}

impl Found {
    /// RAM that the system needs to come up, where that can be told. An initrd is read for it.
    pub(super) fn ram_bytes(&self) -> Option<u64> {
        match &self.ram {
            Ram::Unknown => None,
            Ram::Said(bytes) => Some(*bytes),
            Ram::Initrd(initrd) => {
                let report = inspect_bytes("initrd", initrd, None, Options::default())?;
                match report.section.get("ram_bytes") {
                    Some(Value::Bytes(bytes)) => Some(*bytes),
                    _ => None,
                }
            }
        }
    }

    /// LinuxKit's folder for what a machine keeps.
    pub(super) fn state_folder(&self) -> PathBuf {
        with_end(&self.prefix, "-state")
    }
}

fn open(path: &Path) -> Result<FilePayload, CliError> {
    open_by_place(path).map_err(file_error(path))
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
fn loader_ram(medium: &dyn Payload) -> Ram {
    let mut loader = [0; STAGE2_BYTES];
    let read = medium.read_exact_at(LOADER_START_BYTES, &mut loader);
    let spec = read.ok().and_then(|()| read_stage2(&loader));
    spec.map_or(Ram::Unknown, |spec| Ram::Said(spec.ram_bytes))
}

fn disk_ram<E>(disk: Result<impl Payload, E>) -> Ram {
    disk.map_or(Ram::Unknown, |disk| loader_ram(&disk))
}

/// As [`loader_ram`], of the raw disk that a description names.
fn flat_ram(path: &Path, description: &dyn Payload) -> Ram {
    let text = read_description(description).ok();
    let flat = text.and_then(|text| read_flat(&text));
    let raw = flat.and_then(|flat| open(&path.with_file_name(flat.file_name)).ok());
    raw.map_or(Ram::Unknown, |raw| loader_ram(&raw))
}

/// What our loader in a unified kernel image was told of RAM; another's knows nothing of it.
fn uki_ram(file: FilePayload) -> Ram {
    if let Ok(Some(spec)) = read_loader(&file) {
        return Ram::Said(spec.ram_bytes);
    }
    let read = PeFile::read(&file).ok();
    let section = read.and_then(|pe| Some(pe.section(SECTION_INITRD)?.content()));
    let initrd = section.and_then(|place| Part::new(file, place));
    initrd.map_or(Ram::Unknown, |initrd| Ram::Initrd(Arc::new(initrd)))
}

/// The disk of an appliance, which QEMU reads where it lies, and whether the machine has UEFI.
fn appliance(file: &Path, package: Arc<dyn Payload>) -> Result<(Medium, Ram, bool), String> {
    let reader = OvaReader::open(package.clone()).map_err(|error| error.to_string())?;
    let mut files = reader.files().iter();
    let disk = files.find(|file| file.name.ends_with(".vmdk"));
    let disk = disk.ok_or("there is no VMDK in the appliance")?;
    let place = disk.start_bytes..disk.start_bytes.saturating_add(disk.len_bytes);
    let part = Part::new(package, place.clone());
    let part = part.ok_or_else(|| format!("{} is not all there", disk.name))?;
    let medium = Medium::Disk {
        file: file.to_owned(),
        format: DiskFormat::Vmdk,
        part: Some(place),
    };
    let is_efi = reader.descriptor().firmware.as_deref() == Some("efi");
    Ok((medium, disk_ram(SparseReader::open(part)), is_efi))
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
    if !initrd.exists() {
        return Err(file_error(&initrd)(io::Error::other(
            "is not there, and a system whose tree is a squashfs or an ISO is not booted here: \
             build kernel+initrd",
        )));
    }
    let ram = Ram::Initrd(Arc::new(open(&initrd)?));
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
        is_efi: false,
        ram,
        prefix,
    })
}
