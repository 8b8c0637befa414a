use super::yaml::{Style, write};
use super::*;
use crate::config::{Settings, load};

#[test]
fn json_escapes_what_go_escapes() {
    let value = Value::from("<&>\u{2028}\u{2029}\"\\\u{8}\u{c}\n\r\t\u{1}\u{7f}ü/");
    assert_eq!(
        value.to_go_json(),
        r#""\u003c\u0026\u003e\u2028\u2029\"\\\b\f\n\r\t\u0001"#.to_owned() + "\u{7f}ü/\""
    );
    let empty = MapBuilder::new()
        .put("a", Vec::<String>::new())
        .put("b", MapBuilder::new());
    assert_eq!(
        empty.build().to_go_json(),
        "{\n    \"a\": [],\n    \"b\": {}\n}"
    );
}

/// Whatever text is written as YAML is read back as the same text, in both styles.
#[test]
fn yaml_text_survives_a_round_trip() {
    let texts = [
        "",
        " ",
        "a",
        "a b",
        " a",
        "a ",
        "-",
        "- a",
        "-a",
        "--- a",
        "...",
        "? a",
        "?",
        ":",
        "a:",
        "a: b",
        "a:b",
        "#a",
        "a #b",
        "a#b",
        "'",
        "\"",
        "it's",
        "%a",
        "@a",
        "`a`",
        "[a]",
        "{a}",
        "a, b",
        "*a",
        "&a",
        "!a",
        "|",
        ">",
        "yes",
        "no",
        "on",
        "true",
        "null",
        "~",
        "1",
        "0755",
        "1.5",
        "1e3",
        ".inf",
        "1:30",
        "2001-01-01",
        "a\nb",
        "a\nb\n",
        "a\n\n",
        "\n",
        "\na",
        " a\nb",
        "a \nb",
        "a\n b\n",
        "a\tb",
        "\ta",
        "a\n\tb\n",
        "\u{1}",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "ü",
        "\u{feff}",
        "😀",
        "a\rb",
        "a\r\nb",
        "\\",
        "<<",
        "=",
        "a\n\n\nb\n\n\n",
        "# a\nb\n",
    ];
    for style in [
        Style {
            step: 4,
            indent_lists: true,
        },
        Style {
            step: 2,
            indent_lists: false,
        },
    ] {
        let list = Value::List(texts.iter().map(|t| Value::from(*t)).collect());
        let value = MapBuilder::new().put("command", list).build();
        let yaml = write(&value, style);
        let doc = write(
            &MapBuilder::new()
                .put(
                    "services",
                    Value::List(vec![
                        MapBuilder::new()
                            .put("name", "n")
                            .put("image", "i")
                            .put(
                                "command",
                                Value::List(texts.iter().map(|t| (*t).into()).collect()),
                            )
                            .build(),
                    ]),
                )
                .build(),
            style,
        );
        let loaded = load(&[("x", doc.as_bytes())]).unwrap_or_else(|e| panic!("{e}\n{doc}"));
        let Settings { command, .. } = &loaded.moby.services[0].settings;
        let read: Vec<&str> = command.iter().flatten().map(|t| t.as_str()).collect();
        assert_eq!(read, texts, "{yaml}");
    }
}

#[test]
fn metadata_holds_bytes_that_are_not_text() {
    let yaml = b"files:\n  - {path: a, contents: !!binary /wA=}\n";
    let moby = load(&[("x", yaml)]).unwrap().moby;
    let written = dry_run_yaml(&moby);
    assert!(written.contains("contents: !!binary /wA=\n"), "{written}");
    let again = load(&[("x", written.as_bytes())]).unwrap().moby;
    assert_eq!(dry_run_yaml(&again), written);
}

/// DEL stands in JSON as it is, but YAML parsers refuse it; LinuxKit cannot read back what it wrote.
#[test]
fn metadata_with_control_characters_can_be_read_back() {
    let yaml = b"services: [{name: n, image: i, hostname: \"\\x7f\\x80\\uFEFF\\U0001F600\"}]";
    let moby = load(&[("x", yaml)]).unwrap().moby;
    let written = metadata_json(&moby);
    assert!(
        written.contains("\"\\u007f\\u0080\\ufeff\u{1f600}\""),
        "{written}"
    );
    let again = load(&[("x", written.as_bytes())]).unwrap().moby;
    assert_eq!(metadata_json(&again), written);
}

#[test]
fn metadata_has_image_names_in_full_and_no_tag_that_was_not_written() {
    let yaml = b"init: [a, a/b:latest]\nservices: [{name: n, image: 'localhost:5000/i'}]";
    let moby = load(&[("x", yaml)]).unwrap().moby;
    let written = metadata_yaml(&moby);
    for line in [
        "- docker.io/library/a\n",
        "- docker.io/a/b:latest\n",
        "  image: localhost:5000/i\n",
    ] {
        assert!(written.contains(line), "{written}");
    }
}
