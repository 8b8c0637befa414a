//! Where images come from, as options that build, cache and lock share.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::Args;

use super::registries::{Mirror, check_host};
use super::settings::Settings;
use super::{CliError, credentials, registries};
use crate::lockfile::LockEntry;
use crate::progress::Progress;
use crate::registry::document::DocumentLimits;
use crate::registry::local::LocalSource;
use crate::registry::remote::{Proxies, Remote, RemoteOptions};
use crate::registry::{Images, ImagesOptions, Platform, Source};
use crate::store::{Store, USUAL_CACHE};

/// The cache alone.
#[derive(Debug, Args)]
pub(super) struct CacheArgs {
    /// The cache: an OCI layout that LinuxKit can use as well (default: ~/.linuxkit/cache)
    #[arg(long, value_name = "DIR", env = "LINUXKIT_CACHE")]
    cache: Option<PathBuf>,

    /// Configuration file (default: $XDG_CONFIG_HOME/lkbuild/config.toml, where it is there)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl CacheArgs {
    /// What the configuration file says.
    pub(super) fn settings(&self) -> Result<Settings, CliError> {
        Settings::load(self.config.as_deref())
    }

    /// Its folder.
    pub(super) fn dir(&self) -> Result<PathBuf, CliError> {
        let dir = match &self.cache {
            Some(dir) => Some(dir.clone()),
            None => self.settings()?.cache,
        };
        match (dir, std::env::home_dir()) {
            (Some(dir), _) => Ok(dir),
            (None, Some(home)) => Ok(home.join(USUAL_CACHE)),
            (None, None) => Err(CliError::Usage(
                "there is no home folder: name a cache with --cache".into(),
            )),
        }
    }

    /// The cache, made where it is missing.
    pub(super) fn store(&self) -> Result<Store, CliError> {
        Ok(Store::open(&self.dir()?)?)
    }
}

/// How much of the disk packs may take.
#[derive(Debug, Args)]
pub(super) struct CacheSizeArgs {
    /// Most that compressed layers (packs) may take in the cache, as 500M or 20G; the least used
    /// go first, none is no bound (default: 20G)
    #[arg(long, value_name = "SIZE", value_parser = parse_bound)]
    cache_size: Option<Bound>,
}

/// What packs may take where nobody says otherwise.
const DEFAULT_CACHE_BYTES: u64 = 20_000_000_000;

impl CacheSizeArgs {
    /// In bytes; `None` is no bound.
    pub(super) fn max_pack_bytes(&self, settings: &Settings) -> Result<Option<u64>, CliError> {
        match (self.cache_size, &settings.cache_size) {
            (Some(bound), _) => Ok(bound.0),
            (None, Some(text)) => parse_bound(text).map(|bound| bound.0).map_err(|reason| {
                CliError::Usage(format!(
                    "cache-size {text:?} in the configuration: {reason}"
                ))
            }),
            (None, None) => Ok(Some(DEFAULT_CACHE_BYTES)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bound(Option<u64>);

/// `20G`, `500MB`, `1024` (bytes) or `none`; units are powers of ten, as sizes are printed.
fn parse_bound(text: &str) -> Result<Bound, String> {
    if text == "none" {
        return Ok(Bound(None));
    }
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text[digits.len()..].trim().trim_end_matches(['b', 'B']);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        _ => return Err("expected a number with k, M, G or T, or none".into()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "expected a number with k, M, G or T, or none".to_owned())?;
    let bytes = number.checked_mul(factor).ok_or("it is too large")?;
    Ok(Bound(Some(bytes)))
}

/// The cache, the files and the registries.
#[derive(Debug, Args)]
#[command(next_help_heading = "Images")]
pub(super) struct SourceArgs {
    #[command(flatten)]
    cache: CacheArgs,

    /// OCI layouts (folder or tar) and docker save archives to look for images in first
    #[arg(long, value_name = "PATH")]
    images: Vec<PathBuf>,

    /// Fetch nothing
    #[arg(long)]
    pub(super) offline: bool,

    /// Mirrors of registries, as REGISTRY=URL, or URL for all; asked before the registry
    #[arg(
        long,
        value_name = "MIRROR",
        env = "LINUXKIT_MIRROR",
        value_delimiter = ','
    )]
    mirror: Vec<String>,

    /// Registries (HOST or HOST:PORT) that may have any certificate, or do without
    /// encryption
    #[arg(long, value_name = "HOST", value_parser = check_host)]
    insecure_registry: Vec<String>,

    /// Certificates (PEM) to trust besides the system's
    #[arg(long, value_name = "FILE")]
    cert_file: Vec<PathBuf>,

    /// Bytes of an index, manifest or config
    #[arg(long, value_name = "N", help_heading = "Limits",
          default_value_t = DocumentLimits::default().bytes)]
    max_document_bytes: u64,

