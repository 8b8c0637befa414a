//! `rc.shutdown`: onshutdown containers, services, processes, mounts, in this order.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::mount::{UnmountFlags, unmount};

use crate::boot::run_folder;
use crate::containers::of_section;
use crate::error::{Context, GuestError};
use crate::report;
use crate::services::STOPPING;

/// How long services may take to end by themselves. The Docker engine stops its containers in that time.
const GRACE: Duration = Duration::from_secs(20);

/// Takes the system down; busybox's init then halts or reboots.
pub(crate) fn take_down() -> Result<(), GuestError> {
    report::line("shutdown begins");
    if let Err(error) = run_folder(Path::new("/etc/shutdown.d")) {
        report::line(&format!("warning {error}"));
    }
    fs::write(STOPPING, b"").context("make", STOPPING)?;
    let services = of_section("services")?;
    for service in &services {
        service.signal("TERM", false);
    }
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline && services_are_left() {
        thread::sleep(Duration::from_millis(200));
    }
    for service in &services {
        service.signal("KILL", true);
    }
    rustix::fs::sync();
    unmount_all();
    rustix::fs::sync();
    report::line("shutdown ok");
    Ok(())
}

/// runc keeps a folder for each container that was not deleted.
fn services_are_left() -> bool {
    fs::read_dir("/run/runc").is_ok_and(|mut entries| entries.next().is_some())
}

/// Unmounts what has a device, last mounted first; what is busy is remounted read-only.
fn unmount_all() {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for line in mounts.lines().rev() {
        let mut fields = line.split(' ');
        let (Some(source), Some(target)) = (fields.next(), fields.next()) else {
            continue;
        };
        if !source.starts_with("/dev/") {
            continue;
        }
        match unmount(target, UnmountFlags::empty()) {
            Ok(()) => report::line(&format!("unmounted {target}")),
            Err(_) => report::try_run("/bin/busybox", &["mount", "-o", "remount,ro", target]),
        }
    }
}
