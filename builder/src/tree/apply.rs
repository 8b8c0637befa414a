//! Putting a layer on top of a tree (image-spec, layer.md, "Applying Changesets").
//!
//! First all whiteouts and opaque markers are applied to what lower layers left, wherever they
//! stand in the layer; then the other entries, in order. So a whiteout never hides an entry of its
//! own layer, and the order of a layer's whiteouts does not matter.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use super::resolve::ResolveError;
use super::{Body, Inode, InodeId, Name, Node, Tree};
use crate::layer::path::{components, split};
use crate::layer::{Entry, EntryKind, Escaped};

/// Why a layer does not fit on the layers below.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A path that leads in circles.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A hard link to something that is not there.
    #[error("hard link {} points to {}, which is neither in this layer nor below it", Escaped(.link), Escaped(.target))]
    LinkTarget {
        /// The new name.
        link: Vec<u8>,
        /// The missing one.
        target: Vec<u8>,
    },
    /// A hard link to a folder.
    #[error("hard link {} points to {}, which is a folder", Escaped(.link), Escaped(.target))]
    LinkToFolder {
        /// The new name.
        link: Vec<u8>,
        /// The folder.
        target: Vec<u8>,
    },
}

/// What one layer holds: its entries and, for each, the body it has in the layer's pack.
#[derive(Clone, Copy, Debug)]
pub struct LayerView<'a> {
    /// In the order of the layer.
    pub entries: &'a [Entry],
    /// Index into the pack's bodies for each entry that is a file; parallel to `entries`.
    pub bodies: &'a [Option<u32>],
    /// The pack in the build's list.
    pub pack: u32,
    /// The entry that the pack holds as an opened tar, if any.
    pub opened: Option<u32>,
    /// Who brings it; see [`Inode::origin`].
    pub origin: u32,
}

/// Puts a layer on top of `tree`.
pub fn apply_layer(tree: &mut Tree, layer: &LayerView<'_>) -> Result<(), ApplyError> {
    let hidden = hide(tree, layer.entries)?;
    for (place, (entry, body)) in layer.entries.iter().zip(layer.bodies).enumerate() {
        let node = match &entry.kind {
            EntryKind::Whiteout | EntryKind::Opaque => continue,
            EntryKind::Directory => {
                make_directory(tree, entry, layer.origin)?;
                continue;
            }
            EntryKind::HardLink { target } => {
                link(tree, entry, target, &hidden, layer.origin)?;
                continue;
            }
            EntryKind::File { size } => Node::File(match body {
                Some(body) => Body::Packed {
                    pack: layer.pack,
                    body: *body,
                    size: *size,
                },
                None if layer.opened.is_some_and(|opened| opened as usize == place) => {
                    Body::Opened {
                        pack: layer.pack,
                        size: *size,
                    }
                }
                None => Body::Inline([].into()),
            }),
            EntryKind::Symlink { target } => Node::Symlink(target.as_slice().into()),
            EntryKind::CharDevice { major, minor } => Node::CharDevice(*major, *minor),
            EntryKind::BlockDevice { major, minor } => Node::BlockDevice(*major, *minor),
            EntryKind::Fifo => Node::Fifo,
        };
        let (folder, name) = split(&entry.path);
        let folder = tree.make_folders(folder, layer.origin)?;
        let inode = Inode {
            meta: entry.meta,
            xattrs: entry.xattrs.clone(),
            origin: layer.origin,
            node,
        };
        let inode = tree.add(inode);
        tree.link(folder, name, inode);
    }
    Ok(())
}

