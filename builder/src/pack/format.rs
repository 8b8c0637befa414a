//! The pack file.
//!
//! ```text
//! "LKPACK03"                        8 bytes
//! bodies                            segments one after the other
//! index                             see `Index::encode`
//! footer                            offset and length of the index (u64 LE each),
//!                                   XXH3-128 of the index (LE), "LKPACK03"
//! ```

use formats::compress::BodyInfo;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::codec::{Decoder, Encoder};
use crate::layer::{Entry, EntryKind, Meta, Xattr};

/// First and last bytes of a pack.
pub const MAGIC: [u8; 8] = *b"LKPACK03";
/// Length of the footer in bytes.
pub const FOOTER_BYTES: usize = 8 + 8 + 16 + 8;
/// An index larger than this is not ours: 4 million entries take less.
pub const MAX_INDEX_BYTES: u64 = 1 << 30;

/// A stretch of a stored body that is read and checked as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRecord {
    /// Bytes of the body that it holds.
    pub plain_bytes: u32,
    /// Bytes in the pack.
    pub stored_bytes: u32,
    /// XXH3-64 of those bytes.
    pub check: u64,
}

/// One file body of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyRecord {
    /// Where its first segment starts in the pack, in bytes.
    pub offset: u64,
    /// Length and CRC-32 of the file.
    pub info: BodyInfo,
    /// Its segments in order, one right after the other.
    pub segments: Vec<SegmentRecord>,
}

/// A tar inside the layer (kernel.tar) whose files are bodies of the pack too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nested {
    /// Which of the layer's entries it is.
    pub entry: u32,
    /// Its own entries.
    pub entries: Vec<Entry>,
    /// As [`Index::body_of`].
    pub body_of: Vec<Option<u32>>,
}

/// What a pack holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The key the pack was made for; a renamed file is noticed by it.
    pub key: String,
    /// SHA-256 of the uncompressed layer.
    pub diff_id: [u8; 32],
    /// Length of the uncompressed layer in bytes.
    pub uncompressed_bytes: u64,
    /// The layer's entries in order.
    pub entries: Vec<Entry>,
    /// For each entry its body, where it is a file that is not empty.
    pub body_of: Vec<Option<u32>>,
    /// Bodies in the order of the file.
    pub bodies: Vec<BodyRecord>,
    /// The tar inside, where one was asked for and is there.
    pub nested: Option<Nested>,
}

impl Index {
    /// Bytes of all bodies, uncompressed.
    pub fn body_bytes(&self) -> u64 {
        self.bodies.iter().map(|b| b.info.bytes).sum()
    }

    /// The index as it stands in the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        out.bytes(self.key.as_bytes());
        out.bytes(&self.diff_id);
        out.number(self.uncompressed_bytes);
        out.number(self.bodies.len() as u64);
        for body in &self.bodies {
            out.number(body.offset);
            out.number(body.info.bytes);
            out.number(u64::from(body.info.crc32));
            out.number(body.segments.len() as u64);
            for segment in &body.segments {
                out.number(u64::from(segment.plain_bytes));
                out.number(u64::from(segment.stored_bytes));
                out.fixed64(segment.check);
            }
        }
        encode_entries(&mut out, &self.entries, &self.body_of);
        match &self.nested {
            None => out.number(0),
            Some(nested) => {
                out.number(1);
                out.number(u64::from(nested.entry));
                encode_entries(&mut out, &nested.entries, &nested.body_of);
            }
        }
        out.0
    }

    /// Reads an index back; `None` where it is none, or names bodies that are not there.
    /// Bodies are checked to lie before `end_of_bodies`, the offset of the index in the file.
    pub fn decode(bytes: &[u8], end_of_bodies: u64) -> Option<Index> {
        let mut input = Decoder(bytes);
        let key = String::from_utf8(input.bytes()?.to_vec()).ok()?;
        let diff_id = input.bytes()?.try_into().ok()?;
        let uncompressed_bytes = input.number()?;
        let count = input.count(4)?;
        let mut bodies = Vec::with_capacity(count);
        for _ in 0..count {
            bodies.push(decode_body(&mut input, end_of_bodies)?);
        }
        let (entries, body_of) = decode_entries(&mut input, count)?;
        let nested = match input.number()? {
            0 => None,
            1 => {
                let entry = input.number32().filter(|&e| (e as usize) < entries.len())?;
                let (entries, body_of) = decode_entries(&mut input, count)?;
                Some(Nested {
                    entry,
                    entries,
                    body_of,
                })
            }
            _ => return None,
        };
        let index = Index {
            key,
            diff_id,
            uncompressed_bytes,
            entries,
            body_of,
            bodies,
            nested,
        };
        input.0.is_empty().then_some(index)
    }
}

/// The footer of a pack whose index stands at `offset`.
pub fn footer(offset: u64, index: &[u8]) -> [u8; FOOTER_BYTES] {
    let mut footer = [0; FOOTER_BYTES];
    footer[..8].copy_from_slice(&offset.to_le_bytes());
    footer[8..16].copy_from_slice(&(index.len() as u64).to_le_bytes());
    footer[16..32].copy_from_slice(&xxh3_128(index).to_le_bytes());
    footer[32..].copy_from_slice(&MAGIC);
    footer
}

