//! What fails, fails clearly: a message, an exit code, nothing left behind, the store good.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

use testdata::{Layer, Layout};

use crate::program::{Bench, files, shown};
use crate::system;

/// The digest of the largest blob: the layer that most containers share.
fn base_layer(images: &Layout) -> String {
    let largest = images.blobs.iter().max_by_key(|(_, bytes)| bytes.len());
    largest.unwrap().0.clone()
}

/// Damages a blob of the cache, builds, and builds again after the blob was put right.
fn with_damaged_blob(damage: impl FnOnce(&mut Vec<u8>)) {
    let images = system::images();
    let digest = base_layer(&images);
    let bench = Bench::new(&images);
    let good = Bench::new(&images).must_build(system::YAML, &[]);
    let file = bench.cache().join("blobs").join(digest.replace(':', "/"));
    let mut bytes = images.blobs[&digest].clone();
    damage(&mut bytes);
    fs::write(&file, bytes).unwrap();
    let yaml = bench.yaml(system::YAML);
    // Off the network, where a sound copy might be.
    let mut command = bench.build();
    let output = command.arg("--offline").arg(&yaml).output().unwrap();
    bench.assert_failed(&output, &[&digest]);
    fs::write(&file, &images.blobs[&digest]).unwrap();
    bench.assert_store_is_good();
    assert!(bench.must_build(system::YAML, &[]) == good);
}

#[test]
fn a_cut_blob() {
    with_damaged_blob(|bytes| bytes.truncate(bytes.len() - 1));
}

#[test]
fn a_blob_that_is_too_long() {
    with_damaged_blob(|bytes| bytes.push(0));
}

#[test]
fn a_flipped_bit_in_a_blob() {
    with_damaged_blob(|bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
}

#[test]
fn bytes_of_another_blob() {
    with_damaged_blob(|bytes| *bytes = Layer::new().file("evil", "x").tar());
}

#[test]
fn an_absent_registry() {
    // A port on which nothing listens: it was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let image = format!("localhost:{port}/absent:1");
    let bench = Bench::new(&system::images());
    let yaml = bench.yaml(&system::YAML.replace("test/dhcp:1", &image));
    let output = bench.build().arg(yaml).output().unwrap();
    bench.assert_failed(&output, &[&image]);
    bench.assert_store_is_good();
}

#[test]
fn an_image_that_the_registry_does_not_have() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
    });
    let image = format!("localhost:{port}/missing:1");
    let bench = Bench::new(&system::images());
    let yaml = bench.yaml(&system::YAML.replace("test/dhcp:1", &image));
    let output = bench.build().arg(yaml).output().unwrap();
    bench.assert_failed(&output, &[&image, "no such image"]);
    bench.assert_store_is_good();
}

#[test]
fn a_damaged_pack_is_healed() {
    let bench = Bench::new(&system::images());
    let good = bench.must_build(system::YAML, &[]);
    let folder = bench.cache().join("packs");
    let packs = files(&folder);
    assert!(!packs.is_empty(), "no packs in {}", folder.display());
    for name in packs.keys() {
        let path = folder.join(name);
        let bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        let mut flipped = bytes.clone();
        if let Some(byte) = flipped.get_mut(middle) {
            *byte ^= 0x10;
        }
        for damaged in [&flipped[..], &bytes[..middle], &[]] {
            fs::write(&path, damaged).unwrap();
            let again = bench.must_build(system::YAML, &[]);
            assert!(again == good, "{name}: wrong bytes from a damaged pack");
        }
    }
    bench.assert_store_is_good();
}

/// Runs a command with a limit of 500 kB on the size of files, which stands in for a full disk:
/// writes fail in the same way, and no privilege is needed. Ignored, its signal does not end the
/// program.
const SMALL_FILES: [&str; 4] = [
    "sh",
    "-c",
    "trap '' XFSZ; ulimit -f 1000; exec \"$@\"",
    "sh",
];

#[test]
fn no_space_for_the_output() {
    let bench = Bench::new(&system::images());
    let good = bench.must_build(system::YAML, &[]);
    bench.clear_out();
    let yaml = bench.yaml(system::YAML);
    let output = bench.build_in(&SMALL_FILES).arg(&yaml).output().unwrap();
    bench.assert_failed(&output, &["os-initrd.img", "File too large"]);
    bench.assert_store_is_good();
    assert!(bench.must_build(system::YAML, &[]) == good);
}

#[test]
fn no_space_in_the_store() {
    let images = system::images();
    let bench = Bench::new(&images);
    let yaml = bench.yaml(system::YAML);
    let output = bench.build_in(&SMALL_FILES).arg(&yaml).output().unwrap();
    bench.assert_failed(&output, &["File too large"]);
    bench.assert_store_is_good();
    let good = Bench::new(&images).must_build(system::YAML, &[]);
    assert!(bench.must_build(system::YAML, &[]) == good);
}

#[test]
fn a_full_file_system() {
    let bench = Bench::new(&system::images());
    let script = "mount -t tmpfs -o size=500k tmpfs out || exit 77; exec \"$@\"";
    let wrapper = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
    ];
    let yaml = bench.yaml(system::YAML);
    let output = bench.build_in(&wrapper).arg(&yaml).output().unwrap();
    let text = shown(&output);
    if output.status.code() == Some(77) || text.contains("unshare failed") {
        println!("skipped: no user namespaces here");
        return;
    }
    bench.assert_failed(&output, &["os-initrd.img", "No space left"]);
    bench.assert_store_is_good();
}

#[test]
fn an_existing_output_survives_a_failed_build() {
    let bench = Bench::new(&system::images());
    let good = bench.must_build(system::YAML, &[]);
    let yaml = bench.yaml(&system::YAML.replace("test/dhcp:1", "localhost:1/absent:1"));
    let mut command = bench.build();
    let output = command.arg("--offline").arg(yaml).output().unwrap();
    assert!(!output.status.success());
    assert!(bench.outputs() == good, "{}", shown(&output));
}
