//! What was written, by us and by mksquashfs, comes back.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use super::*;
use crate::payload::{FilePayload, Payload};

pub(super) fn entries(image: &[u8]) -> Result<Vec<SquashfsEntry>, ReadError> {
    SquashfsReader::open(image.to_vec())?.entries(Limits::default())
}

pub(super) fn body(
    reader: &SquashfsReader<impl Payload>,
    entry: &SquashfsEntry,
) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.body(entry).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn find<'e>(entries: &'e [SquashfsEntry], path: &str) -> &'e SquashfsEntry {
    let found = entries.iter().find(|entry| entry.path == path.as_bytes());
    found.unwrap_or_else(|| panic!("no {path}"))
}

#[test]
fn our_reader_finds_everything_as_it_was_put_in() {
    let (image, _) = image(everything);
    let entries = entries(&image).unwrap();
    let reader = SquashfsReader::open(image).unwrap();
    assert_eq!(entries.len(), 3001 + 10 + 4 + 1 + 3 + 1 + 1 + 3);
    for (name, expected) in bodies() {
        let entry = find(&entries, name);
        assert!(body(&reader, entry).unwrap() == expected, "{name}");
        assert_eq!(
            (entry.mode, entry.mtime, entry.links),
            (0o4755, 1_492_533_000, 1)
        );
    }
    let kind = |path: &str| find(&entries, path).kind.clone();
    let (major, minor) = (5, 1);
    assert_eq!(kind("dev/console"), EntryKind::CharDevice { major, minor });
    let (major, minor) = (8, 17);
    assert_eq!(kind("dev/disk"), EntryKind::BlockDevice { major, minor });
    assert_eq!(kind("dev/fifo"), EntryKind::Fifo);
    assert_eq!(kind("empty-folder"), EntryKind::Folder);
    let target = b"many/three".to_vec();
    assert_eq!(kind("symlink"), EntryKind::Symlink { target });
    let one = find(&entries, "links/one");
    assert_eq!((one.uid, one.gid, one.links), (1000, 4_000_000_000, 3));
    for other in ["links/two", "many/three"] {
        assert_eq!(find(&entries, other).inode, one.inode);
    }
    let xattrs = |path: &str| {
        let set = find(&entries, path).xattrs.unwrap();
        reader.xattrs(set, Limits::default()).unwrap()
    };
    let pair = |name: &str, value: &[u8]| (name.as_bytes().to_vec(), value.to_vec());
    let both = [pair("user.one", b"\x01\0"), pair("user.two", b"2")];
    assert_eq!(xattrs("xattrs"), both);
    assert_eq!(xattrs("xattrs/a"), both);
    assert_eq!(xattrs("xattrs/b"), both[1..]);
    assert_eq!(find(&entries, "short").xattrs, None);
    let last = find(&entries, "many/file-2999-with-a-name-that-takes-room");
    assert_eq!(last.uid, 2999);
    assert_eq!(body(&reader, last).unwrap(), b"2999");
}

#[test]
fn device_numbers_come_back_as_linux_writes_them() {
    for (major, minor) in [(8, 17), (259, 70_000), (4095, (1 << 20) - 1), (0, 256)] {
        let written = format::device(major, minor);
        assert_eq!(format::device_numbers(written), (major, minor));
    }
}

/// A description of a tree.
#[derive(Debug, Clone)]
enum Item {
    File {
        kind: u8,
        bytes: usize,
    },
    Folder(Vec<(Vec<u8>, Item, u8)>),
    Symlink(Vec<u8>),
    Device {
        is_char: bool,
        major: u32,
        minor: u32,
    },
    Fifo,
    /// Another name of one of the files before it.
    Link(usize),
}

/// What a path is to be.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    kind: EntryKind,
    body: Vec<u8>,
    mode: u16,
    xattrs: Vec<Xattr>,
    /// Of files: how many names there are, and the number of the file.
    file: Option<(u32, usize)>,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>(), 1..20);
    bytes.prop_filter("a name", |name| entry::is_name(name))
}

