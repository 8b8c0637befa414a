//! What a request failed of, and whether to try again.

use std::time::Duration;

use reqwest::{Response, StatusCode, Url};

use super::super::error::RegistryErrorKind;
use super::endpoint::{Endpoint, authority};
use super::options::RemoteOptions;
use super::proxy::Setting;

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

impl RemoteOptions {
    /// Whether requests for a URL can be sent on their way. It is asked before each of them: the HTTP
    /// client would go around a proxy that it can't make out.
    pub(super) fn way(&self, url: &Url) -> Result<(), Failure> {
        match self.proxies.problem(url) {
            None => Ok(()),
            Some(reason) => Err(Failure::fatal(RegistryErrorKind::Unreachable {
                host: authority(url),
                reason,
                hint: String::new(),
            })),
        }
    }

    /// The failure that a status stands for.
    pub(super) fn status_failure(
        &self,
        endpoint: &Endpoint,
        what: &str,
        response: &Response,
    ) -> Failure {
        let status = response.status();
        let host = endpoint.host.clone();
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            return Failure::fatal(RegistryErrorKind::Denied {
                host,
                status: status.as_u16(),
            });
        }
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            let proxy = self.proxies.towards(response.url());
            return Failure::fatal(RegistryErrorKind::Unreachable {
                host,
                reason: "a proxy wants a user and a password (407)".into(),
                hint: proxy.map(Setting::hint).unwrap_or_default(),
            });
        }
        let passes = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT;
        let retries = if passes {
            format!(" ({} attempts)", self.attempts)
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
            retry_after: passes.then(|| after.min(self.max_retry_after)),
        }
    }

    pub(super) fn transport_failure(&self, endpoint: &Endpoint, error: &reqwest::Error) -> Failure {
        let reason = chain(error);
        let certificate = reason.to_ascii_lowercase().contains("certificate");
        let kind = RegistryErrorKind::Unreachable {
            host: endpoint.host.clone(),
            hint: self.hint(error, &reason, "name it with --insecure-registry"),
            reason,
        };
        Failure {
            kind,
            retry_after: (!certificate).then_some(Duration::ZERO),
        }
    }

    /// What may help where sending or receiving failed for this reason; empty or starts with a
    /// semicolon. `plain` is what to do if the server speaks plain http.
    pub(crate) fn hint(&self, error: &reqwest::Error, reason: &str, plain: &str) -> String {
        let lower = reason.to_ascii_lowercase();
        let proxy = error.url().and_then(|url| self.proxies.towards(url));
        if lower.contains("certificate") || lower.contains("unknownissuer") {
            "; if it has a certificate of your own, trust it with --cert-file".into()
        } else if lower.contains("invalidcontenttype") || lower.contains("corrupt message") {
            format!("; if it speaks plain http, {plain}")
        } else if let Some(proxy) = proxy {
            proxy.hint()
        } else if lower.contains("refused") {
            "; is the server running?".into()
        } else {
            String::new()
        }
    }
}

/// An error with its causes, without the URL (which may hold a signature).
pub(crate) fn chain(error: &reqwest::Error) -> String {
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
