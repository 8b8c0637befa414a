//! The whole way, as `make story` shows it: from YAML to three VMs that keep their data under a new
//! system.
//!
//! A Docker host is built as an ISO, pushed to a simulated vCenter, and real Terraform makes three
//! VMs of it there. What vCenter then has is booted: for each VM, a QEMU machine with the VM's
//! firmware, memory, processors and UUID, the file that its CD names (read back from the datastore
//! by curl) and the disk that was made for it. Each host writes a note with the Docker engine's
//! help. Then the same with a second version of the system, in the same VMs.

// A panic is how a test fails; what is printed is the transcript.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testdata::qemu::{self, Attach, DiskFormat, Drive, Firmware};
use testdata::{Inventory, Machine, Terraform, VCenter, VCenterOptions};
use testdata::{guest_images, judge, workspace_dir};

/// What the YAMLs call the registry of their images; the layout has them without.
const REGISTRY: &str = "localhost:5000/";
/// Of the module, whose path in the repository this follows.
const EXAMPLE: &str = "examples/three-docker-hosts";
const DATASTORE: &str = "LocalDS_0";
const MACHINES: [&str; 3] = ["docker-1", "docker-2", "docker-3"];
const NOTE: &str = "/var/lib/docker/volumes/note/_data/note";

/// What a host says that is not well. The engine may be started again on a slow machine.
const BROKEN: [&str; 3] = ["FAILED", "Kernel panic", "No space left on device"];
/// Long enough for software emulation on a busy machine.
const BOOT_SECONDS: u64 = 900;

const PLAN_IS_EMPTY: Option<i32> = Some(0);
const PLAN_HAS_CHANGES: Option<i32> = Some(2);

#[test]
#[ignore = "six boots of a Docker host: make story"]
fn three_machines_keep_their_data_under_a_new_system() {
    let Some(story) = Story::new() else { return };

    say("version 1: from YAML to an ISO on the datastore");
    story.build(1);
    story.push(1);
    say("Terraform makes three VMs of it");
    story.run(&["terraform", "init"]);
    story.apply(1, "3 added, 0 changed, 0 destroyed");
    let before = story.machines(1);
    for machine in &before {
        story.boot(machine, 1);
    }

    say("version 2: another ISO, beside the first");
    story.build(2);
    story.push(2);
    say("Terraform changes the CDs, in place");
    story.apply(2, "0 added, 3 changed, 0 destroyed");
    let after = story.machines(2);
    for (machine, earlier) in after.iter().zip(&before) {
        assert_eq!(machine.uuid, earlier.uuid, "another VM");
        assert_eq!(machine.disks, earlier.disks, "another disk");
    }
    for machine in &after {
        story.boot(machine, 2);
    }

    say("all three run version 2, and each has the note that it wrote under version 1");
}

fn say(text: &str) {
    println!("\n== {text}");
}

/// A user's home, a server and Terraform.
struct Story {
    home: tempfile::TempDir,
    vcenter: VCenter,
    terraform: Terraform,
}

