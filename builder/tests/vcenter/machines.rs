//! Machines made of a pushed ISO or a template, and taken away again; pyvmomi says what is there.

use std::process::Stdio;
use std::time::{Duration, Instant};

use testdata::{Inventory, VCenterOptions};

use crate::lab::{Lab, Ran, content, exit, run};

/// A lab with `host/host.iso` on the datastore.
fn lab_with_iso(options: &VCenterOptions) -> Option<Lab> {
    let lab = Lab::with(options)?;
    lab.file("host.iso", 1, 5000);
    lab.must_push(&[
        "--datacenter",
        "DC0",
        "--datastore",
        "LocalDS_0",
        "host.iso",
    ]);
    Some(lab)
}

fn lkbuild(lab: &Lab, subcommand: &str, arguments: &[&str]) -> Ran {
    let mut command = lab.command();
    command.args([subcommand, "vcenter"]).args(arguments);
    run(&mut command)
}

const PLACE: [&str; 4] = ["--cluster", "DC0_C0", "--network", "VM Network"];
const ISO: &str = "host/host.iso";
const ISO_PATH: &str = "[LocalDS_0] host/host.iso";

fn names(inventory: &Inventory) -> Vec<&str> {
    inventory.machines.iter().map(|one| &*one.name).collect()
}

#[test]
fn three_machines_are_made_and_taken_away() {
    let Some(lab) = lab_with_iso(&VCenterOptions::default()) else {
        return;
    };
    let sizes = ["--cpus", "3", "--mem", "3G", "--persistent-size", "20G"];
    let three = ["--count", "3", "--name", "docker", "--power-on", ISO];
    let ran = lkbuild(&lab, "run", &[&PLACE[..], &sizes, &three].concat());
    ran.assert(exit::DONE, &["docker-1", "docker-2", "docker-3"]);
    assert_eq!(lab.vcenter.sessions(), 0, "it logged out");
    let Some(inventory) = lab.vcenter.inventory() else {
        return;
    };
    assert_eq!(names(&inventory), ["docker-1", "docker-2", "docker-3"]);
    for machine in &inventory.machines {
        assert_eq!((machine.cpus, machine.memory_mb), (3, 3072));
        assert_eq!(machine.firmware, "efi");
        assert_eq!(machine.networks, ["VM Network"]);
        assert_eq!(machine.pool.as_deref(), Some("DC0/host/DC0_C0/Resources"));
        assert!(machine.running);
        assert_eq!(machine.cds.len(), 1);
        assert_eq!(machine.cds[0].file.as_deref(), Some(ISO_PATH));
        assert!(machine.cds[0].start_connected);
        assert_eq!(machine.disks.len(), 1);
        assert_eq!(
            (machine.disks[0].bytes, machine.disks[0].thin),
            (20 << 30, true)
        );
    }
    // Names that are taken: nothing is made, not even the one that is free.
    let four = ["--count", "4", "--name", "docker", ISO];
    let ran = lkbuild(&lab, "run", &[&PLACE[..], &four].concat());
    ran.assert(exit::IN_USE, &["docker-1", "docker-3"]);
    // The file is in use now.
    lab.file("host.iso", 2, 5000);
    let ran = lab.push(&["host.iso"]);
    ran.assert(exit::IN_USE, &["docker-1", "docker-2", "docker-3"]);

    // What a guest wrote stays, unless it is to go.
    let disk = |number: u32| {
        let path = format!("docker-{number}/docker-{number}-flat.vmdk");
        lab.vcenter.datastore("DC0", "LocalDS_0").join(path)
    };
    for number in 1..=3 {
        std::fs::write(disk(number), b"containers").unwrap();
    }
    let ran = lkbuild(&lab, "rm", &["docker-1"]);
    ran.assert(exit::DONE, &["[LocalDS_0] docker-1/docker-1.vmdk"]);
    assert_eq!(std::fs::read(disk(1)).unwrap(), b"containers");
    lkbuild(&lab, "rm", &["--disks", "docker-2"]).assert(exit::DONE, &[]);
    assert!(!disk(2).exists());
    assert_eq!(names(&lab.vcenter.inventory().unwrap()), ["docker-3"]);
    // Of several, one that is not there: none is removed.
    let ran = lkbuild(&lab, "rm", &["docker-3", "docker-4"]);
    ran.assert(exit::NAME, &["docker-4"]);
    assert_eq!(names(&lab.vcenter.inventory().unwrap()), ["docker-3"]);

    // The disk that stayed gets a new machine and a new system.
    lab.must_push(&["--name", "v2.iso", "--folder", "host", "host.iso"]);
    let again = [
        "--name",
        "docker-1",
        "--disk",
        "[LocalDS_0] docker-1/docker-1.vmdk",
        "host/v2.iso",
    ];
    lkbuild(&lab, "run", &[&PLACE[..], &again].concat()).assert(exit::DONE, &[]);
    let inventory = lab.vcenter.inventory().unwrap();
    let machine = inventory.machine("docker-1").unwrap();
    assert_eq!(
        machine.cds[0].file.as_deref(),
        Some("[LocalDS_0] host/v2.iso")
    );
    assert_eq!(machine.disks[0].file, "[LocalDS_0] docker-1/docker-1.vmdk");
    assert_eq!(std::fs::read(disk(1)).unwrap(), b"containers");
    // It has one machine at a time.
    let other = [&PLACE[..], &["--name", "other"], &again[2..]].concat();
    lkbuild(&lab, "run", &other).assert(exit::IN_USE, &["docker-1"]);
}

