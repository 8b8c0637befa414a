//! The walk over a tar: header blocks, extension headers and bodies (POSIX.1-2017 pax, "ustar
//! Interchange Format" and "pax Interchange Format"; GNU tar manual, "Basic Tar Format").

use std::collections::HashSet;
use std::io::{self, Read};

use tar::Header;

use super::entry::{Meta, Xattr};
use super::error::{LayerError, LayerErrorKind};
use super::limits::Limits;
use super::pax::{PaxRecords, decimal, seconds};
use super::sparse::{SparseMap, SparseReader, parse_map_0_1, push_bounded, read_map_1_0};

const BLOCK: usize = 512;
const BLOCK_BYTES: u64 = BLOCK as u64;
const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// A file of an archive before its name means anything.
#[derive(Debug)]
pub struct RawEntry {
    /// Name as the archive has it, uncleaned.
    pub name: Vec<u8>,
    /// Link target as the archive has it; empty where there is none.
    pub link: Vec<u8>,
    /// Type flag; an old-style header whose name ends in `/` is a directory (`5`).
    pub type_flag: u8,
    /// Mode, owner, time.
    pub meta: Meta,
    /// Extended attributes.
    pub xattrs: Vec<Xattr>,
    /// Device numbers; 0 where the entry is no device.
    pub device: (u32, u32),
    /// Length of the body in bytes, holes included.
    pub size: u64,
    /// Who brought it, as tars of LinuxKit and this program say: an image's full name or another
    /// word, and the place in the YAML; empty where they say nothing.
    pub origin: (Vec<u8>, Vec<u8>),
    sparse: Option<SparseMap>,
}

/// Reads a tar entry by entry. Memory is bounded by [`Limits`].
pub struct Archive<'l, R> {
    reader: R,
    limits: &'l Limits,
    /// Bytes read so far.
    offset: u64,
    /// What is left of the current body, and the padding after it.
    body_bytes: u64,
    padding: usize,
}

/// PAX records that this program understands.
#[derive(Default)]
struct Pax {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<i64>,
    xattrs: Vec<Xattr>,
    origin: (Vec<u8>, Vec<u8>),
    sparse: PaxSparse,
}

/// The `GNU.sparse.*` records of versions 0.0, 0.1 and 1.0.
#[derive(Default)]
struct PaxSparse {
    version: (Option<Vec<u8>>, Option<Vec<u8>>),
    name: Option<Vec<u8>>,
    size: Option<u64>,
    ranges: Option<Vec<(u64, u64)>>,
    pending_offset: Option<u64>,
}

impl<'l, R: Read> Archive<'l, R> {
    /// Starts at the first header of `reader`.
    pub fn new(reader: R, limits: &'l Limits) -> Self {
        Archive {
            reader,
            limits,
            offset: 0,
            body_bytes: 0,
            padding: 0,
        }
    }

    /// Bytes of the archive read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The reader beneath, to read what stands after the end marker.
    pub fn into_inner(self) -> R {
        self.reader
    }

    /// The next entry, whatever was left of the last one's body skipped; `None` at the end marker
    /// (two blocks of zeros, or one at the archive's end) or where the archive ends at a header.
    pub fn next_entry(&mut self) -> Result<Option<RawEntry>, LayerError> {
        let start = self.offset;
        self.advance().map_err(|kind| kind.at(None, start))
    }

