//! Images in files that the user names: an OCI layout as a folder or a tar (image-spec,
//! image-layout.md), or what `docker save` writes.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::document::MANIFEST_TYPES;
use super::error::{RegistryError, RegistryErrorKind};
use super::{RawDocument, Source};
use crate::digest::{Algorithm, Digest};
use crate::layer::decompress::{BlobCompression, MAGIC_BYTES, other_compression};
use crate::layer::path::clean;
use crate::reference::Reference;
use crate::store::{IndexEntry, MAX_DOCUMENT_BYTES, NAME_ANNOTATION};

const MAX_INDEX_BYTES: u64 = 64 << 20;
/// Of the list that `docker save` writes. A name in it becomes a descriptor forty times as long.
const MAX_LIST_BYTES: u64 = 16 << 20;
const TAR_BLOCK_BYTES: u64 = 512;
/// Two blocks of zeros.
const END_BYTES: usize = 1024;
/// Tar programs fill up 10 KiB, unless they are told otherwise (tar -b).
const MAX_RECORD_BYTES: usize = 64 << 20;
const MAX_FILES: usize = 100_000;
/// What a tar may have of headers (long names, PAX records, sparse maps) before one file, in bytes.
const MAX_HEADER_BYTES: u64 = 1 << 20;
/// containerd and docker put the full name here, and only the tag into the standard annotation.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// A file or folder with images.
#[derive(Debug)]
pub struct LocalSource {
    path: PathBuf,
    container: Container,
    /// Names as the file has them, parsed where they can be, with what they stand for.
    names: Vec<(Reference, IndexEntry)>,
    /// Every image once, with its name where it has a full one.
    images: Vec<(Option<Reference>, IndexEntry)>,
    /// Documents that the file holds in another form (`docker save`), by digest.
    made: HashMap<Digest, Vec<u8>>,
    /// Blobs of `docker save`, by digest.
    layers: HashMap<Digest, String>,
    /// There is nothing but files and zeros in the tar.
    exact: bool,
}

/// How files are found.
#[derive(Debug)]
enum Container {
    Folder,
    /// Offset and length of each regular file of a tar.
    Tar(HashMap<String, (u64, u64)>),
}

impl LocalSource {
    /// Opens a layout folder, a layout tar or a `docker save` tar, and reads which names it has.
    pub fn open(path: &Path) -> Result<Self, RegistryError> {
        let fail = |reason: String| file_error(path, reason);
        let (container, exact) = if path.is_dir() {
            (Container::Folder, true)
        } else {
            let scanned = scan_tar(path).map_err(|e| fail(e.to_string()))?;
            (Container::Tar(scanned.files), scanned.exact)
        };
        let mut source = LocalSource {
            path: path.to_owned(),
            container,
            names: Vec::new(),
            images: Vec::new(),
            made: HashMap::new(),
            layers: HashMap::new(),
            exact,
        };
        // Newer docker writes both; its own list has the full names.
        if let Some(list) = source
            .read("manifest.json", MAX_LIST_BYTES)
            .map_err(|e| fail(e.to_string()))?
        {
            source.read_docker_save(&list).map_err(fail)?;
        } else if let Some(index) = source
            .read("index.json", MAX_INDEX_BYTES)
            .map_err(|e| fail(e.to_string()))?
        {
            source.read_index(&index).map_err(fail)?;
        } else {
            return Err(fail(
                "it has neither index.json (OCI layout) nor manifest.json (docker save)".into(),
            ));
        }
        Ok(source)
    }

    /// All bytes of a file inside; `None` where it is not there.
    pub(crate) fn read(&self, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some((file, size)) = self.open_file(name)? else {
            return Ok(None);
        };
        if size > limit {
            return Err(io::Error::other(format!(
                "{name} is longer than {limit} bytes"
            )));
        }
        let mut bytes = Vec::new();
        // The file may have grown, and some devices have no length.
        file.take(size).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn open_file(&self, name: &str) -> io::Result<Option<(Box<dyn Read + Send>, u64)>> {
        match &self.container {
            Container::Folder => {
                let path = self.path.join(name);
                let meta = match std::fs::metadata(&path) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                    meta => meta?,
                };
                // Opening a pipe would wait for somebody to write to it.
                if !meta.is_file() {
                    return Err(io::Error::other(format!("{name} is no regular file")));
                }
                Ok(Some((Box::new(File::open(path)?), meta.len())))
            }
            Container::Tar(files) => {
                let Some(&(offset, size)) = files.get(name) else {
                    return Ok(None);
                };
                let mut file = File::open(&self.path)?;
                file.seek(SeekFrom::Start(offset))?;
                Ok(Some((Box::new(file.take(size)), size)))
            }
        }
    }

