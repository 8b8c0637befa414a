//! Writing one archive over a [`Stitcher`].

use std::io::{self, Write};

use crate::compress::{BodyInfo, Compression, Stitcher};

use super::format::{
    BODY_MAX_BYTES, Header, MAGIC, MAGIC_WITH_CHECKSUM, NAME_MAX_BYTES, TRAILER, padding,
};

/// What an entry's header says. The hard links of a file have the same device and inode, which
/// must be unique in all of the initrd, and the number of names as `nlink`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Path without a leading slash; any bytes but NUL, at most [`NAME_MAX_BYTES`].
    pub name: &'a [u8],
    /// Inode number.
    pub inode: u32,
    /// File type and permissions, as `st_mode`.
    pub mode: u32,
    /// Owner; at most 32 bits.
    pub uid: u64,
    /// Group; at most 32 bits.
    pub gid: u64,
    /// Number of names.
    pub nlink: u32,
    /// Seconds since 1970. Earlier becomes 1970, later than the year 2106 the format's last second.
    pub mtime: i64,
    /// Major number of the device that the file is said to be on.
    pub dev_major: u32,
    /// Minor number of it.
    pub dev_minor: u32,
    /// Major number of the device that a device node stands for.
    pub rdev_major: u32,
    /// Minor number of it.
    pub rdev_minor: u32,
}

/// Why an entry was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The name is empty, too long, has a NUL in it, or would end the archive.
    #[error("{name:?} can't be a name in an initrd: {why}")]
    Name {
        /// The name, made printable.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The target of a symbolic link is empty or too long.
    #[error("{name:?}: the kernel takes link targets of 1 to 4095 bytes, this one has {bytes}")]
    LinkTarget {
        /// The link's name, made printable.
        name: String,
        /// Length of the target.
        bytes: usize,
    },
    /// The body has 4 GiB or more.
    #[error(
        "{name:?} has {bytes} bytes, and a file in an initrd can't have 4 GiB or more: put it on a disk or in a squashfs"
    )]
    BodyTooLarge {
        /// The file's name, made printable.
        name: String,
        /// Length of the body.
        bytes: u64,
    },
    /// An owner needs more than 32 bits.
    #[error("{name:?}: {field} {value} does not fit an initrd's 32 bits")]
    Number {
        /// The file's name, made printable.
        name: String,
        /// `uid` or `gid`.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// The microcode archive is none.
    #[error("the microcode file is not an uncompressed cpio archive (newc)")]
    Microcode,
    /// The output could not be written.
    #[error("the archive could not be written: {0}")]
    Io(#[from] io::Error),
}

impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Io(error) => error,
            other => Self::new(io::ErrorKind::InvalidInput, other),
        }
    }
}

/// Writes an archive: entries in the order given, then one trailer.
#[derive(Debug)]
pub struct CpioWriter<W: Write> {
    stream: Stitcher<W>,
    entries: u64,
}

impl<W: Write> CpioWriter<W> {
    /// Starts an archive on `out`. What stands before it there must end on a multiple of four
    /// bytes if `compression` is none.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W, compression: Compression) -> io::Result<Self> {
        Ok(Self {
            stream: Stitcher::new(out, compression)?,
            entries: 0,
        })
    }

    /// How the archive is compressed.
    pub fn compression(&self) -> Compression {
        self.stream.compression()
    }

    /// Entries so far.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Length of the uncompressed archive so far.
    pub fn plain_bytes(&self) -> u64 {
        self.stream.plain_bytes()
    }

    /// Adds an entry without a body: a folder, device, pipe or socket, an empty file, or a
    /// further name of a hard link.
    ///
    /// # Errors
    /// If the entry does not fit the format or can't be written.
    pub fn entry(&mut self, entry: &Entry<'_>) -> Result<(), WriteError> {
        self.header(entry, 0)?;
        self.stream.entry_boundary()?;
        Ok(())
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// If it does not fit the format or can't be written.
    pub fn symlink(&mut self, entry: &Entry<'_>, target: &[u8]) -> Result<(), WriteError> {
        if target.is_empty() || target.len() > NAME_MAX_BYTES {
            return Err(WriteError::LinkTarget {
                name: printable(entry.name),
                bytes: target.len(),
            });
        }
        let bytes = target.len() as u64;
        self.header(entry, bytes)?;
        self.stream.literal(target)?;
        self.stream.literal(padding(bytes))?;
        self.stream.entry_boundary()?;
        Ok(())
    }

    /// Adds a file with its body: the first of its names if it has several.
    ///
    /// `segments` are those of `body`, encoded with this archive's compression and verified.
    ///
    /// # Errors
    /// If the entry does not fit the format or can't be written; those of the segments.
    pub fn file<S, E>(
        &mut self,
        entry: &Entry<'_>,
        body: BodyInfo,
        segments: impl IntoIterator<Item = Result<S, E>>,
    ) -> Result<(), E>
    where
        S: AsRef<[u8]>,
        E: From<io::Error> + From<WriteError>,
    {
        self.header(entry, body.bytes)?;
        self.stream.body(body, segments)?;
        self.stream.literal(padding(body.bytes))?;
        self.stream.entry_boundary()?;
        Ok(())
    }

    /// Ends the archive with its trailer and gives the writer back.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.trailer()?;
        self.stream.entry_boundary()?;
        self.stream.finish()
    }

    fn trailer(&mut self) -> io::Result<()> {
        let header = Header {
            nlink: 1,
            ..Header::default()
        };
        self.write_header(header, TRAILER)
    }

    fn header(&mut self, entry: &Entry<'_>, body_bytes: u64) -> Result<(), WriteError> {
        let name = || printable(entry.name);
        if let Some(why) = name_fault(entry.name) {
            return Err(WriteError::Name { name: name(), why });
        }
        let body_bytes = u32::try_from(body_bytes).map_err(|_| WriteError::BodyTooLarge {
            name: name(),
            bytes: body_bytes,
        })?;
        let owner = |field, value| {
            u32::try_from(value).map_err(|_| WriteError::Number {
                name: name(),
                field,
                value,
            })
        };
        let header = Header {
            inode: entry.inode,
            mode: entry.mode,
            uid: owner("uid", entry.uid)?,
            gid: owner("gid", entry.gid)?,
            nlink: entry.nlink,
            mtime: u32::try_from(entry.mtime.max(0)).unwrap_or(u32::MAX),
            body_bytes,
            dev_major: entry.dev_major,
            dev_minor: entry.dev_minor,
            rdev_major: entry.rdev_major,
            rdev_minor: entry.rdev_minor,
            name_bytes: 0,
            checksum: 0,
        };
        self.write_header(header, entry.name)?;
        self.entries += 1;
        Ok(())
    }

    fn write_header(&mut self, mut header: Header, name: &[u8]) -> io::Result<()> {
        header.name_bytes =
            u32::try_from(name.len() + 1).map_err(|_| io::ErrorKind::InvalidInput)?;
        let bytes = header.encode();
        self.stream.literal(&bytes)?;
        self.stream.literal(name)?;
        self.stream.literal(&[0])?;
        self.stream
            .literal(padding((bytes.len() + name.len() + 1) as u64))
    }
}

