//! The tree as an ISO with Rock Ridge, to be the root file system of a machine.

use std::io::{self, Seek, SeekFrom, Write};

use formats::iso::{self, FileSource, IsoError, IsoOptions, IsoTree};

use crate::assemble::Image;
use crate::pack::PackError;
use crate::tree::{Body, Meta, Node, SYNTHETIC_MTIME};

/// Why no ISO was written.
#[derive(Debug, thiserror::Error)]
pub enum TreeIsoError {
    /// An entry does not fit the format.
    #[error("can't write the ISO: {0}")]
    Iso(#[from] IsoError),
    /// The output can't be written.
    #[error("can't write the ISO: {0}")]
    Io(#[from] io::Error),
    /// A body can't be read from the store.
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// Writes the tree to `out`, which must be empty; gives the number of names that lost extended
/// attributes.
///
/// # Errors
/// If an entry does not fit, a body can't be read, or `out` can't be written.
pub fn write_tree_iso<W: Write + Seek>(
    out: &mut W,
    image: &Image,
    label: &str,
) -> Result<u64, TreeIsoError> {
    let (tree, bodies, lost) = tree(image)?;
    let options = IsoOptions {
        label: label.to_owned(),
        id: id(image),
        time: SYNTHETIC_MTIME,
        least_bytes: 0,
    };
    let plan = iso::plan(&tree, &options)?;
    out.seek(SeekFrom::Start(plan.metadata_start_bytes))?;
    out.write_all(&plan.metadata)?;
    for ((start_bytes, _), body) in plan.files.iter().zip(bodies) {
        out.seek(SeekFrom::Start(*start_bytes))?;
        io::copy(&mut image.open(body)?, out)?;
    }
    // The last sector is whole.
    let end = out.stream_position()?;
    let rest = usize::try_from(plan.len_bytes.saturating_sub(end)).map_err(io::Error::other)?;
    out.write_all(&vec![0; rest])?;
    Ok(lost)
}

/// The tree with the bodies of its files in the order of their places.
fn tree(image: &Image) -> Result<(IsoTree, Vec<&Body>, u64), IsoError> {
    let mut lost = 0;
    let mut bodies = Vec::new();
    let mut tree: Option<IsoTree> = None;
    for visit in image.tree.walk() {
        lost += u64::from(!visit.inode.xattrs.is_empty());
        let attributes = attributes(visit.inode.meta);
        let path = visit.path.as_slice();
        // The root comes first.
        let Some(tree) = &mut tree else {
            tree = Some(IsoTree::new(attributes));
            continue;
        };
        if let Some(first) = &visit.first {
            tree.hard_link(path, first)?;
            continue;
        }
        match &visit.inode.node {
            Node::Directory(_) => tree.folder(path, attributes)?,
            Node::File(body) => {
                let len_bytes = body.size();
                tree.file(path, attributes, FileSource::New { len_bytes })?;
                bodies.push(body);
            }
            Node::Symlink(target) => tree.symlink(path, attributes, target)?,
            &Node::CharDevice(major, minor) => {
                tree.char_device(path, attributes, (major, minor))?
            }
            &Node::BlockDevice(major, minor) => {
                tree.block_device(path, attributes, (major, minor))?;
            }
            Node::Fifo => tree.fifo(path, attributes)?,
        }
    }
    let empty = || {
        IsoTree::new(iso::Attributes {
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: SYNTHETIC_MTIME,
        })
    };
    Ok((tree.unwrap_or_else(empty), bodies, lost))
}

fn attributes(meta: Meta) -> iso::Attributes {
    iso::Attributes {
        mode: meta.mode,
        uid: meta.uid,
        gid: meta.gid,
        mtime: meta.mtime,
    }
}

/// What the volume set is called: a number of names, lengths and links.
fn id(image: &Image) -> [u8; 16] {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for visit in image.tree.walk() {
        hasher.update(&visit.path);
        let bytes = match &visit.inode.node {
            Node::File(body) => body.size(),
            _ => 0,
        };
        hasher.update(&[&[0], &bytes.to_le_bytes()[..]].concat());
    }
    hasher.digest128().to_be_bytes()
}