fn item() -> impl Strategy<Value = Item> {
    let leaf = prop_oneof![
        4 => (0u8..4, prop_oneof![0usize..2000, 100_000usize..300_000])
            .prop_map(|(kind, bytes)| Item::File { kind, bytes }),
        1 => prop::collection::vec(1u8..=255, 1..300).prop_map(Item::Symlink),
        1 => (any::<bool>(), 0u32..4096, 0u32..1 << 20)
            .prop_map(|(is_char, major, minor)| Item::Device { is_char, major, minor }),
        1 => Just(Item::Fifo),
        2 => (0usize..1000).prop_map(Item::Link),
    ];
    leaf.prop_recursive(4, 60, 12, |inner| folder_of(inner).prop_map(Item::Folder))
}

fn folder_of(
    inner: impl Strategy<Value = Item>,
) -> impl Strategy<Value = Vec<(Vec<u8>, Item, u8)>> {
    let children = prop::collection::btree_map(name(), (inner, any::<u8>()), 0..12);
    children.prop_map(|children| {
        let flat = |(name, (item, attributes))| (name, item, attributes);
        children.into_iter().map(flat).collect()
    })
}

const XATTRS: [(&[u8], &[u8]); 3] = [
    (
        b"security.capability",
        b"\x01\0\0\x02\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ),
    (b"trusted.overlay.opaque", b"y"),
    (b"user.empty", b""),
];

/// Some attributes out of a number.
fn some_attributes(number: u8, links: u32) -> Attributes<'static> {
    Attributes {
        xattrs: &XATTRS[..usize::from(number % 4)],
        links,
        ..attributes(u16::from(number) << 4)
    }
}

/// A file as it was written, and how often it will be linked.
#[derive(Default)]
struct Files {
    links: Vec<u32>,
    written: Vec<FileRef>,
    linked: Vec<usize>,
}

/// Counts the names of all files: a link is one of those that came before it.
fn count_links(items: &[(Vec<u8>, Item, u8)], files: &mut Files) {
    for (_, item, _) in items {
        match item {
            Item::File { .. } => files.links.push(1),
            Item::Folder(inner) => count_links(inner, files),
            Item::Link(number) if !files.links.is_empty() => {
                let target = number % files.links.len();
                files.links[target] += 1;
                files.linked.push(target);
            }
            _ => {}
        }
    }
}

