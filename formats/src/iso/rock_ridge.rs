//! System use fields: SUSP 1.12 (IEEE P1281) and Rock Ridge, RRIP 1.12 (IEEE P1282).

use super::format::{RECORD_MAX_BYTES, SECTOR, Section, Time, both32, record_bytes};
use super::tree::{Kind, Node, NodeId};

/// Version of all fields.
const VERSION: u8 = 1;

/// Length of a CE field (SUSP 5.1).
const CE_BYTES: usize = 28;

/// Bytes of a name in one NM field, which has five more.
const NM_MAX: usize = 250;
/// Bytes of component records in one SL field, which has five more.
const SL_MAX: usize = 250;

/// Flag: the name, target or component goes on in the next field.
const CONTINUE: u8 = 1;
/// Flags of SL's component records (RRIP 4.1.3.1).
const CURRENT: u8 = 2;
const PARENT: u8 = 4;
const ROOT: u8 = 8;

/// Identifier, description and source of the extension (RRIP 4.3), as the specification gives them.
const ER_ID: &str = "IEEE_P1282";
const ER_DESCRIPTION: &str =
    "THE IEEE P1282 PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS";
const ER_SOURCE: &str = "PLEASE CONTACT THE IEEE STANDARDS DEPARTMENT, PISCATAWAY, NJ, USA \
                         FOR THE P1282 SPECIFICATION.";

fn field(signature: &[u8; 2], content: &[u8]) -> Vec<u8> {
    let bytes = u8::try_from(content.len() + 4).unwrap_or(u8::MAX);
    let mut field = vec![signature[0], signature[1], bytes, VERSION];
    field.extend_from_slice(content);
    field
}

/// SP: the root folder's first field, which says that there are such fields (SUSP 5.3).
fn sp() -> Vec<u8> {
    field(b"SP", &[0xbe, 0xef, 0])
}

/// ER: which extension they are of (SUSP 5.5).
fn er() -> Vec<u8> {
    let texts = [ER_ID, ER_DESCRIPTION, ER_SOURCE];
    let length = |text: &str| u8::try_from(text.len()).unwrap_or(u8::MAX);
    let mut content: Vec<u8> = texts.iter().map(|text| length(text)).collect();
    content.push(1);
    content.extend(texts.concat().into_bytes());
    field(b"ER", &content)
}

const S_IFIFO: u32 = 0o010_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;

/// PX: mode, links, owner, group, serial number (RRIP 4.1.1).
fn px(node: &Node, id: NodeId) -> Vec<u8> {
    let kind = match node.kind {
        Kind::Folder(_) => S_IFDIR,
        Kind::File(_) => S_IFREG,
        Kind::Symlink(_) => S_IFLNK,
        Kind::CharDevice(..) => S_IFCHR,
        Kind::BlockDevice(..) => S_IFBLK,
        Kind::Fifo => S_IFIFO,
    };
    let attributes = node.attributes;
    // 0 would mean that there is none.
    let serial = u32::try_from(id + 1).unwrap_or(u32::MAX);
    let numbers = [
        kind | u32::from(attributes.mode),
        node.links,
        attributes.uid,
        attributes.gid,
        serial,
    ];
    field(b"PX", &numbers.map(both32).concat())
}

/// TF: last changed, last read, attributes last changed (RRIP 4.1.6); we know one time.
fn tf(time: Time) -> Vec<u8> {
    const MODIFY: u8 = 2;
    const ACCESS: u8 = 4;
    const ATTRIBUTES: u8 = 8;
    let mut content = vec![MODIFY | ACCESS | ATTRIBUTES];
    content.extend([time.short(); 3].concat());
    field(b"TF", &content)
}

/// PN: a device's number (RRIP 4.1.2), whose halves nobody agrees on. Where the number is a small
/// one, all understand it as 16 bits in the lower half; others in the way of Linux, major and minor.
fn pn(major: u32, minor: u32) -> Vec<u8> {
    let halves = match (major, minor) {
        (1..=0xff, 0..=0xff) => [0, major << 8 | minor],
        _ => [major, minor],
    };
    field(b"PN", &halves.map(both32).concat())
}

