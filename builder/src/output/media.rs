//! Kernel, initrd and command line, each made once for all formats of a build that have them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use formats::boot::BootError;
use formats::compress::Compression;
use formats::cpio::WriteError;
use formats::disk::ESP_START_BYTES;
use formats::medium::{BootFile, BootFiles, BootVolume, Loaders, boot_volume};
use formats::payload::{FilePayload, PayloadReader};

use super::disk::MakeDiskError;
use super::initrd::{InitrdError, InitrdSummary, may_be_there, write_initrd};
use super::write::{OutputError, at, inside};
use crate::assemble::{Image, Kernel};
use crate::atomic::{PendingFile, WriteFileError};

/// What boot media are made of, as payloads: a medium's layout is planned from their lengths, and
/// its writer reads them by place. They lie in files without a name, beside the outputs.
pub(super) struct Media<'a> {
    image: &'a Image,
    compression: Compression,
    folder: PathBuf,
    kernel: Option<BootFile>,
    initrd: Option<(BootFile, InitrdSummary)>,
    initrd_time: Duration,
}

impl<'a> Media<'a> {
    pub(super) fn new(image: &'a Image, compression: Compression, folder: &Path) -> Self {
        Self {
            image,
            compression,
            folder: folder.to_owned(),
            kernel: None,
            initrd: None,
            initrd_time: Duration::ZERO,
        }
    }

    /// How long making the initrd took, if it was made.
    pub(super) fn initrd_time(&self) -> Duration {
        self.initrd_time
    }

    /// What is known of the initrd, if there is one by now.
    pub(super) fn summary(&self) -> Option<InitrdSummary> {
        self.initrd.as_ref().map(|(_, summary)| *summary)
    }

    /// The volume of a disk, with all that a loader loads, and why it does not boot on one kind of
    /// firmware, if so. `kernel` is the image's.
    pub(super) fn boot_volume(
        &mut self,
        kernel: &Kernel,
        label: &str,
    ) -> Result<(BootVolume, Option<BootError>), OutputError> {
        let files = self.boot_files(kernel)?;
        let (loaders, missing) = Loaders::for_files(&files).map_err(MakeDiskError::from)?;
        let volume = boot_volume(&files, &loaders, label, ESP_START_BYTES);
        Ok((volume.map_err(MakeDiskError::from)?, missing))
    }

    /// All that a loader loads. `kernel` is the image's.
    pub(super) fn boot_files(&mut self, kernel: &Kernel) -> Result<BootFiles, OutputError> {
        let (initrd, summary) = self.initrd()?;
        Ok(BootFiles {
            kernel: self.kernel(kernel)?,
            initrd,
            cmdline: kernel.cmdline.clone(),
            ram_bytes: summary.ram_bytes,
            images: self.image.parts.to_json(),
        })
    }

    fn kernel(&mut self, kernel: &Kernel) -> Result<BootFile, OutputError> {
        if let Some(kernel) = &self.kernel {
            return Ok(kernel.clone());
        }
        let mut body = self.image.open(&kernel.body)?;
        let mut file = self.spool()?;
        let copied = io::copy(&mut body, &mut file);
        copied.map_err(|error| self.spool_error(error))?;
        let kernel = self.spooled(file)?;
        self.kernel = Some(kernel.clone());
        Ok(kernel)
    }

    /// The initrd with what is known of it.
    pub(super) fn initrd(&mut self) -> Result<(BootFile, InitrdSummary), OutputError> {
        if let Some(initrd) = &self.initrd {
            return Ok(initrd.clone());
        }
        let mut file = self.spool()?;
        let start = Instant::now();
        let written = write_initrd(&mut file, self.image, self.compression);
        let summary = written.map_err(|error| match error {
            InitrdError::Io(source) | InitrdError::Entry(WriteError::Io(source)) => {
                self.spool_error(source)
            }
            other => other.into(),
        })?;
        self.initrd_time = start.elapsed();
        let initrd = (self.spooled(file)?, summary);
        self.initrd = Some(initrd.clone());
        Ok(initrd)
    }

    /// Starts the output that the initrd goes to; where the one that is there looks like it, that one
    /// is compared first.
    pub(super) fn initrd_file(&self, path: &Path) -> Result<PendingFile, WriteFileError> {
        match may_be_there(path, self.image, self.compression) {
            true => PendingFile::create_or_keep(path),
            false => PendingFile::create(path),
        }
    }

    /// Writes the initrd to an output; who needs it later reads it from there.
    pub(super) fn initrd_to(&mut self, out: &mut PendingFile) -> Result<(), OutputError> {
        if let Some((initrd, _)) = &self.initrd {
            let mut reader = PayloadReader::new(initrd.payload());
            io::copy(&mut reader, out).map_err(|error| at(out, error))?;
            return Ok(());
        }
        let mut file = Summed::new(&mut *out);
        let start = Instant::now();
        let summary = write_initrd(&mut file, self.image, self.compression)?;
        self.initrd_time = start.elapsed();
        let crc32 = file.crc32();
        let file = out.reader().map_err(|error| at(out, error))?;
        let payload = FilePayload::new(file).map_err(|error| at(out, error))?;
        self.initrd = Some((BootFile::with_crc32(payload, crc32), summary));
        Ok(())
    }

    fn spool(&self) -> Result<Summed<File>, OutputError> {
        let file = tempfile::tempfile_in(&self.folder).map_err(|error| self.spool_error(error))?;
        Ok(Summed::new(file))
    }

    fn spooled(&self, file: Summed<File>) -> Result<BootFile, OutputError> {
        let crc32 = file.crc32();
        let payload = FilePayload::new(file.inner).map_err(|error| self.spool_error(error))?;
        Ok(BootFile::with_crc32(payload, crc32))
    }

    /// An error of writing a file without a name; those of reading the store keep their own words.
    fn spool_error(&self, source: io::Error) -> OutputError {
        match inside(&source) {
            Some(_) => OutputError::Io(source),
            None => OutputError::Spool {
                folder: self.folder.clone(),
                source,
            },
        }
    }
}

/// Takes the CRC-32 of what is written.
struct Summed<W> {
    inner: W,
    hasher: crc32fast::Hasher,
}

impl<W> Summed<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: crc32fast::Hasher::new(),
        }
    }

    fn crc32(&self) -> u32 {
        self.hasher.clone().finalize()
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A boot file as a stream.
pub(super) fn reader(file: &BootFile) -> impl Read {
    PayloadReader::new(file.payload())
}
