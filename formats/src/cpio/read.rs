//! Reading what the kernel would read, within limits.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

use super::format::{HEADER_BYTES, Header, MAGIC, MAGIC_WITH_CHECKSUM, NAME_MAX_BYTES, TRAILER};

/// What a reader accepts before it gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries, trailers included.
    pub entries: u64,
    /// Uncompressed bytes.
    pub plain_bytes: u64,
    /// Window of a zstd frame (log2): the memory it takes.
    pub zstd_window_log: u32,
}

impl Default for Limits {
    /// Ten million entries, 1 TiB, windows of 8 MiB.
    fn default() -> Self {
        Self {
            entries: 10_000_000,
            plain_bytes: 1 << 40,
            zstd_window_log: 23,
        }
    }
}

/// What an entry was packed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// An uncompressed archive.
    Plain,
    /// A gzip member.
    Gzip,
    /// A zstd frame.
    Zstd,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "uncompressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// Why reading stopped, and where.
#[derive(Debug, thiserror::Error)]
#[error("{container} archive number {part}, at byte {offset} of it: {kind}")]
pub struct ReadError {
    /// What is wrong.
    pub kind: ReadErrorKind,
    /// What the offset counts in.
    pub container: Container,
    /// Index of the archive, member or frame in the file, from 0.
    pub part: u64,
    /// Uncompressed bytes from the start of it.
    pub offset: u64,
}

/// What is wrong with an initrd.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadErrorKind {
    /// Neither an archive nor a compression that is known here.
    #[error("neither a cpio archive nor gzip or zstd (it starts with {0:#04x})")]
    UnknownFormat(u8),
    /// An entry does not start with the magic.
    #[error("no newc header where an entry should start")]
    Magic,
    /// An entry's header has a field that is no number.
    #[error("a header field is not a hexadecimal number")]
    Field,
    /// A name of no or too many bytes, or without its NUL.
    #[error("a name of {0} bytes, or one that does not end in its NUL")]
    Name(u32),
    /// Data end inside an entry.
    #[error("it ends inside an entry")]
    Truncated,
    /// An entry does not start on a multiple of four bytes.
    #[error("an entry that does not start on a multiple of four bytes")]
    Alignment,
    /// A limit was passed.
    #[error("more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much was allowed.
        limit: u64,
    },
    /// The compressed data are damaged, or the file can't be read.
    #[error("can't be read: {0}")]
    Io(#[source] io::Error),
}

/// An entry as it stands in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadEntry {
    /// The name, without its NUL.
    pub name: Vec<u8>,
    /// Inode number.
    pub inode: u32,
    /// File type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of names it is said to have.
    pub nlink: u32,
    /// Seconds since 1970.
    pub mtime: u32,
    /// Length of the body.
    pub body_bytes: u32,
    /// The device it is said to be on: major and minor.
    pub dev: (u32, u32),
    /// The device it stands for: major and minor.
    pub rdev: (u32, u32),
    /// Whether it ends an archive: its name is `TRAILER!!!`.
    pub trailer: bool,
    /// What it is packed in.
    pub container: Container,
    /// Index of the archive, member or frame that it is in.
    pub part: u64,
    /// Where its header starts there, in uncompressed bytes.
    pub offset: u64,
}

enum Source<R: BufRead> {
    /// Between archives, or in an uncompressed one.
    Plain(R),
    Gzip(Box<BufReader<GzDecoder<R>>>),
    Zstd(Box<BufReader<ZstdDecoder<'static, R>>>),
    /// After an error.
    Gone,
}

/// Reads entries, and the body of the current one through [`Read`]. A body that is not read is
/// skipped.
pub struct Reader<R: BufRead> {
    source: Source<R>,
    limits: Limits,
    entries: u64,
    plain_bytes: u64,
    part: u64,
    offset: u64,
    body_left: u64,
    padding_left: u64,
    /// The last entry was a trailer or there was none yet.
    between_archives: bool,
}

impl<R: BufRead> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("limits", &self.limits)
            .field("entries", &self.entries)
            .field("part", &self.part)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads `input` from its start to its end.
    pub fn new(input: R, limits: Limits) -> Self {
        Self {
            source: Source::Plain(input),
            limits,
            entries: 0,
            plain_bytes: 0,
            part: 0,
            offset: 0,
            body_left: 0,
            padding_left: 0,
            between_archives: true,
        }
    }