/// NM: the name (RRIP 4.1.4).
fn nm(name: &[u8], fields: &mut Vec<Vec<u8>>) {
    let mut parts = name.chunks(NM_MAX).peekable();
    while let Some(part) = parts.next() {
        let flags = if parts.peek().is_some() { CONTINUE } else { 0 };
        fields.push(field(b"NM", &[&[flags], part].concat()));
    }
}

/// SL: a link's target, by its components (RRIP 4.1.3).
fn sl(target: &[u8], fields: &mut Vec<Vec<u8>>) {
    let mut records: Vec<Vec<u8>> = Vec::new();
    let relative = target.strip_prefix(b"/");
    if relative.is_some() {
        records.push(vec![ROOT, 0]);
    }
    let rest = relative.unwrap_or(target);
    // Of "/" nothing is left; all else has components, empty ones among them.
    if !rest.is_empty() {
        for component in rest.split(|&byte| byte == b'/') {
            match component {
                b"." => records.push(vec![CURRENT, 0]),
                b".." => records.push(vec![PARENT, 0]),
                b"" => records.push(vec![0, 0]),
                name => {
                    let mut parts = name.chunks(SL_MAX - 2).peekable();
                    while let Some(part) = parts.next() {
                        let flags = if parts.peek().is_some() { CONTINUE } else { 0 };
                        let bytes = u8::try_from(part.len()).unwrap_or(u8::MAX);
                        records.push([&[flags, bytes], part].concat());
                    }
                }
            }
        }
    }
    let mut content: Vec<u8> = Vec::new();
    let mut finished = Vec::new();
    for record in records {
        if content.len() + record.len() > SL_MAX {
            finished.push(std::mem::take(&mut content));
        }
        content.extend(record);
    }
    finished.push(content);
    let last = finished.len() - 1;
    for (index, content) in finished.into_iter().enumerate() {
        let flags = if index < last { CONTINUE } else { 0 };
        fields.push(field(b"SL", &[&[flags], &content[..]].concat()));
    }
}

/// Which record of a folder the fields are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// "." of the root.
    Root,
    /// "." of another folder, or "..".
    Dots,
    /// A name.
    Name(&'a [u8]),
}

/// The fields of a record, in order.
fn fields(node: &Node, id: NodeId, place: Place<'_>, time: Time) -> Vec<Vec<u8>> {
    let mut fields = Vec::new();
    if place == Place::Root {
        fields.push(sp());
    }
    fields.push(px(node, id));
    fields.push(tf(time));
    if let Place::Name(name) = place {
        match &node.kind {
            Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) => {
                fields.push(pn(*major, *minor));
            }
            _ => {}
        }
        nm(name, &mut fields);
        if let Kind::Symlink(target) = &node.kind {
            sl(target, &mut fields);
        }
    }
    if place == Place::Root {
        fields.push(er());
    }
    fields
}

/// Where fields go that have no room in their record (SUSP 5.1): sectors of their own.
#[derive(Debug, Default)]
pub(super) struct Continuations {
    pub(super) start_lba: u32,
    /// Whole sectors but for the last.
    pub(super) bytes: Vec<u8>,
}

impl Continuations {
    pub(super) fn new(start_lba: u32) -> Self {
        Self {
            start_lba,
            bytes: Vec::new(),
        }
    }

    pub(super) fn sectors(&self) -> u64 {
        self.bytes.len().div_ceil(SECTOR) as u64
    }

    /// The system use fields of a record with this identifier; what does not fit goes here.
    pub(super) fn system_use(
        &mut self,
        node: &Node,
        id: NodeId,
        place: Place<'_>,
        time: Time,
        identifier: &[u8],
    ) -> Vec<u8> {
        let fields = fields(node, id, place, time);
        let room = RECORD_MAX_BYTES - record_bytes(identifier);
        let (inline, rest) = split(&fields, room);
        let mut system_use = inline.concat();
        if !rest.is_empty() {
            system_use.extend(self.add(rest));
        }
        system_use
    }

