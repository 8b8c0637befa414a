//! Layers, described.

use crate::tar;

/// What an entry is. Names and targets are bytes: they need not be UTF-8, clean or honest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file with its content.
    File(Vec<u8>),
    /// A directory.
    Dir,
    /// A symbolic link to this target.
    Symlink(Vec<u8>),
    /// Another name for the file at this path.
    Hardlink(Vec<u8>),
    /// A character device: major, minor.
    Char(u32, u32),
    /// A block device: major, minor.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
    /// A file with holes.
    Sparse {
        /// How the tar says so.
        format: SparseFormat,
        /// Length in bytes, holes included.
        size: u64,
        /// Data by offset; all but the last should be multiples of 512 bytes, as GNU tar writes.
        chunks: Vec<(u64, Vec<u8>)>,
    },
    /// A type flag of the caller's choice with a body.
    Raw(u8, Vec<u8>),
}

/// The ways in which tars hold files with holes (GNU tar manual, "Storing Sparse Files").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SparseFormat {
    /// Type `S`, the map in the header and in blocks that follow it.
    OldGnu,
    /// PAX records `GNU.sparse.offset` and `.numbytes`, repeated.
    Pax00,
    /// PAX record `GNU.sparse.map`.
    Pax01,
    /// The map before the data.
    Pax10,
}

/// How what a ustar header cannot hold is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PAX records.
    Pax,
    /// GNU's `L` and `K` entries and base-256 numbers.
    Gnu,
    /// Names of up to 255 bytes are split into the header's prefix and name; else as PAX.
    Prefix,
}

/// One entry of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name as it is to stand in the tar, to the byte.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// PAX records written before the entry, in this order, after those the entry itself needs.
    /// Keys and values are written as they are.
    pub pax: Vec<(Vec<u8>, Vec<u8>)>,
    /// How long names and large numbers are written.
    pub dialect: Dialect,
    /// Write a checksum that does not match.
    pub wrong_checksum: bool,
    /// Write this in the header's size field, whatever the body's length.
    pub size_field: Option<u64>,
}

/// Time of every entry that does not ask for another: 2023-11-14T22:13:20Z.
pub const DEFAULT_MTIME: i64 = 1_700_000_000;

/// A layer: entries in the order of its tar.
///
/// ```
/// use testdata::Layer;
/// let layer = Layer::new()
///     .dir("etc", 0o755)
///     .file("etc/motd", "hello\n").mode(0o600).owner(1, 2)
///     .hardlink("etc/issue", "etc/motd")
///     .whiteout("etc/old");
/// assert_eq!(layer.entries.len(), 4);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// In the order of the tar.
    pub entries: Vec<Entry>,
    /// Bytes after the end marker.
    pub trailing: Vec<u8>,
    /// Leave out the two blocks of zeros at the end.
    pub no_end_marker: bool,
}

impl Layer {
    /// An empty layer.
    pub fn new() -> Self {
        Layer::default()
    }

    /// Adds an entry of any kind; mode 0644, root's, at [`DEFAULT_MTIME`].
    pub fn entry(mut self, path: impl AsRef<[u8]>, kind: Kind) -> Self {
        self.entries.push(Entry {
            path: path.as_ref().to_vec(),
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: DEFAULT_MTIME,
            pax: Vec::new(),
            dialect: Dialect::Pax,
            wrong_checksum: false,
            size_field: None,
        });
        self
    }

    /// Adds a regular file, mode 0644.
    pub fn file(self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        self.entry(path, Kind::File(content.as_ref().to_vec()))
    }

    /// Adds a directory.
    pub fn dir(self, path: impl AsRef<[u8]>, mode: u32) -> Self {
        self.entry(path, Kind::Dir).mode(mode)
    }

    /// Adds a symbolic link, mode 0777.
    pub fn symlink(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        let kind = Kind::Symlink(target.as_ref().to_vec());
        self.entry(path, kind).mode(0o777)
    }

    /// Adds a hard link: `path` becomes another name of `target`.
    pub fn hardlink(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.entry(path, Kind::Hardlink(target.as_ref().to_vec()))
    }

    /// Adds a character device.
    pub fn char_device(self, path: impl AsRef<[u8]>, major: u32, minor: u32) -> Self {
        self.entry(path, Kind::Char(major, minor))
    }

    /// Adds a block device.
    pub fn block_device(self, path: impl AsRef<[u8]>, major: u32, minor: u32) -> Self {
        self.entry(path, Kind::Block(major, minor))
    }

    /// Adds a named pipe.
    pub fn fifo(self, path: impl AsRef<[u8]>) -> Self {
        self.entry(path, Kind::Fifo)
    }

    /// Adds a file with holes: `size` bytes of which only `chunks` (offset, data) are there.
    pub fn sparse(
        self,
        path: impl AsRef<[u8]>,
        format: SparseFormat,
        size: u64,
        chunks: &[(u64, &[u8])],
    ) -> Self {
        let chunks = chunks.iter().map(|(at, data)| (*at, data.to_vec()));
        let kind = Kind::Sparse {
            format,
            size,
            chunks: chunks.collect(),
        };
        self.entry(path, kind)
    }

    /// Adds the whiteout of `path` (image-spec, layer.md, "Whiteouts").
    pub fn whiteout(self, path: impl AsRef<[u8]>) -> Self {
        let path = path.as_ref();
        let name = path.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
        let marker = [&path[..name], b".wh.", &path[name..]].concat();
        self.file(marker, "")
    }

    /// Adds the opaque marker of the folder `path` (image-spec, layer.md, "Opaque Whiteout").
    pub fn opaque(self, path: impl AsRef<[u8]>) -> Self {
        let path = path.as_ref();
        let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
        self.file([path, slash, b".wh..wh..opq"].concat(), "")
    }

    /// Changes the last entry.
    fn last(mut self, change: impl FnOnce(&mut Entry)) -> Self {
        change(self.entries.last_mut().expect("an entry to change"));
        self
    }

    /// Mode of the last entry.
    pub fn mode(self, mode: u32) -> Self {
        self.last(|e| e.mode = mode)
    }

    /// Owner and group of the last entry.
    pub fn owner(self, uid: u64, gid: u64) -> Self {
        self.last(|e| (e.uid, e.gid) = (uid, gid))
    }

    /// Time of the last entry.
    pub fn mtime(self, mtime: i64) -> Self {
        self.last(|e| e.mtime = mtime)
    }

    /// Gives the last entry an extended attribute, as a `SCHILY.xattr.` record.
    pub fn xattr(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.pax(format!("SCHILY.xattr.{name}"), value)
    }

    /// Gives the last entry a PAX record.
    pub fn pax(self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        let record = (key.as_ref().to_vec(), value.as_ref().to_vec());
        self.last(|e| e.pax.push(record))
    }

    /// How the last entry's long names and large numbers are written.
    pub fn dialect(self, dialect: Dialect) -> Self {
        self.last(|e| e.dialect = dialect)
    }

    /// Damages the last entry's header.
    pub fn wrong_checksum(self) -> Self {
        self.last(|e| e.wrong_checksum = true)
    }

    /// Writes a size of the caller's choice in the last entry's header.
    pub fn size_field(self, size: u64) -> Self {
        self.last(|e| e.size_field = Some(size))
    }

    /// Puts bytes after the end marker.
    pub fn trailing(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.trailing = bytes.as_ref().to_vec();
        self
    }

    /// Leaves out the end marker.
    pub fn no_end_marker(mut self) -> Self {
        self.no_end_marker = true;
        self
    }

    /// The layer as a tar.
    pub fn tar(&self) -> Vec<u8> {
        tar::write(self)
    }
}
