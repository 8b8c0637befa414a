//! A tar writer that writes what it is told (POSIX.1-2017 pax, "ustar Interchange Format" and "pax
//! Interchange Format"; GNU tar manual, "Basic Tar Format").

use crate::layer::{Dialect, Entry, Kind, Layer, SparseFormat};

/// Size of a tar block in bytes.
pub const BLOCK: usize = 512;

/// Writes a whole layer.
pub fn write(layer: &Layer) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in &layer.entries {
        write_entry(&mut out, entry);
    }
    if !layer.no_end_marker {
        out.resize(out.len() + 2 * BLOCK, 0);
    }
    out.extend_from_slice(&layer.trailing);
    out
}

/// One record of a PAX extended header: length, key, value.
pub fn pax_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3; // space, equals sign, newline
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [format!("{length} ").as_bytes(), key, b"=", value, b"\n"].concat()
}

/// A header as it will stand in the tar.
struct Header<'a> {
    name: &'a [u8],
    prefix: &'a [u8],
    link: &'a [u8],
    mode: u32,
    uid: u64,
    gid: u64,
    mtime: i64,
    size: u64,
    type_flag: u8,
    device: (u32, u32),
    gnu: bool,
}

const NAME_BYTES: usize = 100;
const PREFIX_BYTES: usize = 155;

impl Header<'_> {
    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0u8; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.name[..self.name.len().min(NAME_BYTES)]);
        put(100, &number(i128::from(self.mode), 8));
        put(108, &number(i128::from(self.uid), 8));
        put(116, &number(i128::from(self.gid), 8));
        put(124, &number(i128::from(self.size), 12));
        put(136, &number(i128::from(self.mtime), 12));
        put(156, &[self.type_flag]);
        put(157, &self.link[..self.link.len().min(NAME_BYTES)]);
        put(
            257,
            if self.gnu {
                b"ustar  \0"
            } else {
                b"ustar\x0000"
            },
        );
        if matches!(self.type_flag, b'3' | b'4') {
            put(329, &number(i128::from(self.device.0), 8));
            put(337, &number(i128::from(self.device.1), 8));
        }
        put(345, self.prefix);
        block
    }
}

/// A numeric field: octal digits and NUL, or GNU's base-256 where they do not suffice.
fn number(value: i128, width: usize) -> Vec<u8> {
    let digits = u32::try_from(width - 1).unwrap();
    if (0..8i128.pow(digits)).contains(&value) {
        return format!("{value:0pad$o}\0", pad = width - 1).into_bytes();
    }
    let mut field = value.to_be_bytes()[16 - width..].to_vec();
    field[0] |= 0x80;
    field
}

/// Puts the checksum into a header block.
fn seal(block: &mut [u8; BLOCK], wrong: bool) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    let text = format!("{:06o}\0 ", sum + u32::from(wrong));
    block[148..156].copy_from_slice(text.as_bytes());
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(BLOCK), 0);
}

/// An entry that describes the next one: PAX records (`x`), a GNU long name (`L`) or target (`K`).
fn write_extension(out: &mut Vec<u8>, type_flag: u8, body: &[u8]) {
    let header = Header {
        name: match type_flag {
            b'x' => b"PaxHeaders/entry",
            _ => b"././@LongLink",
        },
        prefix: b"",
        link: b"",
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: 0,
        size: body.len() as u64,
        type_flag,
        device: (0, 0),
        gnu: type_flag != b'x',
    };
    let mut block = header.block();
    seal(&mut block, false);
    out.extend_from_slice(&block);
    out.extend_from_slice(body);
    pad(out);
}

/// What a kind puts into the header and behind it.
struct Parts<'a> {
    type_flag: u8,
    link: &'a [u8],
    device: (u32, u32),
    body: Vec<u8>,
    /// The map that an old GNU header holds itself.
    gnu_map: Option<GnuMap>,
}

struct GnuMap {
    ranges: Vec<(u64, u64)>,
    size: u64,
}

fn write_entry(out: &mut Vec<u8>, entry: &Entry) {
    let mut records = Vec::new();
    let parts = parts(entry, &mut records);
    let mut header = Header {
        name: &entry.path,
        prefix: b"",
        link: parts.link,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        mtime: entry.mtime,
        size: entry.size_field.unwrap_or(parts.body.len() as u64),
        type_flag: parts.type_flag,
        device: parts.device,
        gnu: entry.dialect == Dialect::Gnu || parts.gnu_map.is_some(),
    };
    if entry.dialect == Dialect::Prefix
        && let Some((prefix, name)) = split_prefix(&entry.path)
    {
        (header.prefix, header.name) = (prefix, name);
    }
    if header.gnu {
        if header.name.len() > NAME_BYTES {
            write_extension(out, b'L', &[header.name, b"\0"].concat());
        }
        if header.link.len() > NAME_BYTES {
            write_extension(out, b'K', &[header.link, b"\0"].concat());
        }
    } else {
        move_to_records(&mut header, &mut records);
    }
    for (key, value) in &entry.pax {
        records.extend(pax_record(key, value));
    }
    if !records.is_empty() {
        write_extension(out, b'x', &records);
    }
    let mut block = header.block();
    let map_blocks = match &parts.gnu_map {
        Some(map) => old_gnu_map(&mut block, map),
        None => Vec::new(),
    };
    seal(&mut block, entry.wrong_checksum);
    out.extend_from_slice(&block);
    out.extend_from_slice(&map_blocks);
    out.extend_from_slice(&parts.body);
    pad(out);
}

