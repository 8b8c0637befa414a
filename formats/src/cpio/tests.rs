use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use testdata::judge;

use super::*;
use crate::compress::{BodyInfo, Compression, encode_body};
use crate::testing::{noise, text};

const ALL: [Compression; 3] = [
    Compression::None,
    Compression::GZIP_DEFAULT,
    Compression::ZSTD_DEFAULT,
];

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const LINK: u32 = 0o120_777;
const CHAR_DEVICE: u32 = 0o020_666;

fn entry(name: &str, inode: u32, mode: u32) -> Entry<'_> {
    Entry {
        name: name.as_bytes(),
        inode,
        mode,
        uid: 0,
        gid: 0,
        nlink: 1,
        mtime: 1_700_000_000,
        dev_major: 0,
        dev_minor: 0,
        rdev_major: 0,
        rdev_minor: 0,
    }
}

fn add_file(archive: &mut CpioWriter<Vec<u8>>, entry: &Entry<'_>, body: &[u8]) {
    let (info, segments) = encode_body(archive.compression(), body).unwrap();
    archive
        .file(entry, info, segments.iter().map(io::Result::Ok))
        .unwrap();
}

/// A tree with everything that an archive can hold.
fn sample(compression: Compression) -> Vec<u8> {
    let mut archive = CpioWriter::new(Vec::new(), compression).unwrap();
    archive.entry(&entry("etc", 1, FOLDER)).unwrap();
    add_file(&mut archive, &entry("etc/motd", 2, FILE), b"hello\n");
    add_file(
        &mut archive,
        &entry("etc/large", 3, 0o100_755),
        &text(3 << 20),
    );
    archive
        .symlink(&entry("etc/link", 4, LINK), b"motd")
        .unwrap();
    let first = Entry {
        nlink: 3,
        uid: 1000,
        gid: 4_294_967_294,
        ..entry("a", 5, FILE)
    };
    add_file(&mut archive, &first, &noise(70_001));
    for name in [b"b", b"c"] {
        archive.entry(&Entry { name, ..first }).unwrap();
    }
    archive
        .entry(&Entry {
            rdev_major: 1,
            rdev_minor: 3,
            ..entry("null", 6, CHAR_DEVICE)
        })
        .unwrap();
    archive.entry(&entry("empty", 7, FILE)).unwrap();
    assert_eq!(archive.entries(), 9);
    archive.finish().unwrap()
}

/// Every entry with its body, trailers left out.
fn read_all(bytes: &[u8]) -> Result<Vec<(ReadEntry, Vec<u8>)>, ReadError> {
    let mut reader = Reader::new(bytes, Limits::default());
    let mut all = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut body = Vec::new();
        reader.read_to_end(&mut body).unwrap();
        if !entry.trailer {
            all.push((entry, body));
        }
    }
    Ok(all)
}

fn pipe(program: std::path::PathBuf, arguments: &[&str], input: Vec<u8>) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaints}");
    output.stdout
}

fn unpacked(compression: Compression) -> Option<Vec<u8>> {
    let stream = sample(compression);
    Some(match compression {
        Compression::None => stream,
        Compression::Gzip { .. } => pipe(judge("zcat")?, &[], stream),
        Compression::Zstd { .. } => pipe(judge("zstd")?, &["-dc"], stream),
    })
}

#[test]
fn the_programs_unpack_the_same_archive_from_every_compression() {
    let plain = sample(Compression::None);
    for compression in ALL {
        if let Some(unpacked) = unpacked(compression) {
            assert!(unpacked == plain, "{compression}");
        }
    }
}

#[test]
fn gnu_cpio_lists_the_archive() {
    let Some(cpio) = judge("cpio") else { return };
    let listing = pipe(
        cpio,
        &["-itv", "--numeric-uid-gid", "--quiet"],
        sample(Compression::None),
    );
    let lines: Vec<_> = String::from_utf8(listing)
        .unwrap()
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        lines,
        [
            "drwxr-xr-x 1 0 0 0 Nov 14 2023 etc",
            "-rw-r--r-- 1 0 0 6 Nov 14 2023 etc/motd",
            "-rwxr-xr-x 1 0 0 3145728 Nov 14 2023 etc/large",
            "lrwxrwxrwx 1 0 0 4 Nov 14 2023 etc/link -> motd",
            "-rw-r--r-- 3 1000 4294967294 70001 Nov 14 2023 a",
            "-rw-r--r-- 3 1000 4294967294 0 Nov 14 2023 b",
            "-rw-r--r-- 3 1000 4294967294 0 Nov 14 2023 c",
            "crw-rw-rw- 1 0 0 1, 3 Nov 14 2023 null",
            "-rw-r--r-- 1 0 0 0 Nov 14 2023 empty",
        ]
    );
}

