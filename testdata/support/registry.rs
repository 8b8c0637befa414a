//! A real registry (Debian's docker-registry) on localhost, and images pushed to it.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Authority, Layout, judge};

/// A registry that ends, and whose content goes, when this is dropped.
#[derive(Debug)]
pub struct Registry {
    server: Child,
    address: String,
    program: PathBuf,
    own: tempfile::TempDir,
    content: Arc<tempfile::TempDir>,
}

/// Another way into a registry's content.
#[derive(Debug, Default)]
pub struct Door<'a> {
    /// With encryption: a certificate that this authority signed.
    pub tls: Option<&'a Authority>,
    /// Only with [`Door::USER`] and [`Door::PASSWORD`].
    pub password: bool,
}

impl Door<'_> {
    /// Who may come in where a password is asked for.
    pub const USER: &'static str = "joe";
    /// The password.
    pub const PASSWORD: &'static str = "s3cret";
    /// Both as Apache's htpasswd writes them (bcrypt).
    const HTPASSWD: &'static str =
        "joe:$2b$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n";
}

impl Registry {
    /// Starts an empty registry on a free port; `None` where docker-registry is not installed.
    pub fn start() -> Option<Self> {
        let program = judge("docker-registry")?;
        let content = Arc::new(tempfile::tempdir().unwrap());
        Some(Self::serve(program, content, &Door::default()))
    }

    /// Starts another server of the same content.
    pub fn open(&self, door: &Door<'_>) -> Self {
        Self::serve(self.program.clone(), self.content.clone(), door)
    }

    fn serve(program: PathBuf, content: Arc<tempfile::TempDir>, door: &Door<'_>) -> Self {
        let own = tempfile::tempdir().unwrap();
        // The port was free a moment ago; the next moment is a risk that tests can take.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let data = content.path().join("data");
        let tls = door.tls.map_or(String::new(), |authority| {
            let (certificate, key) = (authority.certificate(), authority.key());
            format!(", tls: {{certificate: {certificate:?}, key: {key:?}}}")
        });
        let mut text = format!(
            "version: 0.1\n\
             log: {{level: error}}\n\
             storage: {{filesystem: {{rootdirectory: {data:?}}}}}\n\
             http: {{addr: \"127.0.0.1:{port}\"{tls}}}\n"
        );
        if door.password {
            let users = own.path().join("htpasswd");
            std::fs::write(&users, Door::HTPASSWD).unwrap();
            text += &format!("auth: {{htpasswd: {{realm: test, path: {users:?}}}}}\n");
        }
        let config = own.path().join("config.yml");
        std::fs::write(&config, text).unwrap();
        let log = File::create(own.path().join("access.log")).unwrap();
        let server = Command::new(&program)
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Registry {
            server,
            address: format!("127.0.0.1:{port}"),
            program,
            own,
            content,
        };
        let start = Instant::now();
        while TcpStream::connect(&registry.address).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "docker-registry does not answer"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    /// `localhost:PORT`, to stand before image names.
    pub fn host(&self) -> String {
        self.address.replace("127.0.0.1", "localhost")
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What was asked so far, as `GET /v2/… HTTP/1.1" 200 …`.
    pub fn requests(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.own.path().join("access.log")).unwrap();
        log.lines()
            .filter_map(|line| Some(line.split_once("] \"")?.1.to_owned()))
            .collect()
    }

    /// Pushes every image of a layout; `docker.io/test/x:1` becomes `localhost:PORT/test/x:1`.
    pub fn push(&self, images: &Layout) {
        for descriptor in &images.manifests {
            let name = descriptor["annotations"]["org.opencontainers.image.ref.name"]
                .as_str()
                .unwrap();
            let (repository, tag) = name
                .split_once('/')
                .and_then(|(_, rest)| rest.rsplit_once(':'))
                .unwrap();
            self.push_manifest(images, repository, descriptor, tag);
        }
    }

    /// Pushes a manifest or index after what it refers to.
    fn push_manifest(&self, images: &Layout, repository: &str, descriptor: &Value, tag: &str) {
        let digest = descriptor["digest"].as_str().unwrap();
        let bytes = &images.blobs[digest];
        let document: Value = serde_json::from_slice(bytes).unwrap();
        for child in document["manifests"].as_array().into_iter().flatten() {
            let digest = child["digest"].as_str().unwrap();
            self.push_manifest(images, repository, child, digest);
        }
        let layers = document["layers"].as_array().into_iter().flatten();
        let config = document.get("config");
        for blob in layers.chain(config) {
            let digest = blob["digest"].as_str().unwrap();
            self.push_blob(repository, digest, &images.blobs[digest]);
        }
        let media_type = descriptor["mediaType"].as_str().unwrap();
        let path = format!("/v2/{repository}/manifests/{tag}");
        self.request("PUT", &path, media_type, bytes);
    }

    /// Uploads a blob in one piece (distribution-spec, "Pushing a blob monolithically").
    fn push_blob(&self, repository: &str, digest: &str, bytes: &[u8]) {
        let octets = "application/octet-stream";
        let uploads = format!("/v2/{repository}/blobs/uploads/");
        let answer = self.request("POST", &uploads, octets, b"");
        let location = answer
            .lines()
            .find_map(|line| line.strip_prefix("Location: "))
            .expect("where to upload to");
        let path = location.trim_start_matches("http://");
        let path = &path[path.find('/').unwrap()..];
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{separator}digest={digest}");
        self.request("PUT", &path, octets, bytes);
    }

    /// One HTTP/1.1 request; returns head and body of the answer, which must be a success.
    fn request(&self, method: &str, path: &str, media_type: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {media_type}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.starts_with("HTTP/1.1 20"),
            "{method} {path}: {answer}"
        );
        answer
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
