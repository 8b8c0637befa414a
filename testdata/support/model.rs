//! The merge rules once more (image-spec, layer.md, "Applying Changesets"), slow and obvious: a map
//! from path to inode, every path walked from the root, nothing shared with the engine that it is
//! compared with.

use std::collections::{BTreeMap, BTreeSet};

use crate::snapshot::{Facts, Snapshot, device_content, file_content};
use crate::{Entry, Kind, Layer};

/// As many symlinks as one path may lead through.
const MAX_LINKS: usize = 255;

/// A path as the names on it; empty for the root.
type Path = Vec<Vec<u8>>;

/// A file system: names, and the inodes they stand for.
#[derive(Clone, Debug, Default)]
pub struct Model {
    names: BTreeMap<Path, usize>,
    inodes: Vec<Inode>,
    /// What these layers ask for that tools which unpack in the order of the tar refuse or do
    /// otherwise.
    pub oddities: BTreeSet<Oddity>,
}

/// What the rules give a meaning to, but tools that unpack in the order of the tar do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oddity {
    /// An entry below a file, which gives way to a folder.
    BelowFile,
    /// An entry below what its own layer hides and does not make again.
    BelowHidden,
    /// A hard link to what its own layer hides.
    LinkToHidden,
    /// A hard link in place of its own target, or of a folder that holds it.
    LinkOverTarget,
    /// A marker below a symlink that its own layer makes or replaces.
    MarkerBelowSwappedSymlink,
}

#[derive(Clone, Debug)]
struct Inode {
    kind: Kind,
    mode: u32,
    uid: u64,
    gid: u64,
    mtime: Option<i64>,
}

/// Merges layers, lowest first. An error says what makes the layers no image.
pub fn merge(layers: &[Layer]) -> Result<Model, String> {
    let mut model = Model::default();
    for layer in layers {
        model.apply(layer)?;
    }
    Ok(model)
}

/// What a layer's markers took away.
#[derive(Default)]
struct Hidden {
    /// Where it was.
    paths: BTreeSet<Path>,
    /// The inodes by the names that the markers have for them, which symlinks may make others.
    named: BTreeMap<Path, usize>,
}

/// What an entry's name asks for.
enum Asked {
    /// To be there.
    Entry(Path),
    /// That something below is not.
    Whiteout(Path),
    /// That nothing below this folder is.
    Opaque(Path),
    /// Nothing (what aufs left behind).
    Nothing,
}

/// The names of a path, `.` and empty ones dropped, `..` taking one away but never the root.
fn clean(path: &[u8]) -> Path {
    let mut names = Path::new();
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                names.pop();
            }
            _ => names.push(name.to_vec()),
        }
    }
    names
}

fn asked(path: &[u8]) -> Result<Asked, String> {
    let mut names = clean(path);
    let Some(last) = names.pop() else {
        return Ok(Asked::Entry(names));
    };
    if names.iter().any(|name| name.starts_with(b".wh.")) {
        return Ok(Asked::Nothing);
    }
    Ok(match last.strip_prefix(b".wh.") {
        None => {
            names.push(last);
            Asked::Entry(names)
        }
        Some(b".wh..opq") => Asked::Opaque(names),
        Some(hidden) if hidden.starts_with(b".wh.") => Asked::Nothing,
        Some(b"" | b"." | b"..") => return Err(format!("{}: no name", path.escape_ascii())),
        Some(hidden) => {
            names.push(hidden.to_vec());
            Asked::Whiteout(names)
        }
    })
}

