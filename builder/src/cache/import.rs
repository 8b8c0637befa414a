//! Taking images in from a file: all of it, or nothing where anything is wrong with it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::bundle::SUMS_FILE;
use super::parts::{Parts, everything};
use crate::digest::{Digest, VerifyError, VerifyingReader};
use crate::progress::Progress;
use crate::reference::Reference;
use crate::registry::RegistryError;
use crate::registry::document::DocumentError;
use crate::registry::local::LocalSource;
use crate::store::{IndexEntry, Store, StoreError};

/// A list of checksums of more bytes is no bundle's.
const MAX_SUMS_BYTES: u64 = 64 << 20;

/// What was taken in.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// Names and what they stand for now.
    pub images: BTreeMap<String, IndexEntry>,
    /// Platforms that came with them.
    pub parts: Parts,
    /// Bytes that were not in the store before.
    pub new_bytes: u64,
}

/// Why nothing was taken in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file can't be read as images.
    #[error(transparent)]
    Source(#[from] RegistryError),
    /// Something in it is damaged or missing.
    #[error("{} is damaged or incomplete, and nothing of it was taken in: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It does not say what its image is called.
    #[error(
        "{}: its image has no full name; give it one with --name IMAGE",
        .path.display()
    )]
    Nameless {
        /// The file.
        path: PathBuf,
    },
    /// It has several images, and there is no one name for each.
    #[error(
        "{}: {problem}; copy each to a file of its own first, as with `skopeo copy oci:FOLDER:TAG \
         oci-archive:ONE.tar`, and take that in with --name IMAGE",
        .path.display()
    )]
    Several {
        /// The file.
        path: PathBuf,
        /// What is not clear about the names.
        problem: String,
    },
    /// The store can't be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads all of the file at `path` and verifies it, then takes it into the store; names appear
/// last, and together. `name` is for a file with one image that does not say what it is called.
pub fn import(
    path: &Path,
    name: Option<&Reference>,
    store: &Store,
    progress: &Progress,
) -> Result<Imported, ImportError> {
    let source = LocalSource::open(path)?;
    let checked = {
        let _task = progress.task(format!("verifying {}", path.display()), None);
        check(&source, path, name)?
    };
    let total = checked.parts.all().values().sum();
    let task = progress.task(format!("taking in {}", path.display()), Some(total));
    let mut imported = checked;
    let mut written = Vec::new();
    for (digest, size) in imported.parts.all() {
        match copy(&source, store, &digest, size) {
            Ok(true) => {
                imported.new_bytes += size;
                written.push(digest);
            }
            Ok(false) => {}
            // The file changed while it was read, or the disk is full.
            Err(error) => {
                for digest in written {
                    let _ = store.remove_blob(&digest);
                }
                return Err(match error {
                    CopyError::Store(error) => error.into(),
                    CopyError::Source(reason) => damaged(path, reason),
                });
            }
        }
        task.advance(size);
    }
    let names: Vec<_> = imported.images.clone().into_iter().collect();
    store.set_all(&names)?;
    Ok(imported)
}

