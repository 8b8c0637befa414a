//! Percent-encoding (RFC 3986, 2.1) as the datastore's file API needs it: every byte that is not
//! unreserved is encoded, because its server reads `+` as a space and refuses a plain space.

/// `text` as one component of a query or path; `/` is encoded too.
pub(crate) fn encode(text: &str) -> String {
    encode_but(text, b"")
}

/// `path` with its slashes kept.
pub(crate) fn encode_path(path: &str) -> String {
    encode_but(path, b"/")
}

fn encode_but(text: &str, kept: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

/// The text that was encoded; `None` if it is not percent-encoded UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let value = digit()? * 16 + digit()?;
        out.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_that_is_not_unreserved_is_encoded() {
        assert_eq!(
            encode("a b+c%d&e'f#g?h;i/j"),
            "a%20b%2Bc%25d%26e%27f%23g%3Fh%3Bi%2Fj"
        );
        assert_eq!(encode_path("dir/é.iso"), "dir/%C3%A9.iso");
        assert_eq!(encode("A-z_0.9~"), "A-z_0.9~");
    }

    #[test]
    fn what_was_encoded_comes_back() {
        let all: String = (0..=0x2ff_u32).filter_map(char::from_u32).collect();
        assert_eq!(decode(&encode(&all)).as_deref(), Some(&*all));
        for bad in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
