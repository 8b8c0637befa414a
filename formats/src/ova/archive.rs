//! Finding and checking the files of a package.

use std::io;

use sha2::{Digest, Sha256};

use crate::payload::Payload;

use super::format::{BLOCK, BLOCK_BYTES};
use super::read::{
    Descriptor, MAX_DESCRIPTOR_BYTES, ReadError, ReadErrorKind, read_descriptor, read_manifest,
};
use super::write::hex;

/// Files of a package.
const MAX_FILES: usize = 100;

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OvaFile {
    /// Its name.
    pub name: String,
    /// Where its bytes start.
    pub start_bytes: u64,
    /// How many there are.
    pub len_bytes: u64,
}

/// A package and the description in it.
#[derive(Debug)]
pub struct OvaReader<P> {
    package: P,
    files: Vec<OvaFile>,
    descriptor: Descriptor,
    descriptor_text: String,
}

impl<P: Payload> OvaReader<P> {
    /// Lists the files and reads the description, which must be the first (DSP0243, 5.3).
    ///
    /// # Errors
    /// If it is no such package.
    pub fn open(package: P) -> Result<Self, ReadError> {
        let files = list(&package)?;
        let first = files.first().filter(|file| file.name.ends_with(".ovf"));
        let first = first.ok_or_else(|| {
            let what = "the first file is no description (.ovf)";
            archive_error(0, ReadErrorKind::Content(what))
        })?;
        let text = read_file(&package, first)?;
        let descriptor = read_descriptor(&text)?;
        Ok(Self {
            descriptor_text: String::from_utf8_lossy(&text).into_owned(),
            descriptor,
            files,
            package,
        })
    }

    /// Its files, in their order.
    pub fn files(&self) -> &[OvaFile] {
        &self.files
    }

    /// What it describes.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The description as it stands there.
    pub fn descriptor_text(&self) -> &str {
        &self.descriptor_text
    }

    /// The package itself.
    pub fn package(&self) -> &P {
        &self.package
    }

    /// Compares every file that the manifest names with it, and gives how many there are; `None`
    /// if there is no manifest.
    ///
    /// # Errors
    /// If a file is missing or not what the manifest says, or the manifest can't be read.
    pub fn verify(&self) -> Result<Option<usize>, ReadError> {
        let Some(manifest) = self.files.iter().find(|file| file.name.ends_with(".mf")) else {
            return Ok(None);
        };
        let entries = read_manifest(&read_file(&self.package, manifest)?)?;
        for (name, digest) in &entries {
            let wrong = |offset| {
                let name = name.clone();
                archive_error(offset, ReadErrorKind::Checksum { name })
            };
            let file = self.files.iter().find(|file| file.name == *name);
            let file = file.ok_or_else(|| wrong(manifest.start_bytes))?;
            if self.sha256(file)? != *digest {
                return Err(wrong(file.start_bytes));
            }
        }
        Ok(Some(entries.len()))
    }

    fn sha256(&self, file: &OvaFile) -> Result<String, ReadError> {
        let mut hasher = Sha256::new();
        let mut piece = vec![0; 1 << 20];
        let mut done = 0;
        while done < file.len_bytes {
            let left = usize::try_from(file.len_bytes - done).unwrap_or(usize::MAX);
            let piece = &mut piece[..left.min(1 << 20)];
            let offset = file.start_bytes + done;
            read(&self.package, offset, piece)?;
            hasher.update(&piece);
            done += piece.len() as u64;
        }
        Ok(hex(&hasher.finalize()))
    }
}

/// Files of the archive: nothing but plain ones, in ustar headers.
fn list(package: &dyn Payload) -> Result<Vec<OvaFile>, ReadError> {
    let mut files = Vec::new();
    let mut offset = 0;
    loop {
        let mut block = [0; BLOCK];
        read(package, offset, &mut block)?;
        if block.iter().all(|&byte| byte == 0) {
            return Ok(files);
        }
        if files.len() == MAX_FILES {
            let limit = MAX_FILES;
            let kind = ReadErrorKind::Limit {
                what: "files",
                limit,
            };
            return Err(archive_error(offset, kind));
        }
        let file = file(&block, offset, package.len_bytes())
            .map_err(|what| archive_error(offset, ReadErrorKind::Content(what)))?;
        offset = (file.start_bytes + file.len_bytes).next_multiple_of(BLOCK_BYTES);
        files.push(file);
    }
}

fn file(block: &[u8; BLOCK], offset: u64, package_bytes: u64) -> Result<OvaFile, &'static str> {
    let header = tar::Header::from_byte_slice(block);
    // The checksum's own field counts as spaces.
    let sum =
        |range: std::ops::Range<usize>| block[range].iter().map(|&b| u32::from(b)).sum::<u32>();
    let expected = sum(0..148) + 8 * 32 + sum(156..512);
    if header.cksum().ok() != Some(expected) {
        return Err("no good tar header");
    }
    if !header.entry_type().is_file() {
        return Err("an entry that is no plain file");
    }
    let len_bytes = header
        .entry_size()
        .map_err(|_| "a size that is no number")?;
    let start_bytes = offset + BLOCK_BYTES;
    let end_bytes = start_bytes.checked_add(len_bytes);
    if end_bytes.is_none_or(|end| end > package_bytes) {
        return Err("a file that is cut short");
    }
    let name = header.path_bytes();
    let name = std::str::from_utf8(&name).map_err(|_| "a name that is not UTF-8")?;
    if name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.') {
        return Err("a name that is none of a plain file beside the others");
    }
    Ok(OvaFile {
        name: name.to_owned(),
        start_bytes,
        len_bytes,
    })
}

/// A description or manifest.
fn read_file(package: &dyn Payload, file: &OvaFile) -> Result<Vec<u8>, ReadError> {
    if file.len_bytes > MAX_DESCRIPTOR_BYTES as u64 {
        let kind = ReadErrorKind::Content("a description or manifest of more than 1 MiB");
        return Err(archive_error(file.start_bytes, kind));
    }
    let mut bytes = vec![0; usize::try_from(file.len_bytes).unwrap_or(usize::MAX)];
    read(package, file.start_bytes, &mut bytes)?;
    Ok(bytes)
}

fn archive_error(offset: u64, kind: ReadErrorKind) -> ReadError {
    let file = "archive";
    ReadError { kind, file, offset }
}

fn read(package: &dyn Payload, offset: u64, out: &mut [u8]) -> Result<(), ReadError> {
    if offset.saturating_add(out.len() as u64) > package.len_bytes() {
        let end = io::Error::from(io::ErrorKind::UnexpectedEof);
        return Err(archive_error(offset, end.into()));
    }
    package
        .read_exact_at(offset, out)
        .map_err(|source| archive_error(offset, source.into()))
}
