//! Registries as a [`Source`].

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::super::error::{RegistryError, RegistryErrorKind};
use super::super::{RawDocument, Source};
use super::blob::stream_blob;
use super::client::Client;
use super::endpoint::Endpoint;
use super::failure::chain;
use super::options::RemoteOptions;
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
