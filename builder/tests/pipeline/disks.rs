//! Disks as files: each format holds the same disk, for outside programs too, and the same bytes
//! come out for the same system. That they boot is tested in `tests/boot`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use formats::disk::{PartitionEntry, read_partitions};
use formats::iso::{IsoReader, Limits, Names};
use testdata::{Compression, Image, Layer, Layout, judge};

use crate::program::{Bench, shown};
use crate::{read, system};

/// What a boot loader looks for in a kernel, and nothing that runs: an x86 bzImage that is also a
/// program for UEFI.
pub(crate) fn bz_image() -> Vec<u8> {
    let mut file = vec![0; 1024 + 4096 * 16];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x40_u32.to_le_bytes());
    put(0x40, b"PE\0\0\x64\x86");
    // Setup sectors, length in paragraphs, magic numbers, protocol 2.15.
    put(0x1f1, &[1]);
    put(0x1f4, &4096_u32.to_le_bytes());
    put(0x1fe, b"\x55\xaa");
    put(0x202, b"HdrS\x0f\x02");
    put(0x211, &[1]);
    put(0x22c, &0x7fff_ffff_u32.to_le_bytes());
    put(0x234, &[1]);
    put(0x236, &1_u16.to_le_bytes());
    put(0x238, &2047_u32.to_le_bytes());
    put(0x258, &0x100_0000_u64.to_le_bytes());
    put(0x260, &0x3f9_8000_u32.to_le_bytes());
    file
}

/// The usual system with another kernel.
fn images(kernel: Vec<u8>) -> Layout {
    let files = Layer::new()
        .file("kernel", kernel)
        .file("kernel.tar", Layer::new().tar());
    let kernel = Image::new().layer_as(&files, Compression::None);
    system::images().image("test/bz:1", &kernel)
}

