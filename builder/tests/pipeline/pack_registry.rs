//! `--cache-to` and `--cache-from` with a registry, honest and not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use lkbuild::digest::Digest;
use lkbuild::pack_cache::manifest::{self, KEY_ANNOTATION, PACK_TYPE, PackDescriptor};
use testdata::http::{Reply, Request, Server};
use testdata::{Layout, Registry};

use crate::pack_cache::{assert_all_from_cache, summary};
use crate::program::{Bench, files, shown};
use crate::system;

fn cache(host: &str, tag: &str) -> String {
    format!("type=registry,ref={host}/ci/packs:{tag}")
}

#[test]
fn hosts_share_a_registry() {
    let Some(registry) = Registry::start() else {
        return;
    };
    registry.push(&system::images());
    let host = registry.host();
    let (yaml, cache) = (system::yaml_at(&host), cache(&host, "main"));
    let arguments = ["--json", "--cache-from", &cache, "--cache-to", &cache];
    let first = Bench::new(&Layout::new());
    let (output, expected) = first.build_with(&yaml, &arguments);
    assert_eq!(summary(&output)["imported_packs"], 0);
    assert_eq!(summary(&output)["exported_packs"], 6);
    assert!(shown(&output).contains("there is no cache"));
    let second = Bench::new(&Layout::new());
    let (output, built) = second.build_with(&yaml, &arguments);
    assert!(built == expected, "other bytes from packs");
    assert_all_from_cache(&second, &output);
    // Nothing is sent twice.
    assert_eq!(summary(&output)["exported_packs"], 0);
    // A change costs what changed, and only that is sent.
    let changed = yaml.replace("test/dhcp:1", "test/dhcp:2");
    let third = Bench::new(&Layout::new());
    let (output, _) = third.build_with(&changed, &arguments);
    let summary = summary(&output);
    assert_eq!(summary["imported_packs"], 5, "{summary}");
    assert_eq!(summary["layers_packed"], 1, "{summary}");
    assert_eq!(summary["exported_packs"], 1, "{summary}");
}

#[test]
fn two_hosts_write_the_same_tag_at_once() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let host = registry.host();
    let to = cache(&host, "main");
    let images = system::images();
    let benches = [(); 3].map(|()| Bench::new(&images));
    let running = benches.each_ref().map(|bench| {
        let yaml = bench.yaml(system::YAML);
        let mut command = bench.build();
        command.args(["--cache-to", &to]).arg(yaml);
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    });
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
    }
    let reader = Bench::new(&images);
    let (output, built) = reader.build_with(system::YAML, &["--json", "--cache-from", &to]);
    assert!(built == benches[0].outputs());
    assert_eq!(summary(&output)["imported_packs"], 6);
}

/// docker-registry does not see a blob for a moment while another writer brings the same one, and
/// blobs that no tag names may be collected meanwhile.
#[test]
fn a_manifest_that_is_refused_for_its_blobs_is_sent_again_with_them() {
    for always in [false, true] {
        let blobs: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let server = Server::new(move |r| {
            let mut blobs = blobs.lock().unwrap();
            match r.method.as_str() {
                "GET" => Reply::status(404),
                "HEAD" => {
                    let digest = r.path.rsplit('/').next().unwrap();
                    Reply::status(if blobs.contains(digest) { 200 } else { 404 })
                }
                "POST" => Reply::status(202).header("location", "/upload?state=1"),
                "PUT" => match r.path.rsplit_once("&digest=") {
                    Some((_, digest)) => {
                        blobs.insert(digest.replace("%3A", ":"));
                        Reply::status(201)
                    }
                    // One is not seen, the first time.
                    None if always || r.earlier == 0 => {
                        blobs.pop_first();
                        Reply::status(400)
                    }
                    None => {
                        let manifest: serde_json::Value = serde_json::from_slice(&r.body).unwrap();
                        let layers = manifest["layers"].as_array().unwrap();
                        let all = layers.iter().chain([&manifest["config"]]);
                        let whole = all.clone().count() == 7
                            && all
                                .into_iter()
                                .all(|l| blobs.contains(l["digest"].as_str().unwrap()));
                        Reply::status(if whole { 201 } else { 400 })
                    }
                },
                _ => Reply::status(405),
            }
        });
        let bench = Bench::new(&system::images());
        let yaml = bench.yaml(system::YAML);
        let mut build = bench.build();
        let output = build
            .args(["--cache-to", &cache(server.host(), "main")])
            .arg(yaml);
        let output = output.output().unwrap();
        let code = if always { 5 } else { 0 };
        assert_eq!(output.status.code(), Some(code), "{}", shown(&output));
        assert!(
            !always || shown(&output).contains("answered 400"),
            "{}",
            shown(&output)
        );
    }
}

