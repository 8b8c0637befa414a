//! Registries as a [`Source`].

use std::io::{self, Read};
use std::sync::{Arc, Mutex as StdMutex, OnceLock};
use std::time::Duration;

use tokio::sync::Mutex;

use super::super::document;
use super::super::error::{RegistryError, RegistryErrorKind};
use super::super::{RawDocument, Source};
use super::blob::stream_blob;
use super::client::{Client, lock};
use super::endpoint::Endpoint;
use super::failure::chain;
use super::options::RemoteOptions;
use super::upload::PushBytes;
use crate::digest::{Digest, VerifyError, VerifyingReader};
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
            spoilt: StdMutex::default(),
            down: StdMutex::default(),
            encrypted: StdMutex::default(),
            tokens: Mutex::default(),
        };
        Ok(Remote {
            runtime,
            client: Arc::new(client),
        })
    }

    /// Asks the mirrors, then the registry itself, until one has what is asked for. What a mirror
    /// gives must be `good`; the answer of the registry itself is not looked at here, and the error is
    /// its own.
    fn first(
        &self,
        name: &Reference,
        good: impl Fn(&RawDocument) -> bool,
        ask: impl AsyncFn(&Endpoint) -> Result<Option<RawDocument>, RegistryErrorKind>,
    ) -> Result<Option<RawDocument>, RegistryError> {
        let found = self.runtime.block_on(async {
            let endpoints = self.client.endpoints(name.registry()).await?;
            let last = endpoints.len().saturating_sub(1);
            for endpoint in &endpoints[..last] {
                match ask(endpoint).await {
                    Ok(Some(found)) if good(&found) => return Ok(Some(found)),
                    Ok(_) => {}
                    Err(error) => self.client.mirror_failed(endpoint, &error),
                }
            }
            ask(&endpoints[last]).await
        });
        found.map_err(|e: RegistryErrorKind| e.of(name))
    }
}

/// What all clients have in common: proxies and certificates. Redirects are not followed.
pub(crate) fn http_client(
    options: &RemoteOptions,
    verify: bool,
) -> reqwest::Result<reqwest::ClientBuilder> {
    let proxies = options.proxies.clone();
    let proxy = reqwest::Proxy::custom(move |url| {
        let setting = proxies.towards(url)?;
        setting.url.clone()
    });
    let mut builder = reqwest::Client::builder()
        .proxy(proxy)
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
        let client = &self.client;
        let pushed = self.runtime.block_on(async {
            let registry = client.registry(name.registry()).await?;
            let repository = name.repository();
            client.push_blob(&registry, repository, digest, bytes).await
        });
        pushed.map_err(|e| e.of(name))
    }

    /// Makes the name's tag stand for a manifest whose blobs are there.
    pub fn push_manifest(
        &self,
        name: &Reference,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> Result<(), RegistryError> {
        let client = &self.client;
        let pushed = self.runtime.block_on(async {
            let registry = client.registry(name.registry()).await?;
            let (repository, tag) = (name.repository(), name.tag().unwrap_or("latest"));
            client
                .push_manifest(&registry, repository, tag, media_type, bytes)
                .await
        });
        pushed.map_err(|e| e.of(name))
    }

    /// What a name's tag stands for in the registry itself, whatever mirrors say.
    pub fn tagged(
        &self,
        name: &Reference,
        limit: u64,
    ) -> Result<Option<RawDocument>, RegistryError> {
        let client = &self.client;
        let asked = self.runtime.block_on(async {
            let registry = client.registry(name.registry()).await?;
            let tag = name.tag().unwrap_or("latest");
            client.manifest(&registry, name, tag, limit).await
        });
        asked.map_err(|e| e.of(name))
    }
}

impl Source for Remote {
    fn top(&self, name: &Reference, limit: u64) -> Result<Option<RawDocument>, RegistryError> {
        let wanted = name.digest().or(name.tag()).unwrap_or("latest");
        let pinned = name.digest().and_then(|digest| digest.parse().ok());
        let good = |found: &RawDocument| {
            let is_right = |digest: &Digest| digest.matches(&found.bytes);
            pinned.as_ref().is_none_or(is_right)
                && document::parse(&found.bytes, &found.media_type).is_ok()
        };
        self.first(name, good, async |endpoint| {
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
        let good = |found: &RawDocument| digest.matches(&found.bytes);
        let found = self.first(name, good, async |endpoint| match is_manifest {
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
        let client = self.client.clone();
        let endpoints = self.runtime.block_on(client.endpoints(name.registry()));
        let mut endpoints = endpoints.map_err(|e| e.of(name))?;
        let is_spoilt = lock(&client.spoilt).contains(digest);
        if is_spoilt {
            endpoints.drain(..endpoints.len().saturating_sub(1));
        }
        let has_mirrors = endpoints.len() > 1;
        let repository = name.repository().to_owned();
        let bytes = stream_blob(
            self.runtime.handle(),
            client.clone(),
            endpoints,
            repository,
            digest.clone(),
            size,
        );
        if !has_mirrors {
            return Ok(bytes);
        }
        Ok(Box::new(OfMirror {
            inner: VerifyingReader::new(bytes, digest.clone(), size),
            client,
            digest: digest.clone(),
        }))
    }
}

/// Bytes that may be a mirror's: if they prove wrong, the registry itself is asked the next time.
struct OfMirror<R> {
    inner: VerifyingReader<R>,
    client: Arc<Client>,
    digest: Digest,
}

impl<R: Read> Read for OfMirror<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf).inspect_err(|error| {
            if error.get_ref().is_some_and(|e| e.is::<VerifyError>()) {
                lock(&self.client.spoilt).insert(self.digest.clone());
            }
        })
    }
}
