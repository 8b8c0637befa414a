//! What every bootable medium has in common: one FAT volume with loader, kernel and initrd.
//!
//! [`boot_volume`] lays the volume out, fills it, and tells the loaders where on the medium kernel
//! and initrd stand. A disk image has the volume as its EFI system partition
//! ([`disk::build`](crate::disk::build)); in an ISO it is the El Torito image for UEFI, and the
//! directories of the ISO point at the same extents.
//!
//! ```text
//! EFI/BOOT/BOOTX64.EFI   the UEFI loader, where there is one
//! boot/cmdline           the command line, for people
//! boot/images.json       what the initrd is made of, where that is known
//! boot/kernel            one extent
//! boot/initrd.img        one extent
//! ```

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::boot::kernel::{Architecture, Kernel, KernelError, ReadKernelError};
use crate::boot::{BootError, BootSpec, CMDLINE_BYTES, Extent, bios, efi};
use crate::disk::{BiosLoader, LOADER_START_BYTES, MBR_CODE_BYTES};
use crate::fat::{FatError, FatVolume, FileSpec, VolumeOptions};
use crate::payload::{Extents, Payload, crc32};

/// Path of the UEFI loader, where firmware looks on removable media (UEFI specification 2.10,
/// 3.5.1.1).
pub const EFI_LOADER_PATH: &str = "EFI/BOOT/BOOTX64.EFI";
/// Path of the command line.
pub const CMDLINE_PATH: &str = "boot/cmdline";
/// Path of the list of what the initrd is made of.
pub const IMAGES_PATH: &str = "boot/images.json";
/// Path of the kernel.
pub const KERNEL_PATH: &str = "boot/kernel";
/// Path of the initrd.
pub const INITRD_PATH: &str = "boot/initrd.img";

/// A file to boot from, and its checksum.
#[derive(Clone)]
pub struct BootFile {
    payload: Arc<dyn Payload>,
    crc32: u32,
}

impl fmt::Debug for BootFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootFile")
            .field("len_bytes", &self.payload.len_bytes())
            .field("crc32", &format_args!("{:#010x}", self.crc32))
            .finish()
    }
}

impl BootFile {
    /// Reads all of a file for its checksum.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read(payload: impl Payload + 'static) -> io::Result<Self> {
        let crc32 = crc32(&payload)?;
        Ok(Self::with_crc32(payload, crc32))
    }

    /// A file whose CRC-32 (IEEE) is known, from when it was written.
    pub fn with_crc32(payload: impl Payload + 'static, crc32: u32) -> Self {
        Self {
            payload: Arc::new(payload),
            crc32,
        }
    }

    /// Its bytes.
    pub fn payload(&self) -> &Arc<dyn Payload> {
        &self.payload
    }

    /// How long it is.
    pub fn len_bytes(&self) -> u64 {
        self.payload.len_bytes()
    }

    /// CRC-32 (IEEE) of its bytes.
    pub fn crc32(&self) -> u32 {
        self.crc32
    }

    fn at(&self, start_bytes: u64) -> Extent {
        Extent {
            start_bytes,
            len_bytes: self.len_bytes(),
            crc32: self.crc32,
        }
    }
}

/// What a system boots from.
#[derive(Debug, Clone)]
pub struct BootFiles {
    /// The kernel.
    pub kernel: BootFile,
    /// The initrd.
    pub initrd: BootFile,
    /// The kernel's command line, without a newline or zero in it.
    pub cmdline: String,
    /// RAM that the system needs to come up, in bytes.
    pub ram_bytes: u64,
    /// What the initrd is made of, as text for people and programs; a medium has it as a file. No
    /// loader reads it. Empty where it is not known: then there is no file.
    pub images: Vec<u8>,
}

impl BootFiles {
    /// Sixteen bytes for GUIDs and serial numbers: other content, other bytes; the same content,
    /// the same bytes.
    pub fn id(&self) -> [u8; 16] {
        let (kernel, initrd) = (&self.kernel, &self.initrd);
        let lengths = [kernel.len_bytes(), initrd.len_bytes(), self.ram_bytes];
        let lengths = lengths.map(u64::to_le_bytes).concat();
        let parts = [
            initrd.crc32,
            kernel.crc32,
            crc32fast::hash(self.cmdline.as_bytes()),
            crc32fast::hash(&[&lengths[..], &self.images].concat()),
        ];
        let mut id = [0; 16];
        for (part, out) in parts.iter().zip(id.chunks_exact_mut(4)) {
            out.copy_from_slice(&part.to_be_bytes());
        }
        id
    }

