//! Appliances and disks through the import lease. The simulator's host keeps what it is sent;
//! qemu-img reads it.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use formats::ova;
use formats::vmdk::{self, DiskId};
use testdata::{Fault, Inventory, VCenterOptions, judge};

use crate::lab::{Lab, Ran, content, exit, run};

const MEGABYTE: usize = 1 << 20;

/// What is on the disk: data, a hole, data.
fn disk() -> Vec<u8> {
    let mut disk = content(7, 5 * MEGABYTE);
    disk.resize(20 * MEGABYTE, 0);
    disk.extend_from_slice(&content(8, 3 * MEGABYTE));
    disk.resize(24 * MEGABYTE, 0);
    disk
}

fn machine(name: &str) -> ova::Machine {
    ova::Machine {
        cpus: 3,
        firmware: ova::Firmware::Efi,
        ..ova::Machine::new(name, 768 << 20)
    }
}

/// Writes `NAME.ova`.
pub(crate) fn appliance(lab: &Lab, name: &str) -> PathBuf {
    let path = lab.path(&format!("{name}.ova"));
    let options = ova::Options {
        machine: machine(name),
        disk_id: DiskId([7; 16]),
        mtime: 0,
    };
    ova::write_ova(File::create(&path).unwrap(), &disk(), &options).unwrap();
    path
}

fn import(lab: &Lab, arguments: &[&str]) -> Ran {
    let mut command = lab.command();
    command.args(["import", "vcenter", "--retry-pause", "0.05"]);
    command.args(["--stall-timeout", "1.5", "--attempts", "2"]);
    run(command.args(arguments))
}

/// Which machine is meant, where there is a choice.
const PLACE: [&str; 4] = ["--cluster", "DC0_C0", "--network", "VM Network"];

/// Fails the test unless the host was sent one disk, and that is `disk()`.
fn assert_disk_arrived(lab: &Lab) {
    let mut sent: Vec<_> = std::fs::read_dir(lab.vcenter.leases())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let Some(qemu_img) = judge("qemu-img") else {
        return;
    };
    let raw = lab.path("arrived.raw");
    let output = Command::new(qemu_img)
        .args(["convert", "-f", "vmdk", "-O", "raw"])
        .arg(sent.pop().unwrap())
        .arg(&raw)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        std::fs::read(&raw).unwrap() == disk(),
        "another disk arrived"
    );
}

fn assert_machine(inventory: &Inventory, name: &str) {
    let machine = inventory.machine(name).unwrap();
    assert_eq!((machine.cpus, machine.memory_mb), (3, 768));
    assert_eq!(machine.disks.len(), 1);
    assert_eq!(machine.disks[0].bytes, 24 << 20);
    assert_eq!(machine.networks, ["VM Network"]);
}

#[test]
fn an_appliance_becomes_a_machine() {
    let Some(lab) = Lab::new() else {
        return;
    };
    appliance(&lab, "hôst & 1");
    let ran = import(&lab, &[&PLACE[..], &["--json", "hôst & 1.ova"]].concat());
    ran.assert(exit::DONE, &["\"imported\""]);
    assert_disk_arrived(&lab);
    assert_eq!(lab.vcenter.sessions(), 0, "it logged out");
    let requests = lab.vcenter.requests();
    let sent = requests.iter().find(|one| one.method == "POST").unwrap();
    assert!(sent.host && sent.status == 200, "{sent:?}");
    assert_eq!(lab.count("HttpNfcLeaseComplete"), 1);
    assert!(lab.count("HttpNfcLeaseProgress") > 0);
    if let Some(inventory) = lab.vcenter.inventory() {
        assert_machine(&inventory, "hôst & 1");
        assert!(!inventory.machine("hôst & 1").unwrap().running);
    }
    // The name is taken now.
    let ran = import(&lab, &[&PLACE[..], &["hôst & 1.ova"]].concat());
    ran.assert(exit::IN_USE, &["hôst & 1"]);
    assert_eq!(lab.count("ImportVApp"), 1);
}

#[test]
fn a_template_and_a_started_machine_are_made() {
    let Some(lab) = Lab::new() else {
        return;
    };
    appliance(&lab, "host");
    let template = ["--as-template", "--name", "base", "host.ova"];
    import(&lab, &[&PLACE[..], &template].concat()).assert(exit::DONE, &[]);
    let started = ["--power-on", "--name", "web", "host.ova"];
    import(&lab, &[&PLACE[..], &started].concat()).assert(exit::DONE, &[]);
    let Some(inventory) = lab.vcenter.inventory() else {
        return;
    };
    let seen = |name: &str| {
        let machine = inventory.machine(name).unwrap();
        (machine.template, machine.running)
    };
    assert_eq!(seen("base"), (true, false));
    assert_eq!(seen("web"), (false, true));
}

