//! Who brought the files of a tar, as the tar itself says: `LINUXKIT.source` and
//! `LINUXKIT.location`, which LinuxKit's tars have and ours.

use std::collections::BTreeMap;

use super::Section;
use super::content::KEPT_MAX;

/// The sections of a YAML, in the order in which they are laid over each other.
const SECTIONS: [&[u8]; 8] = [
    b"kernel",
    b"init",
    b"volume",
    b"onboot",
    b"onshutdown",
    b"services",
    b"files",
    b"sbom",
];

/// A place in the YAML, in that order; unknown sections come last.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    rank: usize,
    section: Vec<u8>,
    index: Vec<u8>,
}

#[derive(Default)]
struct Group {
    image: Option<Vec<u8>>,
    entries: u64,
    bytes: u64,
}

/// Entries by their place in the YAML.
#[derive(Default)]
pub(super) struct Origins(BTreeMap<Place, Group>);

impl Place {
    /// `onboot[2]` is the third of its section; all of `files` are one.
    fn parse(location: &[u8]) -> Self {
        let mut parts = location.splitn(2, |&byte| byte == b'[');
        let section = parts.next().unwrap_or_default();
        let index = parts.next().filter(|_| section != b"files");
        let index = index.and_then(|index| index.strip_suffix(b"]"));
        let rank = SECTIONS.iter().position(|own| *own == section);
        Self {
            rank: rank.unwrap_or(SECTIONS.len()),
            section: section.to_vec(),
            index: index.map(padded).unwrap_or_default(),
        }
    }
}

/// Digits so that numbers are in order as bytes are.
fn padded(index: &[u8]) -> Vec<u8> {
    const DIGITS: usize = 10;
    let zeros = DIGITS.saturating_sub(index.len());
    [&[b'0'].repeat(zeros), index].concat()
}

impl Origins {
    /// Adds an entry; where the tar does not say who brought it, it is left out.
    pub(super) fn add(&mut self, source: &[u8], location: &[u8], bytes: u64) {
        if location.is_empty() {
            return;
        }
        let place = Place::parse(location);
        if self.0.len() >= KEPT_MAX && !self.0.contains_key(&place) {
            return;
        }
        let group = self.0.entry(place).or_default();
        group.entries += 1;
        group.bytes = group.bytes.saturating_add(bytes);
        // Other words, like `linuxkit.files`, have no slash; full names of images have.
        if group.image.is_none() && source.contains(&b'/') {
            group.image = Some(source.to_vec());
        }
    }

    /// Adds the table of images, if the tar says who brought what.
    pub(super) fn describe(self, section: Section) -> Section {
        if self.0.is_empty() {
            return section;
        }
        let rows = self.0.into_iter().map(|(place, group)| {
            // As the YAML calls it.
            let name = match place.section.as_slice() {
                b"volume" => b"volumes",
                name => name,
            };
            let row = Section::default().text("section", name);
            let row = match group.image {
                Some(image) => row.text("image", image),
                None => row,
            };
            row.number("entries", group.entries)
                .bytes("unpacked_bytes", group.bytes)
        });
        section.table("images", rows.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::*;

    #[test]
    fn places_come_in_the_order_of_the_yaml() {
        let mut origins = Origins::default();
        let image = b"docker.io/a:1";
        for (source, location) in [
            (&b"linuxkit.files"[..], &b"files[0]"[..]),
            (image, b"onboot[10]"),
            (b"other", b"later[0]"),
            (image, b"onboot[9]"),
            (b"linuxkit.volumes", b"volume[0]"),
            (image, b"volume[0]"),
            (b"linuxkit.files", b"files[11]"),
            (image, b"kernel"),
            (b"LINUXKIT.apkinit", b"init"),
            (image, b"init[0]"),
            (b"", b""),
        ] {
            origins.add(source, location, 3);
        }
        let section = origins.describe(Section::default());
        let Some(Value::Table(rows)) = section.get("images") else {
            panic!("{section:?}");
        };
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                let text = |key| row.get(key).map_or(String::new(), Value::to_string);
                [text("section"), text("image"), text("entries")].join(" ")
            })
            .collect();
        assert_eq!(
            rows,
            [
                "kernel docker.io/a:1 1",
                "init  1",
                "init docker.io/a:1 1",
                "volumes docker.io/a:1 2",
                "onboot docker.io/a:1 1",
                "onboot docker.io/a:1 1",
                "files  2",
                "later  1",
            ]
        );
    }

    #[test]
    fn a_tar_that_does_not_say_who_brought_what_has_no_table() {
        let section = Origins::default().describe(Section::default());
        assert_eq!(section, Section::default());
    }
}
