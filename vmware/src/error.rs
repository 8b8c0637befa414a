//! What can go wrong, by kind.

use std::time::Duration;

/// What kind of failure it was: what a program decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Something given by the caller can't be used: an address, a name, a size.
    Input,
    /// The user is not who they say, or the session ended and can't be had again.
    Login,
    /// The user may not do this.
    Permission,
    /// A name that is not there.
    NotFound,
    /// A name that means more than one object, or none given where there are several.
    Ambiguous,
    /// Something of this name is there already.
    Exists,
    /// A file or object that something else is using.
    InUse,
    /// The server's certificate is not trusted.
    Certificate,
    /// The connection could not be made, or was cut.
    Network,
    /// Nothing came or went for too long.
    Timeout,
    /// The server refused or failed.
    Server,
    /// The server's answer makes no sense.
    Protocol,
    /// What is there is not what was sent.
    Damaged,
    /// What was to be sent can't be read.
    Source,
    /// The caller had it stopped ([`Observer::is_stopped`](crate::Observer::is_stopped)).
    Stopped,
}

/// A failure: its kind, what happened and what to do about it.
///
/// No message holds a password.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: Kind,
    message: String,
    fault: Option<String>,
    status: Option<u16>,
    retry_after: Option<Duration>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What this crate's functions return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error {
            kind,
            message: message.into(),
            fault: None,
            status: None,
            retry_after: None,
            source: None,
        }
    }

    /// An error that a source of bytes (a caller's [`Source`](crate::Source) or
    /// [`Package`](crate::import::Package)) returns.
    pub fn source(what: &str, error: std::io::Error) -> Self {
        let mut own = Error::new(Kind::Source, format!("can't read {what}: {error}"));
        own.source = Some(Box::new(error));
        own
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Error::new(Kind::Protocol, message)
    }

    pub(crate) fn with_fault(mut self, name: &str) -> Self {
        self.fault = Some(name.into());
        self
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    pub(crate) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// The same error with `context` before its message.
    pub(crate) fn context(mut self, context: impl std::fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The type of the server's fault (`NotAuthenticated`, `FileLocked`), where it sent one.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The HTTP status, where that is what failed.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// How long the server asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    pub(crate) fn is_fault(&self, name: &str) -> bool {
        self.fault() == Some(name)
    }

    /// Whether the session ended: to be tried again after another login.
    pub(crate) fn session_ended(&self) -> bool {
        self.is_fault("NotAuthenticated") || self.status == Some(401)
    }

    /// Whether the same may well succeed a little later.
    pub(crate) fn passes(&self) -> bool {
        match self.kind {
            Kind::Network | Kind::Timeout | Kind::Damaged => true,
            Kind::Server => matches!(self.status, Some(408 | 429 | 500 | 502..=504)),
            _ => false,
        }
    }
}