    /// The body of the entry that [`Archive::next_entry`] returned last.
    pub fn body(&mut self, entry: &RawEntry) -> Box<dyn Read + '_> {
        match &entry.sparse {
            Some(map) => Box::new(SparseReader::new(StoredBody(self), map.clone())),
            None => Box::new(StoredBody(self)),
        }
    }

    fn advance(&mut self) -> Result<Option<RawEntry>, LayerErrorKind> {
        let mut pax = None;
        let mut long_name = None;
        let mut long_link = None;
        let mut extension_bytes = 0;
        loop {
            self.skip_body()?;
            let Some(header) = self.read_header()? else {
                if pax.is_some() || long_name.is_some() || long_link.is_some() {
                    return Err(LayerErrorKind::Truncated);
                }
                return Ok(None);
            };
            let slot = match header.entry_type().as_byte() {
                b'x' => {
                    let body = self.read_extension(&header, &mut extension_bytes)?;
                    pax = Some(Pax::parse(&body, self.limits)?);
                    continue;
                }
                // Global records describe no file: container tools pass over them.
                b'g' => {
                    self.read_extension(&header, &mut extension_bytes)?;
                    continue;
                }
                b'L' => &mut long_name,
                b'K' => &mut long_link,
                _ => {
                    return self
                        .entry(&header, pax.unwrap_or_default(), long_name, long_link)
                        .map(Some);
                }
            };
            let mut name = self.read_extension(&header, &mut extension_bytes)?;
            if let Some(nul) = name.iter().position(|&b| b == 0) {
                name.truncate(nul);
            }
            *slot = Some(name);
        }
    }

    fn entry(
        &mut self,
        header: &Header,
        pax: Pax,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<RawEntry, LayerErrorKind> {
        let old = header.as_old();
        let mut name = long_name
            .or(pax.path)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let link = long_link.or(pax.link).unwrap_or_else(|| {
            header
                .link_name_bytes()
                .map(|l| l.into_owned())
                .unwrap_or_default()
        });
        let mut type_flag = header.as_bytes()[156];
        if type_flag == 0 {
            type_flag = if name.ends_with(b"/") { b'5' } else { b'0' };
        }
        // Links, devices, folders and pipes have no body, whatever their size field says; Go's
        // archive/tar, which writes and reads nearly all layers, does the same.
        let stored = match type_flag {
            b'1'..=b'6' => 0,
            _ => match pax.size {
                Some(size) => size,
                None => unsigned("size", &old.size)?,
            },
        };
        self.set_body(stored)?;
        let device = match type_flag {
            b'3' | b'4' => device_numbers(header)?,
            _ => (0, 0),
        };
        let meta = Meta {
            // The mask leaves twelve bits.
            mode: (unsigned("mode", &old.mode)? & 0o7777) as u16,
            uid: owner("uid", pax.uid, &old.uid)?,
            gid: owner("gid", pax.gid, &old.gid)?,
            mtime: match pax.mtime {
                Some(mtime) => mtime,
                None => numeric(&old.mtime).ok_or_else(|| bad_number("mtime", &old.mtime))?,
            },
        };
        let sparse = if type_flag == b'S' {
            type_flag = b'0';
            Some(self.old_gnu_sparse(header, stored)?)
        } else if type_flag == b'0' {
            let sparse_name = pax.sparse.name.clone();
            let map = self.pax_sparse(pax.sparse, stored)?;
            if let (Some(_), Some(real)) = (&map, sparse_name) {
                name = real;
            }
            map
        } else {
            None
        };
        let size = sparse.as_ref().map_or(stored, SparseMap::size_bytes);
        for text in [&name, &link] {
            if text.contains(&0) {
                return Err(LayerErrorKind::Name("it holds a NUL byte"));
            }
            if text.len() > self.limits.path_bytes {
                return Err(LayerErrorKind::Limit {
                    what: "bytes in a path",
                    limit: self.limits.path_bytes as u64,
                    flag: "max-path-bytes",
                });
            }
        }
        if name.is_empty() {
            return Err(LayerErrorKind::Name("it is empty"));
        }
        Ok(RawEntry {
            name,
            link,
            type_flag,
            meta,
            xattrs: pax.xattrs,
            device,
            size,
            origin: pax.origin,
            sparse,
        })
    }

    fn old_gnu_sparse(
        &mut self,
        header: &Header,
        stored: u64,
    ) -> Result<SparseMap, LayerErrorKind> {
        let gnu = header.as_gnu().ok_or(LayerErrorKind::Sparse(
            "type S in a header that is not GNU's",
        ))?;
        let real_size = unsigned("real size", &gnu.realsize)?;
        let mut ranges = Vec::new();
        let limit = self.limits.sparse_ranges;
        let mut take = |offset: &[u8], length: &[u8]| -> Result<(), LayerErrorKind> {
            // An entry that starts with NUL is unused.
            if offset[0] == 0 || length[0] == 0 {
                return Ok(());
            }
            let range = (
                unsigned("sparse offset", offset)?,
                unsigned("sparse length", length)?,
            );
            push_bounded(&mut ranges, range, limit)
        };
        for slot in &gnu.sparse {
            take(&slot.offset, &slot.numbytes)?;
        }
        let mut extended = gnu.is_extended();
        while extended {
            let mut block = [0u8; BLOCK];
            self.read_exact(&mut block)?;
            for slot in block[..21 * 24].chunks_exact(24) {
                take(&slot[..12], &slot[12..])?;
            }
            extended = block[21 * 24] != 0;
        }
        let map = SparseMap::new(ranges, real_size)?;
        if map.stored_bytes() != stored {
            return Err(LayerErrorKind::Sparse("its map and its size disagree"));
        }
        Ok(map)
    }

    fn pax_sparse(
        &mut self,
        sparse: PaxSparse,
        stored: u64,
    ) -> Result<Option<SparseMap>, LayerErrorKind> {
        let version = (sparse.version.0.as_deref(), sparse.version.1.as_deref());
        let ranges = match version {
            (Some(b"1"), Some(b"0")) => {
                let limit = self.limits.sparse_ranges;
                let (ranges, map_bytes) = read_map_1_0(&mut StoredBody(self), limit)?;
                let data: u64 = ranges
                    .iter()
                    .fold(0, |sum, &(_, l): &(u64, u64)| sum.saturating_add(l));
                if data.checked_add(map_bytes) != Some(stored) {
                    return Err(LayerErrorKind::Sparse("its map and its size disagree"));
                }
                ranges
            }
            (None | Some(b"0"), None | Some(b"0" | b"1")) => match sparse.ranges {
                Some(ranges) => {
                    let data = ranges
                        .iter()
                        .fold(0u64, |sum, &(_, l)| sum.saturating_add(l));
                    if data != stored {
                        return Err(LayerErrorKind::Sparse("its map and its size disagree"));
                    }
                    ranges
                }
                None if version == (None, None) => return Ok(None),
                None => return Err(LayerErrorKind::Sparse("it has no map")),
            },
            _ => return Err(LayerErrorKind::Sparse("unknown version of GNU.sparse")),
        };
        let size = sparse
            .size
            .ok_or(LayerErrorKind::Sparse("its real size is missing"))?;
        SparseMap::new(ranges, size).map(Some)
    }

    fn read_header(&mut self) -> Result<Option<Header>, LayerErrorKind> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        match self.read_block(block)? {
            0 => return Ok(None),
            BLOCK => {}
            _ => return Err(LayerErrorKind::Truncated),
        }
        if block.iter().all(|&b| b == 0) {
            // The second block of the end marker may be missing. Something else in its place is
            // where tools disagree whether the archive goes on.
            let mut second = [0u8; BLOCK];
            self.read_block(&mut second)?;
            return match second.iter().all(|&b| b == 0) {
                true => Ok(None),
                false => Err(LayerErrorKind::LoneZeros),
            };
        }
        let sum: i64 = block[..148]
            .iter()
            .chain(&block[156..])
            .map(|&b| i64::from(b))
            .sum();
        let checksum_field: i64 = 8 * i64::from(b' ');
        if numeric(&header.as_old().cksum) != Some(sum + checksum_field) {
            return Err(LayerErrorKind::Checksum);
        }
        Ok(Some(header))
    }

    /// Reads a block; fewer bytes only where the archive ends.
    fn read_block(&mut self, block: &mut [u8; BLOCK]) -> Result<usize, LayerErrorKind> {
        let mut filled = 0;
        while filled < block.len() {
            match self.reader.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(read_error(e)),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }

    fn read_extension(
        &mut self,
        header: &Header,
        total: &mut u64,
    ) -> Result<Vec<u8>, LayerErrorKind> {
        let size = unsigned("size", &header.as_old().size)?;
        *total = total.saturating_add(size).saturating_add(BLOCK_BYTES);
        if *total > self.limits.header_bytes {
            return Err(LayerErrorKind::Limit {
                what: "bytes of headers before one file",
                limit: self.limits.header_bytes,
                flag: "max-header-bytes",
            });
        }
        self.set_body(size)?;
        // Bounded by the limit just checked.
        let mut body = vec![0; usize::try_from(size).map_err(|_| LayerErrorKind::Truncated)?];
        StoredBody(self).read_exact(&mut body).map_err(read_error)?;
        Ok(body)
    }

    fn set_body(&mut self, size: u64) -> Result<(), LayerErrorKind> {
        let padded =
            size.checked_next_multiple_of(BLOCK_BYTES)
                .ok_or_else(|| LayerErrorKind::Number {
                    field: "size",
                    value: size.to_string(),
                })?;
        self.body_bytes = size;
        // Less than a block.
        self.padding = usize::try_from(padded - size).unwrap_or(0);
        Ok(())
    }

    fn skip_body(&mut self) -> Result<(), LayerErrorKind> {
        io::copy(&mut StoredBody(self), &mut io::sink()).map_err(read_error)?;
        let padding = std::mem::take(&mut self.padding);
        let mut block = [0u8; BLOCK];
        self.read_exact(&mut block[..padding])
    }

    fn read_exact(&mut self, buf: &mut [u8]) -> Result<(), LayerErrorKind> {
        self.reader.read_exact(buf).map_err(read_error)?;
        self.offset += buf.len() as u64;
        Ok(())
    }
}

