//! Paths as `chroot` would find them: symlinks are followed inside the tree and never out of it.

use std::collections::VecDeque;

use super::{IMPLICIT_FOLDER, Inode, InodeId, Name, Node, Tree};
use crate::layer::Escaped;
use crate::layer::path::components;

/// A path that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Symlinks that lead in a circle, or too many of them.
    #[error(
        "too many symlinks on the way to {}: they lead in a circle, or it takes more than {limit} \
         (--max-links raises that)",
        Escaped(.path)
    )]
    Loop {
        /// Where the way was to lead.
        path: Vec<u8>,
        /// As many as may be followed.
        limit: usize,
    },
    /// Symlinks that are much work, path for path.
    #[error(
        "its paths lead through more than the limit of {limit} components of symlinks, at {}; raise \
         it with --max-link-steps if this is to be trusted",
        Escaped(.path)
    )]
    LinkSteps {
        /// The path that was too much.
        path: Vec<u8>,
        /// The limit.
        limit: u64,
    },
    /// Symlinks that lead so deep that no system call takes the path.
    #[error(
        "{} leads through symlinks to a path longer than the limit of {limit} bytes; raise it with \
         --max-path-bytes if this is to be trusted",
        Escaped(.path)
    )]
    PathBytes {
        /// The path.
        path: Vec<u8>,
        /// The limit.
        limit: usize,
    },
    /// Paths in folders that are not there, too many and too deep.
    #[error(
        "the folders that its paths imply have names of more than the limit of {limit} bytes \
         together, at {}; raise it with --max-metadata-bytes if this is to be trusted",
        Escaped(.path)
    )]
    FolderBytes {
        /// The path that was too much.
        path: Vec<u8>,
        /// The limit.
        limit: u64,
    },
    /// A folder that no system could make.
    #[error(
        "the way to {} needs a folder whose name is longer than 255 bytes, which no system could \
         make",
        Escaped(.path)
    )]
    NameBytes {
        /// The path.
        path: Vec<u8>,
    },
}

/// The end of a walk along a path.
pub(crate) struct Found {
    /// The deepest folder or file that exists on the way.
    pub inode: InodeId,
    /// Folder and name under which it was found; `None` for the root.
    pub entry: Option<(InodeId, Name)>,
    /// Names that are missing below it (or below which nothing can be, as it is no folder).
    pub missing: Vec<Name>,
    /// Components of symlinks on the way.
    pub link_steps: u64,
    /// Length of the path without symlinks that leads to `inode`, each component with a slash
    /// before it.
    pub path_bytes: usize,
}

impl Tree {
    /// The inode that a path leads to, every symlink followed, the last one too.
    pub fn lookup(&self, path: &[u8]) -> Result<Option<InodeId>, ResolveError> {
        let found = self.find(path)?;
        Ok(found.missing.is_empty().then_some(found.inode))
    }

    /// As [`Tree::lookup`], for a path of a layer: what symlinks cost is counted.
    pub(super) fn lookup_counted(&mut self, path: &[u8]) -> Result<Option<InodeId>, ResolveError> {
        let found = self.find(path)?;
        self.budget.follow(path, found.link_steps)?;
        Ok(found.missing.is_empty().then_some(found.inode))
    }

    /// Follows `path` as far as it exists. A `..` below a missing name takes that name away again,
    /// as filepath-securejoin does.
    pub(crate) fn find(&self, path: &[u8]) -> Result<Found, ResolveError> {
        let mut way: Vec<(InodeId, &[u8])> = Vec::new();
        let mut missing: Vec<&[u8]> = Vec::new();
        let mut rest: VecDeque<&[u8]> = components(path).collect();
        let mut links = 0;
        let mut link_steps = 0;
        while let Some(name) = rest.pop_front() {
            match name {
                b"." => continue,
                b".." => {
                    if missing.pop().is_none() {
                        way.pop();
                    }
                    continue;
                }
                _ => {}
            }
            let here = way.last().map_or(self.root(), |(inode, _)| *inode);
            let child = if missing.is_empty() {
                self.child(here, name)
            } else {
                None
            };
            let Some(child) = child else {
                missing.push(name);
                continue;
            };
            let Node::Symlink(target) = &self.get(child).node else {
                way.push((child, name));
                continue;
            };
            links += 1;
            if links > self.budget.max_links {
                return Err(ResolveError::Loop {
                    path: path.to_vec(),
                    limit: self.budget.max_links,
                });
            }
            if target.starts_with(b"/") {
                way.clear();
            }
            for component in components(target).rev() {
                rest.push_front(component);
                link_steps += 1;
            }
        }
        let path_bytes = way.iter().map(|(_, name)| name.len() + 1).sum();
        let last = way.pop();
        let parent = way.last().map_or(self.root(), |(inode, _)| *inode);
        Ok(Found {
            inode: last.map_or(self.root(), |(inode, _)| inode),
            entry: last.map(|(_, name)| (parent, Name::from(name))),
            missing: missing.into_iter().map(Name::from).collect(),
            link_steps,
            path_bytes,
        })
    }

    /// The folder that a path leads to, made where it is missing (0755, root). A file in the way
    /// gives way to a folder.
    pub fn make_folders(&mut self, path: &[u8], origin: u32) -> Result<InodeId, ResolveError> {
        let found = self.find(path)?;
        self.budget.follow(path, found.link_steps)?;
        self.budget.imply(path, &found)?;
        let Found {
            inode,
            entry,
            missing,
            ..
        } = found;
        let mut here = inode;
        if let (false, Some((parent, name))) = (self.get(here).is_directory(), entry) {
            // Other names of a hard-linked file keep it: the folder is a new inode.
            here = self.add(Inode::directory(IMPLICIT_FOLDER, origin));
            self.link(parent, &name, here);
        }
        for name in &missing {
            let folder = self.add(Inode::directory(IMPLICIT_FOLDER, origin));
            self.link(here, name, folder);
            here = folder;
        }
        Ok(here)
    }
}
