//! What a writer is given, and why it refuses it.

use std::io;

use super::format::MAX_NAME_BYTES;
use super::metadata::Place;

/// Attributes of a file, folder, link or device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// Permissions: the lower twelve bits of `st_mode`.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970; what does not fit 32 bits becomes the nearest that does.
    pub mtime: i64,
    /// Extended attributes by their full names, in any order.
    pub xattrs: &'a [(&'a [u8], &'a [u8])],
    /// Names it will have (not for folders).
    pub links: u32,
}

/// What an entry without a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
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
    /// A named pipe.
    Fifo,
}

/// Something that was written, to give it further names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRef {
    pub(super) place: Place,
    pub(super) number: u32,
    /// Basic type.
    pub(super) kind: u16,
}

/// Why no file system was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SquashfsError {
    /// A name that can't stand in a folder, or a target that no link can have.
    #[error("{name:?} can't stand in a squashfs: it is empty, too long, or has a slash or NUL")]
    Name {
        /// The name, made printable.
        name: String,
    },
    /// A device number that Linux does not have.
    #[error("{name:?}: device {major}:{minor} does not fit a squashfs")]
    Device {
        /// The device's name, made printable.
        name: String,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// The body is shorter or longer than its entry says.
    #[error("{name:?}: the body does not have the {expected_bytes} bytes that its entry says")]
    BodyLength {
        /// The file's name, made printable.
        name: String,
        /// As the entry says.
        expected_bytes: u64,
    },
    /// The body could not be read.
    #[error("{name:?}: the body could not be read: {source}")]
    Body {
        /// The file's name, made printable.
        name: String,
        /// What the reader said.
        source: io::Error,
    },
    /// More of something than fits the format.
    #[error("a squashfs can't have more {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
    },
    /// The output could not be written.
    #[error("{0}")]
    Io(#[from] io::Error),
}

pub(super) fn check_name(name: &[u8]) -> Result<(), SquashfsError> {
    if is_name(name) {
        return Ok(());
    }
    Err(SquashfsError::Name {
        name: printable(name),
    })
}

/// Whether something can be called so.
pub(super) fn is_name(name: &[u8]) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && !name.contains(&b'/')
        && !name.contains(&0)
        && ![&b"."[..], b".."].contains(&name)
}

/// A name for an error message.
pub(super) fn printable(name: &[u8]) -> String {
    String::from_utf8_lossy(&name[..name.len().min(300)]).into_owned()
}
