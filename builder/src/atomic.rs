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

mod existing;
mod writeback;

use existing::Existing;
use writeback::Writeback;

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
    target: Target,
    position: u64,
    bytes: u64,
}

/// Where the bytes go.
enum Target {
    New(NewFile),
    /// Nowhere, as long as they are those of the file that has the name.
    Existing(Box<Existing>),
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
            target: Target::New(NewFile::create(path).map_err(error)?),
            position: 0,
            bytes: 0,
        })
    }

    /// As [`PendingFile::create`], but where the bytes turn out to be those of the file that has the
    /// name already, nothing is written and it stays, with the time of one that was written now.
    pub fn create_or_keep(path: &Path) -> Result<Self, WriteFileError> {
        match Existing::open(path) {
            Some(existing) => Ok(PendingFile {
                path: path.to_owned(),
                target: Target::Existing(Box::new(existing)),
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
    pub fn is_unchanged(&self) -> bool {
        matches!(&self.target, Target::Existing(existing) if existing.is_whole())
    }

    /// The file for reading what was written so far. It shares its position with this one: read it
    /// by place.
    pub fn reader(&mut self) -> io::Result<File> {
        match &self.target {
            Target::Existing(existing) if existing.is_whole() => existing.file().try_clone(),
            _ => {
                let file = &mut self.new_file()?.file;
                file.flush()?;
                file.get_ref().file().try_clone()
            }
        }
    }

    /// The file that is written; until now there may have been none.
    fn new_file(&mut self) -> io::Result<&mut NewFile> {
        if let Target::Existing(existing) = &mut self.target {
            let mut new = NewFile::create(&self.path)?;
            existing.copy_to(&mut new.file)?;
            self.target = Target::New(new);
        }
        match &mut self.target {
            Target::New(new) => Ok(new),
            Target::Existing(_) => Err(io::Error::other("the file was not started")),
        }
    }

    /// All bytes are on the disk when this returns.
    fn sync(&mut self) -> io::Result<()> {
        if let Target::Existing(existing) = &self.target
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
        match &mut self.target {
            Target::New(new) => new.take_name(&self.path),
            Target::Existing(_) => Ok(()),
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
        let written = match &mut self.target {
            Target::Existing(existing) => match existing.continues(buf) {
                Ok(true) => Ok(buf.len()),
                Ok(false) => self.new_file().and_then(|new| new.file.write(buf)),
                Err(error) => Err(error),
            },
            Target::New(new) => new.file.write(buf),
        };
        let n = written.map_err(|e| named(&self.path, e))?;
        self.position += n as u64;
        self.bytes = self.bytes.max(self.position);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::New(new) => new.file.flush().map_err(|e| named(&self.path, e)),
            Target::Existing(_) => Ok(()),
        }
    }
}

impl Seek for PendingFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let moved = self.new_file().and_then(|new| new.file.seek(to));
        self.position = moved.map_err(|e| named(&self.path, e))?;
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
    fn what_goes_to_the_disk_early_can_still_be_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = PendingFile::create(&dir.path().join("a")).unwrap();
        let mut expected: Vec<u8> = (0..25_000_000_u32).map(|i| i.to_be_bytes()[2]).collect();
        for piece in expected.chunks(300_000) {
            file.write_all(piece).unwrap();
        }
        for at in [0, 8 << 20, (23 << 20) + 7] {
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(b"again").unwrap();
            let at = usize::try_from(at).unwrap();
            expected[at..at + 5].copy_from_slice(b"again");
        }
        commit(vec![file]).unwrap();
        assert!(fs::read(dir.path().join("a")).unwrap() == expected);
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
    fn the_same_bytes_leave_the_file_that_is_there() {
        use std::os::unix::fs::MetadataExt;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "0123456789").unwrap();
        let old = fs::metadata(&path).unwrap();
        File::open(&path)
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
        let mut file = PendingFile::create_or_keep(&path).unwrap();
        file.write_all(b"01234").unwrap();
        assert!(!file.is_unchanged());
        file.write_all(b"56789").unwrap();
        assert!(file.is_unchanged());
        let mut read = [0; 2];
        let reader = file.reader().unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&reader, &mut read, 8).unwrap();
        assert_eq!(&read, b"89");
        commit(vec![file]).unwrap();
        let kept = fs::metadata(&path).unwrap();
        assert_eq!(kept.ino(), old.ino());
        assert!(kept.modified().unwrap() >= old.modified().unwrap());
    }

    #[test]
    fn other_bytes_replace_the_file_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        for (old, new) in [
            ("0123456789", "0123456x89"),
            ("0123456789", "01234567"),
            ("0123456789", "0123456789ab"),
            ("0123456789", ""),
            ("", "0123"),
        ] {
            fs::write(&path, old).unwrap();
            let mut file = PendingFile::create_or_keep(&path).unwrap();
            for piece in new.as_bytes().chunks(3) {
                file.write_all(piece).unwrap();
            }
            assert!(!file.is_unchanged());
            assert_eq!(file.bytes(), new.len() as u64);
            assert_eq!(fs::read(&path).unwrap(), old.as_bytes());
            commit(vec![file]).unwrap();
            assert_eq!(fs::read(&path).unwrap(), new.as_bytes());
        }
    }

    #[test]
    fn a_file_that_is_compared_can_be_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "0123456789").unwrap();
        let mut file = PendingFile::create_or_keep(&path).unwrap();
        file.write_all(b"0123456789").unwrap();
        file.seek(SeekFrom::Start(2)).unwrap();
        file.write_all(b"xy").unwrap();
        commit(vec![file]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"01xy456789");
    }

    #[test]
    fn a_file_that_another_program_changes_meanwhile_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        // Replaced: the bytes that were compared are still at hand.
        fs::write(&path, "0123456789").unwrap();
        let mut file = PendingFile::create_or_keep(&path).unwrap();
        file.write_all(b"0123456789").unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "something else").unwrap();
        commit(vec![file]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"0123456789");
        // Written to: they are gone.
        for changed in ["0123x56789", "012"] {
            fs::write(&path, "0123456789").unwrap();
            let mut file = PendingFile::create_or_keep(&path).unwrap();
            file.write_all(b"01234").unwrap();
            fs::write(&path, changed).unwrap();
            assert!(file.write_all(b"other").is_err());
            drop(file);
            assert_eq!(fs::read(&path).unwrap(), changed.as_bytes());
        }
    }

    #[test]
    fn links_are_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let [path, other] = ["a", "b"].map(|name| dir.path().join(name));
        fs::write(&other, "0123").unwrap();
        std::os::unix::fs::symlink("b", &path).unwrap();
        let write = || {
            let mut file = PendingFile::create_or_keep(&path).unwrap();
            file.write_all(b"0123").unwrap();
            assert!(!file.is_unchanged());
            commit(vec![file]).unwrap();
        };
        write();
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        fs::remove_file(&path).unwrap();
        fs::hard_link(&other, &path).unwrap();
        write();
        fs::write(&path, "changed").unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"0123");
    }

    #[test]
    fn a_missing_folder_or_a_folder_in_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = PendingFile::create(&dir.path().join("no/where"))
            .err()
            .unwrap();
        assert!(error.to_string().contains("there is no folder"), "{error}");
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
