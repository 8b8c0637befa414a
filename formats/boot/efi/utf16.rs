//! The command line as UEFI wants it.

/// Gives the UTF-16 of UTF-8 text, unit by unit. What is no UTF-8 becomes U+FFFD.
pub fn utf16(bytes: impl Iterator<Item = u8>, mut unit: impl FnMut(u16)) {
    let mut bytes = bytes.peekable();
    while let Some(first) = bytes.next() {
        // How many bytes follow, the bits of the first, and the least that is not said in fewer.
        let (follow, bits, least) = match first {
            0x00..=0x7f => (0, first, 0),
            0xc2..=0xdf => (1, first & 0x1f, 0x80),
            0xe0..=0xef => (2, first & 0x0f, 0x800),
            0xf0..=0xf4 => (3, first & 0x07, 0x1_0000),
            _ => (0, 0, u32::MAX),
        };
        let mut character = u32::from(bits);
        let mut left = follow;
        while left > 0
            && let Some(next) = bytes.next_if(|byte| byte & 0xc0 == 0x80)
        {
            character = character << 6 | u32::from(next & 0x3f);
            left -= 1;
        }
        let is_surrogate = character & !0x7ff == 0xd800;
        if left > 0 || character < least || character > 0x10_ffff || is_surrogate {
            unit(0xfffd);
        } else if character < 0x1_0000 {
            unit(character as u16);
        } else {
            let high = character - 0x1_0000;
            unit(0xd800 | (high >> 10) as u16);
            unit(0xdc00 | (high & 0x3ff) as u16);
        }
    }
}
