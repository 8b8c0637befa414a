//! What a plain YAML scalar means.
//!
//! The rules are those of the Go library that LinuxKit reads YAML with: the core schema of YAML
//! 1.2, plus YAML 1.1's octals (`0755`), binary numbers and underscores. `yes`, `on` and their
//! kind are text, except where the schema wants a boolean.

/// A scalar's meaning.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    /// Wide enough for every number that a field can take.
    Int(i128),
    Float(f64),
    Text(String),
}

impl Scalar {
    /// What messages call it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing (null)",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a number with a fraction",
            Self::Text(_) => "text",
        }
    }
}

/// Resolves a plain (unquoted, untagged) scalar.
pub(super) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        _ => {}
    }
    let infinity = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(infinity, ".inf" | ".Inf" | ".INF") {
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        return Scalar::Float(sign * f64::INFINITY);
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Scalar::Text(text.to_owned());
    }
    if let Some(n) = integer(text) {
        return Scalar::Int(n);
    }
    match float(text) {
        Some(x) => Scalar::Float(x),
        None => Scalar::Text(text.to_owned()),
    }
}

/// A boolean as YAML 1.1 also spells it, for where only a boolean can be meant.
pub(super) fn old_bool(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// Whether a plain integer is written in YAML 1.1's octal (`0755`), which YAML 1.2 takes for a
/// decimal number.
pub(super) fn is_old_octal(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|b| matches!(b, b'0'..=b'7'))
}

/// Whether an integer is written in octal, old or new style.
pub(super) fn is_octal(text: &str) -> bool {
    is_old_octal(text) || text.starts_with("0o") || text == "0"
}

fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.replace('_', "");
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits.as_str()),
    };
    // `from_str_radix` would take another sign.
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let n = i128::from(u64::from_str_radix(digits, radix).ok()?);
    Some(if negative { -n } else { n })
}

fn float(text: &str) -> Option<f64> {
    let text = text.replace('_', "");
    // Rust also reads "inf" and "nan", which are text here.
    let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
    let good = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    if good { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_they_mean_to_linuxkit() {
        use Scalar::{Bool, Float, Int, Null};
        for (text, meaning) in [
            ("", Null),
            ("~", Null),
            ("null", Null),
            ("true", Bool(true)),
            ("False", Bool(false)),
            ("0", Int(0)),
            ("12", Int(12)),
            ("-7", Int(-7)),
            ("+7", Int(7)),
            ("0755", Int(0o755)),
            ("0o755", Int(0o755)),
            ("0x1F", Int(31)),
            ("0b101", Int(5)),
            ("1_000", Int(1000)),
            ("18446744073709551615", Int(u64::MAX.into())),
            ("0888", Float(888.0)),
            ("1.5", Float(1.5)),
            ("1e3", Float(1000.0)),
            (".5", Float(0.5)),
            ("-.inf", Float(f64::NEG_INFINITY)),
        ] {
            assert_eq!(resolve(text), meaning, "{text}");
        }
        for text in [
            "yes",
            "on",
            "No",
            "y",
            "nan",
            "inf",
            "infinity",
            "0o9",
            "0x",
            "-",
            "--5",
            "+-5",
            "1.2.3",
            "6.12.59",
            "0755a",
            "-1a",
            ".",
            "e5",
            "1:30",
            "2001-01-01",
            "0x-5",
            "tRue",
        ] {
            assert_eq!(resolve(text), Scalar::Text(text.to_owned()));
        }
        assert!(matches!(resolve(".nan"), Float(x) if x.is_nan()));
        assert!(matches!(resolve("18446744073709551616"), Float(_)));
    }
}
