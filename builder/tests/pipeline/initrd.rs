//! What stands in the initrd, and that nothing but the input decides about it.

use std::io::Write;
use std::process::{Command, Stdio};

use formats::compress::Compression;
use testdata::judge;

use crate::lab::{Lab, Options};
use crate::{read, system};

/// Gives `input` to a program; returns what it prints.
fn pipe(program: &std::path::Path, arguments: &[&str], input: Vec<u8>) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{}", program.display());
    output.stdout
}

#[test]
fn zcat_and_cpio_list_the_whole_initrd() {
    let (Some(gzip), Some(cpio)) = (judge("gzip"), judge("cpio")) else {
        return;
    };
    let built = Lab::new(&system::images()).build(system::YAML);
    let archive = pipe(&gzip, &["-dc"], built.initrd.clone());
    let listing = pipe(&cpio, &["-t", "--quiet"], archive.clone());
    let mut listed: Vec<&[u8]> = listing
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    let lines = listed.len();
    // The reader fails the test where a path comes twice or before its parent.
    let tree = built.tree();
    listed.sort_unstable();
    let names: Vec<&[u8]> = tree.0.keys().map(Vec::as_slice).collect();
    assert_eq!(listed, names);
    let long = pipe(&cpio, &["-tv", "--quiet"], archive);
    assert_eq!(long.split(|&byte| byte == b'\n').count(), lines + 1);
}

#[test]
fn every_section_is_in_its_place() {
    let built = Lab::new(&system::images()).build(system::YAML);
    assert_eq!(built.cmdline, "console=ttyS0");
    assert_eq!(built.kernel, system::program(3, 500_000));
    let tree = built.tree();
    let expected = [
        ("init", "file"),
        ("lib/modules/6.1.0/net.ko", "file"),
        ("dev/null", "char"),
        ("run/pipe", "fifo"),
        ("etc/motd", "file"),
        ("containers/onboot/000-sysctl/lower/bin/sysctl", "file"),
        ("containers/onboot/000-sysctl/lower/usr/bin", "symlink"),
        ("containers/onboot/001-dhcp/rootfs/var/lib/new", "file"),
        ("containers/services/sshd/config.json", "file"),
    ];
    for (path, kind) in expected {
        assert_eq!(tree.0[path.as_bytes()].kind, kind, "{path}");
    }
    let facts = |path: &str| tree.0.get(path.as_bytes());
    let folder = facts("etc/init.d").unwrap();
    assert_eq!(
        folder.mode, 0o750,
        "files: must not change a folder that exists"
    );
    let busybox = facts("containers/services/sshd/lower/bin/busybox").unwrap();
    assert!(!busybox.link_group.is_empty(), "hard links stay hard links");
    assert!(facts("containers/services/sshd/lower/var/lib/old").is_none());
    assert!(
        facts("other").is_none(),
        "of the kernel image only what is asked for"
    );
}

#[test]
fn gzip_zstd_and_none_hold_the_same_tree() {
    let lab = Lab::new(&system::images());
    let gzip = lab.build(system::YAML);
    for compression in [Compression::Zstd { level: 3 }, Compression::None] {
        let options = Options {
            compression: Some(compression),
            ..Options::default()
        };
        let other = lab.build_with(system::YAML, options).unwrap();
        let differences = gzip.tree().differences(&read::initrd(&other.initrd));
        assert_eq!(differences, [""; 0], "{compression}");
        assert_eq!(gzip.kernel, other.kernel);
    }
}

#[test]
fn same_input_same_bytes() {
    let lab = Lab::new(&system::images());
    for compression in [None, Some(Compression::Zstd { level: 3 })] {
        let build = |lab: &Lab, threads| {
            let options = Options {
                compression,
                threads,
                ..Options::default()
            };
            lab.build_with(system::YAML, options).unwrap()
        };
        let first = build(&lab, 2);
        assert!(
            first.files() == build(&lab, 2).files(),
            "built again, from packs"
        );
        for threads in [1, 2, 8] {
            let other = Lab::new(&system::images());
            let again = build(&other, threads);
            assert!(
                first.files() == again.files(),
                "{threads} threads, another folder"
            );
        }
    }
}
