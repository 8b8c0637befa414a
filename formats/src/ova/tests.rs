use std::io::Cursor;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::payload::{Extents, Payload};
use crate::testing::{awkward_disk, judged, same_content};
use crate::vmdk::{DiskId, SparseReader};

const LEN_BYTES: u64 = 100 << 20;
const MTIME: i64 = 1_492_533_000;

fn options() -> Options {
    Options {
        machine: Machine::new("docker host", 1_400_000_000),
        disk_id: DiskId(*b"0123456789abcdef"),
        mtime: MTIME,
    }
}

fn with_everything() -> Options {
    let machine = Machine {
        name: "\"a\" & <b>: ü".to_owned(),
        hardware_version: 9,
        guest_id: "debian12_64Guest".to_owned(),
        firmware: Firmware::Efi,
        controller: Controller::LsiLogic,
        cpus: 8,
        network: Some("DMZ & <co>".to_owned()),
        cd_drive: true,
        data_bytes: (10 << 30) + 1,
        ..options().machine
    };
    Options {
        machine,
        ..options()
    }
}

fn ova(disk: &dyn Payload, options: &Options) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let bytes = write_ova(&mut out, disk, options).unwrap();
    assert_eq!(bytes, out.get_ref().len() as u64);
    out.into_inner()
}

#[test]
fn what_is_described_is_read_back() {
    let disk = awkward_disk(LEN_BYTES);
    let reader = OvaReader::open(ova(&disk, &options())).unwrap();
    let names: Vec<_> = reader.files().iter().map(|file| &*file.name).collect();
    let expected = [
        "docker_host.ovf",
        "docker_host.mf",
        "docker_host-disk1.vmdk",
    ];
    assert_eq!(names, expected);
    assert_eq!(reader.verify().unwrap(), Some(2));
    let read = reader.descriptor();
    assert_eq!(read.name, "docker host");
    assert_eq!(read.hardware, ["vmx-13"]);
    assert_eq!(read.guest_id.as_deref(), Some("other3xLinux64Guest"));
    assert_eq!(read.firmware.as_deref(), Some("bios"));
    assert_eq!(read.cpus, Some(2));
    assert_eq!(read.memory_bytes, Some(1336 << 20), "whole 4 MiB");
    assert_eq!(read.networks, ["VM Network"]);
    let [file] = &read.files[..] else {
        panic!("{read:?}")
    };
    assert_eq!(file.href, "docker_host-disk1.vmdk");
    assert_eq!(file.bytes, Some(reader.files()[2].len_bytes));
    assert_eq!(read.disks.len(), 1);
    assert_eq!(read.disks[0].capacity_bytes, Some(LEN_BYTES));
    assert_eq!(read.disks[0].file.as_ref(), Some(&file.id));
    let kinds: Vec<_> = read.devices.iter().map(|d| d.resource_type).collect();
    assert_eq!(kinds, [6, 17, 10]);
    assert_eq!(read.devices[0].subtype.as_deref(), Some("VirtualSCSI"));

    let reader = OvaReader::open(ova(&disk, &with_everything())).unwrap();
    assert_eq!(reader.verify().unwrap(), Some(2));
    assert_eq!(reader.files()[0].name, "_a_____b____.ovf");
    let read = reader.descriptor();
    assert_eq!(read.name, "\"a\" & <b>: ü");
    assert_eq!(read.hardware, ["vmx-09"]);
    assert_eq!(read.firmware.as_deref(), Some("efi"));
    assert_eq!(read.networks, ["DMZ & <co>"]);
    assert_eq!(read.disks[1].capacity_bytes, Some((10 << 30) + (1 << 20)));
    assert_eq!(read.disks[1].file, None);
    let kinds: Vec<_> = read.devices.iter().map(|d| d.resource_type).collect();
    assert_eq!(kinds, [6, 20, 15, 17, 17, 10]);
    assert_eq!(read.devices[0].subtype.as_deref(), Some("lsilogic"));
}

#[test]
fn the_disk_in_it_is_the_disk() {
    let disk = awkward_disk(LEN_BYTES);
    let package = ova(&disk, &options());
    let file = OvaReader::open(package.clone()).unwrap().files()[2].clone();
    let start = usize::try_from(file.start_bytes).unwrap();
    let vmdk = package[start..start + usize::try_from(file.len_bytes).unwrap()].to_vec();
    let reader = SparseReader::open(vmdk).unwrap();
    assert!(reader.descriptor().contains("\"docker_host-disk1.vmdk\""));
    assert!(same_content(&reader, &disk));
}

