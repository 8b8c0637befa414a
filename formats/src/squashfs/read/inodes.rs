//! Inodes of all types.

use crate::bounded::{u16_le, u32_le, u64_le};
use crate::payload::Payload;

use super::super::format::{MAX_TARGET_BYTES, NONE_U32, device_numbers};
use super::body::BodyPlace;
use super::metadata::Cursor;
use super::{EntryKind, ReadError, SquashfsEntry, SquashfsReader, damaged, inode};

/// A name's inode, and where what it has is.
pub(super) struct Inode {
    /// All but the path.
    pub(super) entry: SquashfsEntry,
    /// Basic type.
    pub(super) kind: u16,
    /// Of a folder: where its listing is.
    pub(super) listing: Cursor,
    /// Of a folder: how long that is.
    pub(super) listing_bytes: u32,
}

/// The length of a folder counts "." and "..", though they are not there.
const DOTS_BYTES: u32 = 3;

const WHAT: &str = "an inode";

impl<P: Payload> SquashfsReader<P> {
    /// The inode at `cursor`.
    pub(super) fn inode(&self, mut cursor: Cursor) -> Result<Inode, ReadError> {
        let start = cursor.block();
        let mut head = [0; 16];
        self.next_bytes(&mut cursor, &mut head, WHAT)?;
        let stored_kind = u16_le(&head, 0);
        let is_extended = stored_kind > inode::EXTENDED;
        let kind = match stored_kind {
            extended if is_extended => extended - inode::EXTENDED,
            basic => basic,
        };
        let mut found = Inode {
            entry: SquashfsEntry {
                path: Vec::new(),
                kind: EntryKind::Folder,
                mode: u16_le(&head, 2) & 0o7777,
                uid: self.owner(u16_le(&head, 4))?,
                gid: self.owner(u16_le(&head, 6))?,
                mtime: u32_le(&head, 8),
                links: 1,
                inode: u32_le(&head, 12),
                xattrs: None,
                body: BodyPlace::default(),
            },
            kind,
            listing: Cursor::default(),
            listing_bytes: 0,
        };
        match kind {
            inode::FOLDER => self.folder(&mut cursor, is_extended, &mut found)?,
            inode::FILE => self.file(&mut cursor, is_extended, &mut found.entry)?,
            inode::SYMLINK..=inode::SOCKET => {
                let entry = &mut found.entry;
                entry.links = self.word(&mut cursor)?;
                entry.kind = match kind {
                    inode::SYMLINK => self.target(&mut cursor)?,
                    inode::BLOCK_DEVICE => {
                        let (major, minor) = device_numbers(self.word(&mut cursor)?);
                        EntryKind::BlockDevice { major, minor }
                    }
                    inode::CHAR_DEVICE => {
                        let (major, minor) = device_numbers(self.word(&mut cursor)?);
                        EntryKind::CharDevice { major, minor }
                    }
                    inode::FIFO => EntryKind::Fifo,
                    _ => EntryKind::Socket,
                };
                if is_extended {
                    entry.xattrs = some(self.word(&mut cursor)?);
                }
            }
            _ => return Err(damaged(start, "an inode is of no known type")),
        }
        Ok(found)
    }

    fn word(&self, cursor: &mut Cursor) -> Result<u32, ReadError> {
        let mut word = [0; 4];
        self.next_bytes(cursor, &mut word, WHAT)?;
        Ok(u32::from_le_bytes(word))
    }

    fn folder(
        &self,
        cursor: &mut Cursor,
        is_extended: bool,
        found: &mut Inode,
    ) -> Result<(), ReadError> {
        let (block, bytes, offset);
        if is_extended {
            let mut fields = [0; 24];
            self.next_bytes(cursor, &mut fields, WHAT)?;
            found.entry.links = u32_le(&fields, 0);
            bytes = u32_le(&fields, 4);
            block = u32_le(&fields, 8);
            offset = u16_le(&fields, 18);
            // An index into the listing may follow, which only a search needs.
            found.entry.xattrs = some(u32_le(&fields, 20));
        } else {
            let mut fields = [0; 16];
            self.next_bytes(cursor, &mut fields, WHAT)?;
            block = u32_le(&fields, 0);
            found.entry.links = u32_le(&fields, 4);
            bytes = u32::from(u16_le(&fields, 8));
            offset = u16_le(&fields, 10);
        }
        found.listing = Cursor::new(&self.tables.directories, u64::from(block), offset);
        found.listing_bytes = bytes.saturating_sub(DOTS_BYTES);
        Ok(())
    }

    fn file(
        &self,
        cursor: &mut Cursor,
        is_extended: bool,
        entry: &mut SquashfsEntry,
    ) -> Result<(), ReadError> {
        let (start, len_bytes, fragment, fragment_offset);
        if is_extended {
            let mut fields = [0; 40];
            self.next_bytes(cursor, &mut fields, WHAT)?;
            start = u64_le(&fields, 0);
            len_bytes = u64_le(&fields, 8);
            entry.links = u32_le(&fields, 24);
            fragment = u32_le(&fields, 28);
            fragment_offset = u32_le(&fields, 32);
            entry.xattrs = some(u32_le(&fields, 36));
        } else {
            let mut fields = [0; 16];
            self.next_bytes(cursor, &mut fields, WHAT)?;
            start = u64::from(u32_le(&fields, 0));
            fragment = u32_le(&fields, 4);
            fragment_offset = u32_le(&fields, 8);
            len_bytes = u64::from(u32_le(&fields, 12));
        }
        entry.kind = EntryKind::File { len_bytes };
        entry.body = BodyPlace {
            start,
            fragment: some(fragment).map(|number| (number, fragment_offset)),
            sizes: cursor.clone(),
        };
        Ok(())
    }

    fn target(&self, cursor: &mut Cursor) -> Result<EntryKind, ReadError> {
        let offset = cursor.block();
        let bytes = self.word(cursor)? as usize;
        if bytes == 0 || bytes > MAX_TARGET_BYTES {
            return Err(damaged(offset, "a symbolic link is empty or too long"));
        }
        let mut target = vec![0; bytes];
        self.next_bytes(cursor, &mut target, "a symbolic link")?;
        if target.contains(&0) {
            return Err(damaged(offset, "a symbolic link has a zero in it"));
        }
        Ok(EntryKind::Symlink { target })
    }
}

/// A number that can be none.
fn some(number: u32) -> Option<u32> {
    (number != NONE_U32).then_some(number)
}
