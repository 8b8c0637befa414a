//! `--cache-from` and `--cache-to`.

use std::sync::Arc;

use clap::Args;

use super::CliError;
use super::source::SourceArgs;
use crate::pack::PackSet;
use crate::pack_cache::{
    CacheFrom, CacheTo, FolderCache, PackSource, PackSources, PackTarget, Place, RegistryCache,
    report,
};
use crate::progress::{Progress, Step, StepBytes};

/// Caches of packs that builds on other machines use.
#[derive(Debug, Args)]
#[command(next_help_heading = "Caches of packs")]
pub(super) struct PackCacheArgs {
    /// Take packs from a folder (DIR, or type=local,src=DIR) or from a tag of a registry
    /// (type=registry,ref=NAME), where they are there; several are asked in order. Who can write such
    /// a cache is trusted with the content of the images
    #[arg(long, value_name = "CACHE")]
    cache_from: Vec<CacheFrom>,

    /// Bring the packs that this build uses to a folder (DIR, or type=local,dest=DIR; others are
    /// taken out of it unless keep=true) or to a tag of a registry (type=registry,ref=NAME);
    /// ignore-error=true makes a failure a warning
    #[arg(long, value_name = "CACHE")]
    cache_to: Vec<CacheTo>,
}

/// Where packs come from and go to.
pub(super) struct PackCaches {
    pub(super) sources: PackSources,
    targets: Vec<(Box<dyn PackTarget>, bool)>,
}

impl PackCacheArgs {
    /// Sets the caches up; nothing is read or sent yet.
    pub(super) fn caches(&self, source: &SourceArgs) -> Result<PackCaches, CliError> {
        let from = self.cache_from.iter().map(|CacheFrom(place)| place);
        let to = self.cache_to.iter().map(|to| &to.place);
        for (option, place) in from
            .clone()
            .map(|place| ("--cache-from", place))
            .chain(to.clone().map(|place| ("--cache-to", place)))
        {
            if let Place::Registry(name) = place
                && source.offline
            {
                return Err(CliError::Usage(format!(
                    "{option}: {name} is in a registry, and --offline opens no socket; name a folder, \
                     or leave one of the two out"
                )));
            }
        }
        let is_registry = |place: &&Place| matches!(place, Place::Registry(_));
        let remote = match from.clone().chain(to).any(|place| is_registry(&place)) {
            true => Some(Arc::new(source.remote()?)),
            false => None,
        };
        let cache = |name| {
            remote
                .clone()
                .map(|remote| RegistryCache::new(name, remote))
        };
        let mut sources: Vec<Box<dyn PackSource>> = Vec::new();
        for place in from {
            match place {
                Place::Folder(dir) => sources.push(Box::new(FolderCache::new(dir))),
                Place::Registry(name) => {
                    let found = cache(name.clone());
                    sources.extend(found.map(|cache| Box::new(cache) as Box<dyn PackSource>));
                }
            }
        }
        let mut targets: Vec<(Box<dyn PackTarget>, bool)> = Vec::new();
        for to in &self.cache_to {
            match &to.place {
                Place::Folder(dir) => {
                    let folder = FolderCache::new(dir).keep(to.keep);
                    targets.push((Box::new(folder), to.ignore_error));
                }
                Place::Registry(name) => {
                    let found = cache(name.clone());
                    targets.extend(
                        found.map(|c| (Box::new(c) as Box<dyn PackTarget>, to.ignore_error)),
                    );
                }
            }
        }
        Ok(PackCaches {
            sources: PackSources::new(sources),
            targets,
        })
    }
}

impl PackCaches {
    /// Brings the packs of a build to every target.
    pub(super) fn store(&self, packs: &PackSet, progress: &Progress) -> Result<(), CliError> {
        for (target, ignore_error) in &self.targets {
            let name = target.name();
            let _task = progress.task(format!("writing the cache {name}"), None);
            let mut step = progress.step(Step::Export);
            match target.store(packs) {
                Ok(stored) => {
                    step.add(StepBytes {
                        written_bytes: stored.bytes,
                        reused_bytes: stored.kept_bytes,
                        ..StepBytes::default()
                    });
                    progress.exported(stored.packs, stored.bytes);
                    report(name, &stored, progress);
                }
                Err(error) if *ignore_error => {
                    progress.warn(format!("the cache {name} is not written: {error}"));
                }
                Err(error) => {
                    return Err(CliError::PackCache {
                        name: name.to_owned(),
                        source: Box::new(error),
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Cli;

    #[test]
    fn caches_are_options_of_build() {
        let parse = |cache: &str| {
            Cli::try_parse_from(["lkbuild", "build", "--cache-to", cache, "x.yml"])
                .map(|_| ())
                .map_err(|e| e.to_string())
        };
        assert_eq!(parse("dir"), Ok(()));
        let error = parse("type=inline").unwrap_err();
        assert!(
            error.contains("inline") && error.contains("registry"),
            "{error}"
        );
    }
}
