//! Syncing blobs while the build goes on.
//!
//! A build verifies every blob that it reads, so a blob may have its name before its bytes are on the
//! disk: what a crash of the machine leaves of it is noticed and fetched again. All the same a program
//! that ended well should leave a store that survives one, and a disk that fails should be heard of.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use super::{StoreError, io_error};
use crate::atomic::sync_folder;

/// Files that may wait to be synced, each an open descriptor.
const MAX_WAITING: usize = 32;

/// Files on their way to the disk; clones share them. When the last one goes, all are waited for.
#[derive(Clone, Debug, Default)]
pub(super) struct Settling(Arc<Mutex<Option<Syncer>>>);

/// The thread that syncs, and the way to it; both are there until it is told to finish.
#[derive(Debug)]
struct Syncer {
    files: Option<mpsc::SyncSender<(File, PathBuf)>>,
    thread: Option<JoinHandle<Result<(), StoreError>>>,
}

impl Settling {
    /// Syncs a file that has its name already, some time before [`Settling::settle`] returns.
    pub(super) fn later(&self, file: File, path: PathBuf) {
        let mut syncer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let syncer = syncer.get_or_insert_with(Syncer::start);
        if let Some(files) = &syncer.files {
            // It takes files until it is told to finish.
            let _ = files.send((file, path));
        }
    }

    /// Waits until all files so far are on the disk.
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        let syncer = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        syncer.map_or(Ok(()), |mut syncer| syncer.finish())
    }
}

impl Syncer {
    fn start() -> Self {
        let (files, waiting) = mpsc::sync_channel(MAX_WAITING);
        let thread = std::thread::spawn(move || sync_all(waiting));
        Syncer {
            files: Some(files),
            thread: Some(thread),
        }
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        self.files = None;
        let ended = self.thread.take().map(JoinHandle::join);
        ended.unwrap_or(Ok(Ok(()))).unwrap_or(Ok(()))
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        // Nobody is left to hear of an error, and what was lost is noticed when it is read.
        let _ = self.finish();
    }
}

fn sync_all(waiting: mpsc::Receiver<(File, PathBuf)>) -> Result<(), StoreError> {
    let mut result = Ok(());
    let mut last = None;
    for (file, path) in waiting {
        // After an error the others are synced all the same.
        if let (Ok(()), Err(error)) = (&result, file.sync_all()) {
            result = Err(io_error("sync", &path, error));
        }
        last = Some(path);
    }
    // All blobs of one algorithm lie in one folder.
    if let Some(path) = last {
        sync_folder(&path);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_files_than_may_wait_are_synced_and_then_more() {
        let dir = tempfile::tempdir().unwrap();
        let settling = Settling::default();
        for round in 0..2 {
            for number in 0..3 * MAX_WAITING {
                let path = dir.path().join(format!("{round}-{number}"));
                settling.clone().later(File::create(&path).unwrap(), path);
            }
            settling.settle().unwrap();
        }
        settling.settle().unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_synced_is_named_and_others_are_synced_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let settling = Settling::default();
        // A pipe is nothing that a disk could hold.
        let (pipe, _writer) = std::io::pipe().unwrap();
        settling.later(std::os::fd::OwnedFd::from(pipe).into(), "blobs/one".into());
        let path = dir.path().join("other");
        settling.later(File::create(&path).unwrap(), path);
        let error = settling.settle().unwrap_err().to_string();
        assert!(error.contains("can't sync blobs/one"), "{error}");
        settling.settle().unwrap();
    }
}
