//! Files that arrive.

use std::time::Duration;

use testdata::{Fault, VCenterOptions};

use crate::lab::{Lab, content, exit, run};

const MEGABYTE: usize = 1 << 20;

#[test]
fn a_file_is_pushed_once_and_replaced_when_it_changes() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("host.iso", 1, 3 * MEGABYTE);
    assert_eq!(lab.must_push(&["host.iso"]), ["pushed"]);
    let whole = [("host/host.iso".to_owned(), content(1, 3 * MEGABYTE))];
    assert_eq!(lab.files(), whole.clone().into());
    // Beside its place first, and only then into it.
    let requests = lab.vcenter.requests();
    let put = requests.iter().find(|one| one.method == "PUT").unwrap();
    assert!(
        put.path.starts_with("/folder/host/host.iso.part?"),
        "{put:?}"
    );
    assert_eq!((put.status, put.bytes), (201, 3 << 20));
    assert_eq!(lab.vcenter.sessions(), 0, "it logged out");

    assert_eq!(lab.must_push(&["host.iso"]), ["already_there"]);
    assert_eq!(lab.puts(), 1, "nothing was sent");
    assert_eq!(lab.files(), whole.into());

    // Of the same length, but different.
    lab.file("host.iso", 2, 3 * MEGABYTE);
    assert_eq!(lab.must_push(&["host.iso"]), ["replaced"]);
    lab.file("host.iso", 3, MEGABYTE);
    assert_eq!(lab.must_push(&["host.iso"]), ["replaced"]);
    lab.file("host.iso", 3, 0);
    assert_eq!(lab.must_push(&["host.iso"]), ["replaced"]);
    assert_eq!(lab.files()["host/host.iso"], b"");

    let Some(inventory) = lab.vcenter.inventory() else {
        return;
    };
    let seen: Vec<_> = inventory.files("DC0", "LocalDS_0").iter().collect();
    assert_eq!((&*seen[0].path, seen[0].size), ("host", None));
    assert_eq!((&*seen[1].path, seen[1].size), ("host/host.iso", Some(0)));
    assert_eq!(seen.len(), 2);
}

#[test]
fn several_files_go_to_a_folder_that_is_made() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("a.iso", 1, 5000);
    lab.file("b.bin", 2, 0);
    let folder = ["--folder", "images/v 2/ü"];
    let outcomes = lab.must_push(&[&folder[..], &["a.iso", "b.bin"]].concat());
    assert_eq!(outcomes, ["pushed", "pushed"]);
    let expected = [
        ("images/v 2/ü/a.iso".to_owned(), content(1, 5000)),
        ("images/v 2/ü/b.bin".to_owned(), Vec::new()),
    ];
    assert_eq!(lab.files(), expected.into());
    lab.must_push(&["--folder", "images", "--name", "other.iso", "a.iso"]);
    assert_eq!(lab.files()["images/other.iso"], content(1, 5000));
    lab.must_push(&["--folder", "/", "a.iso"]);
    assert_eq!(lab.files()["a.iso"], content(1, 5000));
    // A folder is no file.
    let ran = lab.push(&["--folder", "/", "--name", "images", "a.iso"]);
    ran.assert(exit::IN_USE, &["images is a folder"]);
    assert_eq!(lab.files().len(), 4);
}

#[test]
fn a_file_that_a_machine_uses_is_only_replaced_by_force() {
    let options = VCenterOptions {
        machines: 1,
        ..VCenterOptions::default()
    };
    let Some(lab) = Lab::with(&options) else {
        return;
    };
    lab.file("host.iso", 1, 5000);
    lab.must_push(&["host.iso"]);
    lab.vcenter
        .insert_cd("DC0_H0_VM0", "[LocalDS_0] host/host.iso");
    lab.vcenter
        .insert_cd("DC0_C0_RP0_VM0", "[LocalDS_0] host/host.iso");
    // What is the same may stay as it is.
    assert_eq!(lab.must_push(&["host.iso"]), ["already_there"]);
    lab.file("host.iso", 2, 5000);
    let ran = lab.push(&["host.iso"]);
    ran.assert(exit::IN_USE, &["DC0_H0_VM0", "DC0_C0_RP0_VM0", "--force"]);
    assert_eq!(lab.files()["host/host.iso"], content(1, 5000));
    assert_eq!(lab.puts(), 1);
    // Another file beside it is nobody's.
    assert_eq!(
        lab.must_push(&["--name", "v2.iso", "--folder", "host", "host.iso"]),
        ["pushed"]
    );

    // A running machine may hold the file: force does not help, and nothing is lost.
    lab.vcenter.strict_locks(true);
    let ran = lab.push(&["--force", "host.iso"]);
    ran.assert(exit::IN_USE, &["DC0_H0_VM0", "locked"]);
    assert_eq!(lab.files()["host/host.iso"], content(1, 5000));
    assert!(!lab.files().keys().any(|path| path.ends_with(".part")));
    lab.vcenter.strict_locks(false);
    assert_eq!(lab.must_push(&["--force", "host.iso"]), ["replaced"]);
    assert_eq!(lab.files()["host/host.iso"], content(2, 5000));
}

