//! The bytes of layers and other large blobs: from the store, or through it from a source.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::document::DocumentError;
use super::error::{RegistryError, RegistryErrorKind};
use super::images::{Images, LayerDescriptor, ResolvedImage, SbomDescriptor};
use crate::digest::{Digest, VerifyError, VerifyingReader};
use crate::reference::Reference;
use crate::store::{BlobWriter, Store, StoreError};

impl Images {
    /// All bytes of an attached SPDX document.
    pub fn read_sbom(
        &self,
        image: &ResolvedImage,
        sbom: &SbomDescriptor,
        limit: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let layer = sbom.to_layer();
        let of = |kind: RegistryErrorKind| kind.of(&image.reference);
        if sbom.size > limit {
            return Err(of(DocumentError::TooLarge {
                bytes: sbom.size,
                limit,
            }
            .into()));
        }
        self.read(&image.reference, &layer.digest, layer.size, |blob| {
            let mut bytes = Vec::new();
            blob.read_to_end(&mut bytes)?;
            Ok(bytes)
        })
    }

    /// Reads a blob to its end, and once more where its bytes prove wrong: what was damaged in the
    /// store is gone from there then, and a mirror that gave them is passed over.
    pub fn read<T>(
        &self,
        name: &Reference,
        digest: &Digest,
        size: u64,
        read: impl Fn(&mut dyn Read) -> io::Result<T>,
    ) -> Result<T, RegistryError> {
        let attempt = || {
            let mut blob = self.open(name, digest, size)?;
            read(&mut blob).map_err(|e| RegistryErrorKind::from_io(e).of(name))
        };
        match attempt() {
            Err(error) if matches!(error.kind, RegistryErrorKind::Verify(_)) => {
                attempt().map_err(|again| match again.kind {
                    // Nothing may be fetched: that it is damaged says more.
                    RegistryErrorKind::Missing { .. } => error,
                    _ => again,
                })
            }
            done => done,
        }
    }

    /// Whether a blob is in the store (its bytes are verified only when it is read).
    pub fn has_blob(&self, blob: &LayerDescriptor) -> bool {
        self.store().has_blob(&blob.digest, blob.size)
    }

    /// Whether a blob can be had without a network: from the store, or a file that the user named.
    pub fn has_at_hand(&self, image: &ResolvedImage, blob: &LayerDescriptor) -> bool {
        self.has_blob(blob) || self.source(&image.reference).is_some()
    }

    /// A blob of the store; where a source can give it again, one that can't be read is taken away
    /// like one that is damaged.
    fn stored_blob(
        &self,
        digest: &Digest,
        size: u64,
    ) -> Result<Option<VerifyingReader<File>>, StoreError> {
        match self.store().open_blob(digest, size) {
            Err(StoreError::Io { .. }) if !self.is_offline() => {
                self.store().remove_blob(digest)?;
                Ok(None)
            }
            opened => opened,
        }
    }

    /// The bytes of a layer; see [`Images::open`].
    pub fn open_blob(
        &self,
        image: &ResolvedImage,
        blob: &LayerDescriptor,
    ) -> Result<Box<dyn Read + Send>, RegistryError> {
        self.open(&image.reference, &blob.digest, blob.size)
    }

    /// The bytes of a blob, from the store or a source. They are verified while they are read:
    /// the end of the stream comes only after the last byte proved right, and what came from a
    /// source is in the store then. Dropped early, it leaves nothing behind.
    pub fn open(
        &self,
        name: &Reference,
        digest: &Digest,
        size: u64,
    ) -> Result<Box<dyn Read + Send>, RegistryError> {
        let of = |kind: RegistryErrorKind| kind.of(name);
        if let Some(file) = self.stored_blob(digest, size).map_err(|e| of(e.into()))? {
            let (store, digest) = (self.store().clone(), digest.clone());
            return Ok(Box::new(Healing {
                inner: file,
                store,
                digest,
            }));
        }
        let source = self.source(name).ok_or_else(|| {
            of(RegistryErrorKind::Missing {
                what: Some(digest.to_string()),
            })
        })?;
        let bytes = source.blob(name, digest, size)?;
        let writer = self.store().create_blob(digest).map_err(|e| of(e.into()))?;
        let verified = VerifyingReader::new(bytes, digest.clone(), size);
        Ok(Box::new(Keeping {
            inner: verified,
            writer: Some(writer),
            store: self.store().clone(),
            fetched_bytes: self.fetched_bytes.clone(),
        }))
    }
}

/// Reads a blob of the store; one that proves damaged is taken away, so that the next build
/// fetches it again.
struct Healing<R> {
    inner: R,
    store: Store,
    digest: Digest,
}

impl<R: Read> Read for Healing<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf).inspect_err(|error| {
            if error.get_ref().is_some_and(|e| e.is::<VerifyError>()) {
                // If it can't be removed, the next read fails in the same way.
                let _ = self.store.remove_blob(&self.digest);
            }
        })
    }
}

/// Keeps what is read in the store, once all of it is verified.
struct Keeping<R> {
    inner: R,
    writer: Option<BlobWriter>,
    store: Store,
    fetched_bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Keeping<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf).inspect_err(|_| self.writer = None)?;
        self.fetched_bytes.fetch_add(n as u64, Ordering::Relaxed);
        if n > 0 {
            if let Some(writer) = &mut self.writer {
                writer.write(&buf[..n]).map_err(io::Error::other)?;
            }
        } else if !buf.is_empty()
            && let Some(writer) = self.writer.take()
        {
            self.store.commit_later(writer).map_err(io::Error::other)?;
        }
        Ok(n)
    }
}
