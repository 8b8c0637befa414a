//! tar archives: systems as trees, kernel and initrd together, disks for Google Compute Engine.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use formats::payload::{FilePayload, PayloadReader};

use super::content::{Kind, Name, Names, Tally};
use super::origins::Origins;
use super::{Bytes, Inspector, Section, part};
use crate::layer::Limits;
use crate::layer::archive::{Archive, RawEntry};

/// Where a tar of kernel and initrd, or of a whole system, has its kernel.
const KERNELS: [&[u8]; 2] = [b"kernel", b"boot/kernel"];
const CMDLINES: [&[u8]; 2] = [b"cmdline", b"boot/cmdline"];
const INITRD: &[u8] = b"initrd.img";
/// Command lines are shorter.
const CMDLINE_MAX_BYTES: u64 = 64 << 10;
/// The file that Google Compute Engine looks for.
const GCP_DISK: &[u8] = b"disk.raw";
/// A larger disk is not unpacked to be looked at.
const GCP_DISK_MAX_BYTES: u64 = 64 << 30;

#[derive(Default)]
struct Content {
    tally: Tally,
    names: Names,
    origins: Origins,
    /// Files to look into: their names and places.
    inner: Vec<(Vec<u8>, u64, u64)>,
}

impl Content {
    fn add(&mut self, entry: &RawEntry, start_bytes: u64, inspector: &Inspector) {
        let (kind, file_type) = match entry.type_flag {
            b'0' | b'7' | b'S' => (Kind::File, 0o100_000),
            b'5' => (Kind::Folder, 0o040_000),
            b'1' | b'2' => (Kind::Link, 0),
            b'3' => (Kind::Device, 0o020_000),
            b'4' => (Kind::Device, 0o060_000),
            _ => (Kind::Other, 0),
        };
        self.tally.add(kind, entry.size);
        let name = entry.name.strip_prefix(b"./").unwrap_or(&entry.name);
        let mode = file_type | u32::from(entry.meta.mode);
        if matches!(kind, Kind::File) {
            let known = [&KERNELS[..], &CMDLINES, &[INITRD]].concat();
            if known.contains(&name) && self.inner.len() < known.len() {
                self.inner.push((name.to_vec(), start_bytes, entry.size));
            }
        }
        let capability = |xattr: &&crate::layer::Xattr| &*xattr.name == b"security.capability";
        let capability = entry.xattrs.iter().find(capability);
        let name = Name {
            mode,
            uid: entry.meta.uid,
            gid: entry.meta.gid,
            bytes: entry.size,
            device: entry.device,
            path: name,
        };
        let capability = capability.map(|xattr| &*xattr.value);
        let (source, location) = &entry.origin;
        self.origins.add(source, location, entry.size);
        self.names.add(&name, capability, inspector);
    }

    fn describe(self, section: Section, inspector: &Inspector) -> Section {
        let section = self.origins.describe(self.tally.describe(section));
        self.names.describe(section, inspector)
    }
}

impl Inspector {
    /// A tar as it lies.
    pub(super) fn tar(&mut self, bytes: &Bytes) -> Section {
        let content = self.read_tar(PayloadReader::new(bytes));
        let inner = content.inner.clone();
        let mut section = content.describe(Section::of_kind("tar"), self);
        let find = |names: &[&[u8]]| {
            let (_, start, len) = inner.iter().find(|(name, ..)| names.contains(&&**name))?;
            part(bytes, *start, *len)
        };
        if let Some(cmdline) = find(&CMDLINES).filter(|c| c.len_bytes() <= CMDLINE_MAX_BYTES) {
            let mut text = Vec::new();
            if PayloadReader::new(&cmdline).read_to_end(&mut text).is_ok() {
                section = section.text("cmdline", text);
            }
        }
        if let Some(kernel) = find(&KERNELS) {
            section = self.boot_kernel(section, &kernel);
        }
        if let Some(initrd) = find(&[INITRD]) {
            section = section.section("initrd", self.initrd(&initrd, None));
        }
        section
    }

    /// A compressed tar, of which a disk is looked into.
    pub(super) fn gzipped_tar(&mut self, bytes: &Bytes) -> Section {
        let limits = Limits {
            layer_bytes: u64::MAX,
            ..Limits::default()
        };
        let mut archive = Archive::new(MultiGzDecoder::new(PayloadReader::new(bytes)), &limits);
        match archive.next_entry() {
            Ok(Some(entry)) if entry.name == GCP_DISK => {
                let section = Section::of_kind("gcp").bytes("disk_bytes", entry.size);
                if entry.size > GCP_DISK_MAX_BYTES {
                    self.problem("the disk is too large to be unpacked and looked at");
                    return section;
                }
                match unpack(&mut archive.body(&entry), entry.size) {
                    Ok(disk) => section.and(self.disk(&disk)),
                    Err(error) => {
                        self.problem(format!("disk.raw can't be unpacked: {error}"));
                        section
                    }
                }
            }
            _ => {
                let plain = MultiGzDecoder::new(PayloadReader::new(bytes));
                let content = self.read_tar(plain);
                content.describe(Section::of_kind("tar.gz"), self)
            }
        }
    }

    fn read_tar(&mut self, input: impl Read) -> Content {
        let limits = Limits {
            layer_bytes: u64::MAX,
            ..Limits::default()
        };
        let mut content = Content::default();
        let mut archive = Archive::new(io::BufReader::with_capacity(1 << 18, input), &limits);
        loop {
            match archive.next_entry() {
                Ok(Some(entry)) => content.add(&entry, archive.offset(), self),
                Ok(None) => break,
                Err(error) => {
                    self.problem(error.to_string());
                    break;
                }
            }
        }
        content
    }
}

/// A file without a name that holds a disk; zeros take no room in it.
fn unpack(disk: &mut dyn Read, len_bytes: u64) -> io::Result<Bytes> {
    const PIECE_BYTES: usize = 1 << 16;
    let mut file = tempfile::tempfile()?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut done = 0;
    while done < len_bytes {
        let left = usize::try_from(len_bytes - done).unwrap_or(PIECE_BYTES);
        let piece = &mut piece[..left.min(PIECE_BYTES)];
        disk.read_exact(piece)?;
        if piece.iter().any(|&byte| byte != 0) {
            file.seek(SeekFrom::Start(done))?;
            file.write_all(piece)?;
        }
        done += piece.len() as u64;
    }
    file.set_len(len_bytes)?;
    Ok(Arc::new(FilePayload::new(file)?))
}
