//! Requests to registries: with which token, how often, how far redirects are followed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE,
};
use reqwest::{Response, StatusCode, Url};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

use super::super::RawDocument;
use super::super::document::MANIFEST_TYPES;
use super::super::error::RegistryErrorKind;
use super::endpoint::{Endpoint, authority};
use super::failure::Failure;
use super::options::RemoteOptions;
use super::pace::Pace;
use super::token::challenge;
use super::upload::Uploads;
use crate::digest::Digest;
use crate::reference::Reference;

const MAX_REDIRECTS: usize = 5;
/// A registry that is called insecure has so long to show whether it speaks TLS.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// What tasks share.
pub(super) struct Client {
    pub(super) http: reqwest::Client,
    /// Accepts any certificate; for hosts the user called insecure only.
    pub(super) unverified: reqwest::Client,
    /// Made when something is uploaded.
    pub(super) uploads: OnceLock<Uploads>,
    pub(super) options: RemoteOptions,
    /// Blobs of which a mirror gave wrong bytes: the registry itself is asked for them.
    pub(super) spoilt: StdMutex<HashSet<Digest>>,
    /// Mirrors that could not be reached: nothing more is asked of them.
    pub(super) down: StdMutex<HashSet<String>>,
    /// Which registries that were called insecure speak TLS; each is asked once, and none waits for
    /// another.
    pub(super) encrypted: StdMutex<HashMap<String, Arc<OnceCell<bool>>>>,
    /// `Authorization` headers by host and repository.
    pub(super) tokens: Mutex<HashMap<(String, String), String>>,
}

