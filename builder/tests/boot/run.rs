//! `lkbuild run qemu`.

use std::process::Command;

use testdata::judge;

use crate::system::System;

#[test]
fn the_program_boots_what_it_built() {
    if judge("qemu-system-x86_64").is_none() {
        return;
    }
    let Some(system) = System::new() else { return };
    system.build(&[], "");
    let disk = system.file("kept.img");
    let output = Command::new(env!("CARGO_BIN_EXE_lkbuild"))
        .args(["run", "qemu", "--kvm=false", "--networking", "none"])
        .arg("--disk")
        .arg(format!("file={},size=64M", disk.display()))
        .arg(system.file("os"))
        .output()
        .unwrap();
    // The guest turns itself off.
    let console = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{console}\n{complaints}");
    assert!(console.contains("check ok"), "{console}\n{complaints}");
    assert!(!console.contains("WRONG"), "{console}");
    assert_eq!(disk.metadata().unwrap().len(), 64 << 20);
}