/// A directory over a directory replaces its attributes; over anything else it replaces that.
fn make_directory(tree: &mut Tree, entry: &Entry, origin: u32) -> Result<(), ApplyError> {
    let (folder, name) = split(&entry.path);
    let existing = if name.is_empty() {
        Some(tree.root())
    } else {
        let folder = tree.make_folders(folder, origin)?;
        let existing = tree
            .child(folder, name)
            .filter(|&id| tree.get(id).is_directory());
        if existing.is_none() {
            let inode = tree.add(Inode::directory(entry.meta, origin));
            tree.link(folder, name, inode);
        }
        tree.child(folder, name)
    };
    if let Some(existing) = existing {
        let inode = tree.get_mut(existing);
        inode.meta = entry.meta;
        inode.xattrs.clone_from(&entry.xattrs);
        inode.origin = origin;
    }
    Ok(())
}

/// The link gets the target's inode; its own header's attributes count for nothing.
fn link(
    tree: &mut Tree,
    entry: &Entry,
    target: &[u8],
    hidden: &Hidden<'_>,
    origin: u32,
) -> Result<(), ApplyError> {
    let error_paths = || (entry.path.clone(), target.to_vec());
    // The last component is not followed: a link to a symlink is a second name of the symlink.
    let (target_folder, target_name) = split(target);
    let found = tree
        .lookup_counted(target_folder)?
        .and_then(|folder| match target_name {
            b"" => Some(folder),
            name => tree.child(folder, name),
        })
        .or_else(|| hidden.get(tree, target));
    let Some(inode) = found else {
        let (link, target) = error_paths();
        return Err(ApplyError::LinkTarget { link, target });
    };
    if tree.get(inode).is_directory() {
        let (link, target) = error_paths();
        return Err(ApplyError::LinkToFolder { link, target });
    }
    let (folder, name) = split(&entry.path);
    let folder = tree.make_folders(folder, origin)?;
    tree.link(folder, name, inode);
    Ok(())
}

/// Paths under hashes of their components: of a path all beginnings are looked for in one go, which
/// is much less than to hash each of them where a path has thousands.
type ByPath<'a, T> = HashMap<u64, Vec<(&'a [u8], T)>>;

/// What this layer's whiteouts took away, by path: a rename within a layer may hide the old name
/// and hard-link the new one to it.
#[derive(Default)]
struct Hidden<'a> {
    state: RandomState,
    /// By the paths of whiteouts.
    names: ByPath<'a, InodeId>,
    /// What opaque folders had, by the folders' paths: with a path of its own each of millions of
    /// names could take kilobytes.
    folders: ByPath<'a, BTreeMap<Name, InodeId>>,
}

impl<'a> Hidden<'a> {
    fn insert_name(&mut self, path: &'a [u8], inode: InodeId) {
        let alike = self.names.entry(self.hash(path)).or_default();
        alike.push((path, inode));
    }

    fn insert_folder(&mut self, path: &'a [u8], children: BTreeMap<Name, InodeId>) {
        let alike = self.folders.entry(self.hash(path)).or_default();
        alike.push((path, children));
    }

    fn hash(&self, path: &[u8]) -> u64 {
        let mut hasher = self.state.build_hasher();
        components(path).for_each(|name| name.hash(&mut hasher));
        hasher.finish()
    }

    fn get(&self, tree: &Tree, path: &[u8]) -> Option<InodeId> {
        let mut hasher = self.state.build_hasher();
        let mut length = 0;
        let mut folder = find(&self.folders, hasher.finish(), b"");
        let mut names = components(path);
        while let Some(name) = names.next() {
            let child = folder.and_then(|children| children.get(name));
            name.hash(&mut hasher);
            length += name.len() + usize::from(length > 0);
            let (hash, beginning) = (hasher.finish(), &path[..length]);
            if let Some(&inode) = child.or_else(|| find(&self.names, hash, beginning)) {
                return names.try_fold(inode, |folder, name| tree.child(folder, name));
            }
            folder = find(&self.folders, hash, beginning);
        }
        None
    }
}

/// What is kept for a path: one thing at most, as nothing can be hidden twice. Several have one hash
/// only where different paths happen to share it.
fn find<'m, T>(paths: &'m ByPath<'_, T>, hash: u64, path: &[u8]) -> Option<&'m T> {
    let alike = paths.get(&hash)?;
    let found = alike.iter().find(|(other, _)| *other == path);
    found.map(|(_, hidden)| hidden)
}

