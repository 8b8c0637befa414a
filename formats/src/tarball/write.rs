//! Writing an archive as a stream.

use std::io::{self, Read, Write};

use tar::{EntryType, Header};

use super::format::{
    BLOCK_BYTES, END, ID_MAX, NAME_FIELD_BYTES, PAX_NAME, SIZE_MAX, push_pax_record,
};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A file with a body of so many bytes.
    File {
        /// Length of the body.
        bytes: u64,
    },
    /// Another name of a file that stands before it.
    HardLink {
        /// Name of that file, as it was written.
        target: &'a [u8],
    },
    /// A symbolic link.
    Symlink {
        /// What it points at.
        target: &'a [u8],
    },
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A folder.
    Folder,
    /// A named pipe.
    Fifo,
}

/// An entry's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Path without a leading slash; any bytes but NUL. Folders get a slash at the end.
    pub name: &'a [u8],
    /// What it is.
    pub kind: Kind<'a>,
    /// Permissions: the lower twelve bits of `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Seconds since 1970, negative before.
    pub mtime: i64,
    /// Nanoseconds after `mtime`, below 1,000,000,000.
    pub mtime_nanos: u32,
    /// PAX records of the caller's, in the order in which they are to stand.
    pub pax: &'a [(&'a str, &'a [u8])],
}

/// Why an entry was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// A name or link target is empty or has a NUL in it.
    #[error(
        "{name:?} can't be a name or link target in a tar: it is empty or has a NUL byte in it"
    )]
    Name {
        /// The name, made printable.
        name: String,
    },
    /// A PAX keyword that can't be read back.
    #[error("{key:?} can't be a PAX keyword: it is empty, or has a '=' or NUL in it")]
    PaxKeyword {
        /// The keyword.
        key: String,
    },
    /// A device number of more than 21 bits.
    #[error("{name:?}: device number {number} does not fit a tar")]
    DeviceNumber {
        /// The device's name, made printable.
        name: String,
        /// The number.
        number: u32,
    },
    /// The body is shorter or longer than its entry says.
    #[error("{name:?}: the body ended after {got_bytes} bytes, its entry says {expected_bytes}")]
    BodyLength {
        /// The file's name, made printable.
        name: String,
        /// As the entry says.
        expected_bytes: u64,
        /// As read; one more than expected if there was more.
        got_bytes: u64,
    },
    /// The body could not be read.
    #[error("{name:?}: the body could not be read: {source}")]
    Body {
        /// The file's name, made printable.
        name: String,
        /// What the reader said.
        source: io::Error,
    },
    /// The output could not be written.
    #[error("the tar could not be written: {0}")]
    Io(#[from] io::Error),
}

/// Writes entries one after the other; nothing is held in memory.
#[derive(Debug)]
pub struct TarWriter<W: Write> {
    out: W,
    buffer: Vec<u8>,
}

impl<W: Write> TarWriter<W> {
    /// Starts an archive on `out`, which should be buffered.
    pub fn new(out: W) -> Self {
        Self {
            out,
            buffer: vec![0; 64 << 10],
        }
    }

    /// Adds an entry that has no body.
    ///
    /// # Errors
    /// If it does not fit the format or can't be written; for a file of more than no bytes.
    pub fn entry(&mut self, entry: &Entry<'_>) -> Result<(), TarError> {
        self.file(entry, io::empty())
    }

    /// Adds an entry and its body, which must have the length that the entry says.
    ///
    /// # Errors
    /// If it does not fit the format or can't be written; if the body can't be read or has
    /// another length. After an error in the body the archive is not to be used.
    pub fn file(&mut self, entry: &Entry<'_>, body: impl Read) -> Result<(), TarError> {
        self.start(entry)?;
        let bytes = body_bytes(entry);
        self.copy(entry.name, body, bytes)?;
        self.pad(bytes)?;
        Ok(())
    }

    /// Adds the headers of an entry alone: its body, and zeros up to a multiple of 512 bytes, are
    /// the caller's to write.
    pub(crate) fn start(&mut self, entry: &Entry<'_>) -> Result<(), TarError> {
        let mut pax = Vec::new();
        let header = header(entry, &mut pax)?;
        if !pax.is_empty() {
            let mut extended = Header::new_ustar();
            extended.set_entry_type(EntryType::XHeader);
            set_field(&mut extended.as_old_mut().name, PAX_NAME);
            extended.set_mode(0o644);
            extended.set_uid(0);
            extended.set_gid(0);
            extended.set_mtime(0);
            extended.set_size(pax.len() as u64);
            extended.set_cksum();
            self.out.write_all(extended.as_bytes())?;
            self.out.write_all(&pax)?;
            self.pad(pax.len() as u64)?;
        }
        self.out.write_all(header.as_bytes())?;
        Ok(())
    }

    /// What was written to, without an end.
    pub(crate) fn into_inner(self) -> W {
        self.out
    }

