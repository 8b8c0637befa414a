//! A unified kernel image: a system as one program for UEFI (UAPI group specification "Unified
//! Kernel Image").
//!
//! A small program, the stub, has kernel, initrd, command line and what system it is as sections.
//! The stub is our own loader, which verifies them as it does on any medium, or one that is given.
//! One signature covers all of it: sign it after it is made.
//!
//! What the initrd is made of ([`BootFiles::images`]) is a section too. The specification names the
//! sections that a stub reads and measures; others have no meaning to it.

use std::fmt;
use std::sync::Arc;

use crate::boot::kernel::{Architecture, Kernel, KernelError, ReadKernelError};
use crate::boot::{BootError, BootSpec, Extent, efi};
use crate::medium::{BootFile, BootFiles};
use crate::payload::{Extents, Payload};
use crate::pe::{AppendError, NewSection, append};

/// What system it is, in the syntax of os-release(5).
pub const SECTION_OS_RELEASE: &str = ".osrel";
/// The command line.
pub const SECTION_CMDLINE: &str = ".cmdline";
/// The kernel's release, as `uname -r` says it.
pub const SECTION_UNAME: &str = ".uname";
/// What the initrd is made of: a section that the specification does not know, and stubs pass over.
pub const SECTION_IMAGES: &str = ".images";
/// The initrd.
pub const SECTION_INITRD: &str = ".initrd";
/// The kernel.
pub const SECTION_LINUX: &str = ".linux";

/// What it is besides what it boots.
#[derive(Clone, Default)]
pub struct UkiOptions {
    /// A stub to take instead of our own.
    pub stub: Option<Vec<u8>>,
    /// What system it is, in the syntax of os-release(5).
    pub os_release: String,
}

impl fmt::Debug for UkiOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UkiOptions")
            .field("stub_bytes", &self.stub.as_ref().map(Vec::len))
            .field("os_release", &self.os_release)
            .finish()
    }
}

