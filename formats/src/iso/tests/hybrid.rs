//! The hybrid image: its parts, and what others say of it.

use std::process::Command;

use testdata::judge;

use super::*;
use crate::boot::{BootError, BootSpec};
use crate::disk::{MBR_CODE_BYTES, read_partitions};
use crate::fat::FatReader;
use crate::medium::{
    BiosCode, BootFile, BootFiles, EfiCode, INITRD_PATH, KERNEL_PATH, Loaders, MediumError,
};

fn stage2(boot: &BootSpec, _kernel: &dyn Payload) -> Result<Vec<u8>, MediumError> {
    Ok(vec![boot.cmdline.as_bytes()[0]; 4096])
}

fn loader(boot: &BootSpec) -> Result<Vec<u8>, BootError> {
    Ok(vec![boot.cmdline.as_bytes()[1]; 9000])
}

const LOADERS: Loaders = Loaders {
    bios: Some(BiosCode {
        mbr: [0x90; MBR_CODE_BYTES],
        stage2,
    }),
    efi: Some(EfiCode {
        len_bytes: 9000,
        loader,
    }),
};

/// Length of what stands for a list of images; more than a cluster.
const IMAGES_BYTES: usize = 3000;

fn boot_files(initrd: impl Payload + 'static) -> BootFiles {
    BootFiles {
        kernel: BootFile::read(noise(3_000_001)).unwrap(),
        initrd: BootFile::read(initrd).unwrap(),
        cmdline: "console=ttyS0".to_owned(),
        ram_bytes: 1 << 30,
        images: text(IMAGES_BYTES),
    }
}

fn hybrid(initrd_bytes: usize) -> Extents {
    let files = boot_files(text(initrd_bytes));
    boot_iso(&files, &LOADERS, "docker-host", TIME)
        .unwrap()
        .content
}

/// On either side of the 32 MiB that a catalog's sector count can say.
const INITRD_BYTES: [usize; 2] = [5_000_000, 40_000_000];

#[test]
fn the_hybrid_s_parts_point_at_the_same_bytes() {
    for initrd_bytes in INITRD_BYTES {
        let image = hybrid(initrd_bytes);
        let reader = IsoReader::open(&image).unwrap();
        let [bios, efi] = &reader.boot_entries().unwrap()[..] else {
            panic!("not two boot entries");
        };
        assert_eq!((bios.platform, bios.load_sectors), (0, 4));
        assert!(bios.is_bootable && efi.is_bootable);
        let mut stage2 = vec![0; 4096];
        image.read_exact_at(bios.start_bytes, &mut stage2).unwrap();
        assert_eq!(stage2, [b'c'; 4096]);
        let partitions = read_partitions(&image).unwrap();
        let [esp] = &partitions[..] else {
            panic!("{partitions:?}");
        };
        assert!(esp.is_esp());
        assert_eq!((efi.platform, efi.start_bytes), (0xef, esp.start_bytes));
        let sectors = esp.len_bytes / 512;
        let told = u16::try_from(sectors).unwrap_or(0);
        assert_eq!(efi.load_sectors, told);

        let mut volume = vec![0; usize::try_from(esp.len_bytes).unwrap()];
        image.read_exact_at(esp.start_bytes, &mut volume).unwrap();
        let fat = FatReader::open(&volume).unwrap();
        let inside = fat.entries(crate::fat::Limits::default()).unwrap();
        let entries = reader.entries(Names::RockRidge, Limits::default()).unwrap();
        for file in inside.iter().filter(|entry| !entry.is_folder) {
            let entry = find(&entries, file.path.as_bytes());
            assert_eq!(entry.len_bytes, file.len_bytes);
            let EntryKind::File { extents } = &entry.kind else {
                panic!("{entry:?}");
            };
            let start = file.extents[0].start + esp.start_bytes;
            assert_eq!(extents.len(), 1);
            assert_eq!(extents[0], start..start + file.len_bytes);
        }
        let initrd = find(&entries, INITRD_PATH.as_bytes());
        let EntryKind::File { extents } = &initrd.kind else {
            panic!("{initrd:?}");
        };
        assert!(read_at(&image, extents) == text(initrd_bytes));
        find(&entries, b"README.txt");
        find(&entries, b"boot/bios.img");
        find(&entries, KERNEL_PATH.as_bytes());
    }
}

