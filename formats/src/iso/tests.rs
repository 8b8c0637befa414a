use std::path::Path;
use std::process::Command;

use testdata::judge;

use super::*;
use crate::boot::{BootError, BootSpec};
use crate::disk::{MBR_CODE_BYTES, read_partitions};
use crate::fat::FatReader;
use crate::medium::{
    BiosCode, BootFile, BootFiles, EfiCode, INITRD_PATH, KERNEL_PATH, Loaders, MediumError,
};
use crate::payload::{Extents, Payload};
use crate::testing::{noise, raw_file, text};

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

fn stage2(boot: &BootSpec, _kernel: &dyn Payload) -> Result<Vec<u8>, MediumError> {
    Ok(vec![boot.cmdline.as_bytes()[0]; 4096])
}

fn loader(boot: &BootSpec) -> Result<Vec<u8>, BootError> {
    Ok(vec![boot.cmdline.as_bytes()[1]; 9000])
}

const LOADERS: Loaders = Loaders {
    bios: Some(BiosCode {
        mbr: [0x90; MBR_CODE_BYTES],
        stage2,
    }),
    efi: Some(EfiCode {
        len_bytes: 9000,
        loader,
    }),
};

fn boot_files(initrd: impl Payload + 'static) -> BootFiles {
    BootFiles {
        kernel: BootFile::read(noise(3_000_001)).unwrap(),
        initrd: BootFile::read(initrd).unwrap(),
        cmdline: "console=ttyS0".to_owned(),
        ram_bytes: 1 << 30,
    }
}

fn hybrid(initrd_bytes: usize) -> Extents {
    let files = boot_files(text(initrd_bytes));
    boot_iso(&files, &LOADERS, "docker-host", TIME)
        .unwrap()
        .content
}

/// On either side of the 32 MiB that a catalog's sector count can say.
const INITRD_BYTES: [usize; 2] = [5_000_000, 40_000_000];

#[test]
fn the_hybrid_s_parts_point_at_the_same_bytes() {
    for initrd_bytes in INITRD_BYTES {
        let image = hybrid(initrd_bytes);
        let reader = IsoReader::open(&image).unwrap();
        let [bios, efi] = &reader.boot_entries().unwrap()[..] else {
            panic!("not two boot entries");
        };
        assert_eq!((bios.platform, bios.load_sectors), (0, 4));
        assert!(bios.is_bootable && efi.is_bootable);
        let mut stage2 = vec![0; 4096];
        image.read_exact_at(bios.start_bytes, &mut stage2).unwrap();
        assert_eq!(stage2, [b'c'; 4096]);
        let partitions = read_partitions(&image).unwrap();
        let [esp] = &partitions[..] else {
            panic!("{partitions:?}");
        };
        assert!(esp.is_esp());
        assert_eq!((efi.platform, efi.start_bytes), (0xef, esp.start_bytes));
        let sectors = esp.len_bytes / 512;
        let told = u16::try_from(sectors).unwrap_or(0);
        assert_eq!(efi.load_sectors, told);

        let mut volume = vec![0; usize::try_from(esp.len_bytes).unwrap()];
        image.read_exact_at(esp.start_bytes, &mut volume).unwrap();
        let fat = FatReader::open(&volume).unwrap();
        let inside = fat.entries(crate::fat::Limits::default()).unwrap();
        let entries = reader.entries(Names::RockRidge, Limits::default()).unwrap();
        for file in inside.iter().filter(|entry| !entry.is_folder) {
            let entry = find(&entries, file.path.as_bytes());
            assert_eq!(entry.len_bytes, file.len_bytes);
            let EntryKind::File { extents } = &entry.kind else {
                panic!("{entry:?}");
            };
            let start = file.extents[0].start + esp.start_bytes;
            assert_eq!(extents.len(), 1);
            assert_eq!(extents[0], start..start + file.len_bytes);
        }
        let initrd = find(&entries, INITRD_PATH.as_bytes());
        let EntryKind::File { extents } = &initrd.kind else {
            panic!("{initrd:?}");
        };
        assert!(read_at(&image, extents) == text(initrd_bytes));
        find(&entries, b"README.txt");
        find(&entries, b"boot/bios.img");
        find(&entries, KERNEL_PATH.as_bytes());
    }
}

