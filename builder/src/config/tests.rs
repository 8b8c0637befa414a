use super::*;

fn read(yaml: &str) -> Moby {
    load(&[("t.yml", yaml.as_bytes())])
        .unwrap_or_else(|e| panic!("{e}"))
        .moby
}

fn error(yaml: &str) -> String {
    load(&[("t.yml", yaml.as_bytes())])
        .expect_err(yaml)
        .to_string()
}

fn service(settings: &str) -> String {
    format!("services:\n  - name: a\n    image: b\n    {settings}\n")
}

#[test]
fn booleans_are_read_as_yaml_1_1_spells_them() {
    for (text, value) in [
        ("yes", true),
        ("on", true),
        ("True", true),
        ("no", false),
        ("OFF", false),
    ] {
        let moby = read(&service(&format!("readonly: {text}")));
        assert_eq!(moby.services[0].settings.readonly, Some(value), "{text}");
    }
    let text = error(&service("readonly: \"yes\""));
    assert!(
        text.starts_with("t.yml:4:15: \"readonly\" must be true or false"),
        "{text}"
    );
    // Where text is wanted they are text.
    let moby = read(&service("hostname: on"));
    assert_eq!(
        moby.services[0]
            .settings
            .hostname
            .as_ref()
            .unwrap()
            .as_str(),
        "on"
    );
}

#[test]
fn modes_are_octal_however_they_are_written() {
    let file = |mode: &str| format!("files:\n  - {{path: a, contents: x, mode: {mode}}}\n");
    for mode in [
        "\"0644\"",
        "\"644\"",
        "0644",
        "0o644",
        "\"0o644\"",
        "\"0100644\"",
    ] {
        let moby = read(&file(mode));
        assert_eq!(moby.files[0].mode_bits(), 0o644, "{mode}");
        assert_eq!(moby.files[0].parent_mode_bits(), 0o755, "{mode}");
    }
    let loaded = load(&[("t.yml", file("0644").as_bytes())]).unwrap();
    assert!(
        loaded.warnings[0]
            .to_string()
            .contains("0644 is taken as octal")
    );
    assert!(
        load(&[("t.yml", file("0o644").as_bytes())])
            .unwrap()
            .warnings
            .is_empty()
    );
    for mode in [
        "644",
        "420",
        "\"0888\"",
        "\"-644\"",
        "\"0040755\"",
        "\"200000\"",
        "0888",
    ] {
        assert!(error(&file(mode)).starts_with("t.yml:2:"), "{mode}");
    }
    // An empty mode is no mode, as in LinuxKit.
    assert!(read(&file("\"\"")).files[0].mode.is_none());
    assert!(error(&file("644")).contains("put the octal digits in quotes: \"644\""));
}

#[test]
fn ids_are_numbers_or_names() {
    let moby = read(&service("additionalGids: [7, 7.0, \"7\", a, root, \"\"]"));
    let ids = Ids::new(&moby);
    let groups = moby.services[0].settings.additional_gids.as_ref().unwrap();
    let numbers: Vec<u32> = groups.iter().map(|g| ids.number(g).unwrap()).collect();
    assert_eq!(numbers, [7, 7, 7, 100, 0, 0]);
    for id in [
        "-1",
        "4294967296",
        "1.5",
        "true",
        "[1]",
        "nobody",
        "\"-1\"",
        "\"99999999999\"",
    ] {
        assert!(
            error(&service(&format!("uid: {id}"))).starts_with("t.yml:4:10: "),
            "{id}"
        );
    }
}

#[test]
fn a_name_used_twice_is_wrong_only_where_an_id_refers_to_it() {
    let twice = "onboot:\n  - {name: a, image: x}\n  - {name: a, image: x}\n";
    read(twice);
    let text = error(&format!(
        "{twice}files:\n  - {{path: f, contents: '', uid: a}}\n"
    ));
    assert!(
        text.contains("several containers are called \"a\""),
        "{text}"
    );
}

