//! The ISO in all four ways to boot it, and the same bytes however it is built.

use std::sync::OnceLock;

use testdata::qemu::{Attach, DiskFormat, Drive, Firmware, Machine};

use crate::system::{System, expect_whole, shown};

/// A system that checks itself, built once as an ISO.
fn system() -> Option<&'static System> {
    static SYSTEM: OnceLock<Option<System>> = OnceLock::new();
    let built = SYSTEM.get_or_init(|| {
        let system = System::new()?;
        system.build(&["-f", "iso"], "");
        Some(system)
    });
    built.as_ref()
}

fn boots(firmware: Firmware, attach: Attach) {
    let Some(machine) = Machine::new(firmware) else {
        return;
    };
    let Some(system) = system() else { return };
    let drive = Drive::new(attach, DiskFormat::Raw, &system.file("os.iso"));
    expect_whole(machine.drive(drive).start());
}

#[test]
fn the_iso_boots_from_cd_on_a_bios() {
    boots(Firmware::Bios, Attach::Cd);
}

#[test]
fn the_iso_boots_from_disk_on_a_bios() {
    boots(Firmware::Bios, Attach::Ahci);
}

#[test]
fn the_iso_boots_from_cd_on_uefi() {
    boots(Firmware::Uefi, Attach::Cd);
}

#[test]
fn the_iso_boots_from_disk_on_uefi() {
    boots(Firmware::Uefi, Attach::Ahci);
}

#[test]
#[ignore = "more boots: make soak"]
fn the_iso_boots_from_a_usb_stick() {
    boots(Firmware::Bios, Attach::Usb);
    boots(Firmware::Uefi, Attach::Usb);
}

#[test]
fn the_iso_has_the_same_bytes_however_it_is_built() {
    let Some(system) = system() else { return };
    let iso = std::fs::read(system.file("os.iso")).unwrap();
    // LinuxKit's name for it, without the cache, and the initrd as an output of its own.
    let other = System::new().unwrap();
    let folder = other.file("another/folder").display().to_string();
    let formats = "kernel+initrd,iso-efi";
    let arguments = [
        "-f",
        formats,
        "--threads",
        "3",
        "--name",
        "os",
        "--dir",
        &folder,
    ];
    let output = other.run(&arguments, "", &[("TZ", "Pacific/Kiritimati")]);
    assert!(output.status.success(), "{}", shown(&output));
    let again = std::fs::read(other.file("another/folder/os-efi.iso")).unwrap();
    assert!(again == iso, "other bytes");

    // As a stream, which has the name that a file of this name gives.
    let streamed = other.run(&["-f", "iso", "-o", "-", "--threads", "1"], "", &[]);
    let file = other.file("lkbuild.iso").display().to_string();
    let output = other.run(&["-f", "iso", "-o", &file], "", &[]);
    assert!(output.status.success(), "{}", shown(&output));
    assert!(
        std::fs::read(file).unwrap() == streamed.stdout,
        "other bytes"
    );
}

#[test]
fn a_command_line_that_no_loader_takes_leaves_nothing_half_written() {
    let Some(system) = system() else { return };
    let long = system.file("long.yml");
    let cmdline = "x".repeat(2048);
    std::fs::write(&long, format!("kernel:\n  cmdline: {cmdline}\n")).unwrap();
    let folder = system.file("refused").display().to_string();
    let arguments = ["-f", "iso", "--name", "no", "--dir", &folder];
    let arguments = [&arguments[..], &[long.to_str().unwrap()]].concat();
    let output = system.run(&arguments, "", &[]);
    assert_eq!(output.status.code(), Some(5), "{}", shown(&output));
    let message = "shorten kernel.cmdline";
    assert!(shown(&output).contains(message), "{}", shown(&output));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}