    /// Turns `manifest.json` into manifests: `docker save` keeps layers as plain tars and has no
    /// manifest of its own.
    fn read_docker_save(&mut self, list: &[u8]) -> Result<(), String> {
        let list: Value =
            serde_json::from_slice(list).map_err(|e| format!("manifest.json: {e}"))?;
        let Value::Array(list) = list else {
            let reason = "its manifest.json is not the list that docker save writes; give it as an OCI \
                          layout (skopeo copy … oci:FOLDER)";
            return Err(reason.into());
        };
        // A list may name one layer any number of times.
        let mut digested: HashMap<String, (Digest, u64)> = HashMap::new();
        for image in &list {
            let texts = |key| {
                let values = image
                    .get(key)
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten();
                values.filter_map(Value::as_str)
            };
            let config_name = image
                .get("Config")
                .and_then(Value::as_str)
                .ok_or("manifest.json: no Config")?;
            let config = self
                .read(&clean_name(config_name), MAX_DOCUMENT_BYTES)
                .map_err(|e| e.to_string())?
                .ok_or_else(|| format!("{config_name} is missing"))?;
            let mut layers = Vec::new();
            for name in texts("Layers") {
                let (digest, size) = match digested.get(name) {
                    Some(known) => known.clone(),
                    None => self.digest_file(name).map_err(|e| format!("{name}: {e}"))?,
                };
                digested.insert(name.to_owned(), (digest.clone(), size));
                layers.push(json!({
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": digest.to_string(),
                    "size": size,
                }));
                self.layers.insert(digest, name.to_owned());
            }
            let config_digest = Digest::sha256(&config);
            let manifest = json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPES[1],
                "config": {
                    "mediaType": "application/vnd.oci.image.config.v1+json",
                    "digest": config_digest.to_string(),
                    "size": config.len(),
                },
                "layers": layers,
            });
            let manifest = serde_json::to_vec(&manifest).map_err(|e| e.to_string())?;
            let top = IndexEntry {
                media_type: MANIFEST_TYPES[1].into(),
                digest: Digest::sha256(&manifest),
                size: manifest.len() as u64,
            };
            let names = texts("RepoTags").filter_map(|name| Reference::parse(name).ok());
            let known = self.names.len();
            self.names.extend(names.map(|name| (name, top.clone())));
            match &self.names[known..] {
                [] => self.images.push((None, top.clone())),
                names => self.images.extend(
                    names
                        .iter()
                        .map(|(name, top)| (Some(name.clone()), top.clone())),
                ),
            }
            self.made.insert(config_digest, config);
            self.made.insert(top.digest, manifest);
        }
        Ok(())
    }

    /// Names and descriptors of a layout's `index.json`.
    fn read_index(&mut self, index: &[u8]) -> Result<(), String> {
        let index: Value = serde_json::from_slice(index).map_err(|e| format!("index.json: {e}"))?;
        let entries = index
            .get("manifests")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for entry in entries {
            let annotation = |key| entry.get("annotations")?.get(key)?.as_str();
            let parsed = || {
                Some(IndexEntry {
                    media_type: entry.get("mediaType")?.as_str()?.to_owned(),
                    digest: entry.get("digest")?.as_str()?.parse().ok()?,
                    size: entry.get("size")?.as_u64()?,
                })
            };
            let found = [annotation(CONTAINERD_NAME), annotation(NAME_ANNOTATION)];
            let names = found.into_iter().flatten();
            let mut own_name = None;
            for name in names {
                let Ok(reference) = Reference::parse(name) else {
                    continue;
                };
                // Many tools write a tag alone, which is no name.
                if own_name.is_none() && name.contains(['/', ':']) {
                    own_name = Some(reference.clone());
                }
                let top = parsed().ok_or("index.json: an entry is no descriptor")?;
                self.names.push((reference, top));
            }
            // Entries that are no images stand beside them in some layouts.
            self.images.extend(parsed().map(|entry| (own_name, entry)));
        }
        Ok(())
    }

    /// Every image of the file; the name only where it is a full one.
    pub fn images(&self) -> impl Iterator<Item = (Option<&Reference>, &IndexEntry)> {
        self.images
            .iter()
            .map(|(name, entry)| (name.as_ref(), entry))
    }

    /// Whether there is nothing in the tar but files and zeros.
    pub(crate) fn is_exact(&self) -> bool {
        self.exact
    }

    /// Whether a file of this name is inside.
    pub(crate) fn has_file(&self, name: &str) -> bool {
        match &self.container {
            Container::Folder => self.path.join(name).is_file(),
            Container::Tar(files) => files.contains_key(name),
        }
    }

    fn digest_file(&self, name: &str) -> io::Result<(Digest, u64)> {
        let (mut file, size) = self
            .open_file(&clean_name(name))?
            .ok_or(io::ErrorKind::NotFound)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = file.read(&mut buffer)?;
            if n == 0 {
                return Ok((
                    Digest::from_bytes(Algorithm::Sha256, &hasher.finalize()),
                    size,
                ));
            }
            hasher.update(&buffer[..n]);
        }
    }

    /// A blob and its length in the file, not verified; `None` where it is not there.
    pub(crate) fn open_blob(
        &self,
        digest: &Digest,
    ) -> io::Result<Option<(Box<dyn Read + Send>, u64)>> {
        if let Some(bytes) = self.made.get(digest) {
            return Ok(Some((
                Box::new(io::Cursor::new(bytes.clone())),
                bytes.len() as u64,
            )));
        }
        match self.layers.get(digest) {
            Some(name) => self.open_file(&clean_name(name)),
            None => self.open_file(&format!("blobs/{}/{}", digest.algorithm(), digest.hex())),
        }
    }

    fn missing(&self, name: &Reference, digest: &Digest) -> RegistryError {
        let place = format!("{} (blob {digest})", self.path.display());
        RegistryErrorKind::NotFound { place }.of(name)
    }
}

