//! Names that would fool a person's terminal, or the kernel's unpacker: escaped in everything that
//! is said, right in the image.

use std::process::Output;

use serde_json::json;
use testdata::{Image, Layer, Layout};

use crate::lab::{Lab, Options};
use crate::program::{Bench, shown};
use crate::read;

const YAML: &str = "init:\n  - test/image:1\n";
/// Turns a terminal red, begins a line of its own, turns text around, rings.
const EVIL: &str = "\u{1b}[31m\nFORGED \u{202e}\u{7f}\u{9b}\u{7}\u{200f}\u{61c}\u{2028}";

/// Nothing that steers a terminal, and no line that only pretends to be ours.
fn assert_clean(output: &Output, what: &str) {
    for bytes in [&output.stdout, &output.stderr] {
        let text = std::str::from_utf8(bytes).unwrap_or_else(|_| panic!("{what}: not UTF-8"));
        for line in text.lines() {
            let marks =
                "\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}";
            let steers = |c: char| c.is_control() || marks.contains(c);
            assert!(!line.contains(steers), "{what}: {line:?}");
            assert!(
                !line.starts_with("FORGED"),
                "{what}: a forged line in {text:?}"
            );
        }
    }
}

/// Layers that are refused with a hostile name in the message.
fn bad_layers() -> Vec<(&'static str, Layer)> {
    let name = format!("a{EVIL}b");
    let layer = Layer::new;
    vec![
        ("link to nothing", layer().hardlink(&name, &name)),
        (
            "link to a folder",
            layer().dir(&name, 0o755).hardlink("x", &name),
        ),
        (
            "circle",
            layer().symlink(&name, &name).file(format!("{name}/x"), ""),
        ),
        (
            "type",
            layer().entry(&name, testdata::Kind::Raw(b'\x1b', Vec::new())),
        ),
        ("owner", layer().file(&name, "").owner(1 << 40, 0)),
        ("number", layer().file(&name, "").pax("mtime", EVIL)),
        ("size", layer().file(&name, "").pax("size", EVIL)),
        ("header", layer().file(&name, "x").size_field(1 << 60)),
    ]
}

#[test]
fn messages_about_layers_are_escaped() {
    for (what, layer) in bad_layers() {
        let bench = Bench::new(&Layout::new().image("test/image:1", &Image::new().layer(&layer)));
        for arguments in [
            &["--offline"][..],
            &["--offline", "-v=3"],
            &["--offline", "--json"],
        ] {
            let mut command = bench.build();
            let output = command
                .args(arguments)
                .arg(bench.yaml(YAML))
                .output()
                .unwrap();
            bench.assert_failed(&output, &["test/image:1"]);
            assert_clean(&output, what);
        }
    }
}

/// Puts a hostile text into a document of the image: platform, config, label, media types.
#[test]
fn messages_about_documents_are_escaped() {
    let good = || Image::new().layer(&Layer::new().file("a", "x"));
    let label = |text: &str| good().config(json!({"Labels": {"org.mobyproject.config": text}}));
    let mut layouts = vec![
        (
            "platform",
            Layout::new().image("test/image:1", &good().platforms([format!("linux/{EVIL}")])),
        ),
        (
            "config",
            Layout::new().image("test/image:1", &good().config(json!({"Env": {EVIL: EVIL}}))),
        ),
        (
            "entry of the config",
            Layout::new().image("test/image:1", &good().config(json!(EVIL))),
        ),
        ("label", Layout::new().image("test/image:1", &label(EVIL))),
        (
            "key of the label",
            Layout::new().image("test/image:1", &label(&json!({EVIL: 1}).to_string())),
        ),
        (
            "value of the label",
            Layout::new().image(
                "test/image:1",
                &label(&json!({"capabilities": [EVIL]}).to_string()),
            ),
        ),
    ];
    // The top document is no image at all.
    let top = |document: serde_json::Value| {
        let mut layout = Layout::new();
        let mut descriptor =
            layout.add_json("application/vnd.oci.image.manifest.v1+json", &document);
        let name = json!({"org.opencontainers.image.ref.name": "docker.io/test/image:1"});
        descriptor["annotations"] = name;
        layout.manifests.push(descriptor);
        layout
    };
    layouts.push((
        "manifest",
        top(json!({"schemaVersion": EVIL, "layers": EVIL})),
    ));
    layouts.push((
        "media type",
        top(json!({"schemaVersion": 2, "mediaType": EVIL, "config": {"mediaType": EVIL}})),
    ));
    layouts.push((
        "digest",
        top(json!({"schemaVersion": 2, "layers": [],
                   "config": {"mediaType": "x", "size": 1, "digest": format!("sha256:{EVIL}")}})),
    ));
    for (what, layout) in layouts {
        // A service, so that the label is read.
        let yaml = "services:\n  - name: a\n    image: test/image:1\n";
        let bench = Bench::new(&layout);
        let mut command = bench.build();
        let output = command
            .arg("--offline")
            .arg(bench.yaml(yaml))
            .output()
            .unwrap();
        assert!(!output.status.success(), "{what}: {}", shown(&output));
        bench.assert_failed(&output, &["error: "]);
        assert_clean(&output, what);
    }
}