    /// The next entry, or `None` at the end of the input. Trailers are entries too.
    ///
    /// # Errors
    /// If there is something that the kernel would stop at, or a limit is passed.
    pub fn next_entry(&mut self) -> Result<Option<ReadEntry>, ReadError> {
        match self.advance() {
            Ok(entry) => Ok(entry),
            Err(kind) => Err(self.fail(kind)),
        }
    }

    /// Says where it happened; nothing is read after it.
    fn fail(&mut self, kind: ReadErrorKind) -> ReadError {
        let container = self.container();
        self.source = Source::Gone;
        self.body_left = 0;
        self.padding_left = 0;
        ReadError {
            kind,
            container,
            part: self.part,
            offset: self.offset,
        }
    }

    fn container(&self) -> Container {
        match self.source {
            Source::Plain(_) | Source::Gone => Container::Plain,
            Source::Gzip(_) => Container::Gzip,
            Source::Zstd(_) => Container::Zstd,
        }
    }

    fn advance(&mut self) -> Result<Option<ReadEntry>, ReadErrorKind> {
        if matches!(self.source, Source::Gone) {
            return Ok(None);
        }
        let rest = self.body_left + self.padding_left;
        self.body_left = 0;
        self.padding_left = 0;
        self.skip(rest)?;
        loop {
            let next = self.peek()?;
            match (next, &self.source) {
                (None, Source::Plain(_) | Source::Gone) => return Ok(None),
                (None, Source::Gzip(_) | Source::Zstd(_)) => self.leave(),
                // Zeros may stand between entries.
                (Some(0), _) => self.skip(1)?,
                (Some(b'0'), _) => return self.entry().map(Some),
                (Some(0x1f | 0x28), Source::Plain(_)) => self.enter()?,
                (Some(first), Source::Plain(_)) if self.between_archives => {
                    return Err(ReadErrorKind::UnknownFormat(first));
                }
                (Some(_), _) => return Err(ReadErrorKind::Magic),
            }
        }
    }

    /// Starts on a compressed archive.
    fn enter(&mut self) -> Result<(), ReadErrorKind> {
        if let Source::Plain(input) = std::mem::replace(&mut self.source, Source::Gone) {
            self.source = self.open(input)?;
            if self.offset > 0 {
                self.part += 1;
            }
            self.offset = 0;
        }
        Ok(())
    }

    fn open(&self, mut input: R) -> Result<Source<R>, ReadErrorKind> {
        let first = input
            .fill_buf()
            .map_err(ReadErrorKind::Io)?
            .first()
            .copied();
        if first == Some(0x1f) {
            return Ok(Source::Gzip(Box::new(BufReader::new(GzDecoder::new(
                input,
            )))));
        }
        let mut decoder = ZstdDecoder::with_buffer(input)
            .map_err(ReadErrorKind::Io)?
            .single_frame();
        decoder
            .window_log_max(self.limits.zstd_window_log)
            .map_err(ReadErrorKind::Io)?;
        Ok(Source::Zstd(Box::new(BufReader::new(decoder))))
    }

    /// Goes on behind a compressed archive that has ended.
    fn leave(&mut self) {
        self.source = match std::mem::replace(&mut self.source, Source::Gone) {
            Source::Gzip(member) => Source::Plain(member.into_inner().into_inner()),
            Source::Zstd(frame) => Source::Plain(frame.into_inner().finish()),
            other => other,
        };
        self.part += 1;
        self.offset = 0;
    }

