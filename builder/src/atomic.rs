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

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};

/// How temporary names begin, on file systems that need them.
pub const TEMPORARY_PREFIX: &str = ".lkbuild-";

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
    file: BufWriter<File>,
    /// Its temporary name, where it has one.
    named: Option<tempfile::TempPath>,
    position: u64,
    bytes: u64,
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
        let folder = folder_of(path);
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let (file, named) = match openat(CWD, folder, flags, Mode::from_raw_mode(0o666)) {
            Ok(file) => (File::from(file), None),
            Err(rustix::io::Errno::NOENT) => return Err(error(io::ErrorKind::NotFound.into())),
            Err(_) => {
                let builder = &mut tempfile::Builder::new();
                builder
                    .prefix(TEMPORARY_PREFIX)
                    .permissions(Permissions::from_mode(0o644));
                let (file, named) = builder.tempfile_in(folder).map_err(error)?.into_parts();
                (file, Some(named))
            }
        };
        let file = BufWriter::with_capacity(1 << 18, file);
        Ok(PendingFile {
            path: path.to_owned(),
            file,
            named,
            position: 0,
            bytes: 0,
        })
    }

    /// The name it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length of what was written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file for reading what was written so far. It shares its position with this one: read it
    /// by place.
    pub fn reader(&mut self) -> io::Result<File> {
        self.file.flush()?;
        self.file.get_ref().try_clone()
    }

    /// All bytes are on the disk when this returns.
    fn sync(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }

    /// Gives the file its name and hands it over, open for reading. Unless `sync` says so, what a
    /// crash of the machine leaves of it may be damaged: that is for files with checksums.
    pub fn finish(mut self, sync: bool) -> Result<File, WriteFileError> {
        let finished = if sync { self.sync() } else { self.file.flush() };
        let named = finished.and_then(|()| self.take_name());
        named.map_err(|source| WriteFileError {
            path: self.path.clone(),
            source,
        })?;
        if sync {
            sync_folder(&self.path);
        }
        let PendingFile { path, file, .. } = self;
        file.into_inner().map_err(|e| WriteFileError {
            path,
            source: e.into_error(),
        })
    }

    fn take_name(&mut self) -> io::Result<()> {
        if let Some(named) = self.named.take() {
            return named.persist(&self.path).map_err(|e| e.error);
        }
        // linkat does not replace: the file gets a name beside, then the right one.
        let folder = folder_of(&self.path);
        let beside =
            tempfile::Builder::new()
                .prefix(TEMPORARY_PREFIX)
                .make_in(folder, |beside| {
                    let descriptor = self.file.get_ref().as_fd().as_raw_fd();
                    let from = format!("/proc/self/fd/{descriptor}");
                    linkat(CWD, from, CWD, beside, AtFlags::SYMLINK_FOLLOW).map_err(io::Error::from)
                })?;
        beside
            .into_temp_path()
            .persist(&self.path)
            .map_err(|e| e.error)
    }
}

/// Errors name the file: those who write to it know only a stream.
impl Write for PendingFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.file.write(buf).map_err(|e| named(&self.path, e))?;
        self.position += n as u64;
        self.bytes = self.bytes.max(self.position);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|e| named(&self.path, e))
    }
}

impl Seek for PendingFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.file.seek(to).map_err(|e| named(&self.path, e))?;
        Ok(self.position)
    }
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
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
fn sync_folder(path: &Path) {
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

/// Makes the folder that outputs go to.
pub fn make_folder(folder: &Path) -> Result<(), WriteFileError> {
    fs::create_dir_all(folder).map_err(|source| WriteFileError {
        path: folder.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name());
        let mut names: Vec<_> = names.map(|n| n.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_appear_whole_and_together() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "old").unwrap();
        let mut pending: Vec<_> = ["a", "b"]
            .map(|name| PendingFile::create(&dir.path().join(name)).unwrap())
            .into_iter()
            .collect();
        for file in &mut pending {
            file.write_all(b"new").unwrap();
        }
        assert_eq!(files(dir.path()), ["a"]);
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"old");
        commit(pending).unwrap();
        assert_eq!(files(dir.path()), ["a", "b"]);
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"new");
    }

    #[test]
    fn what_was_written_can_be_read_and_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = PendingFile::create(&dir.path().join("a")).unwrap();
        file.write_all(b"0123456789").unwrap();
        let mut read = [0; 3];
        let reader = file.reader().unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&reader, &mut read, 4).unwrap();
        assert_eq!(&read, b"456");
        file.seek(SeekFrom::Start(2)).unwrap();
        file.write_all(b"xy").unwrap();
        assert_eq!(file.bytes(), 10);
        file.seek(SeekFrom::Start(12)).unwrap();
        file.write_all(b"!").unwrap();
        assert_eq!(file.bytes(), 13);
        commit(vec![file]).unwrap();
        let bytes = fs::read(dir.path().join("a")).unwrap();
        assert_eq!(bytes, b"01xy456789\0\0!");
    }

    #[test]
    fn an_abandoned_file_leaves_nothing_and_the_old_one_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "old").unwrap();
        let mut file = PendingFile::create(&dir.path().join("a")).unwrap();
        file.write_all(&[7; 1 << 20]).unwrap();
        drop(file);
        assert_eq!(files(dir.path()), ["a"]);
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"old");
    }

    #[test]
    fn a_missing_folder_or_a_folder_in_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = PendingFile::create(&dir.path().join("no/where"))
            .err()
            .unwrap();
        assert!(error.to_string().contains("no/where"), "{error}");
        let error = PendingFile::create(dir.path()).err().unwrap();
        assert!(error.to_string().contains("it is a folder"), "{error}");
    }

    #[test]
    fn a_device_keeps_its_name() {
        assert!(is_stream(Path::new("/dev/null")));
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        let error = PendingFile::create(&link).err().unwrap();
        assert!(error.to_string().contains("a device"), "{error}");
        assert!(!is_stream(dir.path()) && !is_stream(&dir.path().join("nothing")));
    }
}