/// What the archive holds of the current body; the end of the archive before its end is an error.
struct StoredBody<'a, 'l, R>(&'a mut Archive<'l, R>);

impl<R: Read> Read for StoredBody<'_, '_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.0.body_bytes).map_or(buf.len(), |b| b.min(buf.len()));
        if most == 0 {
            return Ok(0);
        }
        let n = self.0.reader.read(&mut buf[..most])?;
        if n == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                LayerErrorKind::Truncated,
            ));
        }
        self.0.body_bytes -= n as u64;
        self.0.offset += n as u64;
        Ok(n)
    }
}

impl Pax {
    fn parse(body: &[u8], limits: &Limits) -> Result<Self, LayerErrorKind> {
        let mut pax = Pax::default();
        for record in PaxRecords::new(body) {
            let (key, value) = record?;
            if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
                pax.xattrs.push(Xattr {
                    name: name.into(),
                    value: value.into(),
                });
                continue;
            }
            if let Some(sparse_key) = key.strip_prefix(b"GNU.sparse.") {
                pax.sparse.record(sparse_key, value, limits)?;
                continue;
            }
            // An empty value cancels the record: the header's own field counts.
            let given = !value.is_empty();
            let number = |field: &'static str| match given {
                true => decimal(value)
                    .map(Some)
                    .ok_or_else(|| bad_number(field, value)),
                false => Ok(None),
            };
            match key {
                b"LINUXKIT.source" => pax.origin.0 = value.to_vec(),
                b"LINUXKIT.location" => pax.origin.1 = value.to_vec(),
                b"path" => pax.path = given.then(|| value.to_vec()),
                b"linkpath" => pax.link = given.then(|| value.to_vec()),
                b"size" => pax.size = number("PAX size")?,
                b"uid" => pax.uid = number("PAX uid")?,
                b"gid" => pax.gid = number("PAX gid")?,
                b"mtime" if given => {
                    pax.mtime = Some(seconds(value).ok_or_else(|| bad_number("PAX mtime", value))?);
                }
                _ => {}
            }
        }
        keep_last(&mut pax.xattrs);
        Ok(pax)
    }
}

