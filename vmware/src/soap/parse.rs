//! XML becomes [`Node`]s, within bounds. No document type, no entities but XML's own five.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use super::node::Node;
use crate::error::{Error, Result};

const SCHEMA: &str = "http://www.w3.org/2001/XMLSchema";
const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Bounds on an answer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the document.
    pub bytes: usize,
    /// Elements in it.
    pub nodes: usize,
    /// Elements within each other.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bytes: 32 << 20,
            nodes: 1 << 20,
            depth: 64,
        }
    }
}

/// An answer: what was asked for, or a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The element in the body, such as `LoginResponse`.
    Response(Node),
    /// `Fault`, with `faultcode`, `faultstring` and `detail`.
    Fault(Node),
}

/// Reads an envelope and takes out what its body holds.
pub(crate) fn outcome(document: &[u8], limits: Limits) -> Result<Outcome> {
    let mut root = parse(document, limits)?;
    let body = (root.name == "Envelope")
        .then(|| root.children.iter_mut().find(|child| child.name == "Body"))
        .flatten();
    let body = body.ok_or_else(|| bad("it is no SOAP envelope"))?;
    if body.children.is_empty() {
        return Err(bad("its body is empty"));
    }
    let node = body.children.swap_remove(0);
    Ok(match &*node.name {
        "Fault" => Outcome::Fault(node),
        _ => Outcome::Response(node),
    })
}

