//! Building the UEFI loader.

use std::path::Path;
use std::process::Command;

use formats::pe::write_program;

use crate::elf;
use crate::{Rustc, TARGET};

/// The loader of the sources in `folder`.
///
/// # Panics
/// If it can't be built, or has in it what it must not have.
pub(crate) fn build(rustc: &Rustc, folder: &Path) -> Vec<u8> {
    let out = tempfile::tempdir().unwrap();
    let elf = out.path().join("loader.elf");
    // Position-independent, so that firmware may put it anywhere. No red zone: firmware handles
    // interrupts on the same stack.
    let output = Command::new(&rustc.program)
        .current_dir(folder)
        .args([
            "--edition",
            "2024",
            "--crate-name",
            "loader",
            "--crate-type",
            "bin",
        ])
        .args(["--target", TARGET])
        .args([
            "-Cpanic=abort",
            "-Copt-level=s",
            "-Clto=fat",
            "-Ccodegen-units=1",
        ])
        .args([
            "-Cno-redzone=yes",
            "-Cforce-unwind-tables=no",
            "-Cdebuginfo=0",
        ])
        .args(["-Crelocation-model=pie", "-Clinker-flavor=ld.lld"])
        .arg(format!("-Clinker={}", rustc.linker.display()))
        .arg(format!("--remap-path-prefix={}=", folder.display()))
        .arg("-Dwarnings")
        .arg(
            "-Clink-args=-nostdlib -pie --no-dynamic-linker -e efi_main -z text -z norelro \
             -z separate-loadable-segments --image-base=0x1000 --build-id=none --gc-sections \
             --no-eh-frame-hdr",
        )
        .arg("-o")
        .arg(&elf)
        .arg("loader.rs")
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{complaints}"
    );
    let elf = elf::Elf::new(std::fs::read(elf).unwrap());
    // The standard library was compiled with a red zone, so none of its functions may be left; and
    // where none of `core::panicking` is left, there is nothing to panic.
    for function in elf.functions() {
        let own = ["memcpy", "memset", "memcmp", "efi_main"].contains(&function.as_str());
        assert!(
            own || function.starts_with("_ZN6loader") || function.contains("_6loader"),
            "{function} is part of the loader"
        );
    }
    write_program(&elf.program())
}
