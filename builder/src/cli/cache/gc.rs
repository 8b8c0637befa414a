//! `lkbuild cache gc`.

use std::time::Duration;

use clap::Args;

use super::super::CliError;
use super::super::source::{CacheArgs, CacheSizeArgs};
use crate::cache::{GRACE, gc};
use crate::progress::{Event, Progress};

/// Arguments of `lkbuild cache gc`.
#[derive(Debug, Args)]
pub(in super::super) struct GcArgs {
    /// Keep what is younger than so many seconds, as a build may be bringing it in
    #[arg(long, value_name = "SECONDS", default_value_t = GRACE.as_secs())]
    grace: u64,

    #[command(flatten)]
    size: CacheSizeArgs,

    #[command(flatten)]
    cache: CacheArgs,
}

pub(super) fn run(args: &GcArgs, progress: &Progress) -> Result<(), CliError> {
    let store = args.cache.store()?;
    let grace = Duration::from_secs(args.grace);
    let max_pack_bytes = args.size.max_pack_bytes(&args.cache.settings()?)?;
    let freed = gc(&store, grace, max_pack_bytes)?;
    progress.emit(&Event::Freed {
        files: freed.files,
        bytes: freed.bytes,
    });
    Ok(())
}
