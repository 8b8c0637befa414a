//! `lkbuild inspect` on what the program writes, whole and damaged, and on what is nothing.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use formats::compress::Compression;
use formats::cpio::{CpioWriter, Entry};
use serde_json::Value;

use crate::efi::Medium;
use crate::system::System;

/// Outputs of the system, and what kind of file they are.
const OUTPUTS: [(&str, &str); 13] = [
    ("os-kernel", "kernel"),
    ("os-initrd.img", "initrd"),
    ("os.tar", "tar"),
    ("os-initrd.tar", "tar"),
    ("os.efi", "uki"),
    ("os.img", "disk"),
    ("os.vmdk", "vmdk"),
    ("os-sparse.vmdk", "vmdk"),
    ("os.ova", "ova"),
    ("os.qcow2", "qcow2"),
    ("os.vhd", "vhd"),
    ("os.img.tar.gz", "gcp"),
    ("os.iso", "iso"),
];

/// The formats that these are. (`vmdk-flat` has the names of `vmdk`.)
const FORMATS: &str =
    "kernel+initrd,tar,tar-kernel-initrd,uki,raw,vmdk,vmdk-sparse,ova,qcow2,dynamic-vhd,gcp,iso";

/// The system in all of them, built once.
fn outputs() -> Option<&'static System> {
    static SYSTEM: OnceLock<Option<System>> = OnceLock::new();
    let built = SYSTEM.get_or_init(|| {
        let system = System::new()?;
        system.build(&["-f", FORMATS, "--size", "200M"], "");
        Some(system)
    });
    built.as_ref()
}

fn inspect(file: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lkbuild"))
        .arg("inspect")
        .args(arguments)
        .arg(file)
        .output()
        .unwrap()
}