#[test]
fn awkward_names_are_right_in_initrd_and_tar() {
    let names: [&[u8]; 8] = [
        EVIL.as_bytes(),
        b"-rf",
        b" leading and trailing ",
        b"\xff\xfe not UTF-8",
        b"new\nline",
        b"070701",
        b"d/TRAILER!!!",
        b"*?[\\\"'$(reboot)",
    ];
    let layer = names
        .iter()
        .fold(Layer::new().dir("d", 0o755), |layer, name| {
            layer.file(name, name)
        });
    let images = Layout::new().image("test/image:1", &Image::new().layer(&layer));
    let options = Options {
        trees: true,
        ..Options::default()
    };
    let built = Lab::new(&images).build_with(YAML, options).unwrap();
    for (kind, tree) in [("initrd", built.tree()), ("tar", read::tar(&built.tar))] {
        for name in names {
            let facts = &tree.0.get(name);
            let expected = testdata::snapshot::file_content(name);
            let right = facts.is_some_and(|facts| facts.content == expected);
            assert!(right, "{kind}: {}", name.escape_ascii());
        }
    }
}

/// The kernel takes a file of this name in the root for the end of an archive, and loses it.
#[test]
fn a_file_that_the_kernel_takes_for_the_end_of_the_archive_is_refused() {
    let layer = Layer::new().file("TRAILER!!!", "x");
    let bench = Bench::new(&Layout::new().image("test/image:1", &Image::new().layer(&layer)));
    let mut command = bench.build();
    let output = command
        .arg("--offline")
        .arg(bench.yaml(YAML))
        .output()
        .unwrap();
    bench.assert_failed(&output, &["TRAILER!!!"]);
}

/// Names and platforms of what a cache holds, for people and for programs that show them.
#[test]
fn what_a_cache_lists_is_escaped() {
    let image = Image::new().layer(&Layer::new().file("a", "x"));
    let platform = format!("linux{EVIL}/amd64{EVIL}/{EVIL}");
    let mut layout = Layout::new().image("test/image:1", &image.platforms([platform]));
    let mut other = layout.manifests[0].clone();
    other["annotations"] = json!({"org.opencontainers.image.ref.name": format!("x/{EVIL}")});
    layout.manifests.push(other);
    let bench = Bench::new(&layout);
    for arguments in [&["cache", "ls"][..], &["--json", "cache", "ls"]] {
        let output = bench.lkbuild(arguments).output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        assert!(shown(&output).contains("FORGED"), "{}", shown(&output));
        assert_clean(&output, "cache ls");
    }
}

/// A file's own name, and names in a tar.
#[test]
fn what_inspect_says_is_escaped() {
    let bench = Bench::new(&Layout::new());
    let layer = Layer::new().file(EVIL, "x").mode(0o4755).symlink("l", EVIL);
    for (name, content) in [
        (format!("bad {EVIL}"), b"nothing that is known".to_vec()),
        (format!("good {EVIL}"), layer.tar()),
    ] {
        let file = bench.path(&name);
        std::fs::write(&file, content).unwrap();
        let file = file.to_str().unwrap();
        for arguments in [
            &["inspect", "--files", "--security", file][..],
            &["--json", "inspect", "--files", "--security", file],
        ] {
            assert_clean(&bench.lkbuild(arguments).output().unwrap(), &name);
        }
        let gone = format!("{file}.gone");
        assert_clean(&bench.lkbuild(&["inspect", &gone]).output().unwrap(), &name);
    }
}
