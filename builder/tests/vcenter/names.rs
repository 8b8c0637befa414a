//! Names: of files that look like something else, of places that are not there or that there are
//! several of.

use testdata::{VCenter, VCenterOptions};

use crate::lab::{Lab, content, exit, run};

/// What a URL, a shell, a pattern, XML or vSphere could take for something else.
const FILES: [&str; 18] = [
    "a b.iso",
    "a+b.iso",
    "100%.iso",
    "a%20b.iso",
    "a&b=c.iso",
    "it's.iso",
    "a#b.iso",
    "a?b.iso",
    "a;b.iso",
    "a*b.iso",
    "[a] b.iso",
    "ü–日本.iso",
    "e\u{301}.iso",
    "a\"b.iso",
    "<a>.iso",
    "$(a)`b`.iso",
    "a\\b.iso",
    " .iso",
];

#[test]
fn names_are_taken_as_they_are() {
    let options = VCenterOptions {
        datastore: Some("ISOs +&#?;' (ü)".into()),
        ..VCenterOptions::default()
    };
    let Some(lab) = Lab::with(&options) else {
        return;
    };
    let datastore = options.datastore.as_deref().unwrap();
    let place = ["--datastore", datastore, "--folder", "x & y/+%41"];
    let arguments = [&place[..], &FILES].concat();
    for (i, name) in (0..).zip(FILES) {
        lab.file(name, i, 1000 + name.len());
    }
    let outcomes = lab.must_push(&arguments);
    assert!(outcomes.iter().all(|outcome| outcome == "pushed"));
    let mut expected: Vec<_> = (0..)
        .zip(FILES)
        .map(|(i, name)| (format!("x & y/+%41/{name}"), content(i, 1000 + name.len())))
        .collect();
    expected.sort();
    assert_eq!(lab.vcenter.files("DC0", datastore), expected);
    // They are found again, too: as themselves and nothing else.
    let outcomes = lab.must_push(&arguments);
    assert!(outcomes.iter().all(|outcome| outcome == "already_there"));
    let Some(inventory) = lab.vcenter.inventory() else {
        return;
    };
    let seen = inventory.files("DC0", datastore).iter();
    let mut seen: Vec<_> = seen
        .filter_map(|file| file.size.map(|_| file.path.clone()))
        .collect();
    seen.sort();
    let expected: Vec<_> = expected.into_iter().map(|(path, _)| path).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_pattern_is_not_taken_for_the_file_that_it_fits() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("ab.iso", 1, 1000);
    lab.file("a?.iso", 1, 1000);
    lab.file("*.iso", 1, 1000);
    for name in ["ab.iso", "a?.iso", "*.iso"] {
        assert_eq!(
            lab.must_push(&["--folder", "x", name]),
            ["pushed"],
            "{name}"
        );
    }
    assert_eq!(lab.files().len(), 3);
}

#[test]
fn paths_that_are_none_are_refused() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("a.iso", 1, 1000);
    for folder in [
        "../x",
        "x/../../y",
        "x//y",
        "x/./y",
        "x\u{0}y",
        "[LocalDS_0] x",
    ] {
        // No process can be given a zero byte; the others are for the program to refuse or take.
        if folder.contains('\0') {
            continue;
        }
        let ran = lab.push(&["--folder", folder, "a.iso"]);
        let paths: Vec<_> = lab.files().into_keys().collect();
        assert!(
            ran.code == exit::USAGE && paths.is_empty() || ran.code == exit::DONE,
            "{folder}: {ran:?} {paths:?}"
        );
        if folder.contains("..") {
            assert_eq!(ran.code, exit::USAGE, "{folder}");
        }
        let _ = std::fs::remove_dir_all(lab.vcenter.datastore("DC0", "LocalDS_0").join("x"));
        let _ = std::fs::remove_dir_all(
            lab.vcenter
                .datastore("DC0", "LocalDS_0")
                .join("[LocalDS_0] x"),
        );
    }
}

