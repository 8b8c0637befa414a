//! What a volume holds.

use std::collections::BTreeMap;

use crate::fat::FatError;
use crate::payload::PlaceError;

/// Longest name of a file (RRIP has no limit, Linux has this one).
const NAME_MAX_BYTES: usize = 255;

/// Longest target of a symbolic link.
const TARGET_MAX_BYTES: usize = 4095;

/// Attributes of a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits, set-user-ID, set-group-ID and sticky bit.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
}

/// Where a file's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSource {
    /// In a place of their own, which the plan chooses.
    New {
        /// How many there are.
        len_bytes: u64,
    },
    /// At a place that belongs to something else in the volume.
    Placed {
        /// Where they start; a multiple of 2048.
        start_bytes: u64,
        /// How many there are.
        len_bytes: u64,
    },
}

impl FileSource {
    pub(super) fn len_bytes(self) -> u64 {
        match self {
            FileSource::New { len_bytes } | FileSource::Placed { len_bytes, .. } => len_bytes,
        }
    }
}

/// Why a volume can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IsoError {
    /// A name that no file can have.
    #[error("{path:?}: {why}")]
    Path {
        /// The path, made printable.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More than the format can count.
    #[error("an ISO can't have more than {max} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How many it can have.
        max: u64,
    },
    /// A file's place is not at a sector.
    #[error("{path:?} stands at byte {start_bytes}, which is not a multiple of 2048")]
    Unaligned {
        /// The file.
        path: String,
        /// Where it stands.
        start_bytes: u64,
    },
    /// The FAT volume can't be made.
    #[error(transparent)]
    Fat(#[from] FatError),
    /// Parts overlap.
    #[error("the ISO's parts overlap")]
    Place(#[from] PlaceError),
}

/// Index of an inode.
pub(super) type NodeId = usize;

#[derive(Debug)]
pub(super) enum Kind {
    Folder(BTreeMap<Vec<u8>, NodeId>),
    File(FileSource),
    Symlink(Vec<u8>),
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) attributes: Attributes,
    pub(super) kind: Kind,
    /// Names that it has; for a folder, those of its subfolders and its own as well.
    pub(super) links: u32,
}

/// The files, folders and so on of a volume.
#[derive(Debug)]
pub struct IsoTree {
    pub(super) nodes: Vec<Node>,
}

impl IsoTree {
    /// A tree with nothing in it but the root.
    pub fn new(root: Attributes) -> Self {
        Self {
            nodes: vec![Node {
                attributes: root,
                kind: Kind::Folder(BTreeMap::new()),
                links: 2,
            }],
        }
    }

    /// Adds a folder. Like all paths, this one has no slash in front, and its parent must be there.
    ///
    /// # Errors
    /// If there is no such parent, something has the name already, or it can't be a name.
    pub fn folder(&mut self, path: &[u8], attributes: Attributes) -> Result<(), IsoError> {
        let parent = self.add(path, attributes, Kind::Folder(BTreeMap::new()))?;
        self.nodes[parent].links += 1;
        Ok(())
    }

