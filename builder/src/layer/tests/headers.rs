//! Headers at the edges of what they may hold.

use std::io::{self, Read};

use super::*;

/// A header whose modification time has these twelve bytes.
fn with_mtime(field: &[u8; 12]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header
        .as_mut_bytes()
        .copy_from_slice(&super::header("f", b'0', 0));
    header.as_old_mut().mtime = *field;
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// POSIX.1-2017 pax, "ustar Interchange Format", and GNU's base-256, which is two's complement.
#[test]
fn numbers_of_headers_are_octal_or_base_256() {
    let octal: [(&[u8; 12], i64); 7] = [
        (b"00000001750\0", 1000),
        (b"        1750", 1000),
        (b"\x00\x001750 \0    ", 1000),
        (b"1750 9      ", 1000),
        (b"777777777777", 0o777_777_777_777),
        (b"            ", 0),
        (&[0; 12], 0),
    ];
    let base_256 = [
        (1000, Some(1000)),
        (1 << 56, Some(1 << 56)),
        (i128::from(i64::MAX), Some(i64::MAX)),
        (i128::from(i64::MAX) + 1, None),
        (1 << 80, None),
        ((1 << 94) - 1, None),
        (-1, Some(-1)),
        (-1000, Some(-1000)),
        (i128::from(i64::MIN), Some(i64::MIN)),
        (i128::from(i64::MIN) - 1, None),
        (-(1 << 94), None),
        (-(1 << 94) + (1 << 88) - 1, None),
    ];
    let fields = base_256.map(|(number, want): (i128, _)| {
        let mut field: [u8; 12] = number.to_be_bytes()[4..].try_into().unwrap();
        field[0] |= 0x80;
        (field, want)
    });
    let fields = fields.into_iter().chain(octal.map(|(f, n)| (*f, Some(n))));
    for (field, want) in fields {
        let mtime = read(&with_mtime(&field)).map(|seen| seen[0].0.meta.mtime);
        assert_eq!(mtime.ok(), want, "{field:x?}");
    }
    for field in [
        b"0000000175/\0",
        b"00000001758\0",
        b"0x0000000000",
        b"-1          ",
    ] {
        let error = read(&with_mtime(field)).unwrap_err();
        assert!(
            matches!(error.kind, LayerErrorKind::Number { field: "mtime", .. }),
            "{error}"
        );
    }
}

#[test]
fn a_pax_record_s_length_lies_within_its_header() {
    let records = |body: &[u8]| {
        let head = header("PaxHeaders/x", b'x', body.len() as u64);
        read(&[head.as_slice(), &padded(body), &file("f", b"")].concat())
    };
    for body in [
        "0 a=b\n", "1 a=b\n", "2 a=b\n", "7 a=b\n", "99 a=b\n", " a=b\n", "x a=b\n",
    ] {
        let error = records(body.as_bytes()).unwrap_err().to_string();
        assert!(
            error.contains("a record's length is wrong"),
            "{body}: {error}"
        );
    }
    for body in ["3 \n", "4 =\n", "5 =b\n", "5 ab\n", "8 path=g\n"] {
        let error = records(body.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("malformed PAX header"), "{body}: {error}");
    }
    let seen = records(b"9 path=g\n6 a=b\n5 a=\n").unwrap();
    assert_eq!(seen[0].0.path, b"g");
}

/// Where an archive ends after one, what it belongs to is lost.
#[test]
fn an_extension_header_without_its_file_is_truncated() {
    let long = |kind| [header("x", kind, 2).as_slice(), &padded(b"n\0")].concat();
    for head in [pax(&[("comment", b"x")]), long(b'L'), long(b'K')] {
        for tail in [&[][..], &[0; 512], &[0; 1024]] {
            let error = read(&[&head, tail].concat()).unwrap_err();
            assert!(matches!(error.kind, LayerErrorKind::Truncated), "{error}");
        }
    }
    // Global records belong to no file.
    let mut global = pax(&[("comment", b"x")]);
    global[156] = b'g';
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes().copy_from_slice(&global[..512]);
    header.set_cksum();
    global[..512].copy_from_slice(header.as_bytes());
    assert!(read(&global).unwrap().is_empty());
}

/// Fails once with each of the errors, then gives a byte at a time.
struct Failing<'a> {
    errors: Vec<io::Error>,
    bytes: &'a [u8],
}

impl Read for Failing<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.errors.pop() {
            Some(error) => Err(error),
            None => self.bytes.read(&mut buf[..1]),
        }
    }
}

#[test]
fn a_layer_that_can_t_be_read_is_not_called_short() {
    let tar = file("f", b"x");
    let read = |error: io::Error| {
        let errors = vec![error];
        let reader = Failing {
            errors,
            bytes: &tar,
        };
        read_plain_layer(reader, &Limits::default(), |_, _| Ok(()))
    };
    assert_eq!(read(io::ErrorKind::Interrupted.into()).unwrap().entries, 1);
    // EIO, as a broken disk gives it.
    let error = read(io::Error::from_raw_os_error(5)).unwrap_err();
    assert!(matches!(error.kind, LayerErrorKind::Read(_)), "{error}");
    let error = read(io::Error::other("no route")).unwrap_err();
    assert!(error.to_string().contains("no route"), "{error}");
    let error = read(io::ErrorKind::UnexpectedEof.into()).unwrap_err();
    assert!(matches!(error.kind, LayerErrorKind::Truncated), "{error}");
}

