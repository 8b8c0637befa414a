//! What LinuxKit leaves out of every image, what it replaces and what it makes.
//!
//! These files are remains of running a container engine on the image (`.dockerenv`, an empty
//! `etc/hostname`), or are mounted over at run time. Unlike LinuxKit, folders and files that an
//! image brings keep the image's own mode and owner.

use std::sync::Arc;

use crate::tree::{Body, IMPLICIT_FOLDER, Inode, Meta, Node, ResolveError, SYNTHETIC_MTIME, Tree};

const LEFT_OUT: [&[u8]; 6] = [
    b".dockerenv",
    b"Dockerfile",
    b"dev/console",
    b"dev/pts",
    b"dev/shm",
    b"etc/hostname",
];

const FOLDERS: [&[u8]; 6] = [b"dev", b"dev/pts", b"dev/shm", b"etc", b"proc", b"sys"];

const HOSTS: &str = "127.0.0.1       localhost\n\
    ::1     localhost ip6-localhost ip6-loopback\n\
    fe00::0 ip6-localnet\n\
    ff00::0 ip6-mcastprefix\n\
    ff02::1 ip6-allnodes\n\
    ff02::2 ip6-allrouters\n";

const RESOLV_CONF: &str = "\n# no resolv.conf configured\n";

/// The root file system is read-only when name servers become known.
const RESOLV_CONF_LINK: &[u8] = b"/run/resolvconf/resolv.conf";

const MTAB_TARGET: &[u8] = b"/proc/mounts";

/// What `etc/resolv.conf` becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolvConf {
    /// A file with a fixed text: containers.
    Text,
    /// A symlink to where the running system writes it: init and volumes.
    Link,
}

/// Takes out of an image's tree what is left out everywhere, and replaces what the image has of
/// the fixed files.
pub fn strip(tree: &mut Tree, resolv_conf: ResolvConf) {
    for path in LEFT_OUT {
        let (folder, name) = crate::layer::path::split(path);
        let Some(folder) = tree.lookup_literal(folder) else {
            continue;
        };
        let Some(inode) = tree.child(folder, name) else {
            continue;
        };
        if tree.get(inode).is_directory() && tree.children(inode).is_some_and(|c| !c.is_empty()) {
            // Only the entry is left out; what lies in the folder stays.
            tree.get_mut(inode).meta = IMPLICIT_FOLDER;
        } else {
            tree.unlink(folder, name);
        }
    }
    let brought = |tree: &Tree, path| tree.lookup_literal(path).map(|id| tree.get(id).clone());
    if let Some(had) = brought(tree, b"etc/hosts") {
        put(
            tree,
            b"etc/hosts",
            Meta {
                mtime: SYNTHETIC_MTIME,
                ..had.meta
            },
            had.origin,
            hosts(),
        );
    }
    if let Some(had) = brought(tree, b"etc/resolv.conf") {
        let meta = Meta {
            mtime: SYNTHETIC_MTIME,
            ..had.meta
        };
        put(
            tree,
            b"etc/resolv.conf",
            meta,
            had.origin,
            resolv_conf.node(),
        );
    }
    if let Some(mtab) = tree.lookup_literal(b"etc/mtab") {
        tree.get_mut(mtab).meta.mtime = SYNTHETIC_MTIME;
    }
}

/// Makes the standard folders and files that are missing below `at`.
pub fn complete(
    tree: &mut Tree,
    at: &[u8],
    resolv_conf: ResolvConf,
    origin: u32,
) -> Result<(), ResolveError> {
    let path = |name: &[u8]| crate::layer::path::clean(&[at, b"/", name].concat());
    for folder in FOLDERS {
        tree.make_folders(&path(folder), origin)?;
    }
    let etc = tree.make_folders(&path(b"etc"), origin)?;
    let meta = |mode| Meta {
        mode,
        ..IMPLICIT_FOLDER
    };
    let files = [
        (&b"hosts"[..], meta(0o644), hosts()),
        (b"mtab", meta(0o755), Node::Symlink(MTAB_TARGET.into())),
        (b"resolv.conf", meta(0o644), resolv_conf.node()),
    ];
    for (name, meta, node) in files {
        if tree.child(etc, name).is_none() {
            let inode = tree.add(Inode::new(meta, origin, node));
            tree.link(etc, name, inode);
        }
    }
    Ok(())
}

impl ResolvConf {
    fn node(self) -> Node {
        match self {
            ResolvConf::Text => text(RESOLV_CONF),
            ResolvConf::Link => Node::Symlink(RESOLV_CONF_LINK.into()),
        }
    }
}

fn hosts() -> Node {
    text(HOSTS)
}

fn text(text: &str) -> Node {
    Node::File(Body::Inline(Arc::from(text.as_bytes())))
}

/// Replaces what stands at a path that exists: a new inode, so that other names of a hard-linked
/// file keep their content.
fn put(tree: &mut Tree, path: &[u8], meta: Meta, origin: u32, node: Node) {
    let (folder, name) = crate::layer::path::split(path);
    if let Some(folder) = tree.lookup_literal(folder) {
        let inode = tree.add(Inode::new(meta, origin, node));
        tree.link(folder, name, inode);
    }
}
