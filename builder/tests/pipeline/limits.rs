//! Bounds on what an image may cost: each is met by an image made for it, names itself and its
//! option, and gives way when the option raises it. Bombs end early, in bounded memory.

use std::process::{Command, Output};

use testdata::{Compression, Image, Layer, Layout, SparseFormat};

use crate::memory;
use crate::program::{Bench, shown};

const YAML: &str = "init:\n  - test/image:1\n";

/// Most memory that a build of a small image may take, whatever the image tries.
const MOST_KILOBYTES: u64 = 400 << 10;

fn bench(image: &Image) -> Bench {
    Bench::new(&Layout::new().image("test/image:1", image))
}

fn build(bench: &Bench, arguments: &[&str]) -> Command {
    let mut command = bench.build();
    command
        .arg("--offline")
        .args(arguments)
        .arg(bench.yaml(YAML));
    command
}

/// The image builds as it is, fails with the option at `low`, and the message names the option.
fn meets(option: &str, low: u64, image: &Image) {
    let bench = bench(image);
    let output = build(&bench, &[]).output().unwrap();
    assert!(output.status.success(), "{option}: {}", shown(&output));
    bench.clear_out();
    std::fs::remove_dir_all(bench.cache().join("packs")).unwrap();
    let output = build(&bench, &[option, &low.to_string()]).output().unwrap();
    bench.assert_failed(
        &output,
        &["docker.io/test/image:1", option, &low.to_string()],
    );
    bench.assert_store_is_good();
}

fn small() -> Image {
    let layer = |name| Layer::new().file(name, vec![b'x'; 3000]).file("more", "");
    Image::new().layer(&layer("a")).layer(&layer("b"))
}

#[test]
fn layer_bytes() {
    meets("--max-layer-bytes", 4000, &small());
}

#[test]
fn image_bytes() {
    meets("--max-image-bytes", 8000, &small());
}

#[test]
fn layer_entries() {
    meets("--max-layer-entries", 1, &small());
}

#[test]
fn image_entries() {
    meets("--max-image-entries", 3, &small());
}

#[test]
fn layers() {
    meets("--max-layers", 1, &small());
}

#[test]
fn document_bytes() {
    meets("--max-document-bytes", 100, &small());
}

#[test]
fn header_bytes() {
    let layer = Layer::new().file("a", "").pax("comment", vec![b'x'; 5000]);
    meets("--max-header-bytes", 4000, &Image::new().layer(&layer));
}

#[test]
fn path_bytes() {
    let layer = Layer::new().file("directory/".repeat(20) + "file", "");
    meets("--max-path-bytes", 100, &Image::new().layer(&layer));
}

#[test]
fn sparse_ranges() {
    let block = [b'x'; 512];
    let chunks: Vec<(u64, &[u8])> = (0..10).map(|n| (n * 1024, &block[..])).collect();
    let layer = Layer::new().sparse("s", SparseFormat::Pax10, 20_000, &chunks);
    meets("--max-sparse-ranges", 9, &Image::new().layer(&layer));
}

#[test]
fn links() {
    let chain = (0..20).fold(Layer::new(), |layer, n| {
        layer.symlink(format!("l{n}"), format!("l{}", n + 1))
    });
    let layer = chain.dir("l20", 0o755).file("l0/file", "x");
    meets("--max-links", 19, &Image::new().layer(&layer));
}

#[test]
fn link_steps() {
    let layer = Layer::new()
        .symlink("l", "d/../".repeat(50) + "d")
        .dir("d", 0o755)
        .file("l/a", "")
        .file("l/b", "");
    meets("--max-link-steps", 150, &Image::new().layer(&layer));
}

#[test]
fn metadata_bytes() {
    let layer = Layer::new().file("a", "").xattr("user.a", [b'x'; 3000]);
    meets("--max-metadata-bytes", 3000, &Image::new().layer(&layer));
}

/// The same option bounds what the layers of an image come to together.
#[test]
fn metadata_bytes_of_an_image() {
    let layer = |name| Layer::new().file(name, "").xattr("user.a", [b'x'; 3000]);
    let image = Image::new().layer(&layer("a")).layer(&layer("b"));
    meets("--max-metadata-bytes", 5000, &image);
}

