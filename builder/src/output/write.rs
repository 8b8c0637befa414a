//! Formats to files.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use formats::compress::Compression;
use formats::tarball::{Entry, Kind, TarWriter};

use super::format::Format;
use super::initrd::{InitrdError, InitrdSummary, write_initrd};
use super::kernel::KernelError;
use super::tree_tar::{TreeTarError, write_tree_tar};
use crate::assemble::{Image, Kernel};
use crate::atomic::{PendingFile, WriteFileError, commit, make_folder};
use crate::pack::PackError;
use crate::tree::SYNTHETIC_MTIME;

/// Where outputs go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outputs {
    /// Files in a folder, named after the build.
    Named {
        /// The folder.
        dir: PathBuf,
        /// The common part of their names.
        name: String,
    },
    /// One file.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// What was written.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// Files and their lengths in bytes.
    pub files: Vec<(PathBuf, u64)>,
    /// What is known of the initrd, where one was written.
    pub initrd: Option<InitrdSummary>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// A file can't be written.
    #[error(transparent)]
    File(#[from] WriteFileError),
    /// The initrd.
    #[error(transparent)]
    Initrd(#[from] InitrdError),
    /// A tar.
    #[error(transparent)]
    Tar(#[from] TreeTarError),
    /// The kernel.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A body can't be read from the store.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A format that needs a kernel.
    #[error(
        "the format {0} needs a kernel, and the YAML has no kernel section; use -f tar for a system without one"
    )]
    NoKernel(Format),
    /// Standard output, or reading what was just written.
    #[error("can't write the output: {0}")]
    Io(#[from] io::Error),
}

impl OutputError {
    /// The damaged pack behind it, if that is the cause.
    pub fn damaged_pack(&self) -> Option<&Path> {
        let error = match self {
            OutputError::Pack(error)
            | OutputError::Initrd(InitrdError::Pack(error))
            | OutputError::Tar(TreeTarError::Pack(error))
            | OutputError::Kernel(KernelError::Pack(error)) => error,
            // A body that is read as a stream has its error inside an I/O error.
            OutputError::Io(error) | OutputError::Initrd(InitrdError::Io(error)) => inside(error)?,
            OutputError::Tar(TreeTarError::Io(error)) => inside(error)?,
            OutputError::Tar(TreeTarError::Tar(formats::tarball::TarError::Body {
                source,
                ..
            })) => inside(source)?,
            _ => return None,
        };
        match error {
            PackError::Damaged { path, .. } => Some(path),
            PackError::Read { .. } => None,
        }
    }
}

fn inside(error: &io::Error) -> Option<&PackError> {
    error.get_ref()?.downcast_ref()
}

/// Writes an image in every format asked for. Nothing has its name before all is written.
pub fn write(
    image: &Image,
    formats: &[Format],
    outputs: &Outputs,
    compression: Compression,
) -> Result<Written, OutputError> {
    let mut written = Written::default();
    let mut pending = Vec::new();
    for &format in formats {
        match (format, outputs) {
            (Format::KernelInitrd, Outputs::Named { dir, name }) => {
                make_folder(dir)?;
                kernel_initrd(image, dir, name, compression, &mut pending, &mut written)?;
            }
            (_, Outputs::Stdout) => {
                let stdout = io::stdout().lock();
                let mut stdout = io::BufWriter::with_capacity(1 << 18, stdout);
                stream(image, format, &mut stdout, compression, &mut written)?;
                stdout.flush()?;
            }
            (_, Outputs::File(path)) => {
                let mut file = PendingFile::create(path)?;
                stream(image, format, &mut file, compression, &mut written)?;
                pending.push(file);
            }
            (_, Outputs::Named { dir, name }) => {
                make_folder(dir)?;
                let mut file = PendingFile::create(&dir.join(file_name(format, name)))?;
                stream(image, format, &mut file, compression, &mut written)?;
                pending.push(file);
            }
        }
    }
    written.files = pending
        .iter()
        .map(|f| (f.path().to_owned(), f.bytes()))
        .collect();
    commit(pending)?;
    Ok(written)
}

/// The name of a format that is one file.
fn file_name(format: Format, name: &str) -> String {
    match format {
        Format::TarKernelInitrd => format!("{name}-initrd.tar"),
        other => format!("{name}.{other}"),
    }
}

fn kernel(image: &Image, format: Format) -> Result<&Kernel, OutputError> {
    image.kernel.as_ref().ok_or(OutputError::NoKernel(format))
}

fn kernel_initrd(
    image: &Image,
    dir: &Path,
    name: &str,
    compression: Compression,
    pending: &mut Vec<PendingFile>,
    written: &mut Written,
) -> Result<(), OutputError> {
    let create = |suffix: &str| PendingFile::create(&dir.join(format!("{name}-{suffix}")));
    // A system without a kernel is one to be started by somebody else's.
    if let Some(kernel) = &image.kernel {
        let mut file = create("kernel")?;
        io::copy(&mut image.open(&kernel.body)?, &mut file).map_err(|e| at(&file, e))?;
        pending.push(file);
    }
    let mut file = create("initrd.img")?;
    written.initrd = Some(write_initrd(&mut file, image, compression)?);
    pending.push(file);
    if let Some(kernel) = &image.kernel {
        let mut file = create("cmdline")?;
        file.write_all(kernel.cmdline.as_bytes())
            .map_err(|e| at(&file, e))?;
        pending.push(file);
    }
    Ok(())
}

/// An I/O error of writing a file; those of reading the store keep their own words.
fn at(file: &PendingFile, error: io::Error) -> OutputError {
    match inside(&error) {
        Some(_) => OutputError::Io(error),
        None => WriteFileError {
            path: file.path().to_owned(),
            source: error,
        }
        .into(),
    }
}

fn stream(
    image: &Image,
    format: Format,
    out: &mut dyn Write,
    compression: Compression,
    written: &mut Written,
) -> Result<(), OutputError> {
    match format {
        Format::Tar => drop(write_tree_tar(out, image, false)?),
        Format::Docker => drop(write_tree_tar(out, image, true)?),
        Format::TarKernelInitrd | Format::KernelInitrd => {
            let kernel = kernel(image, format)?;
            tar_kernel_initrd(image, kernel, out, compression, written)?;
        }
    }
    Ok(())
}

/// A tar names a file's length before its bytes, so the initrd is written to a file first.
fn tar_kernel_initrd(
    image: &Image,
    kernel: &Kernel,
    out: &mut dyn Write,
    compression: Compression,
    written: &mut Written,
) -> Result<(), OutputError> {
    let mut initrd = tempfile::tempfile()?;
    let summary = write_initrd(&mut initrd, image, compression)?;
    io::Seek::rewind(&mut initrd)?;
    let mut tar = TarWriter::new(out);
    let mut file = |name: &str, bytes: u64, body: &mut dyn Read| {
        let entry = Entry {
            name: name.as_bytes(),
            kind: Kind::File { bytes },
            mode: 0o600,
            uid: 0,
            gid: 0,
            mtime: SYNTHETIC_MTIME,
            mtime_nanos: 0,
            pax: &[],
        };
        tar.file(&entry, body).map_err(TreeTarError::from)
    };
    file("kernel", kernel.body.size(), &mut image.open(&kernel.body)?)?;
    file("initrd.img", summary.initrd_bytes, &mut initrd)?;
    file(
        "cmdline",
        kernel.cmdline.len() as u64,
        &mut kernel.cmdline.as_bytes(),
    )?;
    tar.finish()?;
    written.initrd = Some(summary);
    Ok(())
}
