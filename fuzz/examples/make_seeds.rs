//! Writes the seeds that are made from descriptions: `cargo run -p lkbuild-fuzz --example make_seeds`.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use lkbuild::digest::Digest;
use lkbuild::layer::Limits;
use lkbuild::pack::{MakeOptions, PackKey, PackStore, Workers, make};
use testdata::{Compression, Dialect, Image, Layer, Layout, Prng, SparseFormat};

fn layers() -> Vec<(&'static str, Layer)> {
    let long = "directory/".repeat(11) + "file";
    let sparse = |format| {
        let data = [b'x'; 512];
        Layer::new().sparse("s", format, 5000, &[(0, &data), (1024, b"end")])
    };
    vec![
        (
            "every-type",
            Layer::new()
                .dir("d", 0o1777)
                .file("d/f", "content")
                .owner(1, 2)
                .hardlink("h", "d/f")
                .symlink("s", "../d/f")
                .char_device("c", 1, 3)
                .block_device("b", 8, 1)
                .fifo("p"),
        ),
        (
            "whiteouts",
            Layer::new()
                .whiteout("a/b")
                .opaque("d")
                .file(".wh..wh.plnk", ""),
        ),
        (
            "long-pax",
            Layer::new().file(&long, "x").symlink("s", &long),
        ),
        (
            "long-gnu",
            Layer::new()
                .file(&long, "x")
                .dialect(Dialect::Gnu)
                .symlink("s", &long)
                .dialect(Dialect::Gnu),
        ),
        (
            "long-prefix",
            Layer::new().file(&long, "x").dialect(Dialect::Prefix),
        ),
        (
            "big-ids",
            Layer::new()
                .file("p", "")
                .owner(1 << 31, 1 << 30)
                .file("g", "")
                .owner(1 << 31, 1 << 30)
                .mtime(-1)
                .dialect(Dialect::Gnu),
        ),
        (
            "records",
            Layer::new()
                .file("f", "0123456789")
                .xattr("user.a", "b\n9 size=9")
                .pax("size", "10")
                .pax("mtime", "1.5"),
        ),
        ("sparse-old-gnu", sparse(SparseFormat::OldGnu)),
        ("sparse-0.0", sparse(SparseFormat::Pax00)),
        ("sparse-0.1", sparse(SparseFormat::Pax01)),
        ("sparse-1.0", sparse(SparseFormat::Pax10)),
        (
            "trailing",
            Layer::new().file("f", "x").trailing("after the end"),
        ),
        ("bad-checksum", Layer::new().file("f", "x").wrong_checksum()),
        ("huge-size", Layer::new().file("f", "x").size_field(1 << 62)),
        (
            "escapes",
            Layer::new().file("/../a", "x").file("a/../../b/.", "x"),
        ),
    ]
}

fn main() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = seeds.join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
    };
    let layers = layers();
    for (name, layer) in &layers {
        write("layer", name, &layer.tar());
    }
    for (name, layer) in &layers {
        write("tar", name, &layer.tar());
    }
    for seed in 0..16 {
        write(
            "described",
            &format!("random-{seed}"),
            &Prng::new(seed).bytes(120),
        );
    }
    let tiny = Image::new().layer(&layers[0].1);
    let images = Layout::new().image("a:1", &tiny).image("b", &tiny);
    write("import", "layout", &images.tar());
    write("import", "docker-save", &images.docker_save());
    let index = serde_json::json!({
        "schemaVersion": 2, "x": [1], "manifests": images.manifests,
    });
    write("store-index", "two", index.to_string().as_bytes());
    write("store-index", "none", br#"{"manifests":null}"#);
    let tar = layers[0].1.tar();
    for (name, compression) in [
        ("gzip", Compression::Gzip),
        ("gzip-members", Compression::GzipMembers(3)),
        ("zstd", Compression::Zstd),
        ("zstd-frames", Compression::ZstdFrames(3)),
    ] {
        write("layer", name, &compression.compress(&tar));
    }
    for (choice, (name, layer)) in (0u8..).zip(&layers) {
        write("pack", name, &[&[choice], layer.tar().as_slice()].concat());
    }
    let kernel = Layer::new().file("kernel.tar", layers[0].1.tar());
    write("pack", "nested", &[&[4], kernel.tar().as_slice()].concat());
    let dir = tempfile::tempdir().unwrap();
    let store = PackStore::new(dir.path());
    for (name, layer) in layers {
        let options = MakeOptions {
            key: PackKey {
                layer: Digest::sha256(name.as_bytes()),
                compression: formats::compress::Compression::None,
                nested: Some(b"kernel.tar".to_vec()),
            },
            diff_id: None,
            limits: Limits::default(),
        };
        let workers = Workers::new(1).unwrap();
        let tar = layer.tar();
        if let Ok(pack) = make(tar.as_slice(), &options, &store, &workers) {
            write("pack-index", name, &pack.index().encode());
        }
    }
    let image = Image::new()
        .layer(&Layer::new())
        .layer_as(&Layer::new(), Compression::Zstd)
        .platforms(["linux/amd64", "linux/arm64/v8"])
        .sbom(serde_json::json!({}));
    for (kind, image) in [
        ("oci", image.clone()),
        ("docker", image.docker_media_types()),
    ] {
        for (hex, bytes) in &Layout::new().image("x", &image).blobs {
            if bytes.starts_with(b"{") {
                write("document", &format!("{kind}-{}", &hex[7..15]), bytes);
            }
        }
    }
    let digest = Digest::sha256(b"");
    for (name, reference) in [
        ("short", "alpine"),
        ("tag", "linuxkit/init:v1.0"),
        ("port", "localhost:5000/a/b__c/d--e.f"),
        ("digest", &format!("registry.example/x:1@{digest}")),
    ] {
        write("reference", name, reference.as_bytes());
    }
    for seed in 0..16 {
        write(
            "tree",
            &format!("random-{seed}"),
            &Prng::new(seed).bytes(200),
        );
    }
}
