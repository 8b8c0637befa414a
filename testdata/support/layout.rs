//! Images written out: an OCI layout (image-spec, image-layout.md) or a `docker save` tar.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{Image, Layer};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// SHA-256 of `bytes`, 64 hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256_hex(bytes))
}

/// Named images and their blobs.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Blobs by digest (`sha256:...`). Change or remove some to damage the layout.
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// The descriptors of `index.json`, one per name.
    pub manifests: Vec<Value>,
    saved: Vec<Saved>,
}

/// What `docker save` knows of an image.
#[derive(Clone, Debug)]
struct Saved {
    name: String,
    config: Vec<u8>,
    layers: Vec<Vec<u8>>,
}

impl Layout {
    /// A layout without images.
    pub fn new() -> Self {
        Layout::default()
    }

    /// Adds an image under a name; a short name is written in full, as LinuxKit does
    /// (`vec/plain:1` becomes `docker.io/vec/plain:1`).
    pub fn image(mut self, name: &str, image: &Image) -> Self {
        let mut entries = Vec::new();
        for platform in &image.platforms {
            entries.extend(self.add_platform(image, name, platform));
        }
        let mut top = if image.indexed {
            let media_type = match image.docker_media_types {
                true => DOCKER_LIST,
                false => OCI_INDEX,
            };
            let index = json!({
                "schemaVersion": 2, "mediaType": media_type, "manifests": entries,
            });
            self.add_json(media_type, &index)
        } else {
            entries.swap_remove(0)
        };
        top["annotations"] = json!({ REF_NAME: full_name(name) });
        self.manifests.push(top);
        self
    }

    /// Writes manifest, config and layers for one platform; returns the index's entries for it.
    fn add_platform(&mut self, image: &Image, name: &str, platform: &str) -> Vec<Value> {
        let docker = image.docker_media_types;
        let mut parts = platform.split('/');
        let mut described = json!({});
        for key in ["os", "architecture", "variant"] {
            if let Some(value) = parts.next() {
                described[key] = json!(value);
            }
        }
        let diff_ids: Vec<String> = image.layers.iter().map(|l| digest(&l.tar)).collect();
        let mut config = described.clone();
        config["created"] = json!("2023-11-14T22:13:20Z");
        config["config"] = image.config.clone();
        config["rootfs"] = json!({ "type": "layers", "diff_ids": diff_ids });
        let config_bytes = serde_json::to_vec(&config).unwrap();
        let layers: Vec<Value> = image
            .layers
            .iter()
            .map(|layer| {
                let suffix = layer.compression.suffix();
                let media_type = match (docker, suffix) {
                    (false, _) => format!("{OCI_LAYER}{suffix}"),
                    (true, "") => "application/vnd.docker.image.rootfs.diff.tar".into(),
                    (true, _) => {
                        let dotted = suffix.replace('+', ".");
                        format!("application/vnd.docker.image.rootfs.diff.tar{dotted}")
                    }
                };
                self.add_blob(&media_type, layer.compression.compress(&layer.tar))
            })
            .collect();
        let media_types = match docker {
            true => (DOCKER_MANIFEST, DOCKER_CONFIG),
            false => (OCI_MANIFEST, OCI_CONFIG),
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_types.0,
            "config": self.add_blob(media_types.1, config_bytes.clone()),
            "layers": layers,
        });
        self.saved.push(Saved {
            name: name.into(),
            config: config_bytes,
            layers: image.layers.iter().map(|layer| layer.tar.clone()).collect(),
        });
        let mut entry = self.add_json(media_types.0, &manifest);
        if image.names_platform {
            entry["platform"] = described;
        }
        let subject = entry["digest"].as_str().unwrap().to_owned();
        let mut entries = vec![entry];
        for spdx in &image.sboms {
            entries.push(self.add_attestation(&subject, name, spdx));
        }
        entries
    }

    /// An attestation manifest as BuildKit writes them (in-toto statement v0.1, SPDX predicate).
    fn add_attestation(&mut self, subject: &str, name: &str, spdx: &Value) -> Value {
        const PREDICATE: &str = "https://spdx.dev/Document";
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": PREDICATE,
            "subject": [{
                "name": format!("pkg:docker/{name}"),
                "digest": { "sha256": subject.trim_start_matches("sha256:") },
            }],
            "predicate": spdx,
        });
        let mut layer = self.add_json("application/vnd.in-toto+json", &statement);
        let statement_digest = layer["digest"].clone();
        layer["annotations"] = json!({ "in-toto.io/predicate-type": PREDICATE });
        let config = json!({
            "architecture": "unknown", "os": "unknown", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [statement_digest] },
        });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.add_json(OCI_CONFIG, &config),
            "layers": [layer],
        });
        let mut entry = self.add_json(OCI_MANIFEST, &manifest);
        entry["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
        entry["annotations"] = json!({
            "vnd.docker.reference.digest": subject,
            "vnd.docker.reference.type": "attestation-manifest",
        });
        entry
    }

    /// Adds a JSON document; returns its descriptor.
    pub fn add_json(&mut self, media_type: &str, document: &Value) -> Value {
        self.add_blob(media_type, serde_json::to_vec(document).unwrap())
    }

    /// Adds a blob; returns its descriptor.
    pub fn add_blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = digest(&bytes);
        let descriptor = json!({
            "mediaType": media_type, "digest": digest, "size": bytes.len(),
        });
        self.blobs.insert(digest, bytes);
        descriptor
    }

    /// The files of the layout by path.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let index = json!({
            "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.manifests,
        });
        let mut files = vec![
            (
                "oci-layout".into(),
                br#"{"imageLayoutVersion":"1.0.0"}"#.into(),
            ),
            ("index.json".into(), serde_json::to_vec(&index).unwrap()),
        ];
        for (digest, bytes) in &self.blobs {
            let path = format!("blobs/{}", digest.replace(':', "/"));
            files.push((path, bytes.clone()));
        }
        files
    }

    /// Writes the layout as a folder, which is made.
    pub fn write_dir(&self, dir: &Path) {
        fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
        for (path, bytes) in self.files() {
            fs::write(dir.join(path), bytes).unwrap();
        }
    }

    /// The layout as a tar.
    pub fn tar(&self) -> Vec<u8> {
        let mut tar = Layer::new()
            .dir("blobs/", 0o755)
            .dir("blobs/sha256/", 0o755);
        for (path, bytes) in self.files() {
            tar = tar.file(path, bytes);
        }
        tar.tar()
    }

    /// The images as `docker save` writes them: a manifest.json, uncompressed layers.
    pub fn docker_save(&self) -> Vec<u8> {
        let mut tar = Layer::new();
        let mut manifest = Vec::new();
        let mut written = BTreeMap::new();
        for image in &self.saved {
            let config = format!("{}.json", sha256_hex(&image.config));
            let mut layers = Vec::new();
            for layer in &image.layers {
                let name = format!("{}/layer.tar", sha256_hex(layer));
                if written.insert(name.clone(), ()).is_none() {
                    tar = tar.file(&name, layer);
                }
                layers.push(name);
            }
            if written.insert(config.clone(), ()).is_none() {
                tar = tar.file(&config, &image.config);
            }
            let short = image.name.trim_start_matches("docker.io/");
            manifest.push(json!({ "Config": config, "RepoTags": [short], "Layers": layers }));
        }
        tar = tar.file("manifest.json", serde_json::to_vec(&manifest).unwrap());
        tar.tar()
    }
}

/// `name` with the registry that Docker would use.
fn full_name(name: &str) -> String {
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.into(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}
