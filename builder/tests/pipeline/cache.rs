//! `lkbuild cache`: listing, removing, collecting, verifying.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use testdata::Layout;

use crate::program::{Bench, files, shown};
use crate::system;

fn blobs(bench: &Bench) -> usize {
    files(&bench.cache().join("blobs")).len()
}

fn packs(bench: &Bench) -> Vec<String> {
    files(&bench.cache().join("packs")).into_keys().collect()
}

fn events(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

#[test]
fn what_is_there_is_listed_for_people_and_programs() {
    let bench = Bench::new(&system::images());
    bench.must_build(system::YAML, &[]);
    let text = bench.must_run(&["cache", "ls"]);
    assert_eq!(text.lines().count(), 8, "{text}");
    assert!(text.contains("docker.io/test/sysctl:1"), "{text}");
    assert!(text.contains("linux/amd64"), "{text}");
    assert!(text.contains("7 images; "), "{text}");
    assert!(text.contains("6 packs"), "{text}");
    let events = events(&bench.must_run(&["--json", "cache", "list"]));
    assert_eq!(events.len(), 8);
    assert_eq!(events[0]["name"], "docker.io/test/dhcp:1");
    assert_eq!(events[0]["absent_blobs"], 0);
    assert!(events[0]["bytes"].as_u64().unwrap() > 100_000);
    assert_eq!(events[7]["event"], "cache");
    assert_eq!(events[7]["packs"], 6);
}

#[test]
fn removing_an_image_takes_what_only_it_needed() {
    let images = system::images();
    let bench = Bench::new(&images);
    let before = bench.must_build(system::YAML, &[]);
    let all = blobs(&bench);
    bench.must_run(&["cache", "rm", "test/sshd:2"]);
    // Its index, manifest, config and top layer; the rest belongs to sshd:1 too.
    assert_eq!(blobs(&bench), all - 4);
    assert!(bench.must_build(system::YAML, &["--offline"]) == before);
    bench.must_run(&["cache", "remove", "docker.io/test/sshd:1", "test/init:1"]);
    assert_eq!(packs(&bench).len(), 4, "the packs of both are gone");
    let output = bench
        .lkbuild(&["cache", "rm", "test/sshd:1"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", shown(&output));
    let yaml = bench.yaml(system::YAML);
    let mut command = bench.build();
    bench.clear_out();
    let output = command.arg("--offline").arg(yaml).output().unwrap();
    bench.assert_failed(&output, &["docker.io/test/sshd:1", "docker.io/test/init:1"]);
}

#[test]
fn collecting_keeps_what_a_name_needs_and_what_is_young() {
    let bench = Bench::new(&system::images());
    let before = bench.must_build(system::YAML, &[]);
    let all = blobs(&bench);
    let stray = bench.cache().join("blobs/sha256").join("0".repeat(64));
    fs::write(&stray, "a blob that is being brought in").unwrap();
    bench.must_run(&["cache", "gc"]);
    assert_eq!(blobs(&bench), all + 1);
    let old = SystemTime::now() - Duration::from_secs(7200);
    File::open(&stray).unwrap().set_modified(old).unwrap();
    bench.must_run(&["cache", "gc"]);
    assert_eq!(blobs(&bench), all);
    assert_eq!(packs(&bench).len(), 6);
    bench.must_run(&["cache", "gc", "--grace", "0", "--cache-size", "0"]);
    assert_eq!(blobs(&bench), all);
    assert!(packs(&bench).is_empty());
    assert!(bench.must_build(system::YAML, &["--offline"]) == before);
}

#[test]
fn cleaning_leaves_an_empty_cache_that_works() {
    let images = system::images();
    let bench = Bench::new(&images);
    let before = bench.must_build(system::YAML, &[]);
    bench.must_run(&["cache", "clean", "--packs"]);
    assert!(packs(&bench).is_empty());
    assert!(bench.must_build(system::YAML, &["--offline"]) == before);
    bench.must_run(&["cache", "clean"]);
    assert_eq!((blobs(&bench), packs(&bench).len()), (0, 0));
    let text = bench.must_run(&["cache", "ls"]);
    assert!(text.starts_with("0 images"), "{text}");
    fs::write(bench.path("images.tar"), images.tar()).unwrap();
    bench.must_run(&["cache", "import", "images.tar"]);
    assert!(bench.must_build(system::YAML, &["--offline"]) == before);
}

#[test]
fn the_least_used_packs_go_first_and_the_bytes_stay_the_same() {
    let bench = Bench::new(&system::images());
    let expected = bench.must_build(system::YAML, &[]);
    let all = packs(&bench);
    assert_eq!(all.len(), 6);
    // Only the last of them was used lately.
    let folder = bench.cache().join("packs");
    let old = SystemTime::now() - Duration::from_secs(100_000);
    for name in &all[..5] {
        File::open(folder.join(name))
            .unwrap()
            .set_modified(old)
            .unwrap();
    }
    let kept = fs::metadata(folder.join(&all[5])).unwrap().len();
    bench.must_run(&["cache", "gc", "--cache-size", &kept.to_string()]);
    assert_eq!(packs(&bench), all[5..]);
    // A build keeps the bound too, and one with a bound of nothing builds the same.
    for bound in ["0", "300k", "none"] {
        let built = bench.must_build(system::YAML, &["--cache-size", bound]);
        assert!(built == expected, "{bound}");
        let bytes: u64 = files(&folder).values().map(|b| b.len() as u64).sum();
        let bound = match bound {
            "0" => 0,
            "300k" => 300_000,
            _ => u64::MAX,
        };
        assert!(bytes <= bound, "{bytes} of {bound}");
    }
    assert_eq!(packs(&bench).len(), 6);
}

#[test]
fn verifying_names_what_is_damaged_and_takes_packs_away() {
    let bench = Bench::new(&system::images());
    let expected = bench.must_build(system::YAML, &[]);
    let report = bench.must_run(&["--json", "cache", "verify", "--offline"]);
    let last = events(&report).into_iter().rev().nth(1).unwrap();
    assert_eq!(last["event"], "cache");
    assert_eq!(last["packs"], 6);
    let damage = |name: &str| {
        let path = bench.cache().join(name);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(&path, bytes).unwrap();
    };
    let pack = format!("packs/{}", packs(&bench)[0]);
    damage(&pack);
    let text = bench.must_run(&["--json", "cache", "verify", "--offline"]);
    let found: Vec<Value> = events(&text)
        .into_iter()
        .filter(|e| e["event"] == "damage")
        .collect();
    assert_eq!(found.len(), 1, "{text}");
    assert_eq!(found[0]["healed"], true);
    assert!(found[0]["path"].as_str().unwrap().ends_with(&pack));
    assert!(bench.must_build(system::YAML, &["--offline"]) == expected);
    let images: Layout = system::images();
    let base = images.blobs.iter().max_by_key(|(_, b)| b.len()).unwrap().0;
    damage(&format!("blobs/{}", base.replace(':', "/")));
    let output = bench
        .lkbuild(&["cache", "verify", "--offline"])
        .output()
        .unwrap();
    let text = shown(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    let hex = &base["sha256:".len()..];
    assert!(text.contains(hex), "{text}");
    assert!(text.contains("docker.io/test/sysctl:1"), "{text}");
}

/// Most images that people build have no index: their config says what they are for.
#[test]
fn platforms_of_images_without_an_index_are_listed() {
    let image = testdata::Image::new().layer(&testdata::Layer::new().file("bin/x", "x"));
    let image = image.platforms(["linux/arm/v7"]).plain_manifest();
    let bench = Bench::new(&Layout::new().image("test/plain:1", &image));
    let listed = events(&bench.must_run(&["--json", "cache", "ls"]));
    assert_eq!(listed[0]["platforms"], serde_json::json!(["linux/arm/v7"]));
    assert!(bench.must_run(&["cache", "ls"]).contains("linux/arm/v7"));
}

/// A folder that was named by mistake: what has the name of an index there is somebody else's.
#[test]
fn an_index_json_of_something_else_is_left_alone() {
    let bench = Bench::new(&Layout::new());
    let site = bench.path("site");
    fs::create_dir(&site).unwrap();
    fs::write(site.join("index.json"), "{\"pages\": 3}").unwrap();
    bench.yaml("init:\n  - test/app:1\n");
    for arguments in [
        &["cache", "clean", "--cache", "site"][..],
        &["cache", "verify", "--cache", "site"],
        &["build", "--cache", "site", "os.yml"],
    ] {
        let output = bench.lkbuild(arguments).output().unwrap();
        bench.assert_failed(&output, &["site/index.json", "--cache"]);
        let left: Vec<_> = files(&site).into_iter().collect();
        let own = ("index.json".to_owned(), b"{\"pages\": 3}".to_vec());
        assert_eq!(left, [own], "{arguments:?}");
    }
}

/// The advice is given where it is of use, not where it was followed.
#[test]
fn a_damaged_index_is_told_with_what_to_do_or_what_was_done() {
    let bench = Bench::new(&system::images());
    fs::write(bench.cache().join("index.json"), "{broken").unwrap();
    let verify = |arguments: &[&str]| {
        let command = [&["cache", "verify"], arguments].concat();
        shown(&bench.lkbuild(&command).output().unwrap())
    };
    let text = verify(&["--offline"]);
    assert!(text.contains("no OCI image index"), "{text}");
    assert!(
        text.contains("`lkbuild cache verify` without --offline"),
        "{text}"
    );
    let text = verify(&[]);
    assert!(
        text.contains("moved to") && !text.contains("`lkbuild"),
        "{text}"
    );
    assert!(text.contains("1 healed, 0 damaged"), "{text}");
}
