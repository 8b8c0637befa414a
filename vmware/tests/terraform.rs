//! The Terraform module (`terraform/`) in real Terraform against a simulated vCenter; pyvmomi says
//! what came of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};
use testdata::{Inventory, Terraform, VCenter, VCenterOptions};

const DATACENTER: &str = "EMEA/Lab 1/DC1";
const EXAMPLE: &str = "examples/three-docker-hosts";
const PLAN_IS_EMPTY: Option<i32> = Some(0);
const PLAN_HAS_CHANGES: Option<i32> = Some(2);

/// A server with two systems on a datastore, `v1/host.iso` and `v 2/hôst.iso`.
fn start() -> Option<(VCenter, Terraform)> {
    let vcenter = VCenterOptions::two_datacenters().start()?;
    let datastore = vcenter.datastore(DATACENTER, "LocalDS_1");
    for path in ["v1/host.iso", "v 2/hôst.iso"] {
        let path = datastore.join(path);
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"a system").unwrap();
    }
    let terraform = Terraform::new()?.with_server(&vcenter);
    Some((vcenter, terraform))
}

fn apply(terraform: &Terraform, folder: &str) -> String {
    terraform.run(
        folder,
        &["apply", "-auto-approve", "-input=false", "-no-color"],
    )
}

fn plan(terraform: &Terraform, folder: &str) -> Option<i32> {
    let arguments = ["plan", "-detailed-exitcode", "-input=false", "-no-color"];
    terraform.output(folder, &arguments).status.code()
}

fn destroy(terraform: &Terraform, folder: &str) {
    let arguments = ["destroy", "-auto-approve", "-input=false", "-no-color"];
    terraform.run(folder, &arguments);
}

/// What the machines of the example must be, by the CD in them.
fn assert_three_machines(inventory: &Inventory, iso: &str) {
    assert_eq!(inventory.machines.len(), 3);
    for number in 1..=3 {
        let name = format!("docker-{number}");
        let machine = inventory.machine(&name).unwrap();
        assert_eq!(machine.path, format!("{DATACENTER}/vm/F0/{name}"));
        assert_eq!(machine.cds.len(), 1);
        assert_eq!(machine.cds[0].file.as_deref(), Some(iso));
        assert!(machine.cds[0].start_connected);
        assert_eq!(machine.disks.len(), 1);
        assert_eq!(machine.disks[0].bytes, 40 << 30);
        assert!(machine.disks[0].thin);
        assert_eq!(
            machine.disks[0].file,
            format!("[LocalDS_1] {name}/{name}.vmdk")
        );
        assert_eq!((machine.cpus, machine.memory_mb), (2, 4096));
        assert_eq!(machine.firmware, "efi");
        assert_eq!(machine.networks, ["DC1_DVPG0"]);
        let pool = format!("{DATACENTER}/host/F0/DC1_C0/Resources");
        assert_eq!(machine.pool.as_ref(), Some(&pool));
        assert!(machine.running);
    }
}

#[test]
fn three_machines_get_a_new_system_and_keep_their_disks() {
    let Some((vcenter, terraform)) = start() else {
        return;
    };
    let system = |path: &str| {
        let variables = json!({
            "datacenter": DATACENTER,
            "datastore": "LocalDS_1",
            "iso_path": path,
        });
        let file = format!("{EXAMPLE}/iso.auto.tfvars.json");
        terraform.write(&file, &variables.to_string());
    };
    system("v1/host.iso");
    terraform.write(
        &format!("{EXAMPLE}/site.auto.tfvars"),
        "network = \"DC1_DVPG0\"\ncluster = \"DC1_C0\"\nfolder  = \"F0\"\n",
    );
    terraform.init(EXAMPLE);
    assert_eq!(plan(&terraform, EXAMPLE), PLAN_HAS_CHANGES);
    apply(&terraform, EXAMPLE);
    assert_eq!(plan(&terraform, EXAMPLE), PLAN_IS_EMPTY);
    let Some(before) = vcenter.inventory() else {
        return;
    };
    assert_three_machines(&before, "[LocalDS_1] v1/host.iso");
    let output = terraform.run(EXAMPLE, &["output", "-json", "machines"]);
    let output: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(output["docker-2"]["iso"], "[LocalDS_1] v1/host.iso");
    assert_eq!(output["docker-3"]["disk"], "docker-3/docker-3.vmdk");

    // What a guest wrote to its disk.
    let disk = vcenter
        .datastore(DATACENTER, "LocalDS_1")
        .join("docker-2/docker-2-flat.vmdk");
    assert!(disk.is_file());
    std::fs::write(&disk, b"containers").unwrap();

    system("v 2/hôst.iso");
    assert_eq!(plan(&terraform, EXAMPLE), PLAN_HAS_CHANGES);
    let said = apply(&terraform, EXAMPLE);
    assert!(said.contains("0 added, 3 changed, 0 destroyed"), "{said}");
    assert_eq!(plan(&terraform, EXAMPLE), PLAN_IS_EMPTY);
    assert_three_machines(&vcenter.inventory().unwrap(), "[LocalDS_1] v 2/hôst.iso");
    assert_eq!(std::fs::read(&disk).unwrap(), b"containers");
    let restarts = ["PowerOffVM_Task", "ShutdownGuest", "ResetVM_Task"];
    let asked = vcenter.requests();
    assert!(
        !asked
            .iter()
            .any(|request| restarts.contains(&&*request.method))
    );

    destroy(&terraform, EXAMPLE);
    let after = vcenter.inventory().unwrap();
    assert!(after.machines.is_empty());
    assert!(!disk.exists());
    let left = after.files(DATACENTER, "LocalDS_1").iter();
    let left: Vec<_> = left.filter(|file| file.size.is_some()).collect();
    assert_eq!(left.len(), 2, "the ISOs stay: {left:?}");
}