#[test]
fn judges_of_the_hybrid_have_no_complaint() {
    for initrd_bytes in INITRD_BYTES {
        let image = hybrid(initrd_bytes);
        let file = in_file(&image);
        let path = file.path().to_str().unwrap();
        let Some(report) = xorriso(file.path(), &["-report_el_torito", "plain"]) else {
            return;
        };
        for line in [
            "El Torito boot img :   1  BIOS  y   none  0x0000  0x00      4           9",
            "El Torito boot img :   2  UEFI  y   none  0x0000  0x00",
            "El Torito img path :   1  /boot/bios.img",
        ] {
            assert!(report.contains(line), "{report}");
        }
        let report = xorriso(file.path(), &["-report_system_area", "plain"]).unwrap();
        for line in [
            "protective-msdos-label",
            "GPT type GUID      :   1  28732ac11ff8d211ba4b00a0c93ec93b",
        ] {
            assert!(report.contains(line), "{report}");
        }
        let report = xorriso(file.path(), &["-check_media", "--"]).unwrap();
        assert!(report.contains("good"), "{report}");
        let report = xorriso(file.path(), &["-pvd_info"]).unwrap();
        assert!(report.contains("Volume Id    : DOCKER_HOST"), "{report}");

        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("initrd");
        let arguments = [
            "-osirrox",
            "on",
            "-extract",
            "/boot/initrd.img",
            to.to_str().unwrap(),
        ];
        xorriso(file.path(), &arguments);
        assert!(std::fs::read(to).unwrap() == text(initrd_bytes));
        for (kind, name) in [("-R", "/boot/kernel"), ("-J", "/boot/kernel")] {
            let Some(isoinfo) = judge("isoinfo") else {
                return;
            };
            let output = Command::new(isoinfo)
                .args([kind, "-i", path, "-x", name])
                .output()
                .unwrap();
            assert!(output.stderr.is_empty() && output.stdout == noise(3_000_001));
        }
        let (out, err) = judged("isoinfo", &["-d", "-i", path]).unwrap();
        assert!(
            err.is_empty() && out.contains("El Torito VD version 1 found"),
            "{out}{err}"
        );

        let Some((report, _)) = judged("sgdisk", &["-v", path]) else {
            return;
        };
        assert!(report.contains("No problems found."), "{report}");
        // Of the active protective entry it warns, which a BIOS may want.
        assert_eq!(report.matches("Warning").count(), 1, "{report}");
        for complaint in ["Caution", "Problem:", "not aligned"] {
            assert!(!report.contains(complaint), "{report}");
        }

        let partitions = read_partitions(&image).unwrap();
        let mut volume = vec![0; usize::try_from(partitions[0].len_bytes).unwrap()];
        image
            .read_exact_at(partitions[0].start_bytes, &mut volume)
            .unwrap();
        let esp = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(esp.path(), volume).unwrap();
        let Some((_, err)) = judged("fsck.fat", &["-n", esp.path().to_str().unwrap()]) else {
            return;
        };
        assert!(err.is_empty(), "{err}");
        // The partition as mtools finds it in the image itself.
        let offset = format!("{path}@@{}", partitions[0].start_bytes);
        let Some((list, err)) = judged("mdir", &["-/", "-b", "-i", &offset, "::"]) else {
            return;
        };
        assert!(err.is_empty(), "{err}");
        for path in [
            "::/EFI/BOOT/BOOTX64.EFI",
            "::/boot/kernel",
            "::/boot/initrd.img",
        ] {
            assert!(list.contains(path), "{list}");
        }
        let output = Command::new(judge("mtype").unwrap())
            .args(["-i", &offset, "::/boot/initrd.img"])
            .output()
            .unwrap();
        assert!(output.stdout == text(initrd_bytes));
    }
}

