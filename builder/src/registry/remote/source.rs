//! Registries as a [`Source`].

use std::io::Read;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Mutex;

use super::super::error::{RegistryError, RegistryErrorKind};
use super::super::{RawDocument, Source};
use super::blob::stream_blob;
use super::client::Client;
use super::endpoint::Endpoint;
use super::failure::chain;
use super::options::RemoteOptions;
use super::upload::PushBytes;
use crate::digest::Digest;
use crate::reference::Reference;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// All registries, behind one runtime thread.
pub struct Remote {
    runtime: tokio::runtime::Runtime,
    client: Arc<Client>,
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
        let failed = |e: reqwest::Error| setup(chain(&e)).of("registries");
        let build = |verify| {
            http_client(&options, verify)?
                .read_timeout(options.stall_timeout)
                .build()
        };
        let http = build(true).map_err(failed)?;
        let unverified = build(false).map_err(failed)?;
        let client = Client {
            http,
            unverified,
            uploads: OnceLock::new(),
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
            .options
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

/// What all clients have in common.
pub(super) fn http_client(
    options: &RemoteOptions,
    verify: bool,
) -> reqwest::Result<reqwest::ClientBuilder> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("lkbuild/", env!("CARGO_PKG_VERSION")))
        .danger_accept_invalid_certs(!verify);
    for pem in &options.ca_certificates {
        for certificate in reqwest::Certificate::from_pem_bundle(pem)? {
            builder = builder.add_root_certificate(certificate);
        }
    }
    Ok(builder)
}

impl Remote {
    /// Brings a blob to a repository, unless it is there; tells whether it was sent. Mirrors have no
    /// part in it. `bytes` is read by place, from its start.
    pub fn push_blob(
        &self,
        name: &Reference,
        digest: &Digest,
        bytes: &PushBytes,
    ) -> Result<bool, RegistryError> {
        let registry = self.registry(name)?;
        let pushed = self
            .client
            .push_blob(&registry, name.repository(), digest, bytes);
        self.runtime.block_on(pushed).map_err(|e| e.of(name))
    }

    /// Makes the name's tag stand for a manifest whose blobs are there.
    pub fn push_manifest(
        &self,
        name: &Reference,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> Result<(), RegistryError> {
        let registry = self.registry(name)?;
        let pushed = self.client.push_manifest(
            &registry,
            name.repository(),
            name.tag().unwrap_or("latest"),
            media_type,
            bytes,
        );
        self.runtime.block_on(pushed).map_err(|e| e.of(name))
    }

    /// What a name's tag stands for in the registry itself, whatever mirrors say.
    pub fn tagged(
        &self,
        name: &Reference,
        limit: u64,
    ) -> Result<Option<RawDocument>, RegistryError> {
        let registry = self.registry(name)?;
        let tag = name.tag().unwrap_or("latest");
        let asked = self.client.manifest(&registry, name, tag, limit);
        self.runtime.block_on(asked).map_err(|e| e.of(name))
    }

    fn registry(&self, name: &Reference) -> Result<Endpoint, RegistryError> {
        let registry = self.client.options.registry(name.registry());
        registry.map_err(|e| e.of(name))
    }
}

impl Source for Remote {
    fn top(&self, name: &Reference, limit: u64) -> Result<Option<RawDocument>, RegistryError> {
        let wanted = name.digest().or(name.tag()).unwrap_or("latest");
        self.first(name, async |endpoint| {
            self.client.manifest(endpoint, name, wanted, limit).await
        })
    }

    fn document(
        &self,
        name: &Reference,
        digest: &Digest,
        size: u64,
        is_manifest: bool,
    ) -> Result<RawDocument, RegistryError> {
        let wanted = digest.to_string();
        let found = self.first(name, async |endpoint| match is_manifest {
            true => self.client.manifest(endpoint, name, &wanted, size).await,
            false => self.client.small_blob(endpoint, name, &wanted, size).await,
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
            .options
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
