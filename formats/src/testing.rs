//! What the tests of this crate share.

/// Bytes that don't compress; a longer one starts with the shorter ones.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8))
        .flat_map(|_| next().to_le_bytes())
        .collect();
    bytes.truncate(len);
    bytes
}

/// Bytes that compress as programs and text do, with matches near and far.
pub(crate) fn text(len: usize) -> Vec<u8> {
    let words = noise(2048);
    let mut bytes = Vec::with_capacity(len + 16);
    for pick in noise(len / 4 + 16) {
        if bytes.len() >= len {
            break;
        }
        let start = usize::from(pick) * 7;
        bytes.extend_from_slice(&words[start..start + usize::from(pick % 11) + 3]);
        bytes.push(pick % 3);
    }
    bytes.truncate(len);
    bytes
}
