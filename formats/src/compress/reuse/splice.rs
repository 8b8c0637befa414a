//! Blocks to a segment.

use super::super::deflate::alphabet::HEADER_BITS;
use super::super::deflate::bits::{BitWriter, WORD_BITS, peek};
use super::log::Part;
use super::reader::Block;

/// Joins deflate blocks to a stretch of non-final blocks that ends on a byte.
#[derive(Debug, Default)]
pub struct Splice(pub(super) BitWriter);

impl Splice {
    /// Adds a block, or a part of one. `plain` are its plain bytes: a stored block is written anew from
    /// them, as it must start on a byte.
    pub fn push(&mut self, part: &Part, plain: &[u8]) {
        let block = &*part.block;
        if block.is_stored() {
            self.0.push_stored(plain);
            return;
        }
        // Whatever it was: here others follow.
        self.0.push(block.kind() << 1, HEADER_BITS);
        match &part.symbols {
            None => self.push_range(block, u64::from(HEADER_BITS), block.bits),
            Some(symbols) => {
                self.push_range(block, u64::from(HEADER_BITS), symbols.header_bits);
                self.push_range(block, symbols.first_bit, symbols.end_bit);
                let (code, bits) = symbols.end_of_block;
                self.0.push(code, bits);
            }
        }
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends the segment on a byte.
    pub fn finish(mut self) -> Vec<u8> {
        if !self.0.is_on_byte() {
            self.0.push_stored(&[]);
        }
        self.0.into_bytes()
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
        self.0.reserve(words * 4 + 8);
        for word in bytes.windows(8).step_by(4).take(words) {
            let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
            self.0.push_word(word >> shift & u64::from(u32::MAX));
        }
        let mut done = from + words as u64 * u64::from(WORD_BITS);
        while done < to {
            let count = u32::try_from(to - done).unwrap_or(WORD_BITS).min(WORD_BITS);
            let word = peek(&block.bytes, done + u64::from(block.first_bit));
            self.0.push(word & ((1 << count) - 1), count);
            done += u64::from(count);
        }
    }
}
