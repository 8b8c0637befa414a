//! How much memory a program takes.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Runs a command to its end; with its output comes the most memory that it held, in kilobytes
/// (`VmHWM` of proc(5), looked at every few milliseconds: the kernel keeps the maximum). A program
/// that ends before it was looked at, on a busy machine, is run again.
pub(crate) fn peak(command: &mut Command) -> (Output, u64) {
    const ATTEMPTS: usize = 50;
    let mut attempts = std::iter::repeat_with(|| run(command)).take(ATTEMPTS);
    let found = attempts.find(|(_, kilobytes)| *kilobytes > 0);
    found.unwrap_or_else(|| panic!("the program ended before it was looked at, every time"))
}

fn run(command: &mut Command) -> (Output, u64) {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watcher = std::thread::spawn(move || {
        let mut most = 0;
        // The file has no such line once the process has ended, and is gone when it was waited for.
        while let Some(now) = std::fs::read_to_string(&status).ok().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().trim_end_matches(" kB").parse().ok()
        }) {
            most = now;
            std::thread::sleep(Duration::from_millis(5));
        }
        most
    });
    let output = child.wait_with_output().unwrap();
    let most = watcher.join().unwrap();
    (output, most)
}
