//! The tree: folders and the names in them.

use std::collections::HashSet;

use crate::bounded::{u16_le, u32_le};
use crate::payload::Payload;

use super::super::entry::is_name;
use super::super::format::{DIRECTORY_RUN, MAX_NAME_BYTES, inode};
use super::inodes::Inode;
use super::metadata::Cursor;
use super::{EntryKind, Limits, ReadError, SquashfsEntry, SquashfsReader, damaged, limit};

/// All names of a file system, each folder before what is in it, and the names in a folder in their
/// order. It ends at the first error.
#[derive(Debug)]
pub struct Walk<'a, P> {
    reader: &'a SquashfsReader<P>,
    limits: Limits,
    /// The folders that it is in.
    open: Vec<Listing>,
    /// References of all folders that were opened: each is in the tree once, so there is no loop.
    folders: HashSet<u64>,
    entries: u64,
    names_bytes: u64,
    has_begun: bool,
}

/// A folder that is being read.
#[derive(Debug)]
struct Listing {
    path: Vec<u8>,
    cursor: Cursor,
    left_bytes: u32,
    run: Run,
    last_name: Vec<u8>,
}

/// Names under the last header.
#[derive(Debug, Default)]
struct Run {
    left: usize,
    /// In which block their inodes are.
    block: u32,
}

/// A name in a folder.
struct Name {
    name: Vec<u8>,
    /// Where the inode is.
    reference: u64,
    /// Basic type.
    kind: u16,
    offset: u64,
}

impl<P: Payload> SquashfsReader<P> {
    /// Everything in the file system but its root.
    pub fn walk(&self, limits: Limits) -> Walk<'_, P> {
        Walk {
            reader: self,
            limits,
            open: Vec::new(),
            folders: HashSet::new(),
            entries: 0,
            names_bytes: 0,
            has_begun: false,
        }
    }

    /// All that [`walk`](Self::walk) gives.
    ///
    /// # Errors
    /// If something is damaged, or a limit is passed.
    pub fn entries(&self, limits: Limits) -> Result<Vec<SquashfsEntry>, ReadError> {
        self.walk(limits).collect()
    }
}

impl<P: Payload> Iterator for Walk<'_, P> {
    type Item = Result<SquashfsEntry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.step();
        if next.is_err() {
            self.open.clear();
        }
        next.transpose()
    }
}

impl<P: Payload> Walk<'_, P> {
    fn step(&mut self) -> Result<Option<SquashfsEntry>, ReadError> {
        if !self.has_begun {
            self.has_begun = true;
            let reference = self.reader.summary.head.root;
            let root = self.reader.inode_at(reference)?;
            if root.kind != inode::FOLDER {
                return Err(damaged(32, "its root is no folder"));
            }
            self.enter(reference, &root, Vec::new())?;
        }
        while let Some(folder) = self.open.last_mut() {
            let Some(found) = self.reader.next_name(folder)? else {
                self.open.pop();
                continue;
            };
            let path = match folder.path.as_slice() {
                b"" => found.name,
                parent => [parent, b"/", &found.name].concat(),
            };
            if path.len() > self.limits.path_bytes {
                let most = self.limits.path_bytes as u64;
                return Err(limit(found.offset, "bytes of a path", most));
            }
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(limit(found.offset, "entries", self.limits.entries));
            }
            let inode = self.reader.inode_at(found.reference)?;
            if inode.kind != found.kind {
                let what = "a name and its inode are of different types";
                return Err(damaged(found.offset, what));
            }
            let target_bytes = match &inode.entry.kind {
                EntryKind::Symlink { target } => target.len(),
                _ => 0,
            };
            self.names_bytes += (path.len() + target_bytes) as u64;
            if self.names_bytes > self.limits.names_bytes {
                let what = "bytes of paths and targets";
                return Err(limit(found.offset, what, self.limits.names_bytes));
            }
            if inode.kind == inode::FOLDER {
                if self.open.len() > self.limits.depth {
                    let most = self.limits.depth as u64;
                    return Err(limit(found.offset, "folders within folders", most));
                }
                self.enter(found.reference, &inode, path.clone())?;
            }
            let mut entry = inode.entry;
            entry.path = path;
            return Ok(Some(entry));
        }
        Ok(None)
    }

    fn enter(&mut self, reference: u64, folder: &Inode, path: Vec<u8>) -> Result<(), ReadError> {
        if !self.folders.insert(reference) {
            let what = "a folder is in the tree twice";
            return Err(damaged(folder.listing.block(), what));
        }
        self.open.push(Listing {
            path,
            cursor: folder.listing.clone(),
            left_bytes: folder.listing_bytes,
            run: Run::default(),
            last_name: Vec::new(),
        });
        Ok(())
    }
}

const HEADER_BYTES: usize = 12;
const NAME_HEADER_BYTES: usize = 8;
const WHAT: &str = "a folder";

impl<P: Payload> SquashfsReader<P> {
    fn inode_at(&self, reference: u64) -> Result<Inode, ReadError> {
        self.inode(Cursor::from_reference(&self.tables.inodes, reference))
    }

    /// The next name of a folder; `None` after the last one.
    fn next_name(&self, folder: &mut Listing) -> Result<Option<Name>, ReadError> {
        if folder.left_bytes == 0 && folder.run.left == 0 {
            return Ok(None);
        }
        if folder.run.left == 0 {
            let mut header = [0; HEADER_BYTES];
            self.next_of(folder, &mut header)?;
            let left = (u32_le(&header, 0) as usize).saturating_add(1);
            if left > DIRECTORY_RUN {
                let what = "a folder has too many names under one header";
                return Err(damaged(folder.cursor.block(), what));
            }
            let block = u32_le(&header, 4);
            folder.run = Run { left, block };
        }
        folder.run.left -= 1;
        let offset = folder.cursor.block();
        let mut header = [0; NAME_HEADER_BYTES];
        self.next_of(folder, &mut header)?;
        let bytes = usize::from(u16_le(&header, 6)) + 1;
        if bytes > MAX_NAME_BYTES {
            return Err(damaged(offset, "a name is too long"));
        }
        let mut name = vec![0; bytes];
        self.next_of(folder, &mut name)?;
        if !is_name(&name) {
            let what = "a name is . or .., or has a slash or zero in it";
            return Err(damaged(offset, what));
        }
        // A name is searched for by this order, so another one would be there for some and not
        // for others.
        if name <= folder.last_name {
            return Err(damaged(offset, "the names of a folder are not in order"));
        }
        folder.last_name.clone_from(&name);
        Ok(Some(Name {
            name,
            reference: u64::from(folder.run.block) << 16 | u64::from(u16_le(&header, 0)),
            kind: u16_le(&header, 4),
            offset,
        }))
    }

    /// Fills `out` with the next bytes of a folder, which must have them.
    fn next_of(&self, folder: &mut Listing, out: &mut [u8]) -> Result<(), ReadError> {
        let left = u32::try_from(out.len()).ok();
        let left = left.and_then(|bytes| folder.left_bytes.checked_sub(bytes));
        let what = "a folder is shorter than the names in it";
        folder.left_bytes = left.ok_or_else(|| damaged(folder.cursor.block(), what))?;
        self.next_bytes(&mut folder.cursor, out, WHAT)
    }
}
