//! A system built by the program boots in QEMU: a kernel of Debian's, the guest's own init, and
//! containers that compare every file they see with what their layers mean.

// A panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod disks;
mod efi;
mod inspect;
mod iso;
mod large;
mod memory;
mod run;
mod system;
mod uki;

use system::{System, expect_whole};
use testdata::qemu::{Firmware, Machine};

#[test]
fn a_minimal_system_finds_every_file_as_its_layers_mean_it() {
    for compression in ["gzip", "zstd"] {
        let Some(machine) = Machine::new(Firmware::Bios) else {
            return;
        };
        let Some(system) = System::new() else { return };
        system.build(&["--initrd-compression", compression], "");
        let (kernel, initrd) = (system.file("os-kernel"), system.file("os-initrd.img"));
        expect_whole(machine.kernel(&kernel, &initrd, &system.cmdline()).start());
    }
}
