//! Archives as flat lists.

use std::collections::BTreeMap;
use std::io::Read;

use testdata::Snapshot;
use testdata::snapshot::{Facts, device_content, file_content};

/// A tar's tree. A path twice, or a child before its parent, fails the test.
pub(crate) fn tar(bytes: &[u8]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let mut groups: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for entry in tar::Archive::new(bytes).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = clean(&entry.path_bytes());
        let header = entry.header().clone();
        let link = entry.link_name_bytes().map(|l| l.into_owned());
        let link = link.unwrap_or_default();
        let (kind, content) = match header.entry_type() {
            tar::EntryType::Directory => ("dir", String::new()),
            tar::EntryType::Symlink => ("symlink", link.escape_ascii().to_string()),
            tar::EntryType::Fifo => ("fifo", String::new()),
            tar::EntryType::Link => {
                let first = clean(&link);
                let facts = snapshot.0[&first].clone();
                snapshot.0.insert(path.clone(), facts);
                let names = groups.entry(first.clone()).or_insert_with(|| vec![first]);
                names.push(path);
                continue;
            }
            kind @ (tar::EntryType::Char | tar::EntryType::Block) => {
                let major = header.device_major().unwrap().unwrap_or_default();
                let minor = header.device_minor().unwrap().unwrap_or_default();
                let name = match kind {
                    tar::EntryType::Char => "char",
                    _ => "block",
                };
                (name, device_content(major.into(), minor.into()))
            }
            tar::EntryType::Regular => {
                let mut body = Vec::new();
                entry.read_to_end(&mut body).unwrap();
                ("file", file_content(&body))
            }
            other => panic!("{}: type {other:?}", path.escape_ascii()),
        };
        add(
            &mut snapshot,
            path,
            Facts {
                kind,
                mode: match kind {
                    "symlink" => 0o777,
                    _ => header.mode().unwrap() & 0o7777,
                },
                uid: header.uid().unwrap(),
                gid: header.gid().unwrap(),
                mtime: Some(i64::try_from(header.mtime().unwrap()).unwrap()),
                content,
                link_group: Vec::new(),
            },
        );
    }
    for mut names in groups.into_values() {
        names.sort();
        snapshot.set_link_group(&names);
    }
    snapshot
}

/// The content of one file of a tar.
pub(crate) fn file_in_tar(bytes: &[u8], path: &str) -> Vec<u8> {
    let mut archive = tar::Archive::new(bytes);
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let entry = entries.find(|entry| clean(&entry.path_bytes()) == path.as_bytes());
    let mut content = Vec::new();
    let mut entry = entry.unwrap_or_else(|| panic!("no {path} in the tar"));
    entry.read_to_end(&mut content).unwrap();
    content
}

/// An initrd's tree. A path twice, or a child before its parent, fails the test.
pub(crate) fn initrd(bytes: &[u8]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let mut groups: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
    let mut bodies: BTreeMap<u32, String> = BTreeMap::new();
    let mut reader = formats::cpio::Reader::new(bytes, formats::cpio::Limits::default());
    let mut trailers = 0;
    while let Some(entry) = reader.next_entry().unwrap() {
        if entry.trailer {
            trailers += 1;
            continue;
        }
        assert_eq!(trailers, 0, "an archive after the first one's end");
        let path = entry.name.clone();
        let mut body = Vec::new();
        reader.read_to_end(&mut body).unwrap();
        let device = device_content(entry.rdev.0.into(), entry.rdev.1.into());
        let (kind, content) = match entry.mode >> 12 {
            0o04 => ("dir", String::new()),
            0o10 => {
                // The body stands at the first name of an inode.
                let content = bodies.entry(entry.inode);
                (
                    "file",
                    content.or_insert_with(|| file_content(&body)).clone(),
                )
            }
            0o12 => ("symlink", body.escape_ascii().to_string()),
            0o01 => ("fifo", String::new()),
            0o02 => ("char", device),
            0o06 => ("block", device),
            other => panic!("{}: type {other:o}", path.escape_ascii()),
        };
        if entry.nlink > 1 && kind != "dir" {
            groups.entry(entry.inode).or_default().push(path.clone());
        }
        add(
            &mut snapshot,
            path,
            Facts {
                kind,
                mode: match kind {
                    "symlink" => 0o777,
                    _ => entry.mode & 0o7777,
                },
                uid: entry.uid.into(),
                gid: entry.gid.into(),
                mtime: Some(entry.mtime.into()),
                content,
                link_group: Vec::new(),
            },
        );
    }
    assert_eq!(trailers, 1, "one trailer at the very end");
    for mut names in groups.into_values() {
        names.sort();
        snapshot.set_link_group(&names);
    }
    snapshot
}

