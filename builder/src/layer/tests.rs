use std::io::{Read, Write};

use super::*;

mod headers;
mod sparse;

/// A header block with a right checksum.
fn header(name: &str, kind: u8, size: u64) -> [u8; 512] {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).unwrap();
    header.set_mode(0o640);
    header.set_uid(7);
    header.set_gid(8);
    header.set_mtime(1_000);
    header.set_size(size);
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_cksum();
    *header.as_bytes()
}

fn padded(body: &[u8]) -> Vec<u8> {
    let mut out = body.to_vec();
    out.resize(body.len().next_multiple_of(512), 0);
    out
}

fn file(name: &str, body: &[u8]) -> Vec<u8> {
    [
        header(name, b'0', body.len() as u64).as_slice(),
        &padded(body),
    ]
    .concat()
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length += 1;
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let body: Vec<u8> = records.iter().flat_map(|(k, v)| record(k, v)).collect();
    [
        header("PaxHeaders/x", b'x', body.len() as u64).as_slice(),
        &padded(&body),
    ]
    .concat()
}

type Read_ = Vec<(Entry, Vec<u8>)>;

fn read_with(tar: &[u8], limits: &Limits) -> Result<Read_, LayerError> {
    let mut seen = Vec::new();
    read_layer(tar, limits, |entry, body| {
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes)?;
        seen.push((entry, bytes));
        Ok(())
    })?;
    Ok(seen)
}

fn read(tar: &[u8]) -> Result<Read_, LayerError> {
    read_with(tar, &Limits::default())
}

#[test]
fn names_never_leave_the_tree() {
    for (name, want) in [
        ("/a/../../b", "b"),
        ("./a//b/", "a/b"),
        ("../..", ""),
        ("a/b/../c", "a/c"),
        ("a/..", ""),
    ] {
        assert_eq!(path::clean(name.as_bytes()), want.as_bytes(), "{name}");
    }
}

#[test]
fn a_file_comes_with_its_attributes_and_body() {
    let seen = read(&file("a/b", b"hello")).unwrap();
    assert_eq!(seen.len(), 1);
    let (entry, body) = &seen[0];
    assert_eq!(entry.path, b"a/b");
    assert_eq!(
        entry.meta,
        Meta {
            mode: 0o640,
            uid: 7,
            gid: 8,
            mtime: 1_000
        }
    );
    assert_eq!(body, b"hello");
}

#[test]
fn pax_value_with_a_newline_does_not_hide_the_size_after_it() {
    let mut tar = pax(&[
        ("SCHILY.xattr.security.capability", b"\x01\n0\n"),
        ("size", b"5"),
    ]);
    tar.extend(header("f", b'0', 0));
    tar.extend(padded(b"hello"));
    tar.extend(file("g", b"next"));
    let seen = read(&tar).unwrap();
    assert_eq!(seen[0].1, b"hello");
    assert_eq!(&*seen[0].0.xattrs[0].value, b"\x01\n0\n");
    assert_eq!(seen[1].0.path, b"g");
}

