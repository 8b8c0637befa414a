//! The lock on `index.json`.
//!
//! LinuxKit takes a POSIX record lock (`fcntl`, F_SETLKW) on `.lock`; `flock` would not exclude
//! it. Such locks belong to the process, and closing any descriptor of the file drops them, so
//! threads of this process exclude each other by a mutex first.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, fcntl_lock};

use super::{StoreError, io_error};

static IN_THIS_PROCESS: Mutex<()> = Mutex::new(());

/// Holds the lock until dropped.
pub(super) struct Lock {
    _file: File,
    _guard: MutexGuard<'static, ()>,
}

/// Waits for the lock of the store at `dir`.
pub(super) fn exclusive(dir: &Path) -> Result<Lock, StoreError> {
    let guard = IN_THIS_PROCESS
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let path = dir.join(".lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| io_error("open", &path, e))?;
    loop {
        match fcntl_lock(&file, FlockOperation::LockExclusive) {
            Ok(()) => {
                return Ok(Lock {
                    _file: file,
                    _guard: guard,
                });
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(io_error("lock", &path, e.into())),
        }
    }
}
