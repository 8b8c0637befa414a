//! What is wrong with a configuration, shown at its place.

use std::fmt;

use super::source::Span;

/// After this many errors the rest is only counted: nobody reads more.
const MAX_SHOWN: usize = 20;
/// Longest piece of a source line that is shown, in characters.
const MAX_LINE_CHARS: usize = 160;

/// One error or warning.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// What is wrong, without place.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Where; absent where a whole configuration is wrong.
    pub span: Option<Span>,
}

impl Diagnostic {
    /// A message about the text at `span`.
    pub fn new(span: &Span, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            span: Some(span.clone()),
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    /// `file:line:column: message`, then the line with a caret below the place, then the help.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.span {
            Some(span) => {
                write!(f, "{span}: {}", self.message)?;
                show_line(f, span)?;
            }
            None => f.write_str(&self.message)?,
        }
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

fn show_line(f: &mut fmt::Formatter<'_>, span: &Span) -> fmt::Result {
    // The columns before the caret are filled with what keeps it below its character.
    let column = span.column() - 1;
    let line = span.line_text();
    let skipped = if column > MAX_LINE_CHARS / 2 {
        column - MAX_LINE_CHARS / 4
    } else {
        0
    };
    let shown: String = line
        .chars()
        .skip(skipped)
        .take(MAX_LINE_CHARS)
        .map(printable)
        .collect();
    let number = span.line().to_string();
    let margin = " ".repeat(number.len());
    let pad = " ".repeat(column - skipped);
    let room = shown
        .chars()
        .count()
        .saturating_sub(column - skipped)
        .max(1);
    let caret = "^".repeat(span.width().min(room));
    write!(
        f,
        "\n {margin} |\n {number} | {shown}\n {margin} | {pad}{caret}"
    )
}

/// One column for each character, and nothing that a terminal would obey.
fn printable(c: char) -> char {
    if c == '\t' {
        ' '
    } else if c.is_control() {
        '\u{fffd}'
    } else {
        c
    }
}

/// A configuration that cannot be used: everything found wrong with it, at least one thing.
#[derive(Clone, Debug)]
pub struct ConfigError {
    diagnostics: Vec<Diagnostic>,
}

impl ConfigError {
    pub(crate) fn new(diagnostics: Vec<Diagnostic>) -> Self {
        Self { diagnostics }
    }

    /// The errors, in the order in which they were found.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

impl From<Diagnostic> for ConfigError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::new(vec![diagnostic])
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.diagnostics.iter().take(MAX_SHOWN).enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        match self.diagnostics.len() {
            0..=MAX_SHOWN => Ok(()),
            n => write!(f, "\nand {} more", n - MAX_SHOWN),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The known word nearest to a wrong one, if it is near enough to be a slip.
pub(super) fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = wrong.to_lowercase();
    known
        .iter()
        .map(|k| (edit_distance(&lower, &k.to_lowercase()), *k))
        .filter(|(distance, k)| *distance <= 1 + wrong.len().min(k.len()) / 4)
        .min()
        .map(|(_, k)| k)
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (last[j - 1] + same).min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::*;

    #[test]
    fn shows_the_line_with_a_caret_below_the_place() {
        let source = Source::new("a.yml", "init: []\r\nöx:  colour: red\r\nz");
        let at = "init: []\r\nöx:  ".len();
        let d = Diagnostic::new(&Span::new(&source, at, at + 6), "unknown key").help("remove it");
        assert_eq!(
            d.to_string(),
            "a.yml:2:6: unknown key\n   |\n 2 | öx:  colour: red\n   |      ^^^^^^\n  help: \
             remove it"
        );
        // Past the end, and in a line that is far too long: a place and no panic.
        let long = Source::new("b", format!("{}x{}", "é".repeat(500), "y".repeat(500)));
        let text = Diagnostic::new(&Span::new(&long, 1000, 1001), "m").to_string();
        assert!(text.starts_with("b:1:501: m\n"), "{text}");
        assert!(text.lines().nth(2).unwrap().contains("éxy"));
        let end = Diagnostic::new(&Span::new(&long, 1 << 40, 1 << 41), "m").to_string();
        assert!(end.starts_with("b:1:1002: m"), "{end}");
    }

    #[test]
    fn suggests_what_was_meant_and_nothing_far_fetched() {
        let known = [
            "cmdline",
            "image",
            "binary",
            "tar",
            "ucode",
            "capabilities.add",
        ];
        assert_eq!(nearest("cmdLine", &known), Some("cmdline"));
        assert_eq!(nearest("imgae", &known), Some("image"));
        assert_eq!(nearest("capabilties.add", &known), Some("capabilities.add"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest(&"x".repeat(10_000), &known), None);
    }
}