#[test]
fn an_esxi_host_takes_files_without_a_datacenter() {
    let Some(lab) = Lab::with(&VCenterOptions::esx()) else {
        return;
    };
    lab.file("host.iso", 1, 3 * MEGABYTE);
    assert_eq!(lab.must_push(&["--checksum", "host.iso"]), ["pushed"]);
    assert_eq!(lab.must_push(&["--direct", "host.iso"]), ["already_there"]);
    let there = lab.vcenter.files("ha-datacenter", "LocalDS_0");
    assert_eq!(
        there,
        [("host/host.iso".to_owned(), content(1, 3 * MEGABYTE))]
    );
}

#[test]
fn a_vsan_datastore_takes_files_in_folders_alone() {
    let options = VCenterOptions {
        datastore: Some("vsanDatastore".into()),
        vsan: true,
        ..VCenterOptions::default()
    };
    let Some(lab) = Lab::with(&options) else {
        return;
    };
    lab.file("host.iso", 1, 5000);
    let push = |folder: &str| {
        lab.push(&[
            "--datastore",
            "vsanDatastore",
            "--folder",
            folder,
            "host.iso",
        ])
    };
    push("/").assert(exit::USAGE, &["vsan", "folder"]);
    assert_eq!(lab.puts(), 0);
    for folder in ["host", "host", "host/v2", "other/a/b"] {
        push(folder).assert(exit::DONE, &[]);
    }
    let there = lab.vcenter.files("DC0", "vsanDatastore");
    let there: Vec<_> = there.into_iter().map(|(path, _)| path).collect();
    assert_eq!(
        there,
        ["host/host.iso", "host/v2/host.iso", "other/a/b/host.iso"]
    );
}

#[test]
fn a_host_takes_the_file_with_a_ticket() {
    let Some(lab) = Lab::with(&VCenterOptions::two_datacenters()) else {
        return;
    };
    let name = "a +&#;ü.iso";
    lab.file(name, 1, 3 * MEGABYTE);
    let place = ["--datacenter", "DC1", "--datastore", "LocalDS_1"];
    let direct = [&place[..], &["--direct", "--folder", "x", name]].concat();
    assert_eq!(lab.must_push(&direct), ["pushed"]);
    let there = lab.vcenter.files("EMEA/Lab 1/DC1", "LocalDS_1");
    let whole = (format!("x/{name}"), content(1, 3 * MEGABYTE));
    assert_eq!(there, [whole]);
    let requests = lab.vcenter.requests();
    let puts = requests.iter().filter(|one| one.method == "PUT");
    let by_host: Vec<_> = puts.map(|one| (one.host, one.status)).collect();
    assert_eq!(by_host, [(true, 201)]);

    // No host answers: through vCenter then.
    lab.vcenter.unreachable_hosts(true);
    lab.file(name, 2, MEGABYTE);
    let ran = lab.push(&direct);
    ran.assert(exit::DONE, &["through vCenter"]);
    // A host that was asked for by name, and one that is not there.
    let ran = lab.push(&[&direct[..], &["--hostname", "DC9_H0"]].concat());
    assert_ne!(ran.code, exit::USAGE);
    let there = lab.vcenter.files("EMEA/Lab 1/DC1", "LocalDS_1");
    assert_eq!(there, [(format!("x/{name}"), content(2, MEGABYTE))]);
}

#[test]
fn other_bytes_than_were_sent_are_noticed_when_read_back() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("host.iso", 1, 3 * MEGABYTE);
    lab.fault(Fault::corrupt(2_000_000));
    assert_eq!(lab.must_push(&["--checksum", "host.iso"]), ["pushed"]);
    assert_eq!(lab.files()["host/host.iso"], content(1, 3 * MEGABYTE));
    lab.file("host.iso", 2, 3 * MEGABYTE);
    lab.fault(Fault::corrupt(0).times(100));
    let ran = lab.push(&["--checksum", "--attempts", "2", "host.iso"]);
    ran.assert(exit::DAMAGED, &["other bytes arrived"]);
    let old = [("host/host.iso".to_owned(), content(1, 3 * MEGABYTE))];
    assert_eq!(lab.files(), old.into());
}

