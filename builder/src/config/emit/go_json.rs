//! JSON as Go writes it.

use std::fmt::Write as _;

use super::Value;

const INDENT: &str = "    ";

/// Writes JSON; characters for which `escape` holds are escaped beside those that Go escapes.
pub(super) fn write(value: &Value, escape: Escape) -> String {
    let mut out = String::new();
    put(&mut out, value, 0, escape);
    out
}

pub(super) type Escape = fn(char) -> bool;

fn put(out: &mut String, value: &Value, depth: usize, escape: Escape) {
    match value {
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(n) => out.push_str(&n.to_string()),
        Value::Text(text) => put_text(out, text, escape),
        // Go replaces what is not UTF-8, too.
        Value::Bytes(bytes) => put_text(out, &String::from_utf8_lossy(bytes), escape),
        Value::List(items) => {
            put_all(out, ['[', ']'], items, depth, |out, item| {
                put(out, item, depth + 1, escape)
            });
        }
        Value::Map(entries) => {
            put_all(out, ['{', '}'], entries, depth, |out, (key, value)| {
                put_text(out, key, escape);
                out.push_str(": ");
                put(out, value, depth + 1, escape);
            });
        }
    }
}

fn put_all<T>(
    out: &mut String,
    [open, close]: [char; 2],
    items: &[T],
    depth: usize,
    put_one: impl Fn(&mut String, &T),
) {
    out.push(open);
    for (i, item) in items.iter().enumerate() {
        out.push_str(if i == 0 { "\n" } else { ",\n" });
        out.push_str(&INDENT.repeat(depth + 1));
        put_one(out, item);
    }
    if !items.is_empty() {
        out.push('\n');
        out.push_str(&INDENT.repeat(depth));
    }
    out.push(close);
}

fn put_text(out: &mut String, text: &str, escape: Escape) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Go escapes these three for HTML's sake, the next two for JavaScript's.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            // In two UTF-16 units where one is not enough.
            c if escape(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}
