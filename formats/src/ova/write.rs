//! Writing the package.

use std::fmt::Write as _;
use std::io::{self, Seek, SeekFrom, Write};

use sha2::{Digest, Sha256};

use crate::blocks::ImageError;
use crate::payload::Payload;
use crate::tarball::{Entry, Kind, TarError, TarWriter};
use crate::vmdk::{self, DiskId, GRAIN_BYTES, write_stream_optimized};

use super::descriptor::{self, Machine, NameError, SystemDisk};
use super::format::{BLOCK, BLOCK_BYTES, MAX_FILE_BYTES};

/// What a package is made of besides the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The machine it describes.
    pub machine: Machine,
    /// Tells the disk's content from another's.
    pub disk_id: DiskId,
    /// Seconds since 1970 that the files in it are said to be from.
    pub mtime: i64,
}

/// Why no package was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OvaError {
    /// A name that a package can't hold.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The disk.
    #[error(transparent)]
    Disk(#[from] ImageError),
    /// The archive.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The disk is longer than a ustar archive can say.
    #[error(
        "the disk has {bytes} bytes compressed, and a file of an OVA can have {MAX_FILE_BYTES} at most: write a vmdk instead"
    )]
    TooLarge {
        /// Its length as a file.
        bytes: u64,
    },
    /// The disk was read twice and was not the same.
    #[error("the disk's content changed while it was written")]
    Changed,
    /// The output can't be written.
    #[error("the appliance could not be written: {0}")]
    Io(#[from] io::Error),
}

/// What is known of the disk's file once it is written.
#[derive(Clone, PartialEq, Eq)]
struct DiskFile {
    bytes: u64,
    sha256: String,
}

/// Writes `disk` as an appliance to `out`, which must be empty, and gives its length. The disk is
/// made once.
///
/// # Errors
/// If the machine can't be described, the disk can't be read, or `out` can't be written.
pub fn write_ova(
    mut out: impl Write + Seek + Send,
    disk: &dyn Payload,
    options: &Options,
) -> Result<u64, OvaError> {
    let package = Package::new(disk, options)?;
    // A description of the longest disk has the length of every other.
    let head_bytes = package.head(&longest())?.len() as u64;
    out.seek(SeekFrom::Start(head_bytes))?;
    let file = package.write_disk(&mut out)?;
    let tail_bytes = write_tail(&mut out, file.bytes)?;
    out.seek(SeekFrom::Start(0))?;
    out.write_all(&package.head(&file)?)?;
    out.flush()?;
    Ok(head_bytes + file.bytes + tail_bytes)
}

/// Writes the same bytes as [`write_ova`] to something that can't go back: the disk is made twice,
/// first to know its length and checksum.
///
/// # Errors
/// Those of [`write_ova`], and if the disk is not the same the second time.
pub fn stream_ova(
    mut out: impl Write + Send,
    disk: &dyn Payload,
    options: &Options,
) -> Result<u64, OvaError> {
    let package = Package::new(disk, options)?;
    let file = package.write_disk(&mut io::sink())?;
    let head = package.head(&file)?;
    out.write_all(&head)?;
    if package.write_disk(&mut out)? != file {
        return Err(OvaError::Changed);
    }
    let tail_bytes = write_tail(&mut out, file.bytes)?;
    out.flush()?;
    Ok(head.len() as u64 + file.bytes + tail_bytes)
}

fn longest() -> DiskFile {
    DiskFile {
        bytes: MAX_FILE_BYTES,
        sha256: hex(&Sha256::digest(b"")),
    }
}

struct Package<'a> {
    disk: &'a dyn Payload,
    options: &'a Options,
    stem: String,
    disk_name: String,
}

impl<'a> Package<'a> {
    fn new(disk: &'a dyn Payload, options: &'a Options) -> Result<Self, OvaError> {
        options.machine.check()?;
        let stem = options.machine.file_stem();
        Ok(Self {
            disk,
            options,
            disk_name: format!("{stem}-disk1.vmdk"),
            stem,
        })
    }

    fn write_disk(&self, out: &mut (impl Write + Send)) -> Result<DiskFile, OvaError> {
        let mut hashing = Hashing {
            out,
            hasher: Sha256::new(),
        };
        let options = vmdk::Options {
            hardware_version: self.options.machine.hardware_version,
            ..vmdk::Options::new(self.options.disk_id, &*self.disk_name)
        };
        let bytes = write_stream_optimized(&mut hashing, self.disk, &options)?;
        if bytes > MAX_FILE_BYTES {
            return Err(OvaError::TooLarge { bytes });
        }
        Ok(DiskFile {
            bytes,
            sha256: hex(&hashing.hasher.finalize()),
        })
    }

    /// Description, manifest, and the disk's own header: the same length for every disk.
    fn head(&self, file: &DiskFile) -> Result<Vec<u8>, OvaError> {
        let disk = |file_bytes| SystemDisk {
            file_name: &self.disk_name,
            file_bytes,
            capacity_bytes: self.disk.len_bytes().next_multiple_of(GRAIN_BYTES as u64),
        };
        let machine = &self.options.machine;
        let mut text = descriptor::text(machine, &disk(file.bytes));
        // Where fewer digits would make it a block shorter, empty lines fill that block.
        let longest_bytes = descriptor::text(machine, &disk(MAX_FILE_BYTES)).len();
        let last_block = (longest_bytes.div_ceil(BLOCK) - 1) * BLOCK;
        while text.len() <= last_block {
            text.push('\n');
        }
        let ovf_name = format!("{}.ovf", self.stem);
        let manifest = format!(
            "SHA256({ovf_name})= {}\nSHA256({})= {}\n",
            hex(&Sha256::digest(&text)),
            self.disk_name,
            file.sha256
        );
        let mut tar = TarWriter::new(Vec::new());
        tar.file(&self.entry(&ovf_name, text.len() as u64), text.as_bytes())?;
        let manifest_name = format!("{}.mf", self.stem);
        let entry = self.entry(&manifest_name, manifest.len() as u64);
        tar.file(&entry, manifest.as_bytes())?;
        tar.start(&self.entry(&self.disk_name, file.bytes))?;
        Ok(tar.into_inner())
    }

    fn entry<'b>(&self, name: &'b str, bytes: u64) -> Entry<'b> {
        Entry {
            name: name.as_bytes(),
            kind: Kind::File { bytes },
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: self.options.mtime,
            mtime_nanos: 0,
            pax: &[],
        }
    }
}

/// Padding behind the disk and the archive's end.
fn write_tail(out: &mut impl Write, disk_bytes: u64) -> io::Result<u64> {
    let end = TarWriter::new(Vec::new()).finish()?;
    let padding = disk_bytes.next_multiple_of(BLOCK_BYTES) - disk_bytes;
    let mut tail = vec![0; usize::try_from(padding).unwrap_or(0)];
    tail.extend(end);
    out.write_all(&tail)?;
    Ok(tail.len() as u64)
}

/// Hashes what passes.
struct Hashing<W> {
    out: W,
    hasher: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
