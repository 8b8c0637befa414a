//! What goes wrong: passing troubles are got over, lasting ones are told by kind; and whatever
//! happens, the whole right file is there, or what was there before.

use std::process::Stdio;
use std::time::{Duration, Instant};

use testdata::Fault;

use crate::lab::{Lab, Ran, content, exit};

const LEN: usize = 3_000_000;
const ALWAYS: u32 = 1000;

/// Pushes a file over an older one while something goes wrong, with two attempts at most.
fn push_during(fault: &Fault) -> Option<(Lab, Ran)> {
    let lab = Lab::new()?;
    lab.file("host.iso", 1, 5000);
    lab.must_push(&["host.iso"]);
    lab.file("host.iso", 2, LEN);
    lab.fault(fault.clone());
    let ran = lab.push(&[
        "--attempts",
        "2",
        "--stall-timeout",
        "1.5",
        "--checksum",
        "host.iso",
    ]);
    let expected = match ran.code {
        exit::DONE => content(2, LEN),
        _ => content(1, 5000),
    };
    let files = lab.files();
    let names: Vec<_> = files.keys().collect();
    assert_eq!(names, ["host/host.iso"], "{fault:?}: {ran:?}");
    assert!(files["host/host.iso"] == expected, "{fault:?}: {ran:?}");
    // A session that the server only says has ended lives on.
    if fault.code() != Some(401) {
        assert_eq!(lab.vcenter.sessions(), 0, "{fault:?}: it logged out");
    }
    Some((lab, ran))
}

/// It happens once, and does no harm.
fn passes(fault: Fault) -> Option<(Lab, Ran)> {
    let (lab, ran) = push_during(&fault)?;
    assert_eq!(ran.code, exit::DONE, "{fault:?}: {ran:?}");
    assert_eq!(lab.vcenter.calm(), 0, "{fault:?} did not happen");
    Some((lab, ran))
}

/// It happens again and again: the exit code says what it is, and a word.
fn lasts(fault: Fault, code: i32, word: &str) -> Option<Lab> {
    let (lab, ran) = push_during(&fault.times(ALWAYS))?;
    ran.assert(code, &[word]);
    Some(lab)
}

#[test]
fn a_cut_connection_is_tried_again() {
    for after in [0, 1, 65_536, LEN as u64 - 1] {
        if passes(Fault::cut(after)).is_none() {
            return;
        }
    }
    let lab = lasts(Fault::cut(1_000_000), exit::NETWORK, "2 attempts").unwrap();
    assert_eq!(lab.puts(), 3, "one and two");
}

#[test]
fn a_lost_answer_does_not_lose_the_file() {
    passes(Fault::lose_answer());
    lasts(Fault::lose_answer(), exit::NETWORK, "2 attempts");
    // The file was moved, and nobody heard of it.
    passes(Fault::lose_answer().on("MoveDatastoreFile_Task"));
    for method in [
        "RetrieveServiceContent",
        "Login",
        "RetrievePropertiesEx",
        "SearchDatastore_Task",
    ] {
        passes(Fault::cut(0).on(method));
    }
}

#[test]
fn data_that_was_dropped_is_noticed_behind_success() {
    for kept in [0, 1_500_000, LEN as u64 - 1] {
        if passes(Fault::drop_data(kept)).is_none() {
            return;
        }
    }
    lasts(
        Fault::drop_data(1_500_000),
        exit::DAMAGED,
        "1500000 bytes of 3000000",
    );
}

#[test]
fn a_server_that_is_busy_is_left_alone_as_long_as_it_asks() {
    let start = Instant::now();
    let busy = Fault::status(503, 0).header("Retry-After", "2");
    if passes(busy.clone()).is_none() {
        return;
    }
    assert!(start.elapsed() >= Duration::from_secs(2));
    passes(Fault::status(503, 200_000));
    lasts(Fault::status(503, 0), exit::SERVER, "503");
    lasts(Fault::status(500, 1000), exit::SERVER, "500");
}

