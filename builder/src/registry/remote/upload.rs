//! Blobs and manifests on their way to a registry (distribution-spec, "Push").
//!
//! A blob goes in one piece: POST says where, PUT brings the bytes. What may pass is tried again
//! from the start; what arrived already is found by HEAD then.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, Url};

use super::super::error::RegistryErrorKind;
use super::client::{Client, secret};
use super::endpoint::{Endpoint, authority, is_loopback};
use super::failure::Failure;
use super::pace::LEAST_BYTES;
use super::source::http_client;
use crate::digest::Digest;

const OCTETS: &str = "application/octet-stream";
/// What is read of a file at once.
const FRAME_BYTES: usize = 128 << 10;

/// Clients without a bound on how long an answer takes: it comes after the upload, which is watched
/// in another way.
pub(super) struct Uploads {
    verified: reqwest::Client,
    unverified: reqwest::Client,
}

/// The bytes of a blob that is pushed.
#[derive(Clone, Debug)]
pub enum PushBytes {
    /// In memory.
    Memory(Bytes),
    /// The first so many bytes of a file.
    File(Arc<File>, u64),
}

impl PushBytes {
    fn len(&self) -> u64 {
        match self {
            PushBytes::Memory(bytes) => bytes.len() as u64,
            PushBytes::File(_, bytes) => *bytes,
        }
    }

    /// A body that counts in `sent` how far it is.
    fn body(&self, sent: &Arc<AtomicU64>) -> Body {
        Body::wrap(Counted {
            bytes: self.clone(),
            position: 0,
            sent: sent.clone(),
        })
    }
}

impl Client {
    /// Uploads a blob unless it is there; tells whether it did.
    pub(super) async fn push_blob(
        &self,
        registry: &Endpoint,
        repository: &str,
        digest: &Digest,
        bytes: &PushBytes,
    ) -> Result<bool, RegistryErrorKind> {
        self.again(async || {
            if self.has_blob(registry, repository, digest).await? {
                return Ok(false);
            }
            self.upload(registry, repository, digest, bytes).await?;
            Ok(true)
        })
        .await
    }

    /// Makes a tag stand for a manifest.
    pub(super) async fn push_manifest(
        &self,
        registry: &Endpoint,
        repository: &str,
        tag: &str,
        media_type: &str,
        manifest: Vec<u8>,
    ) -> Result<(), RegistryErrorKind> {
        let path = format!("v2/{repository}/manifests/{tag}");
        let bytes = PushBytes::Memory(manifest.into());
        self.again(async || {
            let url = registry.url(&path)?;
            let put = Push {
                method: Method::PUT,
                url,
                body: Some((media_type, &bytes)),
            };
            let response = self.push(registry, repository, &path, &put).await?;
            match response.status() {
                StatusCode::CREATED | StatusCode::OK | StatusCode::ACCEPTED => Ok(()),
                _ => Err(self.options.status_failure(registry, &path, &response)),
            }
        })
        .await
    }