/// Of several attributes with one name the last counts. A header has room for many thousands.
fn keep_last(xattrs: &mut Vec<Xattr>) {
    let mut seen = HashSet::new();
    let mut last: Vec<bool> = (xattrs.iter().rev())
        .map(|xattr| seen.insert(&xattr.name))
        .collect();
    // What was found from behind is used up from the front.
    xattrs.retain(|_| last.pop().unwrap_or(true));
    // The room of those that went is counted by no limit.
    xattrs.shrink_to_fit();
}

impl PaxSparse {
    fn record(&mut self, key: &[u8], value: &[u8], limits: &Limits) -> Result<(), LayerErrorKind> {
        let number = || decimal(value).ok_or_else(|| bad_number("GNU.sparse record", value));
        match key {
            b"major" => self.version.0 = Some(value.to_vec()),
            b"minor" => self.version.1 = Some(value.to_vec()),
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(number()?),
            b"map" => self.ranges = Some(parse_map_0_1(value, limits.sparse_ranges)?),
            // Version 0.0 repeats these two for each range.
            b"offset" => self.pending_offset = Some(number()?),
            b"numbytes" => {
                let offset = self
                    .pending_offset
                    .take()
                    .ok_or(LayerErrorKind::Sparse("numbytes without an offset"))?;
                let ranges = self.ranges.get_or_insert_default();
                push_bounded(ranges, (offset, number()?), limits.sparse_ranges)?;
            }
            b"numblocks" => _ = self.ranges.get_or_insert_default(),
            _ => {}
        }
        Ok(())
    }
}

