//! Writing a tree, depth first.

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use rayon::prelude::*;

use crate::blocks::Counting;

use super::data::{Data, Encoded, stored};
use super::entry::{Attributes, FileRef, Kind, SquashfsError, check_name, printable};
use super::format::{
    BLOCK_BYTES, DIRECTORY_RUN, MAX_TARGET_BYTES, NONE_U32, NONE_U64, PADDING_BYTES,
    SUPERBLOCK_BYTES, Superblock, device, inode,
};
use super::metadata::Metadata;
use super::xattr::Xattrs;

/// Blocks that are compressed side by side.
const BATCH_BLOCKS: usize = 32;

/// A folder that is being filled.
struct Folder {
    name: Vec<u8>,
    number: u32,
    owner: Header,
    xattrs: u32,
    folders: u32,
    entries: Vec<(Vec<u8>, FileRef)>,
}

/// The common part of inodes, but for type and number.
#[derive(Clone, Copy)]
struct Header {
    mode: u16,
    uid: u16,
    gid: u16,
    mtime: u32,
}

/// Writes a file system; nothing but metadata is held in memory.
pub struct SquashfsWriter<W: Write> {
    out: Counting<W>,
    mtime: u32,
    inodes: Metadata,
    directories: Metadata,
    inode_count: u32,
    owners: Vec<u32>,
    owner_ids: HashMap<u32, u16>,
    xattrs: Xattrs,
    fragments: Vec<(u64, u32)>,
    /// Plain fragments that are full; the last one is being filled.
    waiting: Vec<Vec<u8>>,
    folders: Vec<Folder>,
}

impl<W: Write> std::fmt::Debug for SquashfsWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SquashfsWriter")
            .field("bytes", &self.out.bytes)
            .field("inodes", &self.inode_count)
            .finish_non_exhaustive()
    }
}