#[cfg(unix)]
#[test]
fn gnu_cpio_extracts_files_links_and_hard_links() {
    use std::os::unix::fs::MetadataExt;
    let Some(cpio) = judge("cpio") else { return };
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().to_str().unwrap();
    let archive = sample(Compression::None);
    let wanted = ["etc", "etc/*", "a", "b", "c", "empty"];
    let arguments = [
        &["-idm", "--quiet", "--no-preserve-owner", "-D", target],
        &wanted[..],
    ]
    .concat();
    pipe(cpio, &arguments, archive);
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("etc/link"), b"hello\n");
    assert!(read("etc/large") == text(3 << 20));
    for name in ["a", "b", "c"] {
        assert!(read(name) == noise(70_001), "{name}");
    }
    let metadata = folder.path().join("b").metadata().unwrap();
    assert_eq!((metadata.nlink(), metadata.mtime()), (3, 1_700_000_000));
    assert_eq!(read("empty"), b"");
}

#[test]
fn the_reader_reads_what_the_writer_wrote() {
    let mut plain = None;
    for compression in ALL {
        let mut entries = read_all(&sample(compression)).unwrap();
        assert_eq!(entries.len(), 9);
        let (large, body) = &entries[2];
        assert_eq!(large.name, b"etc/large");
        assert_eq!(large.mode, 0o100_755);
        assert!(*body == text(3 << 20));
        assert_eq!(entries[4].0.gid, 4_294_967_294);
        assert_eq!(entries[7].0.rdev, (1, 3));
        // Where they lie differs, what they are does not.
        for (entry, _) in &mut entries {
            (entry.container, entry.part, entry.offset) = (Container::Plain, 0, 0);
        }
        assert!(*plain.get_or_insert_with(|| entries.clone()) == entries);
    }
}

#[test]
fn archives_one_after_the_other_are_read_as_one() {
    let mut all = Vec::new();
    let microcode = sample(Compression::None);
    let bytes = write_microcode(&mut all, &microcode[..microcode.len()]).unwrap();
    assert_eq!(bytes, all.len() as u64);
    all.extend(sample(Compression::GZIP_DEFAULT));
    all.extend(sample(Compression::ZSTD_DEFAULT));
    all.extend([0; 509]);
    let entries = read_all(&all).unwrap();
    assert_eq!(entries.len(), 27);
    let containers: Vec<_> = entries.iter().map(|(entry, _)| entry.container).collect();
    assert_eq!(containers[8], Container::Plain);
    assert_eq!(containers[9], Container::Gzip);
    assert_eq!(containers[18], Container::Zstd);
    assert_eq!(entries[9].0.part, 1);
    assert_eq!(entries[18].0.part, 2);
}

#[test]
fn microcode_that_is_compressed_is_refused() {
    let error = write_microcode(&mut Vec::new(), &sample(Compression::GZIP_DEFAULT)).unwrap_err();
    assert!(matches!(error, WriteError::Microcode));
}

#[test]
fn what_does_not_fit_is_an_error_and_times_are_clamped() {
    let mut archive = CpioWriter::new(Vec::new(), Compression::None).unwrap();
    let long = "x".repeat(4096);
    let part = format!("d/{}/f", "x".repeat(256));
    for name in ["", &long, &part, "a\0b", "TRAILER!!!"] {
        let error = archive.entry(&entry(name, 1, FOLDER)).unwrap_err();
        assert!(matches!(error, WriteError::Name { .. }), "{error}");
    }
    let big = Entry {
        uid: 1 << 32,
        ..entry("big", 1, FILE)
    };
    let error = archive.entry(&big).unwrap_err().to_string();
    assert_eq!(
        error,
        "\"big\": uid 4294967296 does not fit an initrd's 32 bits"
    );
    let body = BodyInfo {
        bytes: 1 << 32,
        crc32: 0,
    };
    let none = Vec::<Result<&[u8], WriteError>>::new();
    let error = archive
        .file(&entry("huge", 1, FILE), body, none)
        .unwrap_err();
    assert!(matches!(
        error,
        WriteError::BodyTooLarge {
            bytes: 0x1_0000_0000,
            ..
        }
    ));
    let error = archive
        .symlink(&entry("l", 1, LINK), long.as_bytes())
        .unwrap_err();
    assert!(matches!(error, WriteError::LinkTarget { bytes: 4096, .. }));
    for (mtime, name) in [(-5, "old"), (1 << 40, "new")] {
        let odd = Entry {
            mtime,
            ..entry(name, 1, FOLDER)
        };
        archive.entry(&odd).unwrap();
    }
    let entries = read_all(&archive.finish().unwrap()).unwrap();
    assert_eq!(entries.len(), 2, "refused entries leave nothing behind");
    assert_eq!((entries[0].0.mtime, entries[1].0.mtime), (0, u32::MAX));
}

