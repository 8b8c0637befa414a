//! Replays every seed and every past crash through its target.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use lkbuild_fuzz::{TARGETS, target};

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind)
}

fn inputs(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(files) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = files.map(|file| file.unwrap().path());
    let mut inputs: Vec<_> = paths
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn every_seed_is_replayed() {
    for (name, target) in TARGETS {
        let seeds = inputs(&folder("seeds").join(name));
        assert!(!seeds.is_empty(), "no seeds for {name}");
        for (path, seed) in seeds {
            println!("{}", path.display());
            target(&seed);
            // What is cut short, or has a bit flipped, is the more interesting input.
            for cut in [seed.len() / 3, seed.len() / 2, seed.len().saturating_sub(1)] {
                target(&seed[..cut]);
            }
            for at in (0..seed.len()).step_by(seed.len() / 16 + 1) {
                let mut damaged = seed.clone();
                damaged[at] ^= 0x21;
                target(&damaged);
            }
        }
    }
}

#[test]
fn every_past_crash_is_replayed() {
    for (name, target) in TARGETS {
        for (path, crash) in inputs(&folder("crashes").join(name)) {
            println!("{}", path.display());
            target(&crash);
        }
    }
}

#[test]
fn every_folder_belongs_to_a_target() {
    for kind in ["seeds", "crashes", "dictionaries"] {
        let Ok(entries) = std::fs::read_dir(folder(kind)) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(target(name).is_some(), "{} has no target", path.display());
        }
    }
}

#[test]
fn every_target_has_a_row_in_the_readme() {
    let readme = std::fs::read_to_string(folder("README.md")).unwrap();
    for (name, _) in TARGETS {
        let row = format!("\n| {name} | ");
        assert!(readme.contains(&row), "fuzz/README.md lacks {name}");
    }
}
