//! The parameters in this very program.

use core::ptr;

use crate::parameters::{BLOCK_BYTES, MAGIC};

#[repr(C, align(16))]
struct Block([u8; BLOCK_BYTES]);

/// Only the magic, until a medium is written.
const EMPTY: [u8; BLOCK_BYTES] = {
    let mut block = [0; BLOCK_BYTES];
    let mut at = 0;
    while at < MAGIC.len() {
        block[at] = MAGIC[at];
        at += 1;
    }
    block
};

static BLOCK: Block = Block(EMPTY);

/// A byte of the block.
pub fn byte_at(at: usize) -> u8 {
    if at >= BLOCK_BYTES {
        return 0;
    }
    // SAFETY: within the block. Volatile, because the bytes are not those that the compiler knows.
    unsafe { ptr::read_volatile((&raw const BLOCK.0).cast::<u8>().add(at)) }
}

/// A number of eight bytes.
pub fn u64_at(at: usize) -> u64 {
    (0..8).fold(0, |number, index| {
        number | u64::from(byte_at(at + index)) << (8 * index)
    })
}
