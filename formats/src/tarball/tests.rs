use std::io::{self, Read};
use std::process::Command;

use proptest::prelude::*;
use testdata::judge;

use super::*;
use crate::testing::text;

fn entry<'a>(name: &'a [u8], kind: Kind<'a>) -> Entry<'a> {
    Entry {
        name,
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: 1_700_000_000,
        mtime_nanos: 0,
        pax: &[],
    }
}

fn long_name() -> Vec<u8> {
    "a folder with a long name/".repeat(9).into_bytes()
}

/// Everything that needs a record, and everything that needs none.
fn sample() -> Vec<u8> {
    let long = [&long_name()[..], b"file"].concat();
    let binary = [&b"\xff\xfe"[..], &long].concat();
    let mut tar = TarWriter::new(Vec::new());
    tar.entry(&Entry {
        mode: 0o1777,
        ..entry(b"tmp", Kind::Folder)
    })
    .unwrap();
    let body = text(70_000);
    let file = Kind::File { bytes: 70_000 };
    tar.file(&entry(b"plain", file), &body[..]).unwrap();
    let records: [(&str, &[u8]); 2] = [
        ("LINUXKIT.source", b"docker.io/library/alpine:3"),
        ("LINUXKIT.location", b"init/0\nwith a newline"),
    ];
    tar.file(
        &Entry {
            pax: &records,
            mode: 0o4755,
            ..entry(b"sourced", Kind::File { bytes: 5 })
        },
        &b"12345"[..],
    )
    .unwrap();
    tar.entry(&entry(&long, Kind::File { bytes: 0 })).unwrap();
    tar.entry(&entry(&binary, Kind::File { bytes: 0 })).unwrap();
    tar.entry(&entry(b"\xe9t\xe9", Kind::File { bytes: 0 }))
        .unwrap();
    tar.entry(&entry(b"link", Kind::Symlink { target: &long }))
        .unwrap();
    tar.entry(&entry(b"hard", Kind::HardLink { target: b"plain" }))
        .unwrap();
    tar.entry(&entry(b"null", Kind::CharDevice { major: 1, minor: 3 }))
        .unwrap();
    tar.entry(&entry(b"sda", Kind::BlockDevice { major: 8, minor: 0 }))
        .unwrap();
    tar.entry(&entry(b"pipe", Kind::Fifo)).unwrap();
    tar.entry(&Entry {
        uid: 3_000_000,
        gid: 4_294_967_294,
        mtime: -2,
        ..entry(b"old", Kind::File { bytes: 0 })
    })
    .unwrap();
    tar.entry(&Entry {
        mtime: 1,
        mtime_nanos: 500_000_000,
        ..entry(b"half", Kind::File { bytes: 0 })
    })
    .unwrap();
    tar.finish().unwrap()
}

fn in_file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

#[test]
fn gnu_tar_lists_the_archive() {
    let Some(tar) = judge("tar") else { return };
    let file = in_file(&sample());
    let output = Command::new(tar)
        .args([
            "-tv",
            "--numeric-owner",
            "--full-time",
            "--quoting-style=escape",
        ])
        .arg("--warning=no-unknown-keyword")
        .arg("-f")
        .arg(file.path())
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
    let listing = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = listing
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let long = String::from_utf8(long_name()).unwrap() + "file";
    let time = "2023-11-14 22:13:20";
    assert_eq!(
        lines,
        [
            format!("drwxrwxrwt 0/0 0 {time} tmp/"),
            format!("-rw-r--r-- 0/0 70000 {time} plain"),
            format!("-rwsr-xr-x 0/0 5 {time} sourced"),
            format!("-rw-r--r-- 0/0 0 {time} {long}"),
            format!("-rw-r--r-- 0/0 0 {time} \\377\\376{long}"),
            format!("-rw-r--r-- 0/0 0 {time} \\351t\\351"),
            format!("lrw-r--r-- 0/0 0 {time} link -> {long}"),
            format!("hrw-r--r-- 0/0 0 {time} hard link to plain"),
            format!("crw-r--r-- 0/0 1,3 {time} null"),
            format!("brw-r--r-- 0/0 8,0 {time} sda"),
            format!("prw-r--r-- 0/0 0 {time} pipe"),
            "-rw-r--r-- 3000000/4294967294 0 1969-12-31 23:59:58 old".to_owned(),
            "-rw-r--r-- 0/0 0 1970-01-01 00:00:01.5 half".to_owned(),
        ]
    );
}

#[test]
fn python_reads_names_numbers_and_records() {
    let Some(python) = judge("python3") else {
        return;
    };
    let file = in_file(&sample());
    let script = "
import sys, tarfile
for m in tarfile.open(sys.argv[1]):
    print(ascii(m.name[:12]), len(m.name), m.uid, m.gid, m.mtime, m.size, len(m.linkname))
    if 'LINUXKIT.source' in m.pax_headers:
        print(m.pax_headers['LINUXKIT.source'], ascii(m.pax_headers['LINUXKIT.location']))
";
    let output = Command::new(python)
        .args(["-c", script])
        .arg(file.path())
        .env("PYTHONUTF8", "1")
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    let listing = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = listing.lines().collect();
    assert_eq!(
        lines,
        [
            "'tmp' 3 0 0 1700000000 0 0",
            "'plain' 5 0 0 1700000000 70000 0",
            "'sourced' 7 0 0 1700000000 5 0",
            r"docker.io/library/alpine:3 'init/0\nwith a newline'",
            "'a folder wit' 238 0 0 1700000000 0 0",
            r"'\udcff\udcfea folder w' 240 0 0 1700000000 0 0",
            r"'\udce9t\udce9' 3 0 0 1700000000 0 0",
            "'link' 4 0 0 1700000000 0 238",
            "'hard' 4 0 0 1700000000 0 5",
            "'null' 4 0 0 1700000000 0 0",
            "'sda' 3 0 0 1700000000 0 0",
            "'pipe' 4 0 0 1700000000 0 0",
            "'old' 3 3000000 4294967294 -2.0 0 0",
            "'half' 4 0 0 1.5 0 0",
        ]
    );
}