/// Length and CRC-32 of an archive that is not written: what a gzip member says of it in its last
/// eight bytes. Takes entries as [`CpioWriter`] does.
#[derive(Debug)]
pub struct CpioMeasure(CpioWriter<io::Sink>);

impl CpioMeasure {
    /// Of an empty archive.
    ///
    /// # Errors
    /// None in practice.
    pub fn new() -> io::Result<Self> {
        Ok(Self(CpioWriter::new(io::sink(), Compression::None)?))
    }

    /// As [`CpioWriter::entry`].
    ///
    /// # Errors
    /// If the entry does not fit the format.
    pub fn entry(&mut self, entry: &Entry<'_>) -> Result<(), WriteError> {
        self.0.entry(entry)
    }

    /// As [`CpioWriter::symlink`].
    ///
    /// # Errors
    /// If it does not fit the format.
    pub fn symlink(&mut self, entry: &Entry<'_>, target: &[u8]) -> Result<(), WriteError> {
        self.0.symlink(entry, target)
    }

    /// As [`CpioWriter::file`], for a body that need not be at hand.
    ///
    /// # Errors
    /// If the entry does not fit the format.
    pub fn file(&mut self, entry: &Entry<'_>, body: BodyInfo) -> Result<(), WriteError> {
        self.0.header(entry, body.bytes)?;
        self.0.stream.leave_out(body);
        self.0.stream.literal(padding(body.bytes))?;
        Ok(())
    }

    /// The whole archive's, with its trailer.
    ///
    /// # Errors
    /// None in practice.
    pub fn finish(mut self) -> io::Result<BodyInfo> {
        self.0.trailer()?;
        Ok(self.0.stream.plain())
    }
}

const _: () = assert!(BODY_MAX_BYTES == u32::MAX as u64);

/// Longest name in a folder: the kernel's `NAME_MAX`.
const PART_MAX_BYTES: usize = 255;

fn name_fault(name: &[u8]) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > NAME_MAX_BYTES {
        Some("it is longer than 4095 bytes")
    } else if name.contains(&0) {
        Some("it has a NUL byte in it")
    } else if name
        .split(|&b| b == b'/')
        .any(|part| part.len() > PART_MAX_BYTES)
    {
        Some("a part of it is longer than 255 bytes, and the kernel would leave it out")
    } else if name == TRAILER {
        Some("it is the name that ends an archive")
    } else {
        None
    }
}

/// A name for an error message; a very long one is cut.
fn printable(name: &[u8]) -> String {
    const SHOWN_BYTES: usize = 300;
    let mut text = String::from_utf8_lossy(&name[..name.len().min(SHOWN_BYTES)]).into_owned();
    if name.len() > SHOWN_BYTES {
        text.push_str("...");
    }
    text
}

/// Writes a microcode archive as the kernel wants it: uncompressed, before all others, and padded
/// so that another archive can follow. Gives the bytes written.
///
/// # Errors
/// If it is not an uncompressed newc archive, or can't be written.
pub fn write_microcode(out: &mut impl Write, archive: &[u8]) -> Result<u64, WriteError> {
    if !archive.starts_with(MAGIC) && !archive.starts_with(MAGIC_WITH_CHECKSUM) {
        return Err(WriteError::Microcode);
    }
    let zeros = padding(archive.len() as u64);
    out.write_all(archive)?;
    out.write_all(zeros)?;
    Ok((archive.len() + zeros.len()) as u64)
}
