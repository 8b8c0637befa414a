//! Deflate for a few bytes: zlib takes longer to be set up than these take to be compressed.

use super::alphabet::{DISTANCES, END_OF_BLOCK, FIXED, HEADER_BITS, LENGTHS};
use super::bits::BitWriter;

/// More is better compressed by zlib.
pub(super) const SHORT_BYTES: usize = 1 << 10;

/// A shorter match costs as much as its bytes.
const MIN_MATCH: usize = 4;
const MAX_MATCH: usize = 258;
const HASH_BITS: u32 = 9;

/// Appends `plain`, of [`SHORT_BYTES`] at most, to `out` as one block with fixed codes
/// (RFC 1951 3.2.6) and an empty stored block, which ends on a byte.
pub(super) fn run(plain: &[u8], out: &mut Vec<u8>) {
    let mut bits = BitWriter::new(std::mem::take(out));
    bits.push(FIXED << 1, HEADER_BITS);
    let mut seen = Seen::default();
    let mut rest = plain;
    while let Some(&literal) = rest.first() {
        let at = plain.len() - rest.len();
        let matched = seen.replace(plain, at).and_then(|before| {
            let pairs = plain[before..].iter().zip(rest).take(MAX_MATCH);
            let length = pairs.take_while(|(a, b)| a == b).count();
            (length >= MIN_MATCH).then_some((length, at - before))
        });
        let length = match matched {
            Some((length, distance)) => {
                push_match(&mut bits, length, distance);
                length
            }
            None => {
                push_symbol(&mut bits, usize::from(literal));
                1
            }
        };
        for at in at + 1..at + length {
            seen.replace(plain, at);
        }
        rest = &rest[length..];
    }
    push_symbol(&mut bits, END_OF_BLOCK);
    bits.push_stored(&[]);
    *out = bits.into_bytes();
}

/// Where four bytes with each hash stood last.
struct Seen([u16; 1 << HASH_BITS]);

/// No place yet.
const NOWHERE: u16 = u16::MAX;

impl Default for Seen {
    fn default() -> Self {
        Seen([NOWHERE; 1 << HASH_BITS])
    }
}

impl Seen {
    /// Where the four bytes at `at` may have stood before; now they stand at `at`.
    fn replace(&mut self, plain: &[u8], at: usize) -> Option<usize> {
        let word = u32::from_le_bytes(*plain.get(at..)?.first_chunk()?);
        let hash = word.wrapping_mul(0x9e37_79b1) >> (u32::BITS - HASH_BITS);
        let place = &mut self.0[hash as usize];
        let before = std::mem::replace(place, u16::try_from(at).unwrap_or(NOWHERE));
        (before != NOWHERE).then_some(usize::from(before))
    }
}

fn push_match(bits: &mut BitWriter, length: usize, distance: usize) {
    let (code, extra, value) = code_of(&LENGTHS, length);
    push_symbol(bits, END_OF_BLOCK + 1 + code);
    bits.push(value, extra);
    let (code, extra, value) = code_of(&DISTANCES, distance);
    bits.push_code(code as u64, 5);
    bits.push(value, extra);
}

/// The code of a number, its extra bits and their value.
fn code_of(numbers: &[(u16, u8)], number: usize) -> (usize, u32, u64) {
    let is_reached = |&(base, _): &(u16, u8)| usize::from(base) <= number;
    let code = numbers.iter().rposition(is_reached).unwrap_or(0);
    let (base, extra) = numbers[code];
    (code, u32::from(extra), (number - usize::from(base)) as u64)
}

/// The fixed code of a literal, a length or the end of the block.
fn push_symbol(bits: &mut BitWriter, symbol: usize) {
    let symbol = symbol as u64;
    match symbol {
        0..=143 => bits.push_code(0x30 + symbol, 8),
        144..=255 => bits.push_code(0x190 + symbol - 144, 9),
        256..=279 => bits.push_code(symbol - 256, 7),
        _ => bits.push_code(0xc0 + symbol - 280, 8),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn check(plain: &[u8]) -> usize {
        let mut out = b"before".to_vec();
        run(plain, &mut out);
        let run = out.strip_prefix(b"before").unwrap();
        // The end of a stream comes behind it.
        let stream = [run, &[3, 0]].concat();
        let mut inflated = Vec::new();
        let mut decoder = flate2::read::DeflateDecoder::new(&stream[..]);
        decoder.read_to_end(&mut inflated).unwrap();
        assert!(inflated == plain);
        run.len()
    }

    #[test]
    fn a_header_gets_much_shorter() {
        let header = format!("070701{:0104}usr/bin/example\0\0\0", 0x1234);
        let bytes = check(header.as_bytes());
        assert!(bytes < 50, "{bytes}");
    }

    #[test]
    fn every_length_and_the_ends_are_right() {
        check(b"");
        for length in 1..=SHORT_BYTES {
            check(&vec![b'0'; length]);
        }
        // All literals, then all of them again, from as far as can be.
        let all: Vec<u8> = (0..=255).collect();
        check(&[&all[..], &[7; 512], &all].concat());
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(
            pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..9), 1usize..20), 0..40),
        ) {
            let mut plain: Vec<u8> = pieces.iter().flat_map(|(bytes, times)| bytes.repeat(*times)).collect();
            plain.truncate(SHORT_BYTES);
            check(&plain);
        }
    }
}
