use super::*;

fn part(section: &str, entries: u64) -> Part {
    Part {
        section: section.to_owned(),
        entries,
        unpacked_bytes: 10 * entries,
        ..Part::default()
    }
}

fn parts() -> Parts {
    let service = Part {
        name: Some("a \"b\"\n".to_owned()),
        image: Some("docker.io/library/a:1".to_owned()),
        digest: Some("sha256:00".to_owned()),
        path: Some("containers/services/a".to_owned()),
        ..part("services", 3)
    };
    Parts {
        platform: "linux/amd64".to_owned(),
        parts: vec![part("init", 2), service],
    }
}

#[test]
fn a_list_comes_back_and_has_one_part_a_line() {
    let parts = parts();
    let list = parts.to_json();
    assert_eq!(Parts::parse(&list).unwrap(), parts);
    assert_eq!(parts.total(), (5, 50));
    let text = String::from_utf8(list).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2 + parts.parts.len(), "{text}");
    assert_eq!(
        lines[1],
        r#"{"section":"init","entries":2,"unpacked_bytes":20},"#
    );
    let none = Parts::default();
    assert_eq!(Parts::parse(&none.to_json()).unwrap(), none);
}

#[test]
fn keys_of_later_versions_are_passed_over() {
    let list = br#"{"platform":"","parts":[{"section":"init","entries":1,"unpacked_bytes":2,
        "later":[1]}],"later":{}}"#;
    assert_eq!(Parts::parse(list).unwrap().total(), (1, 2));
}

#[test]
fn what_is_no_list_is_refused() {
    let long = b" ".repeat(usize::try_from(LIST_MAX_BYTES).unwrap() + 1);
    for bad in [
        &b""[..],
        b"[]",
        b"{}",
        br#"{"platform":"","parts":{}}"#,
        br#"{"platform":"","parts":[{}]}"#,
        br#"{"platform":"","parts":[{"section":"a","entries":-1,"unpacked_bytes":0}]}"#,
        br#"{"platform":"","parts":[],"parts":[]}"#,
        b"{\"platform\":\"\xff\",\"parts\":[]}",
        &long,
        // Deeper than any stack is to go.
        &[br#"{"later":"#.as_slice(), &[b'['; 100_000]].concat(),
    ] {
        assert!(Parts::parse(bad).is_err());
    }
}

#[test]
fn counts_that_are_lies_do_not_overflow() {
    let lie = Part {
        entries: u64::MAX,
        unpacked_bytes: u64::MAX,
        ..Part::default()
    };
    let parts = Parts {
        parts: vec![lie.clone(), lie],
        ..Parts::default()
    };
    assert_eq!(parts.total(), (u64::MAX, u64::MAX));
}

#[test]
fn a_list_that_nobody_would_read_is_not_written() {
    let many = Parts {
        parts: vec![part("files", 1); 100_000],
        ..Parts::default()
    };
    assert!(many.to_json().is_empty());
}

#[test]
fn a_place_tells_its_section() {
    for (location, section) in [
        ("kernel", "kernel"),
        ("volume[3]", "volumes"),
        ("services[12]", "services"),
        ("files", "files"),
    ] {
        assert_eq!(Part::at(location).section, section);
    }
}
