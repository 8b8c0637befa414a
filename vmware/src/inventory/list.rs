//! Objects with their inventory paths.

use std::collections::HashMap;

use super::{Object, for_each_in};
use crate::error::Result;
use crate::session::Session;
use crate::soap::{MoRef, Node};

/// Folders that a path may lead through; a longer one goes in a circle.
const MAX_DEPTH: usize = 64;

/// An object with its place in the inventory.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) reference: MoRef,
    /// From the root, with a slash before each name; names are as the server has them, where a
    /// slash in a name is `%2f`.
    pub(crate) path: String,
    /// Other properties that were asked for.
    pub(crate) properties: Node,
}

impl Named {
    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// What is in a path beside the objects asked for.
const BETWEEN: &[&str] = &[
    "Folder",
    "Datacenter",
    "ComputeResource",
    "ClusterComputeResource",
    "ResourcePool",
];

/// Every object of the given types below `container`, which has the path `prefix`, sorted by path.
pub(crate) fn named(
    session: &Session,
    container: &MoRef,
    prefix: &str,
    wanted: &[&str],
    paths: &[&str],
) -> Result<Vec<Named>> {
    let mut with_name = vec!["name", "parent"];
    with_name.extend(paths);
    let mut types: Vec<(&str, &[&str])> = wanted.iter().map(|kind| (*kind, &*with_name)).collect();
    let between = BETWEEN.iter().filter(|kind| !wanted.contains(kind));
    types.extend(between.map(|kind| (*kind, &["name", "parent"][..])));
    let mut objects: HashMap<MoRef, Object> = HashMap::new();
    for_each_in(session, container, &types, &mut |object| {
        objects.insert(object.reference.clone(), object);
        Ok(())
    })?;
    let mut found: Vec<Named> = objects
        .values()
        .filter(|object| is_one_of(&object.reference.kind, wanted))
        .map(|object| Named {
            reference: object.reference.clone(),
            path: path_of(object, &objects, container, prefix),
            properties: object.properties.clone(),
        })
        .collect();
    found.sort_by(|a, b| (&a.path, &a.reference).cmp(&(&b.path, &b.reference)));
    Ok(found)
}

/// Types come with those derived from them.
fn is_one_of(kind: &str, wanted: &[&str]) -> bool {
    wanted.contains(&kind)
        || match kind {
            "ClusterComputeResource" => wanted.contains(&"ComputeResource"),
            "StoragePod" => wanted.contains(&"Folder"),
            "VirtualApp" => wanted.contains(&"ResourcePool"),
            "DistributedVirtualPortgroup" | "OpaqueNetwork" => wanted.contains(&"Network"),
            _ => false,
        }
}

fn path_of(
    object: &Object,
    objects: &HashMap<MoRef, Object>,
    container: &MoRef,
    prefix: &str,
) -> String {
    let mut names = Vec::new();
    let mut current = Some(object);
    while let Some(object) = current.filter(|_| names.len() < MAX_DEPTH) {
        names.push(object.properties.text_at("name").unwrap_or("?"));
        let parent = object.properties.child("parent").and_then(Node::mo_ref);
        current = parent
            .filter(|parent| parent != container)
            .and_then(|parent| objects.get(&parent));
    }
    let mut path = prefix.to_owned();
    for name in names.iter().rev() {
        path.push('/');
        path.push_str(name);
    }
    path
}

/// A name as people see it: the server escapes three characters in it.
pub(crate) fn plain_name(name: &str) -> String {
    name.replace("%2f", "/")
        .replace("%2F", "/")
        .replace("%5c", "\\")
        .replace("%5C", "\\")
        .replace("%25", "%")
}