impl Model {
    fn apply(&mut self, layer: &Layer) -> Result<(), String> {
        let mut entries = Vec::new();
        let mut markers = Vec::new();
        for entry in &layer.entries {
            match asked(&entry.path)? {
                Asked::Entry(path) => entries.push((path, entry)),
                Asked::Whiteout(path) => markers.push((path, false)),
                Asked::Opaque(path) => markers.push((path, true)),
                Asked::Nothing => {}
            }
        }
        let lower = self.clone();
        let mut hidden = Hidden::default();
        for (path, opaque) in markers {
            let (folder, name) = match opaque {
                true => (path, None),
                false => (path[..path.len() - 1].to_vec(), path.last().cloned()),
            };
            let is_symlink = |kind: Option<&Kind>| matches!(kind, Some(Kind::Symlink(_)));
            // Symlinks of the lower layers lead to it as well.
            let ways: BTreeSet<Path> = (1..=folder.len())
                .flat_map(|length| [folder[..length].to_vec(), lower.place(&folder[..length])])
                .collect();
            let swapped_symlink = entries.iter().any(|(path, entry)| {
                (ways.contains(path) || ways.contains(&lower.place(path)))
                    && (is_symlink(Some(&entry.kind)) || is_symlink(lower.kind(path)))
            });
            if swapped_symlink {
                self.oddities.insert(Oddity::MarkerBelowSwappedSymlink);
            }
            let Some(mut at) = lower.marked_folder(&folder, &entries)? else {
                continue;
            };
            let mut named = folder;
            at.extend(name.clone());
            named.extend(name);
            for (path, &inode) in &lower.names {
                if path.starts_with(&at) && (*path != at || !opaque) {
                    self.names.remove(path);
                    hidden.paths.insert(path.clone());
                    let name = [&named, &path[at.len()..]].concat();
                    hidden.named.insert(name, inode);
                }
            }
        }
        for (path, entry) in entries {
            self.put(&path, entry, &hidden)?;
        }
        Ok(())
    }

    /// The lower layers' folder that a marker in `folder` speaks of. Lower symlinks on the way are
    /// followed, except where the marker's own layer puts something else in their place; a symlink
    /// that it puts where nothing was is followed too.
    fn marked_folder(
        &self,
        folder: &[Vec<u8>],
        own: &[(Path, &Entry)],
    ) -> Result<Option<Path>, String> {
        for length in 1..=folder.len() {
            let (prefix, rest) = folder.split_at(length);
            if self.is_dir(prefix) {
                continue;
            }
            let own = own.iter().rev().find(|(path, _)| path == prefix);
            let kind = match own {
                Some((_, entry)) => Some(&entry.kind),
                None => self.kind(prefix),
            };
            let Some(Kind::Symlink(target)) = kind else {
                return Ok(None);
            };
            let mut path = match target.first() {
                Some(b'/') => Path::new(),
                _ => prefix[..length - 1].to_vec(),
            };
            path.extend(target.split(|&byte| byte == b'/').map(<[u8]>::to_vec));
            path.extend_from_slice(rest);
            let found = self.resolve(&path)?;
            return Ok(self.is_dir(&found).then_some(found));
        }
        Ok(Some(folder.to_vec()))
    }

    fn put(&mut self, path: &[Vec<u8>], entry: &Entry, hidden: &Hidden) -> Result<(), String> {
        let Some((name, folder)) = path.split_last() else {
            // The root itself: only its attributes could change, and it is not listed.
            return match entry.kind {
                Kind::Dir => Ok(()),
                _ => Err("the root is a folder".into()),
            };
        };
        let inode = match &entry.kind {
            Kind::Hardlink(target) => Some(self.link_target(target, hidden)?),
            _ => None,
        };
        let mut at = self.make_folders(folder)?;
        for length in 1..=at.len() {
            let folder = &at[..length];
            let is_described = |&inode: &usize| self.inodes[inode].mtime.is_some();
            if hidden.paths.contains(folder) && !self.names.get(folder).is_some_and(is_described) {
                self.oddities.insert(Oddity::BelowHidden);
            }
        }
        at.push(name.clone());
        let inode = match inode {
            Some(inode) => {
                let replaced = self.names.iter().filter(|(path, _)| path.starts_with(&at));
                if replaced.into_iter().any(|(_, &old)| old == inode) {
                    self.oddities.insert(Oddity::LinkOverTarget);
                }
                inode
            }
            None => {
                self.inodes.push(Inode {
                    kind: entry.kind.clone(),
                    mode: entry.mode & 0o7777,
                    uid: entry.uid,
                    gid: entry.gid,
                    mtime: Some(entry.mtime),
                });
                self.inodes.len() - 1
            }
        };
        if !(self.is_dir(&at) && entry.kind == Kind::Dir) {
            self.names.retain(|path, _| !path.starts_with(&at));
        }
        self.names.insert(at, inode);
        Ok(())
    }