    /// A serial number: [`id`](Self::id) in 32 bits.
    pub fn serial(&self) -> u32 {
        crc32fast::hash(&self.id())
    }
}

/// Makes a loader that is told what to load.
pub type Patch = fn(&BootSpec) -> Result<Vec<u8>, BootError>;

/// Makes the BIOS loader, which must know more of the kernel than where it is.
pub type BiosPatch = fn(&BootSpec, &dyn Payload) -> Result<Vec<u8>, MediumError>;

/// The BIOS loader's code before it is told what to load.
#[derive(Debug, Clone, Copy)]
pub struct BiosCode {
    /// Code of the MBR, which is the same everywhere.
    pub mbr: [u8; MBR_CODE_BYTES],
    /// Makes what the MBR or a CD's boot catalog loads, to stand at [`LOADER_START_BYTES`].
    pub stage2: BiosPatch,
}

impl BiosCode {
    /// Our own.
    pub fn own() -> Self {
        Self {
            mbr: bios::mbr(LOADER_START_BYTES),
            stage2: |boot, kernel| {
                let kernel = Kernel::read(kernel)?;
                let image = kernel.for_bios().map_err(BootError::from)?;
                Ok(bios::stage2(boot, image, LOADER_START_BYTES)?)
            },
        }
    }
}

/// The UEFI loader before it is told what to load.
#[derive(Debug, Clone, Copy)]
pub struct EfiCode {
    /// Length of what `loader` makes.
    pub len_bytes: u64,
    /// Makes the program for the volume.
    pub loader: Patch,
}

impl EfiCode {
    /// Our own.
    pub fn own() -> Self {
        Self {
            len_bytes: efi::LOADER_BYTES,
            loader: efi::loader,
        }
    }
}

/// For which firmware a medium has a loader.
#[derive(Debug, Clone, Copy, Default)]
pub struct Loaders {
    /// For a BIOS.
    pub bios: Option<BiosCode>,
    /// For UEFI.
    pub efi: Option<EfiCode>,
}

impl Loaders {
    /// Our own, for every firmware that can start these files; where it is one only, with why the
    /// other can't.
    ///
    /// # Errors
    /// If the kernel is none or can't be read, or if no firmware can start it.
    pub fn for_files(files: &BootFiles) -> Result<(Self, Option<BootError>), MediumError> {
        let kernel = Kernel::read(&*files.kernel.payload)?;
        kernel
            .check_cmdline(&files.cmdline)
            .map_err(BootError::from)?;
        let bios = kernel
            .for_bios()
            .and_then(|image| image.check_initrd(files.initrd.len_bytes()));
        let uefi = kernel.for_uefi(Architecture::X86_64);
        let loaders = Self {
            bios: bios.is_ok().then(BiosCode::own),
            efi: uefi.is_ok().then(EfiCode::own),
        };
        match (bios, uefi) {
            (Err(bios), Err(uefi)) => Err(MediumError::NoFirmware { bios, uefi }),
            (bios, uefi) => Ok((loaders, bios.and(uefi).err().map(BootError::from))),
        }
    }
}

/// Why a medium can't be made of kernel and initrd.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediumError {
    /// What a loader would be told makes no sense.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The kernel can't be read, or is none.
    #[error(transparent)]
    Kernel(#[from] ReadKernelError),
    /// No loader of ours can start the kernel.
    #[error(
        "no bootable medium can be made: on a BIOS, {bios}; on UEFI, {uefi}; kernel+initrd has no \
         such bounds"
    )]
    NoFirmware {
        /// Why a BIOS can't.
        bios: KernelError,
        /// Why UEFI can't.
        uefi: KernelError,
    },
    /// The volume can't be laid out.
    #[error(transparent)]
    Volume(#[from] FatError),
    /// The UEFI loader has not the length that it was planned with.
    #[error("the UEFI loader has {bytes} bytes, and {planned_bytes} were planned")]
    LoaderLength {
        /// Its length.
        bytes: u64,
        /// What was planned.
        planned_bytes: u64,
    },
}

/// A file of the volume, by its place on the medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedFile {
    /// Path from the root, with `/` between names.
    pub path: &'static str,
    /// Where on the medium it starts; a multiple of 2048.
    pub start_bytes: u64,
    /// How long it is.
    pub len_bytes: u64,
}