#[test]
fn a_hybrid_without_one_of_the_loaders_boots_the_other_way() {
    let files = boot_files(text(100_000));
    let bios_only = Loaders {
        efi: None,
        ..LOADERS
    };
    let image = boot_iso(&files, &bios_only, "x", TIME).unwrap().content;
    let entries = IsoReader::open(&image).unwrap().boot_entries().unwrap();
    assert_eq!(entries.iter().map(|e| e.platform).collect::<Vec<_>>(), [0]);
    let efi_only = Loaders {
        bios: None,
        ..LOADERS
    };
    let image = boot_iso(&files, &efi_only, "x", TIME).unwrap().content;
    let entries = IsoReader::open(&image).unwrap().boot_entries().unwrap();
    assert_eq!(
        entries.iter().map(|e| e.platform).collect::<Vec<_>>(),
        [0xef]
    );
    let mut mbr = [0; 512];
    image.read_exact_at(0, &mut mbr).unwrap();
    assert_eq!((mbr[0], mbr[446]), (0, 0), "nothing to boot on a BIOS");
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

#[test]
fn damaged_volumes_are_errors() {
    let (tree, bodies) = awkward_tree();
    let volume = filled(&plan(&tree, &options()).unwrap(), &bodies);
    let mut bytes = vec![0; usize::try_from(volume.len_bytes()).unwrap()];
    volume.read_exact_at(0, &mut bytes).unwrap();
    let entries =
        |bytes: Vec<u8>| IsoReader::open(&bytes)?.entries(Names::RockRidge, Limits::default());
    let few = |limits: Limits| {
        let reader = IsoReader::open(&volume).unwrap();
        reader.entries(Names::RockRidge, limits)
    };
    assert!(entries(bytes.clone()).is_ok());
    for len in [0, 32_768, 40_000, 60_000] {
        assert!(entries(bytes[..len].to_vec()).is_err(), "{len}");
    }
    // A root folder that is its own child.
    let root = u32::from_le_bytes(*bytes[32_768 + 158..].first_chunk().unwrap());
    let mut looped = bytes.clone();
    let at = root as usize * 2048;
    let own = usize::from(looped[at]);
    let dots = usize::from(looped[at + own]);
    let first = at + own + dots;
    looped[first + 2..first + 6].copy_from_slice(&root.to_le_bytes());
    let error = entries(looped).unwrap_err();
    assert!(
        matches!(error.kind, ReadErrorKind::Damaged { .. }),
        "{error}"
    );
    // A continuation area that points at itself.
    let mut looped = bytes;
    let after_root = at + 2048;
    let ce = looped[after_root..]
        .windows(4)
        .position(|window| window == b"CE\x1c\x01")
        .unwrap();
    let pointer = looped[after_root + ce..][..28].to_vec();
    let word = |at: usize| u32::from_le_bytes(*pointer[at..].first_chunk().unwrap()) as usize;
    let area = word(4) * 2048 + word(12);
    looped[area..area + 28].copy_from_slice(&pointer);
    let error = entries(looped).unwrap_err();
    assert!(matches!(error.kind, ReadErrorKind::Limit { .. }), "{error}");

    let default = Limits::default();
    for limits in [
        Limits {
            entries: 5,
            ..default
        },
        Limits {
            depth: 3,
            ..default
        },
        Limits {
            folder_bytes: 2048,
            ..default
        },
        Limits {
            system_use_bytes: 200,
            ..default
        },
    ] {
        let error = few(limits).unwrap_err();
        assert!(matches!(error.kind, ReadErrorKind::Limit { .. }), "{error}");
    }
}
