//! The descriptions mean to other programs what they mean to us.

use std::process::Command;

use crate::qemu::{Attach, DiskFormat, Drive, Firmware, Machine, Outcome};
use crate::*;

/// Lists a tar with GNU tar, or `None` where it is not installed.
fn gnu_tar(layer: &Layer, arguments: &[&str]) -> Option<String> {
    let tar = judge("tar")?;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("layer.tar");
    std::fs::write(&file, layer.tar()).unwrap();
    let output = Command::new(tar)
        .args(arguments)
        .arg("-f")
        .arg(&file)
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn gnu_tar_lists_what_is_described() {
    let long = "d/".repeat(70) + "file";
    let layer = Layer::new()
        .dir("etc", 0o750)
        .owner(1, 2)
        .file("etc/motd", "hello\n")
        .mode(0o4711)
        .owner(3_000_000, 4_294_967_294)
        .hardlink("etc/issue", "etc/motd")
        .symlink("etc/link", &long)
        .char_device("dev/null", 1, 3)
        .block_device("dev/sda", 8, 0)
        .fifo("pipe")
        .file(&long, "pax")
        .file(&long, "gnu")
        .dialect(Dialect::Gnu)
        .owner(3_000_000, 5)
        .mtime(-1)
        .file(&long, "prefix")
        .dialect(Dialect::Prefix)
        .whiteout("etc/old")
        .opaque("etc");
    let Some(listing) = gnu_tar(&layer, &["-tv", "--numeric-owner", "--full-time"]) else {
        return;
    };
    let expected = format!(
        "drwxr-x--- 1/2               0 2023-11-14 22:13:20 etc\n\
         -rws--x--x 3000000/4294967294 6 2023-11-14 22:13:20 etc/motd\n\
         hrw-r--r-- 0/0                0 2023-11-14 22:13:20 etc/issue link to etc/motd\n\
         lrwxrwxrwx 0/0                0 2023-11-14 22:13:20 etc/link -> {long}\n\
         crw-r--r-- 0/0              1,3 2023-11-14 22:13:20 dev/null\n\
         brw-r--r-- 0/0              8,0 2023-11-14 22:13:20 dev/sda\n\
         prw-r--r-- 0/0                0 2023-11-14 22:13:20 pipe\n\
         -rw-r--r-- 0/0                3 2023-11-14 22:13:20 {long}\n\
         -rw-r--r-- 3000000/5          3 1969-12-31 23:59:59 {long}\n\
         -rw-r--r-- 0/0                6 2023-11-14 22:13:20 {long}\n\
         -rw-r--r-- 0/0                0 2023-11-14 22:13:20 etc/.wh.old\n\
         -rw-r--r-- 0/0                0 2023-11-14 22:13:20 etc/.wh..wh..opq\n"
    );
    let squeeze = |text: &str| {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.lines().map(words).collect::<Vec<_>>()
    };
    assert_eq!(squeeze(&listing), squeeze(&expected));
}

#[test]
fn gnu_tar_reads_every_sparse_format() {
    let data = vec![b'x'; 1024];
    // More ranges than an old GNU header and one block after it hold.
    let many: Vec<(u64, &[u8])> = (0..30).map(|i| (i * 4096, &data[..512])).collect();
    for format in [
        SparseFormat::OldGnu,
        SparseFormat::Pax00,
        SparseFormat::Pax01,
        SparseFormat::Pax10,
    ] {
        for chunks in [&[(512, &data[..]), (8192, &data[..7])], &many[..]] {
            let size = 200_000;
            let mut content = vec![0u8; 200_000];
            for (at, chunk) in chunks {
                let at = usize::try_from(*at).unwrap();
                content[at..at + chunk.len()].copy_from_slice(chunk);
            }
            let layer = Layer::new().sparse("s", format, size, chunks);
            let Some(read) = gnu_tar(&layer, &["-xO"]) else {
                return;
            };
            assert!(read.as_bytes() == content, "{format:?}");
        }
    }
}

#[test]
fn wrong_checksum_is_wrong() {
    let layer = Layer::new().file("a", "x").wrong_checksum();
    let right = Layer::new().file("a", "x").tar();
    let differing = layer
        .tar()
        .iter()
        .zip(&right)
        .filter(|(a, b)| a != b)
        .count();
    assert_eq!(differing, 1);
}

#[test]
fn skopeo_reads_layouts_and_docker_archives() {
    let Some(skopeo) = judge("skopeo") else {
        return;
    };
    let layer = Layer::new().file("a", "x".repeat(3000));
    let compressions = [
        Compression::Gzip,
        Compression::GzipMembers(3),
        Compression::Zstd,
        Compression::ZstdFrames(2),
        Compression::None,
    ];
    let image = compressions
        .iter()
        .fold(Image::new(), |image, &c| image.layer_as(&layer, c))
        .config(serde_json::json!({"Cmd": ["/a"]}))
        .platforms(["linux/amd64", "linux/arm64/v8"])
        .sbom(serde_json::json!({"spdxVersion": "SPDX-2.3"}));
    let layout = Layout::new().image("vec/x:1", &image);
    let dir = tempfile::tempdir().unwrap();
    layout.write_dir(&dir.path().join("oci"));
    std::fs::write(dir.path().join("oci.tar"), layout.tar()).unwrap();
    std::fs::write(dir.path().join("docker.tar"), layout.docker_save()).unwrap();
    for source in [
        format!("oci:{}/oci:docker.io/vec/x:1", dir.path().display()),
        format!(
            "oci-archive:{}/oci.tar:docker.io/vec/x:1",
            dir.path().display()
        ),
        format!("docker-archive:{}/docker.tar:vec/x:1", dir.path().display()),
    ] {
        let output = Command::new(&skopeo)
            .args(["--override-os=linux", "--override-arch=amd64", "inspect"])
            .arg(&source)
            .output()
            .unwrap();
        assert!(output.status.success(), "{source}: {output:?}");
        let inspected: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(inspected["Architecture"], "amd64", "{source}");
        assert_eq!(inspected["Layers"].as_array().unwrap().len(), 5, "{source}");
    }
}

#[test]
fn skopeo_reads_images_from_the_registry() {
    let (Some(registry), Some(skopeo)) = (Registry::start(), judge("skopeo")) else {
        return;
    };
    let layer = Layer::new().file("a", "x");
    let image = Image::new()
        .layer(&layer)
        .platforms(["linux/amd64", "linux/arm64"])
        .sbom(serde_json::json!({"spdxVersion": "SPDX-2.3"}));
    let layout = Layout::new()
        .image("test/index:1", &image)
        .image("test/plain:1", &image.clone().plain_manifest());
    registry.push(&layout);
    for name in ["index", "plain"] {
        let output = Command::new(&skopeo)
            .args(["--override-arch=amd64", "inspect", "--tls-verify=false"])
            .arg(format!("docker://{}/test/{name}:1", registry.host()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let inspected: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(inspected["Layers"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn vectors_are_understood_whole() {
    let Some(dir) = vectors_dir() else { return };
    for kind in ["assembly", "known-wrong"] {
        for case in std::fs::read_dir(dir.join(kind)).unwrap() {
            let case = case.unwrap().path();
            if case.is_dir() {
                assert!(!images_from_json(&case.join("images.json")).is_empty());
                assert!(!read_tree(&case.join("tree.jsonl")).is_empty());
            }
        }
    }
    for kind in ["errors", "accepted"] {
        assert!(!images_from_json(&dir.join(kind).join("images.json")).is_empty());
    }
}

#[test]
fn random_choices_never_change() {
    // First value of SplitMix64 for seed 0, as published with java.util.SplittableRandom.
    assert_eq!(Prng::new(0).bits(), 0xe220_a839_7b1d_cdaf);
}

/// A boot sector that writes its text to the first serial line and the screen.
fn boot_sector() -> Vec<u8> {
    let mut sector = vec![
        0x31, 0xc0, 0x8e, 0xd8, // ds = 0
        0xfc, 0xbe, 0x1d, 0x7c, // si = text
        0xac, 0x84, 0xc0, 0x74, 0x0d, // its next byte; at 0, go to the end
        0xba, 0xf8, 0x03, 0xee, // to port 0x3f8
        0xb4, 0x0e, 0xbb, 0x07, 0x00, 0xcd, 0x10, // and to the screen
        0xeb, 0xee, // next
        0xf4, 0xeb, 0xfd, // for ever
    ];
    sector.extend_from_slice(b"the sector speaks\r\n\0");
    sector.resize(510, 0);
    sector.extend_from_slice(&[0x55, 0xaa]);
    sector.resize(1 << 20, 0);
    sector
}

#[test]
fn a_machine_boots_its_first_drive() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("a,b.raw");
    let empty = dir.path().join("empty.raw");
    std::fs::write(&disk, boot_sector()).unwrap();
    std::fs::write(&empty, vec![0; 1 << 20]).unwrap();
    for attach in [Attach::Ahci, Attach::Pvscsi] {
        let Some(machine) = Machine::new(Firmware::Bios) else {
            return;
        };
        let mut guest = machine
            .drive(Drive::new(attach, DiskFormat::Raw, &disk))
            .drive(Drive::new(Attach::Ahci, DiskFormat::Raw, &empty))
            .memory_mib(64)
            .start();
        let log = guest.expect(&["the sector speaks\n"], &["another"], 300);
        assert_eq!(log, "the sector speaks\n");
        guest.expect_on_screen("the sector speaks", 300);
        assert!(guest.firmware_log().contains("Booting from Hard Disk"));
        assert_eq!(
            guest.wait_for(&["nothing"], &["sector"], 1),
            Outcome::Refused("sector".to_owned())
        );
        assert_eq!(guest.wait_for(&["nothing"], &[], 0), Outcome::TimedOut);
        guest.control("quit", &serde_json::json!({}));
        assert_eq!(guest.wait_for(&["nothing"], &[], 20), Outcome::Ended);
        assert_eq!(guest.wait_for(&[], &[], 20), Outcome::Seen);
    }
}

#[test]
fn a_machine_has_the_firmware_that_was_asked_for() {
    let Some(machine) = Machine::new(Firmware::Uefi) else {
        return;
    };
    // Nothing to boot from: the firmware says so on the serial line.
    machine
        .memory_mib(256)
        .start()
        .expect(&["BdsDxe"], &["SeaBIOS"], 300);
}

#[test]
fn a_vcenter_has_what_was_asked_for() {
    let options = VCenterOptions {
        machines: 1,
        datastore: Some("ISOs & more".into()),
        ..VCenterOptions::two_datacenters()
    };
    let Some(vcenter) = options.start() else {
        return;
    };
    let dir = vcenter.datastore("EMEA/Lab 1/DC1", "LocalDS_1");
    std::fs::write(dir.join("a.iso"), b"12345").unwrap();
    let Some(inventory) = vcenter.inventory() else {
        return;
    };
    let names: Vec<_> = inventory.datastores.iter().map(|one| &*one.name).collect();
    let expected = [
        "ISOs & more",
        "LocalDS_0",
        "LocalDS_1",
        "LocalDS_0",
        "LocalDS_1",
    ];
    assert_eq!(names, expected);
    let file = &inventory.files("EMEA/Lab 1/DC1", "LocalDS_1")[0];
    assert_eq!((&*file.path, file.size), ("a.iso", Some(5)));
    assert_eq!(inventory.machines.len(), 4);
    assert!(inventory.machine("DC1_C0_RP0_VM0").unwrap().running);
    assert_eq!(vcenter.sessions(), 0, "pyvmomi logged out");
}

#[test]
fn an_esxi_host_is_its_own_datacenter() {
    let Some(host) = VCenterOptions::esx().start() else {
        return;
    };
    let dir = host.datastore("ha-datacenter", "LocalDS_0");
    std::fs::write(dir.join("a.iso"), b"").unwrap();
    let Some(inventory) = host.inventory() else {
        return;
    };
    let file = &inventory.files("ha-datacenter", "LocalDS_0")[0];
    assert_eq!((&*file.path, file.size), ("a.iso", Some(0)));
}