/// The report, and the exit code.
fn report(file: &Path, arguments: &[&str]) -> (Value, i32) {
    let output = inspect(file, &[arguments, &["--json"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let report = serde_json::from_str(&text).unwrap_or_else(|e| {
        panic!("{e}: {text}{}", String::from_utf8_lossy(&output.stderr));
    });
    (report, output.status.code().unwrap())
}

/// A report of a file that is whole.
fn whole(file: &Path, arguments: &[&str]) -> Value {
    let (report, code) = report(file, arguments);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["problems"], Value::Array(Vec::new()), "{report:#}");
    report
}

/// The system's kernel and initrd are told as they are.
fn assert_kernel(report: &Value) {
    assert_eq!(report["architecture"], "x86-64", "{report:#}");
    let version = report["version"].as_str().unwrap();
    assert!(
        version.starts_with(|c: char| c.is_ascii_digit()),
        "{version}"
    );
    let boots_on = report["boots_on"].as_array().unwrap();
    assert!(boots_on.contains(&"BIOS".into()) && boots_on.contains(&"UEFI x86-64".into()));
}

fn assert_initrd(report: &Value) {
    let content = report["content"].as_array().unwrap();
    let names: Vec<_> = content.iter().map(|row| &row["container"]).collect();
    let expected = [
        "onboot/000-check",
        "onboot/001-check-readonly",
        "onboot/002-poweroff",
        "root",
    ];
    assert_eq!(names, expected);
    assert!(
        content
            .iter()
            .all(|row| row["unpacked_bytes"].as_u64() > Some(0))
    );
    assert!(
        report["microcode"][0]
            .as_str()
            .unwrap()
            .contains("microcode")
    );
    assert!(report["ram_bytes"].as_u64() > Some(100 << 20));
}

/// What a disk or unified kernel image says of all that it boots.
fn assert_boots(report: &Value) {
    assert_kernel(&report["kernel"]);
    assert_initrd(&report["initrd"]);
    let cmdline = report["cmdline"].as_str().unwrap();
    assert!(cmdline.contains("console=ttyS0"), "{cmdline}");
}

/// What a medium says of the images that its initrd is made of.
fn assert_images(report: &Value) {
    let images = report["initrd"]["images"].as_array().unwrap();
    let sections: Vec<_> = images.iter().map(|row| &row["section"]).collect();
    let expected = [
        "kernel", "init", "init", "onboot", "onboot", "onboot", "files",
    ];
    assert_eq!(sections, expected);
    for row in images.iter().filter(|row| row["section"] != "files") {
        assert!(row["digest"].as_str().unwrap().starts_with("sha256:"));
    }
}

/// What a disk says besides that.
fn assert_disk(report: &Value) {
    assert_boots(report);
    assert_images(report);
    assert_eq!(report["partitions"][0]["type"], "EFI system partition");
    let files = report["volumes"][0]["files"].as_array().unwrap();
    assert!(files.iter().any(|file| file["path"] == "boot/initrd.img"));
    let loaders = report["loaders"].as_array().unwrap();
    let firmware: Vec<_> = loaders.iter().map(|loader| &loader["firmware"]).collect();
    assert_eq!(firmware, ["BIOS", "UEFI"]);
    assert!(loaders.iter().all(|loader| loader["verified"] == true));
}

#[test]
fn outputs_are_told_by_their_bytes() {
    let Some(system) = outputs() else {
        return;
    };
    for (name, kind) in OUTPUTS {
        let report = whole(&system.file(name), &[]);
        assert_eq!(report["kind"], kind, "{name}");
        match name {
            "os-kernel" => assert_kernel(&report),
            "os-initrd.img" => assert_initrd(&report),
            "os.tar" => assert_kernel(&report["kernel"]),
            "os-initrd.tar" | "os.efi" => assert_boots(&report),
            "os.ova" => {
                assert_eq!(report["manifest_files_verified"], 2);
                assert_disk(&report["disks"][0]);
            }
            _ => assert_disk(&report),
        }
    }
    let uki = whole(&system.file("os.efi"), &[]);
    assert_images(&uki);
    assert_eq!(uki["verified"], true);
    assert_eq!(uki["signed"], false);
    let initrd = whole(&system.file("os-initrd.img"), &["--files", "--security"]);
    let files = initrd["files"].as_array().unwrap();
    assert_eq!(files.len() as u64, initrd["entry_count"].as_u64().unwrap());
    let setuid = initrd["security"].as_array().unwrap();
    let path = "containers/onboot/000-check/lower/data/setuid";
    assert!(
        setuid
            .iter()
            .any(|row| row["path"] == path && row["what"] == "setuid 0")
    );
}

#[test]
fn a_raw_disk_beside_its_description_is_found() {
    let Some(system) = System::new() else { return };
    system.build(&["-f", "vmdk-flat", "--size", "200M"], "");
    let report = whole(&system.file("os.vmdk"), &[]);
    assert_eq!(report["create_type"], "vmfs");
    assert_disk(&report);
    fs::remove_file(system.file("os-flat.vmdk")).unwrap();
    let (report, code) = self::report(&system.file("os.vmdk"), &[]);
    assert_eq!(code, 16);
    let problem = report["problems"][0].as_str().unwrap();
    assert!(problem.contains("os-flat.vmdk: "), "{problem}");
}

#[test]
fn a_disk_that_does_not_hold_what_its_loader_was_told_is_damaged() {
    let Some(medium) = Medium::new(512) else {
        return;
    };
    assert_eq!(whole(&medium.path, &[])["ram_bytes"], 512 << 20);
    let initrd = medium.boot.initrd;
    medium.change(initrd.start_bytes + initrd.len_bytes - 4, |bytes| {
        bytes[0] ^= 1
    });
    let (damaged, code) = report(&medium.path, &[]);
    assert_eq!(code, 16);
    assert_eq!(damaged["loaders"][0]["verified"], false);
    let problem = damaged["problems"][0].as_str().unwrap();
    assert!(problem.contains("the initrd has the checksum"), "{problem}");
    let shown = inspect(&medium.path, &[]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains(&format!("problem: {problem}")), "{text}");
}

#[test]
fn what_is_cut_short_is_damaged_or_nothing_that_is_known() {
    let Some(system) = outputs() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let cut = dir.path().join("cut");
    for (name, _) in OUTPUTS {
        let bytes = fs::metadata(system.file(name)).unwrap().len();
        for len in [0, 1, 511, 40_000, bytes / 2] {
            let mut whole = fs::File::open(system.file(name)).unwrap().take(len);
            std::io::copy(&mut whole, &mut fs::File::create(&cut).unwrap()).unwrap();
            let output = inspect(&cut, &[]);
            let code = output.status.code();
            let shown = String::from_utf8_lossy(&output.stderr);
            // Less than that is not enough to tell what it is.
            let expected: &[i32] = if len < 2 { &[1] } else { &[1, 16] };
            assert!(
                code.is_some_and(|code| expected.contains(&code)),
                "{name} {len}: {code:?} {shown}"
            );
        }
    }
    fs::write(&cut, testdata::Prng::new(3).bytes(100_000)).unwrap();
    let output = inspect(&cut, &[]);
    assert_eq!(output.status.code(), Some(1));
    let shown = String::from_utf8(output.stderr).unwrap();
    assert!(shown.contains("no kernel, initrd, ISO"), "{shown}");
    let missing = inspect(&dir.path().join("missing"), &[]);
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn names_can_t_write_to_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("initrd");
    let mut archive = CpioWriter::new(Vec::new(), Compression::None).unwrap();
    let entry = Entry {
        name: b"containers/onboot/\x1b[2J\n\xff/lower",
        inode: 1,
        mode: 0o104_755,
        nlink: 1,
        ..Entry::default()
    };
    archive.entry(&entry).unwrap();
    fs::write(&path, archive.finish().unwrap()).unwrap();
    for arguments in [&["--files", "--security"][..], &["--json", "--files"]] {
        let output = inspect(&path, arguments);
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let odd = |c: char| c.is_control() && c != '\n';
        assert!(!text.contains(odd), "{text:?}");
        assert!(text.contains("u{1b}") && text.contains("xff"), "{text}");
    }
}
