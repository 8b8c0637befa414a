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
            crc32fast::hash(&lengths),
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
mod tests {
    use super::*;
    use crate::boot::kernel::tests::bz_image;
    use crate::fat::{FatReader, Limits};
    use crate::testing::{noise, text};

    fn stage2(boot: &BootSpec, _kernel: &dyn Payload) -> Result<Vec<u8>, MediumError> {
        Ok(boot.initrd.start_bytes.to_le_bytes().to_vec())
    }

    fn loader(boot: &BootSpec) -> Result<Vec<u8>, BootError> {
        Ok(boot.kernel.start_bytes.to_le_bytes().to_vec())
    }

    const LOADERS: Loaders = Loaders {
        bios: Some(BiosCode {
            mbr: [0x90; MBR_CODE_BYTES],
            stage2,
        }),
        efi: Some(EfiCode {
            len_bytes: 8,
            loader,
        }),
    };

    fn files() -> BootFiles {
        BootFiles {
            kernel: BootFile::read(noise(300_001)).unwrap(),
            initrd: BootFile::read(text(5_000_000)).unwrap(),
            cmdline: "console=ttyS0 quiet".to_owned(),
            ram_bytes: 1 << 30,
        }
    }

    #[test]
    fn loaders_are_told_where_the_volume_s_files_are() {
        let start_bytes = 1 << 20;
        let volume = boot_volume(&files(), &LOADERS, "docker host 1", start_bytes).unwrap();
        let mut medium = Extents::new(start_bytes + volume.content.len_bytes());
        let entries = FatReader::open(&volume.content)
            .unwrap()
            .entries(Limits::default())
            .unwrap();
        for file in &volume.files {
            let entry = entries.iter().find(|e| e.path == file.path).unwrap();
            assert_eq!(entry.extents[0].start + start_bytes, file.start_bytes);
            assert_eq!(entry.len_bytes, file.len_bytes);
        }
        let (boot, bios) = (volume.boot, volume.bios.unwrap());
        assert_eq!(bios.loader, boot.initrd.start_bytes.to_le_bytes());
        medium.place(start_bytes, volume.content).unwrap();
        for extent in [boot.kernel, boot.initrd] {
            let len = usize::try_from(extent.len_bytes).unwrap();
            let mut bytes = vec![0; len];
            medium
                .read_exact_at(extent.start_bytes, &mut bytes)
                .unwrap();
            assert_eq!(crc32fast::hash(&bytes), extent.crc32);
        }
        let mut told = [0; 8];
        let loader = &volume.files[0];
        assert_eq!(loader.path, EFI_LOADER_PATH);
        medium.read_exact_at(loader.start_bytes, &mut told).unwrap();
        assert_eq!(told, boot.kernel.start_bytes.to_le_bytes());
    }

    #[test]
    fn a_bios_medium_wants_a_kernel_that_a_bios_can_start() {
        let loaders = Loaders {
            bios: Some(BiosCode::own()),
            efi: None,
        };
        let error = boot_volume(&files(), &loaders, "x", 0).unwrap_err();
        assert!(error.to_string().contains("not a Linux kernel"), "{error}");
        let with_kernel = BootFiles {
            kernel: BootFile::read(bz_image(4096)).unwrap(),
            ..files()
        };
        let volume = boot_volume(&with_kernel, &loaders, "x", 0).unwrap();
        let told = bios::read_stage2(&volume.bios.unwrap().loader).unwrap();
        assert_eq!(told, volume.boot);
    }

    #[test]
    fn a_kernel_decides_which_firmware_can_start_it() {
        let with = |kernel: Vec<u8>| BootFiles {
            kernel: BootFile::read(kernel).unwrap(),
            ..files()
        };
        let (loaders, missing) = Loaders::for_files(&with(bz_image(4096))).unwrap();
        assert!(loaders.bios.is_some() && loaders.efi.is_some() && missing.is_none());
        let mut no_stub = bz_image(4096);
        no_stub[0] = 0;
        let (loaders, missing) = Loaders::for_files(&with(no_stub)).unwrap();
        assert!(loaders.bios.is_some() && loaders.efi.is_none());
        let missing = missing.unwrap().to_string();
        assert!(missing.contains("EFI stub") && missing.contains("boots on a BIOS"));
        // Behind its header, a kernel that leaves an initrd no room.
        let mut low = bz_image(4096);
        low[0x22c..0x230].copy_from_slice(&0x0500_0000_u32.to_le_bytes());
        let (loaders, missing) = Loaders::for_files(&with(low)).unwrap();
        assert!(loaders.bios.is_none() && loaders.efi.is_some());
        let missing = missing.unwrap().to_string();
        assert!(missing.contains("boot with UEFI"), "{missing}");
        let error = Loaders::for_files(&with(b"\x7fELF".to_vec())).unwrap_err();
        assert!(error.to_string().contains("kernel"), "{error}");
        let long = BootFiles {
            cmdline: "x".repeat(2048),
            ..with(bz_image(4096))
        };
        let error = Loaders::for_files(&long).unwrap_err();
        assert!(error.to_string().contains("kernel.cmdline"), "{error}");
    }

    #[test]
    fn a_medium_has_only_the_loaders_it_can_use() {
        let bios_only = Loaders {
            efi: None,
            ..LOADERS
        };
        let volume = boot_volume(&files(), &bios_only, "x", 0).unwrap();
        assert!(volume.files.iter().all(|f| f.path != EFI_LOADER_PATH));
        assert!(volume.bios.is_some());
        let efi_only = Loaders {
            bios: None,
            ..LOADERS
        };
        let volume = boot_volume(&files(), &efi_only, "x", 0).unwrap();
        assert!(volume.bios.is_none());
    }

    #[test]
    fn ids_come_from_the_content() {
        let one = files();
        assert_eq!(one.id(), files().id());
        let others = [
            BootFiles {
                kernel: BootFile::read(noise(300_000)).unwrap(),
                ..files()
            },
            BootFiles {
                initrd: BootFile::read(text(5_000_001)).unwrap(),
                ..files()
            },
            BootFiles {
                cmdline: String::new(),
                ..files()
            },
            BootFiles {
                ram_bytes: 1,
                ..files()
            },
        ];
        for other in others {
            assert_ne!(one.id(), other.id());
            assert_ne!(one.serial(), other.serial());
        }
    }

    #[test]
    fn a_command_line_that_is_too_long_is_an_error() {
        let files = BootFiles {
            cmdline: "x".repeat(CMDLINE_BYTES),
            ..files()
        };
        let error = boot_volume(&files, &LOADERS, "x", 0).unwrap_err();
        assert!(matches!(error, MediumError::Boot(_)), "{error}");
    }

    #[test]
    fn any_name_gives_a_label() {
        for (text, label) in [
            ("docker-host", "DOCKER-HOST"),
            ("a b.c/äü", "A_B_C___"),
            ("", "LKBUILD"),
            ("twelve_chars", "TWELVE_CHAR"),
        ] {
            assert_eq!(fat_label(text), label);
        }
    }
}
