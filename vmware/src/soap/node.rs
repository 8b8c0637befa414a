//! What an answer is made of.

use std::fmt;

use crate::error::{Error, Result};

/// A reference to a managed object; valid with the server that gave it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MoRef {
    /// Type, such as `VirtualMachine`.
    pub kind: String,
    /// Id, such as `vm-42`. Some servers' hold `/` and `@`.
    pub value: String,
}

impl MoRef {
    /// A reference from its parts.
    pub fn new(kind: impl Into<String>, value: impl Into<String>) -> Self {
        MoRef {
            kind: kind.into(),
            value: value.into(),
        }
    }
}

impl fmt::Display for MoRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.value)
    }
}

/// An XML element: names are local names, as prefixes differ between servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Local name.
    pub name: String,
    /// `xsi:type` without its prefix.
    pub xsi_type: Option<String>,
    /// Whether that type is one of XML Schema's own (`xsd:string`).
    pub xsd: bool,
    /// The attribute `type`, which a reference has.
    pub mo_type: Option<String>,
    /// The text in it, without that of its children.
    pub text: String,
    /// Elements in it.
    pub children: Vec<Node>,
}

impl Node {
    /// The first child of that name.
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Every child of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> + 'a {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The descendant at a path of first children, such as `info/state`.
    pub fn at(&self, path: &str) -> Option<&Node> {
        path.split('/')
            .try_fold(self, |node, name| node.child(name))
    }

    /// The text at a path.
    pub fn text_at(&self, path: &str) -> Option<&str> {
        self.at(path).map(|node| node.text.as_str())
    }

    /// The text at a path that must be there.
    pub(crate) fn need_text(&self, path: &str) -> Result<&str> {
        self.text_at(path).ok_or_else(|| self.lacks(path))
    }

    /// The node at a path that must be there.
    pub(crate) fn need(&self, path: &str) -> Result<&Node> {
        self.at(path).ok_or_else(|| self.lacks(path))
    }

    /// The number at a path, if it is one.
    pub fn number_at<N: std::str::FromStr>(&self, path: &str) -> Option<N> {
        self.text_at(path)?.trim().parse().ok()
    }

    /// Whether the text at a path is `true` (or 1).
    pub fn is_true(&self, path: &str) -> bool {
        matches!(self.text_at(path).map(str::trim), Some("true" | "1"))
    }

    /// The node as a reference to a managed object.
    pub fn mo_ref(&self) -> Option<MoRef> {
        let kind = self.mo_type.as_deref()?;
        let value = self.text.trim();
        (!value.is_empty()).then(|| MoRef::new(kind, value))
    }

    /// The reference at a path that must be there.
    pub(crate) fn need_ref(&self, path: &str) -> Result<MoRef> {
        self.need(path)?.mo_ref().ok_or_else(|| self.lacks(path))
    }

    /// Whether its `xsi:type` is this one.
    pub fn is_a(&self, xsi_type: &str) -> bool {
        self.xsi_type.as_deref() == Some(xsi_type)
    }

    fn lacks(&self, path: &str) -> Error {
        Error::protocol(format!(
            "the server's answer has no {path} in its {}",
            self.name
        ))
    }
}
