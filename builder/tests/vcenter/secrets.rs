//! The password is nowhere but in the login: not in what is said, not in what is written, not in
//! the process list.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use testdata::{Fault, VCenter, VCenterOptions};

use crate::import::appliance;
use crate::lab::{Lab, exit, run, run_with_input, spellings};

/// [`run`] looks for the password in all that every run of these tests says; here the runs say as
/// much as they can.
#[test]
fn nothing_that_is_said_has_the_password() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("a.iso", 1, 100_000);
    for talk in [&["--verbose=3"][..], &["--json", "--verbose=3"], &["-q"]] {
        for fault in [
            None,
            Some(Fault::status(500, 1000)),
            Some(Fault::cut(0).on("Login")),
            Some(Fault::status(403, 0).on("Login")),
            Some(Fault::expire(0).on("MoveDatastoreFile_Task")),
        ] {
            let fails = fault.is_some();
            if let Some(fault) = fault {
                lab.vcenter.fault(fault.times(2));
            }
            let mut command = lab.command();
            command.args(talk).args(["push", "vcenter", "a.iso"]);
            command.args(["--attempts", "1", "--folder", "x"]);
            let ran = run(&mut command);
            assert_eq!(ran.code != exit::DONE, fails, "{ran:?}");
            lab.vcenter.calm();
            let _ = std::fs::remove_dir_all(lab.vcenter.datastore("DC0", "LocalDS_0").join("x"));
        }
    }
    let mut wrong = lab.command();
    wrong.args(["push", "vcenter", "a.iso", "--datacenter", VCenter::USER]);
    run(&mut wrong).assert(exit::NAME, &["DC0"]);
}

const PLACE: [&str; 4] = ["--cluster", "DC0_C0", "--network", "VM Network"];

/// Command lines of all processes that work in a folder: the program, and what it might start.
fn process_list(folder: &Path) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let here = processes.filter(|entry| {
        std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder)
    });
    let lines = here.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .collect()
}

/// Says so when it goes.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Every command, while something looks at the process list all the time; then at every file.
#[test]
fn no_command_lists_or_writes_the_password() {
    // Tasks that take a while, so that there is something to look at.
    let options = VCenterOptions {
        task: Duration::from_millis(150),
        ..VCenterOptions::default()
    };
    let Some(lab) = Lab::with(&options) else {
        return;
    };
    lab.file("host.iso", 1, 100_000);
    appliance(&lab, "small");
    let folder = lab.path(".").canonicalize().unwrap();
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                seen.extend(process_list(&folder));
                std::thread::sleep(Duration::from_millis(5));
            }
            seen
        });
        let name_of =
            |word: &'static str| [&[word, "vcenter", "--json", "--verbose=3"][..]].concat();
        // Also where one of them fails.
        let done = Done(&done);
        let made = ["--persistent-size", "1G", "host/host.iso"];
        for arguments in [
            [
                &name_of("push")[..],
                &["--tfvars", "iso.tfvars", "host.iso"],
            ]
            .concat(),
            [&name_of("import")[..], &PLACE, &["small.ova"]].concat(),
            [&name_of("run")[..], &PLACE, &made].concat(),
            [&name_of("rm")[..], &["--disks", "--force", "host", "small"]].concat(),
        ] {
            run(lab.command().args(&arguments)).assert(exit::DONE, &[]);
        }
        let mut command = lab.command();
        command.env_remove("GOVC_PASSWORD");
        command.args(["push", "vcenter", "--password-stdin", "--force", "host.iso"]);
        run_with_input(&mut command, VCenter::PASSWORD).assert(exit::DONE, &[]);
        drop(done);
        watch.join().unwrap()
    });
    for command in [
        "push vcenter --json",
        "import",
        "run",
        "rm",
        "push vcenter --password-stdin",
    ] {
        let listed = |line: &String| line.contains(&format!("lkbuild {command}"));
        assert!(
            seen.iter().any(listed),
            "{command} was never seen: {seen:?}"
        );
    }
    let mut all: Vec<String> = seen.into_iter().collect();
    // What was written beside the files, and below HOME, which is the same folder here.
    let mut folders = vec![folder];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    files += 1;
                    let bytes = std::fs::read(path).unwrap();
                    all.push(String::from_utf8_lossy(&bytes).into_owned());
                }
            }
        }
    }
    assert!(files >= 3, "host.iso, small.ova, iso.tfvars");
    for spelling in spellings(VCenter::PASSWORD) {
        let told = all.iter().find(|text| text.contains(&spelling));
        assert!(told.is_none(), "{spelling:?} is the password: {told:?}");
    }
}
