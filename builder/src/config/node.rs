//! YAML text to a tree of nodes that know their place.
//!
//! Anchors are shared, not copied, and merge keys (`<<`) are resolved here; what comes out has
//! mappings with text keys only, each at most once. The limits hold for the tree as it is
//! *visited*, so that aliases of aliases (the "billion laughs") are refused rather than expanded.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Tag};

use super::diagnostic::Diagnostic;
use super::scalar::{Scalar, resolve};
use super::source::{Source, Span, Spanned};

/// Largest YAML file, in bytes. Files' contents may be embedded, so it is generous.
pub(super) const MAX_BYTES: usize = 16 << 20;
/// Most collections inside one another. LinuxKit's schema needs 7.
const MAX_DEPTH: usize = 32;
/// Most nodes, counting an anchor's nodes again for each alias. Large configurations have 2000.
const MAX_NODES: usize = 100_000;
/// Most text in nodes, in bytes, likewise counted with aliases.
const MAX_TEXT_BYTES: usize = 64 << 20;
/// Longest key, in characters.
const MAX_KEY_CHARS: usize = 1024;
/// How far the parser looks for the colon of a key: YAML has 1024, but a key that was accepted must
/// be found again when it is written out with every character escaped (`\U00012345`).
const KEY_LOOKAHEAD_CHARS: usize = 16 * MAX_KEY_CHARS;

/// A value at its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
    cost: Cost,
}

/// What a node holds.
#[derive(Debug)]
pub(super) enum Value {
    /// A scalar: its meaning, and whether it was written plain (neither quoted nor tagged).
    Scalar {
        meaning: Scalar,
        plain: bool,
    },
    /// `!!binary`: bytes.
    Binary(Vec<u8>),
    Sequence(Vec<Arc<Node>>),
    Mapping(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Spanned<String>,
    pub(super) value: Arc<Node>,
}

impl Node {
    /// What messages call it.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar { meaning, .. } => meaning.kind(),
            Value::Binary(_) => "binary data",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

/// What visiting a node costs.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    nodes: usize,
    text_bytes: usize,
    depth: usize,
}

impl Cost {
    fn add(&mut self, child: Cost) {
        self.nodes = self.nodes.saturating_add(child.nodes);
        self.text_bytes = self.text_bytes.saturating_add(child.text_bytes);
        self.depth = self.depth.max(child.depth + 1);
    }
}

/// Parses one document.
///
/// Returns nothing for an empty text.
pub(super) fn parse(source: &Arc<Source>, text: &str) -> Result<Option<Arc<Node>>, Diagnostic> {
    if text.len() > MAX_BYTES {
        let message = format!(
            "{} bytes of YAML are more than the {MAX_BYTES} allowed",
            text.len()
        );
        return Err(Diagnostic::new(&Span::new(source, 0, 0), message)
            .help("put large files beside the YAML and name them with \"source:\""));
    }
    let mut builder = Builder {
        source,
        open: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        aliased: 0,
    };
    // Twice our own limit, so that the message is ours; the parser's guards its stack.
    let options = granit_parser::options! {
        flow_nesting_limit: 2 * MAX_DEPTH,
        block_nesting_limit: 2 * MAX_DEPTH,
        simple_key_max_lookahead: KEY_LOOKAHEAD_CHARS,
        // As LinuxKit's reader has it, and unlike the specification: the bytes of a file in
        // "contents: |" at the end of the YAML are the same.
        block_scalar_eof_without_line_feed: true,
    };
    let mut documents = 0;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|e| {
            let at = e.marker().byte_offset().unwrap_or(text.len());
            // It looks ahead for the end of a key, so it may meet its limit before we see ours.
            if *e.kind() == ErrorKind::RecursionLimitExceeded {
                return too_deep(&Span::new(source, at, at));
            }
            Diagnostic::new(
                &Span::new(source, at, at),
                format!("not YAML: {}", e.info()),
            )
            .help("check indentation, brackets and quotes here and in the lines above")
        })?;
        let byte = |marker: granit_parser::Marker| marker.byte_offset().unwrap_or(text.len());
        let span = Span::new(source, byte(span.start), byte(span.end));
        if matches!(event, Event::DocumentStart(..)) {
            documents += 1;
            if documents > 1 {
                return Err(Diagnostic::new(&span, "a second YAML document starts here").help(
                    "give one document per file; several files on the command line are appended",
                ));
            }
        }
        builder.event(event, span)?;
    }
    Ok(builder.root)
}