/// Rust's own parser takes a plus sign.
#[test]
fn a_pax_number_is_digits_only() {
    for text in [
        "",
        "+5",
        "-5",
        " 5",
        "5 ",
        "5.",
        "0x5",
        "18446744073709551616",
    ] {
        assert_eq!(pax::decimal(text.as_bytes()), None, "{text}");
    }
    for text in ["5", "005", "18446744073709551615"] {
        assert_eq!(pax::decimal(text.as_bytes()), text.parse().ok(), "{text}");
    }
}

/// The last record of a name counts, whatever stands between.
#[test]
fn extended_attributes_are_told_apart_by_their_whole_name() {
    let mut tar = pax(&[
        ("SCHILY.xattr.user.a", b"1"),
        ("SCHILY.xattr.user.b", b"2"),
        ("SCHILY.xattr.user.a", b"3"),
    ]);
    tar.extend(file("f", b""));
    let seen = read(&tar).unwrap();
    let mut xattrs: Vec<_> = seen[0]
        .0
        .xattrs
        .iter()
        .map(|x| (&*x.name, &*x.value))
        .collect();
    xattrs.sort();
    assert_eq!(xattrs, [(&b"user.a"[..], &b"3"[..]), (b"user.b", b"2")]);
}

/// A mebibyte of headers has room for fifty thousand attributes: each was compared with all others,
/// which took seconds for every file.
#[test]
fn attributes_beyond_number_take_no_time_beyond_their_length() {
    let names: Vec<String> = (0..40_000).map(|n| format!("SCHILY.xattr.{n}")).collect();
    let records: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), &b""[..])).collect();
    let tar = [pax(&records), file("f", b"")].concat().repeat(8);
    let start = std::time::Instant::now();
    let entries = read(&tar).unwrap();
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
    assert!(
        entries
            .iter()
            .all(|(entry, _)| entry.xattrs.len() == 40_000)
    );
}

#[test]
fn of_an_attribute_that_comes_twice_the_last_counts() {
    let xattr = |name: &'static str, value: &'static [u8]| (name, value);
    let tar = [
        pax(&[
            xattr("SCHILY.xattr.a", b"1"),
            xattr("SCHILY.xattr.b", b"2"),
            xattr("SCHILY.xattr.a", b"3"),
        ]),
        file("f", b""),
    ];
    let entries = read(&tar.concat()).unwrap();
    let xattrs: Vec<_> = (entries[0].0.xattrs.iter())
        .map(|x| (&*x.name, &*x.value))
        .collect();
    assert_eq!(xattrs, [(&b"b"[..], &b"2"[..]), (b"a", b"3")]);
}

/// Path, target, names and values of attributes, and what each attribute takes besides.
#[test]
fn all_that_is_kept_of_entries_is_counted() {
    let tar = [
        pax(&[("SCHILY.xattr.user.a", b"value"), ("linkpath", b"target")]),
        header("link", b'2', 0).to_vec(),
        file("f", b"the body does not count"),
    ];
    let limits = |metadata_bytes| Limits {
        metadata_bytes,
        ..Limits::default()
    };
    let bytes = "link".len() + "target".len() + "user.a".len() + "value".len() + "f".len();
    let bytes = bytes + 96;
    assert!(read_with(&tar.concat(), &limits(bytes as u64)).is_ok());
    let error = read_with(&tar.concat(), &limits(bytes as u64 - 1)).unwrap_err();
    assert!(
        error.to_string().contains("--max-metadata-bytes"),
        "{error}"
    );
}

/// An attribute of a few bytes takes a hundred: a blob of 28 MB had room for 8 GB of them.
#[test]
fn attributes_of_a_few_bytes_count_for_what_they_take() {
    let names: Vec<String> = (100..900).map(|n| format!("SCHILY.xattr.{n}")).collect();
    let records: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), &b""[..])).collect();
    let tar = [pax(&records), file("f", b"")].concat();
    let limits = |metadata_bytes| Limits {
        metadata_bytes,
        ..Limits::default()
    };
    let bytes = 800 * (96 + 3) + 1;
    assert!(read_with(&tar, &limits(bytes)).is_ok());
    let error = read_with(&tar, &limits(bytes - 1)).unwrap_err().to_string();
    assert!(error.contains("--max-metadata-bytes"), "{error}");
}

/// Only the last of one name is kept; those before it leave no room behind that nobody counts.
#[test]
fn attributes_that_do_not_count_take_no_memory() {
    let records: Vec<(&str, &[u8])> = vec![("SCHILY.xattr.a", b""); 40_000];
    let entries = read(&[pax(&records), file("f", b"")].concat()).unwrap();
    assert_eq!(entries[0].0.xattrs.len(), 1);
    let room = entries[0].0.xattrs.capacity();
    assert!(room < 10, "{room}");
}

/// The kernel's unpacker would leave such files out without a word.
#[test]
fn names_that_no_system_takes_are_refused() {
    let named = |name: &str| read(&[pax(&[("path", name.as_bytes())]), file("f", b"")].concat());
    let (fits, long) = ("x".repeat(255), "x".repeat(256));
    assert_eq!(named(&format!("d/{fits}")).unwrap()[0].0.path.len(), 257);
    for name in [format!("d/{long}"), format!("{long}/f")] {
        let error = named(&name).unwrap_err().to_string();
        assert!(error.contains("longer than 255 bytes"), "{error}");
    }
    // The marker is no part of the name.
    let whiteout = named(&format!(".wh.{fits}")).unwrap();
    assert_eq!(whiteout[0].0.path, fits.as_bytes());
}
