//! Section after section into one tree, in LinuxKit's order and under LinuxKit's paths.

use super::error::AssembleError;
use super::image::{Image, Kernel, Origin};
use super::standard::{ResolvConf, complete, strip};
use crate::layer::path::{clean, split};
use crate::layer::{Escaped, Limits};
use crate::pack::PackSet;
use crate::parts::Parts;
use crate::tree::{
    Body, IMPLICIT_FOLDER, Inode, InodeId, LayerView, Meta, Node, Replaced, ResolveError,
    SYNTHETIC_MTIME, Tree, apply_layer,
};

const APK_DB: &[u8] = b"lib/apk/db/installed";
/// Databases of real images take some hundred kilobytes.
const MAX_APK_DB_BYTES: u64 = 64 << 20;
/// What LinuxKit gives as the source of `files:`.
const FILES_SOURCE: &str = "linuxkit.files";
/// LinuxKit's own words for where the joined package database comes from.
const APK_ORIGIN: (&str, &str) = ("LINUXKIT.apkinit", "init");

/// One layer of an image, as its pack has it.
#[derive(Clone, Debug)]
pub struct PackedLayer {
    /// Place in the [`PackSet`].
    pub pack: u32,
    /// Digest, for messages.
    pub digest: String,
}

/// Which files of a kernel image are meant.
#[derive(Clone, Debug)]
pub struct KernelFiles<'a> {
    /// Path of the kernel.
    pub binary: &'a str,
    /// Path of the tar with the modules; `None` where none is wanted.
    pub tar: Option<&'a str>,
    /// Path of the microcode; `None` where none is wanted.
    pub microcode: Option<&'a str>,
    /// The kernel's command line.
    pub cmdline: &'a str,
}

/// One entry of `files:`.
#[derive(Clone, Debug)]
pub struct FileEntry<'a> {
    /// Path in the root tree.
    pub path: &'a [u8],
    /// Permission bits.
    pub mode: u16,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Which of these were written, and are not defaults.
    pub given: Given,
    /// What it is to be.
    pub kind: FileKind,
}

/// What an entry of `files:` says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given {
    /// Permission bits.
    pub mode: bool,
    /// Owner.
    pub uid: bool,
    /// Group.
    pub gid: bool,
}

/// What an entry of `files:` makes.
#[derive(Clone, Debug)]
pub enum FileKind {
    /// A folder.
    Directory,
    /// A symlink and what it says.
    Symlink(Vec<u8>),
    /// A regular file.
    File(Body),
}

/// Collects sections; [`Assembler::finish`] gives the image.
#[derive(Debug)]
pub struct Assembler {
    tree: Tree,
    packs: PackSet,
    origins: Vec<Origin>,
    kernel: Option<Kernel>,
    /// The package databases of the init images, one after another.
    apk: Vec<u8>,
    /// How many there are.
    apk_databases: usize,
    last_init: Option<u32>,
    limits: Limits,
}

impl Assembler {
    /// `packs` are those that the layers of all sections name; `limits` bound each image's tree.
    pub fn new(packs: PackSet, limits: &Limits) -> Self {
        // Origin 0: what no section brings.
        let none = Origin {
            source: "lkbuild".into(),
            location: String::new(),
        };
        let tree = Tree::new().with_limits(limits);
        Assembler {
            tree,
            packs,
            origins: vec![none],
            kernel: None,
            apk: Vec::new(),
            apk_databases: 0,
            last_init: None,
            limits: limits.clone(),
        }
    }

    fn origin(&mut self, source: &str, location: &str) -> u32 {
        let origin = Origin {
            source: source.into(),
            location: location.into(),
        };
        let place = self
            .origins
            .iter()
            .position(|o| *o == origin)
            .unwrap_or_else(|| {
                self.origins.push(origin);
                self.origins.len() - 1
            });
        // A YAML has far fewer sections than 2^32.
        u32::try_from(place).unwrap_or(0)
    }

