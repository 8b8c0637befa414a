//! What a kernel file is, and where it boots.
//!
//! Read are the x86 setup header (Linux, `Documentation/arch/x86/boot.rst`), the arm64 header
//! (`Documentation/arch/arm64/booting.rst`), the PE header of the EFI stub (Microsoft PE/COFF, 2
//! and 3) and as much of ELF as tells that a kernel is not meant for a loader.

use std::fmt;
use std::io;

use crate::payload::Payload;

/// Where a loader puts a bzImage's protected-mode part.
const PROTECTED_MODE_START: u64 = 0x10_0000;

/// The first protocol that says how much room the kernel needs (Linux 2.6.31).
const PROTOCOL_MIN: u16 = 0x020a;

/// The end of what a 32-bit loader reaches.
const FOUR_GIB: u64 = 1 << 32;

/// What is read of a file: the version string of a bzImage lies within 64 KiB and 512 bytes.
const HEAD_BYTES: u64 = 0x1_0200;

/// Longest version string.
const VERSION_MAX_BYTES: usize = 256;

/// Fields of the x86 setup header, by their offset in the file.
mod x86 {
    pub(super) const SETUP_SECTORS: usize = 0x1f1;
    pub(super) const PARAGRAPHS: usize = 0x1f4;
    pub(super) const BOOT_FLAG: usize = 0x1fe;
    pub(super) const BOOT_FLAG_VALUE: u16 = 0xaa55;
    pub(super) const MAGIC: usize = 0x202;
    pub(super) const PROTOCOL: usize = 0x206;
    pub(super) const VERSION: usize = 0x20e;
    pub(super) const LOAD_FLAGS: usize = 0x211;
    pub(super) const LOADED_HIGH: u8 = 1;
    pub(super) const INITRD_ADDRESS_MAX: usize = 0x22c;
    pub(super) const RELOCATABLE: usize = 0x234;
    pub(super) const EXTENDED_LOAD_FLAGS: usize = 0x236;
    pub(super) const KERNEL_64: u16 = 1;
    pub(super) const CMDLINE_SIZE: usize = 0x238;
    pub(super) const PREFERRED_ADDRESS: usize = 0x258;
    pub(super) const INIT_SIZE: usize = 0x260;
    /// Sectors of the setup code where the field says 0.
    pub(super) const DEFAULT_SETUP_SECTORS: u8 = 4;
}

/// "ARM\x64" of an arm64 Image.
const ARM64_MAGIC: (usize, &[u8]) = (0x38, b"ARM\x64");

/// Where a PE file says where its header is.
const PE_POINTER: usize = 0x3c;

/// What a processor is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// x86, 64 bits.
    X86_64,
    /// x86, 32 bits.
    X86,
    /// ARM, 64 bits.
    Arm64,
    /// Another one, by its number in ELF or PE.
    Other(u16),
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Architecture::X86_64 => f.write_str("x86-64"),
            Architecture::X86 => f.write_str("32-bit x86"),
            Architecture::Arm64 => f.write_str("arm64"),
            Architecture::Other(number) => write!(f, "another architecture ({number:#x})"),
        }
    }
}

impl Architecture {
    /// By a PE header's "machine".
    fn of_pe(machine: u16) -> Self {
        match machine {
            0x8664 => Architecture::X86_64,
            0x014c => Architecture::X86,
            0xaa64 => Architecture::Arm64,
            other => Architecture::Other(other),
        }
    }

    /// By an ELF header's "machine".
    fn of_elf(machine: u16) -> Self {
        match machine {
            62 => Architecture::X86_64,
            3 => Architecture::X86,
            183 => Architecture::Arm64,
            other => Architecture::Other(other),
        }
    }
}

/// What kind of file a kernel is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelFormat {
    /// x86: setup code and a compressed kernel.
    BzImage(BzImage),
    /// arm64, not compressed.
    Arm64Image,
    /// An EFI application and nothing else (a compressed kernel of another architecture).
    Efi,
    /// The kernel as it is linked (vmlinux); no firmware or loader of ours takes it.
    Elf,
}

/// What the setup header of a bzImage says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BzImage {
    /// Boot protocol, as in 0x020f for 2.15.
    pub protocol: u16,
    /// The setup code, which runs in real mode, with the boot sector before it.
    pub setup_bytes: u64,
    /// What is to be loaded in all; behind it there may be a signature.
    pub load_bytes: u64,
    /// Whether it runs wherever it is loaded.
    pub relocatable: bool,
    /// End of the range in which the initrd must lie.
    pub initrd_ceiling: u64,
    /// Bytes of the command line that the kernel looks at, without the final zero.
    pub cmdline_max_bytes: usize,
    /// Where the kernel wants to run.
    pub preferred_address: u64,
    /// What it needs from there on before it knows of memory, in bytes.
    pub init_bytes: u64,
    len_bytes: u64,
}

