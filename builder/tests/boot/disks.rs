//! Disks boot, each format on a BIOS and on UEFI from one file.

use std::sync::OnceLock;

use testdata::qemu::{Attach, DiskFormat, Drive, Firmware, Machine};

use crate::system::{System, expect_whole};

/// A system that checks itself as disks of all formats, built once.
fn system() -> Option<&'static System> {
    static SYSTEM: OnceLock<Option<System>> = OnceLock::new();
    let built = SYSTEM.get_or_init(|| {
        Machine::new(Firmware::Uefi)?;
        let system = System::new()?;
        let formats = "raw,vmdk,vmdk-sparse,qcow2,dynamic-vhd";
        system.build(&["--size", "0", "--data-size", "10M", "-f", formats], "");
        Some(system)
    });
    built.as_ref()
}

/// Starts the system from a file on both kinds of firmware; it must find all its files.
fn boots(file: &str, format: DiskFormat, attach: Attach) {
    boots_on(&[Firmware::Bios, Firmware::Uefi], file, format, attach);
}

fn boots_on(firmware: &[Firmware], file: &str, format: DiskFormat, attach: Attach) {
    let Some(system) = system() else { return };
    for &firmware in firmware {
        let drive = Drive::new(attach, format, &system.file(file));
        let machine = Machine::new(firmware).unwrap().drive(drive);
        let log = expect_whole(machine.start());
        assert!(log.contains("Linux version"), "{file}, {firmware:?}: {log}");
    }
}

#[test]
fn a_raw_disk_boots() {
    boots("os.img", DiskFormat::Raw, Attach::Ahci);
}

#[test]
fn a_stream_optimized_vmdk_boots() {
    boots("os.vmdk", DiskFormat::Vmdk, Attach::Ahci);
}

#[test]
fn a_sparse_vmdk_boots() {
    boots("os-sparse.vmdk", DiskFormat::Vmdk, Attach::Ahci);
}

#[test]
#[ignore = "many boots: make soak"]
fn a_qcow2_boots() {
    boots("os.qcow2", DiskFormat::Qcow2, Attach::VirtioBlk);
}

#[test]
#[ignore = "many boots: make soak"]
fn a_vhd_boots() {
    boots("os.vhd", DiskFormat::Vpc, Attach::Ahci);
}

#[test]
#[ignore = "many boots: make soak"]
fn a_disk_boots_from_usb() {
    boots("os.img", DiskFormat::Raw, Attach::Usb);
}

/// The controllers of VMware's machines; OVMF as Debian builds it can't boot from them.
#[test]
#[ignore = "many boots: make soak"]
fn a_disk_boots_from_vmware_s_controllers() {
    for attach in [Attach::Pvscsi, Attach::Mptsas1068] {
        boots_on(&[Firmware::Bios], "os.img", DiskFormat::Raw, attach);
    }
}