/// The volume that a medium is made around.
#[derive(Debug)]
pub struct BootVolume {
    /// The volume, whole.
    pub content: Extents,
    /// Where on the medium it starts.
    pub start_bytes: u64,
    /// Its files, in the order in which they stand there.
    pub files: Vec<PlacedFile>,
    /// What the loaders were told.
    pub boot: BootSpec,
    /// For a BIOS: MBR and loader, to be put before the volume.
    pub bios: Option<BiosLoader>,
    /// What the medium's GUIDs are to be made of.
    pub id: [u8; 16],
}

/// Lays out and fills the volume of a medium on which it starts at `start_bytes`, a multiple of
/// 2048. `label` is any text; of it a FAT label is made.
///
/// # Errors
/// If the command line does not fit a loader, or a file does not fit FAT.
pub fn boot_volume(
    files: &BootFiles,
    loaders: &Loaders,
    label: &str,
    start_bytes: u64,
) -> Result<BootVolume, MediumError> {
    check_cmdline(&files.cmdline)?;
    let cmdline = files.cmdline.as_bytes().to_vec();
    let mut specs = Vec::new();
    let mut add = |path: &'static str, len_bytes: u64| {
        specs.push((path, len_bytes));
    };
    if let Some(efi) = &loaders.efi {
        add(EFI_LOADER_PATH, efi.len_bytes);
    }
    add(CMDLINE_PATH, cmdline.len() as u64);
    if !files.images.is_empty() {
        add(IMAGES_PATH, files.images.len() as u64);
    }
    add(KERNEL_PATH, files.kernel.len_bytes());
    add(INITRD_PATH, files.initrd.len_bytes());
    let options = VolumeOptions {
        label: fat_label(label),
        id: files.serial(),
        least_bytes: 0,
    };
    let planned: Vec<_> = specs
        .iter()
        .map(|&(path, len_bytes)| FileSpec {
            path: path.to_owned(),
            len_bytes,
        })
        .collect();
    let volume = FatVolume::plan(&options, &planned)?;
    let start = |path: &str| start_bytes + volume.file_start_bytes(path).unwrap_or(0);
    let placed = specs
        .iter()
        .map(|&(path, len_bytes)| PlacedFile {
            path,
            start_bytes: start(path),
            len_bytes,
        })
        .collect();
    let boot = BootSpec {
        kernel: files.kernel.at(start(KERNEL_PATH)),
        initrd: files.initrd.at(start(INITRD_PATH)),
        cmdline: files.cmdline.clone(),
        ram_bytes: files.ram_bytes,
    };
    boot.check()?;

    let mut payloads: Vec<Arc<dyn Payload>> = Vec::new();
    if let Some(efi) = &loaders.efi {
        let loader = (efi.loader)(&boot)?;
        if loader.len() as u64 != efi.len_bytes {
            return Err(MediumError::LoaderLength {
                bytes: loader.len() as u64,
                planned_bytes: efi.len_bytes,
            });
        }
        payloads.push(Arc::new(loader));
    }
    payloads.push(Arc::new(cmdline));
    if !files.images.is_empty() {
        payloads.push(Arc::new(files.images.clone()));
    }
    payloads.push(files.kernel.payload.clone());
    payloads.push(files.initrd.payload.clone());
    let bios = match &loaders.bios {
        Some(bios) => Some(BiosLoader {
            mbr: bios.mbr,
            loader: (bios.stage2)(&boot, &*files.kernel.payload)?,
        }),
        None => None,
    };
    Ok(BootVolume {
        content: volume.fill_with(payloads)?,
        start_bytes,
        files: placed,
        boot,
        bios,
        id: files.id(),
    })
}

/// The same check as [`BootSpec::check`], before anything large is looked at.
fn check_cmdline(cmdline: &str) -> Result<(), BootError> {
    let nowhere = Extent {
        start_bytes: 0,
        len_bytes: 0,
        crc32: 0,
    };
    let spec = BootSpec {
        kernel: nowhere,
        initrd: nowhere,
        cmdline: cmdline.to_owned(),
        ram_bytes: 0,
    };
    spec.check()
}

const _: () = assert!(CMDLINE_BYTES <= 2048, "a command line is one cluster");

/// A FAT label out of any text: capitals, digits and `-`, at most eleven.
pub fn fat_label(text: &str) -> String {
    const LABEL_MAX: usize = 11;
    let label: String = text
        .chars()
        .map(|c| match c {
            _ if c.is_ascii_alphanumeric() => c.to_ascii_uppercase(),
            '-' => '-',
            _ => '_',
        })
        .take(LABEL_MAX)
        .collect();
    match label.is_empty() {
        true => "LKBUILD".to_owned(),
        false => label,
    }
}

#[cfg(test)]
mod tests;
