//! Names for those who read neither Rock Ridge nor UTF-8.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

/// Characters of name and extension together (ECMA-119 7.5.1, interchange level 2).
const PRIMARY_MAX: usize = 30;
/// Characters of a folder's name (7.6.3).
const PRIMARY_FOLDER_MAX: usize = 31;
/// UCS-2 characters of a Joliet name.
const JOLIET_MAX: usize = 64;

/// A name before it is made unique: digits may be put at the end of its stem.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Draft {
    stem: Vec<u16>,
    /// What follows, its dot included.
    rest: Vec<u16>,
}

impl Draft {
    /// The name with a number in it, not longer than `max`.
    fn numbered(&self, number: u64, max: usize) -> Vec<u16> {
        let digits: Vec<u16> = format!("_{number}").encode_utf16().collect();
        let room = max.saturating_sub(self.rest.len() + digits.len());
        let stem = &self.stem[..self.stem.len().min(room)];
        [stem, &digits, &self.rest].concat()
    }

    fn plain(&self) -> Vec<u16> {
        [&self.stem[..], &self.rest].concat()
    }
}

/// The names of one folder, each used once.
#[derive(Debug, Default)]
struct Unique {
    used: HashSet<Vec<u16>>,
    next: HashMap<Vec<u16>, u64>,
}

impl Unique {
    fn take(&mut self, draft: &Draft, max: usize) -> Vec<u16> {
        let plain = draft.plain();
        if self.used.insert(shown(&plain)) {
            return plain;
        }
        let next = self.next.entry(shown(&plain)).or_insert(1);
        loop {
            let name = draft.numbered(*next, max);
            *next += 1;
            if self.used.insert(shown(&name)) {
                return name;
            }
        }
    }
}

/// A name as it is shown: readers leave the dot of an empty extension out.
fn shown(name: &[u16]) -> Vec<u16> {
    name.strip_suffix(&[u16::from(b'.')])
        .unwrap_or(name)
        .to_vec()
}

/// How the names of a directory tree are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// Capitals, digits and `_`, at most 30 with the extension.
    Primary,
    /// UCS-2, at most 64.
    Joliet,
}

impl Naming {
    /// Identifiers for the names of one folder, given with whether each is a folder, in an order
    /// that depends on nothing but the names.
    pub(super) fn identifiers<'a>(
        self,
        names: impl Iterator<Item = (&'a [u8], bool)>,
    ) -> Vec<Vec<u8>> {
        let mut unique = Unique::default();
        names
            .map(|(name, is_folder)| {
                let (draft, max) = match self {
                    Naming::Primary if is_folder => (primary_folder(name), PRIMARY_FOLDER_MAX),
                    // The dot that every file name has does not count.
                    Naming::Primary => (primary_file(name), PRIMARY_MAX + 1),
                    Naming::Joliet => (joliet(name), JOLIET_MAX),
                };
                self.encode(&unique.take(&draft, max), is_folder)
            })
            .collect()
    }

    fn encode(self, name: &[u16], is_folder: bool) -> Vec<u8> {
        let units = name.iter().copied();
        match self {
            Naming::Primary => {
                // ASCII only. Files have a version number behind their name (7.5.1).
                let version: &[u8] = if is_folder { b"" } else { b";1" };
                let name = units.map(|unit| unit.to_le_bytes()[0]);
                name.chain(version.iter().copied()).collect()
            }
            Naming::Joliet => units.flat_map(u16::to_be_bytes).collect(),
        }
    }

    /// The order of records in a folder (9.3): by name, then by extension.
    pub(super) fn compare(self, one: &[u8], other: &[u8]) -> Ordering {
        let units = |id: &[u8]| -> Vec<u16> {
            let wide: Vec<u16> = match self {
                Naming::Primary => id.iter().map(|&byte| u16::from(byte)).collect(),
                Naming::Joliet => {
                    let (pairs, _) = id.as_chunks::<2>();
                    pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect()
                }
            };
            // A name ends where its extension or version starts: that sorts before all else.
            wide.into_iter()
                .map(|unit| match unit {
                    0x2e => 1,
                    0x3b => 0,
                    unit => unit,
                })
                .collect()
        };
        units(one).cmp(&units(other))
    }
}

/// A d-character (7.4.1) for any byte.
fn d_character(byte: u8) -> u16 {
    match byte {
        _ if byte.is_ascii_alphanumeric() => u16::from(byte.to_ascii_uppercase()),
        _ => u16::from(b'_'),
    }
}

fn primary_file(name: &[u8]) -> Draft {
    const EXTENSION_MAX: usize = 8;
    let dot = name.iter().rposition(|&byte| byte == b'.');
    // A dot in front starts no extension, and one at the end has none.
    let (stem, extension) = match dot {
        Some(at) if at > 0 && at + 1 < name.len() && name.len() - at - 1 <= EXTENSION_MAX => {
            (&name[..at], &name[at + 1..])
        }
        _ => (name, &[][..]),
    };
    let room = PRIMARY_MAX - extension.len();
    let mut rest = vec![u16::from(b'.')];
    rest.extend(extension.iter().map(|&byte| d_character(byte)));
    Draft {
        stem: stem.iter().take(room).map(|&b| d_character(b)).collect(),
        rest,
    }
}

