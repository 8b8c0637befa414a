//! What is pushed, and who is told how it goes.

use std::io::{self, Read};

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
}

/// An observer that tells no one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
