//! What a file is that boots, or is to boot: `lkbuild inspect`.
//!
//! [`inspect()`] tells a file's kind from its bytes and says what is in it, down to kernel, initrd and
//! what the loaders were told. Everything that has a checksum is compared with it. What is wrong is
//! a problem of the [`Report`], not an error: as much as can be read is said.
//!
//! No payload is held in memory. Names and texts come from the file and may be anything: they are
//! escaped before they are shown.

mod content;
mod detect;
mod disk;
mod images;
mod initrd;
mod iso;
mod kernel;
mod loaders;
mod metadata;
mod origins;
mod ova;
mod pe;
mod report;
mod squashfs;
mod tar;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use formats::payload::{FilePayload, Part, Payload};

pub(crate) use detect::read_description;
pub use report::{Report, Section, Value};

/// What is to be said besides the usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// All files, however many there are.
    pub files: bool,
    /// Files that give rights or are more than files: setuid, setgid, devices, capabilities.
    pub security: bool,
}

/// Why a file can't be inspected at all.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It can't be opened or read.
    #[error("{}: {source}", shown(.path))]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is nothing that is known here.
    #[error(
        "{}: no kernel, initrd, ISO, disk, VMDK, qcow2, VHD, OVA, tar, squashfs or UEFI program", shown(.path)
    )]
    Unknown {
        /// The file.
        path: PathBuf,
    },
}

/// Files come with names of others.
fn shown(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    crate::layer::Escaped(path.as_os_str().as_bytes()).to_string()
}

/// A file, or a part of one.
type Bytes = Arc<dyn Payload>;

/// A range of a file; `None` if it is not all there.
fn part(whole: &Bytes, start: u64, len_bytes: u64) -> Option<Bytes> {
    let part = Part::new(whole.clone(), start..start.checked_add(len_bytes)?)?;
    Some(Arc::new(part))
}

/// Opens what is read by place: a file or a disk.
pub(crate) fn open_by_place(path: &Path) -> io::Result<FilePayload> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // It would wait for somebody to write to it.
    if kind.is_fifo() {
        return Err(io::Error::other(
            "is a pipe, which can't be read by place: write it to a file",
        ));
    }
    FilePayload::new(File::open(path)?)
}

/// Says what a file is.
///
/// # Errors
/// If it can't be opened, or is of no known kind.
pub fn inspect(path: &Path, options: Options) -> Result<Report, InspectError> {
    let open = |source| InspectError::Open {
        path: path.to_owned(),
        source,
    };
    let bytes: Bytes = Arc::new(open_by_place(path).map_err(open)?);
    let report = inspect_bytes(&path.display().to_string(), &bytes, Some(path), options);
    report.ok_or_else(|| InspectError::Unknown {
        path: path.to_owned(),
    })
}

/// Says what bytes are, which are called `name`; `None` if they are of no known kind. A disk in
/// several files is looked for beside `path`, if there is one.
pub fn inspect_bytes(
    name: &str,
    bytes: &Arc<dyn Payload>,
    path: Option<&Path>,
    options: Options,
) -> Option<Report> {
    let mut inspector = Inspector {
        options,
        path: path.map(Path::to_owned),
        problems: Vec::new(),
        unread: false,
    };
    let section = inspector.look(bytes)?;
    Some(Report {
        file: name.to_owned(),
        file_bytes: bytes.len_bytes(),
        section,
        problems: inspector.problems,
        unread: inspector.unread,
    })
}

/// Looks at files and at what is in them, and collects what is wrong.
struct Inspector {
    options: Options,
    path: Option<PathBuf>,
    problems: Vec<String>,
    unread: bool,
}

/// Files that are listed without being asked for.
const FEW_FILES: usize = 50;

impl Inspector {
    fn problem(&mut self, what: impl Into<String>) {
        self.problems.push(what.into());
    }

    /// Adds a list of files, if there are few or it is asked for.
    fn list_files(&self, section: Section, files: Vec<Section>) -> Section {
        let section = section.number("file_count", files.len() as u64);
        match self.options.files || files.len() <= FEW_FILES {
            true => section.table("files", files),
            false => section,
        }
    }
}

#[cfg(test)]
mod tests;
