//! The tree as an initrd (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use formats::compress::{BodyInfo, Compression, encode_body};
use formats::cpio::{CpioMeasure, CpioWriter, Entry, WriteError, write_microcode};

use super::behind::Behind;
use crate::assemble::Image;
use crate::pack::{Ahead, PackError};
use crate::tree::{Body, InodeId, Node, Visit};

const S_IFIFO: u32 = 0o010_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;

/// Header, `TRAILER!!!` and padding.
const TRAILER_BYTES: u64 = 124;

/// tmpfs gives every file whole pages.
const PAGE_BYTES: u64 = 4096;
/// What a tmpfs inode with its directory entry takes, about.
const INODE_BYTES: u64 = 1024;
/// Kernel, its page tables and the first processes, about.
const BASE_BYTES: u64 = 96 << 20;

/// Why no initrd was written.
#[derive(Debug, thiserror::Error)]
pub enum InitrdError {
    /// The output can't be written.
    #[error("can't write the initrd: {0}")]
    Io(#[from] io::Error),
    /// An entry does not fit the format.
    #[error(transparent)]
    Entry(#[from] WriteError),
    /// A body can't be read from the store.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// More entries than inode numbers.
    #[error("the initrd would have more than 4,294,967,294 files")]
    TooManyFiles,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InitrdSummary {
    /// Length of the initrd in bytes, microcode included.
    pub initrd_bytes: u64,
    /// Length of the cpio archive before compression.
    pub cpio_bytes: u64,
    /// Bytes of it that came compressed from packs, before compression.
    pub packed_bytes: u64,
    /// Entries, without the trailer.
    pub entries: u64,
    /// What the tree takes in a tmpfs in which hard links have become files, in bytes.
    pub tree_bytes: u64,
    /// RAM that a machine needs to boot it under LinuxKit's init, in bytes.
    pub ram_bytes: u64,
    /// Names that had extended attributes, which an initrd can't hold.
    pub dropped_xattrs: u64,
}

/// Writes microcode and tree as one initrd. Packed bodies are copied as they are; they must have
/// been packed with `compression`.
pub fn write_initrd<W: Write + Send>(
    mut out: W,
    image: &Image,
    compression: Compression,
) -> Result<InitrdSummary, InitrdError> {
    let mut summary = InitrdSummary::default();
    let microcode = image.kernel.as_ref().and_then(|k| k.microcode.as_ref());
    if let Some((microcode, _)) = microcode {
        let mut archive = Vec::new();
        image.open(microcode)?.read_to_end(&mut archive)?;
        summary.initrd_bytes += write_microcode(&mut out, &archive)?;
    }
    let mut counted = Counted {
        inner: out,
        bytes: 0,
    };
    std::thread::scope(|scope| -> Result<(), InitrdError> {
        let bodies = image.tree.walk().filter_map(|visit| packed_body(&visit));
        let mut ahead = image.packs.read_ahead(scope, bodies);
        let mut archive = CpioWriter::new(Behind::new(scope, &mut counted), compression)?;
        let mut inodes = Inodes::default();
        // The root itself is there before the archive is unpacked.
        for visit in image.tree.walk().skip(1) {
            summary.dropped_xattrs += u64::from(!visit.inode.xattrs.is_empty());
            summary.tree_bytes += tmpfs_bytes(match &visit.inode.node {
                Node::File(body) => body.size(),
                _ => 0,
            });
            if packed_body(&visit).is_some()
                && let Node::File(body) = &visit.inode.node
            {
                summary.packed_bytes += body.size();
            }
            let inode = inodes.number(&visit)?;
            write_entry(&mut archive, image, &visit, inode, &mut ahead)?;
        }
        summary.entries = archive.entries();
        summary.cpio_bytes = archive.plain_bytes() + TRAILER_BYTES;
        archive.finish()?.finish()?;
        Ok(())
    })?;
    summary.initrd_bytes += counted.bytes;
    summary.ram_bytes = ram_bytes(summary.tree_bytes, summary.initrd_bytes);
    Ok(summary)
}

/// What a name takes in a tmpfs, with a file's body if it has one.
pub(crate) fn tmpfs_bytes(body_bytes: u64) -> u64 {
    INODE_BYTES + body_bytes.next_multiple_of(PAGE_BYTES)
}

/// RAM that a machine needs to boot an initrd with such a tree under LinuxKit's init, which copies
/// the tree from the initramfs, a tmpfs of half the RAM, to another.
pub(crate) fn ram_bytes(tree_bytes: u64, initrd_bytes: u64) -> u64 {
    2 * tree_bytes + initrd_bytes + BASE_BYTES
}

/// The pack and number of the body that stands with this name: it does with a file's first.
fn packed_body(visit: &Visit<'_>) -> Option<(u32, u32)> {
    match &visit.inode.node {
        Node::File(Body::Packed { pack, body, size }) if visit.first.is_none() && *size > 0 => {
            Some((*pack, *body))
        }
        _ => None,
    }
}

fn write_entry<W: Write>(
    archive: &mut CpioWriter<W>,
    image: &Image,
    visit: &Visit<'_>,
    inode: u32,
    ahead: &mut Ahead,
) -> Result<(), InitrdError> {
    let entry = entry_of(visit, inode);
    if let Some((pack, body)) = packed_body(visit) {
        let pack = image.packs.get(pack);
        // A body that the pack does not have comes as one error.
        let (info, count) = match pack.body(body) {
            Some(record) => (record.info, record.segments.len()),
            None => (BodyInfo { bytes: 0, crc32: 0 }, 1),
        };
        let segments = ahead.take(count).map(|s| s.map_err(InitrdError::from));
        archive.file(&entry, info, segments)?;
        return Ok(());
    }
    match &visit.inode.node {
        Node::Symlink(target) => archive.symlink(&entry, target)?,
        Node::File(Body::Inline(bytes)) if visit.first.is_none() && !bytes.is_empty() => {
            let (info, segments) = encode_body(archive.compression(), bytes)?;
            archive.file(&entry, info, segments.into_iter().map(Ok::<_, InitrdError>))?;
        }
        _ => archive.entry(&entry)?,
    }
    Ok(())
}

/// Whether the file at `path` could be the initrd that would be written, as far as can be told
/// without making one: a gzip member ends with length and checksum of what is in it.
pub fn may_be_there(path: &Path, image: &Image, compression: Compression) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    match compression {
        // Nothing in it tells of the whole.
        Compression::Zstd { .. } => true,
        Compression::None => plain_info(image).is_ok_and(|plain| bytes >= plain.bytes),
        Compression::Gzip { .. } => {
            let mut trailer = [0; 8];
            let at = bytes.saturating_sub(trailer.len() as u64);
            file.read_exact_at(&mut trailer, at).is_ok()
                && plain_info(image).is_ok_and(|plain| trailer == gzip_trailer(plain))
        }
    }
}

/// How a gzip member with such content ends (RFC 1952 2.3.1).
fn gzip_trailer(plain: BodyInfo) -> [u8; 8] {
    let mut trailer = [0; 8];
    trailer[..4].copy_from_slice(&plain.crc32.to_le_bytes());
    // The lowest 32 bits of the length.
    trailer[4..].copy_from_slice(&plain.bytes.to_le_bytes()[..4]);
    trailer
}

/// Length and checksum of the cpio archive, from the indexes alone.
fn plain_info(image: &Image) -> Result<BodyInfo, InitrdError> {
    let mut archive = CpioMeasure::new()?;
    let mut inodes = Inodes::default();
    for visit in image.tree.walk().skip(1) {
        let entry = entry_of(&visit, inodes.number(&visit)?);
        if let Some((pack, body)) = packed_body(&visit) {
            if let Some(record) = image.packs.get(pack).body(body) {
                archive.file(&entry, record.info)?;
            }
            continue;
        }
        match &visit.inode.node {
            Node::Symlink(target) => archive.symlink(&entry, target)?,
            Node::File(Body::Inline(bytes)) if visit.first.is_none() => {
                archive.file(&entry, BodyInfo::of(bytes))?;
            }
            _ => archive.entry(&entry)?,
        }
    }
    Ok(archive.finish()?)
}

/// What the entry of a name says.
fn entry_of<'v>(visit: &'v Visit<'_>, inode: u32) -> Entry<'v> {
    let meta = visit.inode.meta;
    let (kind, rdev) = match &visit.inode.node {
        Node::Directory(_) => (S_IFDIR, (0, 0)),
        Node::File(_) => (S_IFREG, (0, 0)),
        Node::Symlink(_) => (S_IFLNK, (0, 0)),
        Node::CharDevice(major, minor) => (S_IFCHR, (*major, *minor)),
        Node::BlockDevice(major, minor) => (S_IFBLK, (*major, *minor)),
        Node::Fifo => (S_IFIFO, (0, 0)),
    };
    Entry {
        name: &visit.path,
        inode,
        mode: kind | u32::from(meta.mode),
        uid: u64::from(meta.uid),
        gid: u64::from(meta.gid),
        nlink: match &visit.inode.node {
            Node::Directory(_) => 2,
            // The kernel makes each name of a symlink a link of its own.
            Node::Symlink(_) => 1,
            _ => visit.links,
        },
        mtime: meta.mtime,
        dev_major: 0,
        dev_minor: 0,
        rdev_major: rdev.0,
        rdev_minor: rdev.1,
    }
}

/// Inode numbers in the order of the archive; names of one file share one.
#[derive(Default)]
struct Inodes {
    last: u32,
    linked: HashMap<InodeId, u32>,
}

impl Inodes {
    fn number(&mut self, visit: &Visit<'_>) -> Result<u32, InitrdError> {
        let shares = visit.links > 1 && !matches!(visit.inode.node, Node::Symlink(_));
        if let Some(&number) = self.linked.get(&visit.id).filter(|_| shares) {
            return Ok(number);
        }
        self.last = self.last.checked_add(1).ok_or(InitrdError::TooManyFiles)?;
        if shares {
            self.linked.insert(visit.id, self.last);
        }
        Ok(self.last)
    }
}

/// Counts what is written.
pub(super) struct Counted<W> {
    pub(super) inner: W,
    pub(super) bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
