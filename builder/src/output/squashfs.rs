//! The tree as a squashfs, to be the root file system of a machine.

use std::collections::HashMap;
use std::io::{self, Seek, Write};

use formats::squashfs::{Attributes, FileRef, Kind, SquashfsError, SquashfsWriter};

use crate::assemble::Image;
use crate::pack::PackError;
use crate::tree::{InodeId, Node, SYNTHETIC_MTIME, Visit};

/// Why no squashfs was written.
#[derive(Debug, thiserror::Error)]
pub enum TreeSquashfsError {
    /// An entry does not fit the format, or the output can't be written.
    #[error("can't write the squashfs: {0}")]
    Squashfs(#[from] SquashfsError),
    /// A body can't be read from the store.
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// Writes the tree to `out`, which must be empty; gives the number of names that lost extended
/// attributes.
///
/// # Errors
/// If an entry does not fit, a body can't be read, or `out` can't be written.
pub fn write_squashfs<W: Write + Seek>(out: W, image: &Image) -> Result<u64, TreeSquashfsError> {
    let mut visits = image.tree.walk();
    let Some(root) = visits.next() else {
        return Err(SquashfsError::from(io::Error::other("a tree without a root")).into());
    };
    let made = u32::try_from(SYNTHETIC_MTIME).unwrap_or(0);
    let root_xattrs = xattrs(&root);
    let mut writer = SquashfsWriter::new(out, made, &attributes(&root, &root_xattrs))?;
    let mut linked: HashMap<InodeId, FileRef> = HashMap::new();
    // Paths of the folders that are open below the root.
    let mut open: Vec<Vec<u8>> = Vec::new();
    for visit in visits {
        let (parent, name) = match visit.path.iter().rposition(|&byte| byte == b'/') {
            Some(at) => (&visit.path[..at], &visit.path[at + 1..]),
            None => (&[][..], &visit.path[..]),
        };
        while open.last().is_some_and(|folder| folder != parent) {
            writer.end_folder()?;
            open.pop();
        }
        if let Some(&file) = linked.get(&visit.id) {
            writer.link(name, file)?;
            continue;
        }
        let own_xattrs = xattrs(&visit);
        let attributes = attributes(&visit, &own_xattrs);
        let written = match &visit.inode.node {
            Node::Directory(_) => {
                writer.begin_folder(name, &attributes)?;
                open.push(visit.path);
                continue;
            }
            Node::File(body) => {
                let bytes = image.open(body)?;
                writer.file(name, &attributes, body.size(), bytes)?
            }
            Node::Symlink(target) => writer.entry(name, &attributes, Kind::Symlink { target })?,
            &Node::CharDevice(major, minor) => {
                writer.entry(name, &attributes, Kind::CharDevice { major, minor })?
            }
            &Node::BlockDevice(major, minor) => {
                writer.entry(name, &attributes, Kind::BlockDevice { major, minor })?
            }
            Node::Fifo => writer.entry(name, &attributes, Kind::Fifo)?,
        };
        if visit.links > 1 {
            linked.insert(visit.id, written);
        }
    }
    for _ in open {
        writer.end_folder()?;
    }
    let (_, lost) = writer.finish()?;
    Ok(lost)
}

fn xattrs<'a>(visit: &Visit<'a>) -> Vec<(&'a [u8], &'a [u8])> {
    let xattrs = visit.inode.xattrs.iter();
    xattrs.map(|x| (&*x.name, &*x.value)).collect()
}

fn attributes<'a>(visit: &Visit<'_>, xattrs: &'a [(&'a [u8], &'a [u8])]) -> Attributes<'a> {
    let meta = visit.inode.meta;
    Attributes {
        mode: meta.mode,
        uid: meta.uid,
        gid: meta.gid,
        mtime: meta.mtime,
        xattrs,
        links: visit.links,
    }
}