/// What a layer itself puts at a path, as far as whiteouts below that path care.
enum Upper<'a> {
    Symlink(&'a [u8]),
    Other,
}

/// Applies every whiteout and opaque marker of a layer to the tree of the layers below.
fn hide<'a>(tree: &mut Tree, entries: &'a [Entry]) -> Result<Hidden<'a>, ApplyError> {
    let mut hidden = Hidden::default();
    let is_marker = |e: &&Entry| matches!(e.kind, EntryKind::Whiteout | EntryKind::Opaque);
    if !entries.iter().any(|e| is_marker(&e)) {
        return Ok(hidden);
    }
    let mut uppers: HashMap<&[u8], Upper<'_>> = HashMap::new();
    for entry in entries.iter().filter(|e| !is_marker(e)) {
        let upper = match &entry.kind {
            EntryKind::Symlink { target } => Upper::Symlink(target),
            _ => Upper::Other,
        };
        uppers.insert(&entry.path, upper);
    }
    // All folders are found before anything is hidden: the order of markers must not matter.
    let mut found = Vec::new();
    for entry in entries.iter().filter(is_marker) {
        if entry.kind == EntryKind::Opaque {
            if let Some(folder) = lower_folder(tree, &entry.path, &uppers)? {
                found.push((entry, folder, None));
            }
        } else {
            let (folder, name) = split(&entry.path);
            if let Some(folder) = lower_folder(tree, folder, &uppers)? {
                found.push((entry, folder, Some(Name::from(name))));
            }
        }
    }
    for (entry, folder, name) in found {
        if let Some(name) = name {
            if let Some(inode) = tree.unlink(folder, &name) {
                hidden.insert_name(&entry.path, inode);
            }
        } else if let Node::Directory(children) = &mut tree.get_mut(folder).node {
            let children = std::mem::take(children);
            // Another marker for the folder has found them before.
            if !children.is_empty() {
                hidden.insert_folder(&entry.path, children);
            }
        }
    }
    Ok(hidden)
}

/// The folder of the lower layers that a marker in `path` speaks of.
///
/// A lower folder is meant even where this layer puts something else in its place (kaniko#2308).
/// A lower symlink is followed, unless this layer puts a folder in its place: then nothing lower
/// is below it, least of all what the symlink pointed to (stereoscope#694).
fn lower_folder(
    tree: &mut Tree,
    path: &[u8],
    uppers: &HashMap<&[u8], Upper<'_>>,
) -> Result<Option<InodeId>, ApplyError> {
    let mut prefix: Vec<u8> = Vec::new();
    let mut here = tree.root();
    let mut names = components(path);
    while let Some(name) = names.next() {
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        prefix.extend_from_slice(name);
        let lower = tree.child(here, name);
        if let Some(folder) = lower.filter(|&id| tree.get(id).is_directory()) {
            here = folder;
            continue;
        }
        let follow = match (
            uppers.get(prefix.as_slice()),
            lower.map(|id| &tree.get(id).node),
        ) {
            (Some(Upper::Symlink(target)), _) => target,
            (None, Some(Node::Symlink(target))) => &**target,
            _ => return Ok(None),
        };
        // From here on the path is another one: the link's target, then what is left.
        let (folder, _) = split(&prefix);
        let mut redirected = match follow.first() {
            Some(b'/') => Vec::new(),
            _ => folder.to_vec(),
        };
        redirected.push(b'/');
        redirected.extend_from_slice(follow);
        // To the lookup below they are components of a path like others.
        let link_steps = components(follow).count() as u64;
        for name in names {
            redirected.push(b'/');
            redirected.extend_from_slice(name);
        }
        tree.budget.follow(path, link_steps)?;
        let found = tree.lookup_counted(&redirected)?;
        return Ok(found.filter(|&id| tree.get(id).is_directory()));
    }
    Ok(Some(here))
}
