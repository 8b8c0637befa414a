//! The program's files, flags and events.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use testdata::{Image, Layer};

use crate::program::{Bench, files, shown};
use crate::{read, system};

#[test]
fn kernel_initrd_and_command_line_by_default() {
    let bench = Bench::new(&system::images());
    let outputs = bench.must_build(system::YAML, &[]);
    let names: Vec<&str> = outputs.keys().map(String::as_str).collect();
    assert_eq!(names, ["os-cmdline", "os-initrd.img", "os-kernel"]);
    assert_eq!(outputs["os-cmdline"], b"console=ttyS0");
    assert_eq!(outputs["os-kernel"], system::program(3, 500_000));
}

#[test]
fn initrd_and_tar_hold_the_same_tree() {
    let bench = Bench::new(&system::images());
    let outputs = bench.must_build(system::YAML, &["--format", "kernel+initrd,tar"]);
    let initrd = read::initrd(&outputs["os-initrd.img"]);
    let mut tar = read::tar(&outputs["os.tar"]);
    // The tar has kernel and command line as files; they stand beside an initrd.
    for name in ["boot", "boot/kernel", "boot/cmdline"] {
        assert!(tar.0.remove(name.as_bytes()).is_some(), "{name}");
    }
    assert_eq!(initrd.differences(&tar), [""; 0]);
}

#[test]
fn nothing_but_the_input_decides_about_the_bytes() {
    let arguments = ["--format", "kernel+initrd,tar,docker,tar-kernel-initrd"];
    let first = Bench::new(&system::images()).must_build(system::YAML, &arguments);
    assert!(first.len() >= 6, "{:?}", first.keys());
    for threads in ["1", "2", "8"] {
        let threads = ["--threads", threads];
        let other = Bench::new(&system::images());
        let again = other.must_build(system::YAML, &[&arguments[..], &threads].concat());
        assert!(first == again, "{threads:?}, another folder");
    }
}

#[test]
fn initrd_compressions_hold_the_same_tree() {
    let bench = Bench::new(&system::images());
    let build = |compression: &str| {
        let option = format!("--initrd-compression={compression}");
        bench.must_build(system::YAML, &[&option])["os-initrd.img"].clone()
    };
    let initrds = ["gzip", "gzip:9", "zstd", "zstd:1", "none"].map(build);
    let tree = read::initrd(&initrds[0]);
    for initrd in &initrds[1..] {
        assert_eq!(tree.differences(&read::initrd(initrd)), [""; 0]);
    }
    let [_, smaller_gzip, zstd, _, none] = initrds.map(|initrd| initrd.len());
    assert!(smaller_gzip < none && zstd < none);
}

/// The outputs that a build found to be there already, by name.
fn unchanged(bench: &Bench, yaml: &str, arguments: &[&str]) -> Vec<String> {
    let file = bench.yaml(yaml);
    let mut command = bench.build();
    let output = command.arg("--json").args(arguments).arg(file).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let events = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let unchanged = events.filter(|event| event["event"] == "output" && event["unchanged"] == true);
    let paths = unchanged.map(|event| PathBuf::from(event["path"].as_str().unwrap()));
    paths
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn an_output_with_the_same_bytes_stays_and_another_is_replaced() {
    const INITRD: &str = "os-initrd.img";
    let changed = system::YAML.replace("console=ttyS0", "console=ttyS1");
    assert_ne!(changed, system::YAML);
    for compression in ["gzip", "zstd", "none"] {
        let bench = Bench::new(&system::images());
        let arguments = ["--initrd-compression", compression];
        let inode = || std::fs::metadata(bench.out().join(INITRD)).unwrap().ino();
        assert!(unchanged(&bench, system::YAML, &arguments).is_empty());
        let (first, before) = (bench.outputs(), inode());
        let all = ["os-kernel", INITRD, "os-cmdline"];
        assert_eq!(unchanged(&bench, system::YAML, &arguments), all);
        assert_eq!(inode(), before, "{compression}: it was written again");
        assert!(bench.outputs() == first);
        // The command line is a file of its own.
        assert_eq!(unchanged(&bench, &changed, &arguments), all[..2]);
        // Damage in the middle, at the end, and a tail.
        let bytes = &first[INITRD];
        for damaged in [
            [
                &bytes[..bytes.len() / 2],
                b"x",
                &bytes[bytes.len() / 2 + 1..],
            ]
            .concat(),
            [&bytes[..bytes.len() - 1], b"x"].concat(),
            [bytes, &b"more"[..]].concat(),
        ] {
            std::fs::write(bench.out().join(INITRD), &damaged).unwrap();
            let kept = unchanged(&bench, system::YAML, &arguments);
            assert!(!kept.iter().any(|name| name == INITRD), "{compression}");
            assert!(bench.outputs() == first, "{compression}");
        }
    }
}

#[test]
fn standard_output_gets_what_the_file_would() {
    let bench = Bench::new(&system::images());
    let file = bench.must_build(system::YAML, &["--format", "tar"]);
    bench.clear_out();
    let yaml = bench.yaml(system::YAML);
    let output = bench
        .command()
        .args(["--no-sbom", "--format", "tar", "-o", "-"])
        .arg(yaml)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    assert!(output.stdout == file["os.tar"]);
    assert!(bench.outputs().is_empty());
}

#[test]
fn a_pipe_gets_what_the_file_would_and_stays_a_pipe() {
    let bench = Bench::new(&system::images());
    let file = bench.must_build(system::YAML, &["--format", "tar"]);
    let pipe = bench.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read(pipe).unwrap()
    });
    let yaml = bench.yaml(system::YAML);
    let mut command = bench.command();
    let command = command.args(["--no-sbom", "-f", "tar", "-o"]);
    let output = command.arg(&pipe).arg(yaml).output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    assert!(reader.join().unwrap() == file["os.tar"]);
    assert!(!std::fs::metadata(&pipe).unwrap().is_file());
}