#[test]
fn anchors_and_merge_keys() {
    let moby = read(
        "services:\n  - &base\n    name: a\n    image: i\n    env: &env [A=1]\n    net: new\n  \
         - <<: *base\n    name: b\n    net: host\n  - <<: [{name: c, net: root}, *base]\n    \
         binds: *env\n",
    );
    let names: Vec<&str> = moby.services.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let nets: Vec<&str> = moby
        .services
        .iter()
        .map(|s| s.settings.net.as_ref().unwrap().as_str())
        .collect();
    assert_eq!(nets, ["new", "host", "root"]);
    assert_eq!(
        moby.services[2].settings.binds.as_ref().unwrap()[0].as_str(),
        "A=1"
    );
    assert!(error("services: &a [*a]\n").contains("inside its own anchor"));
    assert!(error("services: [{<<: 1}]\n").contains("\"<<\" merges mappings"));
    let twice = error("a: &a {}\nb: {<<: *a, <<: *a}\n");
    assert!(
        twice.contains("the key \"<<\" is here for the second time"),
        "{twice}"
    );
    assert!(error("services: *none\n").starts_with("t.yml:1:11: not YAML"));
}

/// Aliases of aliases, as lists and as merged mappings: refused without being expanded.
#[test]
fn billion_laughs() {
    let mut list = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
    let mut merge = String::from("a: &a {");
    for i in 0..1000 {
        merge += &format!("k{i}: x,");
    }
    merge += "}\nb: [";
    for i in 0..20_u8 {
        let (this, last) = (char::from(b'b' + i), char::from(b'a' + i));
        let aliases = vec![format!("*{last}"); 10].join(",");
        list += &format!("{this}: &{this} [{aliases}]\n");
    }
    merge += &"{<<: *a},".repeat(100_000);
    merge += "]\n";
    for yaml in [
        list,
        merge,
        format!("a: &a {}\nb: [{}]", "x".repeat(1 << 20), "*a,".repeat(100)),
    ] {
        let text = error(&yaml);
        assert!(
            text.contains("t.yml has more than 100000 values or 67108864 bytes"),
            "{}",
            &text[..200.min(text.len())]
        );
    }
}

#[test]
fn what_is_too_deep_or_too_large_is_refused() {
    // At the bound itself, where the parser's own, wider one does not come into it. The mapping around
    // them counts as well.
    let nested = |count| error(&format!("a: {}{}", "[".repeat(count), "]".repeat(count)));
    assert!(nested(32).contains("more than 32 collections inside one another"));
    assert!(!nested(31).contains("more than 32 collections"));
    for yaml in [
        "[".repeat(100_000),
        "- ".repeat(100_000),
        "{a: ".repeat(40) + &"}".repeat(40),
        // Deep only where the aliases lead.
        format!(
            "a: &a {}{}\nb: {}*a{}",
            "[".repeat(20),
            "]".repeat(20),
            "[".repeat(20),
            "]".repeat(20)
        ),
    ] {
        let text = error(&yaml);
        assert!(text.starts_with("t.yml:"), "{text}");
        assert!(
            text.contains("more than 32 collections inside one another"),
            "{text}"
        );
    }
    // As many values as none has, without an alias.
    let many = format!("a: [{}]", "x,".repeat(100_001));
    assert!(error(&many).contains("more than 100000 values"));
    let large = vec![b' '; node::MAX_BYTES + 1];
    let text = load(&[("t.yml", &large)]).unwrap_err().to_string();
    assert!(text.contains("bytes of YAML are more than"), "{text}");
}

#[test]
fn a_literal_at_the_end_of_the_file_has_the_line_breaks_that_are_there() {
    for end in ["", "\n"] {
        let moby = read(&format!(
            "files:\n  - path: a\n    contents: |\n      x{end}"
        ));
        let FileContent::Inline(bytes) = &moby.files[0].content else {
            panic!("not inline")
        };
        assert_eq!(bytes, format!("x{end}").as_bytes());
    }
}

#[test]
fn long_keys_survive_being_written_out() {
    for (character, written) in [("k", "k"), ("\u{1}", "\\x01"), ("\u{feff}", "\\uFEFF")] {
        let key = written.repeat(1024);
        let moby = read(&service(&format!("sysctl: {{? \"{key}\" : x}}")));
        let sysctl = moby.services[0].settings.sysctl.as_ref().unwrap();
        assert_eq!(sysctl.keys().next().unwrap(), &character.repeat(1024));
        for written in [dry_run_yaml(&moby), metadata_json(&moby)] {
            assert_eq!(metadata_yaml(&read(&written)), metadata_yaml(&moby));
        }
    }
    let key = "k".repeat(1025);
    assert!(error(&service(&format!("sysctl: {{{key}: x}}"))).contains("a key of more than 1024"));
}