fn damaged(path: &Path, reason: impl ToString) -> ImportError {
    ImportError::Damaged {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// Names and parts of everything in the file, every byte of it verified.
fn check(
    source: &LocalSource,
    path: &Path,
    name: Option<&Reference>,
) -> Result<Imported, ImportError> {
    let mut imported = Imported::default();
    check_sums(source).map_err(|reason| damaged(path, reason))?;
    let mut nameless = 0;
    for (own_name, entry) in source.images() {
        let name = match (name, own_name) {
            (Some(name), _) => name.to_string(),
            (None, Some(own_name)) => own_name.to_string(),
            (None, None) => {
                nameless += 1;
                continue;
            }
        };
        let mut parts = Parts::default();
        let mut read = |digest: &Digest, _| -> Result<_, Broken> { document(source, digest) };
        parts
            .add(entry, &everything, &mut read)
            .map_err(|Broken(reason)| damaged(path, format!("{name}: {reason}")))?;
        if parts.images == 0 {
            let reason = format!("{name}: none of its images is there");
            return Err(damaged(path, reason));
        }
        imported.parts.merge(parts);
        if let Some(other) = imported.images.insert(name.clone(), entry.clone())
            && other.digest != entry.digest
        {
            let (one, two) = (other.digest, &entry.digest);
            return Err(ImportError::Several {
                path: path.to_owned(),
                problem: format!("{name} would be both {one} and {two}"),
            });
        }
    }
    match (nameless, source.images().count()) {
        (0, _) => {}
        (1, 1) => {
            return Err(ImportError::Nameless {
                path: path.to_owned(),
            });
        }
        (_, all) => {
            let problem = format!("{nameless} of its {all} images have no full name");
            return Err(ImportError::Several {
                path: path.to_owned(),
                problem,
            });
        }
    }
    if imported.images.is_empty() {
        return Err(damaged(path, "there is no image in it"));
    }
    for (digest, size) in &imported.parts.blobs {
        let Some(blob) = source
            .open_blob(digest)
            .map_err(|e| damaged(path, format!("{digest}: {e}")))?
        else {
            return Err(damaged(path, format!("the blob {digest} is missing")));
        };
        let mut blob = VerifyingReader::new(blob.0, digest.clone(), *size);
        io::copy(&mut blob, &mut io::sink()).map_err(|e| damaged(path, describe(digest, &e)))?;
    }
    Ok(imported)
}

/// A verification error names the digest itself.
fn describe(digest: &Digest, error: &io::Error) -> String {
    match error.get_ref().is_some_and(|e| e.is::<VerifyError>()) {
        true => error.to_string(),
        false => format!("{digest}: {error}"),
    }
}

struct Broken(String);

impl From<DocumentError> for Broken {
    fn from(error: DocumentError) -> Self {
        Broken(error.to_string())
    }
}

fn document(source: &LocalSource, digest: &Digest) -> Result<Option<Vec<u8>>, Broken> {
    let broken = |e: &dyn ToString| Broken(format!("{digest}: {}", e.to_string()));
    let Some((file, _)) = source.open_blob(digest).map_err(|e| broken(&e))? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    let limit = crate::store::MAX_DOCUMENT_BYTES;
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| broken(&e))?;
    if bytes.len() as u64 > limit {
        return Err(broken(&format!("a document of more than {limit} bytes")));
    }
    match digest.matches(&bytes) {
        true => Ok(Some(bytes)),
        false => Err(broken(&"the bytes have another digest; they are damaged")),
    }
}

/// Checks the list that a bundle has: every file in it is there, and those that are not named by
/// their own digest have the right one.
fn check_sums(source: &LocalSource) -> Result<(), String> {
    let Some(sums) = source
        .read(SUMS_FILE, MAX_SUMS_BYTES)
        .map_err(|e| e.to_string())?
    else {
        return Ok(());
    };
    // What is between the files has no checksum.
    if !source.is_exact() {
        return Err("there is something in the tar that belongs to no file".into());
    }
    let sums = String::from_utf8(sums).map_err(|_| format!("{SUMS_FILE} is no text"))?;
    for line in sums.lines() {
        let (hex, name) = line
            .split_once("  ")
            .ok_or_else(|| format!("{SUMS_FILE} is no list of checksums"))?;
        let own_digest = name.strip_prefix("blobs/sha256/") == Some(hex);
        let wrong = || format!("{name} does not have the checksum that {SUMS_FILE} names");
        match own_digest {
            true if source.has_file(name) => {}
            true => return Err(format!("{name} is missing")),
            false => {
                let bytes = source.read(name, MAX_SUMS_BYTES);
                let bytes = bytes.map_err(|e| e.to_string())?;
                let bytes = bytes.ok_or_else(|| format!("{name} is missing"))?;
                if Digest::sha256(&bytes).hex() != hex {
                    return Err(wrong());
                }
            }
        }
    }
    // A list that lost its first lines is no list of a bundle.
    match sums.lines().any(|line| line.ends_with("  index.json")) {
        true => Ok(()),
        false => Err(format!("{SUMS_FILE} does not list index.json")),
    }
}

enum CopyError {
    Store(StoreError),
    Source(String),
}

impl From<StoreError> for CopyError {
    fn from(error: StoreError) -> Self {
        CopyError::Store(error)
    }
}

/// Copies one blob; `false` where the store has it already, undamaged.
fn copy(
    source: &LocalSource,
    store: &Store,
    digest: &Digest,
    size: u64,
) -> Result<bool, CopyError> {
    if let Ok(Some(mut blob)) = store.open_blob(digest, size)
        && io::copy(&mut blob, &mut io::sink()).is_ok()
    {
        return Ok(false);
    }
    let failed = |e: &dyn ToString| CopyError::Source(e.to_string());
    let (blob, _) = source
        .open_blob(digest)
        .map_err(|e| failed(&e))?
        .ok_or_else(|| failed(&format!("the blob {digest} is missing")))?;
    let mut blob = VerifyingReader::new(blob, digest.clone(), size);
    let mut writer = store.create_blob(digest)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = blob
            .read(&mut buffer)
            .map_err(|e| failed(&describe(digest, &e)))?;
        if read == 0 {
            break;
        }
        writer.write(&buffer[..read])?;
    }
    writer.commit()?;
    Ok(true)
}
