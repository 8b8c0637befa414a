//! Being stopped from outside: by Ctrl-C, by `kill`, by the end of a terminal.
//!
//! Usually a signal ends the program at once. While a transfer runs, the first one only asks it to
//! stop, so that what it has sent can be removed; the second ends the program all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

use super::CliError;

const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Makes a file that may not grow any more (`ulimit -f`) an error of the write, not the end.
pub(super) fn survive_file_limits() {
    // Without it the signal ends the program: nothing is wrong then but the message.
    let _ = flag::register(SIGXFSZ, Arc::default());
}

/// What signals do from now on; one for the whole program.
pub(super) struct Interrupt {
    /// A signal ends the program.
    at_once: Arc<AtomicBool>,
    /// There was one that did not.
    stopped: Arc<AtomicBool>,
}

/// As long as it is there, a first signal is only noted.
pub(super) struct Careful<'a>(&'a Interrupt);

impl Interrupt {
    /// Watches for signals, but for those that whoever started the program has it ignore (`nohup`).
    pub(super) fn watch() -> Result<Self, CliError> {
        let own = Interrupt {
            at_once: Arc::new(AtomicBool::new(true)),
            stopped: Arc::new(AtomicBool::new(false)),
        };
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = ignored(&status);
        for signal in SIGNALS {
            if ignored & (1 << (signal - 1)) == 0 {
                let watched = own.watch_one(signal);
                watched.map_err(|e| CliError::Setup(format!("can't watch for signals: {e}")))?;
            }
        }
        Ok(own)
    }

    /// The order matters: the second signal finds what the first has noted.
    fn watch_one(&self, signal: i32) -> std::io::Result<()> {
        let code = 128 + signal;
        flag::register_conditional_shutdown(signal, code, self.at_once.clone())?;
        flag::register_conditional_shutdown(signal, code, self.stopped.clone())?;
        flag::register(signal, self.stopped.clone())?;
        Ok(())
    }

    pub(super) fn careful(&self) -> Careful<'_> {
        self.at_once.store(false, Ordering::SeqCst);
        Careful(self)
    }
}

impl Careful<'_> {
    /// Whether there was a signal.
    pub(super) fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::SeqCst)
    }
}

impl Drop for Careful<'_> {
    fn drop(&mut self) {
        self.0.at_once.store(true, Ordering::SeqCst);
    }
}

/// The set of signals that a process ignores, a bit for each (proc(5), `SigIgn`).
fn ignored(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_ignores_is_known() {
        let status = "Name:\tlkbuild\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        let set = ignored(status);
        let named = SIGNALS.map(|signal| set & (1 << (signal - 1)) != 0);
        assert_eq!(named, [false, false, true]);
        assert_eq!(ignored(""), 0);
    }
}
