use std::path::Path;
use std::process::Command;

use testdata::judge;

use super::*;
use crate::payload::{Extents, Payload};
use crate::testing::{noise, raw_file, text};

mod damage;
mod hybrid;

const TIME: i64 = 1_492_533_000;

fn attributes(mode: u16) -> Attributes {
    Attributes {
        mode,
        uid: 1000,
        gid: 100,
        mtime: TIME,
    }
}

fn options() -> IsoOptions {
    IsoOptions {
        label: "A test-volume".to_owned(),
        id: *b"0123456789abcdef",
        time: TIME,
        least_bytes: 0,
    }
}

/// A target whose fields need two continuation areas, of which one sector is not enough.
fn far_target() -> Vec<u8> {
    [&b"a"[..], &b"/".repeat(1000), b"b"].concat()
}

/// Path and content of a file.
type Body = (Vec<u8>, Vec<u8>);

/// Everything that a tree can have, with names that are awkward.
fn awkward_tree() -> (IsoTree, Vec<Body>) {
    let mut tree = IsoTree::new(attributes(0o755));
    let mut bodies: Vec<Body> = Vec::new();
    let mut deep = Vec::new();
    for level in 0..12 {
        if level > 0 {
            deep.push(b'/');
        }
        deep.extend_from_slice(format!("level {level}").as_bytes());
        tree.folder(&deep, attributes(0o755)).unwrap();
    }
    tree.folder(b"etc", attributes(0o1777)).unwrap();
    let files: Vec<Body> = vec![
        (b"etc/passwd".to_vec(), b"root:x:0:0\n".to_vec()),
        (b"etc/empty".to_vec(), Vec::new()),
        (b"etc/PASSWD".to_vec(), b"capitals".to_vec()),
        (b"etc/pass wd".to_vec(), text(5000)),
        (b"etc/.hidden".to_vec(), noise(2048)),
        ("etc/größe.txt".as_bytes().to_vec(), noise(2049)),
        (b"etc/not utf-8 \xff\xfe".to_vec(), b"bytes".to_vec()),
        ([&deep[..], b"/bottom"].concat(), b"deep".to_vec()),
        ([b"etc/", &[b'n'; 255][..]].concat(), b"long name".to_vec()),
        (
            [b"etc/", &[b'n'; 254][..], b"m"].concat(),
            b"other".to_vec(),
        ),
    ];
    for (path, body) in files {
        let source = FileSource::New {
            len_bytes: body.len() as u64,
        };
        tree.file(&path, attributes(0o4755), source).unwrap();
        bodies.push((path, body));
    }
    tree.hard_link(b"etc/shadow", b"etc/passwd").unwrap();
    let link = attributes(0o777);
    tree.symlink(b"etc/mtab", link, b"../proc/self/mounts")
        .unwrap();
    tree.symlink(b"etc/root", link, b"/").unwrap();
    tree.symlink(b"etc/odd", link, b"./a//b/").unwrap();
    tree.symlink(b"etc/far", link, &far_target()).unwrap();
    tree.symlink(b"etc/wide", link, &[b'w'; 1000]).unwrap();
    tree.char_device(b"etc/null", attributes(0o666), (1, 3))
        .unwrap();
    tree.block_device(b"etc/loop", attributes(0o660), (7, 200))
        .unwrap();
    tree.block_device(b"etc/nvme", attributes(0o660), (259, 1000))
        .unwrap();
    tree.fifo(b"etc/pipe", attributes(0o600)).unwrap();
    for number in 0..300 {
        let path = format!("etc/many files with a name that is quite long {number:03}.data");
        let source = FileSource::New { len_bytes: 0 };
        tree.file(path.as_bytes(), attributes(0o644), source)
            .unwrap();
        bodies.push((path.into_bytes(), Vec::new()));
    }
    (tree, bodies)
}

fn filled(plan: &IsoPlan, bodies: &[Body]) -> Extents {
    let mut volume = Extents::new(plan.len_bytes);
    let metadata = plan.metadata.clone();
    volume.place(plan.metadata_start_bytes, metadata).unwrap();
    assert_eq!(plan.files.len(), bodies.len());
    for ((start, len), (_, body)) in plan.files.iter().zip(bodies) {
        assert_eq!(*len, body.len() as u64);
        volume.place(*start, body.clone()).unwrap();
    }
    volume
}

fn read_at(volume: &dyn Payload, extents: &[std::ops::Range<u64>]) -> Vec<u8> {
    let mut all = Vec::new();
    for extent in extents {
        let start = all.len();
        let len = usize::try_from(extent.end - extent.start).unwrap();
        all.resize(start + len, 0);
        volume
            .read_exact_at(extent.start, &mut all[start..])
            .unwrap();
    }
    all
}

fn in_file(volume: &Extents) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".iso").tempfile().unwrap();
    raw_file(volume, file.path());
    file
}

/// Standard output and error of a judge that must succeed, without the line with xorriso's name;
/// `None` where it is not installed.
fn judged(program: &str, arguments: &[&str]) -> Option<(String, String)> {
    let output = Command::new(judge(program)?)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .env("MTOOLS_SKIP_CHECK", "0")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let said = |line: &&str| !line.is_empty() && !line.starts_with("xorriso 1.");
    let err: String = err.lines().filter(said).collect();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {out}{err}"
    );
    Some((out, err))
}

