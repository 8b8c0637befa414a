//! Tables: where they are, and what stands in them by number.

use std::ops::Range;

use crate::bounded::{read, u32_le, u64_le};
use crate::payload::Payload;

use super::super::format::METADATA_BYTES;
use super::metadata::Cursor;
use super::{Head, NONE_U64, ReadError, SquashfsReader, damaged};

/// A table of entries of one length, whose metadata blocks are found by an index.
#[derive(Debug)]
pub(super) struct Table {
    /// Where the blocks are.
    blocks: Range<u64>,
    /// Where their starts are listed.
    index: u64,
    entries: u64,
    entry_bytes: u64,
    what: &'static str,
}

impl Table {
    /// The table whose index is at `index`: it ends where that starts.
    fn open(
        file: &impl Payload,
        index: u64,
        entries: u64,
        entry_bytes: u64,
        what: &'static str,
    ) -> Result<Self, ReadError> {
        let per_block = METADATA_BYTES as u64 / entry_bytes;
        // The last pointer, so that all are there.
        let last = index.saturating_add(entries.div_ceil(per_block).saturating_sub(1) * 8);
        let mut pointer = [0; 8];
        read(file, last, &mut pointer, what)?;
        read(file, index, &mut pointer, what)?;
        let first = u64::from_le_bytes(pointer);
        if first >= index {
            return Err(damaged(index, "a table does not stand before its index"));
        }
        Ok(Self {
            blocks: first..index,
            index,
            entries,
            entry_bytes,
            what,
        })
    }
}

/// Entries of a table of xattrs, fragments and owners.
const XATTR_ENTRY_BYTES: u64 = 16;
const FRAGMENT_ENTRY_BYTES: u64 = 16;
const OWNER_ENTRY_BYTES: u64 = 4;
/// What stands before the index of the table of extended attributes.
const XATTR_HEAD: usize = 16;

/// Where everything is.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) inodes: Range<u64>,
    pub(super) directories: Range<u64>,
    fragments: Option<Table>,
    owners: Table,
    /// Sets of extended attributes, and where their names and values are.
    xattrs: Option<(Table, Range<u64>)>,
}

impl Tables {
    pub(super) fn open(file: &impl Payload, head: &Head) -> Result<Self, ReadError> {
        let owners = u64::from(head.owners);
        if owners == 0 {
            return Err(damaged(26, "there are no owners"));
        }
        let what = "the table of owners";
        let owners = Table::open(file, head.owner_table, owners, OWNER_ENTRY_BYTES, what)?;
        let fragments = match (head.fragments, head.fragment_table) {
            (0, _) | (_, NONE_U64) => None,
            (count, index) => {
                let (count, what) = (u64::from(count), "the table of fragments");
                Some(Table::open(file, index, count, FRAGMENT_ENTRY_BYTES, what)?)
            }
        };
        let xattrs = match head.xattr_table {
            NONE_U64 => None,
            at => xattrs(file, at)?,
        };
        // Directories end where the next table starts: its index, or its blocks before that.
        let mut end = owners.blocks.start;
        if let Some(fragments) = &fragments {
            end = end.min(fragments.blocks.start);
        }
        if head.export_table != NONE_U64 {
            let mut first = [0; 8];
            read(file, head.export_table, &mut first, "the table of exports")?;
            end = end.min(u64::from_le_bytes(first));
        }
        if head.inode_table >= head.directory_table || head.directory_table > end {
            return Err(damaged(64, "the tables are not in their order"));
        }
        Ok(Self {
            inodes: head.inode_table..head.directory_table,
            directories: head.directory_table..end,
            fragments,
            owners,
            xattrs,
        })
    }
}

fn xattrs(file: &impl Payload, at: u64) -> Result<Option<(Table, Range<u64>)>, ReadError> {
    let what = "the table of extended attributes";
    let mut head = [0; XATTR_HEAD];
    read(file, at, &mut head, what)?;
    let (start, sets) = (u64_le(&head, 0), u64::from(u32_le(&head, 8)));
    if sets == 0 {
        return Ok(None);
    }
    let index = at.saturating_add(XATTR_HEAD as u64);
    let mut table = Table::open(file, index, sets, XATTR_ENTRY_BYTES, what)?;
    table.blocks.end = at;
    if start >= table.blocks.start {
        return Err(damaged(
            at,
            "extended attributes do not stand before their table",
        ));
    }
    let pairs = start..table.blocks.start;
    Ok(Some((table, pairs)))
}

impl<P: Payload> SquashfsReader<P> {
    /// Fills `out` with an entry of a table.
    fn entry_of(&self, table: &Table, number: u64, out: &mut [u8]) -> Result<(), ReadError> {
        if number >= table.entries {
            return Err(damaged(table.index, "a number is not in its table"));
        }
        let per_block = METADATA_BYTES as u64 / table.entry_bytes;
        let place = table.index + number / per_block * 8;
        let mut pointer = [0; 8];
        read(&self.file, place, &mut pointer, table.what)?;
        let block = u64::from_le_bytes(pointer).checked_sub(table.blocks.start);
        let what = "a table's block does not stand in it";
        let block = block.ok_or_else(|| damaged(place, what))?;
        let offset = u16::try_from(number % per_block * table.entry_bytes).unwrap_or(u16::MAX);
        let mut cursor = Cursor::new(&table.blocks, block, offset);
        self.next_bytes(&mut cursor, out, table.what)
    }

    /// An owner or group by its number.
    pub(super) fn owner(&self, number: u16) -> Result<u32, ReadError> {
        let mut id = [0; 4];
        self.entry_of(&self.tables.owners, u64::from(number), &mut id)?;
        Ok(u32::from_le_bytes(id))
    }

    /// Where a fragment is and its length with the flag, by its number.
    pub(super) fn fragment(&self, number: u32) -> Result<(u64, u32), ReadError> {
        let what = "a file is in a fragment, and there are none";
        let table = self.tables.fragments.as_ref();
        let table = table.ok_or_else(|| damaged(80, what))?;
        let mut entry = [0; 16];
        self.entry_of(table, u64::from(number), &mut entry)?;
        Ok((u64_le(&entry, 0), u32_le(&entry, 8)))
    }

    /// Of a set of extended attributes by its number: where they start and how many there are.
    pub(super) fn xattr_set(&self, number: u32) -> Result<(Cursor, u32), ReadError> {
        let (table, pairs) = self.xattr_table()?;
        let mut entry = [0; 16];
        self.entry_of(table, u64::from(number), &mut entry)?;
        let cursor = Cursor::from_reference(pairs, u64_le(&entry, 0));
        Ok((cursor, u32_le(&entry, 8)))
    }

    /// The value of an extended attribute that stands with another one.
    pub(super) fn xattr_elsewhere(&self, reference: u64) -> Result<Cursor, ReadError> {
        let (_, pairs) = self.xattr_table()?;
        Ok(Cursor::from_reference(pairs, reference))
    }

    fn xattr_table(&self) -> Result<&(Table, Range<u64>), ReadError> {
        let what = "a name has extended attributes, and there are none";
        self.tables.xattrs.as_ref().ok_or_else(|| damaged(56, what))
    }
}
