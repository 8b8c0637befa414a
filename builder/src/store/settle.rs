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

/// Files on their way to the disk; clones share them. The last one to go waits for all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Settling(Arc<Mutex<Option<Syncer>>>);

/// The thread that syncs, and the way to it.
#[derive(Debug)]
struct Syncer {
    files: mpsc::SyncSender<(File, PathBuf)>,
    thread: JoinHandle<Result<(), StoreError>>,
}

impl Settling {
    /// Syncs a file that has its name already, some time before [`Settling::settle`] returns.
    pub(super) fn later(&self, file: File, path: PathBuf) {
        let mut syncer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let syncer = syncer.get_or_insert_with(Syncer::start);
        // A thread that is gone has failed, which `settle` tells.
        let _ = syncer.files.send((file, path));
    }

    /// Waits until all files so far are on the disk.
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        let syncer = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        syncer.map_or(Ok(()), Syncer::finish)
    }
}

impl Syncer {
    fn start() -> Self {
        let (files, waiting) = mpsc::sync_channel(MAX_WAITING);
        let thread = std::thread::spawn(move || sync_all(waiting));
        Syncer { files, thread }
    }

    fn finish(self) -> Result<(), StoreError> {
        drop(self.files);
        self.thread.join().unwrap_or(Ok(()))
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        if let Some(last) = Arc::get_mut(&mut self.0) {
            let syncer = last
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            // Nobody is left to hear of an error, and what was lost is noticed when it is read.
            let _ = syncer.map(Syncer::finish);
        }
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