/// What xorriso says, which must not be a warning.
fn xorriso(image: &Path, arguments: &[&str]) -> Option<String> {
    let image = image.to_str().unwrap();
    let common = [
        "-abort_on",
        "WARNING",
        "-report_about",
        "WARNING",
        "-indev",
        image,
    ];
    let (out, err) = judged("xorriso", &[&common[..], arguments].concat())?;
    assert!(err.is_empty(), "xorriso {arguments:?}: {err}");
    Some(out)
}

fn find<'e>(entries: &'e [IsoEntry], path: &[u8]) -> &'e IsoEntry {
    let shown = String::from_utf8_lossy(path);
    let found = entries.iter().find(|entry| entry.path == path);
    found.unwrap_or_else(|| panic!("no {shown}"))
}

#[test]
fn our_reader_finds_everything_as_it_was_put_in() {
    let (tree, bodies) = awkward_tree();
    let volume = filled(&plan(&tree, &options()).unwrap(), &bodies);
    let reader = IsoReader::open(&volume).unwrap();
    assert_eq!(reader.label(), "A_TEST_VOLUME");
    assert_eq!(reader.joliet_label(), Some("A test-volume"));
    assert_eq!(reader.set_id(), "30313233343536373839616263646566");
    assert_eq!(reader.len_bytes(), volume.len_bytes());
    assert!(reader.boot_entries().unwrap().is_empty());
    let entries = reader.entries(Names::RockRidge, Limits::default()).unwrap();
    assert_eq!(entries.len(), 12 + 1 + bodies.len() + 1 + 5 + 4);
    for (path, body) in &bodies {
        let entry = find(&entries, path);
        let EntryKind::File { extents } = &entry.kind else {
            panic!("{entry:?}");
        };
        assert!(read_at(&volume, extents) == *body, "{entry:?}");
        assert_eq!(entry.len_bytes, body.len() as u64);
        assert_eq!(entry.owner, Some((1000, 100)));
        assert_eq!(entry.time, [117, 4, 18, 16, 30, 0, 0]);
    }
    let (passwd, shadow) = (find(&entries, b"etc/passwd"), find(&entries, b"etc/shadow"));
    assert_eq!(passwd.mode, Some(0o104_755));
    assert_eq!(passwd.links, Some(2));
    assert_eq!((passwd.serial, &passwd.kind), (shadow.serial, &shadow.kind));
    assert_eq!(find(&entries, b"etc").mode, Some(0o041_777));
    assert_eq!(find(&entries, b"level 0").links, Some(3));
    let target = |path: &[u8]| match &find(&entries, path).kind {
        EntryKind::Symlink { target } => target.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(target(b"etc/mtab"), b"../proc/self/mounts");
    assert_eq!(target(b"etc/root"), b"/");
    assert_eq!(target(b"etc/odd"), b"./a//b/");
    assert_eq!(target(b"etc/far"), far_target());
    assert_eq!(target(b"etc/wide"), [b'w'; 1000]);
    let device = |path: &[u8]| find(&entries, path).kind.clone();
    assert_eq!(device(b"etc/null"), EntryKind::Other { device: (1, 3) });
    assert_eq!(device(b"etc/loop"), EntryKind::Other { device: (7, 200) });
    assert_eq!(
        device(b"etc/nvme"),
        EntryKind::Other {
            device: (259, 1000)
        }
    );
    assert_eq!(find(&entries, b"etc/pipe").mode, Some(0o010_600));

    let joliet = reader.entries(Names::Joliet, Limits::default()).unwrap();
    assert_eq!(joliet.len(), 12 + 1 + bodies.len() + 1, "files and folders");
    let entry = find(&joliet, "etc/größe.txt".as_bytes());
    let EntryKind::File { extents } = &entry.kind else {
        panic!("{entry:?}");
    };
    assert!(read_at(&volume, extents) == noise(2049));
    let plain = reader.entries(Names::Plain, Limits::default()).unwrap();
    find(&plain, b"ETC/PASSWD");
    find(&plain, b"ETC/PASSWD_1");
}

#[test]
fn the_longest_target_comes_back() {
    let target = [&b"x/".repeat(2000)[..], &[b'y'; 95]].concat();
    let mut tree = IsoTree::new(attributes(0o755));
    tree.symlink(b"far", attributes(0o777), &target).unwrap();
    let volume = filled(&plan(&tree, &options()).unwrap(), &[]);
    let reader = IsoReader::open(&volume).unwrap();
    let entries = reader.entries(Names::RockRidge, Limits::default()).unwrap();
    assert_eq!(entries[0].kind, EntryKind::Symlink { target });
}

#[test]
fn xorriso_restores_the_same_tree() {
    let (tree, bodies) = awkward_tree();
    let volume = filled(&plan(&tree, &options()).unwrap(), &bodies);
    let file = in_file(&volume);
    let folder = tempfile::tempdir().unwrap();
    let restored = folder.path().join("tree");
    let arguments = [
        "-osirrox",
        "on:auto_chmod_off",
        "-extract",
        "/",
        restored.to_str().unwrap(),
        "-rollback_end",
    ];
    // Devices can't be made without privileges.
    let files = ["-rm", "/etc/null", "/etc/loop", "/etc/nvme", "--"];
    let Some(_) = xorriso(file.path(), &[&files[..], &arguments].concat()) else {
        return;
    };
    for (path, body) in &bodies {
        use std::os::unix::ffi::OsStrExt;
        let path = restored.join(std::ffi::OsStr::from_bytes(path));
        assert!(std::fs::read(&path).unwrap() == *body, "{path:?}");
    }
    let far = String::from_utf8(far_target()).unwrap();
    for (path, target) in [
        ("etc/mtab", "../proc/self/mounts"),
        ("etc/root", "/"),
        ("etc/far", &far),
    ] {
        assert_eq!(
            std::fs::read_link(restored.join(path)).unwrap(),
            Path::new(target)
        );
    }
    let listed = xorriso(file.path(), &["-lsdl", "/etc/passwd", "/etc/loop", "/etc"]).unwrap();
    for line in [
        "-rwsr-xr-x    1 1000     100 ",
        "brw-rw----",
        "7,200 ",
        "drwxrwxrwt",
    ] {
        assert!(listed.contains(line), "{line:?}: {listed}");
    }
    let checked = xorriso(file.path(), &["-check_media", "--"]).unwrap();
    assert!(checked.contains("good"), "{checked}");
}

#[test]
fn isoinfo_lists_the_same_files_by_each_kind_of_name() {
    let (tree, bodies) = awkward_tree();
    let volume = filled(&plan(&tree, &options()).unwrap(), &bodies);
    let file = in_file(&volume);
    let image = file.path().to_str().unwrap();
    for (kind, name) in [
        (&["-R"][..], "/etc/pass wd"),
        (&["-J"], "/etc/pass wd"),
        (&[], "/ETC/PASS_WD.;1"),
    ] {
        let Some((out, err)) = judged("isoinfo", &[kind, &["-f", "-i", image]].concat()) else {
            return;
        };
        assert!(err.is_empty(), "{kind:?}: {err}");
        assert!(out.lines().any(|line| line == name), "{kind:?}: {out}");
        let output = Command::new(judge("isoinfo").unwrap())
            .args(kind)
            .args(["-i", image, "-x", name])
            .output()
            .unwrap();
        assert!(output.stdout == text(5000), "{kind:?}");
    }
}

#[test]
fn files_of_four_gib_and_more_have_several_sections() {
    let len_bytes = (9 << 30) + 12_345;
    let mut tree = IsoTree::new(attributes(0o755));
    tree.file(b"large", attributes(0o644), FileSource::New { len_bytes })
        .unwrap();
    let plan = plan(&tree, &options()).unwrap();
    let mut volume = Extents::new(plan.len_bytes);
    volume
        .place(plan.metadata_start_bytes, plan.metadata)
        .unwrap();
    let (start, _) = plan.files[0];
    volume
        .place(start + len_bytes - 5, b"[end]".to_vec())
        .unwrap();
    let entries = IsoReader::open(&volume)
        .unwrap()
        .entries(Names::RockRidge, Limits::default())
        .unwrap();
    let [file] = &entries[..] else {
        panic!("{entries:?}");
    };
    assert_eq!(file.len_bytes, len_bytes);
    let EntryKind::File { extents } = &file.kind else {
        panic!("{file:?}");
    };
    assert_eq!(extents.len(), 1);
    assert_eq!(extents[0], start..start + len_bytes);
    let file = in_file(&volume);
    let Some(listed) = xorriso(file.path(), &["-lsl", "/large"]) else {
        return;
    };
    assert!(listed.contains(&format!(" {len_bytes} ")), "{listed}");
}

#[test]
fn what_no_iso_can_hold_is_refused() {
    let mut tree = IsoTree::new(attributes(0o755));
    let none = FileSource::New { len_bytes: 0 };
    let mut file = |path: &[u8], source| tree.file(path, attributes(0o644), source);
    file(b"file", none).unwrap();
    for path in [
        &b""[..],
        b".",
        b"a/..",
        b"file",
        b"no/where",
        b"file/in file",
        b"nul\0",
    ] {
        let shown = String::from_utf8_lossy(path);
        assert!(file(path, none).is_err(), "{shown:?}");
    }
    assert!(file(&[b'n'; 256], none).is_err());
    let unaligned = FileSource::Placed {
        start_bytes: 512,
        len_bytes: 1,
    };
    assert!(file(b"unaligned", unaligned).is_err());
    assert!(tree.symlink(b"link", attributes(0o777), b"").is_err());
    assert!(tree.hard_link(b"hard", b"nothing").is_err());
    let too_long = FileSource::New { len_bytes: 1 << 43 };
    tree.file(b"long", attributes(0o644), too_long).unwrap();
    let error = plan(&tree, &options()).unwrap_err();
    assert!(matches!(error, IsoError::TooMuch { .. }), "{error}");
}
