//! Kernels.

use formats::boot::kernel::{Architecture, Kernel, KernelError, KernelFormat, ReadKernelError};

use super::{Bytes, Inspector, Section};

impl Inspector {
    /// A kernel; `None` if it is none.
    pub(super) fn kernel(&mut self, bytes: &Bytes) -> Option<Section> {
        let kernel = match Kernel::read(bytes) {
            Ok(kernel) => kernel,
            // A program for UEFI is a kernel by its header alone; what it is, its sections say.
            Err(ReadKernelError::Kernel(KernelError::NotAKernel { .. })) => return None,
            Err(ReadKernelError::Kernel(error @ KernelError::Truncated { .. })) => {
                self.problem(error.to_string());
                return Some(Section::of_kind("kernel"));
            }
            Err(_) => return None,
        };
        if kernel.format == KernelFormat::Efi {
            return None;
        }
        Some(describe(&kernel, bytes))
    }
}

fn describe(kernel: &Kernel, bytes: &Bytes) -> Section {
    let format = match &kernel.format {
        KernelFormat::BzImage(_) => "bzImage",
        KernelFormat::Arm64Image => "Image (arm64)",
        KernelFormat::Elf => "vmlinux",
        _ => "UEFI program",
    };
    let mut section = Section::of_kind("kernel")
        .text("format", format)
        .text("architecture", kernel.architecture.to_string())
        .bytes("kernel_bytes", bytes.len_bytes());
    if let Some(version) = &kernel.version {
        section = section.text("version", version);
    }
    if let KernelFormat::BzImage(image) = &kernel.format {
        let protocol = format!("{}.{:02}", image.protocol >> 8, image.protocol & 0xff);
        section = section
            .text("boot_protocol", protocol)
            .number("cmdline_max_bytes", image.cmdline_max_bytes as u64);
    }
    let mut boots_on = Vec::new();
    if kernel.for_bios().is_ok() {
        boots_on.push("BIOS");
    }
    for (architecture, name) in [
        (Architecture::X86_64, "UEFI x86-64"),
        (Architecture::Arm64, "UEFI arm64"),
    ] {
        if kernel.for_uefi(architecture).is_ok() {
            boots_on.push(name);
        }
    }
    section.list("boots_on", boots_on)
}
