//! `index.json`: which names the store knows.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{MAX_INDEX_BYTES, StoreError, io_error, read_bounded};
use crate::atomic::{PendingFile, make_folder};
use crate::digest::Digest;

/// The annotation that holds an image's full name (image-spec, annotations.md).
pub const NAME_ANNOTATION: &str = "org.opencontainers.image.ref.name";

/// What a name stands for: the descriptor of an index or a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Media type of the document.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// The first entry with this name.
pub(super) fn find(path: &Path, name: &str) -> Result<Option<IndexEntry>, StoreError> {
    let index = read(path)?;
    let entry = manifests(&index).find(|m| entry_name(m) == Some(name));
    entry
        .map(|entry| parse_entry(path, name, entry))
        .transpose()
}

/// All names, in the order of the file.
pub(super) fn names(path: &Path) -> Result<Vec<String>, StoreError> {
    let index = read(path)?;
    Ok(manifests(&index)
        .filter_map(entry_name)
        .map(str::to_owned)
        .collect())
}

/// Every name with what it stands for, in the order of the file. Entries without a name are
/// LinuxKit's or somebody else's, and come with `None`.
pub(super) fn entries(path: &Path) -> Result<Vec<(Option<String>, IndexEntry)>, StoreError> {
    let index = read(path)?;
    manifests(&index)
        .map(|entry| {
            let name = entry_name(entry);
            let parsed = parse_entry(path, name.unwrap_or("an image without a name"), entry)?;
            Ok((name.map(str::to_owned), parsed))
        })
        .collect()
}

/// Replaces the entries of these names; everything else in the file stays as it is. The caller
/// holds the lock.
pub(super) fn set(path: &Path, images: &[(String, IndexEntry)]) -> Result<(), StoreError> {
    let mut index = read(path)?;
    if let Some(Value::Array(manifests)) = index.get_mut("manifests") {
        for (name, entry) in images {
            let descriptor = descriptor(name, entry);
            let place = manifests.iter().position(|m| entry_name(m) == Some(name));
            manifests.retain(|m| entry_name(m) != Some(name));
            let place = place.unwrap_or(manifests.len()).min(manifests.len());
            manifests.insert(place, descriptor);
        }
    }
    write(path, &index)
}

/// Takes names out of the file, and gives how many of them were there. The caller holds the lock.
pub(super) fn remove(path: &Path, names: &[String]) -> Result<usize, StoreError> {
    let mut index = read(path)?;
    let is_meant = |m: &Value| entry_name(m).is_some_and(|n| names.iter().any(|name| name == n));
    let mut removed = 0;
    if let Some(Value::Array(manifests)) = index.get_mut("manifests") {
        let before = manifests.len();
        manifests.retain(|m| !is_meant(m));
        removed = before - manifests.len();
    }
    if removed > 0 {
        write(path, &index)?;
    }
    Ok(removed)
}

/// Writes an index without images. The caller holds the lock.
pub(super) fn clear(path: &Path) -> Result<(), StoreError> {
    write(path, &empty())
}

/// An entry as it stands in `index.json`.
pub(crate) fn descriptor(name: &str, entry: &IndexEntry) -> Value {
    json!({
        "mediaType": entry.media_type,
        "digest": entry.digest.to_string(),
        "size": entry.size,
        "annotations": { NAME_ANNOTATION: name },
    })
}

fn write(path: &Path, index: &Map<String, Value>) -> Result<(), StoreError> {
    let mut bytes = serde_json::to_vec(index).map_err(|e| io_error("write", path, e.into()))?;
    bytes.push(b'\n');
    write_atomically(path, &bytes)
}

fn read(path: &Path) -> Result<Map<String, Value>, StoreError> {
    let bytes = match read_bounded(path, MAX_INDEX_BYTES) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(empty()),
        Err(e) => return Err(io_error("read", path, e)),
    };
    parse(&bytes).map_err(|reason| StoreError::Index {
        path: path.to_owned(),
        reason: format!("it is no OCI image index ({reason})"),
    })
}

/// Checks that the bytes are an index with a list of manifests.
pub(crate) fn parse(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let mut index: Map<String, Value> = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    // LinuxKit and Go tools write null for an empty list.
    let manifests = index.entry("manifests").or_insert(Value::Null);
    if manifests.is_null() {
        *manifests = Value::Array(Vec::new());
    }
    match manifests {
        Value::Array(list) if list.iter().all(Value::is_object) => Ok(index),
        _ => Err("manifests is not a list of descriptors".into()),
    }
}

pub(crate) fn empty() -> Map<String, Value> {
    let mut index = Map::new();
    index.insert("schemaVersion".into(), 2.into());
    index.insert(
        "mediaType".into(),
        "application/vnd.oci.image.index.v1+json".into(),
    );
    index.insert("manifests".into(), Value::Array(Vec::new()));
    index
}

fn manifests(index: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    index
        .get("manifests")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn entry_name(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(NAME_ANNOTATION)?.as_str()
}

fn parse_entry(path: &Path, name: &str, entry: &Value) -> Result<IndexEntry, StoreError> {
    let text = |key| entry.get(key).and_then(Value::as_str);
    let parsed = || {
        Some(IndexEntry {
            media_type: text("mediaType").unwrap_or_default().to_owned(),
            digest: text("digest")?.parse().ok()?,
            size: entry.get("size")?.as_u64()?,
        })
    };
    parsed().ok_or_else(|| StoreError::Index {
        path: path.to_owned(),
        reason: format!("the entry of {name} is no descriptor"),
    })
}

/// Writes the whole file, on the disk when this returns.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    make_folder(path.parent().unwrap_or(Path::new(".")))?;
    let mut file = PendingFile::create(path)?;
    file.write_all(bytes)
        .map_err(|e| io_error("write", path, e))?;
    file.finish(true)?;
    Ok(())
}