/// A squashfs's tree. A path twice, or a child before its parent, fails the test.
pub(crate) fn squashfs(bytes: &[u8]) -> Snapshot {
    use formats::squashfs::{EntryKind, Limits, SquashfsReader};
    let mut snapshot = Snapshot::default();
    let mut groups: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
    let reader = SquashfsReader::open(bytes.to_vec()).unwrap();
    for entry in reader.walk(Limits::default()) {
        let entry = entry.unwrap();
        let (kind, content) = match &entry.kind {
            EntryKind::File { .. } => {
                let mut body = Vec::new();
                reader.body(&entry).read_to_end(&mut body).unwrap();
                ("file", file_content(&body))
            }
            EntryKind::Folder => ("dir", String::new()),
            EntryKind::Symlink { target } => ("symlink", target.escape_ascii().to_string()),
            &EntryKind::CharDevice { major, minor } => {
                ("char", device_content(major.into(), minor.into()))
            }
            &EntryKind::BlockDevice { major, minor } => {
                ("block", device_content(major.into(), minor.into()))
            }
            EntryKind::Fifo => ("fifo", String::new()),
            EntryKind::Socket => panic!("a socket: {}", entry.path.escape_ascii()),
        };
        if entry.links > 1 && kind != "dir" {
            let names = groups.entry(entry.inode).or_default();
            names.push(entry.path.clone());
        }
        let facts = Facts {
            kind,
            mode: match kind {
                "symlink" => 0o777,
                _ => entry.mode.into(),
            },
            uid: entry.uid.into(),
            gid: entry.gid.into(),
            mtime: Some(entry.mtime.into()),
            content,
            link_group: Vec::new(),
        };
        add(&mut snapshot, entry.path, facts);
    }
    for mut names in groups.into_values() {
        names.sort();
        snapshot.set_link_group(&names);
    }
    snapshot
}

/// An ISO's tree by its Rock Ridge names, with no times. A path twice, or a child before its parent,
/// fails the test.
pub(crate) fn iso(bytes: &[u8]) -> Snapshot {
    use formats::iso::{EntryKind, IsoReader, Limits, Names};
    let mut snapshot = Snapshot::default();
    let mut groups: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
    let volume = bytes.to_vec();
    let reader = IsoReader::open(&volume).unwrap();
    for entry in reader.entries(Names::RockRidge, Limits::default()).unwrap() {
        let mode = entry.mode.unwrap();
        let (kind, content) = match &entry.kind {
            EntryKind::File { extents } => {
                let part = |range: &std::ops::Range<u64>| {
                    let place = |at| usize::try_from(at).unwrap();
                    &bytes[place(range.start)..place(range.end)]
                };
                let body: Vec<u8> = extents.iter().flat_map(part).copied().collect();
                ("file", file_content(&body))
            }
            EntryKind::Folder => ("dir", String::new()),
            EntryKind::Symlink { target } => ("symlink", target.escape_ascii().to_string()),
            &EntryKind::Other {
                device: (major, minor),
            } => {
                let device = device_content(major.into(), minor.into());
                match mode >> 12 {
                    0o02 => ("char", device),
                    0o06 => ("block", device),
                    _ => ("fifo", String::new()),
                }
            }
        };
        if entry.links.unwrap() > 1 && kind != "dir" {
            let names = groups.entry(entry.serial.unwrap()).or_default();
            names.push(entry.path.clone());
        }
        let (uid, gid) = entry.owner.unwrap();
        let facts = Facts {
            kind,
            mode: match kind {
                "symlink" => 0o777,
                _ => mode & 0o7777,
            },
            uid: uid.into(),
            gid: gid.into(),
            mtime: None,
            content,
            link_group: Vec::new(),
        };
        add(&mut snapshot, entry.path, facts);
    }
    for mut names in groups.into_values() {
        names.sort();
        snapshot.set_link_group(&names);
    }
    snapshot
}

fn add(snapshot: &mut Snapshot, path: Vec<u8>, facts: Facts) {
    let shown = path.escape_ascii().to_string();
    if let Some(slash) = path.iter().rposition(|&byte| byte == b'/') {
        let parent = snapshot.0.get(&path[..slash]);
        let is_dir = parent.is_some_and(|parent| parent.kind == "dir");
        assert!(is_dir, "{shown} stands before its parent");
    }
    let twice = snapshot.0.insert(path, facts).is_some();
    assert!(!twice, "{shown} stands there twice");
}

fn clean(path: &[u8]) -> Vec<u8> {
    let path = path.strip_prefix(b"./").unwrap_or(path);
    path.strip_suffix(b"/").unwrap_or(path).to_vec()
}