fn write(
    writer: &mut Writer<'_>,
    items: &[(Vec<u8>, Item, u8)],
    parent: &[u8],
    files: &mut Files,
    known: &mut BTreeMap<Vec<u8>, Known>,
) {
    for (name, item, number) in items {
        let path = match parent {
            b"" => name.clone(),
            parent => [parent, b"/", name].concat(),
        };
        let attributes = some_attributes(*number, 1);
        let mut new = Known {
            kind: EntryKind::Fifo,
            body: Vec::new(),
            mode: attributes.mode,
            xattrs: (attributes.xattrs.iter())
                .map(|(name, value)| (name.to_vec(), value.to_vec()))
                .collect(),
            file: None,
        };
        let kind = match item {
            Item::File { kind, bytes } => {
                new.body = match kind {
                    0 => vec![0; *bytes],
                    1 => text(*bytes),
                    2 => noise(*bytes),
                    // Holes between data.
                    _ => [vec![0; *bytes], text(*bytes / 2), vec![0; *bytes]].concat(),
                };
                let index = files.written.len();
                let attributes = some_attributes(*number, files.links[index]);
                let len_bytes = new.body.len() as u64;
                let file = writer.file(name, &attributes, len_bytes, &new.body[..]);
                files.written.push(file.unwrap());
                new.kind = EntryKind::File { len_bytes };
                new.file = Some((files.links[index], index));
                known.insert(path, new);
                continue;
            }
            Item::Folder(inner) => {
                writer.begin_folder(name, &attributes).unwrap();
                write(writer, inner, &path, files, known);
                writer.end_folder().unwrap();
                new.kind = EntryKind::Folder;
                known.insert(path, new);
                continue;
            }
            Item::Link(_) if !files.written.is_empty() => {
                let target = files.linked.remove(0);
                writer.link(name, files.written[target]).unwrap();
                let same = known
                    .values()
                    .find(|known| known.file.is_some_and(|f| f.1 == target));
                let same = same.unwrap();
                new = Known {
                    kind: same.kind.clone(),
                    body: same.body.clone(),
                    mode: same.mode,
                    xattrs: same.xattrs.clone(),
                    file: same.file,
                };
                known.insert(path, new);
                continue;
            }
            Item::Link(_) | Item::Fifo => Kind::Fifo,
            Item::Symlink(target) => {
                new.kind = EntryKind::Symlink {
                    target: target.clone(),
                };
                Kind::Symlink { target }
            }
            &Item::Device {
                is_char: true,
                major,
                minor,
            } => {
                new.kind = EntryKind::CharDevice { major, minor };
                Kind::CharDevice { major, minor }
            }
            &Item::Device { major, minor, .. } => {
                new.kind = EntryKind::BlockDevice { major, minor };
                Kind::BlockDevice { major, minor }
            }
        };
        writer.entry(name, &attributes, kind).unwrap();
        known.insert(path, new);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_tree_comes_back(items in folder_of(item())) {
        let mut known = BTreeMap::new();
        let mut files = Files::default();
        count_links(&items, &mut files);
        let (image, _) = image(|writer| write(writer, &items, b"", &mut files, &mut known));
        let reader = SquashfsReader::open(image).unwrap();
        let mut inodes = BTreeMap::new();
        for entry in reader.entries(Limits::default()).unwrap() {
            let Some(known) = known.remove(&entry.path) else {
                panic!("{entry:?} was not put in");
            };
            if let Some((links, number)) = known.file {
                prop_assert_eq!(entry.links, links);
                prop_assert_eq!(*inodes.entry(number).or_insert(entry.inode), entry.inode);
            }
            let xattrs = entry.xattrs.map(|set| reader.xattrs(set, Limits::default()).unwrap());
            let found = Known {
                body: body(&reader, &entry).unwrap(),
                kind: entry.kind,
                mode: entry.mode,
                xattrs: xattrs.unwrap_or_default(),
                file: known.file,
            };
            prop_assert!(found == known, "{:?}", entry.path);
        }
        prop_assert!(known.is_empty(), "lost: {:?}", known.keys());
        let different: std::collections::BTreeSet<_> = inodes.values().collect();
        prop_assert_eq!(different.len(), inodes.len());
    }
}

/// A tree on disk, for mksquashfs. Says whether extended attributes could be set.
fn source(folder: &Path) -> bool {
    fs::create_dir_all(folder.join("sub/deeper")).unwrap();
    fs::create_dir(folder.join("empty")).unwrap();
    for (name, body) in bodies() {
        fs::write(folder.join("sub").join(name), body).unwrap();
    }
    for i in 0..2000 {
        let name = format!("sub/deeper/file-{i}");
        fs::write(folder.join(name), format!("{i}").repeat(i)).unwrap();
    }
    fs::hard_link(folder.join("sub/short"), folder.join("sub/deeper/short")).unwrap();
    std::os::unix::fs::symlink("../far/away", folder.join("link")).unwrap();
    let set = "import os, sys
for name in ('short', 'large', 'empty'):
    os.setxattr(sys.argv[1] + '/sub/' + name, 'user.long', b'value' * 200)
    os.setxattr(sys.argv[1] + '/sub/' + name, 'user.' + name, b'')";
    let python = judge("python3").map(|python| {
        let mut python = Command::new(python);
        python.args(["-c", set]).arg(folder).output().unwrap()
    });
    python.is_some_and(|output| output.status.success())
}

/// Makes an image of the source, with a device besides.
fn mksquashfs(source: &Path, image: &Path, options: &[&str]) -> bool {
    let Some(program) = judge("mksquashfs") else {
        return false;
    };
    let output = Command::new(program)
        .args([source, image])
        .args(["-noappend", "-quiet", "-no-progress"])
        .args(["-p", "device c 640 7 8 259 1"])
        .args(options)
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{options:?}: {complaints}");
    true
}

#[test]
fn what_mksquashfs_writes_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (from, path) = (folder.path().join("from"), folder.path().join("image"));
    fs::create_dir(&from).unwrap();
    let has_xattrs = source(&from);
    for options in [
        &["-comp", "gzip"][..],
        &["-comp", "gzip", "-b", "4K", "-always-use-fragments"],
        &[
            "-comp",
            "gzip",
            "-noI",
            "-noD",
            "-noF",
            "-noX",
            "-no-exports",
        ],
        &["-comp", "gzip", "-Xcompression-level", "1", "-b", "1M"],
        &["-comp", "zstd"],
        &[
            "-comp",
            "zstd",
            "-no-fragments",
            "-Xcompression-level",
            "22",
        ],
        &["-comp", "zstd", "-no-duplicates", "-no-xattrs"],
    ] {
        if !mksquashfs(&from, &path, options) {
            return;
        }
        let file = FilePayload::new(fs::File::open(&path).unwrap()).unwrap();
        let reader = SquashfsReader::open(file).unwrap();
        assert_eq!(reader.summary().compression, options[1]);
        let entries = reader.entries(Limits::default()).unwrap();
        assert_eq!(entries.len(), 2000 + bodies().len() + 6, "{options:?}");
        for entry in &entries {
            let name = std::str::from_utf8(&entry.path).unwrap();
            if name == "device" {
                let (major, minor) = (259, 1);
                assert_eq!(entry.kind, EntryKind::CharDevice { major, minor });
                assert_eq!((entry.mode, entry.uid, entry.gid), (0o640, 7, 8));
                continue;
            }
            let there = from.join(name);
            let meta = fs::symlink_metadata(&there).unwrap();
            assert_eq!(u32::from(entry.mode), meta.mode() & 0o7777, "{name}");
            assert_eq!((entry.uid, entry.gid), (meta.uid(), meta.gid()), "{name}");
            assert_eq!(i64::from(entry.mtime), meta.mtime(), "{name}");
            assert_eq!(u64::from(entry.links), meta.nlink(), "{name}");
            match &entry.kind {
                EntryKind::File { len_bytes } => {
                    assert_eq!(*len_bytes, meta.len(), "{name}");
                    let expected = fs::read(&there).unwrap();
                    assert!(
                        body(&reader, entry).unwrap() == expected,
                        "{options:?} {name}"
                    );
                }
                EntryKind::Folder => assert!(meta.is_dir()),
                EntryKind::Symlink { target } => assert_eq!(target, b"../far/away"),
                other => panic!("{name} is {other:?}"),
            }
        }
        let (one, two) = (
            find(&entries, "sub/short"),
            find(&entries, "sub/deeper/short"),
        );
        assert_eq!(one.inode, two.inode);
        if has_xattrs && !options.contains(&"-no-xattrs") {
            for name in ["short", "large", "empty"] {
                let set = find(&entries, &format!("sub/{name}")).xattrs.unwrap();
                let mut xattrs = reader.xattrs(set, Limits::default()).unwrap();
                xattrs.sort();
                let own = (format!("user.{name}").into_bytes(), Vec::new());
                let mut expected = vec![own, (b"user.long".to_vec(), b"value".repeat(200))];
                expected.sort();
                assert_eq!(xattrs, expected, "{name}");
            }
        }
    }
}

#[test]
fn other_compressors_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (from, path) = (folder.path().join("from"), folder.path().join("image"));
    fs::create_dir(&from).unwrap();
    for name in ["lzo", "lz4", "xz", "lzma"] {
        if !mksquashfs(&from, &path, &["-comp", name]) {
            return;
        }
        let error = SquashfsReader::open(fs::read(&path).unwrap()).unwrap_err();
        let said = "squashfs, at byte 20: it is compressed with ";
        let expected = format!("{said}{name}; only gzip and zstd are read");
        assert_eq!(error.to_string(), expected);
    }
}