impl<W: Write + Seek> SquashfsWriter<W> {
    /// Starts a file system on `out`, which must be empty, with the attributes of its root. `mtime`
    /// is when it is said to be made.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W, mtime: u32, root: &Attributes<'_>) -> Result<Self, SquashfsError> {
        // It is written in the end.
        out.seek(SeekFrom::Start(SUPERBLOCK_BYTES))?;
        let mut writer = Self {
            out: Counting {
                inner: out,
                bytes: SUPERBLOCK_BYTES,
            },
            mtime,
            inodes: Metadata::default(),
            directories: Metadata::default(),
            inode_count: 0,
            owners: Vec::new(),
            owner_ids: HashMap::new(),
            xattrs: Xattrs::default(),
            fragments: Vec::new(),
            waiting: Vec::new(),
            folders: Vec::new(),
        };
        writer.open(Vec::new(), root)?;
        Ok(writer)
    }

    /// Starts a folder in the one that is open; what follows goes into it until
    /// [`end_folder`](Self::end_folder).
    ///
    /// # Errors
    /// If its name or owner does not fit.
    pub fn begin_folder(
        &mut self,
        name: &[u8],
        attributes: &Attributes<'_>,
    ) -> Result<(), SquashfsError> {
        check_name(name)?;
        if let Some(parent) = self.folders.last_mut() {
            parent.folders += 1;
        }
        self.open(name.to_vec(), attributes)
    }

    fn open(&mut self, name: Vec<u8>, attributes: &Attributes<'_>) -> Result<(), SquashfsError> {
        let folder = Folder {
            name,
            number: self.number()?,
            owner: self.header(attributes)?,
            xattrs: self.xattrs.add(attributes.xattrs)?,
            folders: 0,
            entries: Vec::new(),
        };
        self.folders.push(folder);
        Ok(())
    }

    /// Ends the folder that was begun last.
    ///
    /// # Errors
    /// If two of its names are the same, or there is none that was begun.
    pub fn end_folder(&mut self) -> Result<(), SquashfsError> {
        let folder = (self.folders.len() > 1)
            .then(|| self.folders.pop())
            .flatten();
        let Some(folder) = folder else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no folder to end").into());
        };
        let parent = self.folders.last().map_or(0, |parent| parent.number);
        let name = folder.name.clone();
        let written = self.folder(folder, parent)?;
        self.enter(name, written);
        Ok(())
    }

    fn folder(&mut self, mut folder: Folder, parent: u32) -> Result<FileRef, SquashfsError> {
        folder.entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        if let Some(twice) = folder.entries.windows(2).find(|two| two[0].0 == two[1].0) {
            let name = printable(&twice[0].0);
            return Err(SquashfsError::Name { name });
        }
        let listing = self.directories.place()?;
        let mut bytes = 0;
        for run in runs(&folder.entries) {
            let first = run[0].1;
            let count = u32::try_from(run.len() - 1).unwrap_or(u32::MAX);
            let mut out = Vec::new();
            for word in [count, first.place.block, first.number] {
                out.extend_from_slice(&word.to_le_bytes());
            }
            for (name, file) in run {
                // Within 16 bits, see `runs`.
                let distance = file.number.wrapping_sub(first.number) & 0xffff;
                let distance = u16::try_from(distance).unwrap_or(0);
                let length = u16::try_from(name.len() - 1).unwrap_or(u16::MAX);
                for half in [file.place.offset, distance, file.kind, length] {
                    out.extend_from_slice(&half.to_le_bytes());
                }
                out.extend_from_slice(name);
            }
            bytes += out.len() as u64;
            self.directories.push(&out)?;
        }
        // "." and ".." count, though they are not there.
        let bytes = u32::try_from(bytes + 3).map_err(|_| SquashfsError::TooMany {
            what: "names in a folder than 4 GiB of them",
        })?;
        let links = folder.folders + 2;
        let short = u16::try_from(bytes)
            .ok()
            .filter(|_| folder.xattrs == NONE_U32);
        let mut body = Vec::new();
        if let Some(short) = short {
            body.extend_from_slice(&listing.block.to_le_bytes());
            body.extend_from_slice(&links.to_le_bytes());
            body.extend_from_slice(&short.to_le_bytes());
            body.extend_from_slice(&listing.offset.to_le_bytes());
            body.extend_from_slice(&parent.to_le_bytes());
        } else {
            for word in [links, bytes, listing.block, parent] {
                body.extend_from_slice(&word.to_le_bytes());
            }
            // No index: a reader goes through the listing.
            body.extend_from_slice(&0_u16.to_le_bytes());
            body.extend_from_slice(&listing.offset.to_le_bytes());
            body.extend_from_slice(&folder.xattrs.to_le_bytes());
        }
        let extended = short.is_none();
        self.inode(inode::FOLDER, extended, &folder.owner, folder.number, &body)
    }

    /// Adds a file and its body, which must have the length `bytes`.
    ///
    /// # Errors
    /// If it does not fit the format or can't be written; if the body can't be read or has another
    /// length.
    pub fn file(
        &mut self,
        name: &[u8],
        attributes: &Attributes<'_>,
        bytes: u64,
        body: impl Read,
    ) -> Result<FileRef, SquashfsError> {
        check_name(name)?;
        let number = self.number()?;
        let header = self.header(attributes)?;
        let xattrs = self.xattrs.add(attributes.xattrs)?;
        let mut data = Data {
            start: self.out.bytes,
            ..Data::default()
        };
        self.data(name, bytes, body, &mut data)?;
        let (fragment, offset) = data.fragment.unwrap_or((NONE_U32, 0));
        let links = attributes.links.max(1);
        let basic = (links == 1 && xattrs == NONE_U32)
            .then(|| Some((u32::try_from(data.start).ok()?, u32::try_from(bytes).ok()?)))
            .flatten();
        let mut out = Vec::new();
        match basic {
            Some((start, bytes)) => {
                for word in [start, fragment, offset, bytes] {
                    out.extend_from_slice(&word.to_le_bytes());
                }
            }
            None => {
                for long in [data.start, bytes, data.hole_bytes] {
                    out.extend_from_slice(&long.to_le_bytes());
                }
                for word in [links, fragment, offset, xattrs] {
                    out.extend_from_slice(&word.to_le_bytes());
                }
            }
        }
        for size in data.sizes {
            out.extend_from_slice(&size.to_le_bytes());
        }
        let file = self.inode(inode::FILE, basic.is_none(), &header, number, &out)?;
        self.enter(name.to_vec(), file);
        Ok(file)
    }

    /// Adds what has no body.
    ///
    /// # Errors
    /// If it does not fit the format.
    pub fn entry(
        &mut self,
        name: &[u8],
        attributes: &Attributes<'_>,
        kind: Kind<'_>,
    ) -> Result<FileRef, SquashfsError> {
        check_name(name)?;
        let number = self.number()?;
        let header = self.header(attributes)?;
        let xattrs = self.xattrs.add(attributes.xattrs)?;
        let mut out = attributes.links.max(1).to_le_bytes().to_vec();
        let mut device = |major: u32, minor: u32| {
            // 12 and 20 bits.
            if major >= 1 << 12 || minor >= 1 << 20 {
                let name = printable(name);
                return Err(SquashfsError::Device { name, major, minor });
            }
            out.extend_from_slice(&device(major, minor).to_le_bytes());
            Ok(())
        };
        let basic = match kind {
            Kind::Symlink { target } => {
                if target.is_empty() || target.len() > MAX_TARGET_BYTES || target.contains(&0) {
                    let name = printable(target);
                    return Err(SquashfsError::Name { name });
                }
                let length = u32::try_from(target.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(target);
                inode::SYMLINK
            }
            Kind::CharDevice { major, minor } => {
                device(major, minor)?;
                inode::CHAR_DEVICE
            }
            Kind::BlockDevice { major, minor } => {
                device(major, minor)?;
                inode::BLOCK_DEVICE
            }
            Kind::Fifo => inode::FIFO,
        };
        let extended = xattrs != NONE_U32;
        if extended {
            out.extend_from_slice(&xattrs.to_le_bytes());
        }
        let entry = self.inode(basic, extended, &header, number, &out)?;
        self.enter(name.to_vec(), entry);
        Ok(entry)
    }

    /// Gives something another name.
    ///
    /// # Errors
    /// If the name does not fit the format.
    pub fn link(&mut self, name: &[u8], file: FileRef) -> Result<(), SquashfsError> {
        check_name(name)?;
        self.enter(name.to_vec(), file);
        Ok(())
    }

    /// Writes all tables and gives the length of the file system and the number of names whose
    /// extended attributes were lost, because squashfs has none of their kind.
    ///
    /// # Errors
    /// If a folder was not ended, or the output can't be written.
    pub fn finish(mut self) -> Result<(u64, u64), SquashfsError> {
        let root = self.folders.pop().filter(|_| self.folders.is_empty());
        let Some(root) = root else {
            return Err(
                io::Error::new(io::ErrorKind::InvalidInput, "a folder was not ended").into(),
            );
        };
        self.write_fragments()?;
        // By custom the root's parent has the number after the last.
        let root = self.folder(root, self.inode_count.saturating_add(1))?;
        let inode_table = self.out.bytes;
        self.out
            .write_all(&std::mem::take(&mut self.inodes).finish()?.0)?;
        let directory_table = self.out.bytes;
        self.out
            .write_all(&std::mem::take(&mut self.directories).finish()?.0)?;
        let fragments = std::mem::take(&mut self.fragments);
        let fragment_table = match fragments.is_empty() {
            true => NONE_U64,
            false => self.table(fragments.iter().flat_map(|&(start, size)| {
                let mut entry = [0; 16];
                entry[..8].copy_from_slice(&start.to_le_bytes());
                entry[8..12].copy_from_slice(&size.to_le_bytes());
                entry
            }))?,
        };
        let owners = std::mem::take(&mut self.owners);
        let owner_table = self.table(owners.iter().flat_map(|id| id.to_le_bytes()))?;
        let xattrs = std::mem::take(&mut self.xattrs);
        let lost = xattrs.lost;
        let xattr_table = self.xattr_table(xattrs)?;
        let superblock = Superblock {
            inodes: self.inode_count,
            mtime: self.mtime,
            fragments: u32::try_from(fragments.len()).unwrap_or(u32::MAX),
            owners: u16::try_from(owners.len()).unwrap_or(u16::MAX),
            root: root.place.reference(),
            bytes: self.out.bytes,
            owner_table,
            xattr_table,
            inode_table,
            directory_table,
            fragment_table,
        };
        self.out.pad(PADDING_BYTES)?;
        let bytes = self.out.bytes;
        let mut out = self.out.inner;
        out.seek(SeekFrom::Start(0))?;
        out.write_all(&superblock.encode())?;
        out.flush()?;
        Ok((bytes, lost))
    }

    fn enter(&mut self, name: Vec<u8>, file: FileRef) {
        if let Some(folder) = self.folders.last_mut() {
            folder.entries.push((name, file));
        }
    }

    fn number(&mut self) -> Result<u32, SquashfsError> {
        let next = self.inode_count.checked_add(1).filter(|&n| n < u32::MAX);
        self.inode_count = next.ok_or(SquashfsError::TooMany { what: "inodes" })?;
        Ok(self.inode_count)
    }

    fn header(&mut self, attributes: &Attributes<'_>) -> Result<Header, SquashfsError> {
        let mut owner = |id: u32| -> Result<u16, SquashfsError> {
            if let Some(&index) = self.owner_ids.get(&id) {
                return Ok(index);
            }
            let what = "owners and groups than 65,535";
            let index = u16::try_from(self.owners.len());
            let index = index.ok().filter(|&index| index < u16::MAX);
            let index = index.ok_or(SquashfsError::TooMany { what })?;
            self.owners.push(id);
            self.owner_ids.insert(id, index);
            Ok(index)
        };
        Ok(Header {
            mode: attributes.mode & 0o7777,
            uid: owner(attributes.uid)?,
            gid: owner(attributes.gid)?,
            mtime: u32::try_from(attributes.mtime.max(0)).unwrap_or(u32::MAX),
        })
    }

    fn inode(
        &mut self,
        kind: u16,
        extended: bool,
        header: &Header,
        number: u32,
        body: &[u8],
    ) -> Result<FileRef, SquashfsError> {
        let place = self.inodes.place()?;
        let stored_kind = kind + if extended { inode::EXTENDED } else { 0 };
        let mut out = Vec::with_capacity(16 + body.len());
        for half in [stored_kind, header.mode, header.uid, header.gid] {
            out.extend_from_slice(&half.to_le_bytes());
        }
        for word in [header.mtime, number] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(body);
        self.inodes.push(&out)?;
        Ok(FileRef {
            place,
            number,
            kind,
        })
    }

    /// A table of entries in metadata blocks, then where these are; gives where that stands.
    fn table(&mut self, entries: impl Iterator<Item = u8>) -> Result<u64, SquashfsError> {
        let mut metadata = Metadata::default();
        let bytes: Vec<u8> = entries.collect();
        metadata.push(&bytes)?;
        let start = self.out.bytes;
        let (blocks, starts) = metadata.finish()?;
        self.out.write_all(&blocks)?;
        let index = self.out.bytes;
        for block in starts {
            self.out
                .write_all(&(start + u64::from(block)).to_le_bytes())?;
        }
        Ok(index)
    }

    fn xattr_table(&mut self, xattrs: Xattrs) -> Result<u64, SquashfsError> {
        if xattrs.sets.is_empty() {
            return Ok(NONE_U64);
        }
        let pairs_start = self.out.bytes;
        self.out.write_all(&xattrs.pairs.finish()?.0)?;
        let mut metadata = Metadata::default();
        for (reference, count, bytes) in &xattrs.sets {
            metadata.push(&reference.to_le_bytes())?;
            metadata.push(&count.to_le_bytes())?;
            metadata.push(&bytes.to_le_bytes())?;
        }
        let start = self.out.bytes;
        let (blocks, starts) = metadata.finish()?;
        self.out.write_all(&blocks)?;
        let table = self.out.bytes;
        self.out.write_all(&pairs_start.to_le_bytes())?;
        let sets = u32::try_from(xattrs.sets.len()).unwrap_or(u32::MAX);
        self.out.write_all(&sets.to_le_bytes())?;
        self.out.write_all(&[0; 4])?;
        for block in starts {
            self.out
                .write_all(&(start + u64::from(block)).to_le_bytes())?;
        }
        Ok(table)
    }

    /// Reads a body and writes its blocks, or puts a short one into a fragment.
    fn data(
        &mut self,
        name: &[u8],
        bytes: u64,
        mut body: impl Read,
        data: &mut Data,
    ) -> Result<(), SquashfsError> {
        let wrong = || SquashfsError::BodyLength {
            name: printable(name),
            expected_bytes: bytes,
        };
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::UnexpectedEof => wrong(),
            _ => SquashfsError::Body {
                name: printable(name),
                source,
            },
        };
        let mut left = bytes;
        let block_bytes = BLOCK_BYTES as u64;
        while left >= block_bytes || (left > 0 && bytes > block_bytes) {
            let mut batch = Vec::new();
            while left > 0 && batch.len() < BATCH_BLOCKS {
                let step = usize::try_from(left.min(block_bytes)).unwrap_or(BLOCK_BYTES);
                let mut block = vec![0; step];
                body.read_exact(&mut block).map_err(failed)?;
                left -= step as u64;
                batch.push(block);
            }
            let encoded: Vec<_> = batch.par_iter().map(|block| Encoded::new(block)).collect();
            for (encoded, block) in encoded.into_iter().zip(&batch) {
                let encoded = encoded?;
                if encoded.size == 0 {
                    data.hole_bytes += block.len() as u64;
                }
                data.sizes.push(encoded.size);
                self.out.write_all(encoded.bytes(block))?;
            }
        }
        if left > 0 {
            let step = usize::try_from(left).unwrap_or(BLOCK_BYTES);
            data.fragment = Some(self.fragment(step, |out| body.read_exact(out), failed)?);
        }
        // There must be no more.
        match body.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(wrong()),
            Err(source) => Err(failed(source)),
        }
    }

    /// Puts bytes into a fragment; gives its index and where in it they stand.
    fn fragment(
        &mut self,
        bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> io::Result<()>,
        failed: impl FnOnce(io::Error) -> SquashfsError,
    ) -> Result<(u32, u32), SquashfsError> {
        let full = |last: &Vec<u8>| last.len() + bytes > BLOCK_BYTES;
        if self.waiting.last().is_none_or(full) {
            if self.waiting.len() == BATCH_BLOCKS {
                self.write_fragments()?;
            }
            self.waiting.push(Vec::with_capacity(BLOCK_BYTES));
        }
        let what = "fragments";
        let index = self.fragments.len() + self.waiting.len() - 1;
        let index = u32::try_from(index).map_err(|_| SquashfsError::TooMany { what })?;
        let Some(last) = self.waiting.last_mut() else {
            return Err(SquashfsError::TooMany { what });
        };
        let start = last.len();
        last.resize(start + bytes, 0);
        fill(&mut last[start..]).map_err(failed)?;
        Ok((index, u32::try_from(start).unwrap_or(u32::MAX)))
    }

    fn write_fragments(&mut self) -> Result<(), SquashfsError> {
        let waiting = std::mem::take(&mut self.waiting);
        let encoded: Vec<_> = waiting
            .par_iter()
            .map(|plain| Encoded::new(plain))
            .collect();
        for (encoded, plain) in encoded.into_iter().zip(&waiting) {
            let encoded = encoded?;
            // A fragment can't be a hole.
            let (size, bytes) = match encoded.size {
                0 => (stored(plain), &plain[..]),
                size => (size, encoded.bytes(plain)),
            };
            self.fragments.push((self.out.bytes, size));
            self.out.write_all(bytes)?;
        }
        Ok(())
    }
}

/// Entries that one header can stand before: their inodes are in one block, their numbers near.
fn runs(entries: &[(Vec<u8>, FileRef)]) -> impl Iterator<Item = &[(Vec<u8>, FileRef)]> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        let (_, first) = rest.first()?;
        let fits = |file: &FileRef| {
            let distance = i64::from(file.number) - i64::from(first.number);
            file.place.block == first.place.block && i16::try_from(distance).is_ok()
        };
        let count = rest.iter().take_while(|(_, file)| fits(file)).count();
        let (run, later) = rest.split_at(count.min(DIRECTORY_RUN));
        rest = later;
        Some(run)
    })
}
