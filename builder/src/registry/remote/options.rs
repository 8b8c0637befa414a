//! How registries are reached.

use std::time::Duration;

use super::auth::Credentials;
use super::proxy::Proxies;

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
    /// Through which proxies they are reached.
    pub proxies: Proxies,
    /// Certificates (PEM) trusted besides the system's.
    pub ca_certificates: Vec<Vec<u8>>,
    /// Where credentials come from.
    pub credentials: CredentialLookup,
    /// Attempts without progress before giving up.
    pub attempts: u32,
    /// First wait between attempts; doubled each time.
    pub backoff: Duration,
    /// How long a connection may be silent, or bring next to nothing.
    pub stall_timeout: Duration,
    /// Longest wait that a registry may ask for (`Retry-After`).
    pub max_retry_after: Duration,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        RemoteOptions {
            insecure: Vec::new(),
            mirrors: Vec::new(),
            proxies: Proxies::default(),
            ca_certificates: Vec::new(),
            credentials: Box::new(|_| None),
            attempts: 5,
            backoff: Duration::from_millis(500),
            stall_timeout: Duration::from_secs(60),
            max_retry_after: Duration::from_secs(60),
        }
    }
}
