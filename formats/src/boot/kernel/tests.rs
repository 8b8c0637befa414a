use super::*;

/// A bzImage as small as can be: one setup sector and `paragraphs` of kernel.
pub(crate) fn bz_image(paragraphs: u32) -> Vec<u8> {
    let mut file = vec![0; 1024 + paragraphs as usize * 16];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(PE_POINTER, &0x40_u32.to_le_bytes());
    put(0x40, b"PE\0\0\x64\x86");
    put(x86::SETUP_SECTORS, &[1]);
    put(x86::PARAGRAPHS, &paragraphs.to_le_bytes());
    put(x86::BOOT_FLAG, &[0x55, 0xaa]);
    put(x86::MAGIC, b"HdrS\x0f\x02");
    put(x86::VERSION, &0x180_u16.to_le_bytes());
    put(x86::LOAD_FLAGS, &[x86::LOADED_HIGH]);
    put(x86::INITRD_ADDRESS_MAX, &0x7fff_ffff_u32.to_le_bytes());
    put(x86::RELOCATABLE, &[1]);
    put(x86::EXTENDED_LOAD_FLAGS, &x86::KERNEL_64.to_le_bytes());
    put(x86::CMDLINE_SIZE, &2047_u32.to_le_bytes());
    put(x86::PREFERRED_ADDRESS, &0x100_0000_u64.to_le_bytes());
    put(x86::INIT_SIZE, &0x3f9_8000_u32.to_le_bytes());
    put(0x380, b"6.1.0-test (builder@host) #1 SMP\0");
    file
}

fn read(file: &[u8]) -> Result<Kernel, KernelError> {
    match Kernel::read(&file.to_vec()) {
        Err(ReadKernelError::Kernel(error)) => Err(error),
        read => Ok(read.unwrap()),
    }
}

fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = bz_image(4096);
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

#[test]
fn a_bz_image_says_all_that_a_loader_must_know() {
    let kernel = read(&bz_image(4096)).unwrap();
    assert_eq!(kernel.architecture, Architecture::X86_64);
    assert_eq!(
        kernel.version.as_deref(),
        Some("6.1.0-test (builder@host) #1 SMP")
    );
    kernel.for_uefi(Architecture::X86_64).unwrap();
    let image = kernel.for_bios().unwrap();
    assert_eq!(image.protocol, 0x020f);
    assert_eq!(image.setup_bytes, 1024);
    assert_eq!(image.load_bytes, 1024 + 65536);
    assert!(image.relocatable);
    assert_eq!(image.initrd_floor(), 0x4f9_8000);
    assert_eq!(image.initrd_ceiling, 0x8000_0000);
    image.check_initrd(0x8000_0000 - 0x4f9_8000).unwrap();
    let error = image.check_initrd(0x8000_0001 - 0x4f9_8000).unwrap_err();
    assert!(error.to_string().contains("boot with UEFI"), "{error}");
    kernel.check_cmdline(&"x".repeat(2047)).unwrap();
    assert!(kernel.check_cmdline(&"x".repeat(2048)).is_err());
}

#[test]
fn the_floor_is_above_a_kernel_that_is_larger_than_where_it_runs() {
    let mut file = with(x86::INIT_SIZE, &[0; 4]);
    file[x86::PREFERRED_ADDRESS..][..8].copy_from_slice(&0x10_0000_u64.to_le_bytes());
    let len_bytes = file.len() as u64;
    let kernel = read(&file).unwrap();
    let floor = kernel.for_bios().unwrap().initrd_floor();
    assert!(floor >= 0x10_0000 + len_bytes, "{floor:#x}");
    assert_eq!(floor % 4096, 0);
}

#[test]
fn a_kernel_without_a_stub_boots_on_a_bios_only() {
    for file in [
        with(0, b"xx"),
        with(0x40, b"NE"),
        with(PE_POINTER, &[0xff; 4]),
    ] {
        let kernel = read(&file).unwrap();
        assert_eq!(kernel.efi, None);
        kernel.for_bios().unwrap();
        let error = kernel.for_uefi(Architecture::X86_64).unwrap_err();
        assert_eq!(error, KernelError::NoEfiStub);
        assert!(error.to_string().contains("boots on a BIOS"), "{error}");
    }
}