#[test]
fn pax_times_round_towards_the_past() {
    for (text, want) in [
        ("1.9", 1),
        ("-1.5", -2),
        ("-1.0", -1),
        ("0", 0),
        ("-0.1", -1),
    ] {
        assert_eq!(pax::seconds(text.as_bytes()), Some(want), "{text}");
    }
    for text in ["", "x", "1.x", "99999999999999999999", "--1"] {
        assert_eq!(pax::seconds(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn cve_2024_40635_an_owner_beyond_32_bits_does_not_become_root() {
    for id in ["4294967296", "4294967295", "18446744073709551616", "-1"] {
        let mut tar = pax(&[("uid", id.as_bytes())]);
        tar.extend(file("f", b""));
        let error = read(&tar).unwrap_err();
        assert!(
            matches!(error.kind, LayerErrorKind::Number { .. }),
            "{id}: {error}"
        );
    }
    let mut tar = pax(&[("uid", b"4294967294")]);
    tar.extend(file("f", b""));
    assert_eq!(read(&tar).unwrap()[0].0.meta.uid, u32::MAX - 1);
}

#[test]
fn header_only_types_have_no_body_whatever_their_size_says() {
    let mut tar = header("dir", b'5', 600).to_vec();
    tar.extend(file("f", b"x"));
    let seen = read(&tar).unwrap();
    assert_eq!(seen[1].0.path, b"f");
}

#[test]
fn a_cut_tar_is_an_error_at_every_byte_inside_an_entry() {
    let tar = file("f", &[7; 700]);
    for end in 1..tar.len() {
        assert!(read(&tar[..end]).is_err(), "cut at {end}");
    }
    assert!(read(&[]).unwrap().is_empty());
}

#[test]
fn whiteouts_are_told_from_files() {
    let tar: Vec<u8> = [
        "a/.wh.b",
        "a/.wh..wh..opq",
        ".wh..wh.plnk",
        ".wh..wh.aufs",
        ".wh.x/y",
    ]
    .iter()
    .flat_map(|name| file(name, b""))
    .collect();
    let seen: Vec<_> = read(&tar)
        .unwrap()
        .into_iter()
        .map(|(e, _)| (e.path, e.kind))
        .collect();
    assert_eq!(
        seen,
        [
            (b"a/b".to_vec(), EntryKind::Whiteout),
            (b"a".to_vec(), EntryKind::Opaque)
        ]
    );
    for name in ["a/.wh.", "a/.wh..", "a/.wh..."] {
        let error = read(&file(name, b"")).unwrap_err();
        assert!(
            matches!(error.kind, LayerErrorKind::EmptyWhiteout),
            "{name}"
        );
    }
}

#[test]
fn a_plain_archive_keeps_names_that_look_like_whiteouts() {
    let mut names = Vec::new();
    read_archive(
        &*file("a/.wh.b", b"x"),
        &Limits::default(),
        Names::Plain,
        |e, _| {
            names.push(e.path);
            Ok(())
        },
    )
    .unwrap();
    assert_eq!(names, [b"a/.wh.b".to_vec()]);
}

#[test]
fn cve_2017_14992_headers_are_bounded() {
    let limits = Limits {
        header_bytes: 4096,
        ..Limits::default()
    };
    let mut tar = pax(&[("comment", &[b'x'; 5000])]);
    tar.extend(file("f", b""));
    let error = read_with(&tar, &limits).unwrap_err();
    assert!(error.to_string().contains("--max-header-bytes"), "{error}");
    // Many small ones before one file count together.
    let mut tar = Vec::new();
    for _ in 0..10 {
        tar.extend(pax(&[("comment", b"x")]));
    }
    tar.extend(file("f", b""));
    assert!(read_with(&tar, &limits).is_err());
}

#[test]
fn entries_and_bytes_are_bounded() {
    let tar = [file("a", b"x"), file("b", b"x"), file("c", b"x")].concat();
    let limits = Limits {
        entries: 2,
        ..Limits::default()
    };
    assert!(
        read_with(&tar, &limits)
            .unwrap_err()
            .to_string()
            .contains("--max-layer-entries")
    );
    let limits = Limits {
        layer_bytes: 1024,
        ..Limits::default()
    };
    assert!(
        read_with(&tar, &limits)
            .unwrap_err()
            .to_string()
            .contains("--max-layer-bytes")
    );
}

/// A small blob may unpack to so much, a larger one to a multiple of its length, none to more than
/// the limit of every layer.
#[test]
fn a_bomb_is_bounded_by_the_length_of_its_blob() {
    let bound = |bytes: u64| {
        let bound = Limits::default().for_blob(bytes).unpacked();
        (bound.limit, bound.flag)
    };
    assert_eq!(bound(0), (RATIO_FREE_BYTES, "max-layer-ratio"));
    assert_eq!(bound(10 << 20), (1000 << 20, "max-layer-ratio"));
    assert_eq!(bound(1 << 30), (16 << 30, "max-layer-bytes"));
    let unknown = Limits::default().unpacked();
    assert_eq!(unknown.limit, 16 << 30);
}

#[test]
fn the_holes_of_a_sparse_file_are_bounded_too() {
    let head = pax(&[
        ("GNU.sparse.size", b"1099511627776"),
        ("GNU.sparse.map", b"0,1"),
    ]);
    let mut visited = 0;
    let error = read_layer(
        [head, file("f", b"x")].concat().as_slice(),
        &Limits::default(),
        |_, _| {
            visited += 1;
            Ok(())
        },
    )
    .unwrap_err();
    assert!(error.to_string().contains("--max-layer-bytes"), "{error}");
    assert_eq!(visited, 0, "nobody should read a tebibyte of zeros");
}

#[test]
fn pax_sparse_files_of_every_version_have_their_holes() {
    let want = [&[0; 3][..], b"ab", &[0; 5], b"c", &[0; 2]].concat();
    let size = want.len().to_string();
    let v00 = pax(&[
        ("GNU.sparse.size", size.as_bytes()),
        ("GNU.sparse.numblocks", b"2"),
        ("GNU.sparse.offset", b"3"),
        ("GNU.sparse.numbytes", b"2"),
        ("GNU.sparse.offset", b"10"),
        ("GNU.sparse.numbytes", b"1"),
    ]);
    let v01 = pax(&[
        ("GNU.sparse.size", size.as_bytes()),
        ("GNU.sparse.map", b"3,2,10,1"),
        ("GNU.sparse.name", b"real"),
    ]);
    for head in [v00, v01] {
        let tar = [head, file("f", b"abc")].concat();
        assert_eq!(read(&tar).unwrap()[0].1, want);
    }
    let v10 = pax(&[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.realsize", size.as_bytes()),
        ("GNU.sparse.name", b"real"),
    ]);
    let body = [padded(b"2\n3\n2\n10\n1\n"), b"abc".to_vec()].concat();
    let seen = read(&[v10, file("GNUSparseFile.0/f", &body)].concat()).unwrap();
    assert_eq!(seen[0].0.path, b"real");
    assert_eq!(seen[0].1, want);
}

#[test]
fn cve_2025_58183_a_sparse_map_is_bounded_and_must_fit() {
    let limits = Limits {
        sparse_ranges: 1,
        ..Limits::default()
    };
    let head = |map: &[u8]| pax(&[("GNU.sparse.size", b"20"), ("GNU.sparse.map", map)]);
    let tar = [head(b"0,1,2,1"), file("f", b"ab")].concat();
    assert!(read_with(&tar, &limits).is_err());
    for map in [
        &b"5,1,3,1"[..],
        b"0,1,25,1",
        b"0,1",
        b"0,1,",
        b"x,1,2,1",
        b"0,9,1,9",
    ] {
        let tar = [head(map), file("f", b"ab")].concat();
        assert!(read(&tar).is_err(), "{}", Escaped(map));
    }
}

#[test]
fn control_characters_in_names_are_escaped() {
    assert_eq!(
        Escaped(b"a\x1b[31m\n\xff").to_string(),
        "a\\u{1b}[31m\\u{a}\\xff"
    );
    assert_eq!(
        Escaped("gr\u{fc}n\u{202e}".as_bytes()).to_string(),
        "gr\u{fc}n\\u{202e}"
    );
    // All of Unicode's Bidi_Control, and what ends lines and paragraphs.
    let marks = "\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202d}\u{2066}\u{2069}";
    let shown = Escaped(marks.as_bytes()).to_string();
    assert_eq!(shown, marks.escape_unicode().to_string());
    // Joiners are part of how words are written.
    assert_eq!(Escaped("a\u{200d}b".as_bytes()).to_string(), "a\u{200d}b");
}

/// Three files, the second after 1536 bytes of headers, the third sparse with two ranges.
fn at_every_limit() -> Vec<u8> {
    let sparse = pax(&[
        ("GNU.sparse.size", b"1000000"),
        ("GNU.sparse.map", b"0,1,5,1"),
    ]);
    [
        file("0123456789", b"x"),
        pax(&[("comment", &[b'x'; 600])]),
        file("b", b"x"),
        sparse,
        file("c", b"ab"),
    ]
    .concat()
}

#[test]
fn what_is_exactly_at_a_limit_is_accepted_and_one_more_is_not() {
    let tar = at_every_limit();
    let comment = record("comment", &[b'x'; 600]).len() as u64;
    let exact = Limits {
        layer_bytes: 1_000_002,
        entries: 3,
        header_bytes: 512 + comment,
        path_bytes: 10,
        sparse_ranges: 2,
        metadata_bytes: 12,
        ..Limits::default()
    };
    assert_eq!(read_with(&tar, &exact).unwrap().len(), 3);
    type Lower = fn(&mut Limits);
    let less: [(&str, Lower); 6] = [
        ("max-layer-bytes", |limits| limits.layer_bytes -= 1),
        ("max-layer-entries", |limits| limits.entries -= 1),
        ("max-header-bytes", |limits| limits.header_bytes -= 1),
        ("max-path-bytes", |limits| limits.path_bytes -= 1),
        ("max-sparse-ranges", |limits| limits.sparse_ranges -= 1),
        ("max-metadata-bytes", |limits| limits.metadata_bytes -= 1),
    ];
    for (flag, lower) in less {
        let mut limits = exact.clone();
        lower(&mut limits);
        let error = read_with(&tar, &limits).unwrap_err().to_string();
        assert!(error.contains(flag), "{flag}: {error}");
    }
    // The bytes of the tar itself.
    let plain = [file("a", b"x"), file("b", b"x")].concat();
    let limits = |layer_bytes| Limits {
        layer_bytes,
        ..Limits::default()
    };
    assert!(read_with(&plain, &limits(2048)).is_ok());
    let error = read_with(&plain, &limits(2047)).unwrap_err().to_string();
    assert!(error.contains("max-layer-bytes"), "{error}");
}

/// Headers count from the start for each file.
#[test]
fn headers_of_one_file_do_not_count_for_the_next() {
    let limits = Limits {
        header_bytes: 1024,
        ..Limits::default()
    };
    let one = [pax(&[("comment", b"x")]), file("a", b"")].concat();
    assert_eq!(read_with(&one.repeat(100), &limits).unwrap().len(), 100);
}

#[test]
fn an_error_says_where_in_the_layer_it_is() {
    let mut tar = file("a", &[7; 600]);
    tar.extend(file("b/.wh.", b""));
    let error = read(&tar).unwrap_err();
    // After the header of the entry that is wrong.
    assert_eq!(error.offset, 512 + 1024 + 512);
    assert_eq!(error.path.as_deref(), Some(&b"b/.wh."[..]));
    let place = "whiteout without a name (entry b/.wh., at byte 2048 of the unpacked layer)";
    assert_eq!(error.to_string(), place);
    let mut damaged = file("a", &[7; 600]);
    damaged.extend([1; 512]);
    // Where the header that is none begins.
    let error = read(&damaged).unwrap_err();
    assert_eq!(error.offset, 512 + 600);
    let place = " (at byte 1112 of the unpacked layer)";
    assert!(error.to_string().ends_with(place), "{error}");
}

/// POSIX.1-2017 pax, "pax Extended Header": a record without a value cancels what is in effect.
#[test]
fn records_without_a_value_leave_the_headers_fields() {
    let names = ["path", "linkpath", "size", "uid", "gid", "mtime"];
    let mut tar = pax(&names.map(|name| (name, &b""[..])));
    tar.extend(file("f", b"hello"));
    let (entry, body) = &read(&tar).unwrap()[0];
    assert_eq!(
        (entry.path.as_slice(), body.as_slice()),
        (&b"f"[..], &b"hello"[..])
    );
    assert_eq!(
        (entry.meta.uid, entry.meta.gid, entry.meta.mtime),
        (7, 8, 1_000)
    );
}

/// Old headers have no device numbers.
#[test]
fn device_numbers_of_every_kind_of_header() {
    let device = |mut header: tar::Header| {
        header.set_path("dev").unwrap();
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(0);
        header.set_entry_type(tar::EntryType::Char);
        // Refused where there is no place for them.
        let _ = header.set_device_major(10);
        let _ = header.set_device_minor(200);
        header.set_cksum();
        read(header.as_bytes()).unwrap()[0].0.kind.clone()
    };
    for header in [tar::Header::new_ustar(), tar::Header::new_gnu()] {
        let (major, minor) = (10, 200);
        assert_eq!(device(header), EntryKind::CharDevice { major, minor });
    }
    let (major, minor) = (0, 0);
    let old = device(tar::Header::new_old());
    assert_eq!(old, EntryKind::CharDevice { major, minor });
}

/// Digits of a sparse map would go into memory until the layer ends.
#[test]
fn a_number_of_a_sparse_map_has_twenty_digits_at_most() {
    let head = pax(&[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.realsize", b"3"),
    ]);
    let map = |first: &str| {
        let body = [
            padded(format!("{first}\n0\n3\n").as_bytes()),
            b"abc".to_vec(),
        ]
        .concat();
        read(&[head.clone(), file("f", &body)].concat())
    };
    assert_eq!(map("00000000000000000001").unwrap()[0].1, b"abc");
    map("000000000000000000001").unwrap_err();
}

#[test]
fn a_sparse_file_without_its_map_is_refused() {
    let version = pax(&[
        ("GNU.sparse.major", b"0"),
        ("GNU.sparse.minor", b"1"),
        ("GNU.sparse.size", b"3"),
    ]);
    let error = read(&[version, file("f", b"abc")].concat()).unwrap_err();
    assert!(error.to_string().contains("no map"), "{error}");
}

/// They take memory, and are of use to whoever makes a pack of gzip only.
#[test]
fn blocks_are_remembered_where_that_is_asked_for() {
    let tar = file("f", b"x");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&tar).unwrap();
    let gzip = gzip.finish().unwrap();
    for (blob, remember, want) in [
        (&gzip, true, true),
        (&gzip, false, false),
        (&tar, true, false),
    ] {
        let mut plain = decompress::decompress(&**blob, remember).unwrap();
        let mut bytes = Vec::new();
        plain.reader.read_to_end(&mut bytes).unwrap();
        assert!(bytes == tar);
        assert_eq!(plain.blocks.is_some(), want);
    }
}