#[test]
fn linuxkits_flags_are_understood() {
    let Some(lab) = lab_with_iso(&VCenterOptions::two_datacenters()) else {
        return;
    };
    let mut command = lab.command();
    command
        .args(["run", "vcenter", "--cpus", "1", "--mem", "1024"])
        .args(["--persistentSize", "1024", "--powerOn", "--waitForIP"])
        .args(["--vmfolder", "web", "--hostname", "DC1_H0", "host.iso"])
        .env("VCDATACENTER", "DC1")
        .env("VCDATASTORE", "LocalDS_1")
        .env("VCNETWORK", "DC1_DVPG0")
        .env("GOVC_FOLDER", "F0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let place = ["--datacenter", "DC1", "--datastore", "LocalDS_1"];
    lab.must_push(&[&place[..], &["--folder", "web", "host.iso"]].concat());
    let child = command.spawn().unwrap();
    let start = Instant::now();
    while !lab.vcenter.set_address("web", "192.0.2.7") {
        assert!(start.elapsed() < Duration::from_secs(60), "no machine");
        std::thread::sleep(Duration::from_millis(50));
    }
    let ran = Ran::of(&child.wait_with_output().unwrap());
    ran.assert(exit::DONE, &["192.0.2.7"]);
    let Some(inventory) = lab.vcenter.inventory() else {
        return;
    };
    let machine = inventory.machine("web").unwrap();
    assert_eq!(machine.path, "EMEA/Lab 1/DC1/vm/F0/web");
    let cd = machine.cds[0].file.as_deref();
    assert_eq!(cd, Some("[LocalDS_1] web/host.iso"));
    assert_eq!((machine.cpus, machine.memory_mb), (1, 1024));
    assert_eq!(machine.disks[0].bytes, 1 << 30);
    assert_eq!(machine.networks, ["DC1_DVPG0"]);
    assert!(machine.running);
    let pool = "EMEA/Lab 1/DC1/host/F0/DC1_H0/Resources";
    assert_eq!(machine.pool.as_deref(), Some(pool));
}

#[test]
fn govcs_variables_say_where_a_machine_goes() {
    let Some(lab) = lab_with_iso(&VCenterOptions::default()) else {
        return;
    };
    for (name, variable, value, pool) in [
        ("a", "GOVC_CLUSTER", "DC0_C0", "DC0/host/DC0_C0/Resources"),
        ("b", "GOVC_HOST", "DC0_H0", "DC0/host/DC0_H0/Resources"),
        ("c", "VCHOST", "DC0_H0", "DC0/host/DC0_H0/Resources"),
        (
            "d",
            "GOVC_RESOURCE_POOL",
            "/DC0/host/DC0_C0/Resources",
            "DC0/host/DC0_C0/Resources",
        ),
    ] {
        let mut command = lab.command();
        command.args(["run", "vcenter", "--name", name, ISO]);
        command
            .env(variable, value)
            .env("GOVC_NETWORK", "DC0_DVPG0");
        run(&mut command).assert(exit::DONE, &[]);
        if let Some(inventory) = lab.vcenter.inventory() {
            let machine = inventory.machine(name).unwrap();
            assert_eq!(machine.pool.as_deref(), Some(pool), "{variable}");
            assert_eq!(machine.networks, ["DC0_DVPG0"]);
        }
    }
}

#[test]
fn machines_that_were_made_are_told_when_something_fails() {
    let Some(lab) = lab_with_iso(&VCenterOptions::default()) else {
        return;
    };
    // No tools in the guests: the time is for all of them together.
    let wait = ["--wait-for-ip", "--ip-timeout", "1", "--count", "2"];
    let start = Instant::now();
    let ran = lkbuild(&lab, "run", &[&PLACE[..], &wait, &[ISO]].concat());
    ran.assert(
        exit::NETWORK,
        &["made /DC0/vm/host-1", "made /DC0/vm/host-2"],
    );
    ran.assert(
        exit::NETWORK,
        &["host-1 has no IP address", "open-vm-tools"],
    );
    assert!(start.elapsed() < Duration::from_secs(60));
    assert_eq!(lab.vcenter.sessions(), 0, "it logged out");
    // The second of three.
    lab.fault(testdata::Fault::status(503, 0).on("CreateVM_Task").skip(1));
    let three = ["--count", "3", "--name", "web", ISO];
    let ran = lkbuild(&lab, "run", &[&PLACE[..], &three].concat());
    ran.assert(exit::SERVER, &["made /DC0/vm/web-1", "web-2"]);
    assert!(!ran.stdout.contains("made /DC0/vm/web-2"), "{ran:?}");
    if let Some(inventory) = lab.vcenter.inventory() {
        assert_eq!(names(&inventory), ["host-1", "host-2", "web-1"]);
    }
}

#[test]
fn an_iso_is_found_where_a_push_puts_it() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("my host.iso", 1, 5000);
    lab.must_push(&["my host.iso"]);
    let run = |arguments: &[&str]| lkbuild(&lab, "run", &[&PLACE[..], arguments].concat());
    run(&["my host.iso"]).assert(exit::DONE, &["/DC0/vm/my host"]);
    // A folder that is named is meant.
    let other = ["--name", "other", "[LocalDS_0] my host/my host.iso"];
    run(&other).assert(exit::DONE, &["/DC0/vm/other"]);
    let two = ["--count", "2", "--name", "web", "my host.iso"];
    run(&two).assert(exit::DONE, &["/DC0/vm/web-2"]);
    run(&["--name", "web", "your.iso"]).assert(exit::NAME, &["[LocalDS_0] your.iso", "push"]);
    let Some(inventory) = lab.vcenter.inventory() else {
        return;
    };
    assert_eq!(names(&inventory), ["my host", "other", "web-1", "web-2"]);
    for machine in &inventory.machines {
        let cd = machine.cds[0].file.as_deref();
        assert_eq!(cd, Some("[LocalDS_0] my host/my host.iso"));
    }
}

