//! Names inside a layer: cleaned so that none leaves the tree, and shown so that none fools a
//! terminal.

use std::fmt;

/// Longest component of a path: `NAME_MAX` of Linux, and of every file system that it boots from.
pub const NAME_MAX_BYTES: usize = 255;

/// The components of `name` as `chroot` would see them: no empty ones, no `.`, and `..` goes up
/// one but never above the root. The result has no leading slash and is empty for the root.
pub fn clean(name: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(name.len());
    for component in name.split(|&b| b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                let keep = out.iter().rposition(|&b| b == b'/').unwrap_or(0);
                out.truncate(keep);
            }
            _ => {
                if !out.is_empty() {
                    out.push(b'/');
                }
                out.extend_from_slice(component);
            }
        }
    }
    out
}

/// Splits a cleaned path into its folder and its last component.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// The non-empty components of a path.
pub fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&b| b == b'/').filter(|c| !c.is_empty())
}

/// Whether a character steers a terminal or changes how a person reads what stands around it: control
/// characters, marks that turn text around (Unicode's `Bidi_Control`), ends of lines and paragraphs.
pub fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Shows a name from an image: valid UTF-8 as it is, control characters and stray bytes escaped.
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        if self.0.is_empty() {
            return f.write_str("/");
        }
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if misleads(c) {
                    write!(f, "{}", c.escape_unicode())?;
                } else {
                    f.write_char(c)?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}
