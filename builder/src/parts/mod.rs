//! What an initrd is made of, by section and image of the YAML.
//!
//! LinuxKit's layout has no place for the name of an image. So a build counts what each section
//! brought ([`Parts::count`]), tells it ([`Event::Part`](crate::progress::Event::Part)), and puts it
//! beside the initrd where a format has room for it: disks and ISOs as the file
//! [`IMAGES_PATH`](formats::medium::IMAGES_PATH), a unified kernel image as the section
//! [`SECTION_IMAGES`](formats::uki::SECTION_IMAGES). `lkbuild inspect` reads it there, and compares
//! it with the initrd.
//!
//! The list is JSON, for people with one part a line:
//!
//! ```text
//! {"platform":"linux/amd64","parts":[
//! {"section":"init","image":"docker.io/linuxkit/init:1","digest":"sha256:…","entries":9,"unpacked_bytes":1234},
//! {"section":"services","name":"docker","image":"…","digest":"…","path":"containers/services/docker",…}
//! ]}
//! ```
//!
//! Keys that stand in [`Part`] stay as they are. More may come: readers pass over those that they
//! don't know.

use std::collections::HashMap;
use std::io::BufReader;

use formats::cpio::{Limits, Reader};
use serde::{Deserialize, Serialize};

use crate::assemble::Image;
use crate::pack::PackError;
use crate::tree::{Body, Node, Visit};

/// A longer list is not read, and not written: a thousandth of it is usual.
pub const LIST_MAX_BYTES: u64 = 1 << 20;

/// What an initrd is made of, in the order of the sections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// Of which the images are, as `linux/amd64`.
    pub platform: String,
    /// One for each image of the YAML, and for what is no image's: all of `files:` together, the
    /// joined SBOM, the joined package database, volumes without an image.
    pub parts: Vec<Part>,
}

/// What one section brought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// `kernel`, `init`, `volumes`, `onboot`, `onshutdown`, `services`, `files` or `sbom`.
    pub section: String,
    /// The name of the container or volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The full name of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Digest of the manifest that the image's name stood for, on the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The folder or file in the initrd, without a slash at either end; none where it is the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Entries in the initrd. What two containers share counts for the first.
    pub entries: u64,
    /// Bytes of files in it, before compression, and of what symlinks say.
    pub unpacked_bytes: u64,
}

/// A list that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// It is too long.
    #[error("it has {0} bytes, and {LIST_MAX_BYTES} at most are read")]
    TooLarge(u64),
    /// It is none.
    #[error("it is no list of images: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl Parts {
    /// Counts what each section brought to an image's initrd. `known` says what is known of a place
    /// in the YAML ([`Origin::location`](crate::assemble::Origin::location)) besides.
    ///
    /// # Errors
    /// If the microcode can't be read from its pack.
    pub fn count(
        image: &Image,
        platform: &str,
        known: &[(String, Part)],
    ) -> Result<Self, PackError> {
        let mut parts: Vec<Part> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut place = |location| {
            *places.entry(location).or_insert_with(|| {
                let found = known.iter().find(|(own, _)| own == location);
                parts.push(found.map_or_else(|| Part::at(location), |(_, part)| part.clone()));
                parts.len() - 1
            })
        };
        let origins: Vec<usize> = image
            .origins
            .iter()
            .map(|origin| match origin.location.as_str() {
                location if location.starts_with("files[") => place("files"),
                location => place(location),
            })
            .collect();
        // The root itself is no entry.
        for visit in image.tree.walk().skip(1) {
            let part = &mut parts[origins[visit.inode.origin as usize]];
            part.entries += 1;
            part.unpacked_bytes += unpacked_bytes(&visit);
        }
        if let Some(kernel) = &image.kernel
            && let Some((microcode, _)) = &kernel.microcode
        {
            let archive = image.packs.read_body(microcode, microcode.size())?;
            parts[origins[kernel.origin as usize]].add_archive(&archive);
        }
        parts.retain(|part| part.entries > 0 || part.image.is_some());
        Ok(Self {
            platform: platform.to_owned(),
            parts,
        })
    }

    /// The list as a file; empty if it would be too long.
    pub fn to_json(&self) -> Vec<u8> {
        let lines: Vec<String> = self.parts.iter().map(json).collect();
        let json = format!(
            "{{\"platform\":{},\"parts\":[\n{}\n]}}\n",
            json(&self.platform),
            lines.join(",\n")
        );
        match json.len() as u64 > LIST_MAX_BYTES {
            true => Vec::new(),
            false => json.into_bytes(),
        }
    }

    /// Reads a list, which may come from anyone.
    ///
    /// # Errors
    /// If it is too long, or none.
    pub fn parse(list: &[u8]) -> Result<Self, PartsError> {
        match list.len() as u64 {
            bytes if bytes > LIST_MAX_BYTES => Err(PartsError::TooLarge(bytes)),
            _ => Ok(serde_json::from_slice(list)?),
        }
    }

    /// Entries and unpacked bytes of all parts.
    pub fn total(&self) -> (u64, u64) {
        let add = |(entries, bytes): (u64, u64), part: &Part| {
            (
                entries.saturating_add(part.entries),
                bytes.saturating_add(part.unpacked_bytes),
            )
        };
        self.parts.iter().fold((0, 0), add)
    }
}

impl Part {
    /// What the place alone tells: `volume[3]` is in the section `volumes`.
    fn at(location: &str) -> Self {
        let section = location.split('[').next().unwrap_or_default();
        Self {
            section: match section {
                "volume" => "volumes".to_owned(),
                section => section.to_owned(),
            },
            ..Self::default()
        }
    }

    /// Adds what is in a microcode archive, as far as it can be read: the kernel reads no further.
    fn add_archive(&mut self, archive: &[u8]) {
        let mut reader = Reader::new(BufReader::new(archive), Limits::default());
        while let Ok(Some(entry)) = reader.next_entry() {
            if !entry.trailer {
                self.entries += 1;
                self.unpacked_bytes += u64::from(entry.body_bytes);
            }
        }
    }
}

/// Length of the body that stands with a name in an initrd.
fn unpacked_bytes(visit: &Visit<'_>) -> u64 {
    match &visit.inode.node {
        // A file's body stands with its first name.
        Node::File(Body::Packed { size, .. }) if visit.first.is_none() => *size,
        Node::File(Body::Inline(bytes)) if visit.first.is_none() => bytes.len() as u64,
        Node::Symlink(target) => target.len() as u64,
        _ => 0,
    }
}

/// Texts and numbers are always JSON.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests;
