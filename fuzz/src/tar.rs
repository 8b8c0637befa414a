//! Our walk over a tar against that of the crate tar-core, entry by entry.
//!
//! Only what both accept is compared, up to the first entry that one of them refuses. What they are
//! known to read differently ends the comparison:
//!
//! * links, folders, devices and pipes whose header has a size: no body here, as in Go's reader;
//!   a body there;
//! * a name or target both in a GNU entry and in a PAX record: GNU's counts here, as in Go's reader;
//! * links, folders, devices and pipes with the records of a sparse file: nothing here; its size there;
//! * an empty PAX value: here it cancels the record, as POSIX has it;
//! * type flags other than those of layers, which are refused here;
//! * a number in a header with a NUL before digits: NULs are trimmed here, as in Go's reader; the
//!   first one ends the number there;
//! * a GNU name with bytes after its first NUL: cut there here; there only the last NUL is;
//! * several extension headers of a kind, or a sparse file with a record of its size or name
//!   besides those of `GNU.sparse`;
//! * a time before 1970, which is refused there in PAX and wraps in headers;
//! * extension headers in archives of before POSIX: extensions here, files there.
//!
//! Of sparse files the name and the real size are compared, not the body: tar-core leaves it to its
//! caller (`described` compares them).

use std::io::Read;
use std::ops::Range;

use lkbuild::layer::archive::Archive;
use tar_core::parse::{Limits as TheirLimits, ParseEvent, Parser};

use crate::layer::LIMITS;

/// What is compared of an entry.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    name: Vec<u8>,
    link: Vec<u8>,
    uid: u64,
    gid: u64,
    mtime: i64,
    size: u64,
    device: (u32, u32),
}

/// Reads any bytes as a tar in both ways.
pub fn tar(data: &[u8]) {
    let mut archive = Archive::new(data, &LIMITS);
    let mut parser = Parser::new(TheirLimits::default());
    let mut rest = data;
    while let Ok(Some(ours)) = archive.next_entry() {
        let mut body = Vec::new();
        if archive
            .body(&ours)
            .take(1 << 20)
            .read_to_end(&mut body)
            .is_err()
        {
            return;
        }
        let Some((theirs, their_body, consumed)) = next(&mut parser, rest) else {
            return;
        };
        if is_known(&ours, &rest[..consumed.min(rest.len())]) {
            return;
        }
        let is_link = matches!(ours.type_flag, b'1' | b'2');
        let facts = Facts {
            name: ours.name.clone(),
            // Only of links does the target mean anything.
            link: if is_link {
                ours.link.clone()
            } else {
                Vec::new()
            },
            uid: ours.meta.uid.into(),
            gid: ours.meta.gid.into(),
            mtime: ours.meta.mtime,
            size: ours.size,
            device: ours.device,
        };
        let theirs = Facts {
            link: if is_link { theirs.link } else { Vec::new() },
            device: match ours.type_flag {
                b'3' | b'4' => theirs.device,
                _ => (0, 0),
            },
            ..theirs
        };
        assert_eq!(facts, theirs, "ours against theirs");
        if let Some(their_body) = their_body {
            let end = their_body.len().min(1 << 20);
            assert!(body == their_body[..end], "another body");
        }
        let Some(after) = rest.get(consumed..) else {
            return;
        };
        rest = after;
    }
}

/// Their next entry: what is known of it, its body where that has no holes, and how much of the
/// input it takes with its headers and padding.
fn next<'d>(parser: &mut Parser, mut rest: &'d [u8]) -> Option<(Facts, Option<&'d [u8]>, usize)> {
    let mut skipped = 0;
    loop {
        let (consumed, entry, real_size) = match parser.parse(rest).ok()? {
            ParseEvent::GlobalExtensions { consumed, .. } => {
                skipped += consumed;
                rest = rest.get(consumed..)?;
                continue;
            }
            ParseEvent::Entry { consumed, entry } => (consumed, entry, None),
            ParseEvent::SparseEntry {
                consumed,
                entry,
                real_size,
                ..
            } => (consumed, entry, Some(real_size)),
            _ => return None,
        };
        let facts = Facts {
            name: entry.path.to_vec(),
            link: entry.link_target.as_deref().unwrap_or_default().to_vec(),
            uid: entry.uid,
            gid: entry.gid,
            mtime: i64::try_from(entry.mtime).ok()?,
            size: real_size.unwrap_or(entry.size),
            device: (
                entry.dev_major.unwrap_or_default(),
                entry.dev_minor.unwrap_or_default(),
            ),
        };
        let size = usize::try_from(entry.size).ok()?;
        let body = match real_size {
            Some(_) => None,
            None => Some(rest.get(consumed..consumed.checked_add(size)?)?),
        };
        let padded = size.checked_next_multiple_of(512)?;
        return Some((facts, body, skipped + consumed.checked_add(padded)?));
    }
}

