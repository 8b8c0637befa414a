//! The YAML that a system carries of itself: `metadata: yaml` in `files:`.

use std::collections::HashMap;
use std::io::Read;

use super::Section;
use crate::config::{Moby, load};

/// Where LinuxKit's own YAMLs put it.
pub(super) const METADATA_PATH: &[u8] = b"etc/linuxkit-config";
/// Such a file has some kilobytes.
const METADATA_MAX_BYTES: u64 = 256 << 10;

/// What images a system says that it is made of.
pub(super) struct Metadata {
    /// Images by container, as in `onboot/000-sysctl`.
    containers: HashMap<Vec<u8>, String>,
    /// What is laid over the root: kernel and init.
    root: Vec<String>,
}

impl Metadata {
    /// Reads a file that may be anything; `None` if it is no YAML of a system.
    pub(super) fn read(file: &mut impl Read, len_bytes: u64) -> Option<Self> {
        if len_bytes > METADATA_MAX_BYTES {
            return None;
        }
        let mut yaml = Vec::new();
        file.take(len_bytes).read_to_end(&mut yaml).ok()?;
        let loaded = load(&[("metadata", &yaml)]).ok()?;
        Some(Self::of(&loaded.moby))
    }

    fn of(moby: &Moby) -> Self {
        let root = moby.kernel.image.iter().chain(&moby.init);
        let volumes = moby.volumes.iter().filter_map(|volume| {
            let image = volume.image.as_ref()?;
            Some((volume.base_path(), image.to_string()))
        });
        let containers = moby.containers().map(|(section, index, container)| {
            let path = section.bundle_path(index, &container.name);
            (path, container.image.to_string())
        });
        let container = |(path, image): (String, String)| {
            let name = path.strip_prefix("containers/").unwrap_or(&path);
            (name.as_bytes().to_vec(), image)
        };
        Self {
            containers: volumes.chain(containers).map(container).collect(),
            root: root.map(|image| image.to_string()).collect(),
        }
    }

    /// Adds the image of a container to its row.
    pub(super) fn name(&self, row: Section, container: &[u8]) -> Section {
        match self.containers.get(container) {
            Some(image) => row.text("image", image),
            None => row,
        }
    }

    /// Says where the names come from, and what has no row of its own.
    pub(super) fn describe(&self, section: Section) -> Section {
        section
            .text("images_from", METADATA_PATH)
            .list("root_images", &self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_yaml_of_a_system_says_nothing() {
        let long = b" ".repeat(300 << 10);
        for other in [
            &b"\xff\0"[..],
            b"- a list",
            b"services: {}",
            b"services:\n  - name: a\n",
            &long,
        ] {
            let read = Metadata::read(&mut &*other, other.len() as u64);
            assert!(read.is_none(), "{:?}", &other[..8.min(other.len())]);
        }
    }
}
