//! What was found, for people and for programs.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::progress::size;

/// What is known of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Its path.
    pub file: String,
    /// Its length.
    pub file_bytes: u64,
    /// What it is.
    pub section: Section,
    /// What is wrong with it.
    pub problems: Vec<String>,
    /// A disk in it is of a kind that is not read here; that is among the problems, and no damage.
    pub unread: bool,
}

/// Something that is known, under a key: keys are part of the interface, in their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Any text, escaped.
    Text(String),
    /// A number or a place.
    Number(u64),
    /// A length.
    Bytes(u64),
    /// A digest, escaped; people see its start.
    Digest(String),
    /// Yes or no.
    Flag(bool),
    /// Texts.
    List(Vec<String>),
    /// A part.
    Section(Section),
    /// Parts of one kind.
    Table(Vec<Section>),
}

/// Keys and values, in the order in which they are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section(Vec<(&'static str, Value)>);

impl Section {
    pub(super) fn of_kind(kind: &str) -> Self {
        Self::default().text("kind", kind)
    }

    fn with(mut self, key: &'static str, value: Value) -> Self {
        self.0.push((key, value));
        self
    }

    /// Text from the file: it is escaped.
    pub(super) fn text(self, key: &'static str, text: impl AsRef<[u8]>) -> Self {
        self.with(key, Value::Text(escaped(text.as_ref())))
    }

    pub(super) fn number(self, key: &'static str, number: u64) -> Self {
        self.with(key, Value::Number(number))
    }

    pub(super) fn bytes(self, key: &'static str, bytes: u64) -> Self {
        self.with(key, Value::Bytes(bytes))
    }

    /// A digest from the file, which may be any text: it is escaped.
    pub(super) fn digest(self, key: &'static str, digest: &str) -> Self {
        self.with(key, Value::Digest(escaped(digest.as_bytes())))
    }

    pub(super) fn flag(self, key: &'static str, flag: bool) -> Self {
        self.with(key, Value::Flag(flag))
    }

    pub(super) fn list<T: AsRef<[u8]>>(
        self,
        key: &'static str,
        texts: impl IntoIterator<Item = T>,
    ) -> Self {
        let texts = texts.into_iter().map(|text| escaped(text.as_ref()));
        self.with(key, Value::List(texts.collect()))
    }

    pub(super) fn section(self, key: &'static str, section: Section) -> Self {
        self.with(key, Value::Section(section))
    }

    pub(super) fn table(self, key: &'static str, rows: Vec<Section>) -> Self {
        self.with(key, Value::Table(rows))
    }

    /// All of another section after this one's own.
    pub(super) fn and(mut self, other: Section) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let (_, value) = self.0.iter().find(|(own, _)| *own == key)?;
        Some(value)
    }

    fn is_flat(&self) -> bool {
        let nested =
            |value: &Value| matches!(value, Value::Section(_) | Value::Table(_) | Value::List(_));
        !self.0.iter().any(|(_, value)| nested(value))
    }
}

/// Control characters and bytes that are no UTF-8, made visible.
fn escaped(text: &[u8]) -> String {
    match text.is_empty() {
        true => String::new(),
        false => crate::layer::Escaped(text).to_string(),
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Text(text) | Value::Digest(text) => text.serialize(serializer),
            Value::Number(number) | Value::Bytes(number) => number.serialize(serializer),
            Value::Flag(flag) => flag.serialize(serializer),
            Value::List(texts) => texts.serialize(serializer),
            Value::Section(section) => section.serialize(serializer),
            Value::Table(rows) => rows.serialize(serializer),
        }
    }
}

impl Serialize for Section {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("file", &self.file)?;
        map.serialize_entry("file_bytes", &self.file_bytes)?;
        for (key, value) in &self.section.0 {
            map.serialize_entry(key, value)?;
        }
        map.serialize_entry("problems", &self.problems)?;
        map.end()
    }
}