fn yaml() -> String {
    system::YAML.replace("test/kernel:1", "test/bz:1")
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> Option<String> {
    let output = Command::new(judge(program)?)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{program}: {}", shown(&output));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Builds formats into the bench's folder.
fn build(bench: &Bench, formats: &str, more: &[&str]) {
    let mut command = bench.build();
    command.args(["--size", "0", "-f", formats]).args(more);
    let output = command.arg(bench.yaml(&yaml())).output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
}

#[test]
fn every_format_holds_the_same_disk() {
    let bench = Bench::new(&images(bz_image()));
    let formats = "raw,aws,raw-bios,raw-efi,vmdk,vmdk-sparse,qcow2,qcow2-efi,vhd,gcp,ova";
    build(&bench, formats, &["--data-size", "1M"]);
    let out = bench.out();
    let raw = std::fs::read(out.join("os.img")).unwrap();
    for same in ["os.raw", "os-bios.img", "os-efi.img"] {
        assert!(std::fs::read(out.join(same)).unwrap() == raw, "{same}");
    }
    let bytes = raw.len();
    let partitions = read_partitions(&raw).unwrap();
    let [esp, data] = &partitions[..] else {
        panic!("{partitions:?}");
    };
    assert!(esp.is_esp());
    assert_eq!(data.len_bytes, 1 << 20);
    the_disk_is_sound(&bench, &raw, esp);

    let compare = |file: &str, format: &str| {
        let arguments = ["compare", "-f", format, "-F", "raw", file, "os.img"];
        run("qemu-img", &arguments, &out).is_some()
    };
    for (file, format) in [
        ("os.vmdk", "vmdk"),
        ("os-sparse.vmdk", "vmdk"),
        ("os.qcow2", "qcow2"),
        ("os-efi.qcow2", "qcow2"),
    ] {
        if compare(file, format) {
            run("qemu-img", &["check", "-f", format, file], &out);
        }
    }
    compare("os.vhd", "vpc");
    // Reads the raw disk beside it.
    std::fs::remove_file(out.join("os.vmdk")).unwrap();
    build(&bench, "vmdk-flat", &["--data-size", "1M"]);
    compare("os.vmdk", "vmdk");
    assert!(std::fs::read(out.join("os-flat.vmdk")).unwrap() == raw);

    if run("tar", &["-xzSf", "os.img.tar.gz"], &out).is_some() {
        let disk = std::fs::read(out.join("disk.raw")).unwrap();
        assert_eq!(disk.len(), 1 << 30, "whole GiB");
        assert!(disk[..bytes] == raw && disk[bytes..].iter().all(|&byte| byte == 0));
        run("tar", &["-xf", "os.ova"], &out);
        let checked = run("sha256sum", &["--strict", "-c", "os.mf"], &out).unwrap();
        assert_eq!(checked.matches(": OK").count(), 2, "{checked}");
        compare("os-disk1.vmdk", "vmdk");
    }
}

/// What the judges of partition tables and FAT say; and that the files are on it.
fn the_disk_is_sound(bench: &Bench, raw: &[u8], esp: &PartitionEntry) {
    let out = bench.out();
    let Some(report) = run("sgdisk", &["-v", "os.img"], &out) else {
        return;
    };
    assert!(report.contains("No problems found."), "{report}");
    let start = usize::try_from(esp.start_bytes).unwrap();
    let volume = &raw[start..start + usize::try_from(esp.len_bytes).unwrap()];
    std::fs::write(bench.path("esp"), volume).unwrap();
    run(
        "fsck.fat",
        &["-n", "esp"],
        bench.path("esp").parent().unwrap(),
    );
    let volume = volume.to_vec();
    let reader = formats::fat::FatReader::open(&volume).unwrap();
    let entries = reader.entries(formats::fat::Limits::default()).unwrap();
    let paths: Vec<_> = entries.iter().map(|entry| &*entry.path).collect();
    for path in ["EFI/BOOT/BOOTX64.EFI", "boot/kernel", "boot/initrd.img"] {
        assert!(paths.contains(&path), "{paths:?}");
    }
}

#[test]
fn nothing_but_the_input_decides_about_the_bytes_of_disks() {
    let formats = "raw,vmdk,vmdk-sparse,ova,qcow2,vhd,gcp,kernel+squashfs";
    let first = Bench::new(&images(bz_image()));
    build(&first, formats, &[]);
    let first = first.outputs();
    for (threads, zone) in [("1", "UTC"), ("3", "Asia/Kathmandu")] {
        let other = Bench::new(&images(bz_image()));
        let mut command = other.build();
        let output = command
            .env("TZ", zone)
            .args(["--size", "0", "--threads", threads, "-f", formats])
            .arg(other.yaml(&yaml()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        let outputs = other.outputs();
        for (name, bytes) in &first {
            assert!(outputs[name] == *bytes, "{name}, {threads} threads, {zone}");
        }
    }
    // A dynamic disk has a fixed one's name.
    let dynamic = || {
        let bench = Bench::new(&images(bz_image()));
        build(&bench, "dynamic-vhd", &[]);
        bench.outputs()
    };
    assert!(dynamic() == dynamic());
}

#[test]
fn what_is_streamed_is_what_is_written_to_a_file() {
    let bench = Bench::new(&images(bz_image()));
    let yaml = bench.yaml(&yaml());
    for (format, ending) in [
        ("raw", "img"),
        ("vmdk", "vmdk"),
        ("ova", "ova"),
        ("gcp", "img.tar.gz"),
    ] {
        let to = |output: &str| {
            let mut command = bench.command();
            command.args(["--no-sbom", "--size", "0", "-f", format, "-o", output]);
            let output = command.arg(&yaml).output().unwrap();
            assert!(output.status.success(), "{}", shown(&output));
            output.stdout
        };
        let name = format!("lkbuild.{ending}");
        to(&name);
        assert!(
            to("-") == std::fs::read(bench.path(&name)).unwrap(),
            "{format}"
        );
    }
}

#[test]
fn sizes_are_at_least_what_is_asked_for() {
    let bench = Bench::new(&images(bz_image()));
    let length = |arguments: &[&str]| {
        let mut command = bench.build();
        command.args(["-f", "raw"]).args(arguments);
        let output = command.arg(bench.yaml(&yaml())).output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        let file = bench.out().join("os.img");
        std::fs::metadata(file).unwrap().len()
    };
    assert_eq!(length(&[]), 1 << 30);
    assert_eq!(length(&["--size", "2G"]), 2 << 30);
    let least = length(&["--size", "1"]);
    assert!(least < 200 << 20, "{least}");
    let with_data = length(&["--size", "1", "--data-size", "3M"]);
    assert_eq!(with_data, least + (3 << 20));
}

#[test]
fn an_appliance_is_as_the_options_say() {
    let bench = Bench::new(&images(bz_image()));
    let machine = |arguments: &[&str]| {
        let mut all = vec!["--ova-network", "DMZ & more", "--ova-cd"];
        all.extend(arguments);
        build(&bench, "ova", &all);
        let package = std::fs::read(bench.out().join("os.ova")).unwrap();
        let reader = formats::ova::OvaReader::open(package).unwrap();
        assert_eq!(reader.verify().unwrap(), Some(2));
        reader.descriptor().clone()
    };
    let usual = machine(&[]);
    assert_eq!(usual.name, "os");
    assert_eq!(usual.firmware.as_deref(), Some("bios"));
    assert_eq!(usual.memory_bytes, Some(1 << 30));
    assert_eq!(usual.networks, ["DMZ & more"]);
    let other = machine(&[
        "--ova-firmware",
        "efi",
        "--ova-memory",
        "3G",
        "--ova-cpus",
        "5",
        "--ova-disk",
        "10G",
        "--ova-hardware-version",
        "19",
        "--ova-guest-id",
        "otherLinux64Guest",
        "--ova-controller",
        "lsilogic",
    ]);
    assert_eq!(other.firmware.as_deref(), Some("efi"));
    assert_eq!(other.memory_bytes, Some(3 << 30));
    assert_eq!(other.cpus, Some(5));
    assert_eq!(other.hardware, ["vmx-19"]);
    assert_eq!(other.guest_id.as_deref(), Some("otherLinux64Guest"));
    assert_eq!(other.disks[1].capacity_bytes, Some(10 << 30));
    assert_eq!(other.devices[0].subtype.as_deref(), Some("lsilogic"));
}

#[test]
fn an_iso_with_a_damaged_partition_table_is_damaged() {
    let bench = Bench::new(&images(bz_image()));
    build(&bench, "iso", &[]);
    let path = bench.out().join("os.iso");
    let whole = std::fs::read(&path).unwrap();
    let inspect = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let arguments = ["inspect", path.to_str().unwrap()];
        bench.lkbuild(&arguments).output().unwrap()
    };
    let output = inspect(&whole);
    assert!(output.status.success(), "{}", shown(&output));
    // Type and magic of the MBR; the header's checksum, an entry, one that is not in use.
    for at in [450, 511, 512 + 17, 1024 + 32, 1024 + 20 * 128] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        let output = inspect(&damaged);
        assert_eq!(output.status.code(), Some(16), "{at}: {}", shown(&output));
    }
}

#[test]
fn kernel_and_squashfs_hold_the_system() {
    let bench = Bench::new(&system::images());
    let formats = "kernel+squashfs,kernel+initrd,tar";
    let outputs = bench.must_build(system::YAML, &["-f", formats]);
    let names: Vec<&str> = outputs.keys().map(String::as_str).collect();
    let expected = [
        "os-cmdline",
        "os-initrd.img",
        "os-kernel",
        "os-squashfs.img",
        "os.tar",
    ];
    assert_eq!(names, expected);
    inspected_squashfs(&bench, &outputs);
    let arguments = ["-no-progress", "-lln", "os-squashfs.img"];
    let Some(listed) = run("unsquashfs", &arguments, &bench.out()) else {
        return;
    };
    let tree = read::initrd(&outputs["os-initrd.img"]);
    for path in tree.0.keys() {
        let path = format!("squashfs-root/{}", String::from_utf8_lossy(path));
        let found = |line: &str| line.ends_with(&path) || line.contains(&format!("{path} -> "));
        assert!(listed.lines().any(found), "{path} is not in {listed}");
    }
    assert_eq!(listed.lines().count(), tree.0.len() + 1, "{listed}");
    // Bodies, through a second pair of eyes; devices would need a privilege.
    let motd = ["-cat", "os-squashfs.img", "etc/motd"];
    assert_eq!(run("unsquashfs", &motd, &bench.out()).unwrap(), "hello");
}

/// What `lkbuild inspect` says of the squashfs, against what it says of the initrd.
fn inspected_squashfs(bench: &Bench, outputs: &BTreeMap<String, Vec<u8>>) {
    let inspect = |name: &str| -> serde_json::Value {
        let file = bench.out().join(name);
        let arguments = ["inspect", "--json", "--files", "--security"];
        let arguments = [&arguments[..], &[file.to_str().unwrap()]].concat();
        let output = bench.lkbuild(&arguments).output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let (found, initrd) = (inspect("os-squashfs.img"), inspect("os-initrd.img"));
    assert_eq!(found["kind"], "squashfs");
    assert_eq!(found["compression"], "gzip");
    assert_eq!(
        found["used_bytes"]
            .as_u64()
            .map(|bytes| bytes.next_multiple_of(4096)),
        Some(outputs["os-squashfs.img"].len() as u64)
    );
    assert_eq!(found["content"], initrd["content"]);
    let rows = |report: &serde_json::Value| report["security"].as_array().unwrap().clone();
    for row in rows(&initrd) {
        assert!(rows(&found).contains(&row), "{row}");
    }
    let paths = |report: &serde_json::Value| -> Vec<String> {
        let rows = report["files"].as_array().unwrap().iter();
        let mut paths: Vec<_> = rows.map(|row| row["path"].to_string()).collect();
        paths.sort();
        paths
    };
    assert_eq!(paths(&found), paths(&initrd));
    assert_eq!(
        found["problems"].as_array().map(Vec::len),
        Some(0),
        "{found}"
    );
}

#[test]
fn kernel_and_iso_hold_the_system() {
    let bench = Bench::new(&system::images());
    let outputs = bench.must_build(system::YAML, &["-f", "kernel+iso,kernel+initrd"]);
    let names: Vec<&str> = outputs.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["os-cmdline", "os-initrd.img", "os-kernel", "os.iso"]
    );
    let iso = outputs["os.iso"].clone();
    let reader = IsoReader::open(&iso).unwrap();
    assert_eq!(reader.len_bytes(), iso.len() as u64);
    let entries = reader.entries(Names::RockRidge, Limits::default()).unwrap();
    let tree = read::initrd(&outputs["os-initrd.img"]);
    assert_eq!(entries.len(), tree.0.len());
    for entry in &entries {
        let shown = String::from_utf8_lossy(&entry.path);
        assert!(tree.0.contains_key(&entry.path), "{shown}");
    }
    // Bodies, through a second pair of eyes.
    let arguments = ["-R", "-i", "os.iso", "-x", "/etc/motd"];
    let Some(motd) = run("isoinfo", &arguments, &bench.out()) else {
        return;
    };
    assert_eq!(motd, "hello");
}

#[test]
fn a_kernel_that_does_not_boot_is_refused() {
    // Nothing that a loader knows.
    let bench = Bench::new(&system::images());
    for format in ["raw", "ova", "vmdk", "qcow2-efi", "iso"] {
        let mut command = bench.build();
        command.args(["-f", format]).arg(bench.yaml(system::YAML));
        bench.assert_failed(&command.output().unwrap(), &["not a Linux kernel image"]);
    }
    // No EFI stub: a warning, or an error for a format that is for UEFI.
    let mut no_stub = bz_image();
    no_stub[0] = 0;
    let bench = Bench::new(&images(no_stub));
    for format in ["raw-efi", "qcow2-efi"] {
        let mut command = bench.build();
        command.args(["-f", format]).arg(bench.yaml(&yaml()));
        let words = [format, "no EFI stub", "boots on a BIOS"];
        bench.assert_failed(&command.output().unwrap(), &words);
    }
    let mut command = bench.build();
    command.args(["-f", "ova", "--ova-firmware", "efi"]);
    command.arg(bench.yaml(&yaml()));
    bench.assert_failed(&command.output().unwrap(), &["ova", "no EFI stub"]);
    for (format, warns) in [("raw", true), ("raw-bios", false), ("ova", false)] {
        let mut command = bench.build();
        command.args(["--size", "0", "-f", format]);
        let output = command.arg(bench.yaml(&yaml())).output().unwrap();
        let shown = shown(&output);
        assert!(output.status.success(), "{shown}");
        let warned = shown.contains("the disk boots on a BIOS only");
        assert_eq!(warned, warns, "{format}: {shown}");
    }
}

#[test]
fn a_command_line_that_is_too_long_is_refused() {
    let bench = Bench::new(&images(bz_image()));
    let long = format!("cmdline: {}", "x".repeat(2048));
    let yaml = yaml().replace("cmdline: console=ttyS0", &long);
    for format in ["vmdk", "raw-bios", "qcow2-efi", "iso"] {
        let mut command = bench.build();
        command.args(["-f", format]).arg(bench.yaml(&yaml));
        let words = ["command line has 2048 bytes", "shorten kernel.cmdline"];
        bench.assert_failed(&command.output().unwrap(), &words);
    }
}

#[test]
fn a_kernel_of_another_architecture_is_refused() {
    // An arm64 Image with its stub, by its magic number and the PE header's machine.
    let mut kernel = vec![0; 8192];
    kernel[..2].copy_from_slice(b"MZ");
    kernel[0x38..0x3c].copy_from_slice(b"ARM\x64");
    kernel[0x3c..0x40].copy_from_slice(&0x40_u32.to_le_bytes());
    kernel[0x40..0x46].copy_from_slice(b"PE\0\0\x64\xaa");
    let bench = Bench::new(&images(kernel));
    for format in ["raw", "vmdk", "ova", "qcow2-efi", "iso", "uki"] {
        let mut command = bench.build();
        command.args(["-f", format]).arg(bench.yaml(&yaml()));
        bench.assert_failed(&command.output().unwrap(), &["arm64"]);
    }
}

#[test]
fn a_disk_needs_a_kernel() {
    let bench = Bench::new(&system::images());
    let yaml = system::YAML.replace(
        "kernel:\n  image: test/kernel:1\n  cmdline: console=ttyS0\n",
        "",
    );
    let mut command = bench.build();
    command.args(["-f", "qcow2"]).arg(bench.yaml(&yaml));
    let words = ["the format qcow2 needs a kernel", "-f tar"];
    bench.assert_failed(&command.output().unwrap(), &words);
}

#[test]
fn formats_that_do_not_go_together_are_refused() {
    let bench = Bench::new(&images(bz_image()));
    for (arguments, words) in [
        (
            &["-f", "vhd,dynamic-vhd"][..],
            &["vhd and dynamic-vhd", "NAME.vhd"][..],
        ),
        (&["-f", "vmdk-flat,vmdk"], &["NAME.vmdk"]),
    ] {
        let mut command = bench.build();
        command.args(arguments).arg(bench.yaml(&yaml()));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        bench.assert_failed(&output, words);
    }
    for (format, word) in [("qcow2", "as a stream"), ("vmdk-flat", "several files")] {
        let mut command = bench.command();
        command.args(["-f", format, "-o", "-"]);
        let output = command.arg(bench.yaml(&yaml())).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        bench.assert_failed(&output, &[format, word]);
    }
}

/// As `failures::SMALL_FILES` has it, with room for kernel and initrd.
const FILES_OF_8_MB: [&str; 4] = [
    "sh",
    "-c",
    "trap '' XFSZ; ulimit -f 16000; exec \"$@\"",
    "sh",
];

#[test]
fn no_space_for_an_output() {
    // Kernel and initrd fit each, but not both.
    let mut kernel = bz_image();
    kernel.extend(testdata::Prng::new(3).bytes(6_000_000));
    let bench = Bench::new(&images(kernel));
    for (format, file) in [
        ("raw", "os.img"),
        ("vmdk", "os.vmdk"),
        ("ova", "os.ova"),
        ("qcow2", "os.qcow2"),
        ("dynamic-vhd", "os.vhd"),
        ("iso", "os.iso"),
        ("uki", "os.efi"),
        ("tar", "os.tar"),
        ("docker", "os.docker"),
        ("tar-kernel-initrd", "os-initrd.tar"),
    ] {
        let mut command = bench.build_in(&FILES_OF_8_MB);
        command.args(["-f", format, "--size", "1G"]);
        let output = command.arg(bench.yaml(&yaml())).output().unwrap();
        bench.assert_failed(&output, &[file, "File too large"]);
    }
}

/// As [`FILES_OF_8_MB`], with too little for the initrd of the usual system.
const FILES_OF_100_KB: [&str; 4] = ["sh", "-c", "trap '' XFSZ; ulimit -f 200; exec \"$@\"", "sh"];

#[test]
fn no_space_to_put_the_initrd_aside_names_the_folder_and_what_to_do() {
    let bench = Bench::new(&images(bz_image()));
    // All that is needed of the images is in the cache by then.
    bench.must_build(&yaml(), &["-f", "kernel+initrd"]);
    bench.clear_out();
    let folder = bench.out();
    let folder = folder.to_str().unwrap();
    for format in ["iso", "raw", "vmdk"] {
        let mut command = bench.build_in(&FILES_OF_100_KB);
        command.args(["-f", format]);
        let output = command.arg(bench.yaml(&yaml())).output().unwrap();
        let words = ["temporary file in", folder, "File too large", "--dir"];
        bench.assert_failed(&output, &words);
    }
}

#[test]
fn an_initrd_that_no_firmware_can_place_is_refused() {
    use formats::medium::{BootFile, BootFiles, Loaders, boot_volume};
    use formats::payload::Extents;
    let files = |gib: u64| BootFiles {
        kernel: BootFile::read(bz_image()).unwrap(),
        // Nothing of it is looked at.
        initrd: BootFile::with_crc32(Extents::new(gib << 30), 0),
        cmdline: String::new(),
        ram_bytes: 0,
        images: Vec::new(),
    };
    let (loaders, missing) = Loaders::for_files(&files(1)).unwrap();
    assert!(loaders.bios.is_some() && loaders.efi.is_some() && missing.is_none());
    // Below 2 GiB is all that this kernel allows on a BIOS.
    let (loaders, missing) = Loaders::for_files(&files(3)).unwrap();
    assert!(loaders.bios.is_none() && loaders.efi.is_some());
    let missing = missing.unwrap().to_string();
    assert!(missing.contains("initrd"), "{missing}");
    // Above what a FAT volume, and so any medium, can hold.
    let (loaders, _) = Loaders::for_files(&files(5)).unwrap();
    let error = boot_volume(&files(5), &loaders, "x", 1 << 20).unwrap_err();
    assert!(error.to_string().contains("initrd.img"), "{error}");
}

#[test]
fn a_medium_that_is_there_with_the_same_bytes_stays() {
    use std::os::unix::fs::MetadataExt;

    let bench = Bench::new(&images(bz_image()));
    for formats in [
        "raw-bios,aws,vmdk,vhd,gcp",
        "vmdk-flat,kernel+iso",
        "iso,uki",
        // These say at their start what is known at the end.
        "vmdk-sparse,ova,qcow2,kernel+squashfs",
        "dynamic-vhd",
    ] {
        bench.clear_out();
        build(&bench, formats, &[]);
        let first = bench.outputs();
        let inodes = || -> BTreeMap<String, u64> {
            let names = first.keys();
            names
                .map(|name| {
                    let data = std::fs::metadata(bench.out().join(name)).unwrap();
                    (name.clone(), data.ino())
                })
                .collect()
        };
        let before = inodes();
        build(&bench, formats, &[]);
        assert!(bench.outputs() == first, "{formats}");
        for (name, inode) in inodes() {
            assert_eq!(inode, before[&name], "{name} was written again");
        }
        // Damage at the start, in the middle and at the end, and a tail.
        let places: [fn(usize) -> usize; 4] =
            [|_| 0, |bytes| bytes / 2, |bytes| bytes - 1, |bytes| bytes];
        for place in places {
            for (name, bytes) in &first {
                let (at, mut damaged) = (place(bytes.len()), bytes.clone());
                damaged.resize(bytes.len().max(at + 1), 0);
                damaged[at] ^= 1;
                std::fs::write(bench.out().join(name), damaged).unwrap();
            }
            build(&bench, formats, &[]);
            assert!(bench.outputs() == first, "{formats}");
        }
        // Another one is written as if nothing had been there.
        let other = ["--data-size", "1M", "--initrd-compression", "none"];
        build(&bench, formats, &other);
        let over = bench.outputs();
        bench.clear_out();
        build(&bench, formats, &other);
        assert!(bench.outputs() == over, "{formats}");
        assert!(over != first, "{formats}");
    }
}
