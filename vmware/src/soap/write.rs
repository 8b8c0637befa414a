//! Calls are written as XML.

use super::node::{MoRef, Node};

/// XML under construction. Elements must come in the order of VMware's schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Xml(String);

impl Xml {
    pub(crate) fn new() -> Self {
        Xml::default()
    }

    /// An element with text.
    pub(crate) fn text(&mut self, name: &str, text: impl AsRef<str>) -> &mut Self {
        self.0.push_str(&format!("<{name}>"));
        escape_into(&mut self.0, text.as_ref());
        self.close(name)
    }

    /// An element with text of an XML Schema type, such as `xsd:string`.
    pub(crate) fn typed_text(&mut self, name: &str, xsd: &str, text: &str) -> &mut Self {
        self.0.push_str(&format!("<{name} xsi:type=\"xsd:{xsd}\">"));
        escape_into(&mut self.0, text);
        self.close(name)
    }

    /// An element with a number or truth value.
    pub(crate) fn value(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        self.text(name, value.to_string())
    }

    /// A reference.
    pub(crate) fn mo(&mut self, name: &str, reference: &MoRef) -> &mut Self {
        self.0.push_str(&format!("<{name} type=\""));
        escape_into(&mut self.0, &reference.kind);
        self.0.push_str("\">");
        escape_into(&mut self.0, &reference.value);
        self.close(name)
    }

    /// A reference, if there is one.
    pub(crate) fn mo_opt(&mut self, name: &str, reference: Option<&MoRef>) -> &mut Self {
        if let Some(reference) = reference {
            self.mo(name, reference);
        }
        self
    }

    /// An element with others in it.
    pub(crate) fn element(&mut self, name: &str, fill: impl FnOnce(&mut Xml)) -> &mut Self {
        self.0.push_str(&format!("<{name}>"));
        fill(self);
        self.close(name)
    }

    /// An element of a derived type.
    pub(crate) fn typed(
        &mut self,
        name: &str,
        xsi_type: &str,
        fill: impl FnOnce(&mut Xml),
    ) -> &mut Self {
        self.0
            .push_str(&format!("<{name} xsi:type=\"{xsi_type}\">"));
        fill(self);
        self.close(name)
    }

    /// What a server sent, to be sent back to it, under another name.
    pub(crate) fn node(&mut self, name: &str, node: &Node) -> &mut Self {
        self.0.push_str(&format!("<{name}"));
        if let Some(mo_type) = &node.mo_type {
            self.0.push_str(" type=\"");
            escape_into(&mut self.0, mo_type);
            self.0.push('"');
        }
        if let Some(xsi_type) = &node.xsi_type {
            self.0.push_str(" xsi:type=\"");
            self.0.push_str(if node.xsd { "xsd:" } else { "" });
            escape_into(&mut self.0, xsi_type);
            self.0.push('"');
        }
        self.0.push('>');
        escape_into(&mut self.0, &node.text);
        for child in &node.children {
            self.node(&child.name, child);
        }
        self.close(name)
    }

    fn close(&mut self, name: &str) -> &mut Self {
        self.0.push_str(&format!("</{name}>"));
        self
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A call as a whole document.
pub(crate) fn envelope(method: &str, this: &MoRef, arguments: &Xml) -> String {
    let mut body = Xml::new();
    body.mo("_this", this);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body>\
         <{method} xmlns=\"urn:vim25\">{}{}</{method}></soapenv:Body></soapenv:Envelope>",
        body.as_str(),
        arguments.as_str(),
    )
}

/// Escapes for text and attributes alike. Characters that XML can't hold become U+FFFD: names
/// are checked before, so that only what a server sent can have them.
fn escape_into(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::{Limits, parse};

    #[test]
    fn what_is_written_is_read_back() {
        let text = "a & b < c > \"d\" 'e'\r\n\té";
        let mut xml = Xml::new();
        xml.text("name", text)
            .mo("obj", &MoRef::new("Folder", "g/d@1\"<"));
        let document = envelope("Call", &MoRef::new("A", "b&"), &xml);
        let root = parse(document.as_bytes(), Limits::default()).unwrap();
        let call = root.at("Body/Call").unwrap();
        assert_eq!(call.text_at("name"), Some(text));
        assert_eq!(call.need_ref("_this").unwrap(), MoRef::new("A", "b&"));
        assert_eq!(call.need_ref("obj").unwrap().value, "g/d@1\"<");
    }

    #[test]
    fn a_tree_that_is_sent_back_is_the_same() {
        let text = r#"<spec xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:q="http://www.w3.org/2001/XMLSchema"
            xsi:type="VirtualMachineImportSpec"><a type="Pool">p&amp;1</a><b xsi:type="q:int">5</b><c/></spec>"#;
        let sent = parse(text.as_bytes(), Limits::default()).unwrap();
        let mut xml = Xml::new();
        xml.node("spec", &sent);
        let document = envelope("Import", &MoRef::new("A", "b"), &xml);
        let root = parse(document.as_bytes(), Limits::default()).unwrap();
        assert_eq!(root.at("Body/Import/spec").unwrap(), &sent);
    }
}
