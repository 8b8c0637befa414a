//! Indexes, manifests and configs.

use super::*;

#[test]
fn a_pinned_digest_must_be_that_of_the_manifest() {
    let image = image();
    let served = image.clone();
    let server = Server::new(move |r| served.answer(r));
    let pin = |digest: &Digest| {
        let mut client = client(&server);
        client.name = Reference::parse(&format!("{}/a/b:1@{digest}", server.host())).unwrap();
        client.pull().map_err(|e| e.to_string())
    };
    assert!(pin(&Digest::sha256(&image.manifest)).unwrap() == image.layer);
    assert!(
        pin(&Digest::sha256(b"other"))
            .unwrap_err()
            .contains("have the digest")
    );
}

fn index(entries: &[serde_json::Value]) -> Vec<u8> {
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries,
    });
    serde_json::to_vec(&index).unwrap()
}

fn entry(bytes: &[u8], architecture: Option<&str>) -> serde_json::Value {
    let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", bytes);
    if let Some(architecture) = architecture {
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
    }
    entry
}

fn resolve_index(entries: &[serde_json::Value]) -> Result<ResolvedImage, String> {
    let (served, top) = (image(), index(entries));
    let server = Server::new(move |r| match r.path.ends_with("/manifests/1") {
        true => ok(top.clone()).header("content-type", "application/vnd.oci.image.index.v1+json"),
        false => served.answer(r),
    });
    client(&server).resolve().map_err(|e| e.to_string())
}

#[test]
fn the_platform_is_chosen_and_an_entry_without_one_is_no_crash() {
    let manifest = image().manifest;
    let digest = Digest::sha256(&manifest);
    let other = entry(b"other", Some("arm64"));
    let ours = entry(&manifest, Some("amd64"));
    let plain = entry(&manifest, None);
    for entries in [
        vec![other.clone(), ours],
        vec![other.clone(), plain.clone()],
        vec![plain],
    ] {
        assert_eq!(resolve_index(&entries).unwrap().manifest_digest, digest);
    }
    let error = resolve_index(&[other]).unwrap_err();
    assert!(
        error.contains("no image for linux/amd64; there are: linux/arm64"),
        "{error}"
    );
    assert!(resolve_index(&[]).unwrap_err().contains("there are: none"));
}

#[test]
fn attestations_are_no_images() {
    let manifest = image().manifest;
    let mut attestation = entry(b"attestation", None);
    attestation["annotations"] = json!({
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": Digest::sha256(&manifest).to_string(),
    });
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    let image = resolve_index(&[attestation, entry(&manifest, Some("amd64"))]).unwrap();
    assert_eq!(image.manifest_digest, Digest::sha256(&manifest));
}

#[test]
fn entries_of_an_index_are_bounded() {
    let of = |count| {
        let entries = vec![entry(b"x", Some("amd64")); count];
        document::parse(&index(&entries), "")
    };
    assert!(of(10_000).is_ok());
    let error = of(10_001).unwrap_err().to_string();
    assert!(
        error.contains("10001 entries, more than the limit of 10000"),
        "{error}"
    );
}

/// A registry whose name stands for an index of an index of an index.
#[test]
fn indexes_inside_one_another_are_bounded() {
    let pull = |levels| {
        let served = image();
        let mut documents = vec![served.manifest.clone()];
        for level in 0..levels {
            let below = &documents[level];
            let mut entry = entry(below, Some("amd64"));
            if level > 0 {
                entry["mediaType"] = json!("application/vnd.oci.image.index.v1+json");
            }
            documents.push(index(&[entry]));
        }
        let server = Server::new(move |r| {
            let wanted = r.path.rsplit('/').next().unwrap();
            let found = match wanted {
                "1" => documents.last(),
                digest => documents
                    .iter()
                    .find(|bytes| Digest::sha256(bytes).to_string() == digest),
            };
            found.map_or_else(|| served.answer(r), |bytes| ok(bytes.clone()))
        });
        client(&server).resolve().map_err(|e| e.to_string())
    };
    assert!(pull(4).is_ok());
    let error = pull(5).unwrap_err();
    assert!(error.contains("nested too deeply"), "{error}");
}

#[test]
fn cve_2021_41190_a_document_that_is_index_and_manifest_is_refused() {
    let mut both: serde_json::Value = serde_json::from_slice(&image().manifest).unwrap();
    both["manifests"] = json!([]);
    let parsed = document::parse(&serde_json::to_vec(&both).unwrap(), "");
    assert_eq!(parsed, Err(document::DocumentError::Ambiguous));
}