#[test]
fn a_session_is_kept_alive_through_a_slow_upload() {
    // More than sockets hold: what they hold is sent at once.
    const LEN: usize = 24 * MEGABYTE;
    let options = VCenterOptions {
        idle: Some(Duration::from_secs(5)),
        ..VCenterOptions::default()
    };
    let Some(lab) = Lab::with(&options) else {
        return;
    };
    lab.file("host.iso", 1, LEN);
    lab.fault(Fault::slow(3 << 20));
    assert_eq!(
        lab.must_push(&["--keep-alive", "0.3", "host.iso"]),
        ["pushed"]
    );
    assert_eq!(lab.puts(), 1);
    assert_eq!(lab.count("Login"), 1);

    // Without that the session ends in the middle: another one, and from the start.
    lab.file("host.iso", 2, LEN);
    lab.fault(Fault::slow(3 << 20));
    assert_eq!(
        lab.must_push(&["--keep-alive", "3600", "host.iso"]),
        ["replaced"]
    );
    assert!(lab.puts() >= 3);
    assert!(lab.count("Login") >= 3);
    assert_eq!(lab.files()["host/host.iso"], content(2, LEN));
}

#[test]
fn what_terraform_needs_is_written() {
    let Some(lab) = Lab::with(&VCenterOptions::two_datacenters()) else {
        return;
    };
    let name = "a \"b\" ${c} é.iso";
    lab.file(name, 1, 1000);
    let place = ["--datacenter", "EMEA/Lab 1/DC1", "--datastore", "LocalDS_0"];
    for file in ["iso.auto.tfvars.json", "iso.auto.tfvars"] {
        let arguments = [&place[..], &["--folder", "v1", "--tfvars", file, name]].concat();
        lab.must_push(&arguments);
    }
    let json = std::fs::read(lab.path("iso.auto.tfvars.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let expected = serde_json::json!({
        "datacenter": "EMEA/Lab 1/DC1",
        "datastore": "LocalDS_0",
        "iso_path": format!("v1/{name}"),
    });
    assert_eq!(json, expected);
    // What is wrong with it is said before anything is pushed.
    let with = |file: &str, name: &str| {
        let folder = ["--folder", "v2", "--tfvars", file, name];
        lab.push(&[&place[..], &folder].concat())
    };
    let puts = lab.puts();
    with("nowhere/x.tfvars", name).assert(exit::OUTPUT, &["nowhere/x.tfvars"]);
    lab.file("disk.bin", 1, 1000);
    with("x.tfvars", "disk.bin").assert(exit::USAGE, &[".iso"]);
    assert_eq!(lab.puts(), puts);
    // Terraform reads the same from both.
    let Some(terraform) = testdata::Terraform::new() else {
        return;
    };
    let hcl = std::fs::read_to_string(lab.path("iso.auto.tfvars")).unwrap();
    terraform.write("read/iso.auto.tfvars", &hcl);
    let variables = ["datacenter", "datastore", "iso_path"];
    let declared = variables
        .map(|name| format!("variable \"{name}\" {{}}\n"))
        .concat();
    let all = variables
        .map(|name| format!("{name} = var.{name}"))
        .join(", ");
    let shown = format!("output \"all\" {{ value = {{ {all} }} }}\n");
    terraform.write("read/main.tf", &(declared + &shown));
    terraform.run("read", &["fmt", "-check"]);
    terraform.run("read", &["init", "-no-color"]);
    terraform.run("read", &["apply", "-auto-approve", "-no-color"]);
    let output = terraform.run("read", &["output", "-json", "all"]);
    let output: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(output, expected);
}

#[test]
fn a_file_that_can_not_be_read_is_said_before_anything_is_sent() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("a.iso", 1, 1000);
    for wrong in ["missing.iso", "."] {
        let ran = lab.push(&["a.iso", wrong]);
        assert_ne!(ran.code, exit::DONE);
    }
    let ran = run(lab.command().args(["push", "vcenter"]));
    ran.assert(exit::USAGE, &["FILE"]);
    assert!(lab.files().is_empty());
    assert_eq!(lab.count("Login"), 0);
}