impl Story {
    /// `None`, and a printed line, where something for it is missing (a failure in CI).
    fn new() -> Option<Self> {
        for program in ["qemu-system-x86_64", "curl", "sha256sum"] {
            judge(program)?;
        }
        let images = guest_images()?;
        let vcenter = VCenterOptions::default().start()?;
        // Without pyvmomi nothing could be judged.
        vcenter.inventory()?;
        let terraform = Terraform::new()?.with_server(&vcenter);
        let home = tempfile::tempdir().unwrap();
        // Whoever builds may log in to the hosts; nobody does here.
        fs::create_dir(home.path().join(".ssh")).unwrap();
        fs::write(home.path().join(".ssh/id_ed25519.pub"), "no key\n").unwrap();
        std::os::unix::fs::symlink(images, home.path().join("images")).unwrap();
        Some(Story {
            home,
            vcenter,
            terraform,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Runs a command line as a user would in their home or, what is about vSphere, in the folder
    /// of the example; shows it and what it prints; it must succeed.
    fn run(&self, line: &[&str]) -> String {
        let shown = line.iter().map(|word| match word.contains(' ') {
            true => format!("'{word}' "),
            false => format!("{word} "),
        });
        println!("$ {}", shown.collect::<String>().trim_end());
        let (program, arguments) = line.split_first().unwrap();
        let output = match *program {
            "terraform" if arguments == ["init"] => {
                self.terraform.init(EXAMPLE);
                return String::new();
            }
            "terraform" => self.terraform.output(EXAMPLE, arguments),
            _ => self.command(program, arguments).output().unwrap(),
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            panic!("{line:?}: {}\n{said}", output.status);
        }
        assert!(!said.contains(VCenter::PASSWORD));
        let is_terraform = *program == "terraform";
        for line in said.lines() {
            if !is_terraform || is_worth_a_line(line) {
                println!("{line}");
            }
        }
        said
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = match program {
            "lkbuild" => Command::new(env!("CARGO_BIN_EXE_lkbuild")),
            other => Command::new(other),
        };
        let of_vsphere = arguments.contains(&"vcenter");
        command
            .args(arguments.iter().map(|word| self.expand(word)))
            .current_dir(match of_vsphere {
                true => self.terraform.module().join(EXAMPLE),
                false => self.home.path().to_owned(),
            })
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home.path());
        if of_vsphere {
            command.envs(self.vcenter.environment());
        }
        command
    }

    /// `~/`, as a shell expands it.
    fn expand(&self, word: &str) -> String {
        match word.strip_prefix("~/") {
            Some(name) => self.path(name).display().to_string(),
            None => word.to_owned(),
        }
    }

    /// Builds that version of the system as `~/docker-host.iso`.
    fn build(&self, version: u32) {
        for name in ["docker-host.yml", "story.yml"] {
            let text = fs::read_to_string(workspace_dir().join("testdata").join(name)).unwrap();
            let text = text.replace(REGISTRY, "");
            let text = text.replace("version 1", &format!("version {version}"));
            fs::write(self.path(name), text).unwrap();
        }
        if version > 1 {
            println!("$ sed -i 's/version 1/version {version}/' story.yml");
        }
        self.run(&[
            "lkbuild",
            "build",
            "--offline",
            "--images",
            "images",
            "--arch",
            "amd64",
            "-f",
            "iso",
            "--name",
            "docker-host",
            "docker-host.yml",
            "story.yml",
        ]);
    }

    fn push(&self, version: u32) {
        self.run(&[
            "lkbuild",
            "push",
            "vcenter",
            "--folder",
            &format!("docker-host/v{version}"),
            "--tfvars",
            "iso.auto.tfvars.json",
            "~/docker-host.iso",
        ]);
    }

    /// Lets Terraform make it so; it must say that it did just that, and have nothing left to do.
    fn apply(&self, version: u32, done: &str) {
        let site = ["-var=cluster=DC0_C0", "-var=disk_gib=4"];
        let plan = [&["plan", "-detailed-exitcode", "-no-color"], &site[..]].concat();
        let plan = || self.terraform.output(EXAMPLE, &plan).status.code();
        assert_eq!(plan(), PLAN_HAS_CHANGES);
        let apply = ["terraform", "apply", "-auto-approve", "-no-color"];
        let said = self.run(&[&apply[..], &site].concat());
        assert!(said.contains(done), "version {version}: {said}");
        assert_eq!(plan(), PLAN_IS_EMPTY);
        // A system does not need its CD while it runs.
        let asked = self.vcenter.requests();
        let restarts = ["PowerOffVM_Task", "ShutdownGuest", "ResetVM_Task"];
        assert!(!asked.iter().any(|one| restarts.contains(&&*one.method)));
    }

    /// The three VMs, as pyvmomi sees them.
    fn machines(&self, version: u32) -> Vec<Machine> {
        let inventory: Inventory = self.vcenter.inventory().unwrap();
        let iso = format!("[{DATASTORE}] docker-host/v{version}/docker-host.iso");
        let names: Vec<_> = inventory.machines.iter().map(|one| &*one.name).collect();
        assert_eq!(names, MACHINES);
        for machine in &inventory.machines {
            assert_eq!(machine.cds.len(), 1);
            assert_eq!(machine.cds[0].file.as_ref(), Some(&iso));
            assert!(machine.cds[0].start_connected && machine.running);
            assert_eq!(machine.disks.len(), 1);
        }
        inventory.machines
    }

    /// Boots what vCenter has of a VM: the host must come up, find what it has written before and
    /// nothing else, write once more, and turn itself off.
    fn boot(&self, machine: &Machine, version: u32) {
        let iso = self.read_back(machine.cds[0].file.as_ref().unwrap());
        let disk = self.disk(machine);
        let firmware = match &*machine.firmware {
            "efi" => Firmware::Uefi,
            _ => Firmware::Bios,
        };
        println!(
            "\n-- {} in QEMU: {}, {} MiB, the CD above, the disk {}",
            machine.name, machine.firmware, machine.memory_mb, machine.disks[0].file
        );
        let mut guest = qemu::Machine::new(firmware)
            .unwrap()
            .memory_mib(machine.memory_mb.try_into().unwrap())
            .cpus(machine.cpus)
            .drive(Drive::new(Attach::Cd, DiskFormat::Raw, &iso))
            .drive(Drive::new(Attach::Pvscsi, DiskFormat::Raw, &disk).kept())
            .arguments(&["-uuid", &machine.uuid])
            .arguments(&["-netdev", "user,id=net0", "-device", "vmxnet3,netdev=net0"])
            .start();
        let written = |version| format!("story: {NOTE}: version {version} on {}", machine.uuid);
        let formatted = match version {
            1 => "onboot 001-format | formatted",
            _ => "onboot 001-format | found",
        };
        let found = match version {
            1 => "runs version 1, found: nothing".to_owned(),
            _ => format!("runs version 2, found: version 1 on {}", machine.uuid),
        };
        let lines: Vec<_> = (1..=version).map(written).collect();
        let mut expected = vec![formatted, "onboot 002-mount | mounted", &found];
        expected.extend(lines.iter().map(|line| &**line));
        let end = format!("story: end of {NOTE}");
        expected.extend([&*end, "onshutdown 000-goodbye"]);
        guest.expect(&expected, &BROKEN, BOOT_SECONDS);
        // It ends when it has turned itself off.
        let log = guest.expect(&[], &BROKEN, BOOT_SECONDS);
        let told = log.lines().filter(|line| line.starts_with("story: "));
        let notes: Vec<_> = told.filter(|line| line.contains(" on ")).collect();
        assert_eq!(notes.len(), 2 * lines.len() - 1, "others wrote: {log}");
        let worth = ["onboot 001-", "onboot 002-", "service docker started"];
        for line in log.lines() {
            let own = line.strip_prefix("lkbuild-guest: ");
            let shown = own.is_some_and(|own| worth.iter().any(|start| own.starts_with(start)));
            if shown || line.starts_with("story: ") {
                println!("   {line}");
            }
        }
        fs::remove_file(iso).unwrap();
    }

    /// Reads a file, `[datastore] dir/file`, from the datastore; it must be the one that was built.
    fn read_back(&self, file: &str) -> PathBuf {
        let path = file.strip_prefix(&format!("[{DATASTORE}] ")).unwrap();
        let to = self.path("read-back.iso");
        let url = format!(
            "{}/folder/{path}?dcPath=DC0&dsName={DATASTORE}",
            self.vcenter.url()
        );
        println!(
            "\n$ curl -o read-back.iso 'https://VCENTER/folder/{path}?dcPath=DC0&dsName={DATASTORE}'"
        );
        curl(&url, self.vcenter.ca(), &to);
        let said = self.run(&["sha256sum", "docker-host.iso", "read-back.iso"]);
        let digests: Vec<_> = said.lines().map(|line| line.split(' ').next()).collect();
        assert_eq!(digests.len(), 2);
        assert_eq!(digests[0], digests[1], "other bytes than were built");
        to
    }

    /// The file that holds the disk of a VM, as long as the disk.
    fn disk(&self, machine: &Machine) -> PathBuf {
        let disk = &machine.disks[0];
        let path = disk.file.strip_prefix(&format!("[{DATASTORE}] ")).unwrap();
        let flat = path.replace(".vmdk", "-flat.vmdk");
        let flat = self.vcenter.datastore("DC0", DATASTORE).join(flat);
        let file = File::options().write(true).open(&flat).unwrap();
        // The simulator makes the file, but not its length.
        if file.metadata().unwrap().len() < disk.bytes {
            file.set_len(disk.bytes).unwrap();
        }
        flat
    }
}

/// Of what Terraform prints: what was done, without the plan and the waiting.
fn is_worth_a_line(line: &str) -> bool {
    [
        "Creation complete",
        "Modifications complete",
        "Apply complete",
    ]
    .iter()
    .any(|part| line.contains(part))
}

/// Reads a URL by curl, which is told the password on its standard input.
fn curl(url: &str, ca: &Path, to: &Path) {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let user = format!("{}:{}", VCenter::USER, VCenter::PASSWORD);
    let mut curl = Command::new("curl")
        .args(["-sSf", "-K", "-", "--cacert"])
        .arg(ca)
        .arg("-o")
        .arg(to)
        .arg(url)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = curl.stdin.take().unwrap();
    writeln!(stdin, "user = \"{}\"", quoted(&user)).unwrap();
    drop(stdin);
    assert!(curl.wait().unwrap().success(), "{url} can't be read");
}
