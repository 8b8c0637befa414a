//! From nodes to the model, collecting everything that is wrong on the way.

mod container;
mod resources;
mod top;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, nearest};
use super::model::{Id, Mode, Text, Texts};
use super::node::{Entry, Node, Value};
use super::scalar::{Scalar, is_octal, is_old_octal, old_bool};
use super::source::{Span, Spanned};

// Kinds of values, as messages name them.
const TEXT: &str = "text";
const LIST: &str = "a list";
const MAPPING: &str = "a mapping";
const BOOLEAN: &str = "true or false";
const INTEGER: &str = "an integer";

/// Errors beyond these are dropped, so that hostile input cannot make them cost much.
const MAX_ERRORS: usize = 100;
/// More keys than this are not listed in a message.
const MAX_KEYS_LISTED: usize = 10;

/// Collects what is wrong while values are read; a value that is wrong is `None`.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    pub(super) errors: Vec<Diagnostic>,
    pub(super) warnings: Vec<Diagnostic>,
}

/// The entries of a mapping whose keys were checked.
pub(super) struct Fields<'n> {
    span: &'n Span,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// The value of a key.
    fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|e| e.value.as_ref())
    }

    fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|e| e.key.as_str() == key)
    }
}

impl Decoder {
    fn error_help(&mut self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        if !self.is_full() {
            self.errors.push(Diagnostic::new(span, message).help(help));
        }
    }

    fn is_full(&self) -> bool {
        self.errors.len() >= MAX_ERRORS
    }

    /// The wrong kind of value.
    fn mismatch(&mut self, node: &Node, what: &str, wanted: &str) {
        let message = format!("{what} must be {wanted}, but this is {}", node.kind());
        let shown = node.span.text();
        let help = match (&node.value, wanted) {
            (
                Value::Scalar {
                    meaning: Scalar::Null,
                    ..
                },
                _,
            ) => "write a value, or remove the key".into(),
            (Value::Scalar { .. }, TEXT) => format!("put it in quotes: \"{shown}\""),
            (Value::Scalar { .. }, LIST) => format!("put it in brackets: [{shown}]"),
            (
                Value::Scalar {
                    meaning: Scalar::Text(_),
                    ..
                },
                BOOLEAN | INTEGER,
            ) => "write it without quotes, or another value".into(),
            (_, LIST) => "start each entry with \"- \"".into(),
            (_, MAPPING) => "write \"key: value\" lines".into(),
            _ => format!("write {wanted}"),
        };
        self.error_help(&node.span, message, help);
    }

