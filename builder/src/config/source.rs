//! Texts, and places in them.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A text that configuration was read from: a YAML file, or the label of an image.
#[derive(Debug)]
pub struct Source {
    name: String,
    text: String,
}

impl Source {
    /// A text under the name that messages show, such as `docker-host.yml`.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            text: text.into(),
        })
    }

    /// The name that messages show.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A stretch of a [`Source`], in bytes; cheap to clone.
#[derive(Clone)]
pub struct Span {
    source: Arc<Source>,
    start: usize,
    end: usize,
}

impl Span {
    /// The bytes `start..end` of `source`, cut to its length and to whole characters.
    pub fn new(source: &Arc<Source>, start: usize, end: usize) -> Self {
        let start = floor_char(&source.text, start);
        let end = floor_char(&source.text, end).max(start);
        Self {
            source: Arc::clone(source),
            start,
            end,
        }
    }

    /// The text that the span lies in.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Offset in the source, in bytes.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Line, from 1.
    pub fn line(&self) -> usize {
        self.before().matches('\n').count() + 1
    }

    /// Column in characters, from 1.
    pub fn column(&self) -> usize {
        self.source.text[self.line_start()..self.start]
            .chars()
            .count()
            + 1
    }

    /// The line in which the span starts, without its end.
    pub(super) fn line_text(&self) -> &str {
        let rest = &self.source.text[self.line_start()..];
        rest.split('\n')
            .next()
            .unwrap_or_default()
            .trim_end_matches('\r')
    }

    /// How many characters of the span lie in its first line; at least 1.
    pub(super) fn width(&self) -> usize {
        let text = &self.source.text[self.start..self.end];
        let first = text.split('\n').next().unwrap_or_default().trim_end();
        first.chars().count().max(1)
    }

    /// The text of the span.
    pub(super) fn text(&self) -> &str {
        &self.source.text[self.start..self.end]
    }

    fn before(&self) -> &str {
        &self.source.text[..self.start]
    }

    fn line_start(&self) -> usize {
        self.before().rfind('\n').map_or(0, |newline| newline + 1)
    }
}

impl fmt::Display for Span {
    /// `file:line:column`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source.name, self.line(), self.column())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A value and where it was written. Comparisons look at the value alone.
#[derive(Clone, Debug)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// The value at its place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

fn floor_char(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
