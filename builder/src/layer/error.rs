//! What can be wrong with a layer.

use std::io;

use super::limits::Bound;
use super::path::Escaped;

/// Why a layer was refused, with the entry and the place in the uncompressed stream.
#[derive(Debug, thiserror::Error)]
#[error("{kind}{}", place(.path, *.offset))]
pub struct LayerError {
    /// What is wrong.
    #[source]
    pub kind: LayerErrorKind,
    /// The entry's name as the layer has it, where known.
    pub path: Option<Vec<u8>>,
    /// Offset in the uncompressed tar, in bytes.
    pub offset: u64,
}

fn place(path: &Option<Vec<u8>>, offset: u64) -> String {
    match path {
        Some(path) => format!(
            " (entry {}, at byte {offset} of the unpacked layer)",
            Escaped(path)
        ),
        None => format!(" (at byte {offset} of the unpacked layer)"),
    }
}

/// What is wrong with a layer.
#[derive(Debug, thiserror::Error)]
pub enum LayerErrorKind {
    /// The blob could not be read, or its compression is damaged.
    #[error("can't read the layer: {0}")]
    Read(#[from] io::Error),
    /// The tar ends in the middle of a header or body.
    #[error("the layer's tar is cut short")]
    Truncated,
    /// A block of zeros with something after it that is none.
    #[error(
        "a block of zeros in the middle of the tar: some tools take it for the end and some do not, so the layer is refused"
    )]
    LoneZeros,
    /// A header block whose checksum is wrong.
    #[error("damaged tar header: its checksum does not match")]
    Checksum,
    /// A numeric header field or PAX record that is no number, or out of range.
    #[error("bad {field} in the tar header: {value}")]
    Number {
        /// Field or record.
        field: &'static str,
        /// What it holds.
        value: String,
    },
    /// PAX records that break their own syntax (POSIX.1-2017 pax, "pax Extended Header").
    #[error("malformed PAX header: {0}")]
    Pax(&'static str),
    /// A sparse map that is out of order or larger than the file.
    #[error("malformed sparse file: {0}")]
    Sparse(&'static str),
    /// A type flag this program does not know.
    #[error("unknown tar entry type {0:?}; lost data would go unnoticed, so the layer is refused")]
    UnknownType(char),
    /// A name with a NUL byte, or an empty one.
    #[error("bad name in the layer: {0}")]
    Name(&'static str),
    /// `.wh.`, `.wh..` and `.wh...` hide nothing that can be named.
    #[error("whiteout without a name")]
    EmptyWhiteout,
    /// The root of the tree may only be a directory.
    #[error("the layer would replace the root folder by something else")]
    RootType,
    /// One of [`super::Limits`] was met.
    #[error(
        "the layer exceeds the limit of {limit} {what}; raise it with --{flag} if this image is to be trusted"
    )]
    Limit {
        /// What is counted.
        what: &'static str,
        /// The bound.
        limit: u64,
        /// The option that raises it.
        flag: &'static str,
    },
    /// The visitor (for example the pack writer) failed.
    #[error("{0}")]
    Visitor(Box<dyn std::error::Error + Send + Sync>),
}

impl From<Bound> for LayerErrorKind {
    fn from(Bound { what, limit, flag }: Bound) -> Self {
        LayerErrorKind::Limit { what, limit, flag }
    }
}

impl LayerErrorKind {
    pub(crate) fn at(self, path: Option<&[u8]>, offset: u64) -> LayerError {
        LayerError {
            kind: self,
            path: path.map(<[u8]>::to_vec),
            offset,
        }
    }
}
