//! What LinuxKit does where the golden vectors do not show it.

use testdata::{Compression, Image, Layer, Layout, sha256_hex};

use crate::program::{Bench, shown};
use crate::read;

fn image(layer: &Layer) -> Image {
    Image::new().layer_as(layer, Compression::None)
}

fn apk(database: &str) -> Image {
    let files = Layer::new()
        .file("lib/apk/db/installed", database)
        .mode(0o640)
        .owner(3, 4)
        .mtime(1_600_000_000);
    image(&files)
}

#[test]
fn one_package_database_stays_as_it_is() {
    let images = Layout::new()
        .image("test/one:1", &apk("P:one\n"))
        .image("test/two:1", &apk("P:two\n"))
        .image("test/none:1", &image(&Layer::new().file("a", "")));
    let bench = Bench::new(&images);
    let database = |yaml: &str| {
        let tree = read::tar(&bench.must_build(yaml, &["--format", "tar"])["os.tar"]);
        tree.0[&b"lib/apk/db/installed"[..]].clone()
    };
    let sha256 = sha256_hex(b"P:one\n");
    let one = database("init: [\"test/none:1\", \"test/one:1\"]\n");
    assert_eq!(one.content, format!("6 bytes, sha256 {sha256}"));
    assert_eq!(
        (one.mode, one.uid, one.gid, one.mtime),
        (0o640, 3, 4, Some(1_600_000_000))
    );
    let sha256 = sha256_hex(b"P:one\n\n\nP:two\n\n\n");
    let both = database("init: [\"test/one:1\", \"test/two:1\"]\n");
    assert_eq!(both.content, format!("16 bytes, sha256 {sha256}"));
    assert_eq!(
        (both.mode, both.uid, both.gid, both.mtime),
        (0o644, 0, 0, Some(0))
    );
}