/// A header's number: octal text, or base-256 where the first bit is set (GNU). Blank is 0.
fn numeric(field: &[u8]) -> Option<i64> {
    if let Some((&first, rest)) = field.split_first().filter(|(first, _)| **first & 0x80 != 0) {
        // Two's complement over all but the marker bit.
        let mut value = if first & 0x40 != 0 { -1i128 } else { 0 };
        value = value << 6 | i128::from(first & 0x3f);
        for &byte in rest {
            value = value << 8 | i128::from(byte);
        }
        return i64::try_from(value).ok();
    }
    let blank = |b: &u8| *b == b' ' || *b == 0;
    let start = field.iter().position(|b| !blank(b)).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    if end == 0 {
        return Some(0);
    }
    digits[..end].iter().try_fold(0i64, |value, &b| match b {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(b - b'0')),
        _ => None,
    })
}

fn unsigned(name: &'static str, field: &[u8]) -> Result<u64, LayerErrorKind> {
    numeric(field)
        .and_then(|n| u64::try_from(n).ok())
        .ok_or_else(|| bad_number(name, field))
}

/// Ids must fit 32 bits, and `u32::MAX` means "unchanged" to chown, which would leave root
/// (CVE-2024-40635).
fn owner(name: &'static str, pax: Option<u64>, field: &[u8]) -> Result<u32, LayerErrorKind> {
    let id = match pax {
        Some(id) => id,
        None => unsigned(name, field)?,
    };
    u32::try_from(id)
        .ok()
        .filter(|&id| id != u32::MAX)
        .ok_or_else(|| LayerErrorKind::Number {
            field: name,
            value: format!("{id}, beyond 32 bits"),
        })
}

fn device_numbers(header: &Header) -> Result<(u32, u32), LayerErrorKind> {
    let (major, minor) = match (header.as_ustar(), header.as_gnu()) {
        (Some(h), _) => (&h.dev_major, &h.dev_minor),
        (_, Some(h)) => (&h.dev_major, &h.dev_minor),
        _ => return Ok((0, 0)),
    };
    let number = |name, field: &[u8]| -> Result<u32, LayerErrorKind> {
        u32::try_from(unsigned(name, field)?).map_err(|_| bad_number(name, field))
    };
    Ok((
        number("device major", major)?,
        number("device minor", minor)?,
    ))
}

fn bad_number(field: &'static str, value: &[u8]) -> LayerErrorKind {
    let shown = &value[..value.len().min(40)];
    LayerErrorKind::Number {
        field,
        value: super::Escaped(shown).to_string(),
    }
}

/// An error of this module that went through `io::Error` comes out as it was.
pub(super) fn read_error(error: io::Error) -> LayerErrorKind {
    if error.kind() == io::ErrorKind::UnexpectedEof && error.get_ref().is_none() {
        return LayerErrorKind::Truncated;
    }
    match error.downcast::<LayerErrorKind>() {
        Ok(kind) => kind,
        Err(error) => LayerErrorKind::Read(error),
    }
}