#[test]
fn a_tag_that_is_an_image_is_not_replaced() {
    let Some(registry) = Registry::start() else {
        return;
    };
    registry.push(&system::images());
    let host = registry.host();
    let bench = Bench::new(&Layout::new());
    let yaml = bench.yaml(&system::yaml_at(&host));
    let tag = format!("type=registry,ref={host}/test/sysctl:1");
    for (options, code) in [("", 5), (",ignore-error=true", 0)] {
        let output = bench
            .build()
            .args([
                "--cache-from",
                &tag,
                "--cache-to",
                &format!("{tag}{options}"),
            ])
            .arg(&yaml)
            .output()
            .unwrap();
        let text = shown(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains("is not replaced"), "{text}");
        assert!(text.contains("is no cache of lkbuild"), "{text}");
        assert_eq!(bench.outputs().len(), 3, "{text}");
    }
    // It is what it was.
    let fresh = Bench::new(&Layout::new());
    fresh.must_build(&system::yaml_at(&host), &[]);
}

#[test]
fn a_registry_that_is_not_there_is_a_warning_to_read_and_an_error_to_write() {
    let bench = Bench::new(&system::images());
    let yaml = bench.yaml(system::YAML);
    let server = Server::new(|_| Reply::status(403));
    let cache = cache(server.host(), "main");
    let output = bench
        .build()
        .args(["--cache-from", &cache])
        .arg(&yaml)
        .output()
        .unwrap();
    let text = shown(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("warning: the cache is not used"), "{text}");
    assert_eq!(server.requests().len(), 1, "asked once");
    let output = bench
        .build()
        .args(["--cache-to", &cache])
        .arg(&yaml)
        .output()
        .unwrap();
    let text = shown(&output);
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(text.contains("docker login"), "{text}");
    assert!(text.contains("the outputs are written"), "{text}");
}

#[test]
fn offline_excludes_a_registry_before_anything_is_done() {
    let bench = Bench::new(&system::images());
    let yaml = bench.yaml(system::YAML);
    for option in ["--cache-from", "--cache-to"] {
        let output = bench
            .build()
            .args(["--offline", option, "type=registry,ref=r.example/x:1"])
            .arg(&yaml)
            .output()
            .unwrap();
        bench.assert_failed(&output, &[option, "r.example/x:1", "--offline"]);
        assert_eq!(output.status.code(), Some(2));
    }
}

/// A cache as a registry serves it: the manifest, and blobs by digest.
#[derive(Clone, Default)]
struct Lies {
    manifest: Vec<u8>,
    media_type: Option<&'static str>,
    blobs: BTreeMap<String, Vec<u8>>,
}

impl Lies {
    /// The honest cache of these packs.
    fn honest(packs: &BTreeMap<String, Vec<u8>>) -> Self {
        let described = |(name, bytes): (&'_ String, &Vec<u8>)| {
            let key = name.strip_prefix("packs/").unwrap().to_owned();
            let digest = Digest::sha256(bytes);
            let size = bytes.len() as u64;
            (key, PackDescriptor { digest, size })
        };
        let described: Vec<_> = packs.iter().map(described).collect();
        let keys: Vec<_> = described
            .iter()
            .map(|(key, pack)| (key.as_str(), pack.clone()))
            .collect();
        let blob = |bytes: &Vec<u8>| (Digest::sha256(bytes).to_string(), bytes.clone());
        Lies {
            manifest: manifest::write(&keys),
            media_type: None,
            blobs: packs.values().map(blob).collect(),
        }
    }

    /// Changes the manifest's text.
    fn edit(mut self, from: &str, to: &str) -> Self {
        let text = String::from_utf8(self.manifest).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        self.manifest = text.replace(from, to).into_bytes();
        self
    }

    fn answer(&self, r: &Request) -> Reply {
        if r.path == "/v2/ci/packs/manifests/main" {
            let media_type = self.media_type.unwrap_or(manifest::MANIFEST_TYPE);
            return Reply::ok(self.manifest.clone()).header("content-type", media_type);
        }
        let digest = r.path.strip_prefix("/v2/ci/packs/blobs/").unwrap();
        match self.blobs.get(digest) {
            Some(bytes) => Reply::part(bytes, r.range_start()),
            None => Reply::status(404),
        }
    }
}

