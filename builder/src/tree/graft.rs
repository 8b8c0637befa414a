//! Laying one tree over another, and a tree into a folder of another.

use std::collections::HashMap;

use super::resolve::ResolveError;
use super::{Inode, InodeId, Node, Tree};

/// Something of the lower tree that laying the upper one over it would lose or misdirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Where.
    pub path: Vec<u8>,
    /// What was there: kind and origin.
    pub lower: (&'static str, u32),
    /// What was to replace it.
    pub upper: (&'static str, u32),
}

impl Tree {
    /// Copies `other` below the folder `at` (made where missing), as an image's own root. Folders
    /// that both have take `other`'s attributes; a symlink that would be replaced by a folder, or
    /// a folder by anything else, is reported and ends the merge.
    pub fn overlay(
        &mut self,
        at: &[u8],
        other: &Tree,
    ) -> Result<Result<(), Replaced>, ResolveError> {
        let origin = other.get(other.root()).origin;
        let folder = self.make_folders(at, origin)?;
        let mut copied = HashMap::new();
        Ok(self.merge_folder(at, folder, other, other.root(), &mut copied))
    }

    fn merge_folder(
        &mut self,
        path: &[u8],
        folder: InodeId,
        other: &Tree,
        from: InodeId,
        copied: &mut HashMap<InodeId, InodeId>,
    ) -> Result<(), Replaced> {
        let mut todo = vec![(path.to_vec(), folder, from)];
        while let Some((path, folder, from)) = todo.pop() {
            let source = other.get(from);
            let inode = self.get_mut(folder);
            inode.meta = source.meta;
            inode.xattrs.clone_from(&source.xattrs);
            inode.origin = source.origin;
            let Some(children) = other.children(from) else {
                continue;
            };
            for (name, &child) in children {
                let upper = other.get(child);
                let child_path =
                    crate::layer::path::clean(&[&path, b"/".as_slice(), name].concat());
                let existing = self.child(folder, name);
                if let Some(existing) = existing {
                    let lower = self.get(existing);
                    let mixes = lower.is_directory() != upper.is_directory();
                    let harmless = !matches!(lower.node, Node::Symlink(_)) && !lower.is_directory();
                    if mixes && !harmless {
                        return Err(Replaced {
                            path: child_path,
                            lower: (lower.node.kind_name(), lower.origin),
                            upper: (upper.node.kind_name(), upper.origin),
                        });
                    }
                }
                if upper.is_directory() {
                    let target = match existing.filter(|&id| self.get(id).is_directory()) {
                        Some(target) => target,
                        None => {
                            let target = self.add(Inode::directory(upper.meta, upper.origin));
                            self.link(folder, name, target);
                            target
                        }
                    };
                    todo.push((child_path, target, child));
                } else {
                    let target = match copied.get(&child) {
                        Some(&target) => target,
                        None => {
                            let target = self.add(upper.clone());
                            copied.insert(child, target);
                            target
                        }
                    };
                    self.link(folder, name, target);
                }
            }
        }
        Ok(())
    }
}