#[test]
fn a_kernel_of_another_architecture_is_named() {
    let mut image = vec![0; 4096];
    image[..2].copy_from_slice(b"MZ");
    image[0x38..0x3c].copy_from_slice(ARM64_MAGIC.1);
    image[PE_POINTER..][..4].copy_from_slice(&0x40_u32.to_le_bytes());
    image[0x40..0x46].copy_from_slice(b"PE\0\0\x64\xaa");
    let kernel = read(&image).unwrap();
    assert_eq!(kernel.format, KernelFormat::Arm64Image);
    kernel.for_uefi(Architecture::Arm64).unwrap();
    let error = kernel.for_uefi(Architecture::X86_64).unwrap_err();
    assert!(error.to_string().starts_with("the kernel is for arm64"));
    let error = kernel.for_bios().unwrap_err();
    assert!(error.to_string().contains("arm64"), "{error}");

    // The same kernel, compressed into an EFI application.
    image[0x38..0x3c].fill(0);
    let kernel = read(&image).unwrap();
    assert_eq!(kernel.format, KernelFormat::Efi);
    assert_eq!(kernel.architecture, Architecture::Arm64);

    // 32-bit x86: by its flag, and by its stub.
    let kernel = read(&with(x86::EXTENDED_LOAD_FLAGS, &[0])).unwrap();
    assert_eq!(kernel.architecture, Architecture::X86);
    kernel.for_bios().unwrap();
    let kernel = read(&with(0x44, &[0x4c, 0x01])).unwrap();
    assert!(kernel.for_uefi(Architecture::X86_64).is_err());
}

#[test]
fn what_is_no_kernel_says_what_it_is() {
    let mut elf = vec![0; 64];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[18] = 62;
    let kernel = read(&elf).unwrap();
    for error in [
        kernel.for_bios().unwrap_err(),
        kernel.for_uefi(Architecture::X86_64).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.contains("vmlinux) for x86-64"), "{text}");
        assert!(text.contains("bzImage"), "{text}");
    }
    for (bytes, found) in [
        (&b""[..], "empty"),
        (b"\x1f\x8b\x08\0", "a gzip file"),
        (b"MZ", "a DOS program"),
        (b"hello", "of an unknown kind"),
    ] {
        assert_eq!(read(bytes), Err(KernelError::NotAKernel { found }));
    }
}

#[test]
fn kernels_that_are_cut_short_are_refused_wherever_the_cut_is() {
    let whole = bz_image(4096);
    for len in [
        0x206,
        0x207,
        0x210,
        0x240,
        0x263,
        0x300,
        1024,
        40_000,
        whole.len() - 16,
    ] {
        let error = read(&whole[..len]).unwrap_err();
        assert!(
            matches!(error, KernelError::Truncated { .. }),
            "{len}: {error}"
        );
    }
    // The last paragraph need not be whole, and behind it there may be a signature.
    read(&whole[..whole.len() - 15]).unwrap();
    read(&[&whole[..], &[1; 1500]].concat()).unwrap();
}

#[test]
fn headers_that_no_loader_can_follow_are_refused() {
    let old = read(&with(x86::PROTOCOL, &[0x09, 0x02])).unwrap_err();
    assert!(old.to_string().contains("protocol 2.09:"), "{old}");
    let low = read(&with(x86::LOAD_FLAGS, &[0])).unwrap_err();
    assert!(low.to_string().contains("zImage"), "{low}");
    for address in [FOUR_GIB, u64::MAX, 0xffff_f000] {
        let file = with(x86::PREFERRED_ADDRESS, &address.to_le_bytes());
        assert!(matches!(read(&file), Err(KernelError::Header { .. })));
    }
}

#[test]
fn a_version_that_nobody_could_read_is_none() {
    for (at, bytes) in [
        (x86::VERSION, &[0, 0][..]),
        (x86::VERSION, &[0xff, 0xff]),
        (0x380, b"\xff\xfe\0"),
        (0x380, b"a\x1b[2J\0"),
        (0x380, &[b'x'; 300]),
    ] {
        assert_eq!(read(&with(at, bytes)).unwrap().version, None, "{bytes:?}");
    }
}
