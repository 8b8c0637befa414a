//! What media are made of: bytes of a known length that are read by place.
//!
//! A writer takes its input as a [`Payload`] and never holds it in memory. [`Extents`] puts
//! several together to one, with zeros between them: a disk is one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

/// Bytes that don't change while they are read, from any thread.
pub trait Payload: Send + Sync {
    /// How many there are.
    fn len_bytes(&self) -> u64;

    /// Fills `out` with the bytes from `offset` on.
    ///
    /// # Errors
    /// If they can't be read, or end before `out` is full.
    fn read_exact_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// The first range at or after `offset` that is not known to be zeros; `None` if there is none
    /// up to the end. What is between reads as zeros.
    fn next_data(&self, offset: u64) -> Option<Range<u64>> {
        (offset < self.len_bytes()).then(|| offset..self.len_bytes())
    }
}

impl<P: Payload + ?Sized> Payload for Arc<P> {
    fn len_bytes(&self) -> u64 {
        (**self).len_bytes()
    }

    fn read_exact_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(offset, out)
    }

    fn next_data(&self, offset: u64) -> Option<Range<u64>> {
        (**self).next_data(offset)
    }
}

impl Payload for Vec<u8> {
    fn len_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(out.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }
}

/// A file, with the length it had when it was opened: if it shrinks, reading is an error.
#[derive(Debug)]
pub struct FilePayload {
    file: File,
    len_bytes: u64,
}

impl FilePayload {
    /// Of all of `file`, which may be a disk.
    ///
    /// # Errors
    /// If its length can't be read.
    pub fn new(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let len_bytes = match metadata.is_file() {
            true => metadata.len(),
            // A device has none in its metadata.
            false => (&file).seek(SeekFrom::End(0))?,
        };
        Ok(Self { file, len_bytes })
    }
}

impl Payload for FilePayload {
    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    #[cfg(unix)]
    fn read_exact_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, out, offset)
    }

    #[cfg(windows)]
    fn read_exact_at(&self, mut offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        while !out.is_empty() {
            let read = std::os::windows::fs::FileExt::seek_read(&self.file, out, offset)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            offset += read as u64;
            out = &mut out[read..];
        }
        Ok(())
    }
}

/// A range of another payload, as a payload.
#[derive(Debug, Clone)]
pub struct Part<P> {
    whole: P,
    range: Range<u64>,
}

impl<P: Payload> Part<P> {
    /// The bytes of `range`; `None` if they are not all there.
    pub fn new(whole: P, range: Range<u64>) -> Option<Self> {
        let is_there = range.start <= range.end && range.end <= whole.len_bytes();
        is_there.then_some(Self { whole, range })
    }
}

impl<P: Payload> Payload for Part<P> {
    fn len_bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn read_exact_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset.saturating_add(out.len() as u64) > self.len_bytes() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.whole.read_exact_at(self.range.start + offset, out)
    }

    fn next_data(&self, offset: u64) -> Option<Range<u64>> {
        let Range { start, end } = self.range;
        let data = self.whole.next_data(start.saturating_add(offset))?;
        (data.start < end).then(|| data.start - start..data.end.min(end) - start)
    }
}

/// Payloads at their places, and zeros everywhere else.
#[derive(Default)]
pub struct Extents {
    len_bytes: u64,
    /// By their start; they don't overlap.
    extents: Vec<(u64, Arc<dyn Payload>)>,
}

impl fmt::Debug for Extents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = self
            .extents
            .iter()
            .map(|(start, payload)| *start..start + payload.len_bytes());
        f.debug_struct("Extents")
            .field("len_bytes", &self.len_bytes)
            .field("ranges", &ranges.collect::<Vec<_>>())
            .finish()
    }
}

/// A payload that can't stand where it was put.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bytes {start} to {end} overlap others or lie beyond the end at {len_bytes}")]
pub struct PlaceError {
    /// Where it was put.
    pub start: u64,
    /// Where it would end.
    pub end: u64,
    /// Length of the whole.
    pub len_bytes: u64,
}

impl Extents {
    /// Nothing but `len_bytes` zeros.
    pub fn new(len_bytes: u64) -> Self {
        Self {
            len_bytes,
            extents: Vec::new(),
        }
    }