    /// A mapping with no keys but the known ones. `what` names it in messages.
    fn fields<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Option<Fields<'n>> {
        let Value::Mapping(entries) = &node.value else {
            self.mismatch(node, what, MAPPING);
            return None;
        };
        for entry in entries {
            if !self.is_full() && !known.contains(&entry.key.as_str()) {
                self.unknown(&entry.key, what, known);
            }
        }
        Some(Fields {
            span: &node.span,
            entries,
        })
    }

    fn unknown(&mut self, key: &Text, what: &str, known: &[&str]) {
        let message = format!("{what} has no key {:?}", key.as_str());
        let help = match nearest(key, known) {
            Some(near) => format!("did you mean {near:?}?"),
            None if known.len() <= MAX_KEYS_LISTED => format!("its keys are {}", known.join(", ")),
            None => "remove it; the keys are listed in LinuxKit's docs/yaml.md".into(),
        };
        self.error_help(&key.span, message, help);
    }

    fn sequence<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Arc<Node>]> {
        match &node.value {
            Value::Sequence(items) => Some(items),
            _ => {
                self.mismatch(node, what, LIST);
                None
            }
        }
    }

    /// A list, each item read by `read`.
    fn list<T>(
        &mut self,
        node: Option<&Node>,
        what: &str,
        mut read: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.sequence(node?, what)?;
        Some(items.iter().filter_map(|item| read(self, item)).collect())
    }

    fn text(&mut self, node: Option<&Node>, what: &str) -> Option<Text> {
        let node = node?;
        match &node.value {
            Value::Scalar {
                meaning: Scalar::Text(text),
                ..
            } => Some(Spanned::new(text.clone(), node.span.clone())),
            _ => {
                self.mismatch(node, what, TEXT);
                None
            }
        }
    }

    /// Text, empty if absent.
    fn plain_text(&mut self, node: Option<&Node>, what: &str) -> String {
        self.text(node, what).map(|t| t.value).unwrap_or_default()
    }

    fn texts(&mut self, node: Option<&Node>, what: &str) -> Option<Texts> {
        let item = format!("an entry of {what}");
        self.list(node, what, |d, n| d.text(Some(n), &item))
    }

    /// Keys and texts, sorted by key.
    fn text_map(&mut self, node: Option<&Node>, what: &str) -> Option<BTreeMap<String, Text>> {
        let node = node?;
        let Value::Mapping(entries) = &node.value else {
            self.mismatch(node, what, MAPPING);
            return None;
        };
        let mut map = BTreeMap::new();
        for Entry { key, value } in entries {
            if let Some(text) = self.text(Some(value), &format!("{what} {:?}", key.as_str())) {
                map.insert(key.value.clone(), text);
            }
        }
        Some(map)
    }

    fn boolean(&mut self, node: Option<&Node>, what: &str) -> Option<bool> {
        let node = node?;
        match &node.value {
            Value::Scalar {
                meaning: Scalar::Bool(b),
                ..
            } => Some(*b),
            // YAML 1.1's words, where nothing but a boolean can be meant.
            Value::Scalar {
                meaning: Scalar::Text(text),
                plain: true,
            } => {
                let meant = old_bool(text);
                if meant.is_none() {
                    self.mismatch(node, what, BOOLEAN);
                }
                meant
            }
            _ => {
                self.mismatch(node, what, BOOLEAN);
                None
            }
        }
    }

    /// An integer that fits `T`. A whole number with a fraction (`1000.0`) will do.
    fn integer<T>(
        &mut self,
        node: Option<&Node>,
        what: &str,
        range: std::ops::RangeInclusive<T>,
    ) -> Option<T>
    where
        T: TryFrom<i128> + Display + Copy,
        i128: From<T>,
    {
        let node = node?;
        let Some(n) = whole_number(node) else {
            self.mismatch(node, what, INTEGER);
            return None;
        };
        let (low, high) = (*range.start(), *range.end());
        if n < i128::from(low) || n > i128::from(high) {
            let message = format!("{what} must be {low} to {high}, but this is {n}");
            self.error_help(&node.span, message, "write a number in that range");
            return None;
        }
        T::try_from(n).ok()
    }

    fn u16(&mut self, node: Option<&Node>, what: &str) -> Option<u16> {
        self.integer(node, what, 0..=u16::MAX)
    }

    fn u32(&mut self, node: Option<&Node>, what: &str) -> Option<u32> {
        self.integer(node, what, 0..=u32::MAX)
    }

    fn u64(&mut self, node: Option<&Node>, what: &str) -> Option<u64> {
        self.integer(node, what, 0..=u64::MAX)
    }

    fn i64(&mut self, node: Option<&Node>, what: &str) -> Option<i64> {
        self.integer(node, what, i64::MIN..=i64::MAX)
    }

    /// A uid or gid: a number or a name.
    fn id(&mut self, node: Option<&Node>, what: &str) -> Option<Spanned<Id>> {
        let node = node?;
        let id = match &node.value {
            Value::Scalar {
                meaning: Scalar::Text(name),
                ..
            } => Id::Name(name.clone()),
            Value::Scalar {
                meaning: Scalar::Int(_) | Scalar::Float(_),
                ..
            } => Id::Number(self.u32(Some(node), what)?),
            _ => {
                self.mismatch(node, what, "a number or the name of a container");
                return None;
            }
        };
        Some(Spanned::new(id, node.span.clone()))
    }

    /// Permission bits: octal digits in quotes, or an integer written in octal.
    fn mode(&mut self, node: Option<&Node>, what: &str) -> Option<Spanned<Mode>> {
        let node = node?;
        let written = match &node.value {
            Value::Scalar {
                meaning: Scalar::Text(text),
                ..
            } => text.as_str(),
            Value::Scalar {
                meaning: Scalar::Int(_),
                plain: true,
            } if is_octal(node.span.text()) => {
                let text = node.span.text();
                if is_old_octal(text) {
                    let message = format!("{what} {text} is taken as octal");
                    self.warnings
                        .push(Diagnostic::new(&node.span, message).help(format!(
                            "YAML 1.2 reads a decimal number there, and LinuxKit refuses it: write \
                         \"{text}\" in quotes"
                        )));
                }
                text
            }
            Value::Scalar {
                meaning: Scalar::Int(_) | Scalar::Float(_),
                ..
            } => {
                let text = node.span.text();
                self.error_help(
                    &node.span,
                    format!("{what} must be octal, but {text} without quotes is a decimal number"),
                    format!("put the octal digits in quotes: \"{text}\""),
                );
                return None;
            }
            _ => {
                self.mismatch(node, what, "octal digits in quotes");
                return None;
            }
        };
        let digits = written.strip_prefix("0o").unwrap_or(written);
        // `from_str_radix` alone would take a sign.
        let bits = if digits.starts_with(['+', '-']) {
            None
        } else {
            u32::from_str_radix(digits, 8).ok()
        };
        let Some(bits) = bits else {
            let message = format!("{what} must be octal, but {written:?} is not");
            self.error_help(&node.span, message, "write something like \"0644\"");
            return None;
        };
        Some(Spanned::new(
            Mode {
                bits,
                written: digits.to_owned(),
            },
            node.span.clone(),
        ))
    }
}

/// The integer in a node, if there is one.
fn whole_number(node: &Node) -> Option<i128> {
    match &node.value {
        Value::Scalar {
            meaning: Scalar::Int(n),
            ..
        } => Some(*n),
        // Beyond 2^53 a float is not exact, so it cannot be what was meant.
        #[allow(clippy::cast_possible_truncation)]
        Value::Scalar {
            meaning: Scalar::Float(x),
            ..
        } if x.fract() == 0.0 && x.abs() < 9_007_199_254_740_992.0 => Some(*x as i128),
        _ => None,
    }
}
