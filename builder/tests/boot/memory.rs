//! How much RAM a system needs, as the build says it, against machines that have more and less.
//!
//! With too little, Linux drops what does not fit its root file system and boots on; the tests see
//! that by the files that the guest's containers miss.

use testdata::qemu::{Firmware, Machine};

use crate::system::{System, incompressible, is_whole};

/// A file that takes most of the system's RAM, so that an error of the estimate shows. It is first in
/// the initrd: what does not fit are the containers.
const LARGE: &str = "  - path: a-large-file\n    source: large\n";
const LARGE_BYTES: usize = 96 << 20;

/// The system with its large file, built; and the MiB of RAM that it is said to need.
fn built() -> Option<(System, u32)> {
    Machine::new(Firmware::Bios)?;
    let system = System::new()?;
    incompressible(&system.file("large"), LARGE_BYTES);
    let large = system.file("large").display().to_string();
    let summary = system.build(
        &[],
        &LARGE.replace("source: large", &format!("source: {large}")),
    );
    let bytes = summary["ram_bytes"].as_u64().unwrap();
    Some((system, u32::try_from(bytes >> 20).unwrap() + 1))
}

fn comes_up(system: &System, memory_mib: u32) -> bool {
    let machine = Machine::new(Firmware::Bios).unwrap();
    let (kernel, initrd) = (system.file("os-kernel"), system.file("os-initrd.img"));
    let machine = machine.memory_mib(memory_mib);
    is_whole(machine.kernel(&kernel, &initrd, &system.cmdline()).start())
}

#[test]
fn a_system_comes_up_with_the_ram_it_is_said_to_need_and_not_with_much_less() {
    let Some((system, needed_mib)) = built() else {
        return;
    };
    assert!(comes_up(&system, needed_mib), "not with {needed_mib} MiB");
    let less_mib = needed_mib * 3 / 4;
    assert!(
        !comes_up(&system, less_mib),
        "{less_mib} MiB do: {needed_mib} is too much"
    );
}

/// Halves the interval until the edge is known to 8 MiB.
#[test]
#[ignore = "many boots: make soak"]
fn the_edge_of_the_ram_that_a_system_needs_lies_just_below_what_is_said() {
    let Some((system, needed_mib)) = built() else {
        return;
    };
    let (mut fails_mib, mut works_mib) = (needed_mib / 2, needed_mib);
    while works_mib - fails_mib > 8 {
        let middle_mib = fails_mib.midpoint(works_mib);
        match comes_up(&system, middle_mib) {
            true => works_mib = middle_mib,
            false => fails_mib = middle_mib,
        }
        println!("{middle_mib} MiB tried: the edge is between {fails_mib} and {works_mib} MiB");
    }
    println!(
        "said to need {needed_mib} MiB; comes up with {works_mib} MiB, not with {fails_mib} MiB"
    );
    assert!(works_mib > needed_mib * 3 / 4);
}
