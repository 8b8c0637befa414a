//! A file system in memory: what the layers of an image, or the sections of a YAML, add up to.
//!
//! Nothing here touches a disk. [`Tree`] keeps inodes in an arena and folders as sorted maps from
//! name to inode, so that hard links are names of one inode and every walk comes out in the same
//! order. [`apply`] puts an image layer on top of a tree by the rules of the image-spec
//! (layer.md, "Applying Changesets"); [`resolve`] finds a path as `chroot` would.

pub mod apply;
mod budget;
mod graft;
pub mod resolve;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use budget::Budget;

pub use apply::{ApplyError, LayerView, apply_layer};
pub use graft::Replaced;
pub use resolve::ResolveError;
pub use walk::{Visit, Walk};

use crate::layer::Limits;
pub use crate::layer::{Meta, Xattr};

/// Index of an inode in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(u32);

/// A name in a folder; any bytes but `/` and NUL.
pub type Name = Box<[u8]>;

/// Where the bytes of a file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// In a pack: the pack's place in the build's list, and the body's index in it.
    Packed {
        /// Index into [`crate::pack::PackSet`].
        pack: u32,
        /// Index of the body in that pack.
        body: u32,
        /// Length in bytes.
        size: u64,
    },
    /// Made by the build itself.
    Inline(Arc<[u8]>),
    /// A tar that its pack holds opened ([`crate::pack::Nested`]), not as bytes.
    Opened {
        /// Index into [`crate::pack::PackSet`].
        pack: u32,
        /// Length of the tar in bytes.
        size: u64,
    },
}

impl Body {
    /// Length in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Body::Packed { size, .. } | Body::Opened { size, .. } => *size,
            Body::Inline(bytes) => bytes.len() as u64,
        }
    }
}

/// What an inode is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A folder and its names, in byte order.
    Directory(BTreeMap<Name, InodeId>),
    /// A regular file.
    File(Body),
    /// A symbolic link and what it says.
    Symlink(Box<[u8]>),
    /// A character device: major, minor.
    CharDevice(u32, u32),
    /// A block device: major, minor.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

impl Node {
    /// A word for messages.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Node::Directory(_) => "folder",
            Node::File(_) => "file",
            Node::Symlink(_) => "symlink",
            Node::CharDevice(..) => "character device",
            Node::BlockDevice(..) => "block device",
            Node::Fifo => "named pipe",
        }
    }
}

/// A file, folder, link or device with its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// Mode, owner, time.
    pub meta: Meta,
    /// Extended attributes.
    pub xattrs: Vec<Xattr>,
    /// Who brought it: an index into a table that the tree's user keeps (image and section).
    pub origin: u32,
    /// What it is.
    pub node: Node,
}

impl Inode {
    /// A folder without names.
    pub fn directory(meta: Meta, origin: u32) -> Self {
        Inode {
            meta,
            xattrs: Vec::new(),
            origin,
            node: Node::Directory(BTreeMap::new()),
        }
    }

    /// Whether it is a folder.
    pub fn is_directory(&self) -> bool {
        matches!(self.node, Node::Directory(_))
    }

    /// Anything else.
    pub fn new(meta: Meta, origin: u32, node: Node) -> Self {
        Inode {
            meta,
            xattrs: Vec::new(),
            origin,
            node,
        }
    }
}

/// Time of everything that no image brings: 2017-04-18 16:30:00 UTC, as LinuxKit has it.
pub const SYNTHETIC_MTIME: i64 = 1_492_533_000;

/// What folders look like that are needed but described by nothing: 0755, root.
pub const IMPLICIT_FOLDER: Meta = Meta {
    mode: 0o755,
    uid: 0,
    gid: 0,
    mtime: SYNTHETIC_MTIME,
};

/// A file system in memory. The root is always a folder.
#[derive(Clone, Debug)]
pub struct Tree {
    inodes: Vec<Inode>,
    budget: Budget,
}

impl Default for Tree {
    fn default() -> Self {
        Tree::new()
    }
}

impl Tree {
    /// An empty root folder, 0755.
    pub fn new() -> Self {
        Tree {
            inodes: vec![Inode::directory(IMPLICIT_FOLDER, 0)],
            budget: Budget::new(&Limits::default()),
        }
    }

    /// Bounds what paths may cost: symlinks, the folders that they imply, their length.
    pub fn with_limits(mut self, limits: &Limits) -> Self {
        self.budget = Budget::new(limits);
        self
    }

    /// The root folder.
    pub fn root(&self) -> InodeId {
        InodeId(0)
    }

    /// An inode of this tree.
    pub fn get(&self, id: InodeId) -> &Inode {
        &self.inodes[id.0 as usize]
    }

    /// An inode of this tree.
    pub fn get_mut(&mut self, id: InodeId) -> &mut Inode {
        &mut self.inodes[id.0 as usize]
    }

    /// The child of a folder; `None` also where `folder` is none.
    pub fn child(&self, folder: InodeId, name: &[u8]) -> Option<InodeId> {
        self.children(folder)?.get(name).copied()
    }

    /// The names of a folder; `None` where it is none.
    pub fn children(&self, folder: InodeId) -> Option<&BTreeMap<Name, InodeId>> {
        match &self.get(folder).node {
            Node::Directory(children) => Some(children),
            _ => None,
        }
    }

    /// Adds an inode that has no name yet.
    pub fn add(&mut self, inode: Inode) -> InodeId {
        // An arena of 2^32 inodes would not fit into memory; limits stop long before.
        let id = InodeId(u32::try_from(self.inodes.len()).unwrap_or(u32::MAX));
        self.inodes.push(inode);
        id
    }

    /// Gives an inode a name in a folder; whatever had the name loses it. Does nothing where
    /// `folder` is no folder.
    pub fn link(&mut self, folder: InodeId, name: &[u8], inode: InodeId) {
        if let Node::Directory(children) = &mut self.get_mut(folder).node {
            children.insert(name.into(), inode);
        }
    }

    /// Takes a name out of a folder and returns what had it.
    pub fn unlink(&mut self, folder: InodeId, name: &[u8]) -> Option<InodeId> {
        match &mut self.get_mut(folder).node {
            Node::Directory(children) => children.remove(name),
            _ => None,
        }
    }

    /// Looks a path up without following any symlink.
    pub fn lookup_literal(&self, path: &[u8]) -> Option<InodeId> {
        crate::layer::path::components(path)
            .try_fold(self.root(), |folder, name| self.child(folder, name))
    }
}

#[cfg(test)]
mod tests;