/// Offset, length and checksum that a footer names; `None` where it is none.
pub fn parse_footer(footer: &[u8; FOOTER_BYTES]) -> Option<(u64, u64, u128)> {
    let (numbers, magic) = footer.split_at(32);
    if magic != MAGIC {
        return None;
    }
    let offset = u64::from_le_bytes(numbers[..8].try_into().ok()?);
    let length = u64::from_le_bytes(numbers[8..16].try_into().ok()?);
    let check = u128::from_le_bytes(numbers[16..].try_into().ok()?);
    (length <= MAX_INDEX_BYTES).then_some((offset, length, check))
}

/// The checksum of an index.
pub fn index_check(index: &[u8]) -> u128 {
    xxh3_128(index)
}

/// The checksum of a segment.
pub fn segment_check(stored: &[u8]) -> u64 {
    xxh3_64(stored)
}

fn decode_body(input: &mut Decoder<'_>, end_of_bodies: u64) -> Option<BodyRecord> {
    let offset = input.number()?;
    let info = BodyInfo {
        bytes: input.number()?,
        crc32: input.number32()?,
    };
    let count = input.count(10)?;
    let mut segments = Vec::with_capacity(count);
    let mut end = offset;
    let mut plain = 0u64;
    for _ in 0..count {
        let plain_bytes = input.number32()?;
        plain = plain.checked_add(u64::from(plain_bytes))?;
        let stored_bytes = input.number32()?;
        end = end
            .checked_add(u64::from(stored_bytes))
            .filter(|&end| end <= end_of_bodies)?;
        segments.push(SegmentRecord {
            plain_bytes,
            stored_bytes,
            check: input.fixed64()?,
        });
    }
    (plain == info.bytes).then_some(BodyRecord {
        offset,
        info,
        segments,
    })
}

fn encode_entries(out: &mut Encoder, entries: &[Entry], body_of: &[Option<u32>]) {
    out.number(entries.len() as u64);
    for (entry, body) in entries.iter().zip(body_of) {
        out.bytes(&entry.path);
        out.number(u64::from(entry.meta.mode));
        out.number(u64::from(entry.meta.uid));
        out.number(u64::from(entry.meta.gid));
        out.signed(entry.meta.mtime);
        out.number(entry.xattrs.len() as u64);
        for xattr in &entry.xattrs {
            out.bytes(&xattr.name);
            out.bytes(&xattr.value);
        }
        match &entry.kind {
            EntryKind::Directory => out.number(0),
            EntryKind::File { size } => {
                out.number(1);
                out.number(*size);
                out.number(body.map_or(0, |b| u64::from(b) + 1));
            }
            EntryKind::HardLink { target } => {
                out.number(2);
                out.bytes(target);
            }
            EntryKind::Symlink { target } => {
                out.number(3);
                out.bytes(target);
            }
            EntryKind::CharDevice { major, minor } => {
                out.number(4);
                out.number(u64::from(*major));
                out.number(u64::from(*minor));
            }
            EntryKind::BlockDevice { major, minor } => {
                out.number(5);
                out.number(u64::from(*major));
                out.number(u64::from(*minor));
            }
            EntryKind::Fifo => out.number(6),
            EntryKind::Whiteout => out.number(7),
            EntryKind::Opaque => out.number(8),
        }
    }
}

fn decode_entries(
    input: &mut Decoder<'_>,
    bodies: usize,
) -> Option<(Vec<Entry>, Vec<Option<u32>>)> {
    let count = input.count(7)?;
    let mut entries = Vec::with_capacity(count);
    let mut body_of = Vec::with_capacity(count);
    for _ in 0..count {
        let path = input.bytes()?.to_vec();
        let meta = Meta {
            mode: input
                .number()?
                .try_into()
                .ok()
                .filter(|&mode: &u16| mode <= 0o7777)?,
            uid: input.number32()?,
            gid: input.number32()?,
            mtime: input.signed()?,
        };
        let xattr_count = input.count(2)?;
        let mut xattrs = Vec::with_capacity(xattr_count);
        for _ in 0..xattr_count {
            xattrs.push(Xattr {
                name: input.bytes()?.into(),
                value: input.bytes()?.into(),
            });
        }
        let mut body = None;
        let kind = match input.number()? {
            0 => EntryKind::Directory,
            1 => {
                let size = input.number()?;
                if let Some(index) = input.number32()?.checked_sub(1) {
                    body = Some(index).filter(|&b| (b as usize) < bodies);
                    body?;
                }
                EntryKind::File { size }
            }
            2 => EntryKind::HardLink {
                target: input.bytes()?.to_vec(),
            },
            3 => EntryKind::Symlink {
                target: input.bytes()?.to_vec(),
            },
            4 => EntryKind::CharDevice {
                major: input.number32()?,
                minor: input.number32()?,
            },
            5 => EntryKind::BlockDevice {
                major: input.number32()?,
                minor: input.number32()?,
            },
            6 => EntryKind::Fifo,
            7 => EntryKind::Whiteout,
            8 => EntryKind::Opaque,
            _ => return None,
        };
        entries.push(Entry {
            path,
            meta,
            xattrs,
            kind,
        });
        body_of.push(body);
    }
    Some((entries, body_of))
}
