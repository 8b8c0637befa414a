//! Registries that lie, break, dawdle and point elsewhere. Whatever they do, what comes of it is the
//! right image or a clear error, soon, and nothing wrong is in the store afterwards.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::*;

mod credentials;

/// Far more than any of these tests needs, far less than a registry would like.
const SOON: Duration = Duration::from_secs(60);

/// Small enough to be cut at every byte.
fn small_image() -> Tiny {
    image_of((0..300u16).flat_map(u16::to_le_bytes).collect())
}

/// As long as a few network packets.
fn long_image() -> Tiny {
    image_of((0..50_000u32).flat_map(u32::to_le_bytes).collect())
}

/// One client for many pulls: it has connections and certificates, but no images.
#[derive(Clone)]
struct Shared(Arc<Remote>);

impl Source for Shared {
    fn top(&self, name: &Reference, limit: u64) -> Result<Option<RawDocument>, RegistryError> {
        self.0.top(name, limit)
    }

    fn document(
        &self,
        name: &Reference,
        digest: &Digest,
        size: u64,
        is_manifest: bool,
    ) -> Result<RawDocument, RegistryError> {
        self.0.document(name, digest, size, is_manifest)
    }

    fn blob(
        &self,
        name: &Reference,
        digest: &Digest,
        size: u64,
    ) -> Result<Box<dyn Read + Send>, RegistryError> {
        self.0.blob(name, digest, size)
    }
}

fn options() -> RemoteOptions {
    RemoteOptions {
        attempts: 3,
        backoff: Duration::from_millis(1),
        stall_timeout: Duration::from_millis(500),
        max_retry_after: Duration::from_millis(100),
        ..RemoteOptions::default()
    }
}

fn remote(options: RemoteOptions) -> Shared {
    Shared(Arc::new(Remote::new(options).unwrap()))
}

/// Resolves and reads the layer into an empty store, and looks at the store afterwards.
fn pull(remote: &Shared, host: &str) -> Result<Vec<u8>, String> {
    let start = Instant::now();
    let dir = tempfile::tempdir().unwrap();
    let images = Images::new(
        Store::open(dir.path()).unwrap(),
        ImagesOptions {
            platform: Platform::linux("amd64"),
            pull: false,
            sboms: false,
            pins: Default::default(),
            files: Vec::new(),
            remote: Some(Box::new(remote.clone())),
        },
    );
    let name = Reference::parse(&format!("{host}/a/b:1")).unwrap();
    let pulled = (|| {
        let image = images
            .resolve(&[name])
            .map_err(|e| e.to_string())?
            .remove(0);
        let blob = images.open_blob(&image, &image.layers[0]);
        let mut bytes = Vec::new();
        blob.map_err(|e| e.to_string())?
            .read_to_end(&mut bytes)
            .map_err(|e| e.to_string())?;
        Ok(bytes)
    })();
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    for file in std::fs::read_dir(dir.path().join("blobs/sha256")).unwrap() {
        let path = file.unwrap().path();
        let digest = Digest::sha256(&std::fs::read(&path).unwrap());
        assert!(path.ends_with(digest.hex()), "wrong bytes in the store");
    }
    pulled
}

fn pull_once(server: &Server) -> Result<Vec<u8>, String> {
    pull(&remote(options()), server.host())
}

/// At every seventh byte; `make soak` takes every one.
#[test]
fn every_answer_cut_once_at_any_byte_still_gives_the_image() {
    let image = small_image();
    let remote = remote(options());
    let longest = image.manifest.len().max(image.layer.len());
    let soak = std::env::var_os("LKBUILD_RANDOM_SEQUENCES").is_some();
    let step = if soak { 1 } else { 7 };
    println!("faults: {}", longest / step);
    for at in (0..longest).step_by(step) {
        let served = image.clone();
        let server = Server::new(move |r| match r.earlier {
            0 => served.answer(r).cut(at),
            _ => served.answer(r),
        });
        let pulled = pull(&remote, server.host());
        assert!(
            pulled.as_ref() == Ok(&image.layer),
            "cut at {at}: {pulled:?}"
        );
    }
}