/// A collection that is not closed yet.
struct Open {
    span: Span,
    anchor: usize,
    collection: Collection,
}

enum Collection {
    Sequence(Vec<Arc<Node>>),
    /// The keys and values so far, in turn.
    Mapping(Vec<Arc<Node>>),
}

struct Builder<'s> {
    source: &'s Arc<Source>,
    open: Vec<Open>,
    anchors: HashMap<usize, Arc<Node>>,
    root: Option<Arc<Node>>,
    /// Nodes that aliases stood for so far: merge keys copy entries, so this cannot wait for the
    /// collection's end.
    aliased: usize,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Diagnostic> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let value = scalar(&text, plain, tag.as_deref(), &span)?;
                let cost = Cost {
                    nodes: 1,
                    text_bytes: text.len(),
                    depth: 0,
                };
                self.place(Node { span, value, cost }, anchor);
                Ok(())
            }
            Event::SequenceStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), "seq", &span)?;
                self.push(span, anchor, Collection::Sequence(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), "map", &span)?;
                self.push(span, anchor, Collection::Mapping(Vec::new()))
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => {
                    let anchor = open.anchor;
                    let node = self.close(open)?;
                    self.place(node, anchor);
                    Ok(())
                }
                None => Ok(()),
            },
            Event::Alias(id) => match self.anchors.get(&id) {
                Some(node) => {
                    let node = Arc::clone(node);
                    self.aliased = self.aliased.saturating_add(node.cost.nodes);
                    self.check(
                        &span,
                        Cost {
                            nodes: self.aliased,
                            ..node.cost
                        },
                    )?;
                    self.add(node);
                    Ok(())
                }
                None => Err(
                    Diagnostic::new(&span, "this alias lies inside its own anchor")
                        .help("write out what is meant"),
                ),
            },
            _ => Ok(()),
        }
    }

    fn push(
        &mut self,
        span: Span,
        anchor: usize,
        collection: Collection,
    ) -> Result<(), Diagnostic> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(&span));
        }
        self.open.push(Open {
            span,
            anchor,
            collection,
        });
        Ok(())
    }

    fn place(&mut self, node: Node, anchor: usize) {
        let node = Arc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        self.add(node);
    }

    fn add(&mut self, node: Arc<Node>) {
        match self.open.last_mut() {
            Some(open) => match &mut open.collection {
                Collection::Sequence(items) | Collection::Mapping(items) => items.push(node),
            },
            None => self.root = Some(node),
        }
    }

    fn close(&self, open: Open) -> Result<Node, Diagnostic> {
        let Open {
            span, collection, ..
        } = open;
        let mut cost = Cost {
            nodes: 1,
            ..Cost::default()
        };
        let value = match collection {
            Collection::Sequence(items) => {
                items.iter().for_each(|item| cost.add(item.cost));
                Value::Sequence(items)
            }
            Collection::Mapping(flat) => {
                flat.iter().for_each(|node| cost.add(node.cost));
                self.check(&span, cost)?;
                Value::Mapping(mapping(&flat)?)
            }
        };
        self.check(&span, cost)?;
        Ok(Node { span, value, cost })
    }

    fn check(&self, span: &Span, cost: Cost) -> Result<(), Diagnostic> {
        if cost.depth > MAX_DEPTH {
            return Err(too_deep(span));
        }
        if cost.nodes > MAX_NODES || cost.text_bytes > MAX_TEXT_BYTES {
            let message = format!(
                "{} has more than {MAX_NODES} values or {MAX_TEXT_BYTES} bytes of text, with those \
                 that aliases stand for",
                self.source.name()
            );
            let help = "use fewer aliases of aliases, or several files";
            return Err(Diagnostic::new(span, message).help(help));
        }
        Ok(())
    }
}

fn too_deep(span: &Span) -> Diagnostic {
    Diagnostic::new(
        span,
        format!("more than {MAX_DEPTH} collections inside one another"),
    )
    .help("LinuxKit's schema needs 7")
}

