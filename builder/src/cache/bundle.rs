//! Writing images as one file that can be carried: an OCI layout in a tar (image-spec,
//! image-layout.md).
//!
//! The same images give the same bytes: entries are sorted, and have no owner and one time. Besides
//! the layout there is a list of checksums in the format of sha256sum, so that nothing of the
//! bundle, names included, can be damaged without notice.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use formats::tarball::{Entry, Kind, TarError, TarWriter};
use serde_json::{Value, json};

use crate::digest::Digest;
use crate::registry::document::MANIFEST_TYPES;
use crate::store::index::descriptor;
use crate::store::{IndexEntry, OCI_LAYOUT, Store, StoreError};
use crate::tree::SYNTHETIC_MTIME;

/// Checksums of every other file of a bundle, as `sha256sum --check` reads them.
pub const SUMS_FILE: &str = "SHA256SUMS";
/// Where containerd looks for an image's full name.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Why no bundle was written.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A blob went while the bundle was written, or is damaged.
    #[error("the blob {digest} in the cache {problem}; `lkbuild cache verify` puts it right")]
    Blob {
        /// The blob.
        digest: Digest,
        /// What is wrong with it.
        problem: String,
    },
    /// The output can't be written.
    #[error("can't write the bundle: {0}")]
    Write(#[from] io::Error),
    /// An entry does not fit a tar.
    #[error("can't write the bundle: {0}")]
    Tar(TarError),
}

impl From<TarError> for BundleError {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Io(error) => BundleError::Write(error),
            error => BundleError::Tar(error),
        }
    }
}

/// Writes `images`, by name, and all `blobs` of the store that they need, verified on the way.
/// Nothing is held in memory but names and checksums.
pub fn write_bundle(
    out: &mut dyn Write,
    store: &Store,
    images: &BTreeMap<String, IndexEntry>,
    blobs: &BTreeMap<Digest, u64>,
) -> Result<(), BundleError> {
    let mut tar = TarWriter::new(out);
    let index = index_json(images);
    let mut sums = String::new();
    for (name, bytes) in [("oci-layout", OCI_LAYOUT), ("index.json", &index)] {
        let _ = writeln!(sums, "{}  {name}", Digest::sha256(bytes).hex());
    }
    for digest in blobs.keys().filter(|d| d.algorithm() == "sha256") {
        let _ = writeln!(sums, "{}  {}", digest.hex(), blob_name(digest));
    }
    for (name, bytes) in [
        ("oci-layout", OCI_LAYOUT),
        ("index.json", &index),
        (SUMS_FILE, sums.as_bytes()),
    ] {
        tar.file(&file(name, bytes.len() as u64), &mut &*bytes)?;
    }
    let mut folder = String::new();
    for (digest, &bytes) in blobs {
        let damaged = |problem: String| BundleError::Blob {
            digest: digest.clone(),
            problem,
        };
        let own_folder = format!("blobs/{}/", digest.algorithm());
        if own_folder != folder {
            if folder.is_empty() {
                tar.entry(&folder_entry("blobs/"))?;
            }
            tar.entry(&folder_entry(&own_folder))?;
            folder = own_folder;
        }
        let mut blob = store
            .open_blob(digest, bytes)?
            .ok_or_else(|| damaged("is missing or has another length".into()))?;
        match tar.file(&file(&blob_name(digest), bytes), &mut blob) {
            Err(TarError::Body { source, .. }) => return Err(damaged(source.to_string())),
            written => written?,
        }
    }
    tar.finish()?;
    Ok(())
}

/// `blobs/sha256/…`
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

fn index_json(images: &BTreeMap<String, IndexEntry>) -> Vec<u8> {
    let entries = images.iter().map(|(name, entry)| {
        let mut entry = descriptor(name, entry);
        entry["annotations"][CONTAINERD_NAME] = json!(name);
        entry
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPES[0],
        "manifests": entries.collect::<Vec<Value>>(),
    });
    index.to_string().into_bytes()
}

fn file(name: &str, bytes: u64) -> Entry<'_> {
    Entry {
        name: name.as_bytes(),
        kind: Kind::File { bytes },
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: SYNTHETIC_MTIME,
        mtime_nanos: 0,
        pax: &[],
    }
}

fn folder_entry(name: &str) -> Entry<'_> {
    Entry {
        kind: Kind::Folder,
        mode: 0o755,
        ..file(name, 0)
    }
}