/// A Linux kernel, as its file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// What kind of file it is.
    pub format: KernelFormat,
    /// What it runs on.
    pub architecture: Architecture,
    /// Architecture of its EFI stub, if it has one: such a kernel is an EFI application.
    pub efi: Option<Architecture>,
    /// Version and build, as in "6.1.0-18-amd64 (...) #1 SMP"; only a bzImage says.
    pub version: Option<String>,
}

/// Why a kernel can't be booted in some way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// Not a kernel at all.
    #[error(
        "the kernel is {found}, not a Linux kernel image; the image of the kernel section must \
         hold a bzImage (x86) or an Image (arm64)"
    )]
    NotAKernel {
        /// What it seems to be.
        found: &'static str,
    },
    /// A file that ends before its header says so.
    #[error("the kernel is cut short: it has {len_bytes} bytes and needs {needed_bytes}")]
    Truncated {
        /// Its length.
        len_bytes: u64,
        /// What its header says.
        needed_bytes: u64,
    },
    /// A vmlinux.
    #[error(
        "the kernel is an ELF file (vmlinux) for {architecture}, not a bzImage: it can be used as \
         kernel+initrd with a VMM that takes ELF kernels, not on a bootable medium; use \
         arch/x86/boot/bzImage of the same build"
    )]
    Elf {
        /// What it is for.
        architecture: Architecture,
    },
    /// A kernel of another architecture.
    #[error("the kernel is for {found}, and {wanted} is what {by} boots")]
    Architecture {
        /// What it is for.
        found: Architecture,
        /// What it should be for.
        wanted: Architecture,
        /// Who boots it.
        by: &'static str,
    },
    /// A kernel that UEFI can't start.
    #[error(
        "the kernel has no EFI stub (it was built without CONFIG_EFI_STUB): it boots on a BIOS, \
         from any medium, and as kernel+initrd, but not on UEFI"
    )]
    NoEfiStub,
    /// A kernel that is too old, or not compressed the usual way.
    #[error(
        "the kernel has boot protocol {}.{:02}{}: the BIOS loader needs 2.10 (Linux 2.6.31) and a \
         bzImage",
        .protocol >> 8, .protocol & 0xff, if *.loaded_high { "" } else { " and is a zImage" }
    )]
    Protocol {
        /// Its protocol.
        protocol: u16,
        /// Whether it is a bzImage.
        loaded_high: bool,
    },
    /// A header that makes no sense.
    #[error("the kernel's setup header is damaged: {what}")]
    Header {
        /// What is wrong.
        what: &'static str,
    },
    /// An initrd that no BIOS machine can hold where the kernel wants it.
    #[error(
        "the initrd has {bytes} bytes, and on a BIOS there is room for {max_bytes} at most: the \
         kernel wants it between its own end and {ceiling:#x}; make it smaller, or boot with UEFI"
    )]
    InitrdTooLarge {
        /// Its length.
        bytes: u64,
        /// The most there may be.
        max_bytes: u64,
        /// Where it must end.
        ceiling: u64,
    },
    /// A command line that the kernel would cut.
    #[error(
        "the command line has {bytes} bytes, and this kernel looks at {max_bytes}: shorten \
         kernel.cmdline"
    )]
    CmdlineTooLong {
        /// Its length.
        bytes: usize,
        /// The most there may be.
        max_bytes: usize,
    },
}

