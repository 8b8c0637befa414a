//! Bits of a deflate stream, lowest first (RFC 1951 3.1.1).

/// The bits from bit `at` of `bytes` on, 57 at least; zeros beyond the end.
pub(super) fn peek(bytes: &[u8], at: u64) -> u64 {
    let (byte, shift) = (usize::try_from(at / 8).unwrap_or(usize::MAX), at % 8);
    let rest = bytes.get(byte..).unwrap_or_default();
    let word = rest.first_chunk().copied().unwrap_or_else(|| {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last
    });
    u64::from_le_bytes(word) >> shift
}
