//! The blocks of what was read, and what of them can be used again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::format::WINDOW_BYTES;
use super::reader::Block;
use super::symbols::{Run, Symbols, Wanted};

/// Less of a block is not worth a header of its own.
const MIN_PART_BYTES: u64 = 8 << 10;
/// Blocks that hold less are not remembered: there could be millions of them where one would do.
const MIN_BLOCK_BYTES: u64 = 1 << 10;
/// So much of compressed bytes is remembered at most; more than what the blocks of a segment and those
/// that overlap its ends can have.
const MAX_KEPT_BYTES: usize = 8 << 20;

/// What the reader of a [`GzipBlocks`](super::GzipBlocks) knows of the bytes it was given: a handle that
/// stays when the reader is wrapped.
#[derive(Clone, Debug, Default)]
pub struct BlockLog(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    /// Plain bytes given out.
    served: u64,
    /// Blocks of which a byte was given out, or is about to be; those behind are forgotten when that
    /// is said, or when there are too many.
    blocks: VecDeque<Arc<Block>>,
    /// Their compressed bytes.
    kept_bytes: usize,
    /// The block whose symbols were looked at last: the next file often begins in it.
    looked_at: Option<(Arc<Block>, Symbols)>,
}

/// A deflate block, or symbols of one, that refer to nothing before a place.
#[derive(Clone, Debug)]
pub struct Part {
    pub(super) block: Arc<Block>,
    start: u64,
    end: u64,
    /// Which symbols they are; none where the block is used whole, or holds its bytes as they are.
    pub(super) symbols: Option<PartSymbols>,
}

/// What makes symbols a block.
#[derive(Clone, Debug)]
pub(super) struct PartSymbols {
    pub(super) header_bits: u64,
    pub(super) first_bit: u64,
    pub(super) end_bit: u64,
    /// Lowest bit first, and how many.
    pub(super) end_of_block: (u64, u32),
}

impl Part {
    /// Where its plain bytes start, in all that the file inflates to.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Where its plain bytes end.
    pub fn end(&self) -> u64 {
        self.end
    }
}

impl Log {
    fn forget_first(&mut self) {
        let bytes = self.blocks.pop_front().map_or(0, |block| block.bytes.len());
        self.kept_bytes -= bytes;
    }
}

impl BlockLog {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn remember(&self, block: Block) {
        if block.plain_bytes < MIN_BLOCK_BYTES {
            return;
        }
        let mut log = self.lock();
        log.kept_bytes += block.bytes.len();
        log.blocks.push_back(Arc::new(block));
        while log.kept_bytes > MAX_KEPT_BYTES {
            log.forget_first();
        }
    }

    pub(super) fn serve(&self, bytes: u64) {
        self.lock().served += bytes;
    }

    /// Plain bytes that the reader has given out.
    pub fn served(&self) -> u64 {
        self.lock().served
    }

    /// Forgets the blocks that end before `place`, or there.
    pub fn forget(&self, place: u64) {
        let mut log = self.lock();
        while log.blocks.front().is_some_and(|b| b.end() <= place) {
            log.forget_first();
        }
    }

    /// How many blocks are remembered, and their compressed bytes.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        let log = self.lock();
        (log.blocks.len(), log.kept_bytes)
    }

    /// What can be used of the blocks between `from` and `to` in a text that starts at `reach`, in order.
    /// All of the plain bytes up to `to` must have been given out.
    ///
    /// If the text goes on behind `to`, a block that begins in `from..to` and goes on as well is left
    /// for the next time; where it begins comes second, `to` otherwise.
    pub fn parts(&self, from: u64, to: u64, reach: u64, goes_on: bool) -> (Vec<Part>, u64) {
        let mut log = self.lock();
        let log = &mut *log;
        let mut parts = Vec::new();
        let mut next = to;
        let wanted = Wanted {
            from,
            to,
            reach,
            least: MIN_PART_BYTES,
        };
        for block in log.blocks.iter().skip_while(|b| b.end() <= from) {
            if block.start >= to {
                break;
            }
            if goes_on && block.end() > to && block.start > from {
                next = block.start;
                break;
            }
            parts_of(block, wanted, &mut log.looked_at, &mut parts);
        }
        (parts, next)
    }
}

fn parts_of(
    block: &Arc<Block>,
    wanted: Wanted,
    looked_at: &mut Option<(Arc<Block>, Symbols)>,
    parts: &mut Vec<Part>,
) {
    let (start, end) = (block.start.max(wanted.from), block.end().min(wanted.to));
    let whole = (start, end) == (block.start, block.end());
    let part = |start, end, symbols| Part {
        block: block.clone(),
        start,
        end,
        symbols,
    };
    // Whatever it is, it cannot reach that far.
    if whole && start >= wanted.reach + WINDOW_BYTES as u64 {
        parts.push(part(start, end, None));
        return;
    }
    if end - start < MIN_PART_BYTES {
        return;
    }
    if block.is_stored() {
        parts.push(part(start, end, None));
        return;
    }
    let known = looked_at
        .take()
        .filter(|(known, symbols)| Arc::ptr_eq(known, block) && symbols.is_before(wanted.from));
    let symbols = known.map(|(_, symbols)| symbols);
    let Some(mut symbols) = symbols.or_else(|| Symbols::read(block)) else {
        return;
    };
    let Some(runs) = symbols.runs(block, wanted) else {
        return;
    };
    for Run {
        start,
        end,
        first_bit,
        end_bit,
    } in runs
    {
        let symbols = PartSymbols {
            header_bits: symbols.header_bits,
            first_bit,
            end_bit,
            end_of_block: symbols.end_of_block,
        };
        parts.push(part(start, end, Some(symbols)));
    }
    *looked_at = Some((block.clone(), symbols));
}