/// Parses a document into its root element.
///
/// # Errors
/// [`Kind::Protocol`](crate::Kind::Protocol) if it is not well-formed, has a document type or
/// entities of its own, or goes beyond `limits`.
pub fn parse(document: &[u8], limits: Limits) -> Result<Node> {
    if document.len() > limits.bytes {
        return Err(bad("it is too long"));
    }
    let text = std::str::from_utf8(document).map_err(|_| bad("it is not UTF-8"))?;
    let mut tree = Tree {
        limits,
        open: Vec::new(),
        root: None,
        nodes: 0,
    };
    let mut reader = Reader::from_str(text);
    loop {
        let event = reader.read_event().map_err(|e| bad(&e.to_string()))?;
        match event {
            Event::Start(start) => tree.enter(&start)?,
            Event::Empty(start) => {
                tree.enter(&start)?;
                tree.leave()?;
            }
            Event::End(_) => tree.leave()?,
            Event::Text(text) => tree.text(&text.xml10_content())?,
            Event::CData(text) => tree.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => {
                if let Some(c) = reference
                    .resolve_char_ref()
                    .map_err(|e| bad(&e.to_string()))?
                {
                    tree.text(c.encode_utf8(&mut [0; 4]))?;
                } else {
                    let name: &str = &reference.xml10_content();
                    let text = resolve_predefined_entity(name);
                    tree.text(text.ok_or_else(|| bad("it has entities of its own"))?)?;
                }
            }
            Event::DocType(_) => return Err(bad("it has a document type")),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    if !tree.open.is_empty() {
        return Err(bad("it ends early"));
    }
    tree.root.ok_or_else(|| bad("it is empty"))
}

fn bad(why: &str) -> Error {
    Error::protocol(format!("the server's answer can't be read: {why}"))
}

struct Tree {
    limits: Limits,
    /// From the root inwards, each with the namespaces it declares.
    open: Vec<(Node, Vec<(String, String)>)>,
    root: Option<Node>,
    nodes: usize,
}

impl Tree {
    fn enter(&mut self, start: &BytesStart<'_>) -> Result<()> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return Err(bad("it has too many elements"));
        }
        if self.open.len() >= self.limits.depth {
            return Err(bad("it is nested too deeply"));
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(bad("it has two roots"));
        }
        let mut node = Node {
            name: local(start.name().as_ref()).into(),
            ..Node::default()
        };
        let mut namespaces = Vec::new();
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|e| bad(&e.to_string()))?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|e| bad(&e.to_string()))?
                .into_owned();
            let key = attribute.key.as_ref().to_owned();
            match key.strip_prefix("xmlns:") {
                Some(prefix) => namespaces.push((prefix.to_owned(), value)),
                None => attributes.push((key, value)),
            }
        }
        self.open.push((Node::default(), namespaces));
        for (key, value) in attributes {
            match key.split_once(':') {
                None if key == "type" => node.mo_type = Some(local(&value).into()),
                Some((prefix, "type")) if self.namespace(prefix) == Some(INSTANCE) => {
                    let prefix = value.split_once(':').map(|(prefix, _)| prefix);
                    node.xsd = prefix.is_some_and(|prefix| self.namespace(prefix) == Some(SCHEMA));
                    node.xsi_type = Some(local(&value).into());
                }
                _ => {}
            }
        }
        if let Some(last) = self.open.last_mut() {
            last.0 = node;
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        let (node, _) = self
            .open
            .pop()
            .ok_or_else(|| bad("it has an end without a start"))?;
        match self.open.last_mut() {
            Some((parent, _)) => {
                // What is between children is line ends and spaces.
                if parent.text.trim().is_empty() {
                    parent.text.clear();
                }
                parent.children.push(node);
            }
            None => self.root = Some(node),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<()> {
        match self.open.last_mut() {
            Some((node, _)) => node.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(bad("it has text outside of its root")),
        }
        Ok(())
    }

    fn namespace(&self, prefix: &str) -> Option<&str> {
        let declared = self.open.iter().rev().flat_map(|(_, own)| own.iter());
        declared
            .filter(|(own, _)| own == prefix)
            .map(|(_, uri)| uri.as_str())
            .next()
    }
}

/// A name without its prefix.
fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::MoRef;

    const VCENTER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/"
 xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:xsd="http://www.w3.org/2001/XMLSchema"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<soapenv:Body>
<RetrievePropertiesExResponse xmlns="urn:vim25"><returnval><objects><obj type="Datastore">datastore-10</obj>
<propSet><name>name</name><val xsi:type="xsd:string">a &amp; b &#x41;<![CDATA[<c>]]></val></propSet>
</objects></returnval></RetrievePropertiesExResponse>
</soapenv:Body>
</soapenv:Envelope>"#;

    /// As Go's encoder writes it: every element declares its own prefixes.
    const SIMULATOR: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><CreateFolderResponse xmlns="urn:vim25"><returnval type="Folder">group/d@1</returnval><x XMLSchema-instance:type="xsd:int" xmlns:XMLSchema-instance="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema">5</x></CreateFolderResponse></soapenv:Body></soapenv:Envelope>"#;

    fn response(text: &str) -> Node {
        match outcome(text.as_bytes(), Limits::default()).unwrap() {
            Outcome::Response(node) => node,
            Outcome::Fault(node) => panic!("{node:?}"),
        }
    }

    #[test]
    fn an_answer_is_read_whatever_its_prefixes() {
        let node = response(VCENTER);
        assert_eq!(node.name, "RetrievePropertiesExResponse");
        let object = node.at("returnval/objects").unwrap();
        assert_eq!(
            object.need_ref("obj").unwrap(),
            MoRef::new("Datastore", "datastore-10")
        );
        let value = object.at("propSet/val").unwrap();
        assert_eq!(value.text, "a & b A<c>");
        assert!(value.is_a("string") && value.xsd);
        let node = response(SIMULATOR);
        assert_eq!(
            node.need_ref("returnval").unwrap(),
            MoRef::new("Folder", "group/d@1")
        );
        let typed = node.child("x").unwrap();
        assert!(typed.is_a("int") && typed.xsd && typed.mo_type.is_none());
        assert_eq!(node.number_at("x"), Some(5));
    }

    #[test]
    fn documents_beyond_the_limits_are_refused() {
        let deep = "<a>".repeat(65) + &"</a>".repeat(65);
        let wide = format!("<a>{}</a>", "<b/>".repeat(50));
        let limits = Limits {
            nodes: 50,
            ..Limits::default()
        };
        assert!(parse(deep.as_bytes(), Limits::default()).is_err());
        assert!(parse(wide.as_bytes(), limits).is_err());
        assert!(parse(wide.as_bytes(), Limits::default()).is_ok());
        assert!(
            parse(
                b"<a/>",
                Limits {
                    bytes: 3,
                    ..Limits::default()
                }
            )
            .is_err()
        );
    }

    #[test]
    fn entities_and_document_types_are_refused() {
        for bad in [
            r#"<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>"#,
            "<a>&b;</a>",
            "<a x='&b;'/>",
            "<a/><b/>",
            "<a></b>",
            "<a>",
            "text",
            "",
            "<a/>text",
            "<a>&#x0;</a>",
            "\u{feff}",
        ] {
            assert!(parse(bad.as_bytes(), Limits::default()).is_err(), "{bad}");
        }
        assert!(parse(b"<a>\xff</a>", Limits::default()).is_err());
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        for bad in ["<html/>", "<Envelope/>", "<Envelope><Body/></Envelope>"] {
            assert!(outcome(bad.as_bytes(), Limits::default()).is_err(), "{bad}");
        }
    }
}
