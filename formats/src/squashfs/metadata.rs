//! Metadata blocks, and tables that are found through an index.

use std::io;

use flate2::{Compress, Compression, FlushCompress, Status};

use super::format::{METADATA_BYTES, METADATA_STORED};

/// As `mksquashfs` compresses.
const LEVEL: u32 = 9;

/// What of data blocks is worth the time: they are many more.
pub(super) const DATA_LEVEL: u32 = 6;

/// Appends a zlib stream (RFC 1950) and says whether it is shorter than `plain`; if not, `out` is
/// as it was.
pub(super) fn compress(plain: &[u8], level: u32, out: &mut Vec<u8>) -> io::Result<bool> {
    let mut state = Compress::new(Compression::new(level), true);
    let mut room = Vec::with_capacity(plain.len());
    let status = state
        .compress_vec(plain, &mut room, FlushCompress::Finish)
        .map_err(io::Error::other)?;
    let shorter = status == Status::StreamEnd && room.len() < plain.len();
    if shorter {
        out.extend_from_slice(&room);
    }
    Ok(shorter)
}

/// Where something stands in metadata: the start of its block among the compressed ones, and the
/// place within the plain block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) block: u32,
    pub(super) offset: u16,
}

impl Place {
    /// As the superblock and extended attributes refer to it.
    pub(super) fn reference(self) -> u64 {
        u64::from(self.block) << 16 | u64::from(self.offset)
    }
}

/// Bytes on their way to metadata blocks.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    done: Vec<u8>,
    /// Starts of the blocks in `done`.
    starts: Vec<u32>,
    current: Vec<u8>,
}

impl Metadata {
    /// Where the next byte will stand.
    pub(super) fn place(&self) -> io::Result<Place> {
        Ok(Place {
            block: u32::try_from(self.done.len()).map_err(|_| too_large())?,
            offset: u16::try_from(self.current.len()).map_err(|_| too_large())?,
        })
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = METADATA_BYTES - self.current.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.current.extend_from_slice(now);
            bytes = later;
            if self.current.len() == METADATA_BYTES {
                self.end_block()?;
            }
        }
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        let start = self.done.len();
        self.starts
            .push(u32::try_from(start).map_err(|_| too_large())?);
        self.done.extend_from_slice(&[0; 2]);
        let mut length = 0;
        if !compress(&self.current, LEVEL, &mut self.done)? {
            self.done.extend_from_slice(&self.current);
            length = METADATA_STORED;
        }
        length |= u16::try_from(self.done.len() - start - 2).map_err(|_| too_large())?;
        self.done[start..start + 2].copy_from_slice(&length.to_le_bytes());
        self.current.clear();
        Ok(())
    }

    /// All blocks, and where each starts among them.
    pub(super) fn finish(mut self) -> io::Result<(Vec<u8>, Vec<u32>)> {
        if !self.current.is_empty() {
            self.end_block()?;
        }
        Ok((self.done, self.starts))
    }
}

fn too_large() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        "a squashfs can't have more than 4 GiB of inodes",
    )
}