    /// Tries again what may pass.
    async fn again<T>(
        &self,
        ask: impl AsyncFn() -> Result<T, Failure>,
    ) -> Result<T, RegistryErrorKind> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let failure = match ask().await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let wait = match failure.retry_after {
                Some(wait) if attempt < self.options.attempts => wait,
                _ => return Err(failure.kind),
            };
            tokio::time::sleep(wait.max(self.backoff(attempt))).await;
        }
    }

    async fn has_blob(
        &self,
        registry: &Endpoint,
        repository: &str,
        digest: &Digest,
    ) -> Result<bool, Failure> {
        let path = format!("v2/{repository}/blobs/{digest}");
        let head = Push {
            method: Method::HEAD,
            url: registry.url(&path)?,
            body: None,
        };
        let response = self.push(registry, repository, &path, &head).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            // To the storage where it is.
            status if status.is_success() || status.is_redirection() => Ok(true),
            _ => Err(self.options.status_failure(registry, &path, &response)),
        }
    }

    async fn upload(
        &self,
        registry: &Endpoint,
        repository: &str,
        digest: &Digest,
        bytes: &PushBytes,
    ) -> Result<(), Failure> {
        let path = format!("v2/{repository}/blobs/uploads/");
        let empty = PushBytes::Memory(Bytes::new());
        let post = Push {
            method: Method::POST,
            url: registry.url(&path)?,
            body: Some((OCTETS, &empty)),
        };
        let response = self.push(registry, repository, &path, &post).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(self.options.status_failure(registry, &path, &response));
        }
        let mut url = self.upload_place(registry, &post.url, &response)?;
        url.query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        let put = Push {
            method: Method::PUT,
            url,
            body: Some((OCTETS, bytes)),
        };
        let what = format!("the upload of {digest}");
        let response = self.push(registry, repository, &what, &put).await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT => Ok(()),
            _ => Err(self.options.status_failure(registry, &what, &response)),
        }
    }

    /// Where the registry wants the bytes.
    fn upload_place(
        &self,
        registry: &Endpoint,
        here: &Url,
        response: &Response,
    ) -> Result<Url, Failure> {
        let bad = |reason: String| {
            Failure::fatal(RegistryErrorKind::Protocol {
                host: registry.host.clone(),
                reason,
            })
        };
        let location = response.headers().get(LOCATION);
        let place = location
            .and_then(|l| l.to_str().ok())
            .and_then(|l| here.join(l).ok())
            .filter(|place| matches!(place.scheme(), "http" | "https"))
            .ok_or_else(|| bad("it does not say where an upload goes".into()))?;
        let host = authority(&place);
        let plain_allowed = is_loopback(&host) || (registry.insecure && host == registry.host);
        if place.scheme() != "https" && !plain_allowed {
            return Err(bad(format!(
                "it wants an upload at {host} without encryption"
            )));
        }
        Ok(place)
    }

    /// Sends a request, with the registry's token where it goes to the registry itself.
    async fn push(
        &self,
        registry: &Endpoint,
        repository: &str,
        what: &str,
        push: &Push<'_>,
    ) -> Result<Response, Failure> {
        self.options.way(&push.url)?;
        let is_home =
            authority(&push.url) == registry.host && push.url.scheme() == registry.base.scheme();
        let client = self.uploads(registry, is_home && registry.insecure)?;
        let send = async |token: Option<&str>| {
            let mut request = client.request(push.method.clone(), push.url.clone());
            if let Some(token) = token {
                request = request.header(AUTHORIZATION, secret(token)?);
            }
            self.send_watched(registry, request, push.body).await
        };
        if !is_home {
            return send(None).await;
        }
        let token = self.token_of(registry, repository).await;
        let response = send(token.as_deref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let new = self
            .new_token(registry, repository, what, "pull,push", &response)
            .await?;
        let response = send(Some(&new)).await?;
        self.keep_token(registry, repository, new, &response).await;
        Ok(response)
    }

    /// Sends a request as long as its body moves.
    async fn send_watched(
        &self,
        registry: &Endpoint,
        mut request: RequestBuilder,
        body: Option<(&str, &PushBytes)>,
    ) -> Result<Response, Failure> {
        let sent = Arc::new(AtomicU64::new(0));
        if let Some((media_type, bytes)) = body {
            request = request
                .header(CONTENT_TYPE, media_type)
                .header(CONTENT_LENGTH, bytes.len())
                .body(bytes.body(&sent));
        }
        let window = self.options.stall_timeout;
        let mut answer = pin!(request.send());
        let mut seen = 0;
        loop {
            tokio::select! {
                answer = &mut answer => {
                    return answer.map_err(|e| self.options.transport_failure(registry, &e));
                }
                () = tokio::time::sleep(window) => {}
            }
            let now = sent.load(Ordering::Relaxed);
            if now - seen < LEAST_BYTES {
                return Err(stalled(registry, window));
            }
            seen = now;
        }
    }

    fn uploads(&self, registry: &Endpoint, unverified: bool) -> Result<&reqwest::Client, Failure> {
        let build = |verify| {
            let client = http_client(&self.options, verify).and_then(|builder| builder.build());
            client.map_err(|e| self.options.transport_failure(registry, &e))
        };
        let uploads = match self.uploads.get() {
            Some(uploads) => uploads,
            None => {
                let (verified, unverified) = (build(true)?, build(false)?);
                self.uploads.get_or_init(|| Uploads {
                    verified,
                    unverified,
                })
            }
        };
        Ok(match unverified {
            true => &uploads.unverified,
            false => &uploads.verified,
        })
    }
}

/// A request that changes something, or asks whether that is needed.
struct Push<'a> {
    method: Method,
    url: Url,
    /// Media type and bytes.
    body: Option<(&'a str, &'a PushBytes)>,
}

impl Endpoint {
    fn url(&self, path: &str) -> Result<Url, Failure> {
        let base = self.base.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/{path}")).map_err(|e| {
            Failure::fatal(RegistryErrorKind::Protocol {
                host: self.host.clone(),
                reason: e.to_string(),
            })
        })
    }
}

fn stalled(registry: &Endpoint, window: Duration) -> Failure {
    Failure {
        kind: RegistryErrorKind::Unreachable {
            host: registry.host.clone(),
            reason: format!("an upload did not move for {} s", window.as_secs_f32()),
            hint: String::new(),
        },
        retry_after: Some(Duration::ZERO),
    }
}

/// The body of an upload.
struct Counted {
    bytes: PushBytes,
    position: u64,
    sent: Arc<AtomicU64>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = io::Error;

    /// Reads from the file where it stands: packs were read a moment ago, so that this waits for no
    /// disk.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let left = self.bytes.len() - self.position;
        let bytes = usize::try_from(left).map_or(FRAME_BYTES, |left| left.min(FRAME_BYTES));
        if bytes == 0 {
            return Poll::Ready(None);
        }
        let frame = match &self.bytes {
            PushBytes::Memory(all) => {
                let start = usize::try_from(self.position).unwrap_or(usize::MAX);
                all.slice(start..start + bytes)
            }
            PushBytes::File(file, _) => {
                let mut frame = vec![0; bytes];
                if let Err(error) = file.read_exact_at(&mut frame, self.position) {
                    return Poll::Ready(Some(Err(error)));
                }
                frame.into()
            }
        };
        self.position += bytes as u64;
        self.sent.store(self.position, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.position == self.bytes.len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() - self.position)
    }
}
