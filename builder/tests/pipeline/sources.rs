//! The same images from elsewhere give the same tree, and the same blobs the same bytes.

use lkbuild::registry::local::LocalSource;
use lkbuild::registry::remote::{Remote, RemoteOptions};
use testdata::{Image, Layer, Layout, Registry};

use crate::lab::{Lab, Options, files};
use crate::program::{Bench, shown};
use crate::system;

#[test]
fn layouts_give_the_same_bytes_and_docker_save_the_same_tree() {
    let images = system::images();
    let expected = Lab::new(&images).build(system::YAML);
    let sources = tempfile::tempdir().unwrap();
    let path = |name: &str| sources.path().join(name);
    images.write_dir(&path("folder"));
    std::fs::write(path("layout.tar"), images.tar()).unwrap();
    std::fs::write(path("saved.tar"), images.docker_save()).unwrap();
    for name in ["folder", "layout.tar", "saved.tar"] {
        let lab = Lab::new(&Layout::new());
        let options = Options {
            files: vec![Box::new(LocalSource::open(&path(name)).unwrap())],
            ..Options::default()
        };
        let built = lab.build_with(system::YAML, options);
        let built = built.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(
            expected.tree().differences(&built.tree()),
            [""; 0],
            "{name}"
        );
        // docker save unpacks layers, so that there are no blocks of theirs to reuse.
        if name != "saved.tar" {
            assert!(built.files() == expected.files(), "{name}: other bytes");
        }
        lab.assert_store_is_good();
    }
}

#[test]
fn a_registry_gives_the_same_bytes_and_is_needed_once() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let images = system::images();
    registry.push(&images);
    let yaml = system::yaml_at(&registry.host());
    let lab = Lab::new(&Layout::new());
    let options = Options {
        remote: Some(Box::new(Remote::new(RemoteOptions::default()).unwrap())),
        ..Options::default()
    };
    let pulled = lab.build_with(&yaml, options).unwrap();
    assert!(
        pulled.counters.fetched_bytes > 1_500_000,
        "{:?}",
        pulled.counters
    );
    lab.assert_store_is_good();
    let expected = Lab::new(&images).build(system::YAML);
    assert!(pulled.files() == expected.files());
    drop(registry);
    assert!(lab.build(&yaml).files() == pulled.files());
}

#[test]
fn a_damaged_blob_is_fetched_again() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let images = system::images();
    registry.push(&images);
    let yaml = format!("init:\n  - {}/test/sysctl:1\n", registry.host());
    let pull = |lab: &Lab| {
        let options = Options {
            remote: Some(Box::new(Remote::new(RemoteOptions::default()).unwrap())),
            ..Options::default()
        };
        lab.build_with(&yaml, options)
            .unwrap_or_else(|e| panic!("{e}"))
    };
    let lab = Lab::new(&Layout::new());
    let good = pull(&lab);
    // The layers of the image, largest last; its documents are small.
    let mut blobs = files(&lab.store().join("blobs/sha256"));
    blobs.sort_by_key(|path| std::fs::metadata(path).unwrap().len());
    for blob in &blobs[blobs.len() - 2..] {
        let bytes = std::fs::read(blob).unwrap();
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        for damaged in [&flipped[..], &bytes[..bytes.len() / 2], &[]] {
            std::fs::write(blob, damaged).unwrap();
            std::fs::remove_dir_all(lab.store().join("packs")).unwrap();
            assert!(pull(&lab).files() == good.files(), "{}", blob.display());
            lab.assert_store_is_good();
        }
    }
}

/// A digest of one platform's manifest, or a name without an index, stands for that image always.
#[test]
fn an_image_of_another_platform_is_warned_of() {
    let image = |platform: &str| {
        let image = Image::new().layer(&Layer::new().file("bin/x", "x"));
        image.platforms([platform]).plain_manifest()
    };
    let images = Layout::new()
        .image("test/amd:1", &image("linux/amd64"))
        .image("test/arm:1", &image("linux/arm64/v8"))
        .image("test/data:1", &image("linux/unknown"));
    let bench = Bench::new(&images);
    let yaml = "init:\n  - test/amd:1\n  - test/arm:1\n  - test/data:1\n";
    let (output, _) = bench.build_with(yaml, &["--offline"]);
    let text = shown(&output);
    let warning = "docker.io/test/arm:1 is an image for linux/arm64/v8, and linux/amd64 is built";
    assert!(text.contains(warning), "{text}");
    assert_eq!(text.matches("is an image for").count(), 1, "{text}");
}
