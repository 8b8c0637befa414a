//! Properties of objects, from the server's property collector.

use std::cell::Cell;

use crate::error::{Error, Kind, Result};
use crate::session::{Call, Session};
use crate::soap::{MoRef, Node, Xml};

/// Objects in one answer: the rest is asked for again.
const PAGE_OBJECTS: u32 = 200;

/// An object with the properties that were asked for: children of `properties`, each named by its
/// path (`summary.type`). What may not be seen, or is not set, is missing.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) reference: MoRef,
    pub(crate) properties: Node,
}

/// Properties of one object.
pub(crate) fn properties(session: &Session, object: &MoRef, paths: &[&str]) -> Result<Node> {
    let mut spec = Xml::new();
    spec.element("specSet", |xml| {
        property_set(xml, &object.kind, paths);
        xml.element("objectSet", |xml| {
            xml.mo("obj", object);
        });
    });
    let mut found = None;
    pages(session, spec, &mut |object| {
        found = Some(object.properties);
        Ok(())
    })?;
    found.ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            format!("{object} is not there any more, or may not be seen"),
        )
    })
}

/// Properties of every object of the given types below a container, whatever the depth.
pub(crate) fn for_each_in(
    session: &Session,
    container: &MoRef,
    types: &[(&str, &[&str])],
    each: &mut dyn FnMut(Object) -> Result<()>,
) -> Result<()> {
    let mut begun = false;
    let mut noting = |object| {
        begun = true;
        each(object)
    };
    match for_each_in_view(session, container, types, &mut noting) {
        // A view goes with its session, which may end before the view is asked for the first time.
        Err(error) if error.is_fault("ManagedObjectNotFound") && !begun => {
            for_each_in_view(session, container, types, each)
        }
        result => result,
    }
}

fn for_each_in_view(
    session: &Session,
    container: &MoRef,
    types: &[(&str, &[&str])],
    each: &mut dyn FnMut(Object) -> Result<()>,
) -> Result<()> {
    let seen = Cell::new(false);
    let mut each = |object| {
        seen.set(true);
        each(object)
    };
    match view_pages(session, container, types, &mut each) {
        // A view ends with its session: another one, if nothing was told yet.
        Err(error) if error.is_fault("ManagedObjectNotFound") && !seen.get() => {
            view_pages(session, container, types, &mut each)
        }
        result => result,
    }
}

fn view_pages(
    session: &Session,
    container: &MoRef,
    types: &[(&str, &[&str])],
    each: &mut dyn FnMut(Object) -> Result<()>,
) -> Result<()> {
    let view = create_view(session, container, types)?;
    let mut spec = Xml::new();
    spec.element("specSet", |xml| {
        for (kind, paths) in types {
            property_set(xml, kind, paths);
        }
        xml.element("objectSet", |xml| {
            xml.mo("obj", &view)
                .value("skip", true)
                .typed("selectSet", "TraversalSpec", |xml| {
                    xml.text("name", "view")
                        .text("type", "ContainerView")
                        .text("path", "view")
                        .value("skip", false);
                });
        });
    });
    let result = pages(session, spec, each);
    // The server forgets it at logout anyway.
    let _ = session.call(&Call::read("DestroyView", &view, Xml::new()));
    result
}

fn create_view(session: &Session, container: &MoRef, types: &[(&str, &[&str])]) -> Result<MoRef> {
    let mut arguments = Xml::new();
    arguments.mo("container", container);
    for (kind, _) in types {
        arguments.text("type", kind);
    }
    arguments.value("recursive", true);
    let manager = &session.services().view_manager;
    let answer = session.call(&Call::read("CreateContainerView", manager, arguments))?;
    answer.need_ref("returnval")
}

fn property_set(xml: &mut Xml, kind: &str, paths: &[&str]) {
    xml.element("propSet", |xml| {
        xml.text("type", kind);
        for path in paths {
            xml.text("pathSet", path);
        }
    });
}

fn pages(session: &Session, spec: Xml, each: &mut dyn FnMut(Object) -> Result<()>) -> Result<()> {
    let collector = &session.services().property_collector;
    let mut arguments = spec;
    arguments.element("options", |xml| {
        xml.value("maxObjects", PAGE_OBJECTS);
    });
    let mut answer = session.call(&Call::read("RetrievePropertiesEx", collector, arguments))?;
    loop {
        let Some(page) = answer.child("returnval") else {
            return Ok(());
        };
        for object in page.all("objects") {
            each(object_of(object)?)?;
        }
        let Some(token) = page.text_at("token").filter(|token| !token.is_empty()) else {
            return Ok(());
        };
        let mut arguments = Xml::new();
        arguments.text("token", token);
        // A token is good for one page.
        answer = session.call(&Call::once(
            "ContinueRetrievePropertiesEx",
            collector,
            arguments,
        ))?;
    }
}

fn object_of(node: &Node) -> Result<Object> {
    let mut properties = Node {
        name: "object".into(),
        ..Node::default()
    };
    for property in node.all("propSet") {
        let mut value = property.need("val")?.clone();
        value.name = property.need_text("name")?.into();
        properties.children.push(value);
    }
    Ok(Object {
        reference: node.need_ref("obj")?,
        properties,
    })
}
