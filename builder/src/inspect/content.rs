//! What is in an initrd, tar or squashfs: by container, and file by file where it is asked for.

use std::collections::BTreeMap;

use super::metadata::Metadata;
use super::{Inspector, Section};

/// Rows and groups that are kept, at most: real systems have fewer.
pub(super) const KEPT_MAX: usize = 1_000_000;
/// Bytes of paths in them, at most.
const KEPT_PATH_BYTES_MAX: usize = 128 << 20;

const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFBLK: u32 = 0o060_000;
const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;

/// A name as all of these formats have it.
pub(super) struct Name<'a> {
    /// Type and permissions, as `st_mode`.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Length of the body that comes with this name.
    pub(super) bytes: u64,
    /// Major and minor number of a device.
    pub(super) device: (u32, u32),
    pub(super) path: &'a [u8],
}

impl Name<'_> {
    pub(super) fn is_file(&self) -> bool {
        self.mode & S_IFMT == S_IFREG
    }

    /// What gives rights, or is more than a file.
    fn rights(&self) -> Vec<String> {
        let mut what = Vec::new();
        if self.is_file() && self.mode & SETUID != 0 {
            what.push(format!("setuid {}", self.uid));
        }
        if self.is_file() && self.mode & SETGID != 0 {
            what.push("setgid".to_owned());
        }
        let (major, minor) = self.device;
        match self.mode & S_IFMT {
            S_IFCHR => what.push(format!("character device {major}:{minor}")),
            S_IFBLK => what.push(format!("block device {major}:{minor}")),
            _ => {}
        }
        what
    }
}

/// What a name is, in a tar or squashfs.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    File,
    Folder,
    /// A symlink, or in a tar another name of a file.
    Link,
    Device,
    Other,
}

/// How many names there are of each kind, and how many bytes in files.
#[derive(Default)]
pub(super) struct Tally {
    kinds: [u64; 5],
    file_bytes: u64,
}

impl Tally {
    /// Adds a name, with the length of its body.
    pub(super) fn add(&mut self, kind: Kind, bytes: u64) {
        self.kinds[kind as usize] += 1;
        if matches!(kind, Kind::File) {
            self.file_bytes = self.file_bytes.saturating_add(bytes);
        }
    }

    pub(super) fn describe(&self, section: Section) -> Section {
        let [files, folders, links, devices, others] = self.kinds;
        section
            .number("file_count", files)
            .number("folder_count", folders)
            .number("link_count", links)
            .number("device_count", devices)
            .number("other_count", others)
            .bytes("unpacked_bytes", self.file_bytes)
    }
}

#[derive(Default)]
struct Group {
    files: u64,
    bytes: u64,
}

/// Names as they come.
#[derive(Default)]
pub(super) struct Names {
    groups: BTreeMap<Vec<u8>, Group>,
    files: Vec<Section>,
    security: Vec<Section>,
    /// Bytes of paths in all of these.
    path_bytes: usize,
    /// There was too much to keep all.
    is_cut: bool,
    /// What the system says of itself, where nothing better tells its images.
    pub(super) metadata: Option<Metadata>,
}

/// The container of LinuxKit's that a path is in, as in `containers/services/010-ssh`; or else
/// `root`.
fn group_of(path: &[u8]) -> Vec<u8> {
    let mut parts = path.splitn(4, |&byte| byte == b'/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(b"containers"), Some(section), Some(name)) => [section, name].join(&b'/'),
        _ => b"root".to_vec(),
    }
}

impl Names {
    /// Adds a name, with its `security.capability` if it has one.
    pub(super) fn add(
        &mut self,
        name: &Name<'_>,
        capability: Option<&[u8]>,
        inspector: &Inspector,
    ) {
        let group = group_of(name.path);
        if self.groups.contains_key(&group) || self.keeps(self.groups.len(), &group) {
            let group = self.groups.entry(group).or_default();
            group.files += u64::from(name.is_file());
            group.bytes = group.bytes.saturating_add(name.bytes);
        }
        if inspector.options.files && self.keeps(self.files.len(), name.path) {
            let row = Section::default()
                .text("mode", format!("{:06o}", name.mode))
                .number("uid", u64::from(name.uid))
                .number("gid", u64::from(name.gid))
                .number("bytes", name.bytes)
                .text("path", name.path);
            self.files.push(row);
        }
        if inspector.options.security {
            let mut what = name.rights();
            if let Some(value) = capability {
                let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
                what.push(format!("capabilities {hex}"));
            }
            if !what.is_empty() && self.keeps(self.security.len(), name.path) {
                let row = Section::default()
                    .text("what", what.join(", "))
                    .text("path", name.path);
                self.security.push(row);
            }
        }
    }

    /// Whether there is room for one more of so many, with this path.
    fn keeps(&mut self, count: usize, path: &[u8]) -> bool {
        let bytes = self.path_bytes.saturating_add(path.len());
        if count >= KEPT_MAX || bytes > KEPT_PATH_BYTES_MAX {
            self.is_cut = true;
            return false;
        }
        self.path_bytes = bytes;
        true
    }

    /// Adds what was found to a section: always by container, the rest if it is asked for.
    pub(super) fn describe(mut self, section: Section, inspector: &Inspector) -> Section {
        let mut section = self.by_container(section);
        if inspector.options.files {
            section = section.table("files", std::mem::take(&mut self.files));
        }
        self.rights(section, inspector)
    }

    /// Adds what gives rights, if it is asked for.
    pub(super) fn rights(self, section: Section, inspector: &Inspector) -> Section {
        match inspector.options.security {
            true => section.table("security", self.security),
            false => section,
        }
    }

    /// Adds files and bytes by container.
    pub(super) fn by_container(&self, section: Section) -> Section {
        let metadata = self.metadata.as_ref();
        let groups = self.groups.iter().map(|(name, group)| {
            let row = Section::default()
                .text("container", name)
                .number("files", group.files)
                .bytes("unpacked_bytes", group.bytes);
            match metadata {
                Some(metadata) => metadata.name(row, name),
                None => row,
            }
        });
        let section = match metadata {
            Some(metadata) => metadata.describe(section),
            None => section,
        };
        // Nobody is to take a list for whole that is not.
        let section = match self.is_cut {
            true => section.flag("lists_are_cut", true),
            false => section,
        };
        section.table("content", groups.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{Options, Value};

    /// A list of rights that leaves some out must say so; three megabytes of gzip were gigabytes here.
    #[test]
    fn lists_are_bounded_in_bytes_and_say_that_they_are_cut() {
        let inspector = Inspector {
            options: Options {
                files: true,
                security: true,
            },
            path: None,
            problems: Vec::new(),
            unread: false,
        };
        let list = |count: u32, length: usize| {
            let mut names = Names::default();
            for n in 0..count {
                let path = format!("containers/services/{n:0length$}/f").into_bytes();
                let name = Name {
                    mode: S_IFREG | SETUID | 0o755,
                    uid: 0,
                    gid: 0,
                    bytes: 1,
                    device: (0, 0),
                    path: &path,
                };
                names.add(&name, None, &inspector);
            }
            assert!(names.path_bytes <= KEPT_PATH_BYTES_MAX);
            names.describe(Section::default(), &inspector)
        };
        let whole = list(100, 10);
        assert_eq!(whole.get("lists_are_cut"), None);
        assert!(matches!(whole.get("security"), Some(Value::Table(rows)) if rows.len() == 100));
        let cut = list(2000, 50_000);
        assert_eq!(cut.get("lists_are_cut"), Some(&Value::Flag(true)));
    }
}