    /// The file system of an image: its layers on top of each other.
    fn image_tree(
        &self,
        image: &str,
        layers: &[PackedLayer],
        origin: u32,
    ) -> Result<Tree, AssembleError> {
        let mut tree = Tree::new().with_limits(&self.limits);
        let root = tree.root();
        tree.get_mut(root).origin = origin;
        for layer in layers {
            let index = self.packs.get(layer.pack).index();
            let view = LayerView {
                entries: &index.entries,
                bodies: &index.body_of,
                pack: layer.pack,
                opened: index.nested.as_ref().map(|n| n.entry),
                origin,
            };
            apply_layer(&mut tree, &view).map_err(|source| AssembleError::Layer {
                image: image.into(),
                layer: layer.digest.clone(),
                source,
            })?;
        }
        Ok(tree)
    }

    /// Takes kernel, modules and microcode out of the kernel image; nothing else of it is used.
    pub fn add_kernel(
        &mut self,
        image: &str,
        layers: &[PackedLayer],
        files: &KernelFiles<'_>,
    ) -> Result<(), AssembleError> {
        let origin = self.origin(image, "kernel");
        let tree = self.image_tree(image, layers, origin)?;
        let file = |path: &str| {
            let inode = tree.get(tree.lookup_literal(path.as_bytes())?);
            match &inode.node {
                Node::File(body) => Some((body.clone(), inode.meta.mode)),
                _ => None,
            }
        };
        let missing = |path: &str, key, hint| AssembleError::KernelFile {
            image: image.into(),
            path: path.into(),
            key,
            hint,
        };
        let (body, mode) = file(files.binary).ok_or_else(|| {
            missing(
                files.binary,
                "binary",
                "name the file that is the kernel, or use another image",
            )
        })?;
        let microcode = match files.microcode {
            None => None,
            Some(path) => Some(file(path).ok_or_else(|| {
                missing(
                    path,
                    "ucode",
                    "name a file that is there, or leave the key out",
                )
            })?),
        };
        if let Some(path) = files.tar {
            let (tar, _) = file(path).ok_or_else(|| {
                missing(
                    path,
                    "tar",
                    "name the tar with the modules, or write tar: none",
                )
            })?;
            let modules = self.opened_tree(image, &tar, origin)?;
            self.overlay("kernel", b"", &modules)?;
        }
        let cmdline = files.cmdline.to_owned();
        self.kernel = Some(Kernel {
            body,
            mode,
            cmdline,
            microcode,
            origin,
        });
        Ok(())
    }

    fn opened_tree(&self, image: &str, tar: &Body, origin: u32) -> Result<Tree, AssembleError> {
        let mut tree = Tree::new().with_limits(&self.limits);
        let Body::Opened { pack, .. } = tar else {
            return Ok(tree);
        };
        if let Some(nested) = &self.packs.get(*pack).index().nested {
            let view = LayerView {
                entries: &nested.entries,
                bodies: &nested.body_of,
                pack: *pack,
                opened: None,
                origin,
            };
            apply_layer(&mut tree, &view).map_err(|source| AssembleError::Layer {
                image: image.into(),
                layer: "kernel.tar".into(),
                source,
            })?;
        }
        Ok(tree)
    }

    /// Lays init image number `index` over the root tree.
    pub fn add_init(
        &mut self,
        index: usize,
        image: &str,
        layers: &[PackedLayer],
    ) -> Result<(), AssembleError> {
        let location = format!("init[{index}]");
        let origin = self.origin(image, &location);
        let mut tree = self.image_tree(image, layers, origin)?;
        if let Some(inode) = tree.lookup_literal(APK_DB)
            && let Node::File(body) = &tree.get(inode).node
        {
            self.read_apk_db(image, &body.clone())?;
        }
        strip(&mut tree, ResolvConf::Link);
        self.overlay(&location, b"", &tree)?;
        self.last_init = Some(origin);
        Ok(())
    }

    /// Keeps an init image's package database for the joined one.
    fn read_apk_db(&mut self, image: &str, body: &Body) -> Result<(), AssembleError> {
        let packs = std::mem::take(&mut self.packs);
        let read = packs.read_body(body, MAX_APK_DB_BYTES);
        self.packs = packs;
        let database = read.map_err(|source| AssembleError::ApkDatabase {
            image: image.into(),
            source,
        })?;
        self.apk.extend_from_slice(&database);
        self.apk.extend_from_slice(b"\n\n");
        self.apk_databases += 1;
        Ok(())
    }

