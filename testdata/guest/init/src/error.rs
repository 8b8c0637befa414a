//! What can go wrong, with where it did.

use std::path::{Path, PathBuf};

/// An error of the guest's init.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuestError {
    /// A system call or file operation failed.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried, as a verb.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A `runtime.json` that can't be read as one.
    #[error("{path} is no runtime.json: {source}")]
    Runtime {
        /// The file.
        path: PathBuf,
        /// What the JSON parser says.
        source: serde_json::Error,
    },
    /// A program ended with an exit code that is not 0, or was killed.
    #[error("`{command}` failed: {outcome}{output}")]
    Command {
        /// The command line.
        command: String,
        /// Exit code or signal.
        outcome: String,
        /// What it wrote, if anything was kept.
        output: String,
    },
    /// Called under a name or with a verb that means nothing here.
    #[error(
        "nothing to do as `{name} {verb}`; verbs of `service` are onboot, services, onshutdown"
    )]
    Usage {
        /// The name it was called by.
        name: String,
        /// Its first argument.
        verb: String,
    },
}

/// Adds what was tried, and where, to an I/O error.
pub(crate) trait Context<T> {
    /// `what` is a verb: "mount", "read".
    fn context(self, what: &'static str, path: impl AsRef<Path>) -> Result<T, GuestError>;
}

impl<T, E: Into<std::io::Error>> Context<T> for Result<T, E> {
    fn context(self, what: &'static str, path: impl AsRef<Path>) -> Result<T, GuestError> {
        self.map_err(|source| GuestError::Io {
            what,
            path: path.as_ref().to_owned(),
            source: source.into(),
        })
    }
}
