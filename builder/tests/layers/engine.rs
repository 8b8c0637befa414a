//! The engine as the tests see it: blobs in, a snapshot out.

use std::collections::BTreeMap;

use lkbuild::layer::{Entry, EntryKind, Limits, read_layer};
use lkbuild::tree::apply::LayerView;
use lkbuild::tree::{Body, Node, Tree, apply_layer};
use testdata::snapshot::{Facts, device_content, file_content};
use testdata::{Compression, Layer, Snapshot};

/// Reads and merges layers, lowest first; the error is the message a user would see.
pub(crate) fn merge(layers: &[Layer], compression: Compression) -> Result<Snapshot, String> {
    let blobs = layers
        .iter()
        .map(|layer| compression.compress(&layer.tar()));
    merge_blobs(&blobs.collect::<Vec<_>>())
}

/// As [`merge`], from the bytes of the layers.
pub(crate) fn merge_blobs<B: AsRef<[u8]>>(blobs: &[B]) -> Result<Snapshot, String> {
    let mut tree = Tree::new();
    let mut bodies = Vec::new();
    for (index, blob) in blobs.iter().enumerate() {
        let (entries, places) = read(blob.as_ref(), &mut bodies)?;
        let view = LayerView {
            entries: &entries,
            bodies: &places,
            pack: 0,
            opened: None,
            origin: u32::try_from(index).unwrap(),
        };
        apply_layer(&mut tree, &view).map_err(|e| e.to_string())?;
    }
    Ok(snapshot(&tree, |_, body| {
        file_content(&bodies[body as usize])
    }))
}

/// Entries of a blob; their bodies are pushed onto `bodies`, their places returned.
#[allow(clippy::type_complexity)]
fn read(blob: &[u8], bodies: &mut Vec<Vec<u8>>) -> Result<(Vec<Entry>, Vec<Option<u32>>), String> {
    let mut entries = Vec::new();
    let mut places = Vec::new();
    read_layer(blob, &Limits::default(), |entry, body| {
        let place = if let EntryKind::File { size } = entry.kind {
            let mut bytes = Vec::new();
            body.read_to_end(&mut bytes)?;
            assert_eq!(bytes.len() as u64, size);
            bodies.push(bytes);
            Some(u32::try_from(bodies.len() - 1)?)
        } else {
            None
        };
        places.push(place);
        entries.push(entry);
        Ok(())
    })
    .map_err(|e| e.to_string())?;
    Ok((entries, places))
}

/// Flattens a tree; `content` describes the body with that index of that pack.
pub(crate) fn snapshot(tree: &Tree, content: impl Fn(u32, u32) -> String) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let mut groups: BTreeMap<_, Vec<Vec<u8>>> = BTreeMap::new();
    for visit in tree.walk().skip(1) {
        let inode = visit.inode;
        let (kind, content) = match &inode.node {
            Node::Directory(_) => ("dir", String::new()),
            Node::File(Body::Packed { pack, body, .. }) => ("file", content(*pack, *body)),
            Node::File(Body::Inline(bytes)) => ("file", file_content(bytes)),
            Node::File(Body::Opened { .. }) => panic!("no tar was to be opened"),
            Node::Symlink(target) => ("symlink", target.escape_ascii().to_string()),
            Node::CharDevice(major, minor) => {
                ("char", device_content((*major).into(), (*minor).into()))
            }
            Node::BlockDevice(major, minor) => {
                ("block", device_content((*major).into(), (*minor).into()))
            }
            Node::Fifo => ("fifo", String::new()),
        };
        let facts = Facts {
            kind,
            mode: match kind {
                "symlink" => 0o777,
                _ => inode.meta.mode.into(),
            },
            uid: inode.meta.uid.into(),
            gid: inode.meta.gid.into(),
            mtime: (inode.meta != lkbuild::tree::IMPLICIT_FOLDER).then_some(inode.meta.mtime),
            content,
            link_group: Vec::new(),
        };
        if kind != "dir" {
            groups.entry(visit.id).or_default().push(visit.path.clone());
        }
        let twice = snapshot.0.insert(visit.path.clone(), facts).is_some();
        assert!(!twice, "{} twice", visit.path.escape_ascii());
    }
    for mut names in groups.into_values() {
        names.sort();
        snapshot.set_link_group(&names);
    }
    snapshot
}