#[test]
fn what_is_not_there_is_said_before_anything_is_made() {
    let Some(lab) = lab_with_iso(&VCenterOptions::default()) else {
        return;
    };
    let with = |arguments: &[&str]| lkbuild(&lab, "run", arguments);
    let all = |more: &[&'static str]| [&PLACE[..], more].concat();
    with(&all(&["host/other.iso"])).assert(exit::NAME, &["host/other.iso", "push"]);
    with(&all(&["[SSD] host/host.iso"])).assert(exit::NAME, &["SSD", "LocalDS_0"]);
    with(&all(&["--vm-folder", "nowhere", ISO])).assert(exit::NAME, &["nowhere"]);
    with(&all(&["--template", "nothing", "--name", "x"])).assert(exit::NAME, &["nothing"]);
    with(&["--cluster", "C9", "--network", "VM Network", ISO]).assert(exit::NAME, &["DC0_C0"]);
    with(&["--cluster", "DC0_C0", "--network", "blue", ISO])
        .assert(exit::NAME, &["blue", "VM Network", "DC0_DVPG0"]);
    // Several networks, and none named.
    with(&["--cluster", "DC0_C0", ISO]).assert(exit::NAME, &["VM Network", "DC0_DVPG0"]);
    assert_eq!(lab.count("CreateVM_Task"), 0);
    assert_eq!(lab.vcenter.sessions(), 0);
}

#[test]
fn machines_of_others_are_removed_by_force_alone() {
    let options = VCenterOptions {
        machines: 1,
        ..VCenterOptions::default()
    };
    let Some(lab) = Lab::with(&options) else {
        return;
    };
    let ran = lkbuild(&lab, "rm", &["DC0_H0_VM0"]);
    ran.assert(exit::IN_USE, &["DC0_H0_VM0", "--force"]);
    assert_eq!(lab.count("PowerOffVM_Task"), 0);
    assert_eq!(lab.count("Destroy_Task"), 0);
    let ran = lkbuild(&lab, "rm", &["--force", "DC0_H0_VM0"]);
    ran.assert(exit::DONE, &["[LocalDS_0] DC0_H0_VM0/disk1.vmdk"]);
    assert!(lab.files().contains_key("DC0_H0_VM0/disk1.vmdk"));
    if let Some(inventory) = lab.vcenter.inventory() {
        assert_eq!(names(&inventory), ["DC0_C0_RP0_VM0"]);
    }
}

#[test]
fn a_session_that_ends_while_machines_are_made_is_begun_again() {
    let Some(lab) = lab_with_iso(&VCenterOptions::default()) else {
        return;
    };
    let three = ["--count", "3", "--persistent-size", "1G", ISO];
    let run = [&PLACE[..], &three].concat();
    lab.fault(testdata::Fault::expire(0).on("CreateVM_Task").skip(1));
    lkbuild(&lab, "run", &run).assert(exit::DONE, &[]);
    assert_eq!(lab.vcenter.calm(), 0);
    lab.fault(testdata::Fault::expire(0).on("Destroy_Task").skip(1));
    let rm = ["--disks", "--count", "3", "host"];
    lkbuild(&lab, "rm", &rm).assert(exit::DONE, &[]);
    assert_eq!(lab.vcenter.calm(), 0);
    let left = [("host/host.iso".to_owned(), content(1, 5000))];
    assert_eq!(lab.files(), left.into());
}

#[test]
fn an_esxi_host_runs_machines() {
    let Some(lab) = Lab::with(&VCenterOptions::esx()) else {
        return;
    };
    lab.file("host.iso", 1, 5000);
    lab.must_push(&["host.iso"]);
    let one = [
        "--network",
        "VM Network",
        "--persistent-size",
        "2G",
        "--firmware",
        "bios",
    ];
    lkbuild(&lab, "run", &[&one[..], &["--power-on", ISO]].concat()).assert(exit::DONE, &[]);
    if let Some(inventory) = lab.vcenter.inventory() {
        let machine = inventory.machine("host").unwrap();
        assert_eq!(machine.cds[0].file.as_deref(), Some(ISO_PATH));
        assert_eq!(machine.disks[0].bytes, 2 << 30);
        assert_eq!(machine.firmware, "bios");
        assert!(machine.running);
    }
    lkbuild(&lab, "rm", &["--disks", "host"]).assert(exit::DONE, &[]);
    let left = lab.vcenter.files("ha-datacenter", "LocalDS_0");
    assert_eq!(left, [("host/host.iso".to_owned(), content(1, 5000))]);
}
