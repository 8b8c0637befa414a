//! The JSON of the golden vectors.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::{Image, Kind, Layer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonImage {
    #[serde(default)]
    config: Value,
    layers: Vec<Vec<JsonEntry>>,
    #[serde(default)]
    platforms: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonEntry {
    path: String,
    #[serde(rename = "type")]
    kind: String,
    mode: Option<String>,
    #[serde(default)]
    uid: u64,
    #[serde(default)]
    gid: u64,
    #[serde(default)]
    mtime: i64,
    #[serde(default)]
    linkname: String,
    #[serde(default)]
    major: u32,
    #[serde(default)]
    minor: u32,
    content: Option<String>,
    content_base64: Option<String>,
    /// Only there to be read by people.
    #[serde(default, rename = "content_is_tar_of")]
    _content_is_tar_of: Value,
}

/// Reads an `images.json`: image name to layers, config and platforms.
///
/// # Panics
/// On anything it does not know: a vector must not be half understood.
pub fn images_from_json(path: &Path) -> BTreeMap<String, Image> {
    let text = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let images: BTreeMap<String, JsonImage> =
        serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let image = |described: JsonImage| {
        let mut image = Image::new().config(described.config);
        if !described.platforms.is_empty() {
            image = image.platforms(described.platforms);
        }
        for entries in described.layers {
            image = image.layer(&entries.into_iter().fold(Layer::new(), add));
        }
        image
    };
    images
        .into_iter()
        .map(|(name, i)| (name, image(i)))
        .collect()
}

fn add(layer: Layer, entry: JsonEntry) -> Layer {
    let content = match (entry.content, entry.content_base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(base64)) => decode_base64(&base64),
        (None, None) => Vec::new(),
        (Some(_), Some(_)) => panic!("{}: content given twice", entry.path),
    };
    let kind = match entry.kind.as_str() {
        "file" => Kind::File(content),
        "dir" => Kind::Dir,
        "symlink" => Kind::Symlink(entry.linkname.into_bytes()),
        "hardlink" => Kind::Hardlink(entry.linkname.into_bytes()),
        "char" => Kind::Char(entry.major, entry.minor),
        "block" => Kind::Block(entry.major, entry.minor),
        "fifo" => Kind::Fifo,
        other => panic!("{}: unknown type {other:?}", entry.path),
    };
    let mode = entry.mode.map_or(0o644, |mode| {
        u32::from_str_radix(&mode, 8).unwrap_or_else(|_| panic!("{}: bad mode", entry.path))
    });
    layer
        .entry(entry.path, kind)
        .mode(mode)
        .owner(entry.uid, entry.gid)
        .mtime(entry.mtime)
}

fn decode_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.bytes().filter(|&b| b != b'=') {
        let value = ALPHABET.iter().position(|&a| a == byte).expect("base64");
        bits = (bits << 6 | u32::try_from(value).unwrap()) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    out
}

/// One line of a `tree.jsonl`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ExpectedNode {
    /// Path without leading or trailing slash.
    pub path: String,
    /// `file`, `dir`, `symlink`, `hardlink`, `char`, `block` or `fifo`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Permission bits, octal.
    pub mode: String,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Length of the content in bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Target of a link.
    pub linkname: String,
    /// Of the content; files only.
    pub sha256: Option<String>,
    /// Device numbers.
    #[serde(default)]
    pub devmajor: u32,
    /// Device numbers.
    #[serde(default)]
    pub devminor: u32,
}

/// Reads a `tree.jsonl` in its order.
pub fn read_tree(path: &Path) -> Vec<ExpectedNode> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| {
            serde_json::from_str(line).unwrap_or_else(|e| panic!("{}: {e}: {line}", path.display()))
        })
        .collect()
}