/// A key as people read it: units are shown with the value.
fn label(key: &str) -> String {
    key.strip_suffix("_bytes").unwrap_or(key).replace('_', " ")
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Number(number) => write!(f, "{number}"),
            Value::Bytes(bytes) => f.write_str(&size(*bytes)),
            Value::Digest(digest) => f.write_str(short(digest)),
            Value::Flag(true) => f.write_str("yes"),
            Value::Flag(false) => f.write_str("no"),
            Value::List(_) | Value::Section(_) | Value::Table(_) => Ok(()),
        }
    }
}

/// A digest's algorithm and first twelve digits.
fn short(digest: &str) -> &str {
    const DIGITS: usize = 12;
    let digits = digest.find(':').map_or(0, |colon| colon + 1);
    digest.get(..digits + DIGITS).unwrap_or(digest)
}

const INDENT: usize = 2;

impl Section {
    fn show(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        let scalars = self.0.iter().filter(|(_, value)| value.is_scalar());
        let width = scalars.map(|(key, _)| label(key).len()).max().unwrap_or(0);
        for (key, value) in &self.0 {
            let label = label(key);
            let pad = " ".repeat(indent);
            match value {
                Value::List(texts) if texts.is_empty() => {}
                Value::Table(rows) if rows.is_empty() => {}
                Value::List(texts) => {
                    writeln!(f, "{pad}{label}:")?;
                    for text in texts {
                        writeln!(f, "{pad}  {text}")?;
                    }
                }
                Value::Section(section) => {
                    writeln!(f, "{pad}{label}:")?;
                    section.show(f, indent + INDENT)?;
                }
                Value::Table(rows) if rows.iter().all(Section::is_flat) => {
                    writeln!(f, "{pad}{label}:")?;
                    show_columns(rows, f, indent + INDENT)?;
                }
                Value::Table(rows) => {
                    for (number, row) in rows.iter().enumerate() {
                        writeln!(f, "{pad}{label} {}:", number + 1)?;
                        row.show(f, indent + INDENT)?;
                    }
                }
                scalar => writeln!(f, "{pad}{label:width$}  {scalar}")?,
            }
        }
        Ok(())
    }
}

impl Value {
    fn is_scalar(&self) -> bool {
        !matches!(self, Value::List(_) | Value::Section(_) | Value::Table(_))
    }
}

/// Rows below each other, numbers to the right.
fn show_columns(rows: &[Section], f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in rows.iter().flat_map(|row| &row.0) {
        if !keys.contains(key) {
            keys.push(key);
        }
    }
    let shown = |row: &Section, key: &str| row.get(key).map_or(String::new(), Value::to_string);
    let columns: Vec<(&str, usize, bool)> = keys
        .iter()
        .map(|&key| {
            let cells = rows.iter().map(|row| shown(row, key).chars().count());
            let width = cells.max().unwrap_or(0).max(label(key).chars().count());
            let number = |row: &Section| {
                matches!(
                    row.get(key),
                    Some(Value::Number(_) | Value::Bytes(_)) | None
                )
            };
            (key, width, rows.iter().all(number))
        })
        .collect();
    let mut line = |cell: &dyn Fn(&str) -> String| {
        let mut text = " ".repeat(indent);
        for (key, width, right) in &columns {
            let cell = cell(key);
            let fill = " ".repeat(width - cell.chars().count().min(*width));
            match right {
                true => text += &(fill + &cell + "  "),
                false => text += &(cell + &fill + "  "),
            }
        }
        writeln!(f, "{}", text.trim_end())
    };
    line(&|key| label(key))?;
    for row in rows {
        line(&|key| shown(row, key))?;
    }
    Ok(())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = escaped(self.file.as_bytes());
        writeln!(f, "{file} ({})", size(self.file_bytes))?;
        self.section.show(f, INDENT)?;
        for problem in &self.problems {
            writeln!(f, "problem: {}", escaped(problem.as_bytes()))?;
        }
        Ok(())
    }
}