#[test]
fn a_device_that_takes_nothing_is_an_error_and_stays_a_device() {
    let bench = Bench::new(&system::images());
    let device = bench.path("full");
    std::os::unix::fs::symlink("/dev/full", &device).unwrap();
    let yaml = bench.yaml(system::YAML);
    let mut command = bench.command();
    let command = command.args(["--no-sbom", "-f", "tar", "-o"]);
    let output = command.arg(&device).arg(yaml).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", shown(&output));
    assert!(!std::fs::metadata(&device).unwrap().is_file());
}

#[test]
fn images_may_come_from_files_that_are_named() {
    let images = system::images();
    let expected = Bench::new(&images).must_build(system::YAML, &[]);
    let bench = Bench::new(&testdata::Layout::new());
    std::fs::write(bench.path("images.tar"), images.tar()).unwrap();
    let built = bench.must_build(system::YAML, &["--images", "images.tar"]);
    assert!(built == expected);
    bench.assert_store_is_good();
}

#[test]
fn json_events_end_with_what_was_done() {
    let bench = Bench::new(&system::images());
    for (packed, reused) in [(6, 0), (0, 6)] {
        let (output, outputs) = bench.build_with(system::YAML, &["--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let events: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect();
        let summary = events.last().unwrap();
        assert_eq!(summary["event"], "summary", "{text}");
        assert_eq!(summary["layers_packed"], packed, "{summary}");
        assert_eq!(summary["layers_reused"], reused, "{summary}");
        assert_eq!(summary["initrd_bytes"], outputs["os-initrd.img"].len());
        assert!(summary["ram_bytes"].as_u64().unwrap() > 20_000_000);
    }
}

#[test]
fn a_dry_run_writes_nothing() {
    let bench = Bench::new(&testdata::Layout::new());
    let before = files(&bench.cache());
    let yaml = bench.yaml(system::YAML);
    let output = bench.build().arg("--dry-run").arg(yaml).output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("image: test/sysctl:1"), "{text}");
    assert!(bench.outputs().is_empty());
    assert!(files(&bench.cache()) == before);
}

#[test]
fn the_cache_holds_no_leftovers() {
    let bench = Bench::new(&system::images());
    bench.must_build(system::YAML, &[]);
    bench.assert_store_is_good();
    let names: Vec<String> = files(&bench.cache()).into_keys().collect();
    let odd = |name: &&String| name.contains(".tmp") || name.contains("partial");
    assert_eq!(names.iter().find(odd), None);
}

#[test]
fn sboms_of_the_images_are_joined_into_the_same_bytes() {
    let spdx = |package: &str| {
        json!({
            "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
            "name": package, "documentNamespace": format!("https://example.com/{package}"),
            "creationInfo": {"created": "2023-11-14T22:13:20Z", "creators": ["Tool: test"]},
            "packages": [{
                "name": package, "SPDXID": format!("SPDXRef-Package-{package}"),
                "downloadLocation": "NOASSERTION",
            }],
        })
    };
    let image = |package: &str| {
        let layer = Layer::new().file(format!("bin/{package}"), package);
        Image::new().layer(&layer).sbom(spdx(package))
    };
    let images = testdata::Layout::new()
        .image("test/one:1", &image("one"))
        .image("test/two:1", &image("two"));
    let yaml = "init:\n  - test/one:1\nservices:\n  - name: two\n    image: test/two:1\n";
    let sbom = || {
        let bench = Bench::new(&images);
        let output = bench
            .command()
            .args(["--format", "tar", "-o", "-"])
            .arg(bench.yaml(yaml))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        read::file_in_tar(&output.stdout, "sbom.spdx.json")
    };
    let bytes = sbom();
    let joined: Value = serde_json::from_slice(&bytes).unwrap();
    let packages = joined["packages"].as_array().unwrap();
    let mut names: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["one", "two"]);
    assert!(sbom() == bytes, "other bytes the second time");
}