#[test]
fn a_body_of_another_length_is_an_error() {
    for (said, given) in [(5, 4), (5, 6), (0, 1), (100_000, 99_999)] {
        let mut tar = TarWriter::new(Vec::new());
        let kind = Kind::File { bytes: said };
        let error = tar.file(&entry(b"f", kind), &text(given)[..]).unwrap_err();
        assert!(
            matches!(error, TarError::BodyLength { expected_bytes, .. } if expected_bytes == said),
            "{error}"
        );
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let mut tar = TarWriter::new(Vec::new());
    let file = Kind::File { bytes: 0 };
    for name in [&b""[..], b"a\0b"] {
        let error = tar.entry(&entry(name, file)).unwrap_err();
        assert!(matches!(error, TarError::Name { .. }), "{error}");
    }
    let no_target = Kind::Symlink { target: b"" };
    let error = tar.entry(&entry(b"l", no_target)).unwrap_err();
    assert!(matches!(error, TarError::Name { .. }), "{error}");
    let device = Kind::CharDevice {
        major: 1 << 21,
        minor: 0,
    };
    let error = tar.entry(&entry(b"d", device)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"d\": device number 2097152 does not fit a tar"
    );
    let bad: [(&str, &[u8]); 1] = [("a=b", b"")];
    let error = tar
        .entry(&Entry {
            pax: &bad,
            ..entry(b"f", file)
        })
        .unwrap_err();
    assert!(matches!(error, TarError::PaxKeyword { .. }), "{error}");
    assert_eq!(tar.finish().unwrap().len(), 1024, "nothing was written");
}

#[test]
fn sizes_beyond_octal_are_in_a_record() {
    // A body that is never written: the header is all that counts.
    struct Refusing;
    impl Read for Refusing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("enough"))
        }
    }
    for (bytes, in_record) in [(0o77_777_777_777, false), (0o100_000_000_000, true)] {
        let mut out = Vec::new();
        let mut tar = TarWriter::new(&mut out);
        let error = tar
            .file(&entry(b"big", Kind::File { bytes }), Refusing)
            .unwrap_err();
        assert!(matches!(error, TarError::Body { .. }), "{error}");
        let record = b"19 size=8589934592\n";
        let found = out.windows(record.len()).any(|window| window == record);
        assert_eq!(found, in_record, "{bytes}");
    }
}

#[test]
fn record_lengths_count_their_own_digits() {
    for value_bytes in 0..1200 {
        let mut out = Vec::new();
        format::push_pax_record(&mut out, "k", &vec![b'v'; value_bytes]);
        let space = out.iter().position(|&byte| byte == b' ').unwrap();
        let said: usize = std::str::from_utf8(&out[..space]).unwrap().parse().unwrap();
        assert_eq!(said, out.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_entries_come_back(
        entries in prop::collection::vec(
            (
                // The tar crate (0.4.46) cuts PAX records at newlines instead of by their length.
                prop::collection::vec((1u8..=255).prop_filter("newline", |&byte| byte != b'\n'), 1..300),
                0usize..3000,
                0u32..0o10000,
                any::<u32>(),
                -(1i64 << 40)..(1i64 << 40),
            ),
            0..10,
        ),
    ) {
        let mut tar = TarWriter::new(Vec::new());
        for (name, bytes, mode, uid, mtime) in &entries {
            let entry = Entry {
                mode: *mode,
                uid: u64::from(*uid),
                mtime: *mtime,
                ..entry(name, Kind::File { bytes: *bytes as u64 })
            };
            tar.file(&entry, &text(*bytes)[..]).unwrap();
        }
        let bytes = tar.finish().unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut read = 0;
        for (entry, (name, bytes, mode, uid, mtime)) in archive.entries().unwrap().zip(&entries) {
            let mut entry = entry.unwrap();
            prop_assert_eq!(&*entry.path_bytes(), &name[..]);
            prop_assert_eq!(entry.header().mode().unwrap(), *mode);
            prop_assert_eq!(entry.header().uid().unwrap(), u64::from(*uid));
            let record = entry.pax_extensions().unwrap().and_then(|records| {
                records
                    .filter_map(Result::ok)
                    .find(|record| record.key() == Ok("mtime"))
                    .map(|record| record.value().unwrap().parse::<i64>().unwrap())
            });
            let in_header = i64::try_from(entry.header().mtime().unwrap()).unwrap();
            prop_assert_eq!(record.unwrap_or(in_header), *mtime);
            let mut body = Vec::new();
            entry.read_to_end(&mut body).unwrap();
            prop_assert_eq!(body, text(*bytes));
            read += 1;
        }
        prop_assert_eq!(read, entries.len());
    }
}
