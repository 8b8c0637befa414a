//! A unified kernel image is one program that UEFI starts.

use std::fs::File;
use std::path::{Path, PathBuf};

use formats::disk::{self, DiskOptions};
use formats::fat::{FatVolume, FileSpec, VolumeOptions};
use formats::medium::EFI_LOADER_PATH;
use formats::payload::{FilePayload, Payload, PayloadReader};
use testdata::judge_file;
use testdata::qemu::{Attach, DiskFormat, Drive, Firmware, Machine};

use crate::system::{System, expect_whole};

/// systemd's stub, as Debian's systemd-boot-efi has it.
const SYSTEMD_STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

/// A disk whose EFI system partition holds nothing but a program.
fn disk_of(program: &Path, disk: PathBuf) -> PathBuf {
    let program = FilePayload::new(File::open(program).unwrap()).unwrap();
    let options = VolumeOptions {
        label: "UKI".to_owned(),
        id: 1,
        least_bytes: 0,
    };
    let file = FileSpec {
        path: EFI_LOADER_PATH.to_owned(),
        len_bytes: program.len_bytes(),
    };
    let volume = FatVolume::plan(&options, &[file]).unwrap();
    let options = DiskOptions {
        id: [1; 16],
        bios: None,
        data_bytes: 0,
        least_bytes: 0,
    };
    let content = volume.fill_with([program]).unwrap();
    let content = disk::build(content, &options).unwrap().content;
    let mut file = File::create(&disk).unwrap();
    std::io::copy(&mut PayloadReader::new(&content), &mut file).unwrap();
    disk
}

fn boots(arguments: &[&str]) {
    let Some(machine) = Machine::new(Firmware::Uefi) else {
        return;
    };
    let Some(system) = System::new() else { return };
    system.build(&[&["-f", "uki"], arguments].concat(), "");
    let disk = disk_of(&system.file("os.efi"), system.file("disk.img"));
    let drive = Drive::new(Attach::Ahci, DiskFormat::Raw, &disk);
    expect_whole(machine.drive(drive).start());
}

#[test]
fn a_unified_kernel_image_boots() {
    boots(&[]);
}

#[test]
#[ignore = "one more boot: make soak"]
fn a_unified_kernel_image_with_systemd_s_stub_boots() {
    if judge_file(Path::new(SYSTEMD_STUB)).is_some() {
        boots(&["--uki-stub", SYSTEMD_STUB]);
    }
}
