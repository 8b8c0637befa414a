//! Where repositories are: registries and their mirrors.

use reqwest::Url;

use super::super::error::RegistryErrorKind;
use super::options::RemoteOptions;

/// What Docker Hub is called in names, and where it is.
pub(super) const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// Where a repository is: a registry or one of its mirrors.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) base: Url,
    /// Host and port, for messages and credentials.
    pub(super) host: String,
    /// The user lets it do without TLS, or with a certificate that can't be verified.
    pub(super) insecure: bool,
}

impl RemoteOptions {
    /// Mirrors of a registry, in the order in which they are asked.
    pub(super) fn mirrors_of(&self, registry: &str) -> Result<Vec<Endpoint>, RegistryErrorKind> {
        let mut endpoints = Vec::new();
        for (_, url) in self
            .mirrors
            .iter()
            .filter(|(of, _)| of == registry || of == "*")
        {
            let text = if url.contains("://") {
                url.clone()
            } else {
                format!("https://{url}")
            };
            let base =
                Url::parse(&text).map_err(|e| bad(registry, format!("mirror {url}: {e}")))?;
            endpoints.push(self.endpoint(base)?);
        }
        Ok(endpoints)
    }

    /// The registry itself; plain `http` is refused where it is not allowed.
    pub(super) fn registry(
        &self,
        registry: &str,
        scheme: &str,
    ) -> Result<Endpoint, RegistryErrorKind> {
        let host = if registry == DOCKER_HUB.0 {
            DOCKER_HUB.1
        } else {
            registry
        };
        let base = Url::parse(&format!("{scheme}://{host}"));
        self.endpoint(base.map_err(|e| bad(registry, e.to_string()))?)
    }

    /// Whether the user called a host insecure.
    pub(super) fn is_insecure(&self, host: &str) -> bool {
        self.insecure.iter().any(|h| h == host)
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
}

fn bad(registry: &str, reason: String) -> RegistryErrorKind {
    RegistryErrorKind::Protocol {
        host: registry.into(),
        reason,
    }
}

/// Host and port of a URL.
pub(super) fn authority(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => String::new(),
    }
}

/// `localhost` and loopback addresses, with or without a port.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}
