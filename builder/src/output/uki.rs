//! A unified kernel image: the system as one program for UEFI.

use std::io::Read;

use formats::medium::BootFiles;
use formats::payload::Extents;
use formats::uki::{UkiError, UkiOptions, uki};

use crate::assemble::Image;
use crate::pack::PackError;
use crate::tree::Node;

/// Where a system says what it is (os-release(5)).
const OS_RELEASE: [&[u8]; 2] = [b"etc/os-release", b"usr/lib/os-release"];
/// Such a file has some hundred bytes.
const OS_RELEASE_MAX_BYTES: u64 = 64 << 10;

/// Why there is no unified kernel image.
#[derive(Debug, thiserror::Error)]
pub enum MakeUkiError {
    /// It can't be made.
    #[error(transparent)]
    Uki(#[from] UkiError),
    /// The system's os-release can't be read from the store.
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// Makes one of what boots and what the image says of itself, with a stub that was given, or our own.
pub(super) fn make_uki(
    image: &Image,
    files: &BootFiles,
    name: &str,
    stub: Option<&[u8]>,
) -> Result<Extents, MakeUkiError> {
    let options = UkiOptions {
        stub: stub.map(<[u8]>::to_vec),
        os_release: os_release(image, name)?,
    };
    Ok(uki(files, &options)?)
}

/// The image's own os-release; without one, the build's name.
fn os_release(image: &Image, name: &str) -> Result<String, PackError> {
    for path in OS_RELEASE {
        // A path that can't be resolved is one that is not there.
        let Ok(Some(inode)) = image.tree.lookup(path) else {
            continue;
        };
        let Node::File(body) = &image.tree.get(inode).node else {
            continue;
        };
        if body.size() > OS_RELEASE_MAX_BYTES {
            continue;
        }
        let mut text = Vec::new();
        let read = image.open(body)?.read_to_end(&mut text);
        if read.is_ok() && !text.contains(&0) {
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
    }
    // Between double quotes these would mean something.
    let quoted: String = name
        .chars()
        .filter(|c| !c.is_control() && !"\"\\$`".contains(*c))
        .collect();
    Ok(format!("ID=linux\nNAME=Linux\nPRETTY_NAME=\"{quoted}\"\n"))
}
