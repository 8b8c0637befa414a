//! Requests to registries: where to, with which token, how often.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE, WWW_AUTHENTICATE,
};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::sync::Mutex;

use super::super::document::MANIFEST_TYPES;
use super::super::error::{RegistryError, RegistryErrorKind};
use super::super::{RawDocument, Source};
use super::auth::{Challenge, Credentials, parse_challenge, parse_token};
use super::blob::stream_blob;
use crate::digest::Digest;
use crate::reference::Reference;
use crate::store::MAX_DOCUMENT_BYTES;

const MAX_REDIRECTS: usize = 5;
const MAX_TOKEN_BYTES: u64 = 1 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// What Docker Hub is called in names, and where it is.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// Finds the credentials of a registry host; docker's key for Docker Hub is
/// `https://index.docker.io/v1/`.
pub type CredentialLookup = Box<dyn Fn(&str) -> Option<Credentials> + Send + Sync>;

/// How registries are reached.
pub struct RemoteOptions {
    /// Hosts (with port, where the name has one) that may be spoken to without TLS, or with a
    /// certificate that can't be verified. `localhost` and loopback addresses always may.
    pub insecure: Vec<String>,
    /// Registry (or `*`) and the base URL of a mirror, asked in order before the registry itself.
    pub mirrors: Vec<(String, String)>,
    /// Certificates (PEM) trusted besides the system's.
    pub ca_certificates: Vec<Vec<u8>>,
    /// Where credentials come from.
    pub credentials: CredentialLookup,
    /// Attempts without progress before giving up.
    pub attempts: u32,
    /// First wait between attempts; doubled each time.
    pub backoff: Duration,
    /// How long a connection may be silent.
    pub stall_timeout: Duration,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        RemoteOptions {
            insecure: Vec::new(),
            mirrors: Vec::new(),
            ca_certificates: Vec::new(),
            credentials: Box::new(|_| None),
            attempts: 5,
            backoff: Duration::from_millis(500),
            stall_timeout: Duration::from_secs(60),
        }
    }
}

/// All registries, behind one runtime thread.
pub struct Remote {
    runtime: tokio::runtime::Runtime,
    client: Arc<Client>,
}

/// What tasks share.
pub(super) struct Client {
    http: reqwest::Client,
    /// Accepts any certificate; for hosts the user called insecure only.
    unverified: reqwest::Client,
    pub(super) options: RemoteOptions,
    tokens: Mutex<HashMap<(String, String), String>>,
}

/// Where a repository is: a registry or one of its mirrors.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    base: Url,
    /// Host and port, for messages and credentials.
    pub(super) host: String,
    insecure: bool,
}

impl Remote {
    /// Starts the runtime thread; nothing is sent before the first request.
    pub fn new(options: RemoteOptions) -> Result<Self, RegistryError> {
        let setup = |e: String| RegistryErrorKind::Protocol {
            host: "HTTP client".into(),
            reason: e,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("network")
            .enable_all()
            .build()
            .map_err(|e| setup(e.to_string()).of("registries"))?;
        let build = |verify: bool| {
            let mut builder = reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(options.stall_timeout)
                .user_agent(concat!("lkbuild/", env!("CARGO_PKG_VERSION")))
                .danger_accept_invalid_certs(!verify);
            for pem in &options.ca_certificates {
                for certificate in reqwest::Certificate::from_pem_bundle(pem)? {
                    builder = builder.add_root_certificate(certificate);
                }
            }
            builder.build()
        };
        let failed = |e: reqwest::Error| setup(chain(&e)).of("registries");
        let http = build(true).map_err(failed)?;
        let unverified = build(false).map_err(failed)?;
        let client = Client {
            http,
            unverified,
            options,
            tokens: Mutex::default(),
        };
        Ok(Remote {
            runtime,
            client: Arc::new(client),
        })
    }

    /// Asks the mirrors, then the registry itself, until one has what is asked for. The error is
    /// the registry's own.
    fn first<T>(
        &self,
        name: &Reference,
        ask: impl AsyncFn(&Endpoint) -> Result<Option<T>, RegistryErrorKind>,
    ) -> Result<Option<T>, RegistryError> {
        let endpoints = self
            .client
            .endpoints(name.registry())
            .map_err(|e| e.of(name))?;
        let last = endpoints.len().saturating_sub(1);
        for (place, endpoint) in endpoints.iter().enumerate() {
            match self.runtime.block_on(ask(endpoint)) {
                Ok(None) | Err(_) if place < last => {}
                other => return other.map_err(|e| e.of(name)),
            }
        }
        Ok(None)
    }
}

impl Source for Remote {
    fn top(&self, name: &Reference) -> Result<Option<RawDocument>, RegistryError> {
        let wanted = name.digest().or(name.tag()).unwrap_or("latest");
        self.first(name, async |endpoint| {
            self.client.manifest(endpoint, name, wanted).await
        })
    }

