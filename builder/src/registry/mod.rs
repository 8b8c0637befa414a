//! Where images come from.
//!
//! [`Images`] answers the two questions of a build: which layers does a name stand for
//! ([`Images::resolve`]), and what are a blob's bytes ([`Images::open_blob`]). It asks the store
//! first, then a [`Source`]: a registry ([`remote`]) or a file that the user names ([`local`]).
//! What a source says is checked in one place ([`document`]) and kept in the store.

mod blobs;
pub mod document;
mod error;
mod images;
pub mod local;
mod missing;
mod pins;
mod platform;
pub mod remote;

use std::io::Read;

pub use error::{LockMismatch, RegistryError, RegistryErrorKind};
pub use images::{Images, ImagesOptions, LayerDescriptor, ResolvedImage, SbomDescriptor};
pub use missing::MissingImages;
pub use platform::Platform;

use crate::digest::Digest;
use crate::reference::Reference;

/// A JSON document of an image as a source gives it: index, manifest or config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawDocument {
    /// What the source says it is; may be empty.
    pub media_type: String,
    /// The bytes that its digest is of.
    pub bytes: Vec<u8>,
}

/// Something that has images. Nothing that it gives is trusted: [`Images`] checks digests and
/// sizes.
pub trait Source: Send + Sync {
    /// The document that a name stands for; `None` where the source does not have it. One that is
    /// longer than `limit` bytes is an error, or cut one byte after that.
    fn top(&self, name: &Reference, limit: u64) -> Result<Option<RawDocument>, RegistryError>;

    /// A small blob or manifest of `size` bytes by digest. `is_manifest` tells registries where to
    /// look. If there are more bytes it is an error, or cut one byte after that.
    fn document(
        &self,
        name: &Reference,
        digest: &Digest,
        size: u64,
        is_manifest: bool,
    ) -> Result<RawDocument, RegistryError>;

    /// The bytes of a blob of `size` bytes.
    fn blob(
        &self,
        name: &Reference,
        digest: &Digest,
        size: u64,
    ) -> Result<Box<dyn Read + Send>, RegistryError>;
}

#[cfg(test)]
mod tests;