#[test]
fn a_document_that_lies_about_its_media_type_is_refused() {
    let manifest = image().manifest;
    assert!(document::parse(&manifest, "text/plain; charset=utf-8").is_ok());
    let lie = "application/vnd.oci.image.index.v1+json";
    assert!(matches!(
        document::parse(&manifest, lie),
        Err(document::DocumentError::MediaType { .. })
    ));
    let schema1 = br#"{"schemaVersion":1,"fsLayers":[]}"#;
    assert_eq!(
        document::parse(schema1, ""),
        Err(document::DocumentError::Schema1)
    );
    for bad in [
        &b""[..],
        b"{}",
        b"[]",
        b"null",
        br#"{"schemaVersion":2,"layers":3}"#,
    ] {
        assert!(document::parse(bad, "").is_err());
    }
}

/// Neither a length nor a number that becomes one.
#[test]
fn umoci_verified_reader_negative_size() {
    for size in [json!(-1), json!(-4096.0), json!(1e30), json!("5")] {
        let mut manifest: serde_json::Value = serde_json::from_slice(&image().manifest).unwrap();
        manifest["layers"][0]["size"] = size.clone();
        let parsed = document::parse(&serde_json::to_vec(&manifest).unwrap(), "");
        assert!(
            matches!(parsed, Err(document::DocumentError::Malformed { .. })),
            "{size}"
        );
    }
}

#[test]
fn deeply_nested_json_is_no_stack_overflow() {
    for levels in [129, 100_000] {
        let deep = [b"[".repeat(levels), b"]".repeat(levels)].concat();
        let error = document::parse(&deep, "").unwrap_err().to_string();
        let words = "nested deeper than the limit of 128 levels";
        assert!(error.contains(words), "{error}");
        // What is not read of a config is skipped without recursion.
        assert!(document::parse_config(&deep).is_err());
    }
}

#[test]
fn a_config_with_another_number_of_layers_is_refused() {
    let mut served = image();
    let mut manifest: serde_json::Value = serde_json::from_slice(&served.manifest).unwrap();
    let layer = manifest["layers"][0].clone();
    manifest["layers"] = json!([layer.clone(), layer]);
    served.manifest = serde_json::to_vec(&manifest).unwrap();
    let server = Server::new(move |r| served.answer(r));
    let error = client(&server).resolve().unwrap_err().to_string();
    assert!(
        error.contains("its config names 1 layers, its manifest 2"),
        "{error}"
    );
}

/// Foreign layers (OCI's non-distributable ones) are fetched from the registry like others; what a
/// manifest says of other places is never asked, and an image that needs them is refused.
#[test]
fn foreign_layers_are_never_fetched_from_where_the_manifest_says() {
    let elsewhere = Server::new(|_| Reply::status(404));
    for (media_type, foreign) in [
        (
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            true,
        ),
        (
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            true,
        ),
        ("application/vnd.oci.image.layer.v1.tar", false),
    ] {
        for urls in [
            json!(null),
            json!([]),
            json!([format!("http://{}/layer", elsewhere.host())]),
        ] {
            let mut served = image();
            let mut manifest: serde_json::Value = serde_json::from_slice(&served.manifest).unwrap();
            let layer = &mut manifest["layers"][0];
            layer["mediaType"] = json!(media_type);
            if !urls.is_null() {
                layer["urls"] = urls.clone();
            }
            served.manifest = serde_json::to_vec(&manifest).unwrap();
            let content = served.layer.clone();
            let server = Server::new(move |r| served.answer(r));
            let refused = foreign && urls.get(0).is_some();
            match client(&server).pull() {
                Ok(bytes) => assert!(!refused && bytes == content, "{media_type} {urls}"),
                Err(error) => {
                    assert!(refused, "{media_type} {urls}: {error}");
                    assert!(error.contains("a foreign layer"), "{error}");
                }
            }
        }
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn platforms_are_ranked() {
    let amd64 = Platform::linux("x86_64");
    assert_eq!(amd64.to_string(), "linux/amd64");
    assert!(amd64.rank("linux", "amd64", "") > amd64.rank("linux", "amd64", "v3"));
    assert_eq!(amd64.rank("windows", "amd64", ""), 0);
    let arm64 = Platform::linux("aarch64");
    assert!(arm64.rank("linux", "arm64", "v8") > 0);
    let armv7 = Platform::linux("arm/v7");
    assert_eq!(armv7.rank("linux", "arm", "v6"), 0);
    assert!(armv7.rank("linux", "arm", "v7") > armv7.rank("linux", "arm", ""));
}
