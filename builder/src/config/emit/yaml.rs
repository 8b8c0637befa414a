//! YAML in block style, with scalars quoted as the Go libraries of LinuxKit do.

use std::fmt::Write as _;

use base64::Engine as _;

use super::Value;
use crate::config::scalar::{Scalar, old_bool, resolve};

/// How collections are indented.
#[derive(Clone, Copy)]
pub(super) struct Style {
    /// Columns per level.
    pub(super) step: usize,
    /// Whether a list in a mapping is indented below its key.
    pub(super) indent_lists: bool,
}

/// Writes a mapping or list as a document.
pub(super) fn write(value: &Value, style: Style) -> String {
    let mut out = String::new();
    put_block(&mut out, value, 0, style);
    out
}

/// Writes the lines of a collection, each starting at `column`; the first one's indentation is
/// left to the caller where it follows a dash.
fn put_block(out: &mut String, value: &Value, column: usize, style: Style) {
    match value {
        Value::List(items) => {
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(&" ".repeat(column));
                }
                out.push_str("- ");
                if is_block(item) {
                    put_block(out, item, column + 2, style);
                } else {
                    put_inline(out, item, column, style);
                }
            }
        }
        Value::Map(entries) => {
            for (i, (key, value)) in entries.iter().enumerate() {
                if i > 0 {
                    out.push_str(&" ".repeat(column));
                }
                out.push_str(&scalar(key));
                out.push(':');
                if is_block(value) {
                    out.push('\n');
                    let list = matches!(value, Value::List(_));
                    let inner = if list && !style.indent_lists {
                        column
                    } else {
                        (column + style.step) / style.step * style.step
                    };
                    out.push_str(&" ".repeat(inner));
                    put_block(out, value, inner, style);
                } else {
                    out.push(' ');
                    put_inline(out, value, column, style);
                }
            }
        }
        _ => put_inline(out, value, column, style),
    }
}

/// Whether a value takes lines of its own.
fn is_block(value: &Value) -> bool {
    match value {
        Value::List(items) => !items.is_empty(),
        Value::Map(entries) => !entries.is_empty(),
        _ => false,
    }
}

/// Writes a value that starts in the current line, and the line's end.
fn put_inline(out: &mut String, value: &Value, column: usize, style: Style) {
    match value {
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(n) => out.push_str(&n.to_string()),
        Value::Text(text) if can_be_literal(text) => {
            let inner = (column + style.step) / style.step * style.step;
            put_literal(out, text, inner);
            return;
        }
        Value::Text(text) => out.push_str(&scalar(text)),
        Value::Bytes(bytes) => {
            out.push_str("!!binary ");
            out.push_str(&base64::engine::general_purpose::STANDARD.encode(bytes));
        }
        Value::List(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
    }
    out.push('\n');
}

/// Text of several lines that a literal block can hold as it is.
fn can_be_literal(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\n'])
        && !text.ends_with(' ')
        && !text.contains(" \n")
        && text
            .chars()
            .all(|c| c == '\n' || c == '\t' || is_printable(c))
}

fn put_literal(out: &mut String, text: &str, column: usize) {
    // What ends the text says how the block's last line breaks are taken.
    out.push_str(if !text.ends_with('\n') {
        "|-\n"
    } else if text.ends_with("\n\n") {
        "|+\n"
    } else {
        "|\n"
    });
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if !line.is_empty() {
            out.push_str(&" ".repeat(column));
            out.push_str(line);
        }
        out.push('\n');
    }
}

/// A scalar in one line: plain if that means the same, otherwise quoted.
fn scalar(text: &str) -> String {
    if text.contains('\n') || !means_itself(text) || !text.chars().all(is_printable) {
        return double_quoted(text);
    }
    if can_be_plain(text) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "''"))
}

/// Whether the text, unquoted, would be read as text: by readers of YAML 1.1, too.
fn means_itself(text: &str) -> bool {
    matches!(resolve(text), Scalar::Text(_))
        && old_bool(text).is_none()
        && !looks_like_base_60(text)
        && !looks_like_a_date(text)
        && text != "<<"
        && text != "="
}

fn looks_like_base_60(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    digits.contains(':')
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b':' | b'_' | b'.'))
}

fn looks_like_a_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-'
}

fn can_be_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else {
        return false;
    };
    let second = text.chars().nth(1);
    let blank = |c: Option<char>| matches!(c, None | Some(' ' | '\t'));
    let indicator = match first {
        '-' | '?' | ':' => blank(second),
        c => "#,[]{}&*!|>'\"%@`".contains(c),
    };
    !indicator
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && !text.contains('\t')
        && !text.contains(": ")
        && !text.ends_with(':')
        && !text.contains(" #")
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            c if is_printable(c) => out.push(c),
            c => {
                let code = u32::from(c);
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02X}"),
                    0x100..=0xffff => write!(out, "\\u{code:04X}"),
                    _ => write!(out, "\\U{code:08X}"),
                };
            }
        }
    }
    out.push('"');
    out
}

/// Characters that can stand in YAML as they are (`c-printable`), without line breaks and tabs.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}
