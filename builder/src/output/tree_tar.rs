//! The whole system as a tar, as `linuxkit build -format tar` gives it: `boot/` with kernel,
//! command line and microcode, then the root tree. Each path stands once; the PAX records
//! `LINUXKIT.source` and `LINUXKIT.location` say who brought it.

use std::io::{self, Write};

use formats::tarball::{Entry, Kind, TarError, TarWriter};

use crate::assemble::{Image, Kernel};
use crate::pack::PackError;
use crate::tree::{Body, IMPLICIT_FOLDER, Meta, Node, Visit};

const SOURCE: &str = "LINUXKIT.source";
const LOCATION: &str = "LINUXKIT.location";
const XATTR_PREFIX: &str = "SCHILY.xattr.";

/// What `docker build` makes of the tar.
const DOCKERFILE: &str = "FROM scratch\nCOPY . ./\nENTRYPOINT [\"/bin/rc.init\"]\n";

/// Why no tar was written.
#[derive(Debug, thiserror::Error)]
pub enum TreeTarError {
    /// An entry does not fit the format, or the output can't be written.
    #[error("can't write the tar: {0}")]
    Tar(#[from] TarError),
    /// The output can't be written.
    #[error("can't write the tar: {0}")]
    Io(#[from] io::Error),
    /// A body can't be read from the store.
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// Writes the image as a tar; with `dockerfile` as a build context for Docker.
pub fn write_tree_tar<W: Write>(
    out: W,
    image: &Image,
    dockerfile: bool,
) -> Result<W, TreeTarError> {
    let mut tar = TarWriter::new(out);
    if let Some(kernel) = &image.kernel {
        write_boot(&mut tar, image, kernel)?;
    }
    for visit in image.tree.walk().skip(1) {
        // The kernel section's own files come first.
        if is_boot_file(&visit.path, image) {
            continue;
        }
        write_visit(&mut tar, image, &visit)?;
    }
    if dockerfile {
        let body = DOCKERFILE.as_bytes();
        let meta = Meta {
            mode: 0o644,
            ..IMPLICIT_FOLDER
        };
        let kind = Kind::File {
            bytes: body.len() as u64,
        };
        tar.file(&entry(b"Dockerfile", kind, meta, &[]), body)?;
    }
    Ok(tar.finish()?)
}

/// Whether the kernel section wrote this path already.
fn is_boot_file(path: &[u8], image: &Image) -> bool {
    let Some(kernel) = &image.kernel else {
        return false;
    };
    match path {
        b"boot" | b"boot/kernel" | b"boot/cmdline" => true,
        b"boot/ucode.cpio" => kernel.microcode.is_some(),
        _ => false,
    }
}

fn write_boot<W: Write>(
    tar: &mut TarWriter<W>,
    image: &Image,
    kernel: &Kernel,
) -> Result<(), TreeTarError> {
    let origin = image.origin(kernel.origin);
    let pax = [
        (LOCATION, origin.location.as_bytes()),
        (SOURCE, origin.source.as_bytes()),
    ];
    tar.entry(&entry(b"boot", Kind::Folder, IMPLICIT_FOLDER, &pax))?;
    let cmdline = kernel.cmdline.as_bytes();
    let meta = |mode| Meta {
        mode,
        ..IMPLICIT_FOLDER
    };
    let kind = Kind::File {
        bytes: cmdline.len() as u64,
    };
    tar.file(&entry(b"boot/cmdline", kind, meta(0o644), &pax), cmdline)?;
    let mut body = |name: &[u8], body: &Body, mode: u16| -> Result<(), TreeTarError> {
        let kind = Kind::File { bytes: body.size() };
        Ok(tar.file(&entry(name, kind, meta(mode), &pax), image.open(body)?)?)
    };
    body(b"boot/kernel", &kernel.body, kernel.mode)?;
    if let Some((microcode, mode)) = &kernel.microcode {
        body(b"boot/ucode.cpio", microcode, *mode)?;
    }
    Ok(())
}

fn write_visit<W: Write>(
    tar: &mut TarWriter<W>,
    image: &Image,
    visit: &Visit<'_>,
) -> Result<(), TreeTarError> {
    let inode = visit.inode;
    let origin = image.origin(inode.origin);
    let mut pax: Vec<(&str, &[u8])> = vec![
        (LOCATION, origin.location.as_bytes()),
        (SOURCE, origin.source.as_bytes()),
    ];
    let xattrs: Vec<(String, &[u8])> = inode
        .xattrs
        .iter()
        .filter_map(|x| {
            Some((
                format!("{XATTR_PREFIX}{}", std::str::from_utf8(&x.name).ok()?),
                &*x.value,
            ))
        })
        .collect();
    pax.extend(xattrs.iter().map(|(name, value)| (name.as_str(), *value)));
    let kind = match (&inode.node, &visit.first) {
        (Node::Directory(_), _) => Kind::Folder,
        (_, Some(first)) => Kind::HardLink { target: first },
        (Node::File(body), _) => Kind::File { bytes: body.size() },
        (Node::Symlink(target), _) => Kind::Symlink { target },
        (Node::CharDevice(major, minor), _) => Kind::CharDevice {
            major: *major,
            minor: *minor,
        },
        (Node::BlockDevice(major, minor), _) => Kind::BlockDevice {
            major: *major,
            minor: *minor,
        },
        (Node::Fifo, _) => Kind::Fifo,
    };
    let entry = entry(&visit.path, kind, inode.meta, &pax);
    match (&inode.node, &visit.first) {
        (Node::File(body), None) => tar.file(&entry, image.open(body)?)?,
        _ => tar.entry(&entry)?,
    }
    Ok(())
}

fn entry<'a>(
    name: &'a [u8],
    kind: Kind<'a>,
    meta: Meta,
    pax: &'a [(&'a str, &'a [u8])],
) -> Entry<'a> {
    Entry {
        name,
        kind,
        mode: u32::from(meta.mode),
        uid: u64::from(meta.uid),
        gid: u64::from(meta.gid),
        mtime: meta.mtime,
        mtime_nanos: 0,
        pax,
    }
}
