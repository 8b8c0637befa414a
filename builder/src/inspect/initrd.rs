//! Initrds: what they are packed in, and what is in them by container.

use std::collections::{BTreeMap, HashMap};
use std::io::BufReader;

use formats::cpio::{Limits, ReadEntry, Reader};
use formats::payload::PayloadReader;

use super::{Bytes, FEW_FILES, Inspector, Section};
use crate::output::initrd::{ram_bytes, tmpfs_bytes};

/// Names and groups that are kept, at most: real initrds have fewer.
const KEPT_MAX: usize = 1_000_000;

const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFBLK: u32 = 0o060_000;
const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;

/// Where Linux looks for microcode (Documentation/arch/x86/microcode.rst).
const MICROCODE: &[u8] = b"kernel/x86/microcode/";

#[derive(Default)]
struct Group {
    files: u64,
    bytes: u64,
}

/// A row of archives that are packed in the same way.
struct Packed {
    container: String,
    parts: u64,
    last_part: u64,
    entries: u64,
    bytes: u64,
}

#[derive(Default)]
struct Content {
    packed: Vec<Packed>,
    groups: BTreeMap<Vec<u8>, Group>,
    microcode: Vec<Vec<u8>>,
    files: Vec<Section>,
    security: Vec<Section>,
    /// Lengths of files that have several names, by archive and inode number.
    linked: HashMap<(u64, u32), u64>,
    tree_bytes: u64,
    entries: u64,
}

impl Inspector {
    pub(super) fn initrd(&mut self, bytes: &Bytes) -> Section {
        let mut content = Content::default();
        let input = BufReader::with_capacity(1 << 18, PayloadReader::new(bytes));
        let mut reader = Reader::new(input, Limits::default());
        loop {
            match reader.next_entry() {
                Ok(Some(entry)) => content.add(&entry, self),
                Ok(None) => break,
                Err(error) => {
                    self.problem(format!("initrd: {error}"));
                    break;
                }
            }
        }
        content.describe(bytes.len_bytes(), self)
    }
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

impl Content {
    fn add(&mut self, entry: &ReadEntry, inspector: &Inspector) {
        let container = entry.container.to_string();
        let bytes = u64::from(entry.body_bytes);
        let is_full = self.packed.len() >= KEPT_MAX;
        match self.packed.last_mut() {
            Some(last) if last.container == container => {
                last.parts += u64::from(last.last_part != entry.part);
                last.last_part = entry.part;
                last.entries += u64::from(!entry.trailer);
                last.bytes += bytes;
            }
            _ if is_full => {}
            _ => self.packed.push(Packed {
                container,
                parts: 1,
                last_part: entry.part,
                entries: u64::from(!entry.trailer),
                bytes,
            }),
        }
        if entry.trailer {
            return;
        }
        self.entries += 1;
        if entry.name.starts_with(MICROCODE) && self.microcode.len() < FEW_FILES {
            self.microcode.push(entry.name.clone());
        }
        let is_file = entry.mode & S_IFMT == S_IFREG;
        let group = group_of(&entry.name);
        if self.groups.len() < KEPT_MAX || self.groups.contains_key(&group) {
            let group = self.groups.entry(group).or_default();
            group.files += u64::from(is_file);
            group.bytes += bytes;
        }
        self.tree_bytes += tmpfs_bytes(self.body_bytes(entry, is_file));
        if inspector.options.files && self.files.len() < KEPT_MAX {
            let row = Section::default()
                .text("mode", format!("{:06o}", entry.mode))
                .number("uid", u64::from(entry.uid))
                .number("gid", u64::from(entry.gid))
                .number("bytes", bytes)
                .text("path", &entry.name);
            self.files.push(row);
        }
        if inspector.options.security && self.security.len() < KEPT_MAX {
            let device = format!("device {}:{}", entry.rdev.0, entry.rdev.1);
            self.security
                .extend(security_row(entry.mode, &entry.name, &device, entry.uid));
        }
    }

    /// Length of the body that a name stands for, which only one of a file's names has.
    fn body_bytes(&mut self, entry: &ReadEntry, is_file: bool) -> u64 {
        let own = u64::from(entry.body_bytes);
        if !is_file || entry.nlink < 2 {
            return if is_file { own } else { 0 };
        }
        let key = (entry.part, entry.inode);
        if own > 0 && self.linked.len() < KEPT_MAX {
            self.linked.insert(key, own);
        }
        self.linked.get(&key).copied().unwrap_or(own)
    }

    fn describe(self, initrd_bytes: u64, inspector: &Inspector) -> Section {
        let packed = self.packed.iter().map(|packed| {
            Section::default()
                .text("compression", &packed.container)
                .number("archives", packed.parts)
                .number("entries", packed.entries)
                .bytes("unpacked_bytes", packed.bytes)
        });
        let groups = self.groups.iter().map(|(name, group)| {
            Section::default()
                .text("container", name)
                .number("files", group.files)
                .bytes("unpacked_bytes", group.bytes)
        });
        let mut section = Section::of_kind("initrd")
            .bytes("initrd_bytes", initrd_bytes)
            .number("entry_count", self.entries)
            .bytes("ram_bytes", ram_bytes(self.tree_bytes, initrd_bytes))
            .table("archives", packed.collect())
            .list("microcode", &self.microcode)
            .table("content", groups.collect());
        if inspector.options.files {
            section = section.table("files", self.files);
        }
        if inspector.options.security {
            section = section.table("security", self.security);
        }
        section
    }
}

/// What gives rights, or is more than a file; `None` for all else.
pub(super) fn security_row(mode: u32, path: &[u8], device: &str, uid: u32) -> Option<Section> {
    let kind = mode & S_IFMT;
    let mut what = Vec::new();
    if kind == S_IFREG && mode & SETUID != 0 {
        what.push(format!("setuid {uid}"));
    }
    if kind == S_IFREG && mode & SETGID != 0 {
        what.push("setgid".to_owned());
    }
    if matches!(kind, S_IFCHR | S_IFBLK) {
        let kind = if kind == S_IFCHR {
            "character"
        } else {
            "block"
        };
        what.push(format!("{kind} {device}"));
    }
    (!what.is_empty()).then(|| {
        Section::default()
            .text("what", what.join(", "))
            .text("path", path)
    })
}
