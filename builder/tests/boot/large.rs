//! An initrd of 300 MB, on machines that have room for it and on one that has not.

use std::sync::OnceLock;

use testdata::qemu::{Attach, DiskFormat, Drive, Firmware, Guest, Machine};

use crate::system::{System, expect_whole, incompressible};

const LARGE_BYTES: usize = 300_000_000;

/// A disk with a system that has a large file besides, and the MiB of RAM that it needs.
fn system() -> Option<&'static (System, u32)> {
    static SYSTEM: OnceLock<Option<(System, u32)>> = OnceLock::new();
    let built = SYSTEM.get_or_init(|| {
        Machine::new(Firmware::Uefi)?;
        let system = System::new()?;
        let large = system.file("large");
        incompressible(&large, LARGE_BYTES);
        let file = format!("  - path: large\n    source: {}\n", large.display());
        let summary = system.build(&["-f", "raw", "--size", "0"], &file);
        let initrd_bytes = summary["initrd_bytes"].as_u64().unwrap();
        assert!(initrd_bytes > LARGE_BYTES as u64, "{summary}");
        let mib = summary["ram_bytes"].as_u64().unwrap().div_ceil(1 << 20);
        Some((system, u32::try_from(mib).unwrap()))
    });
    built.as_ref()
}

fn start(firmware: Firmware, system: &System, memory_mib: u32) -> Guest {
    let disk = Drive::new(Attach::Ahci, DiskFormat::Raw, &system.file("os.img"));
    let machine = Machine::new(firmware).unwrap().drive(disk);
    machine.memory_mib(memory_mib).start()
}

#[test]
#[ignore = "minutes: make soak"]
fn a_system_of_300_mb_boots_on_a_bios_and_on_uefi() {
    let Some((system, needed_mib)) = system() else {
        return;
    };
    for firmware in [Firmware::Bios, Firmware::Uefi] {
        // The firmware keeps some for itself.
        expect_whole(start(firmware, system, needed_mib + 128));
    }
}

#[test]
#[ignore = "minutes: make soak"]
fn with_300_mib_of_ram_both_loaders_say_how_much_is_needed() {
    let Some((system, needed_mib)) = system() else {
        return;
    };
    let wanted = format!("NOT STARTED: this system needs {needed_mib} MiB of RAM, and there are 2");
    for firmware in [Firmware::Bios, Firmware::Uefi] {
        let mut guest = start(firmware, system, 300);
        guest.expect(&[&wanted], &["Linux version"], 300);
    }
}
