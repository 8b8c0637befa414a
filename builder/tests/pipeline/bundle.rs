//! Images carried as one file: what is in it, that it is the same bytes each time, and that a file
//! that is damaged or cut is refused whole.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use lkbuild::cache::import;
use lkbuild::progress::Progress;
use lkbuild::store::Store;
use serde_json::Value;
use testdata::{Compression, Image, Layer, Layout, judge, sha256_hex};

use crate::program::{Bench, files, shown};
use crate::system;

/// A bench whose cache holds nothing.
fn empty() -> Bench {
    Bench::new(&Layout::new())
}

/// Writes the bundle of the usual system; gives its bytes.
fn export(bench: &Bench, arguments: &[&str]) -> Vec<u8> {
    let yaml = bench.yaml(system::YAML);
    let base = ["cache", "export", "-o", "bundle.tar", "--offline"];
    let yaml = [yaml.to_str().unwrap()];
    bench.must_run(&[&base, arguments, &yaml].concat());
    fs::read(bench.path("bundle.tar")).unwrap()
}

#[test]
fn a_bundle_builds_the_same_bytes_and_holds_no_more_than_that_takes() {
    let images = system::images();
    let online = Bench::new(&images);
    let expected = online.must_build(system::YAML, &[]);
    let bundle = export(&online, &["--arch", "amd64"]);
    assert!(export(&Bench::new(&images), &["--arch", "amd64"]) == bundle);
    let offline = empty();
    fs::write(offline.path("bundle.tar"), &bundle).unwrap();
    offline.must_run(&["cache", "import", "bundle.tar"]);
    offline.assert_store_is_good();
    let built = offline.must_build(system::YAML, &["--offline"]);
    assert!(built == expected, "other bytes from a bundle");
    // Every image of the YAML, none of the others.
    let names = offline.must_run(&["cache", "ls"]);
    for (name, wanted) in [("kernel:1", true), ("sshd:1", true), ("sshd:2", false)] {
        assert_eq!(names.contains(&format!("docker.io/test/{name}")), wanted);
    }
    let blobs = files(&offline.cache().join("blobs")).len();
    assert!(blobs < images.blobs.len() - 4, "{blobs}");
    // As a file that is named at the build, without import.
    let named = empty();
    fs::write(named.path("bundle.tar"), &bundle).unwrap();
    let arguments = ["--offline", "--images", "bundle.tar"];
    assert!(named.must_build(system::YAML, &arguments) == expected);
    // What is exported again is the same file.
    assert!(export(&offline, &["--arch", "amd64"]) == bundle);
    // Also where the cache is asked for digests; it knows them under other names.
    offline.must_run(&["lock", "--offline", "os.yml"]);
    assert!(export(&offline, &["--arch", "amd64", "--locked"]) == bundle);
}