#[test]
fn judges_of_the_hybrid_have_no_complaint() {
    for initrd_bytes in INITRD_BYTES {
        let image = hybrid(initrd_bytes);
        let file = in_file(&image);
        let path = file.path().to_str().unwrap();
        let Some(report) = xorriso(file.path(), &["-report_el_torito", "plain"]) else {
            return;
        };
        for line in [
            "El Torito boot img :   1  BIOS  y   none  0x0000  0x00      4           9",
            "El Torito boot img :   2  UEFI  y   none  0x0000  0x00",
            "El Torito img path :   1  /boot/bios.img",
        ] {
            assert!(report.contains(line), "{report}");
        }
        let report = xorriso(file.path(), &["-report_system_area", "plain"]).unwrap();
        for line in [
            "protective-msdos-label",
            "GPT type GUID      :   1  28732ac11ff8d211ba4b00a0c93ec93b",
        ] {
            assert!(report.contains(line), "{report}");
        }
        let report = xorriso(file.path(), &["-check_media", "--"]).unwrap();
        assert!(report.contains("good"), "{report}");
        let report = xorriso(file.path(), &["-pvd_info"]).unwrap();
        assert!(report.contains("Volume Id    : DOCKER_HOST"), "{report}");

        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("initrd");
        let arguments = [
            "-osirrox",
            "on",
            "-extract",
            "/boot/initrd.img",
            to.to_str().unwrap(),
        ];
        xorriso(file.path(), &arguments);
        assert!(std::fs::read(to).unwrap() == text(initrd_bytes));
        for (kind, name, bytes) in [
            ("-R", "/boot/kernel", noise(3_000_001)),
            ("-J", "/boot/kernel", noise(3_000_001)),
            ("-R", "/boot/images.json", text(IMAGES_BYTES)),
            ("-J", "/boot/images.json", text(IMAGES_BYTES)),
        ] {
            let Some(isoinfo) = judge("isoinfo") else {
                return;
            };
            let output = Command::new(isoinfo)
                .args([kind, "-i", path, "-x", name])
                .output()
                .unwrap();
            assert!(output.stderr.is_empty() && output.stdout == bytes);
        }
        let (out, err) = judged("isoinfo", &["-d", "-i", path]).unwrap();
        assert!(
            err.is_empty() && out.contains("El Torito VD version 1 found"),
            "{out}{err}"
        );

        let Some((report, _)) = judged("sgdisk", &["-v", path]) else {
            return;
        };
        assert!(report.contains("No problems found."), "{report}");
        // Of the active protective entry it warns, which a BIOS may want.
        assert_eq!(report.matches("Warning").count(), 1, "{report}");
        for complaint in ["Caution", "Problem:", "not aligned"] {
            assert!(!report.contains(complaint), "{report}");
        }

        let partitions = read_partitions(&image).unwrap();
        let mut volume = vec![0; usize::try_from(partitions[0].len_bytes).unwrap()];
        image
            .read_exact_at(partitions[0].start_bytes, &mut volume)
            .unwrap();
        let esp = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(esp.path(), volume).unwrap();
        let Some((_, err)) = judged("fsck.fat", &["-n", esp.path().to_str().unwrap()]) else {
            return;
        };
        assert!(err.is_empty(), "{err}");
        // The partition as mtools finds it in the image itself.
        let offset = format!("{path}@@{}", partitions[0].start_bytes);
        let Some((list, err)) = judged("mdir", &["-/", "-b", "-i", &offset, "::"]) else {
            return;
        };
        assert!(err.is_empty(), "{err}");
        for path in [
            "::/EFI/BOOT/BOOTX64.EFI",
            "::/boot/kernel",
            "::/boot/images.json",
            "::/boot/initrd.img",
        ] {
            assert!(list.contains(path), "{list}");
        }
        for (name, bytes) in [("initrd.img", initrd_bytes), ("images.json", IMAGES_BYTES)] {
            let output = Command::new(judge("mtype").unwrap())
                .args(["-i", &offset, &format!("::/boot/{name}")])
                .output()
                .unwrap();
            assert!(output.stdout == text(bytes), "{name}");
        }
    }
}

#[test]
fn a_hybrid_without_one_of_the_loaders_boots_the_other_way() {
    let files = boot_files(text(100_000));
    let bios_only = Loaders {
        efi: None,
        ..LOADERS
    };
    let image = boot_iso(&files, &bios_only, "x", TIME).unwrap().content;
    let entries = IsoReader::open(&image).unwrap().boot_entries().unwrap();
    assert_eq!(entries.iter().map(|e| e.platform).collect::<Vec<_>>(), [0]);
    let efi_only = Loaders {
        bios: None,
        ..LOADERS
    };
    let image = boot_iso(&files, &efi_only, "x", TIME).unwrap().content;
    let entries = IsoReader::open(&image).unwrap().boot_entries().unwrap();
    assert_eq!(
        entries.iter().map(|e| e.platform).collect::<Vec<_>>(),
        [0xef]
    );
    let mut mbr = [0; 512];
    image.read_exact_at(0, &mut mbr).unwrap();
    assert_eq!((mbr[0], mbr[446]), (0, 0), "nothing to boot on a BIOS");
}
