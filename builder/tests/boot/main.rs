//! A system built by the program boots in QEMU: a kernel of Debian's, the guest's own init, and
//! containers that compare every file they see with what their layers mean.

// A panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use testdata::{judge, workspace_dir};

/// What `testdata/minimal.yml` calls the registry of its images; the layout has them without.
const REGISTRY: &str = "localhost:5000/";

fn shown(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// The guest's images as an OCI layout, made where they are not there yet; `None` where programs
/// or packages for it can't be had.
fn parts() -> Option<PathBuf> {
    for program in ["python3", "dpkg-deb", "qemu-system-x86_64"] {
        judge(program)?;
    }
    let folder = workspace_dir().join("target/guest");
    let script = workspace_dir().join("testdata/guest/build-parts");
    let output = Command::new(script).arg(&folder).output().unwrap();
    if !output.status.success() {
        let why = shown(&output);
        assert!(std::env::var_os("CI").is_none(), "no parts to boot: {why}");
        println!("skipped: no parts to boot: {why}");
        return None;
    }
    Some(folder.join("oci"))
}

fn build(images: &Path, dir: &Path, compression: &str) {
    let yaml = workspace_dir().join("testdata/minimal.yml");
    let text = std::fs::read_to_string(yaml).unwrap();
    let yaml = dir.join("minimal.yml");
    std::fs::write(&yaml, text.replace(REGISTRY, "")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lkbuild"))
        .args([
            "build",
            "--offline",
            "--no-sbom",
            "--arch",
            "amd64",
            "--name",
            "os",
        ])
        .args(["--initrd-compression", compression, "--images"])
        .arg(images)
        .arg("--cache")
        .arg(dir.join("cache"))
        .arg("--dir")
        .arg(dir)
        .arg(yaml)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", shown(&output));
}

#[test]
fn a_minimal_system_finds_every_file_as_its_layers_mean_it() {
    let Some(images) = parts() else { return };
    let dir = tempfile::tempdir().unwrap();
    for compression in ["gzip", "zstd"] {
        build(&images, dir.path(), compression);
        let file = |name: &str| dir.path().join(name);
        let output = Command::new(workspace_dir().join("testdata/guest/boot"))
            .args([file("os-kernel"), file("os-initrd.img"), file("os-cmdline")])
            .args(["--memory", "1024", "--seconds", "240", "--log"])
            .arg(file("boot.log"))
            .args([
                "--refuse",
                "WRONG",
                "--refuse",
                "FAILED",
                "--refuse",
                "Kernel panic",
            ])
            .output()
            .unwrap();
        // It ends when the guest has turned itself off.
        let log = std::fs::read(file("boot.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let why = shown(&output);
        assert!(output.status.success(), "{compression}: {why}\n{log}");
        for step in ["000-check", "001-check-readonly"] {
            let line = format!("onboot {step} | check ok");
            assert!(log.contains(&line), "{compression}: no {line:?}\n{log}");
        }
    }
}
