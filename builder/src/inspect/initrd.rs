//! Initrds: what they are packed in, and what is in them by container.

use std::collections::HashMap;
use std::io::BufReader;

use formats::cpio::{Limits, ReadEntry, Reader};
use formats::payload::PayloadReader;

use super::content::{KEPT_MAX, Name, Names};
use super::images::ImageList;
use super::metadata::{METADATA_PATH, Metadata};
use super::{Bytes, FEW_FILES, Inspector, Section};
use crate::output::initrd::{ram_bytes, tmpfs_bytes};

/// Where Linux looks for microcode (Documentation/arch/x86/microcode.rst).
const MICROCODE: &[u8] = b"kernel/x86/microcode/";

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
    microcode: Vec<Vec<u8>>,
    names: Names,
    /// Lengths of files that have several names, by archive and inode number.
    linked: HashMap<(u64, u32), u64>,
    tree_bytes: u64,
    entries: u64,
    unpacked_bytes: u64,
}

impl Inspector {
    /// An initrd, with the list of what it is made of, if there is one.
    pub(super) fn initrd(&mut self, bytes: &Bytes, images: Option<&ImageList>) -> Section {
        let mut content = Content::default();
        let input = BufReader::with_capacity(1 << 18, PayloadReader::new(bytes));
        let mut reader = Reader::new(input, Limits::default());
        loop {
            match reader.next_entry() {
                Ok(Some(entry)) => {
                    content.add(&entry, self);
                    if images.is_none() && entry.name == METADATA_PATH {
                        let len_bytes = u64::from(entry.body_bytes);
                        content.names.metadata = Metadata::read(&mut reader, len_bytes);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.problem(format!("initrd: {error}"));
                    break;
                }
            }
        }
        content.describe(bytes.len_bytes(), images, self)
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
        self.unpacked_bytes = self.unpacked_bytes.saturating_add(bytes);
        if entry.name.starts_with(MICROCODE) && self.microcode.len() < FEW_FILES {
            self.microcode.push(entry.name.clone());
        }
        let name = Name {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            bytes,
            device: entry.rdev,
            path: &entry.name,
        };
        self.names.add(&name, None, inspector);
        self.tree_bytes += tmpfs_bytes(self.body_bytes(entry, name.is_file()));
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

    fn describe(
        self,
        initrd_bytes: u64,
        images: Option<&ImageList>,
        inspector: &mut Inspector,
    ) -> Section {
        let packed = self.packed.iter().map(|packed| {
            Section::default()
                .text("compression", &packed.container)
                .number("archives", packed.parts)
                .number("entries", packed.entries)
                .bytes("unpacked_bytes", packed.bytes)
        });
        let mut section = Section::of_kind("initrd")
            .bytes("initrd_bytes", initrd_bytes)
            .number("entry_count", self.entries)
            .bytes("ram_bytes", ram_bytes(self.tree_bytes, initrd_bytes))
            .table("archives", packed.collect())
            .list("microcode", &self.microcode);
        if let Some(images) = images {
            section = inspector.images(section, images, self.entries, self.unpacked_bytes);
        }
        self.names.describe(section, inspector)
    }
}