/// Why no unified kernel image can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UkiError {
    /// The kernel is none for UEFI, or can't be read.
    #[error(transparent)]
    Kernel(#[from] ReadKernelError),
    /// Our loader can't be told of it.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The stub that was given can't take it.
    #[error("the stub can't be used: {0}")]
    Stub(#[source] AppendError),
    /// It can't be put together.
    #[error("the unified kernel image can't be made: {0}")]
    Append(#[source] AppendError),
}

impl From<KernelError> for UkiError {
    fn from(error: KernelError) -> Self {
        Self::Kernel(error.into())
    }
}

/// Makes one for x86-64. Kernel and initrd are read once, for the checksum.
///
/// # Errors
/// If the kernel is none for UEFI, or the parts don't fit.
pub fn uki(files: &BootFiles, options: &UkiOptions) -> Result<Extents, UkiError> {
    let kernel = Kernel::read(&**files.kernel.payload())?;
    kernel.for_uefi(Architecture::X86_64)?;
    kernel.check_cmdline(&files.cmdline)?;
    let is_own = options.stub.is_none();
    let stub = match &options.stub {
        Some(stub) => stub.clone(),
        None => efi::loader(&told(files))?,
    };
    let release = kernel.version.as_deref().unwrap_or_default();
    let release = release.split(' ').next().unwrap_or_default();
    let text = |name, text: &str| NewSection {
        name,
        content: Arc::new(text.as_bytes().to_vec()) as Arc<dyn Payload>,
    };
    let file = |name, file: &BootFile| NewSection {
        name,
        content: file.payload().clone(),
    };
    let images = NewSection {
        name: SECTION_IMAGES,
        content: Arc::new(files.images.clone()),
    };
    let sections = [
        images,
        text(SECTION_OS_RELEASE, &options.os_release),
        text(SECTION_CMDLINE, &files.cmdline),
        text(SECTION_UNAME, release),
        file(SECTION_INITRD, &files.initrd),
        file(SECTION_LINUX, &files.kernel),
    ];
    let made = match append(stub.clone(), &sections) {
        // It boots without the list: a stub with little room in its headers is no error for it.
        Err(AppendError::NoRoom { room, needed }) if room + 1 == needed => {
            append(stub, &sections[1..])
        }
        made => made,
    };
    made.map_err(|error| match error {
        AppendError::Read(_)
        | AppendError::NotEfi
        | AppendError::Signed
        | AppendError::Twice(_)
        | AppendError::NoRoom { .. }
            if !is_own =>
        {
            UkiError::Stub(error)
        }
        error => UkiError::Append(error),
    })
}

/// What our loader is told: it knows where its own sections are.
fn told(files: &BootFiles) -> BootSpec {
    let extent = |file: &BootFile| Extent {
        start_bytes: 0,
        len_bytes: file.len_bytes(),
        crc32: file.crc32(),
    };
    BootSpec {
        kernel: extent(&files.kernel),
        initrd: extent(&files.initrd),
        cmdline: files.cmdline.clone(),
        ram_bytes: files.ram_bytes,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use testdata::{judge, judge_file};

    use super::*;
    use crate::pe::PeFile;
    use crate::testing::{noise, raw_file};

    /// systemd's stub, as Debian's systemd-boot-efi has it.
    const SYSTEMD_STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

    /// The least that passes for a kernel with an EFI stub.
    fn kernel() -> Vec<u8> {
        let mut file = noise(1024 + 65_536);
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"MZ");
        put(0x3c, &0x40_u32.to_le_bytes());
        put(0x40, b"PE\0\0\x64\x86");
        put(0x1f1, &[1]);
        put(0x1f4, &4096_u32.to_le_bytes());
        put(0x1fe, b"\x55\xaaxxHdrS\x0f\x02");
        put(0x20e, &0x180_u16.to_le_bytes());
        put(0x211, &[1]);
        put(0x22c, &0x7fff_ffff_u32.to_le_bytes());
        put(0x234, &[1, 0, 1, 0]);
        put(0x238, &2047_u32.to_le_bytes());
        put(0x258, &0x100_0000_u64.to_le_bytes());
        put(0x260, &0x3f9_8000_u32.to_le_bytes());
        put(0x380, b"6.1.0-test (builder@host) #1 SMP\0");
        file
    }

    fn files() -> BootFiles {
        BootFiles {
            kernel: BootFile::read(kernel()).unwrap(),
            initrd: BootFile::read(noise(300_001)).unwrap(),
            cmdline: "console=ttyS0".to_owned(),
            ram_bytes: 1 << 29,
            images: b"{}".to_vec(),
        }
    }

    fn options() -> UkiOptions {
        UkiOptions {
            stub: None,
            os_release: "ID=test\n".to_owned(),
        }
    }

    fn read(file: &Extents, name: &str) -> Vec<u8> {
        let pe = PeFile::read(file).unwrap();
        let content = pe.section(name).unwrap().content();
        let mut bytes = vec![0; usize::try_from(content.end - content.start).unwrap()];
        file.read_exact_at(content.start, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn all_parts_are_sections_and_the_loader_knows_them() {
        let file = uki(&files(), &options()).unwrap();
        assert_eq!(read(&file, ".osrel"), b"ID=test\n");
        assert_eq!(read(&file, ".cmdline"), b"console=ttyS0");
        assert_eq!(read(&file, ".uname"), b"6.1.0-test");
        assert_eq!(read(&file, ".images"), b"{}");
        assert!(read(&file, ".linux") == kernel());
        assert!(read(&file, ".initrd") == noise(300_001));
        let boot = efi::read_loader(&file).unwrap().unwrap();
        assert_eq!(boot, told(&files()));
    }

    #[test]
    fn a_kernel_that_uefi_does_not_start_is_refused() {
        let mut kernel = kernel();
        kernel[..2].fill(0);
        let files = BootFiles {
            kernel: BootFile::read(kernel).unwrap(),
            ..files()
        };
        let error = uki(&files, &options()).unwrap_err().to_string();
        assert!(error.contains("no EFI stub"), "{error}");
    }

    #[test]
    fn a_stub_that_is_none_is_named() {
        let options = UkiOptions {
            stub: Some(b"no program".repeat(50)),
            ..options()
        };
        let error = uki(&files(), &options).unwrap_err().to_string();
        assert!(error.starts_with("the stub can't be used: "), "{error}");
    }

    #[test]
    fn systemd_s_stub_takes_it_and_objcopy_finds_the_parts() {
        let (Some(()), Some(objcopy)) = (judge_file(Path::new(SYSTEMD_STUB)), judge("objcopy"))
        else {
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for stub in [None, Some(fs::read(SYSTEMD_STUB).unwrap())] {
            let file = uki(&files(), &UkiOptions { stub, ..options() }).unwrap();
            raw_file(&file, &path("uki.efi"));
            for (name, expected) in [(".linux", kernel()), (".initrd", noise(300_001))] {
                let dump = format!("{name}={}", path("part").display());
                let output = Command::new(&objcopy)
                    .args(["-O", "binary", "--dump-section", &dump])
                    .args([path("uki.efi"), path("ignored")])
                    .output()
                    .unwrap();
                let complaints = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{complaints}");
                assert!(fs::read(path("part")).unwrap() == expected, "{name}");
            }
        }
    }
}