#[test]
fn what_was_imported_is_known_again_and_taken_away() {
    let Some(lab) = Lab::new() else {
        return;
    };
    appliance(&lab, "host");
    for more in [&["--as-template", "--name", "base"][..], &["--name", "web"]] {
        import(&lab, &[&PLACE[..], more, &["host.ova"]].concat()).assert(exit::DONE, &[]);
    }
    let rm = |arguments: &[&str]| {
        let mut command = lab.command();
        run(command.args(["rm", "vcenter"]).args(arguments))
    };
    // A template's disks can't be taken from it, and are not removed unasked.
    rm(&["web", "base"]).assert(exit::USAGE, &["DC0/vm/base", "--disks"]);
    assert_eq!(lab.count("Destroy_Task"), 0);
    rm(&["web"]).assert(exit::DONE, &["kept [LocalDS_0] web/"]);
    rm(&["--disks", "base"]).assert(exit::DONE, &[]);
    if let Some(inventory) = lab.vcenter.inventory() {
        assert!(inventory.machines.is_empty(), "{inventory:?}");
    }
    let left: Vec<String> = lab.files().into_keys().collect();
    assert!(left.iter().all(|path| path.starts_with("web/")), "{left:?}");
}

#[test]
fn a_bare_disk_gets_a_description() {
    let Some(lab) = Lab::new() else {
        return;
    };
    let file = File::create(lab.path("host.vmdk")).unwrap();
    let options = vmdk::Options::new(DiskId([7; 16]), "host.vmdk");
    vmdk::write_stream_optimized(file, &disk(), &options).unwrap();
    let sizes = ["--cpus", "3", "--mem", "768", "host.vmdk"];
    let ran = import(&lab, &[&PLACE[..], &sizes].concat());
    ran.assert(exit::DONE, &[]);
    assert_disk_arrived(&lab);
    if let Some(inventory) = lab.vcenter.inventory() {
        assert_machine(&inventory, "host");
    }
    // What no host takes is refused before it is asked.
    std::fs::write(lab.path("flat.vmdk"), content(1, MEGABYTE)).unwrap();
    let ran = import(&lab, &[&PLACE[..], &["flat.vmdk"]].concat());
    assert_ne!(ran.code, exit::DONE);
    assert_eq!(lab.count("ImportVApp"), 1);
}

#[test]
fn an_esxi_host_imports_too() {
    let Some(lab) = Lab::with(&VCenterOptions::esx()) else {
        return;
    };
    appliance(&lab, "host");
    let ran = import(&lab, &["--network", "VM Network", "host.ova"]);
    ran.assert(exit::DONE, &[]);
    assert_disk_arrived(&lab);
    if let Some(inventory) = lab.vcenter.inventory() {
        assert_machine(&inventory, "host");
    }
}

#[test]
fn an_import_that_fails_leaves_no_machine() {
    for (fault, codes) in [
        (Fault::cut(0), &[exit::NETWORK][..]),
        (Fault::cut(2_000_000), &[exit::NETWORK]),
        (Fault::lose_answer(), &[exit::NETWORK]),
        (Fault::stall(1_000_000), &[exit::NETWORK]),
        (Fault::status(500, 1_000_000), &[exit::SERVER]),
        (Fault::status(413, 0), &[exit::SERVER]),
        // Whether that is damage or the server's failure is for it to say.
        (Fault::drop_data(3_000_000), &[exit::SERVER, exit::DAMAGED]),
    ] {
        let Some(lab) = Lab::new() else {
            return;
        };
        appliance(&lab, "host");
        lab.fault(fault.clone().on("POST").times(1000));
        let ran = import(&lab, &[&PLACE[..], &["host.ova"]].concat());
        assert!(codes.contains(&ran.code), "{fault:?}: {ran:?}");
        let begun = lab.count("ImportVApp");
        assert_eq!(lab.count("HttpNfcLeaseAbort"), begun, "{fault:?}");
        assert!(
            lab.files().is_empty(),
            "{fault:?}: {:?}",
            lab.files().keys()
        );
        assert_eq!(lab.vcenter.sessions(), 0, "{fault:?}: it logged out");

        lab.vcenter.calm();
        let ran = import(&lab, &[&PLACE[..], &["host.ova"]].concat());
        ran.assert(exit::DONE, &[]);
        assert_disk_arrived(&lab);
    }
}

#[test]
fn a_damaged_appliance_is_not_imported() {
    let Some(lab) = Lab::new() else {
        return;
    };
    let path = appliance(&lab, "host");
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (what, bytes) in [
        ("flipped", &flipped[..]),
        ("cut", &whole[..whole.len() / 2]),
        ("empty", &[]),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let ran = import(&lab, &[&PLACE[..], &["host.ova"]].concat());
        assert_ne!(ran.code, exit::DONE, "{what}: {ran:?}");
        assert!(lab.files().is_empty(), "{what}: {:?}", lab.files().keys());
    }
}
