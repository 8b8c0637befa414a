//! `lkbuild cache clean`.

use clap::Args;

use super::super::CliError;
use super::super::source::CacheArgs;
use crate::cache::clean;
use crate::progress::{Event, Progress};

/// Arguments of `lkbuild cache clean`.
#[derive(Debug, Args)]
pub(in super::super) struct CleanArgs {
    /// Remove only the packs, which builds make again from the blobs
    #[arg(long)]
    packs: bool,

    #[command(flatten)]
    cache: CacheArgs,
}

pub(super) fn run(args: &CleanArgs, progress: &Progress) -> Result<(), CliError> {
    let freed = clean(&args.cache.store()?, args.packs)?;
    progress.emit(&Event::Freed {
        files: freed.files,
        bytes: freed.bytes,
    });
    Ok(())
}
