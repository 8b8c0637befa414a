//! The library without the program: its example against the simulator.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use testdata::VCenterOptions;

#[test]
fn the_example_pushes_an_iso_and_makes_a_machine() {
    // `cargo test` builds examples beside the tests' folder, unless it is asked for one test alone.
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().with_file_name("examples/push");
    if !program.exists() {
        assert!(std::env::var_os("CI").is_none(), "the example is not built");
        return;
    }
    let Some(vcenter) = VCenterOptions::default().start() else {
        return;
    };
    let iso = vcenter.dir().join("host.iso");
    std::fs::write(&iso, [7; 100_000]).unwrap();
    let output = Command::new(program)
        .arg(&iso)
        .envs(vcenter.environment())
        .env("GOVC_CLUSTER", "DC0_C0")
        .env("GOVC_NETWORK", "VM Network")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let files = vcenter.files("DC0", "LocalDS_0");
    assert!(files.contains(&("images/host.iso".into(), vec![7; 100_000])));
    let requests = vcenter.requests();
    for method in ["CreateVM_Task", "PowerOnVM_Task"] {
        assert!(requests.iter().any(|one| one.method == method), "{method}");
    }
    assert_eq!(vcenter.sessions(), 0, "it logged out");
}
