//! The golden vectors, whole: images and YAML in, the tree of the tar out.

use std::fs;
use std::path::{Path, PathBuf};

use testdata::snapshot::{Facts, device_content};
use testdata::{ExpectedNode, Layout, Snapshot, images_from_json, read_tree, workspace_dir};

use crate::program::{Bench, shown};
use crate::read;

/// Every folder of a kind of vectors.
fn cases(kind: &str) -> Vec<PathBuf> {
    let folder = workspace_dir().join("testdata/vectors").join(kind);
    let entries = fs::read_dir(&folder).unwrap();
    let mut cases: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.is_dir());
    cases.sort();
    assert!(!cases.is_empty(), "{}", folder.display());
    cases
}

fn facts(node: &ExpectedNode) -> Facts {
    let (kind, content) = match node.kind.as_str() {
        "dir" => ("dir", String::new()),
        "file" => {
            let sha256 = node.sha256.as_deref().unwrap_or("missing");
            ("file", format!("{} bytes, sha256 {sha256}", node.size))
        }
        "symlink" => ("symlink", node.linkname.escape_default().to_string()),
        "fifo" => ("fifo", String::new()),
        kind @ ("char" | "block") => {
            let device = device_content(node.devmajor.into(), node.devminor.into());
            (if kind == "char" { "char" } else { "block" }, device)
        }
        other => panic!("{}: type {other:?}", node.path),
    };
    Facts {
        kind,
        mode: match kind {
            "symlink" => 0o777,
            _ => u32::from_str_radix(&node.mode, 8).unwrap(),
        },
        uid: node.uid,
        gid: node.gid,
        mtime: Some(node.mtime),
        content,
        link_group: Vec::new(),
    }
}

/// `tree.jsonl` is what LinuxKit made; `verdict.jsonl` has what is right where that is not.
fn expected(case: &Path) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for file in ["tree.jsonl", "verdict.jsonl"] {
        let path = case.join(file);
        if path.exists() {
            for node in read_tree(&path) {
                let facts = facts(&node);
                snapshot.0.insert(node.path.into_bytes(), facts);
            }
        }
    }
    snapshot
}

fn check(kind: &str) {
    let mut complaints = Vec::new();
    for case in cases(kind) {
        let images = images_from_json(&case.join("images.json"));
        let layout = images.iter().fold(Layout::new(), |layout, (name, image)| {
            layout.image(name, image)
        });
        let bench = Bench::new(&layout);
        let output = bench
            .build()
            .args(["--format", "tar"])
            // Sources of `files:` lie beside the YAML.
            .current_dir(&case)
            .arg(case.join("linuxkit.yml"))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}: {}",
            case.display(),
            shown(&output)
        );
        let differences = expected(&case).differences(&read::tar(&bench.outputs()["os.tar"]));
        if !differences.is_empty() {
            complaints.push(format!("{}:\n{}", case.display(), differences.join("\n")));
        }
    }
    let all = complaints.join("\n");
    assert!(all.is_empty(), "expected against built:\n{all}");
}

#[test]
fn assembly() {
    check("assembly");
}

#[test]
fn known_wrong() {
    check("known-wrong");
}