/// OCI's image-layout demands it of each descriptor, and LinuxKit looks at it.
#[test]
fn an_image_that_is_named_by_digest_has_a_media_type_in_a_bundle() {
    let image = Image::new().layer(&Layer::new().file("bin/x", "x"));
    let bench = Bench::new(&Layout::new().image("test/a:1", &image.plain_manifest()));
    let listed = bench.must_run(&["--json", "cache", "ls"]);
    let listed: Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    let name = format!("test/a@{}", listed["digest"].as_str().unwrap());
    let export = [
        "cache",
        "export",
        "--offline",
        "--arch",
        "amd64",
        "-o",
        "b.tar",
    ];
    bench.must_run(&[&export[..], &[&name]].concat());
    let other = empty();
    fs::copy(bench.path("b.tar"), other.path("b.tar")).unwrap();
    other.must_run(&["cache", "import", "b.tar"]);
    let index = fs::read(other.cache().join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    assert_eq!(index["manifests"][0]["mediaType"], media_type, "{index}");
}

#[test]
fn a_bundle_of_several_architectures_holds_each_and_no_other() {
    let image = Image::new()
        .layer(&Layer::new().file("bin/x", "x"))
        .sbom(serde_json::json!({"spdxVersion": "SPDX-2.3"}))
        .platforms(["linux/amd64", "linux/arm64", "linux/riscv64"]);
    let images = Layout::new().image("test/multi:1", &image);
    let bench = Bench::new(&images);
    let platforms = |archs: &str| {
        let base = [
            "cache",
            "export",
            "--offline",
            "-o",
            "out.tar",
            "--arch",
            archs,
        ];
        bench.must_run(&[&base[..], &["test/multi:1"]].concat());
        let other = empty();
        fs::copy(bench.path("out.tar"), other.path("out.tar")).unwrap();
        other.must_run(&["cache", "import", "out.tar"]);
        let text = other.must_run(&["--json", "cache", "ls"]);
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["event"], "image");
        assert_eq!(first["name"], "docker.io/test/multi:1");
        first["platforms"].to_string()
    };
    assert_eq!(platforms("arm64"), r#"["linux/arm64"]"#);
    assert_eq!(
        platforms("amd64,linux/riscv64"),
        r#"["linux/amd64","linux/riscv64"]"#
    );
    let output = bench
        .lkbuild(&[
            "cache",
            "export",
            "--offline",
            "-o",
            "no.tar",
            "--arch",
            "s390x",
        ])
        .arg("test/multi:1")
        .output()
        .unwrap();
    bench.assert_failed(&output, &["no image for linux/s390x", "test/multi:1"]);
    assert!(!bench.path("no.tar").exists());
}

#[test]
fn outside_programs_read_a_bundle() {
    let bench = Bench::new(&system::images());
    let bundle = export(&bench, &["--arch", "amd64"]);
    if let Some(tar) = judge("tar") {
        let folder = bench.path("unpacked");
        fs::create_dir(&folder).unwrap();
        let script = format!(
            "{} -xf ../bundle.tar && sha256sum --check --quiet SHA256SUMS",
            tar.display()
        );
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        let names = files(&folder).len();
        // Packed again by another tar it is as good.
        let script = format!("{} -cf ../again.tar *", tar.display());
        let packed = Command::new("sh")
            .args(["-c", &script])
            .current_dir(&folder)
            .status();
        assert!(packed.unwrap().success());
        empty().must_run(&["cache", "import", bench.path("again.tar").to_str().unwrap()]);
        // The list itself is not in it.
        let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
        assert_eq!(sums.lines().count(), names - 1);
    }
    if let Some(skopeo) = judge("skopeo") {
        let output = Command::new(skopeo)
            .args(["--override-arch", "amd64", "inspect"])
            .arg("oci-archive:bundle.tar:docker.io/test/sshd:1")
            .current_dir(bench.path(""))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        let inspected: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(inspected["Architecture"], "amd64");
    }
    assert!(bundle.len() > 1_000_000);
}

/// A small bundle, for tests that damage every part of it.
fn small_bundle() -> Vec<u8> {
    let image = Image::new().layer_as(&Layer::new().file("bin/x", "some text"), Compression::Gzip);
    let bench = Bench::new(&Layout::new().image("test/small:1", &image));
    let base = [
        "cache",
        "export",
        "--offline",
        "-o",
        "out.tar",
        "--arch",
        "amd64",
    ];
    bench.must_run(&[&base[..], &["test/small:1"]].concat());
    fs::read(bench.path("out.tar")).unwrap()
}

/// Imports bytes into an empty store; gives what the store holds then, by name.
fn import_bytes(bytes: &[u8]) -> (Result<(), String>, BTreeMap<String, Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.tar");
    fs::write(&path, bytes).unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    let result = import(&path, None, &store, &Progress::silent());
    let held = files(store.dir());
    (result.map(drop).map_err(|e| e.to_string()), held)
}

#[test]
fn a_cut_bundle_is_refused_whole() {
    let bundle = small_bundle();
    let (result, complete) = import_bytes(&bundle);
    assert_eq!(result, Ok(()));
    let names: Vec<&str> = complete.keys().map(String::as_str).collect();
    assert!(names.contains(&"index.json"), "{names:?}");
    let ends = (0..bundle.len()).step_by(256).chain([1, bundle.len() - 1]);
    for end in ends {
        let (result, held) = import_bytes(&bundle[..end]);
        let message = result.expect_err("cut, and taken in");
        assert!(message.contains("bundle.tar"), "{message}");
        let names: Vec<&String> = held.keys().collect();
        assert_eq!(names, ["oci-layout"], "cut at {end}: something stayed");
    }
}

#[test]
fn a_bundle_with_a_flipped_bit_anywhere_is_refused_whole() {
    let bundle = small_bundle();
    for place in (0..bundle.len()).step_by(29) {
        let mut damaged = bundle.clone();
        damaged[place] ^= 1 << (place % 8);
        let (result, held) = import_bytes(&damaged);
        let message = result.expect_err(&format!("byte {place}"));
        assert!(
            message.starts_with('/') && !message.contains('\0'),
            "{message}"
        );
        let names: Vec<&String> = held.keys().collect();
        assert_eq!(names, ["oci-layout"], "byte {place}: something stayed");
    }
    let longer = |byte: u8| [&bundle[..], &[0; 9000], &[byte; 512]].concat();
    assert!(import_bytes(&longer(1)).0.is_err());
    assert_eq!(import_bytes(&longer(0)).0, Ok(()));
    // Tars of other tools go on behind their end, and have what they like between files.
    let image = Image::new().layer(&Layer::new().file("bin/x", "x"));
    let mut other = Layout::new().image("test/a:1", &image).tar();
    other.extend([7; 512]);
    assert_eq!(import_bytes(&other).0, Ok(()));
}

/// What people try: the message says what it is and what to do.
#[test]
fn files_that_are_no_images_are_told_apart() {
    let bench = empty();
    let image = Image::new().layer(&Layer::new().file("bin/x", "x"));
    let tar = Layout::new().image("test/a:1", &image).tar();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let zstd = zstd::encode_all(&*tar, 1).unwrap();
    let manifest = br#"{"schemaVersion": 2, "layers": []}"#;
    fs::create_dir(bench.path("dir")).unwrap();
    fs::write(bench.path("dir/manifest.json"), manifest).unwrap();
    for (name, bytes, words) in [
        (
            "a.tar.gz",
            &*gzip.finish().unwrap(),
            &["compressed with gzip", "gzip -d"][..],
        ),
        ("a.tar.zst", &zstd, &["compressed with zstd", "zstd -d"]),
        (
            "a.tar.xz",
            b"\xfd7zXZ\0\0\x04",
            &["compressed with xz", "xz -d"],
        ),
        (
            "a.tar.bz2",
            b"BZh61AY&SY\0\0\x04",
            &["compressed with bzip2", "bzip2 -d"],
        ),
        ("os.yml", b"kernel:\n  image: x\n", &["no tar"]),
        ("empty", b"", &["no tar"]),
        ("noise", &[0xa5; 2048], &["no tar"]),
    ] {
        fs::write(bench.path(name), bytes).unwrap();
        let output = bench.lkbuild(&["cache", "import", name]).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", shown(&output));
        bench.assert_failed(&output, words);
        // The name stands there once.
        assert_eq!(
            shown(&output).matches(name).count(),
            1,
            "{}",
            shown(&output)
        );
    }
    let output = bench.lkbuild(&["cache", "import", "dir"]).output().unwrap();
    bench.assert_failed(&output, &["dir", "docker save", "oci:"]);
    let output = bench
        .lkbuild(&["cache", "import", "nope.tar"])
        .output()
        .unwrap();
    bench.assert_failed(&output, &["nope.tar: can't be read: No such file"]);
}

/// Several images, and names for some of them or one name for all.
#[test]
fn names_that_do_not_fit_the_images_of_a_file_are_told_apart() {
    let image = |text: &str| Image::new().layer(&Layer::new().file("bin/x", text));
    let two = Layout::new()
        .image("test/a:1", &image("a"))
        .image("test/b:1", &image("b"));
    let bench = empty();
    let refused = |layout: &Layout, arguments: &[&str], words: &[&str]| {
        fs::write(bench.path("two.tar"), layout.tar()).unwrap();
        let command = [&["cache", "import", "two.tar"], arguments].concat();
        let output = bench.lkbuild(&command).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", shown(&output));
        bench.assert_failed(&output, words);
    };
    let one_name = ["--name", "lab.example/app:3"];
    refused(
        &two,
        &one_name,
        &["lab.example/app:3 would be both", "skopeo copy"],
    );
    let mut tags = two;
    let name = "org.opencontainers.image.ref.name";
    tags.manifests[0]["annotations"][name] = "1.0".into();
    refused(
        &tags,
        &[],
        &["1 of its 2 images have no full name", "skopeo copy"],
    );
}

#[test]
fn a_layout_without_one_of_its_blobs_is_refused_whole() {
    let whole = Layout::new().image(
        "test/a:1",
        &Image::new().layer(&Layer::new().file("bin/x", "x")),
    );
    for digest in whole.blobs.keys() {
        let mut layout = whole.clone();
        layout.blobs.remove(digest);
        let (result, held) = import_bytes(&layout.tar());
        assert!(result.is_err(), "{digest}");
        assert_eq!(held.len(), 1, "{digest}");
    }
}

#[test]
fn layouts_and_docker_archives_are_imported() {
    let images = system::images();
    let sources = tempfile::tempdir().unwrap();
    let path = |name: &str| sources.path().join(name).to_str().unwrap().to_owned();
    images.write_dir(Path::new(&path("folder")));
    fs::write(path("layout.tar"), images.tar()).unwrap();
    fs::write(path("saved.tar"), images.docker_save()).unwrap();
    let expected = Bench::new(&images).must_build(system::YAML, &[]);
    for name in ["folder", "layout.tar", "saved.tar"] {
        let bench = empty();
        bench.must_run(&["cache", "import", &path(name)]);
        bench.assert_store_is_good();
        let built = bench.must_build(system::YAML, &["--offline"]);
        // docker save has no compressed layers whose blocks could be used again.
        assert!(name == "saved.tar" || built == expected, "{name}");
    }
}

#[test]
fn an_image_with_a_tag_only_needs_a_name() {
    let mut layout = Layout::new().image(
        "test/a:1",
        &Image::new().layer(&Layer::new().file("bin/x", "x")),
    );
    layout.manifests[0]["annotations"]["org.opencontainers.image.ref.name"] = "1.0".into();
    let bench = empty();
    layout.write_dir(&bench.path("layout"));
    let import = ["cache", "import", "layout"];
    let output = bench.lkbuild(&import).output().unwrap();
    bench.assert_failed(&output, &["--name"]);
    bench.must_run(&[&import[..], &["--name", "lab.example/app:3"]].concat());
    assert!(
        bench
            .must_run(&["cache", "ls"])
            .contains("lab.example/app:3")
    );
}

#[test]
fn import_puts_damaged_blobs_of_the_store_right() {
    let images = system::images();
    let bench = Bench::new(&images);
    fs::write(bench.path("images.tar"), images.tar()).unwrap();
    let (digest, bytes) = images.blobs.iter().max_by_key(|(_, b)| b.len()).unwrap();
    let file = bench.cache().join("blobs").join(digest.replace(':', "/"));
    let mut flipped = bytes.clone();
    flipped[100] ^= 1;
    fs::write(&file, flipped).unwrap();
    bench.must_run(&["cache", "import", "images.tar"]);
    assert_eq!(
        format!("sha256:{}", sha256_hex(&fs::read(&file).unwrap())),
        *digest
    );
}
