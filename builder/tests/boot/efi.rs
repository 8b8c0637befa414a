//! The UEFI loader in OVMF: from a file and from the whole medium, and what it says where it can't
//! start the system.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use formats::boot::{BootSpec, efi};
use formats::disk::{self, DiskOptions, ESP_START_BYTES};
use formats::medium::{BootFile, BootFiles, EfiCode, Loaders, boot_volume};
use formats::payload::{FilePayload, PayloadReader};
use testdata::qemu::{Attach, DiskFormat, Drive, Firmware, Guest, Machine};

use crate::system::{self, System, expect_whole};

const LOADERS: Loaders = Loaders {
    bios: None,
    efi: Some(EfiCode {
        len_bytes: efi::LOADER_BYTES,
        loader: efi::loader,
    }),
};

/// Long enough for software emulation on a busy machine.
const SECONDS: u64 = 600;

fn files(system: &System, ram_mib: u64) -> BootFiles {
    let file = |name: &str| {
        let file = File::open(system.file(name)).unwrap();
        BootFile::read(FilePayload::new(file).unwrap()).unwrap()
    };
    BootFiles {
        kernel: file("os-kernel"),
        initrd: file("os-initrd.img"),
        cmdline: system.cmdline(),
        ram_bytes: ram_mib << 20,
        images: Vec::new(),
    }
}

/// A disk in a file, and what its loader was told.
pub(crate) struct Medium {
    _dir: tempfile::TempDir,
    pub(crate) path: PathBuf,
    file: File,
    pub(crate) boot: BootSpec,
}

impl Medium {
    /// A disk with the system, which says that it needs so much RAM; `None` where there are no
    /// parts for it.
    pub(crate) fn new(ram_mib: u64) -> Option<Self> {
        let files = files(system::shared()?, ram_mib);
        let volume = boot_volume(&files, &LOADERS, "test", ESP_START_BYTES).unwrap();
        let options = DiskOptions {
            id: volume.id,
            bios: None,
            data_bytes: 0,
            least_bytes: 0,
        };
        let disk = disk::build(volume.content, &options).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.img");
        let mut file = File::create_new(&path).unwrap();
        std::io::copy(&mut PayloadReader::new(&disk.content), &mut file).unwrap();
        Some(Self {
            _dir: dir,
            file: File::options().read(true).write(true).open(&path).unwrap(),
            path,
            boot: volume.boot,
        })
    }

    pub(crate) fn change(&self, at: u64, change: impl FnOnce(&mut [u8])) {
        let mut bytes = [0; 16];
        self.file.read_exact_at(&mut bytes, at).unwrap();
        change(&mut bytes);
        self.file.write_all_at(&bytes, at).unwrap();
    }

    /// Gives kernel and initrd other names in their folder: the firmware does not find them.
    fn hide_files(self) -> Self {
        let mut folders = vec![0; 2 << 20];
        self.file
            .read_exact_at(&mut folders, ESP_START_BYTES)
            .unwrap();
        for name in [b"KERNEL     ", b"INITRD  IMG"] {
            let at = folders.windows(name.len()).position(|at| at == name);
            let at = ESP_START_BYTES + at.unwrap() as u64;
            self.change(at, |bytes| bytes[0] = b'X');
        }
        self
    }

    /// A machine that boots from it.
    fn start(&self, attach: Attach) -> Option<Guest> {
        let drive = Drive::new(attach, DiskFormat::Raw, &self.path);
        Some(Machine::new(Firmware::Uefi)?.drive(drive).start())
    }

    /// Waits for what the loader says instead of starting the system.
    fn expect_refusal(&self, lines: &[&str]) {
        if let Some(mut guest) = self.start(Attach::Ahci) {
            guest.expect(lines, &["Linux version", "Kernel panic"], SECONDS);
        }
    }
}

const FROM_MEDIUM: &str = "lkbuild: reading the medium instead of the file";

#[test]
fn files_that_the_firmware_does_not_show_are_read_from_the_medium() {
    let Some(medium) = Medium::new(512) else {
        return;
    };
    if let Some(guest) = medium.hide_files().start(Attach::Ahci) {
        let log = expect_whole(guest);
        assert!(log.contains(FROM_MEDIUM), "{log}");
    }
}

#[test]
#[ignore = "the disks boot the same way: make soak"]
fn a_system_boots_from_files() {
    let Some(medium) = Medium::new(512) else {
        return;
    };
    if let Some(guest) = medium.start(Attach::Ahci) {
        let log = expect_whole(guest);
        assert!(!log.contains(FROM_MEDIUM), "{log}");
    }
}

#[test]
fn less_ram_than_the_system_needs_is_said() {
    let Some(medium) = Medium::new(1500) else {
        return;
    };
    let wanted = [
        "lkbuild: NOT STARTED: this system needs 1500 MiB of RAM, and there are ",
        "lkbuild: give the machine more memory",
    ];
    medium.expect_refusal(&wanted);
}

#[test]
fn a_damaged_initrd_is_not_started() {
    let Some(medium) = Medium::new(512) else {
        return;
    };
    let initrd = medium.boot.initrd;
    medium.change(initrd.start_bytes + initrd.len_bytes / 2, |bytes| {
        bytes[0] ^= 1;
    });
    let expected = format!(", and must have {:08x}", initrd.crc32);
    let wanted = [
        "lkbuild: the file boot/initrd.img has the checksum ",
        "lkbuild: NOT STARTED: the initrd has the checksum ",
        &expected,
        "lkbuild: the image is damaged: write it again, or build it anew",
    ];
    medium.expect_refusal(&wanted);
}