    fn document(
        &self,
        name: &Reference,
        digest: &Digest,
        _size: u64,
        is_manifest: bool,
    ) -> Result<RawDocument, RegistryError> {
        let wanted = digest.to_string();
        let found = self.first(name, async |endpoint| match is_manifest {
            true => self.client.manifest(endpoint, name, &wanted).await,
            false => self.client.small_blob(endpoint, name, &wanted).await,
        })?;
        found.ok_or_else(|| {
            RegistryErrorKind::NotFound {
                place: format!("{} ({digest})", name.registry()),
            }
            .of(name)
        })
    }

    fn blob(
        &self,
        name: &Reference,
        digest: &Digest,
        size: u64,
    ) -> Result<Box<dyn Read + Send>, RegistryError> {
        let endpoints = self
            .client
            .endpoints(name.registry())
            .map_err(|e| e.of(name))?;
        let client = self.client.clone();
        let repository = name.repository().to_owned();
        Ok(stream_blob(
            self.runtime.handle(),
            client,
            endpoints,
            repository,
            digest.clone(),
            size,
        ))
    }
}

impl Client {
    /// Mirrors of a registry, then the registry.
    fn endpoints(&self, registry: &str) -> Result<Vec<Endpoint>, RegistryErrorKind> {
        let bad = |reason: String| RegistryErrorKind::Protocol {
            host: registry.into(),
            reason,
        };
        let mut endpoints = Vec::new();
        for (_, url) in self
            .options
            .mirrors
            .iter()
            .filter(|(of, _)| of == registry || of == "*")
        {
            let text = if url.contains("://") {
                url.clone()
            } else {
                format!("https://{url}")
            };
            let base = Url::parse(&text).map_err(|e| bad(format!("mirror {url}: {e}")))?;
            endpoints.push(self.endpoint(base)?);
        }
        let host = if registry == DOCKER_HUB.0 {
            DOCKER_HUB.1
        } else {
            registry
        };
        let scheme = if is_loopback(host) || self.is_insecure(host) {
            "http"
        } else {
            "https"
        };
        let base = Url::parse(&format!("{scheme}://{host}")).map_err(|e| bad(e.to_string()))?;
        endpoints.push(self.endpoint(base)?);
        Ok(endpoints)
    }

    fn is_insecure(&self, host: &str) -> bool {
        self.options.insecure.iter().any(|h| h == host)
    }

    fn endpoint(&self, base: Url) -> Result<Endpoint, RegistryErrorKind> {
        let host = authority(&base);
        let insecure = is_loopback(&host) || self.is_insecure(&host);
        if base.scheme() != "https" && !(base.scheme() == "http" && insecure) {
            let reason = format!(
                "{base} is not encrypted; use https, or --insecure-registry {host} if that is meant"
            );
            return Err(RegistryErrorKind::Protocol { host, reason });
        }
        Ok(Endpoint {
            base,
            host,
            insecure,
        })
    }

    async fn manifest(
        &self,
        endpoint: &Endpoint,
        name: &Reference,
        wanted: &str,
    ) -> Result<Option<RawDocument>, RegistryErrorKind> {
        let path = format!("v2/{}/manifests/{wanted}", name.repository());
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, header_value(&MANIFEST_TYPES.join(", "))?);
        self.small(endpoint, name.repository(), &path, headers)
            .await
    }