/// The bytes of a layout's two files, and the times of everything in it, are LinuxKit's.
#[test]
fn an_oci_volume_has_the_bytes_that_linuxkit_writes() {
    let files = Layer::new().file("a", "a");
    let images = Layout::new().image("test/held:1", &image(&files));
    let bench = Bench::new(&images);
    let yaml = "volumes:\n  - {name: vol, image: test/held:1, format: oci}\n";
    let tree = read::tar(&bench.must_build(yaml, &["--format", "tar"])["os.tar"]);
    let at = |path: &str| {
        let path = format!("containers/volumes/vol/lower{path}");
        tree.0[path.as_bytes()].clone()
    };
    let marker = b"{\n\t\t\"imageLayoutVersion\": \"1.0.0\"\n\t}";
    assert_eq!(
        at("/oci-layout").content,
        format!("{} bytes, sha256 {}", marker.len(), sha256_hex(marker))
    );
    let top = images
        .blobs
        .iter()
        .find(|(_, bytes)| bytes.starts_with(b"{") && contains(bytes, b"\"manifests\""));
    let (digest, bytes) = top.unwrap();
    let index = format!(
        r#"{{
   "schemaVersion": 2,
   "mediaType": "application/vnd.oci.image.index.v1+json",
   "manifests": [
      {{
         "mediaType": "application/vnd.oci.image.index.v1+json",
         "size": {},
         "digest": "{digest}",
         "annotations": {{
            "org.opencontainers.image.ref.name": "docker.io/test/held:1"
         }}
      }}
   ]
}}"#,
        bytes.len()
    );
    assert_eq!(
        at("/index.json").content,
        format!(
            "{} bytes, sha256 {}",
            index.len(),
            sha256_hex(index.as_bytes())
        )
    );
    for (digest, bytes) in &images.blobs {
        let blob = at(&format!("/blobs/{}", digest.replace(':', "/")));
        let sha256 = sha256_hex(bytes);
        assert_eq!(
            blob.content,
            format!("{} bytes, sha256 {sha256}", bytes.len())
        );
        assert_eq!((blob.mode, blob.mtime), (0o644, Some(0)));
    }
    for folder in ["/blobs", "/blobs/sha256"] {
        assert_eq!((at(folder).mode, at(folder).mtime), (0o755, Some(0)));
    }
    assert_ne!(at("").mtime, Some(0));
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// What shows only when the images are there is shown at its place in the YAML all the same.
#[test]
fn late_errors_name_their_place_and_what_to_do() {
    let kernel = |files: Layer| image(&files.file("kernel", "K"));
    let images = Layout::new()
        .image("test/bare:1", &kernel(Layer::new()))
        .image(
            "test/text:1",
            &kernel(Layer::new().file("kernel.tar", "no tar\n")),
        );
    let images = images
        .image("test/folder:1", &image(&Layer::new().dir("d", 0o750)))
        .image("test/link:1", &image(&Layer::new().symlink("d", "e")));
    let bench = Bench::new(&images);
    for (yaml, place, parts) in [
        (
            "kernel:\n  image: test/bare:1\n",
            "os.yml:2:10: ",
            ["no file kernel.tar (named by", "tar: none"],
        ),
        (
            "kernel:\n  image: test/bare:1\n  tar: mods.tar\n",
            "os.yml:3:8: ",
            ["no file mods.tar (named by", "tar: none"],
        ),
        (
            "kernel:\n  image: test/bare:1\n  binary: bzImage\n",
            "os.yml:3:11: ",
            ["no file bzImage (named by", "help: name the file"],
        ),
        (
            "kernel:\n  image: test/bare:1\n  tar: none\n  ucode: u.cpio\n",
            "os.yml:4:10: ",
            ["no file u.cpio (named by", "leave the key out"],
        ),
        (
            "kernel:\n  image: test/text:1\n",
            "os.yml:2:10: ",
            ["can't be read as a tar", "tar: none"],
        ),
        (
            "init: [\"test/folder:1\"]\nfiles:\n  - {path: d, contents: x}\n",
            "os.yml:3:12: ",
            ["d can't be made: d is a folder from", "help: "],
        ),
        (
            "init: [\"test/folder:1\", \"test/link:1\"]\n",
            "os.yml:1:25: ",
            ["d is a folder in", "help: "],
        ),
        (
            "files:\n  - path: a\n    source: nothing\n",
            "os.yml:3:13: ",
            ["can't read nothing", "optional: true"],
        ),
        (
            "files:\n  - path: a\n    source: /\n    optional: true\n",
            "os.yml:3:13: ",
            ["can't read /", "help: "],
        ),
    ] {
        bench.clear_out();
        let file = bench.yaml(yaml);
        let output = bench
            .build()
            .args(["-f", "tar"])
            .arg(file)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{yaml}{}", shown(&output));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(place), "{yaml}{errors}");
        for part in parts {
            assert!(errors.contains(part), "{yaml}{errors}");
        }
        assert!(bench.outputs().is_empty(), "{yaml}");
    }
}

#[test]
fn an_empty_mode_is_the_default() {
    let bench = Bench::new(&Layout::new());
    let yaml = "files:\n  - {path: a, contents: x, mode: \"\"}\n  \
                - {path: d, directory: true, mode: \"\"}\n";
    let tree = read::tar(&bench.must_build(yaml, &["--format", "tar"])["os.tar"]);
    let mode = |path: &[u8]| tree.0[path].mode;
    assert_eq!((mode(b"a"), mode(b"d")), (0o600, 0o700));
}

#[test]
fn an_entry_for_a_folder_of_an_image_changes_what_it_says() {
    let folders = Layer::new()
        .dir("own", 0o751)
        .owner(1, 2)
        .dir("mode", 0o751)
        .owner(1, 2)
        .dir("owner", 0o751)
        .owner(1, 2);
    let bench = Bench::new(&Layout::new().image("test/folders:1", &image(&folders)));
    let yaml = "init: [\"test/folders:1\"]\n\
                files:\n  \
                - {path: own, directory: true}\n  \
                - {path: own/file, contents: x, mode: \"0600\", uid: 7}\n  \
                - {path: mode, directory: true, mode: \"0700\"}\n  \
                - {path: owner, directory: true, uid: 7, gid: 0}\n";
    let tree = read::tar(&bench.must_build(yaml, &["--format", "tar"])["os.tar"]);
    let facts = |path: &[u8]| {
        let node = &tree.0[path];
        (node.mode, node.uid, node.gid)
    };
    assert_eq!(facts(b"own"), (0o751, 1, 2));
    assert_eq!(facts(b"mode"), (0o700, 1, 2));
    assert_eq!(facts(b"owner"), (0o751, 7, 0));
}
