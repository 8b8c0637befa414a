//! Bits of a deflate stream, lowest first (RFC 1951 3.1.1).

use super::super::format::DEFLATE_STORED_MAX_BYTES;
use super::alphabet::{HEADER_BITS, STORED};

/// Bits that are moved at a time.
pub(in crate::compress) const WORD_BITS: u32 = 32;

/// The bits from bit `at` of `bytes` on, 57 at least; zeros beyond the end.
pub(in crate::compress) fn peek(bytes: &[u8], at: u64) -> u64 {
    let (byte, shift) = (usize::try_from(at / 8).unwrap_or(usize::MAX), at % 8);
    let rest = bytes.get(byte..).unwrap_or_default();
    let word = rest.first_chunk().copied().unwrap_or_else(|| {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last
    });
    u64::from_le_bytes(word) >> shift
}

/// Puts blocks together bit by bit.
#[derive(Debug, Default)]
pub(in crate::compress) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that do not fill a word yet, lowest first.
    pending: u64,
    /// How many: fewer than a word has.
    pending_bits: u32,
}

impl BitWriter {
    /// Appends to bytes that are there.
    pub(in crate::compress) fn new(bytes: Vec<u8>) -> Self {
        BitWriter {
            bytes,
            ..Self::default()
        }
    }

    pub(in crate::compress) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.pending_bits == 0
    }

    pub(in crate::compress) fn is_on_byte(&self) -> bool {
        self.pending_bits == 0
    }

    pub(in crate::compress) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// Adds `count` bits, a word at most; those of `value` above them are 0.
    pub(in crate::compress) fn push(&mut self, value: u64, count: u32) {
        self.pending |= value << self.pending_bits;
        self.pending_bits += count;
        if self.pending_bits >= WORD_BITS {
            self.flush_word();
            self.pending_bits -= WORD_BITS;
        }
    }

    /// Adds a whole word.
    pub(in crate::compress) fn push_word(&mut self, word: u64) {
        self.pending |= word << self.pending_bits;
        // Fewer than a word's bits were pending, so as many are again.
        self.flush_word();
    }

    fn flush_word(&mut self) {
        self.bytes
            .extend_from_slice(&self.pending.to_le_bytes()[..4]);
        self.pending >>= WORD_BITS;
    }

    /// Adds a Huffman code of `count` bits, which stands with its first bit first.
    pub(in crate::compress) fn push_code(&mut self, code: u64, count: u32) {
        self.push(code.reverse_bits() >> (u64::BITS - count), count);
    }

    /// Adds stored blocks, one at least, that hold `plain` (RFC 1951 3.2.4).
    pub(in crate::compress) fn push_stored(&mut self, plain: &[u8]) {
        let mut pieces = plain.chunks(DEFLATE_STORED_MAX_BYTES);
        let mut piece = pieces.next().unwrap_or_default();
        loop {
            self.push(STORED, HEADER_BITS);
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

    /// The bytes; the last one is filled with zeros.
    pub(in crate::compress) fn into_bytes(mut self) -> Vec<u8> {
        self.align();
        self.bytes
    }
}