fn primary_folder(name: &[u8]) -> Draft {
    let characters = name.iter().take(PRIMARY_FOLDER_MAX);
    Draft {
        stem: characters.map(|&byte| d_character(byte)).collect(),
        rest: Vec::new(),
    }
}

fn joliet(name: &[u8]) -> Draft {
    let text = String::from_utf8_lossy(name);
    let units: Vec<u16> = text
        .chars()
        .map(|c| match u16::try_from(u32::from(c)) {
            // Joliet 1, "Allowed Character Set".
            Ok(unit) if unit >= 0x20 && !"*/:;?\\\u{fffd}".contains(c) => unit,
            _ => u16::from(b'_'),
        })
        .collect();
    let dot = units.iter().rposition(|&unit| unit == u16::from(b'.'));
    let split = dot.filter(|&at| at > 0 && units.len() - at <= JOLIET_MAX / 2);
    let (stem, rest) = units.split_at(split.unwrap_or(units.len()));
    let room = JOLIET_MAX - rest.len();
    Draft {
        stem: stem[..stem.len().min(room)].to_vec(),
        rest: rest.to_vec(),
    }
}

/// A volume identifier out of any text: d-characters, at most 32.
pub(super) fn volume_id(text: &str) -> String {
    let id: String = text
        .chars()
        .map(|c| match c {
            _ if c.is_ascii_alphanumeric() => c.to_ascii_uppercase(),
            _ => '_',
        })
        .take(32)
        .collect();
    match id.is_empty() {
        true => "LKBUILD".to_owned(),
        false => id,
    }
}

/// A Joliet volume identifier out of any text: at most sixteen UCS-2 characters.
pub(super) fn joliet_volume_id(text: &str) -> String {
    let id: String = text
        .chars()
        .filter(|c| c.len_utf16() == 1 && !c.is_control())
        .take(16)
        .collect();
    match id.is_empty() {
        true => "LKBUILD".to_owned(),
        false => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn primary(names: &[&str]) -> Vec<String> {
        let names = names.iter().map(|name| (name.as_bytes(), false));
        let ids = Naming::Primary.identifiers(names);
        ids.into_iter()
            .map(|id| String::from_utf8(id).unwrap())
            .collect()
    }

    fn joliet(names: &[&str]) -> Vec<String> {
        let names = names.iter().map(|name| (name.as_bytes(), false));
        let ids = Naming::Joliet.identifiers(names);
        ids.into_iter()
            .map(|id| {
                let (pairs, _) = id.as_chunks::<2>();
                let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
                char::decode_utf16(units).map(Result::unwrap).collect()
            })
            .collect()
    }

    #[test]
    fn boot_files_have_the_names_that_people_expect() {
        assert_eq!(
            primary(&["kernel", "initrd.img", "BOOTX64.EFI", ".hidden"]),
            ["KERNEL.;1", "INITRD.IMG;1", "BOOTX64.EFI;1", "_HIDDEN.;1"]
        );
        assert_eq!(joliet(&["initrd.img", "ä?"]), ["initrd.img", "ä_"]);
    }

    #[test]
    fn no_two_names_of_a_folder_become_one() {
        assert_eq!(
            primary(&["a.b", "A.B", "a_1.b", "A.b"]),
            ["A.B;1", "A_1.B;1", "A_1_1.B;1", "A_2.B;1"]
        );
        let long = "x".repeat(255);
        let ids = primary(&[&long, &(long.clone() + "y"), &(long.clone() + ".txt")]);
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 3);
        assert!(ids.iter().all(|id| id.len() <= 33), "{ids:?}");
        let ids = joliet(&[&long, &(long.clone() + "y"), &(long.clone() + ".txt")]);
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 3);
        assert!(ids.iter().all(|id| id.chars().count() <= 64), "{ids:?}");
    }

    #[test]
    fn extensions_sort_behind_names() {
        let compare =
            |one: &str, other: &str| Naming::Primary.compare(one.as_bytes(), other.as_bytes());
        assert_eq!(compare("A.;1", "A.1;1"), Ordering::Less);
        assert_eq!(compare("A.B;1", "AB.A;1"), Ordering::Less);
        assert_eq!(compare("A.B;1", "A_.A;1"), Ordering::Less);
        assert_eq!(compare("A", "A.;1"), Ordering::Less);
    }

    #[test]
    fn any_name_gives_a_volume_id() {
        assert_eq!(volume_id("docker-host 2"), "DOCKER_HOST_2");
        assert_eq!(volume_id(""), "LKBUILD");
        assert_eq!(volume_id(&"é".repeat(40)).len(), 32);
        assert_eq!(
            joliet_volume_id("docker-host 😀 the third"),
            "docker-host  the"
        );
    }
}
