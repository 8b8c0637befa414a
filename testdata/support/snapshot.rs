//! A file system as a flat list, so that two can be compared line by line.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use crate::sha256_hex;

/// What there is to know of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `dir`, `file`, `symlink`, `char`, `block` or `fifo`.
    pub kind: &'static str,
    /// Permission bits, with setuid, setgid and sticky; 0777 for symlinks, which have none.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Seconds since 1970; `None` where nothing says when (a folder that only exists because
    /// something lies in it).
    pub mtime: Option<i64>,
    /// Length and SHA-256 of a file, target of a symlink, numbers of a device; else empty.
    pub content: String,
    /// The first of the inode's paths in byte order where it has several; else empty.
    pub link_group: Vec<u8>,
}

/// Paths (without leading slash; the root is not listed) and their facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(pub BTreeMap<Vec<u8>, Facts>);

/// [`Facts::content`] of a regular file.
pub fn file_content(bytes: &[u8]) -> String {
    format!("{} bytes, sha256 {}", bytes.len(), sha256_hex(bytes))
}

/// [`Facts::content`] of a device.
pub fn device_content(major: u64, minor: u64) -> String {
    format!("{major}:{minor}")
}

impl Snapshot {
    /// Reads a folder of this machine. What its owner may not read or change is opened up, so that
    /// it can be read and deleted without privileges; the snapshot has the modes from before.
    pub fn of_dir(root: &Path) -> Self {
        let mut snapshot = Snapshot::default();
        let mut inodes: BTreeMap<(u64, u64), Vec<Vec<u8>>> = BTreeMap::new();
        let mut found = Vec::new();
        let mut folders = vec![root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let meta = path.symlink_metadata().unwrap();
                if meta.is_dir() {
                    open_up(&path, &meta, 0o700);
                    folders.push(path.clone());
                }
                found.push((path, meta));
            }
        }
        // Files only now: another name of one shows the mode that it has by then.
        for (path, meta) in found {
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes();
            if !meta.is_dir() && meta.nlink() > 1 {
                let names = inodes.entry((meta.dev(), meta.ino())).or_default();
                names.push(name.to_vec());
            }
            if meta.is_file() {
                open_up(&path, &meta, 0o400);
            }
            snapshot.0.insert(name.to_vec(), facts(&path, &meta));
        }
        for mut names in inodes.into_values() {
            names.sort();
            snapshot.set_link_group(&names);
        }
        snapshot
    }

    /// Marks `names`, sorted, as names of one inode; a single name is no group.
    pub fn set_link_group(&mut self, names: &[Vec<u8>]) {
        if let [first, _, ..] = names {
            for name in names {
                self.0.get_mut(name).unwrap().link_group.clone_from(first);
            }
        }
    }

    /// One line for each path on which the two disagree; empty when they agree.
    pub fn differences(&self, other: &Snapshot) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, facts) in &self.0 {
            match other.0.get(path) {
                None => lines.push(format!("- {} {facts}", path.escape_ascii())),
                Some(theirs) if !facts.agree(theirs) => lines.push(format!(
                    "! {} {facts}\n    but {theirs}",
                    path.escape_ascii()
                )),
                Some(_) => {}
            }
        }
        for (path, facts) in &other.0 {
            if !self.0.contains_key(path) {
                lines.push(format!("+ {} {facts}", path.escape_ascii()));
            }
        }
        lines
    }
}

impl Facts {
    /// Whether the two are the same as far as both are known.
    fn agree(&self, other: &Facts) -> bool {
        let mut other = other.clone();
        if self.mtime.is_none() || other.mtime.is_none() {
            other.mtime = self.mtime;
        }
        *self == other
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts {
            kind,
            mode,
            uid,
            gid,
            mtime,
            content,
            link_group,
        } = self;
        write!(f, "{kind} {mode:04o} {uid}/{gid} {mtime:?} {content}")?;
        if !link_group.is_empty() {
            write!(f, " (one inode with {})", link_group.escape_ascii())?;
        }
        Ok(())
    }
}

/// Gives the owner the permissions `needed`.
fn open_up(path: &Path, meta: &std::fs::Metadata, needed: u32) {
    let mode = meta.mode() & 0o7777;
    if mode & needed != needed {
        let opened = std::fs::Permissions::from_mode(mode | needed);
        std::fs::set_permissions(path, opened).unwrap();
    }
}

fn facts(path: &Path, meta: &std::fs::Metadata) -> Facts {
    let kind = meta.file_type();
    let (kind, content) = if kind.is_dir() {
        ("dir", String::new())
    } else if kind.is_symlink() {
        let target = path.read_link().unwrap().into_os_string().into_vec();
        ("symlink", target.escape_ascii().to_string())
    } else if kind.is_fifo() {
        ("fifo", String::new())
    } else if kind.is_char_device() || kind.is_block_device() {
        // Linux's encoding of dev_t (glibc, gnu_dev_major and gnu_dev_minor).
        let rdev = meta.rdev();
        let major = (rdev >> 8 & 0xfff) | (rdev >> 32 & !0xfff);
        let minor = (rdev & 0xff) | (rdev >> 12 & !0xff);
        let name = match kind.is_char_device() {
            true => "char",
            false => "block",
        };
        (name, device_content(major, minor))
    } else {
        ("file", file_content(&std::fs::read(path).unwrap()))
    };
    Facts {
        kind,
        mode: meta.mode() & 0o7777,
        uid: meta.uid().into(),
        gid: meta.gid().into(),
        mtime: Some(meta.mtime()),
        content,
        link_group: Vec::new(),
    }
}
