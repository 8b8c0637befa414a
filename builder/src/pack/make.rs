//! From a layer blob to a pack, in one pass.
//!
//! The thread that reads the layer verifies, inflates and parses it, and cuts bodies into segments;
//! the [`Workers`] compress these; the results go to the file in the order of the layer. Which
//! thread does what when leaves no trace in the bytes.

use std::io::{Read, Write};

use formats::compress::Compression;

use super::format::{Index, MAGIC, Nested, footer};
use super::key::PackKey;
use super::pipeline::{Pipeline, WriteFailed};
use super::read::{Pack, PackError};
use super::store::PackStore;
use super::workers::Workers;
use crate::atomic::WriteFileError;
use crate::layer::decompress::decompress;
use crate::layer::{
    Entry, EntryKind, LayerError, LayerErrorKind, LayerSummary, Limits, Names, read_archive,
    read_plain_layer,
};

/// What [`make`] needs besides the blob.
#[derive(Clone)]
pub struct MakeOptions {
    /// The pack to make.
    pub key: PackKey,
    /// What the layer's uncompressed bytes must hash to, where the image's config says.
    pub diff_id: Option<[u8; 32]>,
    /// Bounds on the layer.
    pub limits: Limits,
}

/// Why no pack was made. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The layer is bad or could not be read.
    #[error("{0}")]
    Layer(#[from] LayerError),
    /// The layer's uncompressed bytes are not those that the image's config names.
    #[error(
        "the unpacked layer has the digest sha256:{found}, but the image's config names \
         sha256:{expected}; the image is damaged or was tampered with"
    )]
    DiffId {
        /// From the config.
        expected: String,
        /// Of what was read.
        found: String,
    },
    /// The pack could not be written.
    #[error("the pack of a layer: {0}")]
    Write(#[from] WriteFileError),
    /// The pack that was just written can't be read.
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// Reads `blob` to its end and makes its pack in `store`. The blob's reader is trusted to fail when
/// its bytes do not have the layer's digest.
pub fn make<R: Read + Send>(
    blob: R,
    options: &MakeOptions,
    store: &PackStore,
    workers: &Workers,
) -> Result<Pack, MakeError> {
    let key = &options.key;
    let write_error = |source| WriteFileError {
        path: store.path(key),
        source,
    };
    let mut pipeline = Pipeline::new(store.create(key)?, key.compression, workers);
    pipeline.put(&MAGIC).map_err(write_error)?;
    let (summary, listing) = match read_entries(blob, options, &mut pipeline) {
        Ok(read) => read,
        // Bodies are written while the layer is read; that failed, not the layer.
        Err(LayerError {
            kind: LayerErrorKind::Read(error),
            path,
            offset,
        }) => {
            return Err(match error.downcast::<WriteFailed>() {
                Ok(WriteFailed(source)) => write_error(source).into(),
                Err(error) => MakeError::Layer(LayerError {
                    kind: LayerErrorKind::Read(error),
                    path,
                    offset,
                }),
            });
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(expected) = options.diff_id.filter(|d| *d != summary.diff_id) {
        return Err(MakeError::DiffId {
            expected: hex(&expected),
            found: hex(&summary.diff_id),
        });
    }
    pipeline.flush().map_err(write_error)?;
    let index = Index {
        key: key.file_name(),
        diff_id: summary.diff_id,
        uncompressed_bytes: summary.uncompressed_bytes,
        entries: listing.entries,
        body_of: listing.body_of,
        bodies: pipeline.take_bodies(),
        nested: listing.nested,
    };
    let encoded = index.encode();
    let offset = pipeline.position();
    pipeline.put(&encoded).map_err(write_error)?;
    pipeline
        .put(&footer(offset, &encoded))
        .map_err(write_error)?;
    // Not synced: what a crash leaves of it fails its checksums and is made anew.
    let file = pipeline.into_inner().finish(false)?;
    Ok(Pack::from_parts(
        file,
        store.path(key),
        key.compression,
        index,
    ))
}

/// What the layer listed, as it is read.
#[derive(Default)]
struct Listing {
    entries: Vec<Entry>,
    body_of: Vec<Option<u32>>,
    nested: Option<Nested>,
}

fn read_entries<R: Read + Send>(
    blob: R,
    options: &MakeOptions,
    pipeline: &mut Pipeline<'_, impl Write>,
) -> Result<(LayerSummary, Listing), LayerError> {
    let mut listing = Listing::default();
    // Only deflate blocks can stand in a deflate stream.
    let reuse = matches!(options.key.compression, Compression::Gzip { .. });
    let plain = decompress(blob, reuse).map_err(|e| LayerErrorKind::from(e).at(None, 0))?;
    pipeline.reuse(plain.blocks);
    let summary = read_plain_layer(plain.reader, &options.limits, |entry, body| {
        let is_nested = matches!(entry.kind, EntryKind::File { .. })
            && options.key.nested.as_deref() == Some(&entry.path);
        let body_index = if is_nested {
            let (entries, body_of) = read_nested(body, &options.limits, pipeline)?;
            // A name that comes twice: the last one counts, as for every other file.
            let entry = u32::try_from(listing.entries.len()).unwrap_or(u32::MAX);
            listing.nested = Some(Nested {
                entry,
                entries,
                body_of,
            });
            None
        } else {
            pipeline.take_body(&entry, body)?
        };
        listing.entries.push(entry);
        listing.body_of.push(body_index);
        Ok(())
    })?;
    Ok((summary, listing))
}

type Boxed = Box<dyn std::error::Error + Send + Sync>;

fn read_nested(
    tar: &mut dyn Read,
    limits: &Limits,
    pipeline: &mut Pipeline<'_, impl Write>,
) -> Result<(Vec<Entry>, Vec<Option<u32>>), Boxed> {
    let mut entries = Vec::new();
    let mut body_of = Vec::new();
    read_archive(tar, limits, Names::Plain, |entry, body| {
        body_of.push(pipeline.take_body(&entry, body)?);
        entries.push(entry);
        Ok(())
    })
    .map_err(|LayerError { kind, path, .. }| -> Boxed {
        match kind {
            LayerErrorKind::Visitor(inner) => inner,
            kind => Box::new(kind.at(path.as_deref(), 0)),
        }
    })?;
    Ok((entries, body_of))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