#[test]
fn bytes_that_are_not_a_document() {
    assert!(error("").contains("there is nothing in it"));
    assert!(error("---\n").contains("must be a mapping, but this is nothing"));
    let text = load(&[("t.yml", b"init: []\n# \xff")])
        .unwrap_err()
        .to_string();
    assert!(
        text.starts_with("t.yml:2:3: what follows is not UTF-8"),
        "{text}"
    );
    assert!(error("init: []\n---\ninit: []\n").starts_with("t.yml:2:1: a second YAML document"));
    read("---\ninit: []\n...\n");
    read("\u{feff}init: []\n");
    assert!(error("init: !foo []\n").contains("the tag \"!foo\" has no meaning here"));
    assert_eq!(read("init: [!!str b]\n").init.len(), 1);
}

#[test]
fn several_files_are_appended() {
    let first = b"kernel: {image: k:1, cmdline: one, tar: none}\ninit: [a]\nvolumes: [{name: v}]\n";
    let second = b"kernel: {image: k:2, ucode: u}\ninit: [b]\nservices: [{name: s, image: i}]\n";
    let moby = load(&[("1.yml", first), ("2.yml", second)]).unwrap().moby;
    assert_eq!(moby.kernel.image.as_ref().unwrap().original(), "k:2");
    assert_eq!(
        (moby.kernel.cmdline(), moby.kernel.tar_path()),
        ("one", None)
    );
    assert_eq!(moby.kernel.ucode_path(), Some("u"));
    assert_eq!(moby.init.len(), 2);
    // Not the last file's volumes only, as LinuxKit has it.
    assert!(moby.volume("v").is_some());
    let text = load(&[("1.yml", first), ("2.yml", first)])
        .unwrap_err()
        .to_string();
    assert!(
        text.starts_with("2.yml:3:18: a second volume is called \"v\""),
        "{text}"
    );
    assert!(text.contains("the first is at 1.yml:3:18"), "{text}");
    let services = b"services: [{name: s, image: i}]\n";
    assert!(load(&[("1.yml", services), ("2.yml", services)]).is_err());
}

#[test]
fn all_errors_are_told_in_order_and_each_once() {
    let text =
        error("init: x\nkernel:\n  imgae: k\n  tar: 1\nservices:\n  - imgae: i\n    name: 5\n");
    let places: Vec<&str> = text.lines().filter(|l| l.starts_with("t.yml")).collect();
    assert_eq!(
        places,
        [
            "t.yml:1:7: \"init\" must be a list, but this is text",
            "t.yml:3:3: \"kernel\" has no key \"imgae\"",
            "t.yml:4:8: \"tar\" must be text, but this is an integer",
            "t.yml:6:5: a container of services has no key \"imgae\"",
            "t.yml:7:11: the name of a container of services must be text, but this is an integer",
        ]
    );
    let many = format!("init: [{}]", "1,".repeat(30));
    assert!(error(&many).ends_with("and 10 more"));
}

#[test]
fn package_templates_are_refused_with_what_to_write() {
    let text = error("init:\n  - \"@pkg:./pkg/init\"\n");
    assert!(text.starts_with("t.yml:2:5: \"@pkg:./pkg/init\" is a template of a package"));
    assert!(text.contains("linuxkit pkg show-tag"), "{text}");
}

#[test]
fn trust_is_accepted_with_a_warning() {
    let loaded = load(&[("t.yml", b"trust:\n  org: [linuxkit]\ninit: []\n")]).unwrap();
    assert!(
        loaded.warnings[0]
            .to_string()
            .starts_with("t.yml:1:1: \"trust\" does nothing")
    );
    assert!(error("trust: {orgs: [x]}\n").contains("did you mean \"org\"?"));
}