/// Every lie gives the right image, and at most what is said of each pack is fetched.
#[test]
fn a_cache_that_lies_gives_the_right_image() {
    let images = system::images();
    let origin = Bench::new(&images);
    let expected = origin.must_build(system::YAML, &["--cache-to", "saved"]);
    let good = files(&origin.path("saved"));
    let (largest, bytes) = good.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let digest = Digest::sha256(bytes).to_string();
    let size = format!("\"size\":{}", bytes.len());
    let key = largest.strip_prefix("packs/").unwrap();
    let other = good.keys().find(|name| *name != largest).unwrap();
    let other_key = other.strip_prefix("packs/").unwrap();
    let other_digest = Digest::sha256(&good[other]).to_string();
    let honest = || Lies::honest(&good);
    let with_blob = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut lies = honest();
        change(lies.blobs.get_mut(&digest).unwrap());
        lies
    };
    // Another pack's bytes under this key, cut within the index, with a digest that is right.
    let cut = good[other][..good[other].len() - 45].to_vec();
    let mut of_another = honest()
        .edit(&digest, &Digest::sha256(&cut).to_string())
        .edit(&size, &format!("\"size\":{}", cut.len()));
    of_another
        .blobs
        .insert(Digest::sha256(&cut).to_string(), cut);
    let nothing = || Lies {
        manifest: b"<html>log in</html>".to_vec(),
        ..Lies::default()
    };
    let cases: Vec<(&str, Lies, u64)> = vec![
        ("the truth", honest(), 6),
        ("other bytes", with_blob(&|b| b[1000] ^= 1), 5),
        ("cut", with_blob(&|b| b.truncate(b.len() / 2)), 5),
        ("longer", with_blob(&|b| b.push(0)), 5),
        (
            "a digest of nothing",
            honest().edit(&digest, &format!("sha256:{}", "0".repeat(64))),
            5,
        ),
        (
            "a huge size",
            honest().edit(&size, "\"size\":9000000000000000000"),
            5,
        ),
        ("a size too small", honest().edit(&size, "\"size\":5"), 5),
        ("a negative size", honest().edit(&size, "\"size\":-5"), 0),
        (
            "another type of blob",
            honest().edit(PACK_TYPE, "application/x"),
            0,
        ),
        ("no keys", honest().edit(KEY_ANNOTATION, "x"), 0),
        (
            "the pack of another layer",
            honest().edit(&digest, &other_digest),
            5,
        ),
        // Of two packs with one key the first counts.
        ("a key that comes twice", honest().edit(other_key, key), 4),
        ("a cut pack of another layer", of_another, 5),
        (
            "a digest that is a path",
            honest().edit(&digest, "sha256:../../../etc/passwd"),
            0,
        ),
        (
            "another type of artifact",
            honest().edit(manifest::ARTIFACT_TYPE, "application/x"),
            0,
        ),
        ("a page to log in", nothing(), 0),
        (
            "the media type of an index",
            Lies {
                media_type: Some("application/vnd.oci.image.index.v1+json"),
                ..honest()
            },
            0,
        ),
        (
            "a manifest without an end",
            Lies {
                manifest: [honest().manifest, vec![b' '; 5 << 20]].concat(),
                ..honest()
            },
            0,
        ),
    ];
    for (what, lies, imported) in cases {
        let lies = Arc::new(lies);
        let server = Server::new(move |r| lies.answer(r));
        let bench = Bench::new(&images);
        let from = cache(server.host(), "main");
        let (output, built) = bench.build_with(system::YAML, &["--json", "--cache-from", &from]);
        let text = shown(&output);
        assert!(built == expected, "{what}: {text}");
        let summary = summary(&output);
        // Which of two keys that are one is right depends on their order.
        let found = summary["imported_packs"].as_u64().unwrap();
        let allowed = match what {
            "a key that comes twice" => imported..=imported + 1,
            _ => imported..=imported,
        };
        assert!(allowed.contains(&found), "{what}: {text}");
        assert_eq!(
            text.contains("\"warning\""),
            found < 6 && !["another type of blob", "no keys"].contains(&what),
            "{what}: {text}"
        );
        bench.assert_store_is_good();
    }
}
