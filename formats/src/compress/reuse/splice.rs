//! Blocks to a segment.

use super::super::format::DEFLATE_STORED_MAX_BYTES;
use super::bits::peek;
use super::log::Part;
use super::reader::Block;
use super::symbols::{HEADER_BITS, STORED};

/// Bits that are moved at a time.
const WORD_BITS: u32 = 32;

/// Joins deflate blocks to a stretch of non-final blocks that ends on a byte.
#[derive(Debug, Default)]
pub struct Splice {
    pub(super) bytes: Vec<u8>,
    /// Bits that do not fill a word yet, lowest first.
    pending: u64,
    pending_bits: u32,
}

impl Splice {
    /// Adds a block, or a part of one. `plain` are its plain bytes: a stored block is written anew from
    /// them, as it must start on a byte.
    pub fn push(&mut self, part: &Part, plain: &[u8]) {
        let block = &*part.block;
        if block.is_stored() {
            self.push_stored(plain);
            return;
        }
        // Whatever it was: here others follow.
        self.push_bits(block.kind() << 1, HEADER_BITS);
        match &part.symbols {
            None => self.push_range(block, u64::from(HEADER_BITS), block.bits),
            Some(symbols) => {
                self.push_range(block, u64::from(HEADER_BITS), symbols.header_bits);
                self.push_range(block, symbols.first_bit, symbols.end_bit);
                let (code, bits) = symbols.end_of_block;
                self.push_bits(code, bits);
            }
        }
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.pending_bits == 0
    }

    /// Ends the segment on a byte.
    pub fn finish(mut self) -> Vec<u8> {
        if self.pending_bits > 0 {
            self.push_stored(&[]);
        }
        self.bytes
    }

    /// Adds `count` bits, 32 at most; those of `value` above them are 0.
    pub(super) fn push_bits(&mut self, value: u64, count: u32) {
        self.pending |= value << self.pending_bits;
        self.pending_bits += count;
        if self.pending_bits >= WORD_BITS {
            self.bytes
                .extend_from_slice(&self.pending.to_le_bytes()[..4]);
            self.pending >>= WORD_BITS;
            self.pending_bits -= WORD_BITS;
        }
    }

    /// Adds the bits `from..to` of a block: most of them word by word, at the speed at which they are
    /// shifted.
    fn push_range(&mut self, block: &Block, from: u64, to: u64) {
        let at = from + u64::from(block.first_bit);
        let (byte, shift) = (usize::try_from(at / 8).unwrap_or(usize::MAX), at % 8);
        let bytes = block.bytes.get(byte..).unwrap_or_default();
        let left = to.saturating_sub(from);
        let words = bytes.len().saturating_sub(4) / 4;
        let words = words.min(usize::try_from(left / u64::from(WORD_BITS)).unwrap_or(0));
        self.bytes.reserve(words * 4 + 8);
        for word in bytes.windows(8).step_by(4).take(words) {
            let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
            self.pending |= (word >> shift & u64::from(u32::MAX)) << self.pending_bits;
            // Fewer than 32 bits were pending, so as many are again.
            self.bytes
                .extend_from_slice(&self.pending.to_le_bytes()[..4]);
            self.pending >>= WORD_BITS;
        }
        let mut done = from + words as u64 * u64::from(WORD_BITS);
        while done < to {
            let count = u32::try_from(to - done).unwrap_or(WORD_BITS).min(WORD_BITS);
            let word = peek(&block.bytes, done + u64::from(block.first_bit));
            self.push_bits(word & ((1 << count) - 1), count);
            done += u64::from(count);
        }
    }

    pub(super) fn push_stored(&mut self, plain: &[u8]) {
        let mut pieces = plain.chunks(DEFLATE_STORED_MAX_BYTES);
        let mut piece = pieces.next().unwrap_or_default();
        loop {
            self.push_bits(STORED, HEADER_BITS);
            self.align();
            let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
            self.bytes.extend_from_slice(&length.to_le_bytes());
            self.bytes.extend_from_slice(&(!length).to_le_bytes());
            self.bytes.extend_from_slice(piece);
            match pieces.next() {
                Some(next) => piece = next,
                None => return,
            }
        }
    }

    /// Fills the last byte with zeros.
    pub(super) fn align(&mut self) {
        let bytes = self.pending_bits.div_ceil(8) as usize;
        self.bytes
            .extend_from_slice(&self.pending.to_le_bytes()[..bytes]);
        self.pending = 0;
        self.pending_bits = 0;
    }
}