#[test]
fn files_that_cannot_be_where_they_are_said_to_be() {
    let two = |a: &str, b: &str| error(&format!("files:\n  - {{{a}}}\n  - {{{b}}}\n"));
    let file = "path: /a, contents: x";
    for below in ["path: a/b, contents: x", "path: ./a//b/c, directory: true"] {
        assert!(two(file, below).contains("is a file"), "{below}");
        assert!(two(below, file).contains("is a file"), "{below}");
    }
    assert!(two(file, "path: a, directory: true").contains("both a directory and none"));
    for path in ["..", "a/../b", "/", ".", "", "../x"] {
        let yaml = format!("files:\n  - {{path: \"{path}\", contents: x}}\n");
        assert!(
            error(&yaml).starts_with("t.yml:2:12: the path of a file"),
            "{path}"
        );
    }
    let moby = read("files:\n  - {path: //a/./b//c/, contents: x}\n");
    assert_eq!(moby.files[0].image_path(), "a/b/c");
    // What may not be there cannot stand in the way.
    read("files:\n  - {path: a, source: s, optional: true}\n  - {path: a/b, contents: x}\n");
}

#[test]
fn hostile_files_cost_little() {
    let deep = format!("files:\n  - {{path: {}, contents: x}}\n", "a/".repeat(300));
    assert!(error(&deep).contains("too long or too deep"));
    let unknown: String = (0..40_000)
        .map(|i| format!("capabilitie{i}: x\n"))
        .collect();
    assert!(error(&unknown).ends_with("and 80 more"));
}

#[test]
fn labels_are_json_as_tools_write_it() {
    let settings = label(
        "x",
        "{\n\t\"hostname\": \"\\u00e9\\ud83d\\ude00\\/\",\n\t\"env\": [\"A=<b>\"],\r\n\"uid\":5}",
    )
    .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(settings.hostname.unwrap().as_str(), "é😀/");
    for wrong in [
        "null",
        "[]",
        "hello",
        "{\"name\": \"x\"}",
        "{\"a\":1,\"a\":2}",
        "{",
        "{}{}",
    ] {
        let text = label("x", wrong).expect_err(wrong).to_string();
        assert!(
            text.starts_with("label org.mobyproject.config of x:1:"),
            "{text}"
        );
    }
}

#[test]
fn volumes() {
    let moby = read(
        "volumes:\n  - {name: v, image: i, format: oci, platforms: [linux/amd64]}\n  - {name: w}\n",
    );
    assert_eq!(moby.volumes[0].format(), VolumeFormat::Oci);
    assert_eq!(moby.volumes[1].merged_path(), "containers/volumes/w/merged");
    let text = error("volumes:\n  - {name: v, format: oci}\n");
    assert!(text.contains("must have an image"), "{text}");
    for name in ["", "..", "A", "a/b", "a b"] {
        let text = error(&format!("volumes:\n  - name: \"{name}\"\n"));
        assert!(text.contains("cannot be the name of a volume"), "{name}");
    }
}

#[test]
fn every_key_survives_being_written_out() {
    let yaml = include_str!("testdata/every-key.yml");
    let moby = read(yaml);
    let written = dry_run_yaml(&moby);
    let again = read(&written);
    assert_eq!(dry_run_yaml(&again), written);
    assert_eq!(metadata_json(&again), metadata_json(&moby));
    // JSON is YAML, so the other form can be read back, too.
    let json = read(&metadata_json(&moby));
    assert_eq!(metadata_json(&json), metadata_json(&moby));
    for key in yaml
        .lines()
        .filter_map(|l| l.split_once(':'))
        .map(|(k, _)| k)
    {
        let key = key.trim_start_matches([' ', '-', '{']);
        let lower = key.to_lowercase();
        assert!(
            written.to_lowercase().contains(&format!("{lower}:")),
            "{key} is lost"
        );
    }
}

