//! The guest's report: one line a step on the console.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;

use crate::error::{Context, GuestError};

/// Writes `lkbuild-guest: TEXT` to the console in one piece, so that lines of others don't break it.
///
/// A console that can't be written to is no reason to stop booting.
pub(crate) fn line(text: &str) {
    if let Ok(mut console) = OpenOptions::new().write(true).open("/dev/console") {
        // The kernel leaves the cursor anywhere: begin a line of our own.
        let _ = console.write_all(format!("\r\nlkbuild-guest: {text}\r\n").as_bytes());
    }
}

/// Runs a program to its end; an exit code other than 0 is an error that quotes what it wrote.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, GuestError> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .context("run", program)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(GuestError::Command {
        command: format!("{program} {}", arguments.join(" ")),
        outcome: output.status.to_string(),
        output: format!(": {}", String::from_utf8_lossy(&output.stderr).trim()),
    })
}

/// As [`run`], for steps that the guest can live without: a failure is reported, not returned.
pub(crate) fn try_run(program: &str, arguments: &[&str]) {
    if let Err(error) = run(program, arguments) {
        line(&format!("warning {error}"));
    }
}
