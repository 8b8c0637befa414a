//! `--cache-to` and `--cache-from` with a folder.

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;

use serde_json::Value;
use testdata::{Layout, Prng, Registry};

use crate::program::{Bench, files, shown};
use crate::system;

/// As much as configurations, `files:` and the like may come to.
const SMALL_BYTES: u64 = 30_000;

/// The last event of a build with `--json`.
pub(crate) fn summary(output: &Output) -> Value {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let last = text.lines().last().unwrap();
    let summary: Value = serde_json::from_str(last).unwrap();
    assert_eq!(summary["event"], "summary", "{text}");
    summary
}

/// Nothing was fetched but documents, and nothing compressed but what no layer holds.
pub(crate) fn assert_all_from_cache(bench: &Bench, output: &Output) {
    let summary = summary(output);
    assert_eq!(summary["imported_packs"], 6, "{summary}");
    assert_eq!(summary["layers_reused"], 6, "{summary}");
    assert_eq!(summary["layers_packed"], 0, "{summary}");
    assert_eq!(summary["fetched_bytes"], 0, "{summary}");
    assert!(
        summary["compressed_bytes"].as_u64().unwrap() < SMALL_BYTES,
        "{summary}"
    );
    // Manifests and configs only.
    for (name, bytes) in files(&bench.cache().join("blobs")) {
        assert!(bytes.len() < 10_000, "{name} has {} bytes", bytes.len());
    }
}

fn packs(bench: &Bench, folder: &str) -> BTreeMap<String, Vec<u8>> {
    files(&bench.path(folder))
}

#[test]
fn a_host_with_an_empty_store_needs_no_layer() {
    let Some(registry) = Registry::start() else {
        return;
    };
    registry.push(&system::images());
    let yaml = system::yaml_at(&registry.host());
    let first = Bench::new(&Layout::new());
    let packs = first.path("packs");
    let packs = packs.to_str().unwrap();
    let (output, expected) = first.build_with(&yaml, &["--json", "--cache-to", packs]);
    assert_eq!(summary(&output)["exported_packs"], 6);
    assert!(summary(&output)["fetched_bytes"].as_u64().unwrap() > 1_500_000);
    let from = format!("type=local,src={packs}");
    let second = Bench::new(&Layout::new());
    let (output, built) = second.build_with(&yaml, &["--json", "--cache-from", &from]);
    assert!(built == expected, "other bytes from packs");
    assert_all_from_cache(&second, &output);
    // They are in the store now.
    let (output, built) = second.build_with(&yaml, &["--json", "--cache-from", &from]);
    assert!(built == expected);
    assert_eq!(summary(&output)["imported_packs"], 0);
}

#[test]
fn the_folder_holds_what_the_last_build_used() {
    let bench = Bench::new(&system::images());
    let to = bench.path("saved");
    let to = format!("type=local,dest={}", to.display());
    let export = |yaml: &str, options: &str| {
        let to = format!("{to}{options}");
        let (output, _) = bench.build_with(yaml, &["--json", "--cache-to", &to]);
        summary(&output)["exported_packs"].as_u64().unwrap()
    };
    assert_eq!(export(system::YAML, ""), 6);
    assert_eq!(packs(&bench, "saved").len(), 6);
    assert_eq!(export(system::YAML, ""), 0);
    let changed = system::YAML.replace("test/dhcp:1", "test/dhcp:2");
    assert_eq!(export(&changed, ",keep=true"), 1);
    assert_eq!(packs(&bench, "saved").len(), 7);
    assert_eq!(export(&changed, ""), 0);
    let all = packs(&bench, "saved");
    assert_eq!(all.len(), 6);
    // Nothing of theirs is touched, and strangers stay.
    fs::write(bench.path("saved/notes.txt"), "mine").unwrap();
    assert_eq!(export(&changed, ""), 0);
    assert_eq!(packs(&bench, "saved").len(), 7);
    for (name, bytes) in all {
        let store = bench.cache().join(&name);
        assert!(fs::read(store).unwrap() == bytes, "{name}");
    }
}

#[test]
fn a_half_restored_folder_costs_time_and_no_more() {
    let images = system::images();
    let origin = Bench::new(&images);
    let expected = origin.must_build(system::YAML, &["--cache-to", "saved"]);
    let good = packs(&origin, "saved");
    assert_eq!(good.len(), 6);
    let mut random = Prng::new(20);
    for round in 0..12 {
        let bench = Bench::new(&images);
        let mut whole = 0;
        for (name, bytes) in &good {
            let path = bench.path("saved").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut bytes = bytes.clone();
            match random.below(5) {
                0 => continue,
                1 => bytes.truncate(random.below(bytes.len())),
                2 => {
                    let at = random.below(bytes.len());
                    bytes[at] ^= 1 << random.below(8);
                }
                3 => {
                    // Another pack under this name.
                    let other = random.below(good.len());
                    let (other, content) = good.iter().nth(other).unwrap();
                    whole += u64::from(other == name);
                    bytes.clone_from(content);
                }
                _ => whole += 1,
            }
            fs::write(path, bytes).unwrap();
        }
        let arguments = ["--json", "--cache-from", "saved", "--cache-to", "saved"];
        let (output, built) = bench.build_with(system::YAML, &arguments);
        assert!(built == expected, "round {round}: {}", shown(&output));
        let summary = summary(&output);
        assert_eq!(summary["imported_packs"], whole, "round {round}: {summary}");
        assert_eq!(summary["exported_packs"], 6 - whole);
        assert!(packs(&bench, "saved") == good, "round {round}: not healed");
    }
}

#[test]
fn packs_alone_will_do_without_a_network() {
    let images = system::images();
    let origin = Bench::new(&images);
    let expected = origin.must_build(system::YAML, &["--cache-to", "saved"]);
    let bench = Bench::new(&images);
    for (name, bytes) in files(&bench.cache().join("blobs")) {
        if bytes.len() > 10_000 {
            fs::remove_file(bench.cache().join("blobs").join(name)).unwrap();
        }
    }
    let saved = origin.path("saved");
    let built = bench.must_build(
        system::YAML,
        &["--offline", "--cache-from", saved.to_str().unwrap()],
    );
    assert!(built == expected);
}

#[test]
fn a_folder_that_is_a_store_is_not_emptied() {
    let bench = Bench::new(&system::images());
    let yaml = bench.yaml(system::YAML);
    let before = files(&bench.cache().join("blobs"));
    for cache in ["cache", "type=local,dest=cache,ignore-error=true"] {
        let output = bench
            .build()
            .args(["--cache-to", cache])
            .arg(&yaml)
            .output()
            .unwrap();
        let text = shown(&output);
        assert!(text.contains("a folder of its own"), "{text}");
        let code = if cache == "cache" { 5 } else { 0 };
        assert_eq!(output.status.code(), Some(code), "{text}");
    }
    assert!(files(&bench.cache().join("blobs")) == before);
    assert_eq!(bench.outputs().len(), 3, "the outputs are written");
}

#[test]
fn a_folder_that_can_not_be_written_is_an_error_unless_it_may_be() {
    let bench = Bench::new(&system::images());
    let yaml = bench.yaml(system::YAML);
    fs::write(bench.path("file"), "no folder").unwrap();
    for (cache, code) in [("file", 5), ("type=local,dest=file/x,ignore-error=true", 0)] {
        let output = bench
            .build()
            .args(["--cache-to", cache, "--cache-from", "file"])
            .arg(&yaml)
            .output()
            .unwrap();
        let text = shown(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains("file/"), "{text}");
        assert_eq!(bench.outputs().len(), 3, "{text}");
    }
}
