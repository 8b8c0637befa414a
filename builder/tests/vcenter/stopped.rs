//! Transfers that are stopped by a signal: nothing of them is left.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use testdata::Fault;

use crate::lab::{Lab, Ran, content, exit};

/// More than sockets hold: what they hold is sent at once.
const LEN: usize = 24 << 20;
const PLACE: [&str; 4] = ["--cluster", "DC0_C0", "--network", "VM Network"];

/// Starts the program with signals as a terminal has them: whoever runs these tests in the background
/// may have them ignored, and the program would heed that.
fn start(lab: &Lab, arguments: &[&str]) -> Child {
    let asked = lab.command();
    let mut command = Command::new("env");
    command
        .arg("--default-signal=INT,TERM,HUP")
        .arg(asked.get_program())
        .args(arguments)
        .current_dir(asked.get_current_dir().unwrap())
        .env_clear()
        .envs(
            asked
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits until it is so.
fn until(what: &str, so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a signal; the program must soon end as it ends when it was stopped.
fn stop(child: Child, signal: Signal) -> Ran {
    kill_process(Pid::from_child(&child), signal).unwrap();
    let begun = Instant::now();
    let ran = Ran::of(&child.wait_with_output().unwrap());
    ran.assert(exit::STOPPED, &["stopped"]);
    assert!(begun.elapsed() < Duration::from_secs(30), "{ran:?}");
    ran
}

#[test]
fn a_push_that_is_stopped_leaves_nothing() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("host.iso", 1, 5000);
    lab.must_push(&["host.iso"]);
    lab.file("host.iso", 2, LEN);
    let part = lab.vcenter.datastore("DC0", "LocalDS_0");
    let part = part.join("host/host.iso.part");
    let is_sending = || part.metadata().is_ok_and(|part| part.len() > 0);
    // While it moves, while it stands still, and while it waits to try again.
    for (signal, fault) in [
        (Signal::INT, Fault::slow(2 << 20)),
        (Signal::TERM, Fault::stall(2 << 20)),
        (Signal::HUP, Fault::cut(2 << 20)),
    ] {
        lab.fault(fault.clone());
        let push = ["push", "vcenter", "--retry-pause", "600", "host.iso"];
        let child = start(&lab, &push);
        until("it sends", is_sending);
        let ran = stop(child, signal);
        let there = [("host/host.iso".to_owned(), content(1, 5000))];
        assert!(lab.files() == there.into(), "{fault:?}: {ran:?}");
        assert_eq!(lab.vcenter.sessions(), 0, "{fault:?}: it logged out");
        lab.vcenter.calm();
    }
    assert_eq!(lab.must_push(&["host.iso"]), ["replaced"]);
}

#[test]
fn an_import_that_is_stopped_leaves_nothing() {
    let Some(lab) = Lab::new() else {
        return;
    };
    crate::import::appliance(&lab, "host");
    lab.fault(Fault::stall(1_000_000).on("POST"));
    let child = start(
        &lab,
        &[&["import", "vcenter"], &PLACE[..], &["host.ova"]].concat(),
    );
    let begun = || {
        let leases = std::fs::read_dir(lab.vcenter.leases());
        leases.is_ok_and(|mut sent| sent.next().is_some())
    };
    until("it sends", begun);
    stop(child, Signal::INT);
    assert_eq!(lab.count("HttpNfcLeaseAbort"), 1);
    assert!(lab.files().is_empty(), "{:?}", lab.files().keys());
    assert_eq!(lab.vcenter.sessions(), 0, "it logged out");
}

/// Who can't wait for the server sends another.
#[test]
fn a_second_signal_ends_the_program() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("host.iso", 1, LEN);
    lab.fault(Fault::stall(2 << 20));
    // The removal gets no answer either.
    lab.fault(Fault::stall(0).on("DeleteDatastoreFile_Task"));
    let mut child = start(&lab, &["push", "vcenter", "host.iso"]);
    until("it sends", || {
        lab.count("MakeDirectory") > 0 && !lab.files().is_empty()
    });
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(
        child.try_wait().unwrap().is_none(),
        "it waits for the server"
    );
    kill_process(pid, Signal::INT).unwrap();
    let begun = Instant::now();
    let code = child.wait().unwrap().code();
    assert_eq!(code, Some(exit::STOPPED));
    assert!(begun.elapsed() < Duration::from_secs(10));
}
