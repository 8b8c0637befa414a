//! Deflate's Huffman codes (RFC 1951 3.2.2).

/// The longest code.
const MAX_CODE_BITS: u32 = 15;
/// How many lengths a code can have, with 0 for none.
const LENGTHS: usize = MAX_CODE_BITS as usize + 1;
const FAST_BITS: u32 = 10;
const LENGTH_BITS: u32 = 4;

/// A Huffman code. What has up to [`FAST_BITS`] is looked up by the next bits, what has more is searched
/// for length by length.
#[derive(Debug)]
pub(super) struct Table {
    /// Symbol and code length together; 0 where the code is longer, or none.
    fast: [u16; 1 << FAST_BITS],
    /// Of each length: its first code, how many codes there are, and where their symbols stand.
    long: [(u32, u32, usize); LENGTHS],
    /// Symbols by length, then by number.
    symbols: Vec<u16>,
}

impl Table {
    /// `None` where the lengths are no prefix code. One that leaves bits unused is one.
    pub(super) fn new(lengths: &[u8]) -> Option<Self> {
        let mut table = Table {
            fast: [0; 1 << FAST_BITS],
            long: [(0, 0, 0); LENGTHS],
            symbols: Vec::new(),
        };
        let mut codes = Codes::new(lengths);
        for length in 1..=MAX_CODE_BITS {
            let (first, start) = (codes.0[length as usize], table.symbols.len());
            let mut count = 0;
            for (symbol, _) in
                (lengths.iter().enumerate()).filter(|&(_, &l)| u32::from(l) == length)
            {
                let code = codes.next(length)?;
                if length <= FAST_BITS {
                    let entry = u16::try_from(symbol << LENGTH_BITS | length as usize).ok()?;
                    for place in (code..table.fast.len()).step_by(1 << length) {
                        table.fast[place] = entry;
                    }
                }
                table.symbols.push(u16::try_from(symbol).ok()?);
                count += 1;
            }
            table.long[length as usize] = (first, count, start);
        }
        Some(table)
    }

    /// The symbol at the start of `word` and the bits of its code.
    pub(super) fn decode(&self, word: u64) -> Option<(usize, u32)> {
        let entry = self.fast[(word & ((1 << FAST_BITS) - 1)) as usize];
        if entry > 0 {
            let length = u32::from(entry) & ((1 << LENGTH_BITS) - 1);
            return Some((usize::from(entry >> LENGTH_BITS), length));
        }
        // Codes stand with their first bit lowest.
        let reversed = u32::try_from(word & u64::from(u32::MAX))
            .ok()?
            .reverse_bits();
        (FAST_BITS + 1..=MAX_CODE_BITS).find_map(|length| {
            let (first, count, start) = self.long[length as usize];
            let place = (reversed >> (32 - length)).wrapping_sub(first);
            (place < count).then(|| (usize::from(self.symbols[start + place as usize]), length))
        })
    }
}

/// Gives out the codes of a canonical code (RFC 1951 3.2.2), first bit lowest.
struct Codes([u32; LENGTHS]);

impl Codes {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0u32; LENGTHS];
        for &length in lengths.iter().filter(|&&length| length > 0) {
            counts[usize::from(length).min(LENGTHS - 1)] += 1;
        }
        let mut next = [0u32; LENGTHS];
        for bits in 1..LENGTHS {
            next[bits] = (next[bits - 1] + counts[bits - 1]) << 1;
        }
        Codes(next)
    }

    /// The next code of a length; `None` where there are too many.
    fn next(&mut self, length: u32) -> Option<usize> {
        let next = self.0.get_mut(length as usize)?;
        let code = *next;
        *next += 1;
        let reversed = code.reverse_bits() >> (32 - length);
        (code >> length == 0).then(|| usize::try_from(reversed).ok())?
    }
}

/// The code of `wanted`, first bit lowest, and its bits.
pub(super) fn code_of(lengths: &[u8], wanted: usize) -> Option<(u64, u32)> {
    let mut codes = Codes::new(lengths);
    for (symbol, &length) in lengths.iter().enumerate().filter(|&(_, &l)| l > 0) {
        let length = u32::from(length);
        let code = codes.next(length)?;
        if symbol == wanted {
            return Some((code as u64, length));
        }
    }
    None
}
