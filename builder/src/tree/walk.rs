//! Going over a tree in the order in which archives are written.

use std::collections::{BTreeMap, HashMap};

use super::{Inode, InodeId, Name, Tree};

/// One name of the tree.
#[derive(Debug)]
pub struct Visit<'t> {
    /// Path without a leading slash; empty for the root.
    pub path: Vec<u8>,
    /// The inode behind the name.
    pub id: InodeId,
    /// Its attributes and content.
    pub inode: &'t Inode,
    /// Names that the inode has in the whole tree (1 for folders).
    pub links: u32,
    /// The first name of the inode in this order; `None` where this name is that first one.
    pub first: Option<Vec<u8>>,
}

/// Parents before children, siblings in byte order, depth first.
pub struct Walk<'t> {
    tree: &'t Tree,
    stack: Vec<(std::collections::btree_map::Iter<'t, Name, InodeId>, usize)>,
    path: Vec<u8>,
    root: bool,
    links: HashMap<InodeId, (u32, Option<Vec<u8>>)>,
}

impl Tree {
    /// Walks the whole tree, the root first.
    pub fn walk(&self) -> Walk<'_> {
        let mut links: HashMap<InodeId, (u32, Option<Vec<u8>>)> = HashMap::new();
        let mut folders = vec![self.root()];
        let mut counts: HashMap<InodeId, u32> = HashMap::new();
        while let Some(folder) = folders.pop() {
            for &child in self.children(folder).into_iter().flat_map(BTreeMap::values) {
                if self.get(child).is_directory() {
                    folders.push(child);
                } else {
                    *counts.entry(child).or_default() += 1;
                }
            }
        }
        links.extend(
            counts
                .into_iter()
                .filter(|&(_, n)| n > 1)
                .map(|(id, n)| (id, (n, None))),
        );
        Walk {
            tree: self,
            stack: Vec::new(),
            path: Vec::new(),
            root: true,
            links,
        }
    }
}

impl<'t> Iterator for Walk<'t> {
    type Item = Visit<'t>;

    fn next(&mut self) -> Option<Visit<'t>> {
        if std::mem::take(&mut self.root) {
            let id = self.tree.root();
            self.stack.push((self.tree.children(id)?.iter(), 0));
            return Some(Visit {
                path: Vec::new(),
                id,
                inode: self.tree.get(id),
                links: 1,
                first: None,
            });
        }
        loop {
            let (iter, length) = self.stack.last_mut()?;
            self.path.truncate(*length);
            let Some((name, &id)) = iter.next() else {
                self.stack.pop();
                continue;
            };
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
            if let Some(children) = self.tree.children(id) {
                self.stack.push((children.iter(), self.path.len()));
            }
            let (links, first) = match self.links.get_mut(&id) {
                None => (1, None),
                Some((n, Some(first))) => (*n, Some(first.clone())),
                Some((n, first)) => {
                    *first = Some(self.path.clone());
                    (*n, None)
                }
            };
            return Some(Visit {
                path: self.path.clone(),
                id,
                inode: self.tree.get(id),
                links,
                first,
            });
        }
    }
}
