//! Services: containers that are kept running.
//!
//! LinuxKit hands them to containerd. This guest needs no image store and no API, so each has a thread
//! here that starts it again when it ends, with a growing pause.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::containers::{Container, of_section};
use crate::error::{Context, GuestError};
use crate::report;

/// While this file exists, nothing is started again.
pub(crate) const STOPPING: &str = "/run/lkbuild-guest.stopping";

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A service that ran this long was well: the next pause is the first one again.
const WELL: Duration = Duration::from_secs(60);

/// Starts all services and stays until they are stopped.
pub(crate) fn supervise_all() -> Result<(), GuestError> {
    let mut threads = Vec::new();
    for container in of_section("services")? {
        threads.push(thread::spawn(move || supervise(&container)));
    }
    report::line(&format!("services {}", threads.len()));
    for thread in threads {
        // A panic of one thread was printed; the others go on.
        drop(thread.join());
    }
    Ok(())
}

fn supervise(container: &Container) {
    let name = &container.name;
    if let Err(error) = container.prepare() {
        report::line(&format!("service {name} FAILED {error}"));
        return;
    }
    let log = container.log_path("services");
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        let outcome = container.start(&log).and_then(|pid| {
            report::line(&format!("service {name} started"));
            wait_for_end(pid)
        });
        container.delete();
        if Path::new(STOPPING).exists() {
            report::line(&format!("service {name} stopped"));
            return;
        }
        let why = outcome
            .err()
            .map(|error| format!(": {error}"))
            .unwrap_or_default();
        let last = fs::read_to_string(&log).unwrap_or_default();
        let last = last.trim_end().lines().next_back().unwrap_or_default();
        report::line(&format!("service {name} ENDED{why} | {last}"));
        if started.elapsed() > WELL {
            pause = FIRST_PAUSE;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Waits for a process that is not our child (it is the init's): no exit code, but its end.
fn wait_for_end(pid: Pid) -> Result<(), GuestError> {
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        // Gone already.
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        opened => opened.context("open", format!("/proc/{}", pid.as_raw_nonzero()))?,
    };
    loop {
        let mut wanted = [PollFd::new(&process, PollFlags::IN)];
        match poll(&mut wanted, None) {
            Err(rustix::io::Errno::INTR) => {}
            outcome => return outcome.map(drop).context("wait for", "a service"),
        }
    }
}
