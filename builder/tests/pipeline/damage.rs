//! Damaged blobs and packs: a clear error or healed, never wrong bytes.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

use lkbuild::registry::remote::{Remote, RemoteOptions};
use testdata::{Layer, Layout};

use crate::lab::{Lab, Options, files};
use crate::system;

/// The digest of the largest blob: the layer that all containers share.
fn base_layer(images: &Layout) -> String {
    let largest = images.blobs.iter().max_by_key(|(_, bytes)| bytes.len());
    largest.unwrap().0.clone()
}

/// Damages a blob of the store, where nothing else has it: the build must fail and name it, and
/// succeed after the blob was put right.
fn with_damaged_blob(damage: impl FnOnce(&mut Vec<u8>)) {
    let images = system::images();
    let digest = base_layer(&images);
    let lab = Lab::new(&images);
    let good = Lab::new(&images).build(system::YAML);
    let file = lab.store().join("blobs").join(digest.replace(':', "/"));
    let mut bytes = images.blobs[&digest].clone();
    damage(&mut bytes);
    fs::write(&file, bytes).unwrap();
    let Err(message) = lab.build_with(system::YAML, Options::default()) else {
        panic!("built from a damaged blob");
    };
    assert!(message.contains(&digest), "{message}");
    fs::write(&file, &images.blobs[&digest]).unwrap();
    assert!(lab.build(system::YAML).files() == good.files());
    lab.assert_store_is_good();
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
fn the_bytes_of_another_layer() {
    with_damaged_blob(|bytes| *bytes = Layer::new().file("evil", "x").tar());
}

#[test]
fn a_damaged_pack_never_gives_wrong_bytes() {
    let lab = Lab::new(&system::images());
    let good = lab.build(system::YAML);
    let packs = files(&lab.store().join("packs"));
    assert_eq!(packs.len(), 6);
    for path in packs {
        let bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        let mut flipped = bytes.clone();
        flipped[middle] ^= 0x10;
        for damaged in [&flipped[..], &bytes[..middle], &[]] {
            fs::write(&path, damaged).unwrap();
            // What is wrong with an index is healed at once; what is wrong with a body shows only
            // when it is copied.
            match lab.build_with(system::YAML, Options::default()) {
                Ok(again) => assert!(again.files() == good.files(), "{}", path.display()),
                Err(message) => assert!(message.contains("damaged"), "{message}"),
            }
        }
        fs::write(&path, &bytes).unwrap();
    }
}

/// Builds with one image of a registry that answers as `serve` does; gives the error.
fn from_registry(port: u16) -> (String, String) {
    let image = format!("localhost:{port}/some/image:1");
    let lab = Lab::new(&system::images());
    let remote = Remote::new(RemoteOptions::default()).unwrap();
    let options = Options {
        remote: Some(Box::new(remote)),
        ..Options::default()
    };
    let yaml = system::YAML.replace("test/dhcp:1", &image);
    let Err(message) = lab.build_with(&yaml, options) else {
        panic!("built without {image}");
    };
    lab.assert_store_is_good();
    (image, message)
}

#[test]
fn an_absent_registry() {
    // A port on which nothing listens: it was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let (image, message) = from_registry(port);
    assert!(message.contains(&image), "{message}");
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
    let (image, message) = from_registry(port);
    assert!(message.contains(&image), "{message}");
    assert!(message.contains("no such image"), "{message}");
}