/// LinuxKit's own answers for its own files: the same are refused, and the others written out with
/// the same bytes. No exceptions; the two files of bad YAML are bad by the specification, too:
/// * `examples/static-ip.yml`: a comment in column 1 follows `contents: |`. A comment cannot stand
///   inside a literal scalar, so it ends the (empty) scalar (YAML 1.2.2, 8.1.1.1), and the next
///   line is text deeper than its mapping, without a key.
/// * `projects/miragesdk/yaml/dhcp-client.yml`: a list at the left margin, then the key `files:`
///   at the same margin. A node is a list or a mapping (8.2).
#[test]
fn the_corpus_means_what_it_means_to_linuxkit() {
    let Some(vectors) = testdata::vectors_dir() else {
        return;
    };
    let results = std::fs::read_to_string(vectors.join("corpus-results.tsv")).unwrap();
    let mut accepted = 0;
    for line in results.lines().skip(1) {
        let mut columns = line.split('\t');
        let (path, code) = (columns.next().unwrap(), columns.next().unwrap());
        let bytes = std::fs::read(vectors.join("yaml-corpus").join(path)).unwrap();
        match (load(&[(path, &bytes)]), code) {
            (Ok(loaded), "0") => {
                accepted += 1;
                let dry_run = vectors.join("yaml-corpus-dryrun").join(path);
                let theirs = std::fs::read_to_string(dry_run).unwrap();
                assert_eq!(dry_run_yaml(&loaded.moby) + "\n", theirs, "{path}");
                let again = read(&theirs);
                assert_eq!(metadata_json(&again), metadata_json(&loaded.moby), "{path}");
            }
            (Err(error), "1") => assert!(error.to_string().starts_with(path), "{error}"),
            (Ok(_), _) => panic!("{path} is accepted, but not by LinuxKit"),
            (Err(error), _) => panic!("{error}"),
        }
    }
    assert!(accepted > 180, "only {accepted} files");
}

/// What LinuxKit writes for `metadata:`, except that its JSON has null for empty sections.
#[test]
fn metadata_is_linuxkits() {
    let kept = testdata::workspace_dir().join("testdata/vectors/assembly");
    let mut compared = 0;
    for case in std::fs::read_dir(kept).unwrap().map(|e| e.unwrap().path()) {
        let Ok(yaml) = std::fs::read_to_string(case.join("linuxkit.yml")) else {
            continue;
        };
        let moby = read(&yaml);
        for file in &moby.files {
            let FileContent::Metadata(form) = file.content else {
                continue;
            };
            let path = case.join("contents").join(file.image_path());
            let Ok(wanted) = std::fs::read_to_string(path) else {
                continue;
            };
            compared += 1;
            match form {
                Metadata::Yaml => assert_eq!(metadata_yaml(&moby), wanted),
                Metadata::Json => assert_eq!(metadata_json(&moby), wanted.replace("null", "[]")),
            }
        }
    }
    assert!(compared >= 2, "only {compared} files");
}

#[test]
fn rules_for_devices_that_do_not_exist_are_refused() {
    let rule = |rule: &str| {
        format!("services:\n  - {{name: a, image: i, resources: {{devices: [{rule}]}}}}\n")
    };
    assert!(error(&rule("{type: zz}")).contains("\"zz\" is not a type of devices"));
    assert!(error(&rule("{access: x}")).contains("\"x\" is not an access to devices"));
    read(&rule(
        "{allow: true, type: a, access: rwm}, {}, {access: \"\"}",
    ));
}

#[test]
fn lists_to_add_beside_the_list_itself_are_warned_of() {
    let loaded = load(&[(
        "a.yml",
        b"services:\n  - name: a\n    image: i\n    capabilities: []\n    \
          capabilities.add: [CAP_KILL]\n    binds.add: [\"/a:/a\"]\n",
    )]);
    let warnings: Vec<String> = loaded
        .unwrap()
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("a.yml:5:24: \"capabilities.add\" does nothing"));
}

#[test]
fn platforms_are_an_os_and_an_architecture() {
    let volume = |platform: &str| {
        format!("volumes:\n  - {{name: v, image: i, format: oci, platforms: [{platform}]}}\n")
    };
    for wrong in ["amd64", "linux/", "linux/arm/v7/x"] {
        let text = error(&volume(wrong));
        assert!(text.starts_with("t.yml:2:50: "), "{text}");
        assert!(text.contains("is not a platform"), "{text}");
    }
    read(&volume("linux/amd64, linux/arm/v7"));
}
