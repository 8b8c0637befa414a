//! The password: from a file, standard input, the environment; never from the command line by
//! choice, where every user of the machine can read it.

use std::io::Read;
use std::path::Path;

use vmware::Secret;

use super::super::CliError;

/// No password is longer.
const MAX_BYTES: u64 = 64 << 10;

/// Reads a file with nothing but the password in it.
pub(super) fn from_file(path: &Path) -> Result<Secret, CliError> {
    let file = std::fs::File::open(path).map_err(|source| CliError::File {
        path: path.into(),
        source,
    })?;
    read(file, &path.display().to_string())
}

/// Reads standard input to its end.
pub(super) fn from_stdin() -> Result<Secret, CliError> {
    read(std::io::stdin().lock(), "standard input")
}

/// A line end after the password is not part of it.
fn read(input: impl Read, name: &str) -> Result<Secret, CliError> {
    let usage = |why: &str| CliError::Usage(format!("the password from {name} {why}"));
    let mut text = String::new();
    let mut input = input.take(MAX_BYTES + 1);
    input
        .read_to_string(&mut text)
        .map_err(|_| usage("can't be read as text"))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(usage("is too long"));
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    match text.is_empty() {
        true => Err(usage("is empty")),
        false => Ok(Secret::new(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_taken_off() {
        for text in ["a b ", "a b \n", "a b \r\n"] {
            assert!(read(text.as_bytes(), "x").unwrap() == Secret::new("a b "));
        }
        for bad in [&b""[..], b"\n", b"\xff\xfe", &[b'a'; 70_000]] {
            assert!(read(bad, "x").is_err());
        }
    }
}