    /// Puts a payload at `start`.
    ///
    /// # Errors
    /// If it overlaps another one or the end.
    pub fn place(&mut self, start: u64, payload: impl Payload + 'static) -> Result<(), PlaceError> {
        let bytes = payload.len_bytes();
        let end = start.saturating_add(bytes);
        let index = self.extents.partition_point(|(other, _)| *other < start);
        let after_previous = index == 0 || {
            let (other, payload) = &self.extents[index - 1];
            other + payload.len_bytes() <= start
        };
        let before_next = self
            .extents
            .get(index)
            .is_none_or(|(other, _)| end <= *other);
        if !after_previous || !before_next || end > self.len_bytes {
            return Err(PlaceError {
                start,
                end,
                len_bytes: self.len_bytes,
            });
        }
        if bytes > 0 {
            self.extents.insert(index, (start, Arc::new(payload)));
        }
        Ok(())
    }

    /// Index of the first extent that ends after `offset`.
    fn first_after(&self, offset: u64) -> usize {
        self.extents
            .partition_point(|(start, payload)| start + payload.len_bytes() <= offset)
    }
}

impl Payload for Extents {
    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn read_exact_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.saturating_add(out.len() as u64);
        if end > self.len_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut filled = 0;
        for (start, payload) in &self.extents[self.first_after(offset)..] {
            if *start >= end {
                break;
            }
            let from = offset.max(*start);
            let to = end.min(start + payload.len_bytes());
            let place = in_memory(from - offset)?..in_memory(to - offset)?;
            out[filled..place.start].fill(0);
            filled = place.end;
            payload.read_exact_at(from - start, &mut out[place])?;
        }
        out[filled..].fill(0);
        Ok(())
    }

    fn next_data(&self, offset: u64) -> Option<Range<u64>> {
        self.extents[self.first_after(offset)..]
            .iter()
            .find_map(|(start, payload)| {
                let data = payload.next_data(offset.saturating_sub(*start))?;
                Some(start + data.start..start + data.end)
            })
    }
}

fn in_memory(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// A payload as a stream, for an archive, a pipe or an upload. Zeros are not read from anywhere.
pub struct PayloadReader<'a> {
    payload: &'a dyn Payload,
    offset: u64,
    /// The data that come next: up to their start there are zeros.
    data: Range<u64>,
}

impl fmt::Debug for PayloadReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadReader")
            .field("len_bytes", &self.payload.len_bytes())
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl<'a> PayloadReader<'a> {
    /// Reads `payload` from its start.
    pub fn new(payload: &'a dyn Payload) -> Self {
        Self {
            payload,
            offset: 0,
            data: 0..0,
        }
    }
}

impl Read for PayloadReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len_bytes = self.payload.len_bytes();
        if self.offset >= self.data.end {
            let none = len_bytes..len_bytes;
            self.data = self.payload.next_data(self.offset).unwrap_or(none);
        }
        let is_zeros = self.offset < self.data.start;
        let end = if is_zeros {
            self.data.start
        } else {
            self.data.end
        };
        let left = usize::try_from(end - self.offset).unwrap_or(usize::MAX);
        let bytes = out.len().min(left);
        if is_zeros {
            out[..bytes].fill(0);
        } else {
            self.payload.read_exact_at(self.offset, &mut out[..bytes])?;
        }
        self.offset += bytes as u64;
        Ok(bytes)
    }
}

/// How much of a payload is read at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// Writes a payload to `out`, which must be empty, and leaves what is known to be zeros out by
/// seeking over it. The next piece is read while one is written.
///
/// # Errors
/// If the payload can't be read, or `out` can't be written.
pub fn write_sparse(out: &mut (impl Write + Seek + Send), payload: &dyn Payload) -> io::Result<()> {
    let mut pieces = Pieces {
        payload,
        next: 0..0,
    };
    let (mut current, mut spare) = (Vec::new(), Vec::new());
    let mut position = 0;
    let mut at = pieces.read_next(&mut current)?;
    while let Some(start) = at {
        let (read, written) = rayon::join(
            || pieces.read_next(&mut spare),
            || {
                if start != position {
                    out.seek(SeekFrom::Start(start))?;
                }
                out.write_all(&current)
            },
        );
        written?;
        position = start + current.len() as u64;
        at = read?;
        std::mem::swap(&mut current, &mut spare);
    }
    if position < payload.len_bytes() {
        // A byte at the end gives the file its length.
        out.seek(SeekFrom::Start(payload.len_bytes() - 1))?;
        out.write_all(&[0])?;
    }
    out.flush()
}

