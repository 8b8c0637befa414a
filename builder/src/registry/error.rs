//! What can go wrong between a name and its bytes.

use std::io;

use super::document::DocumentError;
use crate::digest::VerifyError;
use crate::layer::Escaped;
use crate::store::StoreError;

/// An image could not be had: which one, and why. Some of the words come from the image's documents:
/// they make no lines of their own.
#[derive(Debug, thiserror::Error)]
#[error("{image}: {}", Escaped(.kind.to_string().as_bytes()))]
pub struct RegistryError {
    /// Full name of the image (or the file it was looked for in).
    pub image: String,
    /// What went wrong.
    #[source]
    pub kind: RegistryErrorKind,
}

/// Why an image could not be had. No message holds a password or token.
#[derive(Debug, thiserror::Error)]
pub enum RegistryErrorKind {
    /// No source knows the name.
    #[error("there is no such image in {place}; check its name and tag")]
    NotFound {
        /// Where it was looked for.
        place: String,
    },
    /// The registry wants other credentials.
    #[error(
        "{host} refuses access ({status}); run `docker login {host}` or check the account's rights"
    )]
    Denied {
        /// The registry.
        host: String,
        /// HTTP status.
        status: u16,
    },
    /// The registry can't be reached.
    #[error("can't reach {host}: {reason}{hint}")]
    Unreachable {
        /// The registry.
        host: String,
        /// What the network said.
        reason: String,
        /// What may help; empty or starts with a semicolon.
        hint: String,
    },
    /// The registry answered with an error.
    #[error("{host} answered {status} to {what}{retries}")]
    Status {
        /// The registry.
        host: String,
        /// HTTP status.
        status: u16,
        /// What was asked for.
        what: String,
        /// How often it was tried; empty or in parentheses.
        retries: String,
    },
    /// The registry's answer breaks the distribution-spec.
    #[error("{host}: {reason}")]
    Protocol {
        /// The registry.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// A manifest, index or config that can't be used.
    #[error("{0}")]
    Document(#[from] DocumentError),
    /// A lock file whose lines about one image do not fit together.
    #[error("{0}")]
    Lock(#[from] Box<LockMismatch>),
    /// Bytes that are not those of their digest.
    #[error("{0}")]
    Verify(#[from] VerifyError),
    /// The store can't be read or written.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A file that images are read from.
    #[error("can't be read: {reason}")]
    File {
        /// Why not.
        reason: String,
    },
    /// Reading a blob failed on the way.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Nothing may be fetched and the store does not have it.
    #[error("nothing may be fetched, and the store does not have {}", .what.as_deref().unwrap_or("this image"))]
    Missing {
        /// The blob that is missing; `None` for all of the image.
        what: Option<String>,
    },
}

/// What a lock file says of a platform, and of the image that has it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the lock file says {locked} for {platform}, and {top} for all of it, which has {found}; one of \
     its lines was changed: write them anew with `lkbuild lock --update NAME`"
)]
pub struct LockMismatch {
    /// The platform.
    pub platform: String,
    /// The digest that is locked for it.
    pub locked: String,
    /// The digest that is locked for the whole image.
    pub top: String,
    /// What that has for the platform.
    pub found: String,
}

impl RegistryErrorKind {
    /// An error of reading a blob; what is inside comes out.
    pub(crate) fn from_io(error: io::Error) -> Self {
        let inner = match error.downcast::<VerifyError>() {
            Ok(error) => return error.into(),
            Err(error) => error,
        };
        match inner.downcast::<RegistryErrorKind>() {
            Ok(kind) => kind,
            Err(error) => error.into(),
        }
    }

    pub(crate) fn of(self, image: impl ToString) -> RegistryError {
        RegistryError {
            image: image.to_string(),
            kind: self,
        }
    }
}
