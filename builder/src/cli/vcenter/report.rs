//! Tells of the library's progress in the program's way.

use std::sync::{Mutex, PoisonError};

use vmware::Observer;

use super::super::interrupt::{Careful, Interrupt};
use crate::progress::{Progress, Task};

/// An observer that shows one transfer.
pub(in super::super) struct Report<'a> {
    progress: &'a Progress,
    name: String,
    total_bytes: u64,
    task: Mutex<Option<Task>>,
    careful: Careful<'a>,
}

impl<'a> Report<'a> {
    /// Of a transfer of that name and length. While there is a report, signals stop the transfer
    /// and not the program.
    pub(in super::super) fn new(
        progress: &'a Progress,
        interrupt: &'a Interrupt,
        name: String,
        total_bytes: u64,
    ) -> Self {
        Report {
            progress,
            name,
            total_bytes,
            task: Mutex::new(None),
            careful: interrupt.careful(),
        }
    }
}

impl Observer for Report<'_> {
    fn progress(&self, done_bytes: u64) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        // A transfer begins, or begins again.
        if done_bytes == 0 {
            *task = None;
        }
        let task = task.get_or_insert_with(|| {
            self.progress
                .task(self.name.clone(), Some(self.total_bytes))
        });
        task.set(done_bytes);
    }

    fn note(&self, text: &str) {
        self.progress.info(text);
    }

    fn warn(&self, text: &str) {
        self.progress.warn(text);
    }

    fn is_stopped(&self) -> bool {
        self.careful.is_stopped()
    }
}
