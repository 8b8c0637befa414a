//! Commands as a shell reads them.

/// A word, quoted where it must be.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A command, each option with its value on a line of its own.
pub(crate) fn in_lines(command: &[String]) -> String {
    let mut out = String::new();
    for (number, word) in command.iter().enumerate() {
        if number > 0 {
            out += if word.starts_with('-') {
                " \\\n    "
            } else {
                " "
            };
        }
        out += &quoted(word);
    }
    out
}