/// Why a kernel can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadKernelError {
    /// The file can't be read.
    #[error("the kernel can't be read: {0}")]
    Io(#[from] io::Error),
    /// It is none.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// A file's first bytes; what lies beyond them is missing, not zero.
struct Head(Vec<u8>);

impl Head {
    fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..)?.first_chunk().copied()
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.bytes(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.bytes(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        self.bytes(at).map(u64::from_le_bytes)
    }

    fn has(&self, at: usize, magic: &[u8]) -> bool {
        self.0.get(at..).is_some_and(|rest| rest.starts_with(magic))
    }
}

impl Kernel {
    /// Reads the headers of a kernel. At most 65 KiB are looked at.
    ///
    /// # Errors
    /// If it can't be read, is no kernel, or is cut short.
    pub fn read(file: &dyn Payload) -> Result<Self, ReadKernelError> {
        let len_bytes = file.len_bytes();
        let mut head = vec![0; usize::try_from(len_bytes.min(HEAD_BYTES)).unwrap_or_default()];
        file.read_exact_at(0, &mut head)?;
        let head = Head(head);
        let efi = efi_machine(file, &head)?.map(Architecture::of_pe);
        if head.has(x86::MAGIC, b"HdrS") && head.u16(x86::BOOT_FLAG) == Some(x86::BOOT_FLAG_VALUE) {
            let image = BzImage::parse(&head, len_bytes)?;
            let is_64_bit = match head.u16(x86::EXTENDED_LOAD_FLAGS) {
                Some(flags) if image.protocol >= 0x020c => flags & x86::KERNEL_64 != 0,
                // Before the flag, only the stub tells.
                _ => efi == Some(Architecture::X86_64),
            };
            return Ok(Self {
                version: version(&head),
                architecture: match is_64_bit {
                    true => Architecture::X86_64,
                    false => Architecture::X86,
                },
                format: KernelFormat::BzImage(image),
                efi,
            });
        }
        let without_version = |format, architecture| Self {
            format,
            architecture,
            efi,
            version: None,
        };
        if head.has(ARM64_MAGIC.0, ARM64_MAGIC.1) {
            let format = KernelFormat::Arm64Image;
            return Ok(without_version(format, Architecture::Arm64));
        }
        if let Some(architecture) = efi {
            return Ok(without_version(KernelFormat::Efi, architecture));
        }
        if head.has(0, b"\x7fELF") {
            // Byte 5 says how numbers are stored.
            let machine = head.bytes(18).map_or(
                0,
                match head.byte(5) {
                    Some(2) => u16::from_be_bytes,
                    _ => u16::from_le_bytes,
                },
            );
            let architecture = Architecture::of_elf(machine);
            return Ok(without_version(KernelFormat::Elf, architecture));
        }
        let known: [(&[u8], &str); 6] = [
            (b"\x1f\x8b", "a gzip file"),
            (b"\x28\xb5\x2f\xfd", "a zstd file"),
            (b"\xfd7zXZ", "an xz file"),
            (b"MZ", "a DOS program"),
            (b"070701", "a cpio archive"),
            (b"#!", "a script"),
        ];
        let found = match known.iter().find(|(magic, _)| head.has(0, magic)) {
            Some((_, name)) => name,
            None if len_bytes == 0 => "empty",
            None => "of an unknown kind",
        };
        Err(KernelError::NotAKernel { found }.into())
    }

    /// Checks that our BIOS loader can start it, and gives what the loader must know.
    ///
    /// # Errors
    /// If it is not a bzImage for x86.
    pub fn for_bios(&self) -> Result<&BzImage, KernelError> {
        match &self.format {
            KernelFormat::BzImage(image) => Ok(image),
            KernelFormat::Elf => Err(KernelError::Elf {
                architecture: self.architecture,
            }),
            _ => Err(KernelError::Architecture {
                found: self.architecture,
                wanted: Architecture::X86_64,
                by: "a BIOS",
            }),
        }
    }

    /// Checks that UEFI of `wanted` can start it.
    ///
    /// # Errors
    /// If it is for another architecture, or has no EFI stub.
    pub fn for_uefi(&self, wanted: Architecture) -> Result<(), KernelError> {
        if self.format == KernelFormat::Elf {
            return Err(KernelError::Elf {
                architecture: self.architecture,
            });
        }
        // A 64-bit kernel may have a stub for 32-bit firmware, and the other way round.
        let found = self.efi.unwrap_or(self.architecture);
        if found != wanted {
            return Err(KernelError::Architecture {
                found,
                wanted,
                by: "this UEFI loader",
            });
        }
        match self.efi {
            Some(_) => Ok(()),
            None => Err(KernelError::NoEfiStub),
        }
    }

    /// Checks that the kernel would not cut a command line; only a bzImage says how much it takes.
    ///
    /// # Errors
    /// If it is too long.
    pub fn check_cmdline(&self, cmdline: &str) -> Result<(), KernelError> {
        match &self.format {
            KernelFormat::BzImage(image) => image.check_cmdline(cmdline),
            _ => Ok(()),
        }
    }
}

impl BzImage {
    fn parse(head: &Head, len_bytes: u64) -> Result<Self, KernelError> {
        let truncated = |needed_bytes| KernelError::Truncated {
            len_bytes,
            needed_bytes,
        };
        // The last field that is read.
        let header_end = x86::INIT_SIZE + 4;
        let short = || truncated(header_end as u64);
        let protocol = head.u16(x86::PROTOCOL).ok_or_else(short)?;
        let loaded_high = head.byte(x86::LOAD_FLAGS).ok_or_else(short)? & x86::LOADED_HIGH != 0;
        if protocol < PROTOCOL_MIN || !loaded_high {
            return Err(KernelError::Protocol {
                protocol,
                loaded_high,
            });
        }
        let sectors = match head.byte(x86::SETUP_SECTORS).ok_or_else(short)? {
            0 => x86::DEFAULT_SETUP_SECTORS,
            sectors => sectors,
        };
        // The boot sector comes first.
        let setup_bytes = (u64::from(sectors) + 1) * 512;
        let paragraphs = head.u32(x86::PARAGRAPHS).ok_or_else(short)?;
        let load_bytes = setup_bytes + u64::from(paragraphs) * 16;
        // The last paragraph may be begun only.
        if len_bytes + 15 < load_bytes || len_bytes <= setup_bytes {
            return Err(truncated(load_bytes));
        }
        let image = Self {
            protocol,
            setup_bytes,
            load_bytes,
            relocatable: head.byte(x86::RELOCATABLE).ok_or_else(short)? != 0,
            initrd_ceiling: u64::from(head.u32(x86::INITRD_ADDRESS_MAX).ok_or_else(short)?) + 1,
            cmdline_max_bytes: head.u32(x86::CMDLINE_SIZE).ok_or_else(short)? as usize,
            preferred_address: head.u64(x86::PREFERRED_ADDRESS).ok_or_else(short)?,
            init_bytes: u64::from(head.u32(x86::INIT_SIZE).ok_or_else(short)?),
            len_bytes,
        };
        if image.preferred_address >= FOUR_GIB || image.initrd_floor() >= FOUR_GIB {
            return Err(KernelError::Header {
                what: "it wants to run above 4 GiB",
            });
        }
        Ok(image)
    }

    /// Where memory is free again: neither the file nor the running kernel reaches there before it
    /// knows of memory. A multiple of 4096.
    pub fn initrd_floor(&self) -> u64 {
        let file_end = PROTECTED_MODE_START + self.len_bytes;
        let run_end = self.preferred_address.saturating_add(self.init_bytes);
        file_end.max(run_end).next_multiple_of(4096)
    }

    /// Checks that there may be a machine with a BIOS that has room for the initrd.
    ///
    /// # Errors
    /// If there is none.
    pub fn check_initrd(&self, bytes: u64) -> Result<(), KernelError> {
        let ceiling = self.initrd_ceiling.min(FOUR_GIB);
        let max_bytes = ceiling.saturating_sub(self.initrd_floor());
        if bytes > max_bytes {
            return Err(KernelError::InitrdTooLarge {
                bytes,
                max_bytes,
                ceiling,
            });
        }
        Ok(())
    }

    /// Checks that the kernel would not cut a command line.
    ///
    /// # Errors
    /// If it is too long.
    pub fn check_cmdline(&self, cmdline: &str) -> Result<(), KernelError> {
        let (bytes, max_bytes) = (cmdline.len(), self.cmdline_max_bytes);
        if bytes > max_bytes {
            return Err(KernelError::CmdlineTooLong { bytes, max_bytes });
        }
        Ok(())
    }
}

/// "Machine" of the PE header, if there is one.
fn efi_machine(file: &dyn Payload, head: &Head) -> io::Result<Option<u16>> {
    if !head.has(0, b"MZ") {
        return Ok(None);
    }
    let Some(at) = head.u32(PE_POINTER).map(u64::from) else {
        return Ok(None);
    };
    let mut header = [0; 6];
    if at + header.len() as u64 > file.len_bytes() {
        return Ok(None);
    }
    file.read_exact_at(at, &mut header)?;
    let [b'P', b'E', 0, 0, low, high] = header else {
        return Ok(None);
    };
    Ok(Some(u16::from_le_bytes([low, high])))
}

/// The version string of a bzImage, if it has one that people can read.
fn version(head: &Head) -> Option<String> {
    let pointer = usize::from(head.u16(x86::VERSION)?);
    let start = head.0.get(pointer.checked_add(0x200)?..)?;
    let end = start.iter().take(VERSION_MAX_BYTES).position(|b| *b == 0)?;
    let text = std::str::from_utf8(&start[..end]).ok()?.trim();
    let readable = pointer != 0 && !text.is_empty() && !text.contains(char::is_control);
    readable.then(|| text.to_owned())
}

#[cfg(test)]
pub(crate) mod tests;
