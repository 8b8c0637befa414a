//! The lock file: what the names in a YAML stood for, so that a build can insist on it.
//!
//! ```text
//! lkbuild-lock 1
//! docker.io/library/alpine:3.20 index sha256:1c4e…
//! docker.io/library/alpine:3.20 linux/amd64 sha256:33d0…
//! docker.io/library/alpine:3.20 linux/arm64 sha256:757d…
//! ```
//!
//! One line for each name and platform, sorted: full name, platform, digest of its manifest; the
//! platform `index` has the digest of what the name itself stands for, by which it is fetched. Empty
//! lines and lines that start with `#` are passed over.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::digest::Digest;
use crate::reference::Reference;

/// First line of a lock file.
const HEADER: &str = "lkbuild-lock 1";
/// Where the digest of the whole image stands.
const TOP: &str = "index";
/// A lock file of more bytes is none.
pub const MAX_LOCK_BYTES: u64 = 16 << 20;

/// Names and what they stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockFile {
    /// By full name.
    pub entries: BTreeMap<String, LockEntry>,
}

/// What one name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockEntry {
    /// Digest of the index or manifest.
    pub top: Digest,
    /// Digest of each platform's manifest; `os/architecture[/variant]`.
    pub platforms: BTreeMap<String, Digest>,
}

impl LockEntry {
    /// An entry for what a name stands for. A platform of odd characters would break the file's
    /// lines, and is left out.
    pub fn new(top: Digest, mut platforms: BTreeMap<String, Digest>) -> Self {
        platforms.retain(|platform, _| !platform.contains(char::is_whitespace));
        LockEntry { top, platforms }
    }
}

/// An entry whose lines are being read.
#[derive(Default)]
struct Found {
    top: Option<Digest>,
    platforms: BTreeMap<String, Digest>,
    /// The first of its lines.
    line: usize,
}

/// A text that is no lock file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct LockParseError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

impl LockFile {
    /// Reads a lock file.
    pub fn parse(text: &str) -> Result<Self, LockParseError> {
        let mut found: BTreeMap<String, Found> = BTreeMap::new();
        let mut header_seen = false;
        for (number, line) in text.lines().enumerate() {
            let line_number = number + 1;
            let error = |reason: String| LockParseError {
                line: line_number,
                reason,
            };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if !std::mem::replace(&mut header_seen, true) {
                if line != HEADER {
                    let reason = format!("expected {HEADER:?}: a lock file of this version");
                    return Err(error(reason));
                }
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, platform, digest] = words[..] else {
                return Err(error("expected a name, a platform and a digest".into()));
            };
            let full_name = Reference::parse(name).map_err(|e| error(e.to_string()))?;
            if full_name.to_string() != name {
                return Err(error(format!("{name} is not a full name ({full_name})")));
            }
            let digest: Digest = digest.parse().map_err(|e| error(format!("{e}")))?;
            let entry = found.entry(name.to_owned()).or_insert_with(|| Found {
                line: line_number,
                ..Found::default()
            });
            let other = match platform {
                TOP => entry.top.replace(digest),
                _ => entry.platforms.insert(platform.to_owned(), digest),
            };
            if other.is_some() {
                return Err(error(format!("{name} {platform} stands there twice")));
            }
        }
        if !header_seen {
            return Err(LockParseError {
                line: 1,
                reason: format!("expected {HEADER:?}"),
            });
        }
        let mut entries = BTreeMap::new();
        for (name, found) in found {
            let (line, platforms) = (found.line, found.platforms);
            let Some(top) = found.top else {
                let reason = format!("{name} has no line for {TOP:?}");
                return Err(LockParseError { line, reason });
            };
            entries.insert(name, LockEntry { top, platforms });
        }
        Ok(LockFile { entries })
    }

    /// The file's text: the same entries give the same text.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        for (name, entry) in &self.entries {
            let _ = writeln!(text, "{name} {TOP} {}", entry.top);
            for (platform, digest) in &entry.platforms {
                let _ = writeln!(text, "{name} {platform} {digest}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::sha256(text.as_bytes())
    }

    #[test]
    fn a_lock_file_is_stable_sorted_text() {
        let mut lock = LockFile::default();
        for name in ["docker.io/z/z:1", "docker.io/a/a:1"] {
            let platforms = ["linux/arm64", "linux/amd64"].map(|p| (p.to_owned(), digest(p)));
            let entry = LockEntry {
                top: digest(name),
                platforms: platforms.into(),
            };
            lock.entries.insert(name.into(), entry);
        }
        let text = lock.to_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 7);
        assert_eq!(lines[0], "lkbuild-lock 1");
        let start = format!("docker.io/a/a:1 index {}", digest("docker.io/a/a:1"));
        assert_eq!(lines[1], start);
        assert!(lines[2].starts_with("docker.io/a/a:1 linux/amd64 sha256:"));
        assert_eq!(LockFile::parse(&text), Ok(lock.clone()));
        let spaced = text.replace("\n", "\n\n# a comment\r\n");
        assert_eq!(LockFile::parse(&spaced), Ok(lock));
    }

    #[test]
    fn what_is_no_lock_file_is_refused_with_its_line() {
        let hex = digest("x");
        for (text, line, word) in [
            (String::new(), 1, "lkbuild-lock"),
            ("lkbuild-lock 2\n".into(), 1, "lkbuild-lock 1"),
            ("lkbuild-lock 1\nx\n".into(), 2, "a name, a platform"),
            (format!("lkbuild-lock 1\n\nx index {hex}\n"), 3, "full name"),
            (
                "lkbuild-lock 1\ndocker.io/a/a:1 index sha256:1\n".into(),
                2,
                "digest",
            ),
            (
                format!("lkbuild-lock 1\ndocker.io/a/a:1 linux/amd64 {hex}\n"),
                2,
                "index",
            ),
            (
                format!(
                    "lkbuild-lock 1\n{0}{0}",
                    format!("docker.io/a/a:1 index {hex}\n")
                ),
                3,
                "twice",
            ),
        ] {
            let error = LockFile::parse(&text).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.reason.contains(word), "{error}");
        }
    }
}