    /// Adds a file. [`IsoPlan::files`](super::IsoPlan::files) has those with bytes of their own in
    /// the order in which they were added.
    ///
    /// # Errors
    /// As for [`folder`](Self::folder).
    pub fn file(
        &mut self,
        path: &[u8],
        attributes: Attributes,
        source: FileSource,
    ) -> Result<(), IsoError> {
        if let FileSource::Placed { start_bytes, .. } = source
            && !start_bytes.is_multiple_of(super::SECTOR_BYTES)
        {
            return Err(IsoError::Unaligned {
                path: printable(path),
                start_bytes,
            });
        }
        self.add(path, attributes, Kind::File(source)).map(drop)
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// As for [`folder`](Self::folder), or if the target is empty or too long.
    pub fn symlink(
        &mut self,
        path: &[u8],
        attributes: Attributes,
        target: &[u8],
    ) -> Result<(), IsoError> {
        if target.is_empty() || target.len() > TARGET_MAX_BYTES {
            return Err(wrong(path, "a link's target has 1 to 4095 bytes"));
        }
        self.add(path, attributes, Kind::Symlink(target.to_vec()))
            .map(drop)
    }

    /// Adds a character device.
    ///
    /// # Errors
    /// As for [`folder`](Self::folder).
    pub fn char_device(
        &mut self,
        path: &[u8],
        attributes: Attributes,
        (major, minor): (u32, u32),
    ) -> Result<(), IsoError> {
        self.add(path, attributes, Kind::CharDevice(major, minor))
            .map(drop)
    }

    /// Adds a block device.
    ///
    /// # Errors
    /// As for [`folder`](Self::folder).
    pub fn block_device(
        &mut self,
        path: &[u8],
        attributes: Attributes,
        (major, minor): (u32, u32),
    ) -> Result<(), IsoError> {
        self.add(path, attributes, Kind::BlockDevice(major, minor))
            .map(drop)
    }

    /// Adds a named pipe.
    ///
    /// # Errors
    /// As for [`folder`](Self::folder).
    pub fn fifo(&mut self, path: &[u8], attributes: Attributes) -> Result<(), IsoError> {
        self.add(path, attributes, Kind::Fifo).map(drop)
    }

    /// Adds one more name for what is at `target`, which is no folder.
    ///
    /// # Errors
    /// As for [`folder`](Self::folder), or if there is nothing at `target` or a folder.
    pub fn hard_link(&mut self, path: &[u8], target: &[u8]) -> Result<(), IsoError> {
        let linked = self.find(target);
        let linked = linked.filter(|&id| !matches!(self.nodes[id].kind, Kind::Folder(_)));
        let Some(linked) = linked else {
            return Err(wrong(path, "what it is to be a hard link of is not there"));
        };
        self.name(path, linked)?;
        self.nodes[linked].links += 1;
        Ok(())
    }

    fn add(&mut self, path: &[u8], attributes: Attributes, kind: Kind) -> Result<NodeId, IsoError> {
        let links = match kind {
            Kind::Folder(_) => 2,
            _ => 1,
        };
        let parent = self.name(path, self.nodes.len())?;
        self.nodes.push(Node {
            attributes,
            kind,
            links,
        });
        Ok(parent)
    }

    /// Puts a name into its folder, and gives the folder.
    fn name(&mut self, path: &[u8], id: NodeId) -> Result<NodeId, IsoError> {
        let slash = path.iter().rposition(|&byte| byte == b'/');
        let (folder, name) = match slash {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&b""[..], path),
        };
        if name.is_empty() || name == b"." || name == b".." || name.contains(&0) {
            return Err(wrong(path, "that can't be a file's name"));
        }
        if name.len() > NAME_MAX_BYTES {
            return Err(wrong(path, "a name has 255 bytes at most"));
        }
        let parent = self.find(folder);
        let parent = parent.ok_or_else(|| wrong(path, "its folder is not there"))?;
        let Kind::Folder(children) = &mut self.nodes[parent].kind else {
            return Err(wrong(path, "what it is in is no folder"));
        };
        if children.contains_key(name) {
            return Err(wrong(path, "it is there already"));
        }
        children.insert(name.to_vec(), id);
        Ok(parent)
    }

    fn find(&self, path: &[u8]) -> Option<NodeId> {
        let names = path.split(|&byte| byte == b'/');
        names
            .filter(|name| !name.is_empty())
            .try_fold(0, |folder, name| match &self.nodes[folder].kind {
                Kind::Folder(children) => children.get(name).copied(),
                _ => None,
            })
    }
}

fn wrong(path: &[u8], why: &'static str) -> IsoError {
    IsoError::Path {
        path: printable(path),
        why,
    }
}

fn printable(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