    /// What follows the init images: the standard folders and files that none of them brought,
    /// and the package database of them all. A database that is the only one stays as it is.
    pub fn finish_init(&mut self) -> Result<(), AssembleError> {
        if let Some(origin) = self.last_init {
            complete(&mut self.tree, b"", ResolvConf::Link, origin)
                .map_err(|source| resolve_error("init", source))?;
        }
        if self.apk_databases > 1 {
            let origin = self.origin(APK_ORIGIN.0, APK_ORIGIN.1);
            let meta = Meta {
                mode: 0o644,
                uid: 0,
                gid: 0,
                mtime: 0,
            };
            let (folder, name) = split(APK_DB);
            let folder = self
                .tree
                .make_folders(folder, origin)
                .map_err(|source| resolve_error("init", source))?;
            let database = std::mem::take(&mut self.apk);
            self.put_file((folder, name), meta, origin, database);
        }
        Ok(())
    }

    /// Puts an image's file system at a folder of its own, with the standard folders and files.
    pub fn add_rootfs(
        &mut self,
        location: &str,
        at: &str,
        image: &str,
        layers: &[PackedLayer],
        resolv_conf: ResolvConf,
    ) -> Result<(), AssembleError> {
        let origin = self.origin(image, location);
        let mut tree = self.image_tree(image, layers, origin)?;
        strip(&mut tree, resolv_conf);
        complete(&mut tree, b"", resolv_conf, origin)
            .map_err(|source| resolve_error(location, source))?;
        self.overlay(location, at.as_bytes(), &tree)
    }

    /// Makes an empty folder (0755, root) with its parents.
    pub fn add_folder(
        &mut self,
        location: &str,
        at: &str,
        source: &str,
    ) -> Result<(), AssembleError> {
        let origin = self.origin(source, location);
        self.tree
            .make_folders(at.as_bytes(), origin)
            .map_err(|source| resolve_error(location, source))?;
        Ok(())
    }

    /// Makes a file of the build's own (0644, root) with its parents.
    pub fn add_text(
        &mut self,
        location: &str,
        path: &str,
        source: &str,
        text: Vec<u8>,
    ) -> Result<(), AssembleError> {
        let origin = self.origin(source, location);
        let (folder, name) = split(path.as_bytes());
        let folder = self
            .tree
            .make_folders(folder, origin)
            .map_err(|source| resolve_error(location, source))?;
        let meta = Meta {
            mode: 0o644,
            ..IMPLICIT_FOLDER
        };
        self.put_file((folder, name), meta, origin, text);
        Ok(())
    }

    /// Makes a file of an OCI layout (0644, root) with its parents. They have no time, as the
    /// layouts that LinuxKit writes.
    pub fn add_layout_file(
        &mut self,
        location: &str,
        path: &str,
        source: &str,
        bytes: Vec<u8>,
    ) -> Result<(), AssembleError> {
        let origin = self.origin(source, location);
        let path = path.as_bytes();
        let (folder, name) = split(path);
        let meta = Meta {
            mode: 0o644,
            mtime: 0,
            ..IMPLICIT_FOLDER
        };
        let folder = self.leading_folders(location, path, folder, meta, origin)?;
        self.put_file((folder, name), meta, origin, bytes);
        Ok(())
    }

    fn put_file(
        &mut self,
        (folder, name): (InodeId, &[u8]),
        meta: Meta,
        origin: u32,
        bytes: Vec<u8>,
    ) {
        let body = Body::Inline(bytes.into());
        let inode = self.tree.add(Inode::new(meta, origin, Node::File(body)));
        self.tree.link(folder, name, inode);
    }

    /// Makes one entry of `files:`. A folder that an image brought is changed only by an entry for
    /// the folder itself, and in what that says; leading folders that are missing get the file's
    /// owner and its mode with search bits.
    pub fn add_file(&mut self, index: usize, file: &FileEntry<'_>) -> Result<(), AssembleError> {
        let location = format!("files[{index}]");
        let origin = self.origin(FILES_SOURCE, &location);
        let meta = Meta {
            mode: file.mode,
            uid: file.owner.0,
            gid: file.owner.1,
            mtime: SYNTHETIC_MTIME,
        };
        let path = clean(file.path);
        let (folder_path, name) = split(&path);
        let folder = self.leading_folders(&location, &path, folder_path, meta, origin)?;
        if name.is_empty() {
            // The root folder exists.
            return Ok(());
        }
        let existing = self.tree.child(folder, name);
        let node = match &file.kind {
            FileKind::Directory => {
                return self.add_directory(
                    &location,
                    &path,
                    (folder, name),
                    existing,
                    (meta, file.given),
                    origin,
                );
            }
            FileKind::Symlink(target) => Node::Symlink(target.as_slice().into()),
            FileKind::File(body) => Node::File(body.clone()),
        };
        if let Some(existing) = existing.filter(|&id| self.tree.get(id).is_directory()) {
            return Err(self.in_the_way(&location, &path, &path, existing));
        }
        let inode = self.tree.add(Inode::new(meta, origin, node));
        self.tree.link(folder, name, inode);
        Ok(())
    }