#[test]
fn metadata_bytes_of_folders_that_are_implied() {
    let layer = Layer::new().file("d/".repeat(100) + "file", "");
    meets("--max-metadata-bytes", 5000, &Image::new().layer(&layer));
}

/// Runs a build that must fail, name the option and stay small.
fn ends_small(image: &Image, option: &str, most_kilobytes: u64) -> Bench {
    let bench = bench(image);
    let (output, kilobytes) = memory::peak(&mut build(&bench, &[]));
    bench.assert_failed(&output, &["docker.io/test/image:1", option]);
    assert!(
        kilobytes < most_kilobytes,
        "{kilobytes} kB\n{}",
        shown(&output)
    );
    bench.assert_store_is_good();
    bench
}

/// As [`ends_small`], before a pack is there.
fn ends_early(image: &Image, option: &str) {
    let bench = ends_small(image, option, MOST_KILOBYTES);
    let packs = crate::program::files(&bench.cache().join("packs"));
    assert!(packs.is_empty(), "left of a bomb: {:?}", packs.keys());
}

/// A compressed stream of 16 MiB of zeros, as often as makes 10 GB.
fn zeros(compression: Compression) -> Vec<u8> {
    compression.compress(&vec![0; 16 << 20]).repeat(600)
}

/// A blob of less than 10 MB that says it holds one file of 10 GB.
fn bomb(compression: Compression) -> Image {
    let size = 600 * (16 << 20);
    let head = Layer::new()
        .file("zeros", "")
        .size_field(size)
        .no_end_marker();
    let blob = [compression.compress(&head.tar()), zeros(compression)].concat();
    assert!(blob.len() < 11_000_000, "{} bytes", blob.len());
    Image::new().raw_layer(blob, Compression::None)
}

#[test]
fn a_bomb_of_10_gb_in_10_mb_of_gzip_ends_early() {
    ends_early(&bomb(Compression::Gzip), "--max-layer-ratio");
}

#[test]
fn a_bomb_of_10_gb_in_zstd_ends_early() {
    ends_early(&bomb(Compression::Zstd), "--max-layer-ratio");
}

/// The zeros come after the tar's end marker, where tar-split kept them in memory.
#[test]
fn cve_2017_14992_endless_padding_ends_early() {
    let head = Compression::Gzip.compress(&Layer::new().file("a", "x").tar());
    let blob = [head, zeros(Compression::Gzip)].concat();
    let image = Image::new().raw_layer(blob, Compression::None);
    ends_early(&image, "--max-layer-ratio");
}

/// Holes cost nothing in the tar.
#[test]
fn a_sparse_file_of_a_pebibyte_ends_early() {
    let layer = Layer::new().sparse("s", SparseFormat::Pax10, 1 << 50, &[(0, &[b'x'; 512])]);
    ends_early(&Image::new().layer(&layer), "--max-layer-ratio");
}

/// Attributes are kept in memory, and cost nothing in a blob: these are a gigabyte in a megabyte.
#[test]
fn a_bomb_of_attributes_ends_early() {
    let value = vec![b'x'; 1_000_000];
    let layer = (0..1000).fold(Layer::new(), |layer, n| {
        layer.file(format!("{n}"), "").xattr("user.a", &value)
    });
    let bench = bench(&Image::new().layer(&layer));
    // What the limit allows, and what every build takes.
    let most = (512 << 10) + MOST_KILOBYTES / 2;
    // The bound against the blob's length is not what this is about.
    let (output, kilobytes) = memory::peak(&mut build(&bench, &["--max-layer-ratio", "100000"]));
    bench.assert_failed(&output, &["docker.io/test/image:1", "--max-metadata-bytes"]);
    assert!(kilobytes < most, "{kilobytes} kB");
    let packs = crate::program::files(&bench.cache().join("packs"));
    assert!(packs.is_empty(), "left of a bomb: {:?}", packs.keys());
}

