//! The init of lkbuild's test guest.
//!
//! One program under four names, as in a LinuxKit system:
//! - `/init` runs from the initramfs and moves the system to a tmpfs of its own;
//! - `/bin/rc.init`, started by busybox's init, prepares mounts, devices and the network's basics;
//! - `/usr/bin/service` runs the containers that an image brings (`onboot`, `services`, `onshutdown`);
//! - `/bin/rc.shutdown` takes all down again.
//!
//! Every step is reported on the console as a line that begins `lkbuild-guest: `, for tests to read.

mod boot;
mod containers;
mod error;
mod initramfs;
mod mounts;
mod report;
mod runtime;
mod services;
mod shutdown;

use std::path::Path;
use std::process::ExitCode;

use error::GuestError;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default().to_owned();
    let verb = arguments.next().unwrap_or_default();
    match run(&name.to_string_lossy(), &verb.to_string_lossy()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::line(&format!("error {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, verb: &str) -> Result<(), GuestError> {
    match (name, verb) {
        ("init", _) => initramfs::switch_to_tmpfs(),
        ("rc.init", _) => boot::bring_up(),
        ("rc.shutdown", _) => shutdown::take_down(),
        ("service", "onboot") => containers::run_all("onboot"),
        ("service", "onshutdown") => containers::run_all("onshutdown"),
        ("service", "services") => services::supervise_all(),
        _ => Err(GuestError::Usage {
            name: name.to_owned(),
            verb: verb.to_owned(),
        }),
    }
}