    /// Layers of one image
    #[arg(long, value_name = "N", help_heading = "Limits",
          default_value_t = DocumentLimits::default().layers)]
    max_layers: usize,
}

/// Which images are wanted of the sources.
pub(super) struct Want {
    pub(super) platform: Platform,
    /// Ask the sources even for names that the store knows.
    pub(super) pull: bool,
    /// Attached SPDX documents too.
    pub(super) sboms: bool,
    /// What names must stand for, by full name.
    pub(super) pins: HashMap<String, LockEntry>,
}

impl Want {
    /// Images for the first of these platforms (others are asked for one by one), with their
    /// SBOMs.
    pub(super) fn of(platforms: &[Platform]) -> Self {
        let own = || Platform::linux(std::env::consts::ARCH);
        Want {
            platform: platforms.first().cloned().unwrap_or_else(own),
            pull: false,
            sboms: true,
            pins: HashMap::new(),
        }
    }

    /// Whether sources are asked even for names that the store knows.
    pub(super) fn pull(self, pull: bool) -> Self {
        Want { pull, ..self }
    }

    /// What names must stand for.
    pub(super) fn pins(self, pins: HashMap<String, LockEntry>) -> Self {
        Want { pins, ..self }
    }
}

impl SourceArgs {
    /// The cache, made where it is missing.
    pub(super) fn store(&self) -> Result<Store, CliError> {
        self.cache.store()
    }

    /// Registries and files that images may come from. Offline, nothing is set up that could open
    /// a socket; online, an `index.json` that is damaged is moved away.
    pub(super) fn images(
        &self,
        store: Store,
        want: Want,
        progress: &Progress,
    ) -> Result<Images, CliError> {
        if !self.offline
            && let Some((aside, problem)) = store.heal_index()?
        {
            let (dir, aside) = (store.dir().display(), aside.display());
            progress.warn(format!(
                "{dir}/index.json is damaged: {problem}; it was moved to {aside}"
            ));
        }
        self.images_unchecked(store, want)
    }

    /// As [`SourceArgs::images`], without a look at the store.
    pub(super) fn images_unchecked(&self, store: Store, want: Want) -> Result<Images, CliError> {
        let mut files: Vec<Box<dyn Source>> = Vec::new();
        for path in &self.images {
            files.push(Box::new(LocalSource::open(path)?));
        }
        let remote: Option<Box<dyn Source>> = match self.offline {
            true => None,
            false => Some(Box::new(self.remote()?)),
        };
        let limits = DocumentLimits {
            bytes: self.max_document_bytes,
            layers: self.max_layers,
        };
        let images = Images::new(
            store,
            ImagesOptions {
                platform: want.platform,
                pull: want.pull,
                sboms: want.sboms,
                files,
                remote,
                pins: want.pins,
            },
        );
        Ok(images.with_limits(limits))
    }

    /// What the configuration file says.
    pub(super) fn settings(&self) -> Result<Settings, CliError> {
        self.cache.settings()
    }

    /// The registries.
    pub(super) fn remote(&self) -> Result<Remote, CliError> {
        Ok(Remote::new(self.remote_options()?)?)
    }

    /// Mirrors of the command line. They are not read as it is, since what is wrong there is printed as
    /// it stands, with a password that it may have.
    fn mirrors(&self) -> Result<Vec<Mirror>, CliError> {
        let parsed = self.mirror.iter().map(|text| Mirror::parse(text));
        parsed
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()
            .map_err(|e| CliError::Usage(format!("--mirror or LINUXKIT_MIRROR: {e}")))
    }

    /// How registries are reached.
    pub(super) fn remote_options(&self) -> Result<RemoteOptions, CliError> {
        let settings = self.settings()?;
        let certificates = self.cert_file.iter().chain(&settings.certificates);
        let certificates = certificates.map(|path| registries::certificates(path));
        let given = self.mirrors()?;
        let mirrors = given.iter().chain(&settings.mirrors);
        let mut insecure = self.insecure_registry.clone();
        insecure.extend(settings.insecure_registries);
        Ok(RemoteOptions {
            insecure,
            mirrors: mirrors.map(|m| (m.of.clone(), m.url.clone())).collect(),
            proxies: Proxies::from_environment(),
            ca_certificates: certificates.collect::<Result<_, _>>()?,
            credentials: Box::new(credentials::lookup),
            ..RemoteOptions::default()
        })
    }
}
