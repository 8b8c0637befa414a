//! A disk in blocks: read, encoded on all cores, written in order, in bounded memory.

use std::io::{self, Write};

use rayon::prelude::*;

use crate::payload::Payload;

/// What a disk image is written with is in memory for so many plain bytes, twice.
const BATCH_BYTES: usize = 4 << 20;

/// Why a disk image was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// What the image is made of can't be read.
    #[error("the disk's content could not be read at byte {offset}: {source}")]
    Read {
        /// Where in the disk.
        offset: u64,
        /// What the payload said.
        source: io::Error,
    },
    /// The image can't be written.
    #[error("the disk image could not be written: {0}")]
    Write(#[source] io::Error),
    /// The disk is larger than the format allows.
    #[error("a disk of {bytes} bytes does not fit {format}, which takes {max_bytes} at most")]
    TooLarge {
        /// Length of the disk.
        bytes: u64,
        /// Name of the format.
        format: &'static str,
        /// The most that it can hold.
        max_bytes: u64,
    },
}

/// An encoded block, as it comes in order.
pub(crate) struct Block<'a> {
    /// Which block of the disk it is.
    pub(crate) index: u64,
    /// What `encode` made of it.
    pub(crate) encoded: &'a [u8],
}

/// Encodes every block that is not all zeros and gives them to `write` in order. The last block
/// is filled up with zeros. `encode` appends to a vector that it finds empty.
pub(crate) fn encode_blocks(
    disk: &dyn Payload,
    block_bytes: usize,
    encode: impl Fn(&[u8], &mut Vec<u8>) -> io::Result<()> + Sync,
    mut write: impl FnMut(Block<'_>) -> io::Result<()> + Send,
) -> Result<(), ImageError> {
    let mut indexes = DataBlocks::new(disk, block_bytes);
    let batch_blocks = (BATCH_BYTES / block_bytes).max(1);
    let mut ready: Vec<Slot> = Vec::new();
    let mut spare: Vec<Slot> = Vec::new();
    loop {
        let mut next = std::mem::take(&mut spare);
        let mut count = 0;
        for index in indexes.by_ref().take(batch_blocks) {
            if count == next.len() {
                next.push(Slot::default());
            }
            next[count].index = index;
            count += 1;
        }
        next.truncate(count);
        let (encoded, written) = rayon::join(
            || {
                next.par_iter_mut()
                    .try_for_each(|slot| slot.fill(disk, block_bytes, &encode))
            },
            || {
                ready
                    .iter()
                    .filter(|slot| slot.has_data)
                    .try_for_each(|slot| {
                        write(Block {
                            index: slot.index,
                            encoded: &slot.encoded,
                        })
                    })
            },
        );
        // What was before goes first, also among errors: then they don't depend on threads.
        written.map_err(ImageError::Write)?;
        encoded?;
        spare = std::mem::replace(&mut ready, next);
        if ready.is_empty() {
            return Ok(());
        }
    }
}

/// A block on its way, whose memory is used again.
#[derive(Default)]
struct Slot {
    index: u64,
    plain: Vec<u8>,
    encoded: Vec<u8>,
    has_data: bool,
}

impl Slot {
    fn fill(
        &mut self,
        disk: &dyn Payload,
        block_bytes: usize,
        encode: &(impl Fn(&[u8], &mut Vec<u8>) -> io::Result<()> + Sync),
    ) -> Result<(), ImageError> {
        let offset = self.index * block_bytes as u64;
        let failed = |source| ImageError::Read { offset, source };
        let left = usize::try_from(disk.len_bytes() - offset).unwrap_or(usize::MAX);
        let bytes = left.min(block_bytes);
        self.plain.resize(block_bytes, 0);
        disk.read_exact_at(offset, &mut self.plain[..bytes])
            .map_err(failed)?;
        self.plain[bytes..].fill(0);
        self.encoded.clear();
        self.has_data = !is_zero(&self.plain);
        if self.has_data {
            encode(&self.plain, &mut self.encoded).map_err(failed)?;
        }
        Ok(())
    }
}

/// Indexes of the blocks that may hold data.
struct DataBlocks<'a> {
    disk: &'a dyn Payload,
    block_bytes: u64,
    next: u64,
    /// Blocks below this are in the range found last.
    range_end: u64,
}

impl<'a> DataBlocks<'a> {
    fn new(disk: &'a dyn Payload, block_bytes: usize) -> Self {
        Self {
            disk,
            block_bytes: block_bytes as u64,
            next: 0,
            range_end: 0,
        }
    }
}

impl Iterator for DataBlocks<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.next >= self.range_end {
            let range = self.disk.next_data(self.next * self.block_bytes)?;
            self.next = self.next.max(range.start / self.block_bytes);
            self.range_end = range.end.div_ceil(self.block_bytes).max(self.next + 1);
        }
        self.next += 1;
        Some(self.next - 1)
    }
}

