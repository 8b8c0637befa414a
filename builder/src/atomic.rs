//! Files that appear whole or not at all: outputs, blobs and packs.
//!
//! A file is written without a name (`O_TMPFILE`), so nothing is left of it however the program
//! ends; where the file system can't do that, it has a temporary name that is removed when the
//! file is dropped. The outputs of a build get their names together, at the end.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};

mod existing;
mod writeback;

use existing::Existing;
use writeback::Writeback;

/// How temporary names begin, on file systems that need them.
pub const TEMPORARY_PREFIX: &str = ".lkbuild-";
/// Nobody writes a file for so long.
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("can't write {}: {source}", .path.display())]
pub struct WriteFileError {
    /// The file's name.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// A file on its way to its name.
pub struct PendingFile {
    path: PathBuf,
    /// Where the bytes go.
    new: Option<NewFile>,
    /// The file that has the name: as long as the bytes are its own, there is no new one.
    existing: Option<Box<Existing>>,
    position: u64,
    bytes: u64,
}

struct NewFile {
    file: BufWriter<Writeback>,
    /// Its temporary name, where it has one.
    named: Option<tempfile::TempPath>,
}

impl PendingFile {
    /// Starts a file that will be called `path`. An existing file of that name stays as it is
    /// until [`commit`].
    pub fn create(path: &Path) -> Result<Self, WriteFileError> {
        let error = |source| WriteFileError {
            path: path.to_owned(),
            source,
        };
        if path.is_dir() {
            return Err(error(io::Error::other("it is a folder")));
        }
        // A name would take its place, and who holds it would never see a byte.
        if is_stream(path) {
            return Err(error(io::Error::other("it is a device or a pipe")));
        }
        Ok(PendingFile {
            path: path.to_owned(),
            new: Some(NewFile::create(path).map_err(error)?),
            existing: None,
            position: 0,
            bytes: 0,
        })
    }

    /// As [`PendingFile::create`], but where the bytes turn out to be those of the file that has the
    /// name already, nothing is written and it stays, with the time of one that was written now. They
    /// may come in any order, and zeros may be left out by seeking over them. Writing over what was
    /// written costs a copy.
    pub fn create_or_keep(path: &Path) -> Result<Self, WriteFileError> {
        match Existing::open(path) {
            Some(existing) => Ok(PendingFile {
                path: path.to_owned(),
                new: None,
                existing: Some(Box::new(existing)),
                position: 0,
                bytes: 0,
            }),
            None => Self::create(path),
        }
    }

    /// The name it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length of what was written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the file of that name has these bytes already.
    pub fn is_unchanged(&mut self) -> bool {
        let existing = self.existing.as_mut();
        existing.is_some_and(|existing| existing.is_whole().unwrap_or(false))
    }

    /// The file for reading what was written so far. It shares its position with this one: read it
    /// by place.
    pub fn reader(&mut self) -> io::Result<File> {
        if let Some(existing) = &mut self.existing
            && existing.is_whole()?
        {
            return existing.file().try_clone();
        }
        let file = &mut self.new_file()?.file;
        file.flush()?;
        file.get_ref().file().try_clone()
    }

    /// The file that is written; until now there may have been none.
    fn new_file(&mut self) -> io::Result<&mut NewFile> {
        match self.new {
            Some(ref mut new) => Ok(new),
            None => {
                let mut new = NewFile::create(&self.path)?;
                if let Some(existing) = &mut self.existing {
                    existing.copy_to(&mut new.file)?;
                    new.file.seek(SeekFrom::Start(self.position))?;
                }
                self.existing = None;
                Ok(self.new.insert(new))
            }
        }
    }

    /// All bytes are on the disk when this returns.
    fn sync(&mut self) -> io::Result<()> {
        if let Some(existing) = &mut self.existing
            // Who may not touch it writes a new one.
            && existing.keep(&self.path).unwrap_or(false)
        {
            return Ok(());
        }
        let file = &mut self.new_file()?.file;
        file.flush()?;
        file.get_ref().file().sync_all()
    }

    /// Gives the file its name and hands it over, open for reading. Unless `sync` says so, what a
    /// crash of the machine leaves of it may be damaged: that is for files with checksums.
    pub fn finish(mut self, sync: bool) -> Result<File, WriteFileError> {
        let finished = match sync {
            true => self.sync(),
            false => self.flush(),
        };
        let file = finished
            .and_then(|()| self.take_name())
            .and_then(|()| self.reader());
        let file = file.map_err(|source| WriteFileError {
            path: self.path.clone(),
            source,
        })?;
        if sync {
            sync_folder(&self.path);
        }
        Ok(file)
    }

