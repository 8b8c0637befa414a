//! Registries, honest and not: [`testdata::http`] plays them on the loopback interface.

mod auth;
mod documents;
mod files;
mod hostile;
mod transfers;
mod uploads;

use std::time::Duration;

use serde_json::json;
use testdata::http::{Reply, Request, Server};

use super::remote::{Credentials, Remote, RemoteOptions};
use super::*;
use crate::store::Store;

fn ok(body: impl Into<Vec<u8>>) -> Reply {
    Reply::ok(body)
}

fn status(status: u16) -> Reply {
    Reply::status(status)
}

/// A tiny image with one layer.
#[derive(Clone)]
struct Tiny {
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

fn descriptor(media_type: &str, bytes: &[u8]) -> serde_json::Value {
    json!({"mediaType": media_type, "size": bytes.len(), "digest": Digest::sha256(bytes).to_string()})
}

fn image_of(layer: Vec<u8>) -> Tiny {
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [Digest::sha256(&layer).to_string()]},
    });
    let config = serde_json::to_vec(&config).unwrap();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
    });
    Tiny {
        manifest: serde_json::to_vec(&manifest).unwrap(),
        layer,
        config,
    }
}

/// One of 100 kB.
fn image() -> Tiny {
    image_of((0..25_000u32).flat_map(u32::to_le_bytes).collect())
}

impl Tiny {
    /// The bytes behind a path; `None` where an honest registry has none.
    fn bytes(&self, path: &str) -> Option<&[u8]> {
        if path.contains("/manifests/") {
            return Some(&self.manifest);
        }
        let blobs = [&self.layer, &self.config];
        let blob = blobs.into_iter().find(|blob| self.is(path, blob));
        blob.map(Vec::as_slice)
    }

    fn is(&self, path: &str, blob: &[u8]) -> bool {
        path.ends_with(Digest::sha256(blob).hex())
    }

    fn is_layer(&self, path: &str) -> bool {
        self.is(path, &self.layer)
    }

    /// What an honest registry answers, ranges and all.
    fn answer(&self, request: &Request) -> Reply {
        match self.bytes(&request.path) {
            Some(bytes) => Reply::part(bytes, request.range_start()),
            None => Reply::status(404),
        }
    }
}

struct Client {
    images: Images,
    name: Reference,
    _dir: tempfile::TempDir,
}

/// A client of an empty store that asks `host`, and does not wait for long.
fn client_at(host: &str, options: RemoteOptions) -> Client {
    let options = RemoteOptions {
        attempts: 3,
        backoff: Duration::from_millis(1),
        stall_timeout: Duration::from_millis(800),
        ..options
    };
    patient_client_at(host, options)
}

/// A client of an empty store that asks `host`.
fn patient_client_at(host: &str, options: RemoteOptions) -> Client {
    let dir = tempfile::tempdir().unwrap();
    let images = Images::new(
        Store::open(dir.path()).unwrap(),
        ImagesOptions {
            platform: Platform::linux("amd64"),
            pull: false,
            sboms: false,
            pins: Default::default(),
            files: Vec::new(),
            remote: Some(Box::new(Remote::new(options).unwrap())),
        },
    );
    let name = Reference::parse(&format!("{host}/a/b:1")).unwrap();
    Client {
        images,
        name,
        _dir: dir,
    }
}

fn client_with(server: &Server, options: RemoteOptions) -> Client {
    client_at(server.host(), options)
}

fn client(server: &Server) -> Client {
    client_with(server, RemoteOptions::default())
}

impl Client {
    fn resolve(&self) -> Result<ResolvedImage, RegistryError> {
        self.images
            .resolve(std::slice::from_ref(&self.name))
            .map(|mut images| images.remove(0))
    }

    /// Resolves and reads the layer.
    fn pull(&self) -> Result<Vec<u8>, String> {
        let image = self.resolve().map_err(|e| e.to_string())?;
        let mut blob = self
            .images
            .open_blob(&image, &image.layers[0])
            .map_err(|e| e.to_string())?;
        let mut bytes = Vec::new();
        blob.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        Ok(bytes)
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.images.store().dir().join("blobs/sha256"))
            .unwrap()
            .count()
    }
}