#[test]
fn a_failing_segment_ends_writing_with_its_own_error() {
    let mut archive = CpioWriter::new(Vec::new(), Compression::GZIP_DEFAULT).unwrap();
    let body = BodyInfo {
        bytes: 5000,
        crc32: 0,
    };
    let damaged: [io::Result<&[u8]>; 1] = [Err(io::Error::other("damaged pack"))];
    let error = archive
        .file(&entry("f", 1, FILE), body, damaged)
        .unwrap_err();
    assert_eq!(error.to_string(), "damaged pack");
}

#[test]
fn a_cut_or_damaged_archive_is_an_error_that_says_where() {
    for compression in ALL {
        let whole = sample(compression);
        for cut in [1, 60, whole.len() / 2, whole.len() - 9] {
            let Err(error) = read_all_lenient(&whole[..cut]) else {
                panic!(
                    "{compression}: {cut} bytes of {} were accepted",
                    whole.len()
                );
            };
            assert!(error.contains("archive number"), "{error}");
        }
    }
    let mut plain = sample(Compression::None);
    plain[113 + 4 + 7] = b'x';
    let error = read_all_lenient(&plain).unwrap_err();
    assert_eq!(
        error,
        "uncompressed archive number 0, at byte 226 of it: a header field is not a hexadecimal number"
    );
}

fn read_all_lenient(bytes: &[u8]) -> Result<usize, String> {
    let mut reader = Reader::new(bytes, Limits::default());
    let mut count = 0;
    while let Some(entry) = reader.next_entry().map_err(|error| error.to_string())? {
        io::copy(&mut reader, &mut io::sink()).map_err(|error| error.to_string())?;
        count += usize::from(!entry.trailer);
    }
    Ok(count)
}

#[test]
fn limits_hold() {
    let archive = sample(Compression::GZIP_DEFAULT);
    for limits in [
        Limits {
            entries: 3,
            ..Limits::default()
        },
        Limits {
            plain_bytes: 1 << 20,
            ..Limits::default()
        },
    ] {
        let mut reader = Reader::new(&archive[..], limits);
        let error = loop {
            match reader.next_entry() {
                Ok(entry) => assert!(entry.is_some(), "{limits:?} was not kept"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error.kind, ReadErrorKind::Limit { .. }), "{error}");
        assert!(
            reader.next_entry().unwrap().is_none(),
            "nothing after an error"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_entries_come_back(
        entries in prop::collection::vec(
            (
                prop::collection::vec(1u8..=255, 1..60),
                any::<[u32; 8]>(),
                prop_oneof![Just(0usize), 1usize..3000, 32_000usize..33_000, 900_000usize..1_100_000],
            ),
            0..8,
        ),
        which in 0usize..3,
    ) {
        let compression = ALL[which];
        let mut archive = CpioWriter::new(Vec::new(), compression).unwrap();
        for (name, [inode, mode, uid, gid, nlink, mtime, major, minor], body_bytes) in &entries {
            let entry = Entry {
                name,
                inode: *inode,
                mode: *mode,
                uid: u64::from(*uid),
                gid: u64::from(*gid),
                nlink: *nlink,
                mtime: i64::from(*mtime),
                dev_major: *major,
                dev_minor: *minor,
                rdev_major: *minor,
                rdev_minor: *major,
            };
            add_file(&mut archive, &entry, &text(*body_bytes));
        }
        let read = read_all(&archive.finish().unwrap()).unwrap();
        prop_assert_eq!(read.len(), entries.len());
        for ((read, body), (name, numbers, body_bytes)) in read.iter().zip(&entries) {
            prop_assert_eq!(&read.name, name);
            let got = [
                read.inode, read.mode, read.uid, read.gid, read.nlink, read.mtime, read.dev.0, read.dev.1,
            ];
            prop_assert_eq!(&got, numbers);
            prop_assert_eq!(read.rdev, (read.dev.1, read.dev.0));
            prop_assert!(*body == text(*body_bytes));
        }
    }

    #[test]
    fn any_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read_all_lenient(&bytes);
    }
}