    /// Ends the archive and gives the writer back, flushed.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&END)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn copy(&mut self, name: &[u8], mut body: impl Read, bytes: u64) -> Result<(), TarError> {
        let mut done = 0;
        loop {
            // At the end one more byte is asked for: there must be none.
            let step = usize::try_from((bytes - done).max(1)).unwrap_or(usize::MAX);
            let step = step.min(self.buffer.len());
            let read = match body.read(&mut self.buffer[..step]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(TarError::Body {
                        name: printable(name),
                        source,
                    });
                }
                Ok(read) => read as u64,
            };
            if done == bytes && read == 0 {
                return Ok(());
            }
            if done == bytes || read == 0 {
                return Err(TarError::BodyLength {
                    name: printable(name),
                    expected_bytes: bytes,
                    got_bytes: done + read,
                });
            }
            let read = usize::try_from(read).unwrap_or(step);
            self.out.write_all(&self.buffer[..read])?;
            done += read as u64;
        }
    }

    fn pad(&mut self, bytes: u64) -> io::Result<()> {
        let padding = bytes.next_multiple_of(BLOCK_BYTES) - bytes;
        let padding = usize::try_from(padding).unwrap_or(0);
        self.out.write_all(&END[..padding])
    }
}

fn body_bytes(entry: &Entry<'_>) -> u64 {
    match entry.kind {
        Kind::File { bytes } => bytes,
        _ => 0,
    }
}

/// The ustar header, and in `pax` the records for what it can't hold.
fn header(entry: &Entry<'_>, pax: &mut Vec<u8>) -> Result<Header, TarError> {
    let mut header = Header::new_ustar();
    let mut name = entry.name.to_vec();
    let (entry_type, target, device) = match entry.kind {
        Kind::File { .. } => (EntryType::Regular, None, None),
        Kind::HardLink { target } => (EntryType::Link, Some(target), None),
        Kind::Symlink { target } => (EntryType::Symlink, Some(target), None),
        Kind::CharDevice { major, minor } => (EntryType::Char, None, Some((major, minor))),
        Kind::BlockDevice { major, minor } => (EntryType::Block, None, Some((major, minor))),
        Kind::Folder => {
            if !name.ends_with(b"/") {
                name.push(b'/');
            }
            (EntryType::Directory, None, None)
        }
        Kind::Fifo => (EntryType::Fifo, None, None),
    };
    for text in [Some(entry.name), target].into_iter().flatten() {
        if text.is_empty() || text.contains(&0) {
            return Err(TarError::Name {
                name: printable(text),
            });
        }
    }
    header.set_entry_type(entry_type);
    header.set_mode(entry.mode & 0o7777);

    let long = |text: &[u8]| text.len() > NAME_FIELD_BYTES;
    let long_and_binary = |text: &[u8]| long(text) && std::str::from_utf8(text).is_err();
    if long_and_binary(&name) || target.is_some_and(long_and_binary) {
        push_pax_record(pax, "hdrcharset", b"BINARY");
    }
    if long(&name) {
        push_pax_record(pax, "path", &name);
    }
    set_field(&mut header.as_old_mut().name, &name);
    if let Some(target) = target {
        if long(target) {
            push_pax_record(pax, "linkpath", target);
        }
        set_field(&mut header.as_old_mut().linkname, target);
    }

    let mut number = |key: &str, value: u64, max: u64| {
        if value > max {
            push_pax_record(pax, key, value.to_string().as_bytes());
            return 0;
        }
        value
    };
    header.set_size(number("size", body_bytes(entry), SIZE_MAX));
    header.set_uid(number("uid", entry.uid, ID_MAX));
    header.set_gid(number("gid", entry.gid, ID_MAX));
    let whole = u64::try_from(entry.mtime).ok().filter(|&s| s <= SIZE_MAX);
    header.set_mtime(whole.unwrap_or(0));
    if whole.is_none() || entry.mtime_nanos != 0 {
        push_pax_record(
            pax,
            "mtime",
            decimal_time(entry.mtime, entry.mtime_nanos).as_bytes(),
        );
    }
    if let Some((major, minor)) = device {
        for number in [major, minor] {
            if u64::from(number) > ID_MAX {
                return Err(TarError::DeviceNumber {
                    name: printable(entry.name),
                    number,
                });
            }
        }
        header.set_device_major(major)?;
        header.set_device_minor(minor)?;
    }
    for (key, value) in entry.pax {
        if key.is_empty() || key.contains(['=', '\0']) {
            return Err(TarError::PaxKeyword {
                key: (*key).to_owned(),
            });
        }
        push_pax_record(pax, key, value);
    }
    header.set_cksum();
    Ok(header)
}

/// Seconds with their fraction. PAX counts a time before 1970 backwards, as a negative number.
fn decimal_time(seconds: i64, nanos: u32) -> String {
    let nanos = i128::from(seconds) * 1_000_000_000 + i128::from(nanos.min(999_999_999));
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let text = format!(
        "{sign}{}.{:09}",
        nanos / 1_000_000_000,
        nanos % 1_000_000_000
    );
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn set_field(field: &mut [u8; NAME_FIELD_BYTES], text: &[u8]) {
    let bytes = text.len().min(field.len());
    field[..bytes].copy_from_slice(&text[..bytes]);
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
