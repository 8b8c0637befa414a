//! What a build adds up to, before any format is chosen.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use crate::pack::{PackError, PackSet};
use crate::parts::Parts;
use crate::tree::{Body, Tree};

/// A whole system: kernel, command line and everything the initrd or root file system holds.
#[derive(Debug)]
pub struct Image {
    /// The kernel section; `None` where the YAML has none.
    pub kernel: Option<Kernel>,
    /// The root tree with the containers' folders in it.
    pub tree: Tree,
    /// Where packed bodies are.
    pub packs: PackSet,
    /// Who brought what; [`crate::tree::Inode::origin`] is an index into it.
    pub origins: Vec<Origin>,
    /// What the sections brought, counted when all are there.
    pub parts: Parts,
}

/// Kernel, command line and microcode.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The kernel as the image has it (x86: a bzImage).
    pub body: Body,
    /// Permission bits that the kernel file has in its image.
    pub mode: u16,
    /// The kernel's command line.
    pub cmdline: String,
    /// Early microcode, an uncompressed cpio, and its permission bits.
    pub microcode: Option<(Body, u16)>,
    /// Index into [`Image::origins`].
    pub origin: u32,
}

/// Where a path comes from: the PAX records `LINUXKIT.source` and `LINUXKIT.location`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// An image's full name, or `linuxkit.files` and the like.
    pub source: String,
    /// The place in the YAML, for example `onboot[0]`.
    pub location: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.source, self.location)
    }
}

impl Image {
    /// The plain bytes of a body, read as a stream and verified on the way.
    pub fn open<'a>(&'a self, body: &'a Body) -> Result<Box<dyn Read + 'a>, PackError> {
        self.packs.open(body)
    }

    /// Images and sections whose files have extended attributes, which an initrd can't hold, with
    /// the number of those files.
    pub fn xattr_losses(&self) -> Vec<(String, usize)> {
        let mut losses: BTreeMap<u32, usize> = BTreeMap::new();
        for visit in self.tree.walk().filter(|v| !v.inode.xattrs.is_empty()) {
            *losses.entry(visit.inode.origin).or_default() += 1;
        }
        losses
            .into_iter()
            .map(|(origin, files)| (self.origin(origin).to_string(), files))
            .collect()
    }

    /// The origin of an inode or kernel.
    pub fn origin(&self, origin: u32) -> &Origin {
        &self.origins[origin as usize]
    }
}