/// Writes as PAX records what the header has no room for.
fn move_to_records(header: &mut Header<'_>, records: &mut Vec<u8>) {
    const MAX_ID: u64 = 0o7_777_777;
    const MAX_TIME: i64 = 0o77_777_777_777;
    if header.name.len() > NAME_BYTES {
        records.extend(pax_record(b"path", header.name));
    }
    if header.link.len() > NAME_BYTES {
        records.extend(pax_record(b"linkpath", header.link));
    }
    for (key, id) in [("uid", &mut header.uid), ("gid", &mut header.gid)] {
        if *id > MAX_ID {
            records.extend(pax_record(key.as_bytes(), id.to_string().as_bytes()));
            *id = 0;
        }
    }
    if !(0..=MAX_TIME).contains(&header.mtime) {
        let time = header.mtime.to_string();
        records.extend(pax_record(b"mtime", time.as_bytes()));
        header.mtime = 0;
    }
}

/// Splits a name at a slash so that both parts fit ("ustar Interchange Format", prefix).
fn split_prefix(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let fits = |&slash: &usize| {
        path[slash] == b'/' && slash <= PREFIX_BYTES && path.len() - slash - 1 <= NAME_BYTES
    };
    let slash = (1..path.len().saturating_sub(1)).find(fits)?;
    (path.len() > NAME_BYTES).then(|| (&path[..slash], &path[slash + 1..]))
}

fn parts<'a>(entry: &'a Entry, records: &mut Vec<u8>) -> Parts<'a> {
    let mut parts = Parts {
        type_flag: b'0',
        link: b"",
        device: (0, 0),
        body: Vec::new(),
        gnu_map: None,
    };
    match &entry.kind {
        Kind::File(content) => parts.body.clone_from(content),
        Kind::Dir => parts.type_flag = b'5',
        Kind::Symlink(target) => (parts.type_flag, parts.link) = (b'2', target),
        Kind::Hardlink(target) => (parts.type_flag, parts.link) = (b'1', target),
        Kind::Char(major, minor) => (parts.type_flag, parts.device) = (b'3', (*major, *minor)),
        Kind::Block(major, minor) => (parts.type_flag, parts.device) = (b'4', (*major, *minor)),
        Kind::Fifo => parts.type_flag = b'6',
        Kind::Raw(flag, body) => (parts.type_flag, parts.body) = (*flag, body.clone()),
        Kind::Sparse {
            format,
            size,
            chunks,
        } => sparse(entry, *format, *size, chunks, &mut parts, records),
    }
    parts
}

fn sparse(
    entry: &Entry,
    format: SparseFormat,
    size: u64,
    chunks: &[(u64, Vec<u8>)],
    parts: &mut Parts<'_>,
    records: &mut Vec<u8>,
) {
    let mut ranges: Vec<(u64, u64)> = chunks.iter().map(|(at, d)| (*at, d.len() as u64)).collect();
    // GNU tar marks a hole at the end with a range of no bytes.
    if ranges.last().is_none_or(|(at, length)| at + length < size) {
        ranges.push((size, 0));
    }
    let data = chunks.iter().flat_map(|(_, data)| data.iter().copied());
    let mut record = |key: &str, value: String| {
        records.extend(pax_record(
            format!("GNU.sparse.{key}").as_bytes(),
            value.as_bytes(),
        ));
    };
    match format {
        SparseFormat::OldGnu => {
            parts.type_flag = b'S';
            parts.gnu_map = Some(GnuMap { ranges, size });
        }
        SparseFormat::Pax00 => {
            record("size", size.to_string());
            record("numblocks", ranges.len().to_string());
            for (at, length) in &ranges {
                record("offset", at.to_string());
                record("numbytes", length.to_string());
            }
        }
        SparseFormat::Pax01 => {
            record("size", size.to_string());
            record("numblocks", ranges.len().to_string());
            let numbers = ranges.iter().flat_map(|(at, length)| [at, length]);
            let numbers: Vec<String> = numbers.map(u64::to_string).collect();
            record("map", numbers.join(","));
        }
        SparseFormat::Pax10 => {
            record("major", "1".into());
            record("minor", "0".into());
            let name = String::from_utf8(entry.path.clone()).expect("a UTF-8 name");
            record("name", name);
            record("realsize", size.to_string());
            let mut map = format!("{}\n", ranges.len());
            for (at, length) in &ranges {
                map.push_str(&format!("{at}\n{length}\n"));
            }
            parts.body.extend_from_slice(map.as_bytes());
            pad(&mut parts.body);
        }
    }
    parts.body.extend(data);
}

/// Puts a sparse map into an old GNU header; what does not fit comes back as blocks to follow it.
fn old_gnu_map(block: &mut [u8; BLOCK], map: &GnuMap) -> Vec<u8> {
    const IN_HEADER: usize = 4;
    const PER_BLOCK: usize = 21;
    let slot = |(at, length): &(u64, u64)| {
        let mut slot = number(i128::from(*at), 12);
        slot.extend(number(i128::from(*length), 12));
        slot
    };
    let (first, rest) = map.ranges.split_at(map.ranges.len().min(IN_HEADER));
    let slots: Vec<u8> = first.iter().flat_map(slot).collect();
    block[386..386 + slots.len()].copy_from_slice(&slots);
    block[482] = u8::from(!rest.is_empty());
    block[483..495].copy_from_slice(&number(i128::from(map.size), 12));
    let mut out = Vec::new();
    let blocks = rest.chunks(PER_BLOCK);
    let count = blocks.len();
    for (index, ranges) in blocks.enumerate() {
        let start = out.len();
        out.extend(ranges.iter().flat_map(slot));
        out.resize(start + BLOCK, 0);
        out[start + PER_BLOCK * 24] = u8::from(index + 1 < count);
    }
    out
}
