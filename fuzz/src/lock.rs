//! Lock files.

use lkbuild::lockfile::LockFile;

/// Parses any text as a lock file; what is accepted comes back from its own text.
pub fn lock(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match LockFile::parse(text) {
        Ok(lock) => assert_eq!(LockFile::parse(&lock.to_text()), Ok(lock)),
        Err(error) => assert!(error.line > 0 && !error.reason.is_empty()),
    }
}