    async fn small_blob(
        &self,
        endpoint: &Endpoint,
        name: &Reference,
        digest: &str,
    ) -> Result<Option<RawDocument>, RegistryErrorKind> {
        let path = format!("v2/{}/blobs/{digest}", name.repository());
        self.small(endpoint, name.repository(), &path, HeaderMap::new())
            .await
    }

    /// A bounded answer, tried again after failures that may pass; `None` for 404.
    async fn small(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        path: &str,
        headers: HeaderMap,
    ) -> Result<Option<RawDocument>, RegistryErrorKind> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let failure = match self.get(endpoint, repository, path, headers.clone()).await {
                Ok(response) => match self.read_small(endpoint, path, response).await {
                    Err(failure) => failure,
                    Ok(document) => return Ok(document),
                },
                Err(failure) => failure,
            };
            let wait = match failure.retry_after {
                Some(wait) if attempt < self.options.attempts => wait,
                _ => return Err(failure.kind),
            };
            tokio::time::sleep(wait.max(self.backoff(attempt))).await;
        }
    }

    async fn read_small(
        &self,
        endpoint: &Endpoint,
        path: &str,
        response: Response,
    ) -> Result<Option<RawDocument>, Failure> {
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if response.status() != StatusCode::OK {
            return Err(self.status_failure(endpoint, path, &response));
        }
        let media_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let bytes = self.bounded(endpoint, response, MAX_DOCUMENT_BYTES).await?;
        Ok(Some(RawDocument { media_type, bytes }))
    }

    async fn bounded(
        &self,
        endpoint: &Endpoint,
        mut response: Response,
        limit: u64,
    ) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|e| self.transport_failure(endpoint, &e))?
        {
            if (bytes.len() + chunk.len()) as u64 > limit {
                let reason =
                    format!("an answer of more than {limit} bytes where a document was asked for");
                return Err(Failure::fatal(RegistryErrorKind::Protocol {
                    host: endpoint.host.clone(),
                    reason,
                }));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// A blob's bytes from `offset` on.
    pub(super) async fn get_blob(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        digest: &Digest,
        offset: u64,
    ) -> Result<Response, Failure> {
        let path = format!("v2/{repository}/blobs/{digest}");
        let mut headers = HeaderMap::new();
        if offset > 0 {
            let range = header_value(&format!("bytes={offset}-")).map_err(Failure::fatal)?;
            headers.insert(RANGE, range);
        }
        let response = self.get(endpoint, repository, &path, headers).await?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
            StatusCode::NOT_FOUND => Err(Failure::fatal(RegistryErrorKind::NotFound {
                place: format!("{} (blob {digest})", endpoint.host),
            })),
            _ => Err(self.status_failure(endpoint, &path, &response)),
        }
    }

    /// GET with a token where one is wanted; redirects are followed, and credentials stay with
    /// the host they are for.
    async fn get(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        path: &str,
        headers: HeaderMap,
    ) -> Result<Response, Failure> {
        let bad = |reason: String| {
            Failure::fatal(RegistryErrorKind::Protocol {
                host: endpoint.host.clone(),
                reason,
            })
        };
        let base = endpoint.base.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}/{path}")).map_err(|e| bad(e.to_string()))?;
        let key = (endpoint.host.clone(), repository.to_owned());
        let token = self.tokens.lock().await.get(&key).cloned();
        let had_token = token.is_some();
        let mut response = self
            .send(endpoint, &url, &headers, token.as_deref())
            .await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            if had_token {
                self.tokens.lock().await.remove(&key);
            }
            let challenge = challenge(&response);
            let Some(authorization) = self.authorize(endpoint, repository, challenge).await? else {
                return Err(self.status_failure(endpoint, path, &response));
            };
            response = self
                .send(endpoint, &url, &headers, Some(&authorization))
                .await?;
            if response.status() != StatusCode::UNAUTHORIZED {
                self.tokens.lock().await.insert(key, authorization);
            }
        }
        let mut here = url;
        for _ in 0..MAX_REDIRECTS {
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let location = response
                .headers()
                .get(LOCATION)
                .and_then(|v| v.to_str().ok());
            let next = location
                .and_then(|l| here.join(l).ok())
                .ok_or_else(|| bad("a redirect to nowhere".into()))?;
            if here.scheme() == "https" && next.scheme() != "https" {
                return Err(bad(format!(
                    "a redirect from https to {}",
                    authority(&next)
                )));
            }
            let same_host = authority(&next) == authority(&here) && next.scheme() == here.scheme();
            let token = match same_host {
                true => self
                    .tokens
                    .lock()
                    .await
                    .get(&(endpoint.host.clone(), repository.into()))
                    .cloned(),
                false => None,
            };
            response = self
                .send(endpoint, &next, &headers, token.as_deref())
                .await?;
            here = next;
        }
        Err(bad(format!("more than {MAX_REDIRECTS} redirects")))
    }

    async fn send(
        &self,
        endpoint: &Endpoint,
        url: &Url,
        headers: &HeaderMap,
        authorization: Option<&str>,
    ) -> Result<Response, Failure> {
        // Only the registry itself was called insecure, not whatever it redirects to.
        let unverified = endpoint.insecure && authority(url) == endpoint.host;
        let client = if unverified {
            &self.unverified
        } else {
            &self.http
        };
        let mut request = client
            .request(Method::GET, url.clone())
            .headers(headers.clone());
        if let Some(authorization) = authorization {
            let mut value = header_value(authorization).map_err(Failure::fatal)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        request
            .send()
            .await
            .map_err(|e| self.transport_failure(endpoint, &e))
    }

    /// The value of an `Authorization` header that answers a challenge; `None` where there is
    /// nothing to answer with.
    async fn authorize(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        challenge: Option<Challenge>,
    ) -> Result<Option<String>, Failure> {
        let lookup_host = match endpoint.host.as_str() {
            host if host == DOCKER_HUB.1 => "https://index.docker.io/v1/",
            host => host,
        };
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(match (self.options.credentials)(lookup_host) {
                Some(Credentials::Password { username, password }) => {
                    Some(basic(&username, &password))
                }
                _ => None,
            }),
            Some(Challenge::Bearer {
                realm,
                service,
                scope,
            }) => {
                let scope = scope.unwrap_or_else(|| format!("repository:{repository}:pull"));
                let credentials = (self.options.credentials)(lookup_host);
                let token = self
                    .token(endpoint, &realm, service.as_deref(), &scope, credentials)
                    .await?;
                Ok(Some(format!("Bearer {token}")))
            }
        }
    }

    async fn token(
        &self,
        endpoint: &Endpoint,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        credentials: Option<Credentials>,
    ) -> Result<String, Failure> {
        let bad = |reason: String| {
            Failure::fatal(RegistryErrorKind::Protocol {
                host: endpoint.host.clone(),
                reason,
            })
        };
        let mut url = Url::parse(realm).map_err(|e| bad(format!("token server {realm:?}: {e}")))?;
        let host = authority(&url);
        // Credentials go to the token server: never in the clear, but to this machine itself or
        // to the registry that the user called insecure.
        let plain_allowed = is_loopback(&host) || (endpoint.insecure && host == endpoint.host);
        if url.scheme() != "https" && !(url.scheme() == "http" && plain_allowed) {
            return Err(bad(format!(
                "its token server {host} is not encrypted, and gets no credentials"
            )));
        }
        let client = if endpoint.insecure && host == endpoint.host {
            &self.unverified
        } else {
            &self.http
        };
        let request = if let Some(Credentials::IdentityToken(token)) = &credentials {
            let form = [
                ("grant_type", "refresh_token"),
                ("service", service.unwrap_or_default()),
                ("scope", scope),
                ("client_id", "lkbuild"),
                ("refresh_token", token),
            ];
            let mut body = Url::parse("http://form").map_err(|e| bad(e.to_string()))?;
            body.query_pairs_mut().extend_pairs(form);
            client
                .post(url)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(body.query().unwrap_or_default().to_owned())
        } else {
            {
                let mut query = url.query_pairs_mut();
                if let Some(service) = service {
                    query.append_pair("service", service);
                }
                query.append_pair("scope", scope);
            }
            let mut request = client.get(url);
            if let Some(Credentials::Password { username, password }) = &credentials {
                request = request.basic_auth(username, Some(password));
            }
            request
        };
        let response = request
            .send()
            .await
            .map_err(|e| self.transport_failure(endpoint, &e))?;
        if response.status() != StatusCode::OK {
            return Err(self.status_failure(endpoint, "the request for a token", &response));
        }
        let body = self.bounded(endpoint, response, MAX_TOKEN_BYTES).await?;
        parse_token(&body).ok_or_else(|| bad(format!("{host} gave no token that could be used")))
    }

    pub(super) fn backoff(&self, attempt: u32) -> Duration {
        self.options.backoff * 2u32.saturating_pow(attempt.saturating_sub(1).min(5))
    }

    fn status_failure(&self, endpoint: &Endpoint, what: &str, response: &Response) -> Failure {
        let status = response.status();
        let host = endpoint.host.clone();
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            return Failure::fatal(RegistryErrorKind::Denied {
                host,
                status: status.as_u16(),
            });
        }
        let passes = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT;
        let retries = if passes {
            format!(" ({} attempts)", self.options.attempts)
        } else {
            String::new()
        };
        let kind = RegistryErrorKind::Status {
            host,
            status: status.as_u16(),
            what: what.into(),
            retries,
        };
        let after = response
            .headers()
            .get("retry-after")
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.trim().parse().ok())
            .map_or(Duration::ZERO, Duration::from_secs);
        Failure {
            kind,
            retry_after: passes.then(|| after.min(MAX_RETRY_AFTER)),
        }
    }

    pub(super) fn transport_failure(&self, endpoint: &Endpoint, error: &reqwest::Error) -> Failure {
        let reason = chain(error);
        let lower = reason.to_ascii_lowercase();
        let hint = if lower.contains("certificate") || lower.contains("unknownissuer") {
            "; if it has a certificate of your own, trust it with --cert-file"
        } else if lower.contains("refused") {
            "; is the registry running?"
        } else if lower.contains("invalidcontenttype") || lower.contains("corrupt message") {
            "; if it speaks plain http, name it with --insecure-registry"
        } else {
            ""
        };
        let kind = RegistryErrorKind::Unreachable {
            host: endpoint.host.clone(),
            reason,
            hint,
        };
        let certificate = lower.contains("certificate");
        Failure {
            kind,
            retry_after: (!certificate).then_some(Duration::ZERO),
        }
    }
}

