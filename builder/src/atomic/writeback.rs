//! Files whose bytes go to the disk while the rest is still being made.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::num::NonZeroU64;

use rustix::fs::{Advice, fadvise};

/// How much is asked for at a time: enough for a disk to be busy with, little enough for the last
/// one to be short.
const WINDOW_BYTES: u64 = 8 << 20;

/// A file that is written from its start to its end. Without this the disk would be idle until a file
/// is synced, which would then wait for all of it. Packs are not synced, but they are as large as
/// what is made of them, and that is.
pub(super) struct Writeback {
    file: File,
    position: u64,
    /// The disk was asked to take everything before this.
    asked: u64,
}

impl Writeback {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            position: 0,
            asked: 0,
        }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Has the kernel start to write what is not on the disk yet. It also forgets pages of the range
    /// that are, and of those that were just written there are none.
    fn ask(&mut self) {
        let range = NonZeroU64::new(self.position - self.asked);
        // It is advice: where it is not taken, the sync does it all.
        let _ = fadvise(&self.file, self.asked, range, Advice::DontNeed);
        self.asked = self.position;
    }
}

impl Write for Writeback {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.position += written as u64;
        if self.position - self.asked >= WINDOW_BYTES {
            self.ask();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Writeback {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.file.seek(to)?;
        self.asked = self.position;
        Ok(self.position)
    }
}
