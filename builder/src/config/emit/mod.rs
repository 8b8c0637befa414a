//! The merged configuration written out again, and the two notations for it.

mod go_json;
pub(crate) mod moby;
mod yaml;

pub use moby::{dry_run_yaml, metadata_json, metadata_yaml};

/// A value to be written; maps keep their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A boolean.
    Bool(bool),
    /// A number.
    Int(i128),
    /// Text.
    Text(String),
    /// Bytes that are not UTF-8.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// A mapping.
    Map(Vec<(String, Value)>),
}

impl Value {
    /// JSON as Go's `json.MarshalIndent(v, "", "    ")` writes it: four spaces of indent, `<`, `>`,
    /// `&`, U+2028 and U+2029 escaped, no newline at the end.
    pub fn to_go_json(&self) -> String {
        go_json::write(self, |_| false)
    }

    /// The same, with everything escaped that readers of YAML do not take as it is: JSON for which
    /// every JSON parser and every YAML parser will do.
    pub(crate) fn to_portable_json(&self) -> String {
        go_json::write(self, |c| !yaml::is_printable(c))
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

macro_rules! from_integer {
    ($($int:ty)*) => {$(
        impl From<$int> for Value {
            fn from(n: $int) -> Self {
                Self::Int(n.into())
            }
        }
    )*};
}
from_integer!(u16 u32 u64 i32 i64);

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

/// A mapping under construction.
#[derive(Default)]
pub(crate) struct MapBuilder(Vec<(String, Value)>);

impl MapBuilder {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a key.
    pub(crate) fn put(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.push((key.to_owned(), value.into()));
        self
    }

    /// Adds a key if there is a value.
    pub(crate) fn put_some(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.put(key, value),
            None => self,
        }
    }

    /// Adds a key unless the value is what Go's `omitempty` leaves out: false, 0, or empty.
    pub(crate) fn put_filled(self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let empty = match &value {
            Value::Bool(b) => !b,
            Value::Int(n) => *n == 0,
            Value::Text(text) => text.is_empty(),
            Value::Bytes(bytes) => bytes.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        };
        if empty { self } else { self.put(key, value) }
    }

    pub(crate) fn build(self) -> Value {
        Value::Map(self.0)
    }
}

impl From<MapBuilder> for Value {
    fn from(map: MapBuilder) -> Self {
        map.build()
    }
}

#[cfg(test)]
mod tests;
