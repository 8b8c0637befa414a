//! What a layer says about one path.

/// Attributes that every kind of entry has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Meta {
    /// Permission bits with setuid, setgid and sticky: `0o7777` at most.
    pub mode: u16,
    /// Owner. Never `u32::MAX`, which system calls read as "leave it".
    pub uid: u32,
    /// Group, as [`Meta::uid`].
    pub gid: u32,
    /// Seconds since 1970-01-01 UTC; fractions are cut towards the past.
    pub mtime: i64,
}

/// An extended attribute (PAX record `SCHILY.xattr.NAME`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Xattr {
    /// Full name, for example `security.capability`.
    pub name: Box<[u8]>,
    /// Value; any bytes.
    pub value: Box<[u8]>,
}

/// One entry of a layer, its path cleaned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Components joined by `/`: no leading slash, no `.` or `..`, empty for the root. For a
    /// [`EntryKind::Whiteout`] the path that is hidden, for [`EntryKind::Opaque`] the folder.
    pub path: Vec<u8>,
    /// Mode, owner and time.
    pub meta: Meta,
    /// Extended attributes in the order of the layer.
    pub xattrs: Vec<Xattr>,
    /// What it is.
    pub kind: EntryKind,
}

impl Xattr {
    /// What an attribute takes in memory besides the bytes of name and value: the two boxes, 32
    /// bytes, and an allocation for each, of which the smallest takes 32.
    const FIXED_BYTES: usize = 96;
}

impl Entry {
    /// What is kept in memory of it besides fields of fixed length: bytes of path, link target and
    /// extended attributes. A header has room for tens of thousands of these, so each counts
    /// with what it takes besides its bytes, too.
    pub fn metadata_bytes(&self) -> u64 {
        let target = match &self.kind {
            EntryKind::HardLink { target } | EntryKind::Symlink { target } => target.len(),
            _ => 0,
        };
        let xattrs =
            (self.xattrs.iter()).map(|x| Xattr::FIXED_BYTES + x.name.len() + x.value.len());
        (self.path.len() + target + xattrs.sum::<usize>()) as u64
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file with this many bytes (of a sparse file: with its holes).
    File {
        /// Length of the body in bytes.
        size: u64,
    },
    /// Another name of a file. The target is cleaned like a path.
    HardLink {
        /// The other name, inside the same tree.
        target: Vec<u8>,
    },
    /// A symbolic link; the target is kept as it is.
    Symlink {
        /// What the link says; never empty.
        target: Vec<u8>,
    },
    /// A character device.
    CharDevice {
        /// Device numbers.
        major: u32,
        /// Device numbers.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Device numbers.
        major: u32,
        /// Device numbers.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// `.wh.NAME`: the path is hidden in lower layers (image-spec, layer.md, "Whiteouts").
    Whiteout,
    /// `.wh..wh..opq`: all that lower layers have below this folder is hidden.
    Opaque,
}