#[test]
fn disks_can_outlive_their_machine() {
    let Some((vcenter, terraform)) = start() else {
        return;
    };
    terraform.write(
        "one/main.tf",
        r#"
provider "vsphere" {}

module "one" {
  source         = "../"
  name           = "kept"
  datacenter     = "DC1"
  datastore      = "LocalDS_1"
  iso_path       = "v1/host.iso"
  disk_datastore = "LocalDS_0"
  disk_gib       = 3
  disk_thin      = false
  keep_disks     = true
  firmware       = "bios"
  cpus           = 1
  memory_mib     = 512
  network        = "VM Network"
  host           = "DC1_H0"
  annotation     = "made by a test"
  extra_config   = { "guestinfo.hostname" = "kept" }
}
"#,
    );
    terraform.init("one");
    apply(&terraform, "one");
    assert_eq!(plan(&terraform, "one"), PLAN_IS_EMPTY);
    let Some(inventory) = vcenter.inventory() else {
        return;
    };
    let machine = inventory.machine("kept-1").unwrap();
    assert_eq!(machine.firmware, "bios");
    assert_eq!((machine.cpus, machine.memory_mb), (1, 512));
    assert_eq!(machine.networks, ["VM Network"]);
    assert_eq!(machine.disks[0].file, "[LocalDS_0] kept-1/kept-1.vmdk");
    assert_eq!(
        (machine.disks[0].bytes, machine.disks[0].thin),
        (3 << 30, false)
    );
    let cd = machine.cds[0].file.as_deref();
    assert_eq!(cd, Some("[LocalDS_1] v1/host.iso"));
    let pool = format!("{DATACENTER}/host/F0/DC1_H0/Resources");
    assert_eq!(machine.pool.as_ref(), Some(&pool));

    destroy(&terraform, "one");
    let after = vcenter.inventory().unwrap();
    assert!(after.machines.is_empty());
    let left = after.files(DATACENTER, "LocalDS_0").iter();
    let left: Vec<_> = left.map(|file| &*file.path).collect();
    assert_eq!(
        left,
        ["kept-1", "kept-1/kept-1-flat.vmdk", "kept-1/kept-1.vmdk"]
    );
}

#[test]
fn the_module_is_valid_and_formatted() {
    let Some(terraform) = Terraform::new() else {
        return;
    };
    terraform.run(".", &["fmt", "-check", "-diff", "-recursive"]);
    for folder in [".", EXAMPLE] {
        terraform.init(folder);
        terraform.run(folder, &["validate", "-no-color"]);
    }
    let refused = |variable: &str, problem: &str| {
        let arguments = [
            "plan",
            "-input=false",
            "-no-color",
            "-var=name=x",
            "-var=network=x",
            "-var=datastore=x",
            "-var=iso_path=x.iso",
            variable,
        ];
        let output = terraform.output(".", &arguments);
        assert!(!output.status.success());
        // Messages are broken into lines.
        let said = String::from_utf8(output.stderr).unwrap();
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(problem), "{variable}: {said}");
    };
    refused("-var=iso_path=[ds] x.iso", "no [datastore]");
    refused("-var=iso_path=/x.iso", "no slash before it");
    refused("-var=firmware=uefi", "\"bios\" or \"efi\"");
    refused("-var=memory_mib=1023", "multiple of 4 MiB");
    refused("-var=instances=1.5", "whole number");
    refused("-var=disk_gib=0", "1 GiB or more");
}
