//! squashfs images: what the superblock says, and what is in them.

use std::collections::{HashMap, HashSet};

use formats::squashfs::{EntryKind, Limits, SquashfsEntry, SquashfsReader, Summary};

use super::content::{KEPT_MAX, Kind, Name, Names, Tally};
use super::metadata::{METADATA_PATH, Metadata};
use super::{Bytes, Inspector, Section};

#[derive(Default)]
struct Content {
    tally: Tally,
    names: Names,
    /// Files with several names that were seen before, by inode.
    linked: HashSet<u32>,
    /// Capabilities by sets of extended attributes, which many names may have.
    capabilities: HashMap<u32, Option<Vec<u8>>>,
}

impl Inspector {
    pub(super) fn squashfs(&mut self, bytes: &Bytes) -> Section {
        let section = Section::of_kind("squashfs");
        let summary = match Summary::read(bytes) {
            Ok(summary) => summary,
            Err(error) => {
                self.problem(error.to_string());
                return section;
            }
        };
        if summary.used_bytes > bytes.len_bytes() {
            self.problem(format!(
                "the image is cut short: it has {} of {} bytes",
                bytes.len_bytes(),
                summary.used_bytes
            ));
        }
        let [major, minor] = summary.version;
        let section = section
            .text("version", format!("{major}.{minor}"))
            .text("compression", summary.compression)
            .number("inode_count", u64::from(summary.inodes))
            .bytes("block_bytes", u64::from(summary.block_bytes))
            .bytes("used_bytes", summary.used_bytes);
        let reader = match SquashfsReader::open(bytes.clone()) {
            Ok(reader) => reader,
            Err(error) => {
                self.problem(error.to_string());
                return section;
            }
        };
        let mut content = Content::default();
        for entry in reader.walk(Limits::default()) {
            match entry {
                Ok(entry) => content.add(&entry, &reader, self),
                Err(error) => self.problem(error.to_string()),
            }
        }
        let section = content.tally.describe(section);
        content.names.describe(section, self)
    }
}

impl Content {
    fn add(
        &mut self,
        entry: &SquashfsEntry,
        reader: &SquashfsReader<Bytes>,
        inspector: &mut Inspector,
    ) {
        let mut bytes = 0;
        let mut device = (0, 0);
        let (kind, file_type) = match entry.kind {
            EntryKind::File { len_bytes } => {
                // A body counts once, as in an initrd or tar.
                let is_new = entry.links < 2
                    || self.linked.len() >= KEPT_MAX
                    || self.linked.insert(entry.inode);
                bytes = if is_new { len_bytes } else { 0 };
                (Kind::File, 0o100_000)
            }
            EntryKind::Folder => (Kind::Folder, 0o040_000),
            EntryKind::Symlink { ref target } => {
                bytes = target.len() as u64;
                (Kind::Link, 0o120_000)
            }
            EntryKind::CharDevice { major, minor } => {
                device = (major, minor);
                (Kind::Device, 0o020_000)
            }
            EntryKind::BlockDevice { major, minor } => {
                device = (major, minor);
                (Kind::Device, 0o060_000)
            }
            EntryKind::Fifo => (Kind::Other, 0o010_000),
            EntryKind::Socket => (Kind::Other, 0o140_000),
        };
        self.tally.add(kind, bytes);
        if let EntryKind::File { len_bytes } = entry.kind
            && entry.path == METADATA_PATH
        {
            self.names.metadata = Metadata::read(&mut reader.body(entry), len_bytes);
        }
        let capability = match entry.xattrs {
            Some(set) if inspector.options.security => self.capability(set, reader, inspector),
            _ => None,
        };
        let name = Name {
            mode: file_type | u32::from(entry.mode),
            uid: entry.uid,
            gid: entry.gid,
            bytes,
            device,
            path: &entry.path,
        };
        self.names.add(&name, capability.as_deref(), inspector);
    }

    /// The capabilities in a set of extended attributes.
    fn capability(
        &mut self,
        set: u32,
        reader: &SquashfsReader<Bytes>,
        inspector: &mut Inspector,
    ) -> Option<Vec<u8>> {
        if !self.capabilities.contains_key(&set) && self.capabilities.len() < KEPT_MAX {
            let xattrs = reader.xattrs(set, Limits::default());
            let xattrs = xattrs.unwrap_or_else(|error| {
                inspector.problem(error.to_string());
                Vec::new()
            });
            let capability = |(name, _): &(Vec<u8>, Vec<u8>)| name == b"security.capability";
            let found = xattrs.into_iter().find(capability);
            let value = found.map(|(_, value)| value);
            self.capabilities.insert(set, value);
        }
        self.capabilities.get(&set)?.clone()
    }
}
