//! `lkbuild cache rm`.

use clap::Args;

use super::super::CliError;
use super::super::images::parse_name;
use super::super::source::CacheArgs;
use crate::cache::remove;
use crate::progress::{Event, Progress};

/// Arguments of `lkbuild cache rm`.
#[derive(Debug, Args)]
pub(in super::super) struct RemoveArgs {
    /// Names of images
    #[arg(required = true, value_name = "IMAGE")]
    names: Vec<String>,

    #[command(flatten)]
    cache: CacheArgs,
}

pub(super) fn run(args: &RemoveArgs, progress: &Progress) -> Result<(), CliError> {
    let store = args.cache.store()?;
    let known = store.names()?;
    let mut names = Vec::new();
    for name in &args.names {
        let full = parse_name(name)?.to_string();
        if !known.contains(&full) {
            return Err(CliError::NotInCache { name: full });
        }
        names.push(full);
    }
    let freed = remove(&store, &names)?;
    progress.emit(&Event::Freed {
        files: freed.files,
        bytes: freed.bytes,
    });
    Ok(())
}