    /// The inode that a hard link means: the target's last name is not followed. What the link's
    /// own layer hides still counts, since renames may come as a whiteout and a link.
    fn link_target(&mut self, target: &[u8], hidden: &Hidden) -> Result<usize, String> {
        let shown = target.escape_ascii().to_string();
        let mut path = clean(target);
        let Some(name) = path.pop() else {
            return Err(format!("{shown}: a link to the root"));
        };
        let mut at = self.resolve(&path)?;
        at.push(name.clone());
        let mut found = self.names.get(&at).copied();
        if found.is_none() {
            path.push(name);
            found = hidden.named.get(&path).copied();
            if found.is_some() {
                self.oddities.insert(Oddity::LinkToHidden);
            }
        }
        match found {
            None => Err(format!("{shown}: a link to nothing")),
            Some(inode) if self.inodes[inode].kind == Kind::Dir => {
                Err(format!("{shown}: a link to a folder"))
            }
            Some(inode) => Ok(inode),
        }
    }

    /// Follows `path` as `chroot` would; names that are not there stay as they are.
    fn resolve(&self, path: &[Vec<u8>]) -> Result<Path, String> {
        let mut here = Path::new();
        let mut rest: Path = path.iter().rev().cloned().collect();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            match name.as_slice() {
                b"" | b"." => {}
                b".." => {
                    here.pop();
                }
                _ => {
                    here.push(name);
                    if let Some(Kind::Symlink(target)) = self.kind(&here) {
                        links += 1;
                        if links > MAX_LINKS {
                            return Err("symlinks in a circle".into());
                        }
                        here.pop();
                        if target.starts_with(b"/") {
                            here.clear();
                        }
                        rest.extend(target.rsplit(|&byte| byte == b'/').map(<[u8]>::to_vec));
                    }
                }
            }
        }
        Ok(here)
    }

    /// Where `path` stands: its last name is not followed.
    fn place(&self, path: &[Vec<u8>]) -> Path {
        let Some((name, folder)) = path.split_last() else {
            return Path::new();
        };
        let mut place = self.resolve(folder).unwrap_or_else(|_| folder.to_vec());
        place.push(name.clone());
        place
    }

    /// Follows `path` and makes what is missing of it folders, and what is something else.
    fn make_folders(&mut self, path: &[Vec<u8>]) -> Result<Path, String> {
        let path = self.resolve(path)?;
        for length in 1..=path.len() {
            let folder = &path[..length];
            if !self.is_dir(folder) {
                if self.names.contains_key(folder) {
                    self.oddities.insert(Oddity::BelowFile);
                }
                self.inodes.push(Inode {
                    kind: Kind::Dir,
                    mode: 0o755,
                    uid: 0,
                    gid: 0,
                    mtime: None,
                });
                self.names.insert(folder.to_vec(), self.inodes.len() - 1);
            }
        }
        Ok(path)
    }

    fn kind(&self, path: &[Vec<u8>]) -> Option<&Kind> {
        Some(&self.inodes[*self.names.get(path)?].kind)
    }

    fn is_dir(&self, path: &[Vec<u8>]) -> bool {
        path.is_empty() || self.kind(path) == Some(&Kind::Dir)
    }

    /// The tree as a flat list.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let mut groups: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
        for (path, &index) in &self.names {
            let path = path.join(&b'/');
            let inode = &self.inodes[index];
            snapshot.0.insert(path.clone(), inode.facts());
            groups.entry(index).or_default().push(path);
        }
        for mut names in groups.into_values() {
            names.sort();
            snapshot.set_link_group(&names);
        }
        snapshot
    }
}

impl Inode {
    fn facts(&self) -> Facts {
        let (kind, content) = match &self.kind {
            Kind::File(bytes) => ("file", file_content(bytes)),
            Kind::Dir => ("dir", String::new()),
            Kind::Symlink(target) => ("symlink", target.escape_ascii().to_string()),
            Kind::Char(major, minor) => {
                ("char", device_content(u64::from(*major), u64::from(*minor)))
            }
            Kind::Block(major, minor) => (
                "block",
                device_content(u64::from(*major), u64::from(*minor)),
            ),
            Kind::Fifo => ("fifo", String::new()),
            Kind::Sparse { size, chunks, .. } => {
                let mut bytes = vec![0; usize::try_from(*size).unwrap()];
                for (at, chunk) in chunks {
                    let at = usize::try_from(*at).unwrap();
                    bytes[at..at + chunk.len()].copy_from_slice(chunk);
                }
                ("file", file_content(&bytes))
            }
            Kind::Raw(_, bytes) => ("file", file_content(bytes)),
            Kind::Hardlink(_) => unreachable!("hard links have no inode of their own"),
        };
        Facts {
            kind,
            mode: match kind {
                "symlink" => 0o777,
                _ => self.mode,
            },
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime,
            content,
            link_group: Vec::new(),
        }
    }
}
