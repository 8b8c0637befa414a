//! A registry that behaves as badly as a test asks, on the loopback interface.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::remote::{Credentials, Remote, RemoteOptions};
use super::*;
use crate::store::Store;

struct Request {
    path: String,
    headers: HashMap<String, String>,
    /// How many requests for this path came before.
    earlier: usize,
}

struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// The connection ends after so many bytes of the body.
    cut: Option<usize>,
}

fn ok(body: impl Into<Vec<u8>>) -> Reply {
    Reply {
        status: 200,
        headers: Vec::new(),
        body: body.into(),
        cut: None,
    }
}

fn status(status: u16) -> Reply {
    Reply { status, ..ok("") }
}

impl Reply {
    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn cut(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }
}

/// Path and headers of each request.
type Seen = Vec<(String, HashMap<String, String>)>;

struct Server {
    host: String,
    requests: Arc<Mutex<Seen>>,
}

impl Server {
    fn new(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Seen::new()));
        let (seen, handler) = (requests.clone(), Arc::new(handler));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, handler) = (seen.clone(), handler.clone());
                std::thread::spawn(move || serve(stream, &seen, &*handler));
            }
        });
        Server { host, requests }
    }

    fn paths(&self) -> Vec<String> {
        self.requests
            .lock()
            .unwrap()
            .iter()
            .map(|(path, _)| path.clone())
            .collect()
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Seen>,
    handler: &dyn Fn(&Request) -> Reply,
) -> Option<()> {
    let mut input = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    input.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        line.clear();
        input.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let earlier = {
        let mut seen = seen.lock().unwrap();
        let earlier = seen.iter().filter(|(p, _)| *p == path).count();
        seen.push((path.clone(), headers.clone()));
        earlier
    };
    let reply = handler(&Request {
        path,
        headers,
        earlier,
    });
    let mut head = format!("HTTP/1.1 {} x\r\nconnection: close\r\n", reply.status);
    if !reply
        .headers
        .iter()
        .any(|(name, _)| *name == "content-length")
    {
        head += &format!("content-length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
    let end = reply.cut.unwrap_or(reply.body.len()).min(reply.body.len());
    stream.write_all(&reply.body[..end]).ok()
}

/// A tiny image with one layer of 100 kB.
#[derive(Clone)]
struct Image {
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

fn image() -> Image {
    let layer: Vec<u8> = (0..100_000u32)
        .flat_map(u32::to_le_bytes)
        .take(100_000)
        .collect();
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
    Image {
        manifest: serde_json::to_vec(&manifest).unwrap(),
        layer,
        config,
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> serde_json::Value {
    json!({"mediaType": media_type, "size": bytes.len(), "digest": Digest::sha256(bytes).to_string()})
}

impl Image {
    /// What an honest registry answers.
    fn answer(&self, path: &str) -> Reply {
        if path.contains("/manifests/") {
            return ok(self.manifest.clone());
        }
        for blob in [&self.layer, &self.config] {
            if path.ends_with(Digest::sha256(blob).hex()) {
                return ok(blob.clone());
            }
        }
        status(404)
    }

    fn is_layer(&self, path: &str) -> bool {
        path.ends_with(Digest::sha256(&self.layer).hex())
    }
}

struct Client {
    images: Images,
    name: Reference,
    _dir: tempfile::TempDir,
}

fn client_with(server: &Server, options: RemoteOptions) -> Client {
    let dir = tempfile::tempdir().unwrap();
    let options = RemoteOptions {
        attempts: 3,
        backoff: Duration::from_millis(1),
        stall_timeout: Duration::from_millis(800),
        ..options
    };
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
    let name = Reference::parse(&format!("{}/a/b:1", server.host)).unwrap();
    Client {
        images,
        name,
        _dir: dir,
    }
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

#[test]
fn an_image_is_pulled_once_and_then_read_from_the_store() {
    let image = image();
    let served = image.clone();
    let server = Server::new(move |r| served.answer(&r.path));
    let client = client(&server);
    assert!(client.pull().unwrap() == image.layer);
    let requests = server.paths().len();
    assert_eq!(requests, 3);
    assert!(client.pull().unwrap() == image.layer);
    assert_eq!(
        server.paths().len(),
        requests,
        "the second time nothing is asked"
    );
    assert_eq!(client.files(), 3);
}

#[test]
fn a_transfer_that_breaks_is_resumed_where_it_broke() {
    let image = image();
    let served = image.clone();
    let server = Server::new(move |r| {
        if !served.is_layer(&r.path) {
            return served.answer(&r.path);
        }
        let start = r.headers.get("range").map_or(0, |range| {
            range
                .strip_prefix("bytes=")
                .unwrap()
                .strip_suffix('-')
                .unwrap()
                .parse()
                .unwrap()
        });
        let reply = Reply {
            status: if start > 0 { 206 } else { 200 },
            ..ok(&served.layer[start..])
        };
        reply
            .header("content-range", format!("bytes {start}-99999/100000"))
            .cut(30_000)
    });
    assert!(client(&server).pull().unwrap() == image.layer);
    let ranges = server.requests.lock().unwrap();
    let ranges: Vec<_> = ranges.iter().filter_map(|(_, h)| h.get("range")).collect();
    assert_eq!(ranges, ["bytes=30000-", "bytes=60000-", "bytes=90000-"]);
}

#[test]
fn a_server_without_ranges_is_read_again_from_the_start() {
    let image = image();
    let served = image.clone();
    let server = Server::new(move |r| match served.is_layer(&r.path) {
        true => served.answer(&r.path).cut(40_000 * (r.earlier + 1)),
        false => served.answer(&r.path),
    });
    assert!(client(&server).pull().unwrap() == image.layer);
}

#[test]
fn a_blob_that_always_breaks_ends_in_an_error_and_leaves_nothing() {
    let served = image();
    let server = Server::new(move |r| match served.is_layer(&r.path) {
        true => served.answer(&r.path).cut(1_000),
        false => served.answer(&r.path),
    });
    let client = client(&server);
    let error = client.pull().unwrap_err();
    assert!(
        error.contains("ended after 1000 of 100000 bytes") || error.contains("reach"),
        "{error}"
    );
    assert_eq!(client.files(), 2, "manifest and config only");
}

#[test]
fn wrong_bytes_never_enter_the_store() {
    let served = image();
    let server = Server::new(move |r| {
        let mut reply = served.answer(&r.path);
        if served.is_layer(&r.path) {
            reply.body[77] ^= 1;
        }
        reply
    });
    let client = client(&server);
    let error = client.pull().unwrap_err();
    assert!(error.contains("have the digest sha256:"), "{error}");
    assert_eq!(client.files(), 2);
}

#[test]
fn bad_size_both_ways_is_an_error() {
    for more in [true, false] {
        let served = image();
        let server = Server::new(move |r| {
            let mut reply = served.answer(&r.path);
            if served.is_layer(&r.path) && more {
                reply.body.push(0);
            } else if served.is_layer(&r.path) {
                reply.body.pop();
            }
            reply
        });
        let client = client(&server);
        assert!(client.pull().is_err());
        assert_eq!(client.files(), 2);
    }
}

#[test]
fn wrong_config_bytes_are_refused() {
    let served = image();
    let server = Server::new(move |r| {
        let mut reply = served.answer(&r.path);
        if reply.body == served.config {
            reply.body[2] = b'A';
        }
        reply
    });
    let client = client(&server);
    assert!(
        client
            .resolve()
            .unwrap_err()
            .to_string()
            .contains("have the digest")
    );
    assert_eq!(client.files(), 1);
}

#[test]
fn a_damaged_blob_of_the_store_is_fetched_again() {
    let image = image();
    let served = image.clone();
    let server = Server::new(move |r| served.answer(&r.path));
    let client = client(&server);
    client.pull().unwrap();
    let path = client
        .images
        .store()
        .blob_path(&Digest::sha256(&image.layer));
    let mut bytes = image.layer.clone();
    bytes[5] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(client.pull().unwrap_err().contains("have the digest"));
    assert!(
        client.pull().unwrap() == image.layer,
        "it was taken away and fetched again"
    );
}

#[test]
fn an_endless_manifest_is_cut_off() {
    let server = Server::new(|_| ok(vec![b' '; 5 << 20]));
    let error = client(&server).resolve().unwrap_err().to_string();
    assert!(
        error.contains("more than the limit of 4194304 bytes"),
        "{error}"
    );
}

#[test]
fn an_absent_image_and_an_absent_registry_say_so() {
    let server = Server::new(|_| status(404));
    let error = client(&server).resolve().unwrap_err().to_string();
    assert!(
        error.contains("no such image in 127.0.0.1") && error.contains("/a/b:1"),
        "{error}"
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let absent = Server {
        host,
        requests: Arc::default(),
    };
    let error = client(&absent).resolve().unwrap_err().to_string();
    assert!(
        error.contains("can't reach") && error.contains("is the registry running?"),
        "{error}"
    );
}

#[test]
fn failures_that_may_pass_are_tried_again_and_others_are_not() {
    for (code, requests) in [(500, 3), (503, 3), (429, 3), (400, 1)] {
        let server = Server::new(move |_| status(code).header("retry-after", "0"));
        let error = client(&server).resolve().unwrap_err().to_string();
        assert!(error.contains(&code.to_string()), "{error}");
        assert_eq!(server.paths().len(), requests, "{code}");
    }
    let served = image();
    let server = Server::new(move |r| match r.earlier {
        0 => status(503),
        _ => served.answer(&r.path),
    });
    client(&server).pull().unwrap();
}

#[test]
fn a_silent_server_is_given_up() {
    let server = Server::new(|_| {
        std::thread::sleep(Duration::from_secs(20));
        ok("")
    });
    let start = std::time::Instant::now();
    assert!(client(&server).resolve().is_err());
    assert!(start.elapsed() < Duration::from_secs(15));
}

fn with_password(server: &Server) -> Client {
    let host = server.host.clone();
    client_with(
        server,
        RemoteOptions {
            credentials: Box::new(move |asked| {
                (asked == host).then(|| Credentials::Password {
                    username: "joe".into(),
                    password: "s3cret".into(),
                })
            }),
            ..RemoteOptions::default()
        },
    )
}

#[test]
fn bearer_tokens_are_fetched_and_renewed_in_the_middle() {
    let image = image();
    let served = image.clone();
    let tokens = AtomicUsize::new(0);
    let host = Arc::new(Mutex::new(String::new()));
    let own_host = host.clone();
    let server = Server::new(move |r| {
        if r.path.starts_with("/token?") {
            let given = tokens.fetch_add(1, Ordering::SeqCst) + 1;
            assert_eq!(r.headers["authorization"], "Basic am9lOnMzY3JldA==");
            assert!(
                r.path.contains("scope=repository%3Aa%2Fb%3Apull"),
                "{}",
                r.path
            );
            return ok(format!(r#"{{"token":"t{given}"}}"#));
        }
        // The first token is good for one request only.
        let good = match r.headers.get("authorization").map(String::as_str) {
            Some("Bearer t1") => r.path.contains("/manifests/"),
            Some("Bearer t2") => true,
            _ => false,
        };
        if good {
            return served.answer(&r.path);
        }
        let realm = format!(
            r#"Bearer realm="http://{}/token",service="reg""#,
            own_host.lock().unwrap()
        );
        status(401).header("www-authenticate", realm)
    });
    *host.lock().unwrap() = server.host.clone();
    assert!(with_password(&server).pull().unwrap() == image.layer);
}

#[test]
fn a_refused_password_names_docker_login_and_not_the_password() {
    let server = Server::new(|_| status(401).header("www-authenticate", "Basic realm=x"));
    let error = with_password(&server).resolve().unwrap_err().to_string();
    assert!(
        error.contains("docker login 127.0.0.1") && !error.contains("s3cret"),
        "{error}"
    );
}

#[test]
fn credentials_do_not_follow_a_redirect_to_another_host() {
    let image = image();
    let served = image.clone();
    let elsewhere = Server::new(move |r| {
        assert!(!r.headers.contains_key("authorization"), "{:?}", r.headers);
        served.answer(&r.path)
    });
    let (served, target) = (image.clone(), elsewhere.host.clone());
    let server = Server::new(move |r| {
        if !r.headers.contains_key("authorization") {
            return status(401).header("www-authenticate", "Basic realm=x");
        }
        match served.is_layer(&r.path) {
            true => status(307).header("location", format!("http://{target}{}", r.path)),
            false => served.answer(&r.path),
        }
    });
    assert!(with_password(&server).pull().unwrap() == image.layer);
    assert_eq!(elsewhere.paths().len(), 1);
}

#[test]
fn redirects_in_a_circle_end() {
    let server = Server::new(|r| status(302).header("location", r.path.clone()));
    let error = client(&server).resolve().unwrap_err().to_string();
    assert!(error.contains("more than 5 redirects"), "{error}");
}

#[test]
fn a_token_server_without_encryption_gets_no_credentials() {
    let realm = r#"Bearer realm="http://192.0.2.1/token""#;
    let server = Server::new(move |_| status(401).header("www-authenticate", realm));
    let error = with_password(&server).resolve().unwrap_err().to_string();
    assert!(error.contains("is not encrypted"), "{error}");
}

#[test]
fn a_mirror_is_asked_first_and_the_registry_when_it_fails() {
    let image = image();
    for mirror_works in [true, false] {
        let served = image.clone();
        let mirror = Server::new(move |r| match mirror_works {
            true => served.answer(&r.path),
            false => status(404),
        });
        let served = image.clone();
        let server = Server::new(move |r| served.answer(&r.path));
        let options = RemoteOptions {
            mirrors: vec![(server.host.clone(), format!("http://{}", mirror.host))],
            ..RemoteOptions::default()
        };
        assert!(client_with(&server, options).pull().unwrap() == image.layer);
        assert_eq!(server.paths().is_empty(), mirror_works);
        assert!(!mirror.paths().is_empty());
    }
}

#[test]
fn a_pinned_digest_must_be_that_of_the_manifest() {
    let image = image();
    let served = image.clone();
    let server = Server::new(move |r| served.answer(&r.path));
    let pin = |digest: &Digest| {
        let mut client = client(&server);
        client.name = Reference::parse(&format!("{}/a/b:1@{digest}", server.host)).unwrap();
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
        false => served.answer(&r.path),
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

#[test]
fn deeply_nested_json_is_no_stack_overflow() {
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    assert!(document::parse(&deep, "").is_err());
    assert!(document::parse_config(&deep).is_err());
}

#[test]
fn a_config_with_another_number_of_layers_is_refused() {
    let mut served = image();
    let mut manifest: serde_json::Value = serde_json::from_slice(&served.manifest).unwrap();
    let layer = manifest["layers"][0].clone();
    manifest["layers"] = json!([layer.clone(), layer]);
    served.manifest = serde_json::to_vec(&manifest).unwrap();
    let server = Server::new(move |r| served.answer(&r.path));
    let error = client(&server).resolve().unwrap_err().to_string();
    assert!(
        error.contains("its config names 1 layers, its manifest 2"),
        "{error}"
    );
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

mod files {
    use testdata::{Image, Layer, Layout};

    use super::*;

    fn layout() -> Layout {
        let image = Image::new().layer(&Layer::new().file("bin/x", "x"));
        Layout::new().image("vec/a:1", &image).image("b:2", &image)
    }

    /// Resolves through the file alone and reads the only layer.
    fn read(path: &std::path::Path, name: &str) -> Result<Vec<u8>, String> {
        let dir = tempfile::tempdir().unwrap();
        let images = Images::new(
            Store::open(dir.path()).unwrap(),
            ImagesOptions {
                platform: Platform::linux("amd64"),
                pull: false,
                sboms: false,
                pins: Default::default(),
                files: vec![Box::new(
                    local::LocalSource::open(path).map_err(|e| e.to_string())?,
                )],
                remote: None,
            },
        );
        let name = Reference::parse(name).unwrap();
        let image = images
            .resolve(&[name])
            .map_err(|e| e.to_string())?
            .remove(0);
        let mut bytes = Vec::new();
        let mut blob = images
            .open_blob(&image, &image.layers[0])
            .map_err(|e| e.to_string())?;
        blob.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        assert!(images.store().blob_path(&image.layers[0].digest).exists());
        Ok(bytes)
    }

    #[test]
    fn a_layout_folder_a_layout_tar_and_docker_save_are_sources() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, tar, save) = (
            dir.path().join("folder"),
            dir.path().join("a.tar"),
            dir.path().join("b.tar"),
        );
        layout().write_dir(&folder);
        std::fs::write(&tar, layout().tar()).unwrap();
        std::fs::write(&save, layout().docker_save()).unwrap();
        for path in [&folder, &tar, &save] {
            for name in ["vec/a:1", "docker.io/vec/a:1", "b:2"] {
                let blob = read(path, name).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                assert!(!blob.is_empty());
            }
            assert!(
                read(path, "vec/none:1")
                    .unwrap_err()
                    .contains("docker.io/vec/none:1")
            );
        }
    }

    #[test]
    fn damaged_files_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        let open = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read(&path, "vec/a:1")
        };
        let tar = layout().tar();
        for bytes in [&b""[..], b"no tar at all", &tar[..tar.len() / 2]] {
            assert!(open(bytes).is_err());
        }
        let mut bad = layout();
        for blob in bad.blobs.values_mut() {
            let last = blob.len() - 1;
            blob[last] ^= 1;
        }
        assert!(open(&bad.tar()).is_err());
        assert!(
            read(&dir.path().join("absent"), "vec/a:1")
                .unwrap_err()
                .contains("absent")
        );
    }
}