    fn entry(&mut self) -> Result<ReadEntry, ReadErrorKind> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(ReadErrorKind::Limit {
                what: "entries",
                limit: self.limits.entries,
            });
        }
        if !self.offset.is_multiple_of(4) {
            return Err(ReadErrorKind::Alignment);
        }
        let (container, part, offset) = (self.container(), self.part, self.offset);
        let mut bytes = [0; HEADER_BYTES];
        self.fill(&mut bytes)?;
        if !bytes.starts_with(MAGIC) && !bytes.starts_with(MAGIC_WITH_CHECKSUM) {
            return Err(ReadErrorKind::Magic);
        }
        let header = Header::decode(&bytes).ok_or(ReadErrorKind::Field)?;
        let name_fault = || ReadErrorKind::Name(header.name_bytes);
        let name_bytes = usize::try_from(header.name_bytes).map_err(|_| name_fault())?;
        if !(1..=NAME_MAX_BYTES + 1).contains(&name_bytes) {
            return Err(name_fault());
        }
        let mut name = vec![0; name_bytes];
        self.fill(&mut name)?;
        if name.pop() != Some(0) {
            return Err(name_fault());
        }
        let padded = (HEADER_BYTES + name_bytes).next_multiple_of(4);
        self.skip((padded - HEADER_BYTES - name_bytes) as u64)?;
        self.body_left = u64::from(header.body_bytes);
        self.padding_left = self.body_left.next_multiple_of(4) - self.body_left;
        let trailer = name == TRAILER;
        self.between_archives = trailer;
        Ok(ReadEntry {
            name,
            inode: header.inode,
            mode: header.mode,
            uid: header.uid,
            gid: header.gid,
            nlink: header.nlink,
            mtime: header.mtime,
            body_bytes: header.body_bytes,
            dev: (header.dev_major, header.dev_minor),
            rdev: (header.rdev_major, header.rdev_minor),
            trailer,
            container,
            part,
            offset,
        })
    }

    fn available(&mut self) -> Result<&[u8], ReadErrorKind> {
        if self.plain_bytes > self.limits.plain_bytes {
            return Err(ReadErrorKind::Limit {
                what: "uncompressed bytes",
                limit: self.limits.plain_bytes,
            });
        }
        let filled = match &mut self.source {
            Source::Plain(input) => input.fill_buf(),
            Source::Gzip(member) => member.fill_buf(),
            Source::Zstd(frame) => frame.fill_buf(),
            Source::Gone => Ok(&[][..]),
        };
        filled.map_err(ReadErrorKind::Io)
    }

    fn consume(&mut self, bytes: usize) {
        match &mut self.source {
            Source::Plain(input) => input.consume(bytes),
            Source::Gzip(member) => member.consume(bytes),
            Source::Zstd(frame) => frame.consume(bytes),
            Source::Gone => {}
        }
        self.offset += bytes as u64;
        self.plain_bytes += bytes as u64;
    }

    fn peek(&mut self) -> Result<Option<u8>, ReadErrorKind> {
        Ok(self.available()?.first().copied())
    }

    fn skip(&mut self, mut bytes: u64) -> Result<(), ReadErrorKind> {
        while bytes > 0 {
            let step = (self.available()?.len() as u64).min(bytes);
            if step == 0 {
                return Err(ReadErrorKind::Truncated);
            }
            // A step is no longer than a slice in memory.
            self.consume(usize::try_from(step).unwrap_or(usize::MAX));
            bytes -= step;
        }
        Ok(())
    }

    fn fill(&mut self, mut out: &mut [u8]) -> Result<(), ReadErrorKind> {
        while !out.is_empty() {
            let available = self.available()?;
            let step = available.len().min(out.len());
            if step == 0 {
                return Err(ReadErrorKind::Truncated);
            }
            let (now, later) = out.split_at_mut(step);
            now.copy_from_slice(&available[..step]);
            self.consume(step);
            out = later;
        }
        Ok(())
    }
}

/// The body of the entry that [`Reader::next_entry`] gave last.
impl<R: BufRead> Read for Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.body_left)
            .unwrap_or(usize::MAX)
            .min(out.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.available().map(|available| {
            let step = available.len().min(wanted);
            out[..step].copy_from_slice(&available[..step]);
            step
        });
        match read {
            Ok(0) => {
                let error = self.fail(ReadErrorKind::Truncated);
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, error))
            }
            Ok(step) => {
                self.consume(step);
                self.body_left -= step as u64;
                Ok(step)
            }
            Err(kind) => Err(io::Error::new(io::ErrorKind::InvalidData, self.fail(kind))),
        }
    }
}
