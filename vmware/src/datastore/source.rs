//! What is pushed, and who is told how it goes.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};

/// How soon a pause ends when it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Bytes of a known length that can be read more than once: an upload that fails starts again.
pub trait Source: Sync {
    /// How many there are.
    fn len_bytes(&self) -> u64;

    /// Reads them from the start.
    ///
    /// # Errors
    /// If they can't be read any more, or are not as many as they were.
    fn open(&self) -> io::Result<Box<dyn Read + '_>>;
}

impl Source for Vec<u8> {
    fn len_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(&self[..]))
    }
}

/// Told what happens; every method may be left as it is.
pub trait Observer: Sync {
    /// So many bytes of the present transfer are done; it starts again from 0 after a failure.
    fn progress(&self, done_bytes: u64) {
        let _ = done_bytes;
    }

    /// Something worth a line, such as a folder that was made.
    fn note(&self, text: &str) {
        let _ = text;
    }

    /// Something that went wrong and is dealt with, such as an upload that starts again.
    fn warn(&self, text: &str) {
        let _ = text;
    }

    /// Whether to stop: asked between pieces, and while nothing moves. The transfer then fails with
    /// [`Kind::Stopped`], and what it has sent is removed.
    fn is_stopped(&self) -> bool {
        false
    }
}

/// An error if the transfer is to stop.
pub(crate) fn go_on(observer: &dyn Observer) -> Result<()> {
    match observer.is_stopped() {
        true => Err(Error::new(Kind::Stopped, "stopped")),
        false => Ok(()),
    }
}

/// Waits that long, unless the transfer is to stop.
pub(crate) fn pause(observer: &dyn Observer, wait: Duration) -> Result<()> {
    let end = Instant::now() + wait;
    loop {
        go_on(observer)?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(LOOK_EVERY));
    }
}

/// An observer that tells no one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
