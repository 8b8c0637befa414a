//! Where the symbols of a deflate block stand and what they refer to, without inflating it
//! (RFC 1951 3.2).
//!
//! A block can be cut between any two symbols: its header, the bits of some of its symbols and its
//! end-of-block code are a block that holds just their bytes.

use super::super::deflate::alphabet::{
    DISTANCES, DYNAMIC, END_OF_BLOCK, FIXED, HEADER_BITS, LENGTHS,
};
use super::super::deflate::bits::peek;
use super::codes::{Table, code_of};
use super::reader::Block;

/// In which order the lengths of the code length code stand (RFC 1951 3.2.7).
const CODE_LENGTH_ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// The codes of a block, and how far its symbols were looked at.
#[derive(Debug)]
pub(super) struct Symbols {
    literals: Table,
    distances: Table,
    /// Where the first symbol stands, in bits from the block's start.
    pub(super) header_bits: u64,
    /// The end-of-block code, lowest bit first, and its bits.
    pub(super) end_of_block: (u64, u32),
    /// The next symbol: its bits from the block's start, and its plain bytes from that of the file.
    at: u64,
    plain: u64,
}

/// Symbols in a row of which none refers to what stands before a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Its plain bytes, in all that the file inflates to.
    pub(super) start: u64,
    pub(super) end: u64,
    /// Its bits, from the block's start.
    pub(super) first_bit: u64,
    pub(super) end_bit: u64,
}

/// Which symbols are looked for: those whose plain bytes lie in `from..to` and that refer to nothing
/// before `reach`, if they are `least` bytes or more in a row.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) reach: u64,
    pub(super) least: u64,
}

impl Symbols {
    /// Reads a block's header; `None` for a stored block and for what is no block.
    pub(super) fn read(block: &Block) -> Option<Self> {
        let mut header = Header { block, at: 0 };
        header.take(HEADER_BITS)?;
        let mut lengths = [0u8; 320];
        let (literals, distances) = match block.kind() {
            FIXED => {
                for (symbol, length) in lengths.iter_mut().enumerate() {
                    *length = match symbol {
                        0..=143 | 280..=287 => 8,
                        144..=255 => 9,
                        256..=279 => 7,
                        _ => 5,
                    };
                }
                lengths.split_at(288)
            }
            DYNAMIC => {
                let literals = header.take_count(5)? + 257;
                let distances = header.take_count(5)? + 1;
                header.lengths(&mut lengths, literals + distances)?;
                let (literal_lengths, rest) = lengths.split_at(literals);
                (literal_lengths, &rest[..distances])
            }
            _ => return None,
        };
        Some(Symbols {
            literals: Table::new(literals)?,
            distances: Table::new(distances)?,
            header_bits: header.at,
            end_of_block: code_of(literals, END_OF_BLOCK)?,
            at: header.at,
            plain: block.start,
        })
    }

    /// Whether the next symbol stands at `place` or before it.
    pub(super) fn is_before(&self, place: u64) -> bool {
        self.plain <= place
    }

    /// The wanted runs of symbols, from the next symbol on; `None` where the block makes no sense.
    pub(super) fn runs(&mut self, block: &Block, wanted: Wanted) -> Option<Vec<Run>> {
        let Wanted {
            from,
            to,
            reach,
            least,
        } = wanted;
        let mut runs = Vec::new();
        let mut run: Option<Run> = None;
        let mut close = |run: &mut Option<Run>| {
            runs.extend(run.take().filter(|run| run.end - run.start >= least));
        };
        while self.plain < to {
            let (begin, start) = (self.at, self.plain);
            if begin >= block.bits {
                return None;
            }
            let Symbol {
                length,
                distance,
                bits,
            } = self.next(block)?;
            if length == 0 {
                break;
            }
            self.at += u64::from(bits);
            self.plain += length;
            if start < from || self.plain > to || start < reach + distance {
                close(&mut run);
                continue;
            }
            let run = run.get_or_insert(Run {
                start,
                end: start,
                first_bit: begin,
                end_bit: begin,
            });
            run.end = self.plain;
            run.end_bit = self.at;
        }
        close(&mut run);
        Some(runs)
    }

    fn next(&self, block: &Block) -> Option<Symbol> {
        let word = peek(&block.bytes, self.at + u64::from(block.first_bit));
        let (symbol, mut bits) = self.literals.decode(word)?;
        if symbol < END_OF_BLOCK {
            return Some(Symbol {
                length: 1,
                distance: 0,
                bits,
            });
        }
        if symbol == END_OF_BLOCK {
            return Some(Symbol {
                length: 0,
                distance: 0,
                bits,
            });
        }
        // A match has 48 bits at most, so all of it is there.
        let &(base, extra) = LENGTHS.get(symbol - END_OF_BLOCK - 1)?;
        let length = u64::from(base) + (word >> bits & mask(extra));
        bits += u32::from(extra);
        let (symbol, more) = self.distances.decode(word >> bits)?;
        bits += more;
        let &(base, extra) = DISTANCES.get(symbol)?;
        let distance = u64::from(base) + (word >> bits & mask(extra));
        bits += u32::from(extra);
        Some(Symbol {
            length,
            distance,
            bits,
        })
    }
}

/// A literal (with distance 0), a match, or the end of the block (with length 0).
struct Symbol {
    length: u64,
    distance: u64,
    bits: u32,
}

fn mask(bits: u8) -> u64 {
    (1 << bits) - 1
}

struct Header<'b> {
    block: &'b Block,
    /// In bits from the block's start.
    at: u64,
}

impl Header<'_> {
    /// The next `count` bits (32 at most).
    fn take(&mut self, count: u32) -> Option<u64> {
        let word = peek(&self.block.bytes, self.at + u64::from(self.block.first_bit));
        self.at += u64::from(count);
        (self.at <= self.block.bits).then_some(word & ((1 << count) - 1))
    }

    fn take_count(&mut self, bits: u32) -> Option<usize> {
        usize::try_from(self.take(bits)?).ok()
    }

    /// Reads `count` code lengths (RFC 1951 3.2.7).
    fn lengths(&mut self, lengths: &mut [u8], count: usize) -> Option<()> {
        let mut of_lengths = [0u8; 19];
        let given = self.take_count(4)? + 4;
        for &symbol in CODE_LENGTH_ORDER.get(..given)? {
            of_lengths[symbol] = u8::try_from(self.take(3)?).ok()?;
        }
        let table = Table::new(&of_lengths)?;
        let mut filled = 0;
        while filled < count {
            let word = peek(&self.block.bytes, self.at + u64::from(self.block.first_bit));
            let (symbol, bits) = table.decode(word)?;
            self.take(bits)?;
            let (length, times) = match symbol {
                16 => (
                    *lengths.get(filled.checked_sub(1)?)?,
                    3 + self.take_count(2)?,
                ),
                17 => (0, 3 + self.take_count(3)?),
                18 => (0, 11 + self.take_count(7)?),
                length => (u8::try_from(length).ok()?, 1),
            };
            let end = (filled + times <= count).then_some(filled + times)?;
            lengths.get_mut(filled..end)?.fill(length);
            filled = end;
        }
        Some(())
    }
}