#[test]
fn an_answer_always_cut_ends_in_an_error() {
    let remote = remote(options());
    for part in ["/manifests/", "layer", "config"] {
        let served = small_image();
        let server = Server::new(move |r| {
            let hit = match part {
                "layer" => served.is_layer(&r.path),
                "config" => served.is(&r.path, &served.config),
                part => r.path.contains(part),
            };
            match hit {
                true => served.answer(r).cut(1),
                false => served.answer(r),
            }
        });
        let error = pull(&remote, server.host()).unwrap_err();
        assert!(error.contains("127.0.0.1"), "{part}: {error}");
    }
}

/// A byte for each connection is no progress: nobody waits for a gigabyte of it.
#[test]
fn a_byte_for_each_connection_is_given_up() {
    let served = small_image();
    let server = Server::new(move |r| match served.is_layer(&r.path) {
        true => served.answer(r).cut(1),
        false => served.answer(r),
    });
    let error = pull_once(&server).unwrap_err();
    assert!(
        error.contains("ended after") || error.contains("reach"),
        "{error}"
    );
    let layers = server
        .requests()
        .into_iter()
        .filter(|r| r.path.contains("/blobs/"));
    assert_eq!(layers.count(), 1 + 3, "config, and three attempts");
}

#[test]
fn wrong_bytes_anywhere_are_noticed() {
    let image = small_image();
    let remote = remote(options());
    for (what, bytes) in [("config", &image.config), ("layer", &image.layer)] {
        println!("faults: {}", bytes.len() / 17);
        for at in (0..bytes.len()).step_by(17) {
            let (served, bytes) = (image.clone(), bytes.clone());
            let server = Server::new(move |r| {
                let reply = served.answer(r);
                match served.is(&r.path, &bytes) {
                    true => reply.damage(|body| body[at] ^= 4),
                    false => reply,
                }
            });
            let error = pull(&remote, server.host()).unwrap_err();
            assert!(
                error.contains("have the digest sha256:"),
                "{what} {at}: {error}"
            );
        }
    }
}

/// More bytes than the descriptor names, less, and a length that is not that of the body.
#[test]
fn lies_about_size_are_noticed() {
    type Lie = fn(Reply) -> Reply;
    let lies: [(Lie, bool); 4] = [
        (|reply| reply.damage(|body| body.push(0)), false),
        (
            |reply| reply.damage(|body| body.truncate(body.len() - 1)),
            false,
        ),
        // Too much is promised: the rest is asked for, and there is none.
        (|reply| reply.header("content-length", "100000"), true),
        (|reply| reply.header("content-length", "10"), false),
    ];
    let remote = remote(options());
    for (number, (lie, may_work)) in lies.into_iter().enumerate() {
        for layer in [true, false] {
            let image = small_image();
            let served = image.clone();
            let server = Server::new(move |r| {
                let hit = match layer {
                    true => served.is_layer(&r.path),
                    false => served.is(&r.path, &served.config),
                };
                match hit {
                    true => lie(served.answer(r)),
                    false => served.answer(r),
                }
            });
            match pull(&remote, server.host()) {
                Ok(bytes) => assert!(may_work && bytes == image.layer, "lie {number}"),
                Err(error) => assert!(!error.is_empty()),
            }
        }
    }
}

/// What counts is the digest of the bytes, not what a header says of it.
#[test]
fn a_wrong_docker_content_digest_changes_nothing() {
    let image = small_image();
    let served = image.clone();
    let server = Server::new(move |r| {
        let wrong = Digest::sha256(b"other").to_string();
        served.answer(r).header("docker-content-digest", wrong)
    });
    assert!(pull_once(&server).unwrap() == image.layer);
}

#[test]
fn a_manifest_under_the_wrong_media_type_is_refused() {
    let served = small_image();
    let server = Server::new(move |r| {
        let index = "application/vnd.oci.image.index.v1+json";
        served.answer(r).header("content-type", index)
    });
    let error = pull_once(&server).unwrap_err();
    assert!(
        error.contains("calls itself application/vnd.oci.image.index"),
        "{error}"
    );
}

#[test]
fn a_page_to_log_in_at_is_no_manifest() {
    let server = Server::new(|_| {
        Reply::ok("<html>Welcome to the hotel").header("content-type", "text/html")
    });
    let error = pull_once(&server).unwrap_err();
    assert!(error.contains("its manifest makes no sense"), "{error}");
}