/// A request that failed, and whether it may be tried again (and when).
pub(super) struct Failure {
    pub(super) kind: RegistryErrorKind,
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    pub(super) fn fatal(kind: RegistryErrorKind) -> Self {
        Failure {
            kind,
            retry_after: None,
        }
    }
}

fn challenge(response: &Response) -> Option<Challenge> {
    let headers = response.headers().get_all(WWW_AUTHENTICATE);
    let mut found = headers
        .iter()
        .filter_map(|h| parse_challenge(h.to_str().ok()?));
    let first = found.next()?;
    // Bearer before Basic, as docker does.
    Some(match first {
        Challenge::Basic => found.next().unwrap_or(Challenge::Basic),
        bearer => bearer,
    })
}

fn basic(username: &str, password: &str) -> String {
    use base64::Engine;
    let pair = format!("{username}:{password}");
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    )
}

fn authority(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => String::new(),
    }
}

/// `localhost` and loopback addresses, with or without a port.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

fn header_value(text: &str) -> Result<HeaderValue, RegistryErrorKind> {
    HeaderValue::from_str(text).map_err(|e| RegistryErrorKind::Protocol {
        host: "request".into(),
        reason: e.to_string(),
    })
}

/// An error with its causes, without the URL (which may hold a signature).
fn chain(error: &reqwest::Error) -> String {
    use std::error::Error;
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes.dedup();
    match causes.is_empty() {
        true if error.is_timeout() => "timed out".into(),
        true => "the connection failed".into(),
        false => causes.join(": "),
    }
}
