//! What deflate's symbols stand for (RFC 1951 3.2).

/// Bits of a block's header: final flag and type (RFC 1951 3.2.3).
pub(in crate::compress) const HEADER_BITS: u32 = 3;
/// `BTYPE` of stored, fixed and dynamic blocks.
pub(in crate::compress) const STORED: u64 = 0;
pub(in crate::compress) const FIXED: u64 = 1;
pub(in crate::compress) const DYNAMIC: u64 = 2;

/// The symbol that ends a block; literals are below it, lengths above.
pub(in crate::compress) const END_OF_BLOCK: usize = 256;

/// Base and extra bits of length codes 257 to 285 (RFC 1951 3.2.5).
pub(in crate::compress) const LENGTHS: [(u16, u8); 29] = {
    let mut lengths = [(0, 0); 29];
    let mut code = 0;
    while code < 28 {
        lengths[code] = numbers(code, 3, 2);
        code += 1;
    }
    // The longest is not where the others lead to.
    lengths[28] = (258, 0);
    lengths
};
/// Base and extra bits of distance codes 0 to 29.
pub(in crate::compress) const DISTANCES: [(u16, u8); 30] = {
    let mut distances = [(0, 0); 30];
    let mut code = 0;
    while code < 30 {
        distances[code] = numbers(code, 1, 1);
        code += 1;
    }
    distances
};

/// Which numbers a code stands for: the first of all is `least`, and after the first `2 << group` codes,
/// which stand for one each, every `1 << group` codes have an extra bit more.
#[expect(clippy::cast_possible_truncation, reason = "of at most 13 extra bits")]
const fn numbers(code: usize, least: usize, group: usize) -> (u16, u8) {
    if code < 2 << group {
        return ((code + least) as u16, 0);
    }
    let extra = (code >> group) - 1;
    let base = (code % (1 << group) + (1 << group)) << extra;
    ((base + least) as u16, extra as u8)
}