    /// Stores fields and gives the CE field that points at them.
    fn add(&mut self, fields: &[Vec<u8>]) -> Vec<u8> {
        // An area must not cross a sector's end. One with no room for the longest field and a
        // pointer to more is begun in the next.
        const LEAST_ROOM: usize = 255 + CE_BYTES;
        let used = self.bytes.len() % SECTOR;
        let total: usize = fields.iter().map(Vec::len).sum();
        if used > 0 && SECTOR - used < total.min(LEAST_ROOM) {
            let whole = self.bytes.len().next_multiple_of(SECTOR);
            self.bytes.resize(whole, 0);
        }
        let start = self.bytes.len();
        let (now, rest) = split(fields, SECTOR - start % SECTOR);
        self.bytes.extend(now.concat());
        if !rest.is_empty() {
            let pointer_at = self.bytes.len();
            self.bytes.resize(pointer_at + CE_BYTES, 0);
            let end = self.bytes.len();
            let pointer = self.add(rest);
            self.bytes[pointer_at..end].copy_from_slice(&pointer);
            return self.pointer(start, end - start);
        }
        let bytes = self.bytes.len() - start;
        self.pointer(start, bytes)
    }

    fn pointer(&self, start: usize, bytes: usize) -> Vec<u8> {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let area = Section {
            lba: self.start_lba + number(start / SECTOR),
            bytes: number(bytes),
        };
        let numbers = [area.lba, number(start % SECTOR), area.bytes];
        field(b"CE", &numbers.map(both32).concat())
    }
}

/// As many fields as fit, with room for a CE field where not all do.
fn split(fields: &[Vec<u8>], room: usize) -> (&[Vec<u8>], &[Vec<u8>]) {
    let total: usize = fields.iter().map(Vec::len).sum();
    if total <= room {
        return (fields, &[]);
    }
    let room = room.saturating_sub(CE_BYTES);
    let mut used = 0;
    let count = fields.iter().take_while(|field| {
        used += field.len();
        used <= room
    });
    fields.split_at(count.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components(target: &[u8]) -> Vec<Vec<u8>> {
        let mut fields = Vec::new();
        sl(target, &mut fields);
        fields
    }

    #[test]
    fn targets_are_cut_into_components() {
        assert_eq!(components(b"/"), [b"SL\x07\x01\0\x08\0".to_vec()]);
        assert_eq!(components(b"a"), [b"SL\x08\x01\0\0\x01a".to_vec()]);
        assert_eq!(
            components(b"../b//c/."),
            [b"SL\x11\x01\0\x04\0\0\x01b\0\0\0\x01c\x02\0".to_vec()]
        );
        let long = components(&[b'x'; 4000]);
        assert!(long.iter().all(|field| field.len() <= 255));
        assert!(long.len() > 15);
        assert_eq!(long[0][4], CONTINUE);
        assert_eq!(long.last().map(|field| field[4]), Some(0));
    }

    #[test]
    fn continuations_stay_in_their_sectors() {
        let mut area = Continuations::new(100);
        for bytes in [300, 1700, 100, 200, 4000, 5, 250, 2047] {
            let fields: Vec<_> = vec![7; bytes]
                .chunks(250)
                .map(|chunk| field(b"XX", chunk))
                .collect();
            let pointer = area.add(&fields);
            let word = |at: usize| u32::from_le_bytes(*pointer[at..].first_chunk().unwrap());
            let (offset, bytes) = (word(12), word(20));
            assert!(bytes > 0 && offset + bytes <= 2048, "{offset} {bytes}");
            assert!(word(4) >= 100 && u64::from(word(4)) < 100 + area.sectors());
        }
    }
}
