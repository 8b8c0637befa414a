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
}

/// The end of a walk along a path.
pub(crate) struct Found {
    /// The deepest folder or file that exists on the way.
    pub inode: InodeId,
    /// Folder and name under which it was found; `None` for the root.
    pub entry: Option<(InodeId, Name)>,
    /// Names that are missing below it (or below which nothing can be, as it is no folder).
    pub missing: Vec<Name>,
}

impl Tree {
    /// The inode that a path leads to, every symlink followed, the last one too.
    pub fn lookup(&self, path: &[u8]) -> Result<Option<InodeId>, ResolveError> {
        let found = self.find(path)?;
        Ok(found.missing.is_empty().then_some(found.inode))
    }

    /// Follows `path` as far as it exists. A `..` below a missing name takes that name away again,
    /// as filepath-securejoin does.
    pub(crate) fn find(&self, path: &[u8]) -> Result<Found, ResolveError> {
        let mut way: Vec<(InodeId, Name)> = Vec::new();
        let mut missing: Vec<Name> = Vec::new();
        let mut rest: VecDeque<Name> = components(path).map(Name::from).collect();
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            match &*name {
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
                self.child(here, &name)
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
            if links > self.max_links {
                return Err(ResolveError::Loop {
                    path: path.to_vec(),
                    limit: self.max_links,
                });
            }
            if target.starts_with(b"/") {
                way.clear();
            }
            for component in components(target).rev() {
                rest.push_front(component.into());
            }
        }
        let Some((inode, name)) = way.pop() else {
            return Ok(Found {
                inode: self.root(),
                entry: None,
                missing,
            });
        };
        let parent = way.last().map_or(self.root(), |(inode, _)| *inode);
        Ok(Found {
            inode,
            entry: Some((parent, name)),
            missing,
        })
    }

    /// The folder that a path leads to, made where it is missing (0755, root). A file in the way
    /// gives way to a folder.
    pub fn make_folders(&mut self, path: &[u8], origin: u32) -> Result<InodeId, ResolveError> {
        let Found {
            inode,
            entry,
            missing,
        } = self.find(path)?;
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