    fn add_directory(
        &mut self,
        location: &str,
        path: &[u8],
        (folder, name): (InodeId, &[u8]),
        existing: Option<InodeId>,
        (meta, given): (Meta, Given),
        origin: u32,
    ) -> Result<(), AssembleError> {
        let Some(existing) = existing else {
            let inode = self.tree.add(Inode::directory(meta, origin));
            self.tree.link(folder, name, inode);
            return Ok(());
        };
        // A symlink to a folder serves as one.
        let target = self
            .tree
            .lookup(path)
            .map_err(|source| resolve_error(location, source))?;
        let Some(target) = target.filter(|&id| self.tree.get(id).is_directory()) else {
            return Err(self.in_the_way(location, path, path, existing));
        };
        // A folder that an earlier entry of `files:` made is this program's to describe.
        let own = self.origins[self.tree.get(target).origin as usize].source == FILES_SOURCE;
        let inode = self.tree.get_mut(target);
        if own {
            inode.meta = meta;
            inode.origin = origin;
            return Ok(());
        }
        if given.mode {
            inode.meta.mode = meta.mode;
        }
        if given.uid {
            inode.meta.uid = meta.uid;
        }
        if given.gid {
            inode.meta.gid = meta.gid;
        }
        Ok(())
    }

    /// The folder at `folder_path`, symlinks followed; missing ones are made for a file with
    /// `meta`.
    fn leading_folders(
        &mut self,
        location: &str,
        path: &[u8],
        folder_path: &[u8],
        meta: Meta,
        origin: u32,
    ) -> Result<InodeId, AssembleError> {
        let found = self
            .tree
            .find(folder_path)
            .map_err(|source| resolve_error(location, source))?;
        let mut here = found.inode;
        if !self.tree.get(here).is_directory() {
            return Err(self.in_the_way(location, path, folder_path, here));
        }
        let mode = [0o700, 0o070, 0o007]
            .into_iter()
            .filter(|class| meta.mode & class != 0)
            .fold(meta.mode, |mode, class| mode | (class & 0o111));
        for name in &found.missing {
            let folder = self
                .tree
                .add(Inode::directory(Meta { mode, ..meta }, origin));
            self.tree.link(here, name, folder);
            here = folder;
        }
        Ok(here)
    }

    fn in_the_way(
        &self,
        location: &str,
        path: &[u8],
        what: &[u8],
        inode: InodeId,
    ) -> AssembleError {
        let inode = self.tree.get(inode);
        AssembleError::File {
            section: location.into(),
            path: Escaped(path).to_string(),
            what: Escaped(what).to_string(),
            kind: inode.node.kind_name(),
            origin: self.origins[inode.origin as usize].to_string(),
        }
    }

    /// Lays a tree over what is there.
    fn overlay(&mut self, section: &str, at: &[u8], upper: &Tree) -> Result<(), AssembleError> {
        let merged = self
            .tree
            .overlay(at, upper)
            .map_err(|source| resolve_error(section, source))?;
        merged.map_err(|Replaced { path, lower, upper }| AssembleError::Replaced {
            path: Escaped(&path).to_string(),
            lower: lower.0,
            lower_origin: self.origins[lower.1 as usize].to_string(),
            upper: upper.0,
            upper_origin: self.origins[upper.1 as usize].to_string(),
        })
    }

    /// The image that all sections add up to; its parts are not counted yet.
    pub fn finish(self) -> Image {
        Image {
            kernel: self.kernel,
            tree: self.tree,
            packs: self.packs,
            origins: self.origins,
            parts: Parts::default(),
        }
    }
}

fn resolve_error(section: &str, source: ResolveError) -> AssembleError {
    AssembleError::Resolve {
        section: section.into(),
        source,
    }
}