    fn take_name(&mut self) -> io::Result<()> {
        match &mut self.new {
            Some(new) => new.take_name(&self.path),
            None => Ok(()),
        }
    }
}

impl NewFile {
    fn create(path: &Path) -> io::Result<Self> {
        let folder = folder_of(path);
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let (file, named) = match openat(CWD, folder, flags, Mode::from_raw_mode(0o666)) {
            Ok(file) => (File::from(file), None),
            Err(rustix::io::Errno::NOENT) => {
                let reason = format!("there is no folder {}", folder.display());
                return Err(io::Error::new(io::ErrorKind::NotFound, reason));
            }
            Err(_) => {
                let builder = &mut tempfile::Builder::new();
                builder
                    .prefix(TEMPORARY_PREFIX)
                    .permissions(Permissions::from_mode(0o644));
                let (file, named) = builder.tempfile_in(folder)?.into_parts();
                (file, Some(named))
            }
        };
        let file = BufWriter::with_capacity(1 << 18, Writeback::new(file));
        Ok(NewFile { file, named })
    }

    fn take_name(&mut self, path: &Path) -> io::Result<()> {
        if let Some(named) = self.named.take() {
            return named.persist(path).map_err(|e| e.error);
        }
        // linkat does not replace: the file gets a name beside, then the right one.
        let folder = folder_of(path);
        let beside =
            tempfile::Builder::new()
                .prefix(TEMPORARY_PREFIX)
                .make_in(folder, |beside| {
                    let descriptor = self.file.get_ref().file().as_fd().as_raw_fd();
                    let from = format!("/proc/self/fd/{descriptor}");
                    linkat(CWD, from, CWD, beside, AtFlags::SYMLINK_FOLLOW).map_err(io::Error::from)
                })?;
        beside.into_temp_path().persist(path).map_err(|e| e.error)
    }
}

/// Errors name the file: those who write to it know only a stream.
impl Write for PendingFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let is_there = match &mut self.existing {
            Some(existing) => existing.has(self.position, buf),
            None => Ok(false),
        };
        let written = match is_there {
            Ok(true) => Ok(buf.len()),
            Ok(false) => self.new_file().and_then(|new| new.file.write(buf)),
            Err(error) => Err(error),
        };
        let n = written.map_err(|e| named(&self.path, e))?;
        self.position += n as u64;
        self.bytes = self.bytes.max(self.position);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.new {
            Some(new) => new.file.flush().map_err(|e| named(&self.path, e)),
            None => Ok(()),
        }
    }
}

impl Seek for PendingFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let next = match to {
            SeekFrom::Start(next) => Some(next),
            SeekFrom::Current(0) => Some(self.position),
            _ => None,
        };
        let moved = match next.filter(|_| self.existing.is_some()) {
            Some(next) => Ok(next),
            None => self.new_file().and_then(|new| new.file.seek(to)),
        };
        self.position = moved.map_err(|e| named(&self.path, e))?;
        Ok(self.position)
    }
}

/// An I/O error that names the file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", .0.path.display(), .0.source)]
struct Named(WriteFileError);

fn named(path: &Path, source: io::Error) -> io::Error {
    let path = path.to_owned();
    io::Error::new(source.kind(), Named(WriteFileError { path, source }))
}

impl WriteFileError {
    /// What went wrong with the file at `path`, if the error does not name one itself.
    pub(crate) fn new(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.downcast() {
            Ok(Named(error)) => error,
            Err(source) => WriteFileError { path, source },
        }
    }
}

/// Syncs all files, then names them, in order. If syncing fails, none has got its name.
pub fn commit(mut files: Vec<PendingFile>) -> Result<(), WriteFileError> {
    for file in &mut files {
        file.sync().map_err(|source| WriteFileError {
            path: file.path.clone(),
            source,
        })?;
    }
    for file in &mut files {
        file.take_name().map_err(|source| WriteFileError {
            path: file.path.clone(),
            source,
        })?;
        sync_folder(&file.path);
    }
    Ok(())
}

/// Puts a new name on the disk; not every file system can sync a folder.
pub(crate) fn sync_folder(path: &Path) {
    let _ = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
}

/// The folder that a file is in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Whether `path` is there and neither a file nor a folder: something that takes bytes as they
/// come, as `/dev/null`, a pipe or a disk does.
pub fn is_stream(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// Takes away what programs left in folders that were killed while they wrote, where a file system
/// needs temporary names. What can't be removed takes room and no more.
pub fn remove_stale_files(folders: impl IntoIterator<Item = PathBuf>) {
    let entries = folders.into_iter().filter_map(|dir| fs::read_dir(dir).ok());
    for entry in entries.flatten().flatten() {
        let name = entry.file_name();
        let age = || {
            let modified = entry.metadata().and_then(|m| m.modified()).ok()?;
            SystemTime::now().duration_since(modified).ok()
        };
        if name.to_string_lossy().starts_with(TEMPORARY_PREFIX)
            && age().is_some_and(|age| age > STALE_AFTER)
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes the folder that outputs go to.
pub fn make_folder(folder: &Path) -> Result<(), WriteFileError> {
    fs::create_dir_all(folder).map_err(|source| WriteFileError {
        path: folder.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