/// Owner, group, size, time, device numbers; a sparse file's real size in GNU's header.
const NUMBERS: [Range<usize>; 7] = [
    108..116,
    116..124,
    124..136,
    136..148,
    329..337,
    337..345,
    483..495,
];

/// Whether something follows the first NUL of a number that is text.
fn has_early_nul(field: &[u8]) -> bool {
    let is_text = field[0] & 0x80 == 0;
    let mut rest = field.iter().skip_while(|&&byte| byte != 0);
    is_text && rest.any(|&byte| byte != 0)
}

/// Whether the entry has something that the two are known to read differently.
fn is_known(ours: &lkbuild::layer::archive::RawEntry, raw: &[u8]) -> bool {
    let mut extensions = Vec::new();
    let mut at = 0;
    // The headers up to the entry's own.
    while let Some(header) = raw.get(at..at + 512) {
        let flag = header[156];
        let size = std::str::from_utf8(&header[124..136])
            .ok()
            .and_then(|text| usize::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok());
        if !matches!(flag, b'x' | b'g' | b'L' | b'K') {
            let has_size = header[124..136]
                .iter()
                .any(|&b| !matches!(b, 0 | b'0' | b' '));
            let bodiless = matches!(flag, b'1'..=b'6');
            let other = !matches!(flag, 0 | b'0'..=b'7' | b'S');
            let old = !header[257..].starts_with(b"ustar");
            let old_folder = flag == 0 && ours.type_flag == b'5';
            let with_extension = !extensions.is_empty();
            return other
                || old_folder
                || (bodiless && (has_size || is_sparse(&extensions)))
                || (old && with_extension)
                || ours.meta.mtime < 0
                || NUMBERS
                    .iter()
                    .any(|place| has_early_nul(&header[place.clone()]))
                || disagree(&extensions);
        }
        let Some(size) = size else { return true };
        let Some(body) = raw.get(at + 512..at + 512 + size) else {
            return true;
        };
        if !header[257..].starts_with(b"ustar") {
            return true;
        }
        extensions.push((flag, body));
        at += 512 + size.next_multiple_of(512);
    }
    true
}

/// Whether there are records of a sparse file.
fn is_sparse(extensions: &[(u8, &[u8])]) -> bool {
    const RECORD: &[u8] = b"GNU.sparse.";
    let mut bodies = extensions.iter().map(|(_, body)| body);
    bodies.any(|body| body.windows(RECORD.len()).any(|part| part == RECORD))
}

/// Two names for one thing, or a record without a value.
fn disagree(extensions: &[(u8, &[u8])]) -> bool {
    let count = |flag| extensions.iter().filter(|(f, _)| *f == flag).count();
    let pax = extensions.iter().filter(|(flag, _)| *flag == b'x');
    let pax: Vec<u8> = pax.flat_map(|(_, body)| body.iter().copied()).collect();
    let holds = |text: &[u8]| pax.windows(text.len()).any(|part| part == text);
    let long = count(b'L') + count(b'K') > 0;
    (long && (holds(b"path=") || holds(b"name=")))
        || holds(b"=\n")
        || (holds(b"GNU.sparse.") && (holds(b" size=") || holds(b" path=")))
        || [b'x', b'L', b'K'].into_iter().any(|flag| count(flag) > 1)
        || extensions.iter().any(|(flag, body)| {
            let name = body.split_last().map_or(&[][..], |(_, name)| name);
            matches!(flag, b'L' | b'K') && name.contains(&0)
        })
}