#[test]
fn tar_and_sha256sum_agree() {
    let folder = tempfile::tempdir().unwrap();
    let disk = awkward_disk(LEN_BYTES);
    for options in [options(), with_everything()] {
        std::fs::write(folder.path().join("x.ova"), ova(&disk, &options)).unwrap();
        let Some(names) = judged("tar", &["-tf", "x.ova"], folder.path()) else {
            return;
        };
        let names: Vec<_> = names.lines().collect();
        assert_eq!(names.len(), 3);
        let endings = [".ovf", ".mf", "-disk1.vmdk"];
        for (name, ending) in names.iter().zip(endings) {
            assert!(name.ends_with(ending), "{names:?}");
        }
        judged("tar", &["-xf", "x.ova"], folder.path());
        let checked = judged("sha256sum", &["--strict", "-c", names[1]], folder.path());
        let Some(checked) = checked else { return };
        assert_eq!(checked.matches(": OK").count(), 2, "{checked}");
    }
}

/// Cisco's Common OVF Tool: an independent reader that checks the references between sections and
/// what each platform supports. It takes every digest in a manifest of OVF 1 for a SHA-1, which
/// VMware's tools don't, so it gets the files without the manifest.
#[test]
fn common_ovf_tool_finds_nothing_to_complain_about() {
    let folder = tempfile::tempdir().unwrap();
    let Some(python) = testdata::judge_python() else {
        return;
    };
    let disk = awkward_disk(LEN_BYTES);
    for (options, lines) in [
        (
            options(),
            ["vmx-13", "VirtualSCSI", "VmxNet3", "1 /   100 MiB"],
        ),
        (
            with_everything(),
            ["vmx-09", "lsilogic", "harddisk @ SCSI 0:1", "2 /  10.1 GiB"],
        ),
    ] {
        let reader = OvaReader::open(ova(&disk, &options)).unwrap();
        for file in reader.files().iter().filter(|f| !f.name.ends_with(".mf")) {
            let mut bytes = vec![0; usize::try_from(file.len_bytes).unwrap()];
            let package = reader.package();
            package.read_exact_at(file.start_bytes, &mut bytes).unwrap();
            std::fs::write(folder.path().join(&file.name), bytes).unwrap();
        }
        let output = Command::new(&python)
            .args(["-c", "from COT.ui.cli import main; main()"])
            .args(["--verbose", "info"])
            .arg(folder.path().join(&reader.files()[0].name))
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{printed}{log}");
        for complaint in ["WARNING", "ERROR"] {
            assert!(!log.contains(complaint), "{printed}{log}");
        }
        for line in lines {
            assert!(printed.contains(line), "no {line:?}: {printed}{log}");
        }
    }
}

#[test]
fn what_is_streamed_is_the_same() {
    for len_bytes in [LEN_BYTES, LEN_BYTES + 1] {
        let disk = awkward_disk(len_bytes);
        for options in [options(), with_everything()] {
            let mut out = Vec::new();
            let bytes = stream_ova(&mut out, &disk, &options).unwrap();
            assert_eq!(bytes, out.len() as u64);
            assert!(out == ova(&disk, &options));
        }
    }
}

/// Where the number of digits in the disk's length decides how many blocks the description takes.
#[test]
fn every_length_of_the_description_works() {
    let disk = Extents::new(1 << 16);
    // The network's name stands there twice: all lengths within a block of 512 bytes.
    let lens: std::collections::BTreeSet<_> = (0..256)
        .map(|more| {
            let mut options = options();
            options.machine.network = Some("n".repeat(1 + more));
            let package = ova(&disk, &options);
            let mut streamed = Vec::new();
            stream_ova(&mut streamed, &disk, &options).unwrap();
            assert!(streamed == package, "{more}");
            let reader = OvaReader::open(package).unwrap();
            assert_eq!(reader.verify().unwrap(), Some(2));
            reader.descriptor_text().ends_with("\n\n")
        })
        .collect();
    assert!(lens.contains(&true) && lens.contains(&false), "{lens:?}");
}

#[test]
fn names_that_can_t_be_written_are_refused() {
    let refused = |change: fn(&mut Machine)| {
        let mut options = options();
        change(&mut options.machine);
        let mut out = Cursor::new(Vec::new());
        let error = write_ova(&mut out, &Extents::new(1 << 20), &options).unwrap_err();
        assert!(out.get_ref().is_empty());
        error.to_string()
    };
    let error = refused(|machine| machine.name.clear());
    assert!(error.contains("can't be the name"), "{error}");
    let error = refused(|machine| machine.network = Some("a\nb".to_owned()));
    assert!(error.contains("can't be the network"), "{error}");
    let error = refused(|machine| machine.name = "x".repeat(81));
    assert!(error.contains("81 bytes"), "{error}");
}