/// Whether all bytes are zero, at the speed of memory.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|&byte| byte == 0)
}

/// Whether bytes look as if they were compressed or encrypted already, by a sample: then trying
/// to compress them is a waste. A measure of how evenly byte values are spread (chi-squared).
pub(crate) fn looks_random(bytes: &[u8]) -> bool {
    const SAMPLE_BYTES: usize = 4096;
    const PIECE_BYTES: usize = 64;
    // A random sample has 255 on average, and 370 once in a million times; gzip and zstd streams
    // are a little above, programs and text in the thousands.
    const LIMIT: u32 = 500;
    if bytes.len() < SAMPLE_BYTES {
        return false;
    }
    let mut counts = [0_u32; 256];
    let stride = bytes.len() / (SAMPLE_BYTES / PIECE_BYTES);
    for piece in bytes.chunks_exact(stride).take(SAMPLE_BYTES / PIECE_BYTES) {
        for &byte in &piece[..PIECE_BYTES] {
            counts[usize::from(byte)] += 1;
        }
    }
    let expected = 16_u32;
    let sum: u32 = counts
        .iter()
        .map(|count| count.abs_diff(expected).pow(2))
        .sum();
    sum / expected < LIMIT
}

/// A writer that knows how far it got.
#[derive(Debug)]
pub(crate) struct Counting<W> {
    pub(crate) inner: W,
    pub(crate) bytes: u64,
}

impl<W: Write> Counting<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, bytes: 0 }
    }

    /// Writes zeros up to a multiple of `alignment`.
    pub(crate) fn pad(&mut self, alignment: u64) -> io::Result<()> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let mut left = self.bytes.next_multiple_of(alignment) - self.bytes;
        while left > 0 {
            let step = usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
            self.write_all(&ZEROS[..step])?;
            left -= step as u64;
        }
        Ok(())
    }
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Extents;
    use crate::testing::{noise, text};

    #[test]
    fn blocks_come_in_order_and_zeros_are_left_out() {
        let mut disk = Extents::new(100 << 20);
        disk.place(1000, text(10)).unwrap();
        disk.place(4090, text(10)).unwrap();
        disk.place(8 << 20, vec![0; 9000]).unwrap();
        disk.place(20 << 20, noise(9 << 20)).unwrap();
        disk.place((100 << 20) - 1, vec![7]).unwrap();
        let mut indexes = Vec::new();
        encode_blocks(
            &disk,
            4096,
            |plain, out| {
                out.extend_from_slice(&crc32fast::hash(plain).to_le_bytes());
                Ok(())
            },
            |block| {
                let mut plain = vec![0; 4096];
                disk.read_exact_at(block.index * 4096, &mut plain)?;
                assert_eq!(block.encoded, crc32fast::hash(&plain).to_le_bytes());
                indexes.push(block.index);
                Ok(())
            },
        )
        .unwrap();
        let expected: Vec<u64> = [0, 1]
            .into_iter()
            .chain(5120..5120 + 2304)
            .chain([25599])
            .collect();
        assert_eq!(indexes, expected);
    }

    #[test]
    fn errors_say_where_the_disk_could_not_be_read() {
        struct Broken;
        impl Payload for Broken {
            fn len_bytes(&self) -> u64 {
                1 << 20
            }
            fn read_exact_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
                out.fill(1);
                if offset >= 65_536 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(())
            }
        }
        let result = encode_blocks(&Broken, 65_536, |_, _| Ok(()), |_| Ok(()));
        assert!(matches!(result, Err(ImageError::Read { offset, .. }) if offset >= 65_536));
        let result = encode_blocks(
            &vec![1; 4096],
            4096,
            |_, _| Ok(()),
            |_| Err(io::Error::other("full")),
        );
        assert!(matches!(result, Err(ImageError::Write(_))));
    }

    #[test]
    fn compressed_streams_look_random_and_text_does_not() {
        let plain = text(1 << 20);
        let gzip = crate::compress::encode_body("gzip".parse().unwrap(), &plain).unwrap();
        for (name, bytes, random) in [
            ("noise", noise(65_536), true),
            ("gzip", gzip.1.concat()[..65_536].to_vec(), true),
            ("zeros", vec![0; 65_536], false),
            ("short", noise(4095), false),
            (
                "text",
                "lorem ipsum dolor sit amet ".repeat(3000).into_bytes(),
                false,
            ),
            (
                "this program",
                std::fs::read(std::env::current_exe().unwrap()).unwrap(),
                false,
            ),
        ] {
            assert_eq!(looks_random(&bytes), random, "{name}");
        }
    }
}