impl Client {
    /// A manifest or index by tag or digest; `None` for 404.
    pub(super) async fn manifest(
        &self,
        endpoint: &Endpoint,
        name: &Reference,
        wanted: &str,
        limit: u64,
    ) -> Result<Option<RawDocument>, RegistryErrorKind> {
        let path = format!("v2/{}/manifests/{wanted}", name.repository());
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, header_value(&MANIFEST_TYPES.join(", "))?);
        self.small(endpoint, name.repository(), &path, headers, limit)
            .await
    }

    /// A small blob; `None` for 404.
    pub(super) async fn small_blob(
        &self,
        endpoint: &Endpoint,
        name: &Reference,
        digest: &str,
        limit: u64,
    ) -> Result<Option<RawDocument>, RegistryErrorKind> {
        let path = format!("v2/{}/blobs/{digest}", name.repository());
        self.small(endpoint, name.repository(), &path, HeaderMap::new(), limit)
            .await
    }

    /// A bounded answer, tried again after failures that may pass; `None` for 404.
    async fn small(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        path: &str,
        headers: HeaderMap,
        limit: u64,
    ) -> Result<Option<RawDocument>, RegistryErrorKind> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let failure = match self.get(endpoint, repository, path, headers.clone()).await {
                Ok(response) => match self.read_small(endpoint, path, response, limit).await {
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
        limit: u64,
    ) -> Result<Option<RawDocument>, Failure> {
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if response.status() != StatusCode::OK {
            return Err(self.options.status_failure(endpoint, path, &response));
        }
        let media_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let bytes = self.bounded(endpoint, response, limit).await?;
        Ok(Some(RawDocument { media_type, bytes }))
    }

    /// The bytes of an answer, cut one byte after `limit`; what drips in too slowly is a failure.
    pub(super) async fn bounded(
        &self,
        endpoint: &Endpoint,
        mut response: Response,
        limit: u64,
    ) -> Result<Vec<u8>, Failure> {
        let most = usize::try_from(limit).map_or(usize::MAX, |limit| limit.saturating_add(1));
        let mut pace = Pace::new(self.options.stall_timeout);
        let mut bytes = Vec::new();
        loop {
            let start = Instant::now();
            let chunk = response.chunk().await;
            let chunk = chunk.map_err(|e| self.options.transport_failure(endpoint, &e))?;
            let Some(chunk) = chunk else { break };
            let room = most - bytes.len();
            bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if bytes.len() == most {
                break;
            }
            pace.check(endpoint, chunk.len(), start.elapsed())?;
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
            _ => Err(self.options.status_failure(endpoint, &path, &response)),
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
        let token = self.token_of(endpoint, repository).await;
        let mut response = self
            .send(endpoint, &url, &headers, token.as_deref())
            .await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let new = self.new_token(endpoint, repository, path, "pull", &response);
            let new = new.await?;
            response = self.send(endpoint, &url, &headers, Some(&new)).await?;
            self.keep_token(endpoint, repository, new, &response).await;
        }
        let mut here = url.clone();
        for redirects in 0.. {
            if !response.status().is_redirection() {
                return Ok(response);
            }
            if redirects == MAX_REDIRECTS {
                break;
            }
            let location = response
                .headers()
                .get(LOCATION)
                .and_then(|v| v.to_str().ok());
            let next = location
                .and_then(|l| here.join(l).ok())
                .filter(|next| matches!(next.scheme(), "http" | "https"))
                .ok_or_else(|| bad("a redirect to nowhere".into()))?;
            if here.scheme() == "https" && next.scheme() != "https" {
                return Err(bad(format!(
                    "a redirect from https to {}",
                    authority(&next)
                )));
            }
            // Only the registry itself gets its token, not where it sends us, nor where that does.
            let is_home = authority(&next) == authority(&url) && next.scheme() == url.scheme();
            let token = match is_home {
                true => self.token_of(endpoint, repository).await,
                false => None,
            };
            response = self
                .send(endpoint, &next, &headers, token.as_deref())
                .await?;
            here = next;
        }
        Err(bad(format!("more than {MAX_REDIRECTS} redirects")))
    }

    /// The `Authorization` header that did before.
    pub(super) async fn token_of(&self, endpoint: &Endpoint, repository: &str) -> Option<String> {
        let key = (endpoint.host.clone(), repository.to_owned());
        self.tokens.lock().await.get(&key).cloned()
    }

    /// The header that answers the challenge of a refusal. `what` is what messages call the request,
    /// `actions` what a token must allow.
    pub(super) async fn new_token(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        what: &str,
        actions: &str,
        refusal: &Response,
    ) -> Result<String, Failure> {
        let key = (endpoint.host.clone(), repository.to_owned());
        self.tokens.lock().await.remove(&key);
        let answer = self.authorize(endpoint, repository, actions, challenge(refusal));
        answer
            .await?
            .ok_or_else(|| self.options.status_failure(endpoint, what, refusal))
    }

    /// Remembers a header if the answer to it is no refusal.
    pub(super) async fn keep_token(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        token: String,
        answer: &Response,
    ) {
        if answer.status() != StatusCode::UNAUTHORIZED {
            let key = (endpoint.host.clone(), repository.to_owned());
            self.tokens.lock().await.insert(key, token);
        }
    }

    async fn send(
        &self,
        endpoint: &Endpoint,
        url: &Url,
        headers: &HeaderMap,
        authorization: Option<&str>,
    ) -> Result<Response, Failure> {
        self.options.way(url)?;
        // Only the registry itself was called insecure, not whatever it redirects to.
        let unverified = endpoint.insecure && authority(url) == endpoint.host;
        let client = if unverified {
            &self.unverified
        } else {
            &self.http
        };
        let mut request = client.get(url.clone()).headers(headers.clone());
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, secret(authorization)?);
        }
        request
            .send()
            .await
            .map_err(|e| self.options.transport_failure(endpoint, &e))
    }

    /// Looks at what went wrong with a mirror.
    pub(super) fn mirror_failed(&self, mirror: &Endpoint, error: &RegistryErrorKind) {
        if matches!(error, RegistryErrorKind::Unreachable { .. }) {
            lock(&self.down).insert(mirror.host.clone());
        }
    }

    /// Mirrors of a registry that were not found down, then the registry.
    pub(super) async fn endpoints(
        &self,
        registry: &str,
    ) -> Result<Vec<Endpoint>, RegistryErrorKind> {
        let mut endpoints = self.options.mirrors_of(registry)?;
        endpoints.retain(|mirror| !lock(&self.down).contains(&mirror.host));
        endpoints.push(self.registry(registry).await?);
        Ok(endpoints)
    }

    /// The registry itself. One that the user called insecure may speak TLS with whatever
    /// certificate, or not at all: it is asked once, so that passwords go in the clear only where
    /// there is no other way.
    pub(super) async fn registry(&self, registry: &str) -> Result<Endpoint, RegistryErrorKind> {
        let endpoint = self.options.registry(registry, "https")?;
        if !endpoint.insecure {
            return Ok(endpoint);
        }
        if !self.options.is_insecure(&endpoint.host) {
            return self.options.registry(registry, "http");
        }
        let cell = lock(&self.encrypted)
            .entry(endpoint.host.clone())
            .or_default()
            .clone();
        let probe = async || {
            if self.options.way(&endpoint.base).is_err() {
                return false;
            }
            let url = format!("{}v2/", endpoint.base);
            let asked = self.unverified.get(url).timeout(PROBE_TIMEOUT).send().await;
            asked.is_ok()
        };
        let encrypted = *cell.get_or_init(probe).await;
        match encrypted {
            true => Ok(endpoint),
            false => self.options.registry(registry, "http"),
        }
    }

    pub(super) fn backoff(&self, attempt: u32) -> Duration {
        self.options.backoff * 2u32.saturating_pow(attempt.saturating_sub(1).min(5))
    }
}

/// A panic elsewhere is told elsewhere.
pub(super) fn lock<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A header's value that no log shows.
pub(super) fn secret(text: &str) -> Result<HeaderValue, Failure> {
    let mut value = header_value(text).map_err(Failure::fatal)?;
    value.set_sensitive(true);
    Ok(value)
}

fn header_value(text: &str) -> Result<HeaderValue, RegistryErrorKind> {
    HeaderValue::from_str(text).map_err(|e| RegistryErrorKind::Protocol {
        host: "request".into(),
        reason: e.to_string(),
    })
}
