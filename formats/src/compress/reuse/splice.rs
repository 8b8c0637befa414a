//! Blocks to a segment.

use super::super::format::DEFLATE_STORED_MAX_BYTES;
use super::reader::Block;

/// Bits of a block's header: final flag and type (RFC 1951 3.2.3).
const HEADER_BITS: u32 = 3;
const STORED: u64 = 0;

/// Joins deflate blocks to a stretch of non-final blocks that ends on a byte.
#[derive(Debug, Default)]
pub struct Splice {
    bytes: Vec<u8>,
    /// Bits that do not fill a byte yet, lowest first.
    pending: u64,
    pending_bits: u32,
}

impl Splice {
    /// Adds a block. `plain` are its plain bytes: a stored block is written anew from them, as it
    /// must start on a byte.
    pub fn push(&mut self, block: &Block, plain: &[u8]) {
        let mut bits = Bits { block, position: 0 };
        let kind = bits.take(HEADER_BITS) >> 1;
        if kind == STORED {
            self.push_stored(plain);
            return;
        }
        // Whatever it was: here others follow.
        self.push_bits(kind << 1, HEADER_BITS);
        self.push_words(&mut bits);
        while let left @ 1.. = bits.left() {
            let count = u32::try_from(left.min(32)).unwrap_or(32);
            let value = bits.take(count);
            self.push_bits(value, count);
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

    fn push_bits(&mut self, value: u64, count: u32) {
        self.pending |= value << self.pending_bits;
        self.pending_bits += count;
        while self.pending_bits >= 32 {
            self.bytes
                .extend_from_slice(&self.pending.to_le_bytes()[..4]);
            self.pending >>= 32;
            self.pending_bits -= 32;
        }
    }

    /// Takes bits as long as there are eight bytes to read them from: most of a block, at the speed at
    /// which it is shifted.
    fn push_words(&mut self, bits: &mut Bits<'_>) {
        const TAKEN: u32 = 32;
        let at = bits.position + u64::from(bits.block.first_bit);
        let (byte, shift) = (usize::try_from(at / 8).unwrap_or(usize::MAX), at % 8);
        let bytes = bits.block.bytes.get(byte..).unwrap_or_default();
        let words = bytes.len().saturating_sub(4) / 4;
        let words = words.min(usize::try_from(bits.left() / u64::from(TAKEN)).unwrap_or(0));
        self.bytes.reserve(words * 4 + 8);
        for word in bytes.windows(8).step_by(4).take(words) {
            let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
            self.pending |= (word >> shift & u64::from(u32::MAX)) << self.pending_bits;
            // Fewer than 32 bits were pending, so as many are again.
            self.bytes
                .extend_from_slice(&self.pending.to_le_bytes()[..4]);
            self.pending >>= TAKEN;
        }
        bits.position += words as u64 * u64::from(TAKEN);
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
    fn align(&mut self) {
        let bytes = self.pending_bits.div_ceil(8) as usize;
        self.bytes
            .extend_from_slice(&self.pending.to_le_bytes()[..bytes]);
        self.pending = 0;
        self.pending_bits = 0;
    }
}

/// Reads a block's bits, lowest first.
struct Bits<'b> {
    block: &'b Block,
    position: u64,
}

impl Bits<'_> {
    fn left(&self) -> u64 {
        self.block.bits.saturating_sub(self.position)
    }

    /// The next `count` bits (32 at most); zeros beyond the end.
    fn take(&mut self, count: u32) -> u64 {
        let at = self.position + u64::from(self.block.first_bit);
        self.position += u64::from(count);
        let (byte, shift) = (usize::try_from(at / 8).unwrap_or(usize::MAX), at % 8);
        let mut word = [0; 8];
        let bytes = self.block.bytes.get(byte..).unwrap_or_default();
        let length = bytes.len().min(8);
        word[..length].copy_from_slice(&bytes[..length]);
        (u64::from_le_bytes(word) >> shift) & ((1 << count) - 1)
    }
}