/// Turns keys and values in turn into entries, merge keys resolved.
fn mapping(flat: &[Arc<Node>]) -> Result<Vec<Entry>, Diagnostic> {
    let mut entries: Vec<Entry> = Vec::with_capacity(flat.len() / 2);
    let mut places: HashMap<String, Span> = HashMap::new();
    let mut merges: Vec<&Arc<Node>> = Vec::new();
    for pair in flat.chunks_exact(2) {
        let (key, value) = (&pair[0], &pair[1]);
        let Value::Scalar {
            meaning: Scalar::Text(text),
            plain,
        } = &key.value
        else {
            let message = format!("a key must be text, but this is {}", key.kind());
            return Err(Diagnostic::new(&key.span, message).help("put it in quotes"));
        };
        if text.chars().count() > MAX_KEY_CHARS {
            let message = format!("a key of more than {MAX_KEY_CHARS} characters");
            return Err(Diagnostic::new(&key.span, message).help("write a shorter one"));
        }
        if let Some(first) = places.insert(text.clone(), key.span.clone()) {
            let message = format!("the key {text:?} is here for the second time");
            return Err(Diagnostic::new(&key.span, message).help(format!(
                "the first is in line {}; join the two",
                first.line()
            )));
        }
        if *plain && text == "<<" {
            merges.push(value);
        } else {
            entries.push(Entry {
                key: Spanned::new(text.clone(), key.span.clone()),
                value: Arc::clone(value),
            });
        }
    }
    let mut known: HashSet<String> = places.into_keys().collect();
    for merge in merges {
        let from = match &merge.value {
            Value::Sequence(items) => items.iter().collect(),
            _ => vec![merge],
        };
        for node in from {
            let Value::Mapping(more) = &node.value else {
                let message = format!("\"<<\" merges mappings, but this is {}", node.kind());
                return Err(Diagnostic::new(&node.span, message)
                    .help("name an anchor that stands before a mapping"));
            };
            // The mapping's own keys win over merged ones, and earlier merges over later.
            for entry in more {
                if known.insert(entry.key.value.clone()) {
                    entries.push(entry.clone());
                }
            }
        }
    }
    Ok(entries)
}

fn scalar(text: &str, plain: bool, tag: Option<&Tag>, span: &Span) -> Result<Value, Diagnostic> {
    let Some(tag) = tag else {
        let meaning = if plain {
            resolve(text)
        } else {
            Scalar::Text(text.to_owned())
        };
        return Ok(Value::Scalar { meaning, plain });
    };
    let wrong = |what: &str| {
        let message = format!("the tag says that this is {what}, but it is not");
        Diagnostic::new(span, message).help("remove the tag")
    };
    let tagged = |meaning| Value::Scalar {
        meaning,
        plain: false,
    };
    let name = if tag.handle() == "!" && tag.suffix().is_empty() {
        "str"
    } else {
        tag.suffix_in_namespace("tag:yaml.org,2002:")
            .map_or("", |suffix| match suffix.as_ref() {
                "str" => "str",
                "int" => "int",
                "float" => "float",
                "bool" => "bool",
                "null" => "null",
                "binary" => "binary",
                _ => "",
            })
    };
    match (name, resolve(text)) {
        ("str", _) => Ok(tagged(Scalar::Text(text.to_owned()))),
        ("int", n @ Scalar::Int(_)) => Ok(tagged(n)),
        ("int", _) => Err(wrong("an integer")),
        ("float", x @ Scalar::Float(_)) => Ok(tagged(x)),
        #[allow(clippy::cast_precision_loss)]
        ("float", Scalar::Int(n)) => Ok(tagged(Scalar::Float(n as f64))),
        ("float", _) => Err(wrong("a number")),
        ("bool", b @ Scalar::Bool(_)) => Ok(tagged(b)),
        ("bool", _) => match super::scalar::old_bool(text) {
            Some(b) => Ok(tagged(Scalar::Bool(b))),
            None => Err(wrong("a boolean")),
        },
        ("null", _) => Ok(tagged(Scalar::Null)),
        ("binary", _) => {
            use base64::Engine as _;
            let packed: String = text.split_ascii_whitespace().collect();
            base64::engine::general_purpose::STANDARD
                .decode(packed)
                .map(Value::Binary)
                .map_err(|e| wrong("base64").help(e.to_string()))
        }
        _ => Err(unknown_tag(tag, span)),
    }
}

fn check_tag(tag: Option<&Tag>, allowed: &str, span: &Span) -> Result<(), Diagnostic> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema_tag(allowed) => Err(unknown_tag(tag, span)),
        _ => Ok(()),
    }
}

fn unknown_tag(tag: &Tag, span: &Span) -> Diagnostic {
    Diagnostic::new(
        span,
        format!("the tag {:?} has no meaning here", tag.original()),
    )
    .help("remove it")
}