#[test]
fn wrong_ranges_end_in_the_right_image_or_an_error() {
    let remote = remote(options());
    // After the cut, the server claims to go on at the start, later, earlier, or nowhere.
    for range in [
        "bytes 0-599/600",
        "bytes 400-599/600",
        "bytes 299-599/600",
        "rubbish",
        "",
    ] {
        let image = small_image();
        let served = image.clone();
        let server = Server::new(move |r| {
            if !served.is_layer(&r.path) {
                return served.answer(r);
            }
            match r.range_start() {
                0 => served.answer(r).cut(300),
                start => {
                    let mut reply = Reply::part(&served.layer, start);
                    reply = reply.header("content-range", range);
                    reply
                }
            }
        });
        match pull(&remote, server.host()) {
            Ok(bytes) => assert!(bytes == image.layer, "{range}"),
            Err(error) => assert!(!error.is_empty(), "{range}"),
        }
    }
}

#[test]
fn retry_after_is_waited_for_and_bounded() {
    for (header, least) in [
        ("0", 0),
        ("86400", 100),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0),
    ] {
        let image = small_image();
        let served = image.clone();
        let server = Server::new(move |r| match r.earlier {
            0 => Reply::status(429).header("retry-after", header),
            _ => served.answer(r),
        });
        let start = Instant::now();
        assert!(pull_once(&server).unwrap() == image.layer);
        assert!(start.elapsed() >= Duration::from_millis(least), "{header}");
    }
}

#[test]
fn what_drips_in_is_given_up() {
    let remote = remote(options());
    for layer in [true, false] {
        // Half a minute of dripping, so that a client that never gives up fails this test soon.
        let served = small_image();
        let server = Server::new(move |r| match served.is_layer(&r.path) == layer {
            // Never silent.
            true => served.answer(r).drip(1, Duration::from_millis(50)),
            false => served.answer(r),
        });
        let error = pull(&remote, server.host()).unwrap_err();
        assert!(error.contains("bytes came in 0.5 s"), "{error}");
    }
}

#[test]
fn a_slow_connection_that_brings_something_is_no_drip() {
    let image = long_image();
    let served = image.clone();
    let server = Server::new(move |r| {
        let reply = served.answer(r);
        reply.drip(20_000, Duration::from_millis(100))
    });
    assert!(pull_once(&server).unwrap() == image.layer);
}

#[test]
fn an_endless_answer_is_cut_off() {
    let remote = remote(options());
    for part in ["/manifests/", "/blobs/"] {
        let served = small_image();
        let server = Server::new(move |r| match r.path.contains(part) {
            true => Reply::ok(vec![b' '; 1 << 16]).endless(),
            false => served.answer(r),
        });
        let error = pull(&remote, server.host()).unwrap_err();
        let words = match part {
            "/manifests/" => "more than the limit of 4194304 bytes",
            _ => "bytes that its descriptor names",
        };
        assert!(error.contains(words), "{part}: {error}");
    }
}

#[test]
fn headers_without_an_end_are_cut_off() {
    let server = Server::new(|_| Reply::ok("").header("x", "y".repeat(8 << 20)));
    let error = pull_once(&server).unwrap_err();
    assert!(error.contains("can't reach 127.0.0.1"), "{error}");
}

#[test]
fn a_silent_registry_is_given_up() {
    let server = Server::new(|_| Reply::ok("").delay(Duration::from_secs(30)));
    let start = Instant::now();
    assert!(pull_once(&server).is_err());
    assert!(start.elapsed() < Duration::from_secs(25));
}

/// A mirror that serves rubbish costs an error or time, never a wrong image.
#[test]
fn a_mirror_that_breaks_in_a_blob_is_replaced_by_the_registry() {
    let image = long_image();
    let served = image.clone();
    let mirror = Server::new(move |r| match served.is_layer(&r.path) {
        true => served.answer(r).cut(70_000),
        false => served.answer(r),
    });
    let served = image.clone();
    let server = Server::new(move |r| served.answer(r));
    let options = RemoteOptions {
        mirrors: vec![(
            server.host().to_owned(),
            format!("http://{}", mirror.host()),
        )],
        attempts: 1,
        ..options()
    };
    assert!(pull(&remote(options), server.host()).unwrap() == image.layer);
    assert_eq!(server.requests().len(), 1, "the rest of the blob");
}