/// Folders that are not listed cost nothing in a tar, and their whole path each in an initrd: this
/// blob of some kilobytes was many gigabytes of it.
#[test]
fn a_bomb_of_folders_that_are_implied_ends_early() {
    let deep = "/d".repeat(2000);
    let layer = (0..1000).fold(Layer::new(), |layer, n| {
        layer.file(format!("{n}{deep}/file"), "")
    });
    let image = Image::new().layer(&layer);
    ends_small(&image, "--max-metadata-bytes", MOST_KILOBYTES);
}

/// Each way leads through hundreds of thousands of components.
#[test]
fn a_bomb_of_symlinks_ends_early() {
    let way = "d/../".repeat(800);
    let chain = (0..250).fold(Layer::new().dir("d", 0o755), |layer, n| {
        layer.symlink(format!("l{n}"), format!("{way}l{}", n + 1))
    });
    let layer = (0..2000).fold(chain.dir("l250", 0o755), |layer, n| {
        layer.file(format!("l0/{n}"), "")
    });
    let image = Image::new().layer(&layer);
    ends_small(&image, "--max-link-steps", MOST_KILOBYTES);
}

/// Half as many entries as the least that any limit allows would take; a million with
/// `make soak`.
#[test]
fn a_multitude_of_empty_entries_stays_small() {
    let soak = std::env::var_os("LKBUILD_RANDOM_SEQUENCES").is_some();
    let count = if soak { 1_000_000 } else { 100_000 };
    let layer = (0..count).fold(Layer::new(), |layer, n| layer.file(format!("d/{n}"), ""));
    let bench = bench(&Image::new().layer(&layer));
    drop(layer);
    let (output, kilobytes): (Output, u64) = memory::peak(&mut build(&bench, &[]));
    assert!(output.status.success(), "{}", shown(&output));
    // Less than a kilobyte for an entry, beside what every build takes.
    assert!(kilobytes < (200 << 10) + count, "{kilobytes} kB");
}

/// All that an opaque folder hides had the folder's path of kilobytes each; a symlink puts names
/// there that are short.
#[test]
fn a_multitude_of_names_in_an_opaque_folder_at_a_long_path_stays_small() {
    let count = 100_000;
    let deep = ["x".repeat(200).as_str(); 20].join("/");
    let lower = Layer::new().dir(&deep, 0o755).symlink("l", &deep);
    let lower = (0..count).fold(lower, |layer, n| layer.file(format!("l/{n}"), ""));
    let bench = bench(
        &Image::new()
            .layer(&lower)
            .layer(&Layer::new().opaque(&deep)),
    );
    drop(lower);
    let (output, kilobytes) = memory::peak(&mut build(&bench, &[]));
    assert!(output.status.success(), "{}", shown(&output));
    assert!(kilobytes < (200 << 10) + count, "{kilobytes} kB");
}

#[test]
fn a_yaml_beyond_its_limit_is_refused() {
    let bench = bench(&small());
    let mut yaml = YAML.to_owned();
    yaml.push_str("# ");
    yaml.push_str(&"x".repeat(17 << 20));
    let file = bench.yaml(&yaml);
    let output = bench.build().arg(file).output().unwrap();
    bench.assert_failed(&output, &["longer than 16777216 bytes"]);
    let deep = format!("files: {}{}\n", "[".repeat(5000), "]".repeat(5000));
    let output = bench.build().arg(bench.yaml(&deep)).output().unwrap();
    bench.assert_failed(&output, &["os.yml:1:"]);
}

/// A folder that claims to be a layout, with an index of which nobody reads the end.
#[test]
fn cve_2023_25153_an_import_is_bounded() {
    let bench = bench(&small());
    let import = bench.path("import");
    std::fs::create_dir(&import).unwrap();
    let index = std::fs::File::create(import.join("index.json")).unwrap();
    // A hole: it takes no space.
    index.set_len(1 << 40).unwrap();
    let mut command = build(&bench, &["--images", import.to_str().unwrap()]);
    let (output, kilobytes) = memory::peak(&mut command);
    bench.assert_failed(&output, &["index.json", "is longer than"]);
    assert!(kilobytes < MOST_KILOBYTES, "{kilobytes} kB");
}