#[test]
fn damaged_packages_are_errors() {
    let package = ova(&awkward_disk(LEN_BYTES), &options());
    let open = |package: Vec<u8>| OvaReader::open(package).and_then(|reader| reader.verify());
    for cut in [0, 511, 512, 2000, package.len() / 2, package.len() - 1024] {
        assert!(open(package[..cut].to_vec()).is_err(), "{cut} bytes");
    }
    let last = package.len() - 2000;
    for at in [0, 600, 8000, last] {
        let mut damaged = package.clone();
        damaged[at] ^= 0x55;
        assert!(open(damaged).is_err(), "byte {at}");
    }
}

#[test]
fn descriptions_that_are_none_are_refused() {
    let refused = |text: &str| read_descriptor(text.as_bytes()).unwrap_err().to_string();
    for (text, why) in [
        ("", "no virtual system"),
        ("<a/>", "no Envelope"),
        ("<Envelope>", "ends within"),
        ("<Envelope></a>", "not XML"),
        ("<Envelope/>", "no virtual system"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><Envelope/>", "document type"),
        (
            "<Envelope><VirtualSystem><Name>&a;</Name></VirtualSystem></Envelope>",
            "entity",
        ),
        (
            "<Envelope><VirtualSystem/><VirtualSystem/></Envelope>",
            "more than one",
        ),
        (
            "<Envelope><VirtualSystemCollection/></Envelope>",
            "collection",
        ),
    ] {
        let error = refused(text);
        assert!(error.contains(why), "{text}: {error}");
    }
    let deep = "<Envelope>".repeat(40);
    assert!(refused(&deep).contains("elements within elements"));
    let many = format!(
        "<Envelope><References>{}</References></Envelope>",
        "<File/>".repeat(2000)
    );
    assert!(refused(&many).contains("more files"));
    assert!(read_manifest(b"SHA1(a)= 00").is_err());
    assert!(read_manifest(b"SHA256(a)= 00").is_err());
    let line = format!("SHA256(a (1).ovf)= {}\r\n", "aB".repeat(32));
    let expected = ("a (1).ovf".to_owned(), "ab".repeat(32));
    assert_eq!(read_manifest(line.as_bytes()).unwrap(), [expected]);
}

/// As VMware's and VirtualBox' tools write them: other prefixes, units, sections.
#[test]
fn descriptions_of_others_are_read() {
    let text = r#"<?xml version="1.0"?>
<ovf:Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <ovf:References><ovf:File ovf:id="f" ovf:href="a&amp;b.vmdk" ovf:size="7"/></ovf:References>
  <ovf:DiskSection><ovf:Info/>
    <ovf:Disk ovf:diskId="d" ovf:fileRef="f" ovf:capacity="16" ovf:capacityAllocationUnits="byte * 2^30"/>
  </ovf:DiskSection>
  <ovf:VirtualSystem ovf:id="vm">
    <ovf:EulaSection><ovf:License>long</ovf:License></ovf:EulaSection>
    <ovf:VirtualHardwareSection>
      <ovf:System><vssd:VirtualSystemType>vmx-07 vmx-08</vssd:VirtualSystemType></ovf:System>
      <ovf:Item><rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>512</rasd:VirtualQuantity></ovf:Item>
      <ovf:Item><rasd:ElementName><![CDATA[a]]>&#98;</rasd:ElementName><rasd:ResourceType>14</rasd:ResourceType></ovf:Item>
    </ovf:VirtualHardwareSection>
  </ovf:VirtualSystem>
</ovf:Envelope>"#;
    let read = read_descriptor(text.as_bytes()).unwrap();
    assert_eq!(read.name, "vm");
    assert_eq!(read.files[0].href, "a&b.vmdk");
    assert_eq!(read.disks[0].capacity_bytes, Some(16 << 30));
    assert_eq!(read.hardware, ["vmx-07", "vmx-08"]);
    assert_eq!(read.memory_bytes, Some(512 << 20));
    assert_eq!(read.devices[0].name, "ab");
}

proptest! {
    #[test]
    fn any_name_comes_back(name in "\\PC{1,40}", network in "\\PC{1,40}") {
        let mut options = options();
        options.machine.name = name.clone();
        options.machine.network = Some(network.clone());
        let mut out = Cursor::new(Vec::new());
        if write_ova(&mut out, &Extents::new(1 << 20), &options).is_ok() {
            let reader = OvaReader::open(out.into_inner()).unwrap();
            prop_assert_eq!(reader.verify().unwrap(), Some(2));
            if name.trim() == name {
                prop_assert_eq!(&reader.descriptor().name, &name);
            }
            prop_assert_eq!(&reader.descriptor().networks[0], &network);
        }
    }
}