#[test]
fn wrong_and_ambiguous_names_list_what_there_is() {
    let options = VCenterOptions::two_datacenters();
    let Some(lab) = Lab::with(&options) else {
        return;
    };
    lab.file("a.iso", 1, 1000);
    let ran = lab.push(&["a.iso"]);
    ran.assert(exit::NAME, &["DC0", "EMEA/Lab 1/DC1"]);
    let ran = lab.push(&["--datacenter", "DC2", "a.iso"]);
    ran.assert(exit::NAME, &["DC2", "DC0", "EMEA/Lab 1/DC1"]);
    let ran = lab.push(&["--datacenter", "DC0", "a.iso"]);
    ran.assert(exit::NAME, &["LocalDS_0", "LocalDS_1"]);
    let ran = lab.push(&["--datacenter", "DC0", "--datastore", "SSD", "a.iso"]);
    ran.assert(exit::NAME, &["SSD", "LocalDS_0", "LocalDS_1"]);
    assert_eq!(lab.puts(), 0);
    assert_eq!(lab.vcenter.sessions(), 0);

    let paths = ["DC1", "EMEA/Lab 1/DC1", "/EMEA/Lab 1/DC1"];
    for (datacenter, datastore) in paths.into_iter().zip([
        "LocalDS_1",
        "F0/LocalDS_1",
        "/EMEA/Lab 1/DC1/datastore/F0/LocalDS_1",
    ]) {
        let place = ["--datacenter", datacenter, "--datastore", datastore];
        lab.must_push(&[&place[..], &["a.iso"]].concat());
    }
    let there = lab.vcenter.files("EMEA/Lab 1/DC1", "LocalDS_1");
    assert_eq!(there.len(), 1);
    for (datacenter, datastore) in [
        ("DC0", "LocalDS_0"),
        ("DC0", "LocalDS_1"),
        ("EMEA/Lab 1/DC1", "LocalDS_0"),
    ] {
        assert!(lab.vcenter.files(datacenter, datastore).is_empty());
    }
}

#[test]
fn flags_come_before_linuxkits_variables_and_those_before_govcs() {
    let Some(lab) = Lab::with(&VCenterOptions::two_datacenters()) else {
        return;
    };
    lab.file("a.iso", 1, 1000);
    let push = |variables: &[(&str, &str)], flags: &[&str]| {
        let mut command = lab.command();
        command
            .args(["push", "vcenter", "a.iso"])
            .args(flags)
            .envs(variables.iter().copied());
        run(&mut command).assert(exit::DONE, &[]);
    };
    let assert_at = |datacenter: &str, datastore: &str| {
        let place = lab.vcenter.datastore(datacenter, datastore);
        std::fs::remove_dir_all(place.join("a")).unwrap();
    };
    let govc = [("GOVC_DATACENTER", "DC0"), ("GOVC_DATASTORE", "LocalDS_0")];
    push(&govc, &[]);
    assert_at("DC0", "LocalDS_0");
    let linuxkit = [("VCDATACENTER", "DC1"), ("VCDATASTORE", "LocalDS_1")];
    let both = [govc, linuxkit].concat();
    push(&both, &[]);
    assert_at("EMEA/Lab 1/DC1", "LocalDS_1");
    push(&both, &["--datacenter", "DC0"]);
    assert_at("DC0", "LocalDS_1");
    let url = [
        ("GOVC_URL", "https://127.0.0.1:1"),
        ("VCURL", lab.vcenter.url()),
    ];
    push(&[&both[..], &url].concat(), &[]);
    assert_at("EMEA/Lab 1/DC1", "LocalDS_1");
    let empty = [("VCDATACENTER", ""), ("VCDATASTORE", "")];
    push(&[&govc[..], &empty].concat(), &[]);
    assert_at("DC0", "LocalDS_0");
    let user = [("GOVC_USERNAME", "somebody else")];
    push(&[&both[..], &user].concat(), &["--username", VCenter::USER]);
    assert_at("EMEA/Lab 1/DC1", "LocalDS_1");
}