#[test]
fn a_stall_ends_after_the_time_that_was_set() {
    for after in [0, 1_000_000, LEN as u64] {
        if passes(Fault::stall(after)).is_none() {
            return;
        }
    }
    lasts(Fault::stall(100_000), exit::NETWORK, "nothing for");
}

#[test]
fn an_early_answer_is_heard_above_the_cut() {
    // Sent again is no smaller.
    let Some(lab) = lasts(Fault::status(413, 0), exit::SERVER, "413") else {
        return;
    };
    assert_eq!(lab.puts(), 2);
    lasts(Fault::status(413, 1_000_000), exit::SERVER, "413");
    lasts(Fault::status(403, 0), exit::REFUSED, "403");
    lasts(Fault::status(404, 0), exit::NAME, "404");
    lasts(Fault::status(405, 0), exit::SERVER, "folder is missing");
    passes(Fault::status(401, 0));
    passes(Fault::status(401, 1_000_000));
    lasts(Fault::status(401, 0), exit::REFUSED, "401");
}

#[test]
fn a_session_that_ends_is_begun_again() {
    for after in [0, 1_000_000] {
        let Some((lab, _)) = passes(Fault::expire(after)) else {
            return;
        };
        assert_eq!(lab.count("Login"), 3);
    }
    for method in [
        "RetrievePropertiesEx",
        "SearchDatastore_Task",
        "MoveDatastoreFile_Task",
    ] {
        passes(Fault::expire(0).on(method));
    }
    lasts(Fault::expire(500_000), exit::REFUSED, "401");
}

#[test]
fn nothing_is_left_where_nothing_was() {
    for fault in [
        Fault::cut(2_000_000),
        Fault::drop_data(100),
        Fault::status(507, 2_000_000),
        Fault::stall(2_000_000),
    ] {
        let Some(lab) = Lab::new() else {
            return;
        };
        lab.file("host.iso", 1, LEN);
        lab.fault(fault.clone().times(ALWAYS));
        let arguments = ["--attempts", "2", "--stall-timeout", "1", "host.iso"];
        let ran = lab.push(&arguments);
        assert_ne!(ran.code, exit::DONE, "{fault:?}");
        assert!(
            lab.files().is_empty(),
            "{fault:?}: {:?}",
            lab.files().keys()
        );
        // The next run finds no trace of it.
        lab.vcenter.calm();
        assert_eq!(lab.must_push(&arguments), ["pushed"]);
    }
}

#[test]
fn a_run_that_was_killed_does_not_hinder_the_next() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("host.iso", 1, LEN);
    lab.fault(Fault::stall(1_000_000));
    let mut command = lab.command();
    let mut child = command
        .args(["push", "vcenter", "host.iso"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !lab.files().contains_key("host/host.iso.part") {
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    lab.file("host.iso", 2, LEN / 2);
    assert_eq!(lab.must_push(&["host.iso"]), ["pushed"]);
    let whole = [("host/host.iso".to_owned(), content(2, LEN / 2))];
    assert_eq!(lab.files(), whole.into());
}

#[test]
fn two_runs_at_the_same_time_do_not_mix_their_files() {
    let Some(lab) = Lab::new() else {
        return;
    };
    let names = ["first", "second"];
    for (seed, name) in (1..).zip(names) {
        std::fs::create_dir(lab.path(name)).unwrap();
        lab.file(&format!("{name}/host.iso"), seed, LEN);
    }
    lab.fault(Fault::slow(3 << 20).times(2));
    let children = names.map(|name| {
        let mut command = lab.command();
        command.args(["push", "vcenter", "--folder", "x", "--retry-pause", "0.2"]);
        command.arg(format!("{name}/host.iso"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    });
    let ran = children.map(|child| Ran::of(&child.wait_with_output().unwrap()));
    assert!(ran.iter().any(|ran| ran.code == exit::DONE), "{ran:?}");
    let files = lab.files();
    let paths: Vec<_> = files.keys().collect();
    assert_eq!(paths, ["x/host.iso"], "{ran:?}");
    let whole = [1, 2].map(|seed| content(seed, LEN));
    assert!(whole.contains(&files["x/host.iso"]), "{ran:?}");
}