impl Source for LocalSource {
    fn top(&self, name: &Reference, limit: u64) -> Result<Option<RawDocument>, RegistryError> {
        let is_meant = |(known, top): &&(Reference, IndexEntry)| match name.digest() {
            None => known == name,
            // A pinned name is met by its digest under any tag of the repository.
            Some(digest) => {
                known.registry() == name.registry()
                    && known.repository() == name.repository()
                    && top.digest.to_string() == digest
            }
        };
        let Some((_, top)) = self.names.iter().find(is_meant) else {
            return Ok(None);
        };
        // One byte more than the limit is enough to be refused.
        let most = top.size.min(limit.saturating_add(1));
        let mut raw = self.document(name, &top.digest, most, true)?;
        raw.media_type.clone_from(&top.media_type);
        Ok(Some(raw))
    }

    fn document(
        &self,
        name: &Reference,
        digest: &Digest,
        size: u64,
        _is_manifest: bool,
    ) -> Result<RawDocument, RegistryError> {
        let fail = |e: io::Error| file_error(&self.path, e.to_string());
        let (file, _) = self
            .open_blob(digest)
            .map_err(fail)?
            .ok_or_else(|| self.missing(name, digest))?;
        let mut bytes = Vec::new();
        file.take(size.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(fail)?;
        Ok(RawDocument {
            media_type: String::new(),
            bytes,
        })
    }

    fn blob(
        &self,
        name: &Reference,
        digest: &Digest,
        _size: u64,
    ) -> Result<Box<dyn Read + Send>, RegistryError> {
        let fail = |e: io::Error| file_error(&self.path, e.to_string());
        let found = self.open_blob(digest).map_err(fail)?;
        found
            .map(|(file, _)| file)
            .ok_or_else(|| self.missing(name, digest))
    }
}

/// What is in a tar.
struct Scanned {
    /// Offset and length of each regular file.
    files: HashMap<String, (u64, u64)>,
    /// All other bytes but headers are zeros, and headers are as tar programs write them.
    exact: bool,
}

/// Where each regular file of a tar is; nothing is unpacked. A tar that ends early is an error:
/// tar itself would take the end of the file for the end of the archive.
fn scan_tar(path: &Path) -> io::Result<Scanned> {
    let cut = || io::Error::other("it is no tar, or it is damaged or cut short");
    let file = File::open(path)?;
    check_compression(&file)?;
    let length = file.metadata()?.len();
    let left = Cell::new(Some(0));
    let mut archive = tar::Archive::new(Bounded {
        inner: &file,
        left: &left,
    });
    let mut files = HashMap::new();
    let mut end = 0;
    let mut exact = true;
    let mut entries = archive.entries_with_seek()?;
    loop {
        left.set(Some(MAX_HEADER_BYTES));
        let Some(entry) = entries.next() else { break };
        // The words of the tar reader are about fields, and hold bytes of the file.
        let entry = entry.map_err(|e| match (left.get(), e.raw_os_error()) {
            (None, _) => io::Error::other(format!(
                "it has more than {MAX_HEADER_BYTES} bytes of headers before one file"
            )),
            (_, Some(_)) => e,
            _ => cut(),
        })?;
        if files.len() >= MAX_FILES {
            return Err(io::Error::other(format!(
                "it has more than {MAX_FILES} files"
            )));
        }
        let is_file = entry.header().entry_type().is_file();
        let (start, size) = (entry.raw_file_position(), entry.size());
        let stored = if is_file { size } else { 0 };
        end = start
            .checked_add(stored)
            .filter(|&end| end <= length)
            .ok_or_else(cut)?;
        exact &= has_plain_checksum(entry.header()) && zeros_until_block(&file, end)?;
        if is_file {
            let name = clean_name(&String::from_utf8_lossy(&entry.path_bytes()));
            files.insert(name, (start, size));
        }
    }
    // Two blocks of zeros end an archive (POSIX.1-2017, pax, "ustar Interchange Format").
    let mut zeros = [1; END_BYTES];
    let end = end.next_multiple_of(TAR_BLOCK_BYTES);
    file.read_exact_at(&mut zeros, end).map_err(|_| cut())?;
    exact &= zeros_to_end(&file, end)?;
    match zeros.iter().all(|&byte| byte == 0) {
        true => Ok(Scanned { files, exact }),
        false => Err(cut()),
    }
}

/// Whether the checksum of a header, the one field that it does not cover, is spelled as we write it or
/// as others do.
fn has_plain_checksum(header: &tar::Header) -> bool {
    let own = &header.as_old().cksum;
    header.cksum().is_ok_and(|sum| {
        *own == *format!("{sum:07o}\0").as_bytes() || *own == *format!("{sum:06o}\0 ").as_bytes()
    })
}

/// Whether nothing but zeros is behind a place, as tar programs fill up their last record.
fn zeros_to_end(file: &File, mut place: u64) -> io::Result<bool> {
    let mut buffer = [0; 1 << 13];
    for _ in 0..MAX_RECORD_BYTES / buffer.len() {
        match file.read_at(&mut buffer, place)? {
            0 => return Ok(true),
            read if buffer[..read].iter().any(|&byte| byte != 0) => return Ok(false),
            read => place += read as u64,
        }
    }
    Ok(false)
}

/// Whether what is between the end of a file and the next block is zeros, as far as it is there.
fn zeros_until_block(file: &File, end: u64) -> io::Result<bool> {
    let mut padding = [0; 512];
    let bytes = end.next_multiple_of(TAR_BLOCK_BYTES) - end;
    let bytes = usize::try_from(bytes).unwrap_or(padding.len());
    let read = file.read_at(&mut padding[..bytes], end)?;
    Ok(padding[..read].iter().all(|&byte| byte == 0))
}

/// Files are read by their place in the tar, which a compressed one does not have.
fn check_compression(file: &File) -> io::Result<()> {
    let mut start = [0; MAGIC_BYTES];
    let read = file.read_at(&mut start, 0)?;
    let start = &start[..read];
    let format = match BlobCompression::sniff(start) {
        BlobCompression::Gzip => Some("gzip"),
        BlobCompression::Zstd => Some("zstd"),
        BlobCompression::None => other_compression(start),
    };
    match format {
        None => Ok(()),
        Some(format) => Err(io::Error::other(format!(
            "it is compressed with {format}; unpack it first ({format} -d)"
        ))),
    }
}

/// Reads up to so many bytes until more are allowed: the tar reader takes long names into memory,
/// however long they say they are. Bodies are sought over and do not count.
struct Bounded<'a> {
    inner: &'a File,
    /// `None` once more was wanted.
    left: &'a Cell<Option<u64>>,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        let left = self.left.get();
        self.left
            .set(left.and_then(|left| left.checked_sub(read as u64)));
        if self.left.get().is_none() {
            return Err(io::Error::other("too many headers"));
        }
        Ok(read)
    }
}

impl Seek for Bounded<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

fn clean_name(name: &str) -> String {
    String::from_utf8_lossy(&clean(name.as_bytes())).into_owned()
}

fn file_error(path: &Path, reason: String) -> RegistryError {
    let shown = path.display().to_string();
    RegistryErrorKind::File { reason }.of(shown)
}