/// The data of a payload, cut into pieces.
struct Pieces<'a> {
    payload: &'a dyn Payload,
    /// What is left of the range of data that was found last.
    next: Range<u64>,
}

impl Pieces<'_> {
    /// Reads the next piece and says where it starts; `None` behind the last one.
    fn read_next(&mut self, piece: &mut Vec<u8>) -> io::Result<Option<u64>> {
        if self.next.is_empty() {
            match self.payload.next_data(self.next.end) {
                Some(data) => self.next = data,
                None => return Ok(None),
            }
        }
        let start = self.next.start;
        let bytes = (self.next.end - start).min(PIECE_BYTES);
        piece.resize(in_memory(bytes)?, 0);
        self.payload.read_exact_at(start, piece)?;
        self.next.start += bytes;
        Ok(Some(start))
    }
}

/// The CRC-32 of all of a payload, read in pieces, on all cores.
///
/// # Errors
/// If it can't be read.
pub fn crc32(payload: &dyn Payload) -> io::Result<u32> {
    let read = |piece: &mut Vec<u8>, index: u64| -> io::Result<crc32fast::Hasher> {
        let start = index * PIECE_BYTES;
        let bytes = (payload.len_bytes() - start).min(PIECE_BYTES);
        piece.resize(in_memory(bytes)?, 0);
        payload.read_exact_at(start, piece)?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(piece);
        Ok(hasher)
    };
    let hasher = (0..payload.len_bytes().div_ceil(PIECE_BYTES))
        .into_par_iter()
        .map_init(Vec::new, read)
        .try_reduce(crc32fast::Hasher::new, |mut one, next| {
            one.combine(&next);
            Ok(one)
        });
    Ok(hasher?.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_its_own_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        std::fs::write(&path, vec![b'd'; 1 << 20]).unwrap();
        let losetup = |arguments: &[&str]| {
            let output = std::process::Command::new("losetup")
                .args(arguments)
                .output();
            output.ok().filter(|output| output.status.success())
        };
        let Some(made) = losetup(&["-f", "--show", path.to_str().unwrap()]) else {
            println!("skipped: no loop device to be had");
            return;
        };
        let device = String::from_utf8(made.stdout).unwrap();
        let payload = File::open(device.trim()).and_then(FilePayload::new);
        losetup(&["-d", device.trim()]).unwrap();
        let payload = payload.unwrap();
        assert_eq!(payload.len_bytes(), 1 << 20);
        let mut end = [0; 4];
        payload.read_exact_at((1 << 20) - 4, &mut end).unwrap();
        assert_eq!(&end, b"dddd");
    }

    #[test]
    fn a_pipe_is_no_payload() {
        let (reader, _writer) = io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(reader));
        assert!(FilePayload::new(file).is_err());
    }

    #[test]
    fn extents_read_as_their_payloads_with_zeros_between() {
        let mut disk = Extents::new(20);
        disk.place(12, b"world".to_vec()).unwrap();
        disk.place(2, b"hello".to_vec()).unwrap();
        disk.place(7, Vec::new()).unwrap();
        let expected = b"\0\0hello\0\0\0\0\0world\0\0\0";
        for start in 0..20 {
            for end in start..=20 {
                let mut out = vec![0xff; end - start];
                disk.read_exact_at(start as u64, &mut out).unwrap();
                assert_eq!(out, expected[start..end], "{start}..{end}");
            }
        }
        assert!(disk.read_exact_at(19, &mut [0; 2]).is_err());
        assert_eq!(disk.next_data(0), Some(2..7));
        assert_eq!(disk.next_data(4), Some(4..7));
        assert_eq!(disk.next_data(7), Some(12..17));
        assert_eq!(disk.next_data(17), None);
        assert_eq!(crc32(&disk).unwrap(), crc32fast::hash(expected));
    }

    #[test]
    fn a_part_reads_as_its_range() {
        let mut disk = Extents::new(20);
        disk.place(4, b"hello".to_vec()).unwrap();
        disk.place(12, b"world".to_vec()).unwrap();
        let disk = Arc::new(disk);
        let part = Part::new(disk.clone(), 6..14).unwrap();
        let mut out = [0xff; 8];
        part.read_exact_at(0, &mut out).unwrap();
        assert_eq!(&out, b"llo\0\0\0wo");
        part.read_exact_at(6, &mut out[..2]).unwrap();
        assert_eq!(&out[..2], b"wo");
        assert!(part.read_exact_at(7, &mut out[..2]).is_err());
        assert_eq!(part.next_data(0), Some(0..3));
        assert_eq!(part.next_data(3), Some(6..8));
        assert_eq!(part.next_data(8), None);
        assert_eq!(Part::new(disk.clone(), 2..12).unwrap().next_data(7), None);
        assert!(Part::new(disk.clone(), 14..21).is_none());
        assert_eq!(Part::new(disk, 20..20).unwrap().len_bytes(), 0);
    }

    #[test]
    fn a_reader_gives_all_bytes_in_order() {
        let mut disk = Extents::new(200_000);
        disk.place(5, b"hello".to_vec()).unwrap();
        disk.place(100_000, vec![7; 50_000]).unwrap();
        let mut expected = vec![0; 200_000];
        disk.read_exact_at(0, &mut expected).unwrap();
        let mut read = Vec::new();
        PayloadReader::new(&disk).read_to_end(&mut read).unwrap();
        assert!(read == expected);
        let mut reader = PayloadReader::new(&disk);
        let mut piece = [0xff; 7];
        for chunk in expected.chunks(7) {
            reader.read_exact(&mut piece[..chunk.len()]).unwrap();
            assert_eq!(piece[..chunk.len()], *chunk);
        }
        assert_eq!(reader.read(&mut piece).unwrap(), 0);
        let empty = Extents::new(0);
        assert_eq!(PayloadReader::new(&empty).read(&mut piece).unwrap(), 0);
    }

    #[test]
    fn a_sparse_file_has_the_same_bytes() {
        for end in [150_000, 200_000, 5 << 20] {
            let mut disk = Extents::new(end);
            disk.place(5, b"hello".to_vec()).unwrap();
            disk.place(100_000, vec![7; 50_000]).unwrap();
            if end > 2 << 20 {
                disk.place(2 << 20, vec![9; (3 << 20) - 1]).unwrap();
            }
            let mut out = io::Cursor::new(Vec::new());
            write_sparse(&mut out, &disk).unwrap();
            let mut expected = Vec::new();
            PayloadReader::new(&disk)
                .read_to_end(&mut expected)
                .unwrap();
            assert!(out.into_inner() == expected, "{end}");
        }
        let mut out = io::Cursor::new(Vec::new());
        write_sparse(&mut out, &Extents::new(0)).unwrap();
        assert!(out.into_inner().is_empty());
    }

    #[test]
    fn extents_don_t_overlap() {
        let mut disk = Extents::new(20);
        disk.place(5, vec![1; 5]).unwrap();
        for (start, bytes) in [(0, 6), (9, 1), (5, 1), (4, 20), (16, 5), (u64::MAX, 1)] {
            assert!(disk.place(start, vec![2; bytes]).is_err(), "{start}");
        }
        disk.place(10, vec![3; 10]).unwrap();
        disk.place(0, vec![4; 5]).unwrap();
    }

    #[test]
    fn a_file_that_shrinks_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"0123456789").unwrap();
        let payload = FilePayload::new(file.reopen().unwrap()).unwrap();
        let mut out = [0; 4];
        payload.read_exact_at(3, &mut out).unwrap();
        assert_eq!(&out, b"3456");
        file.as_file().set_len(5).unwrap();
        assert!(payload.read_exact_at(3, &mut out).is_err());
    }
}
