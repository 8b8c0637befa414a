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
        images: b"{}\n".to_vec(),
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
        BootFiles {
            images: b"[]\n".to_vec(),
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

#[test]
fn a_medium_says_what_its_initrd_is_made_of_where_that_is_known() {
    let list = |images: &[u8]| {
        let files = BootFiles {
            images: images.to_vec(),
            ..files()
        };
        let volume = boot_volume(&files, &LOADERS, "x", 0).unwrap();
        let file = volume.files.iter().find(|file| file.path == IMAGES_PATH)?;
        let mut bytes = vec![0; images.len()];
        let read = volume.content.read_exact_at(file.start_bytes, &mut bytes);
        read.unwrap();
        assert_eq!(file.len_bytes, bytes.len() as u64);
        Some(bytes)
    };
    assert_eq!(list(b"").as_deref(), None);
    // Longer than a cluster.
    let long = noise(5000);
    assert!(list(&long).unwrap() == long);
}
