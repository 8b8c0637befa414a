//! `lkbuild cache import`.

use std::path::PathBuf;

use clap::Args;

use super::super::CliError;
use super::super::images::parse_name;
use super::super::source::CacheArgs;
use crate::cache::import;
use crate::progress::{Progress, size};

const EXAMPLES: &str = "\
Examples:
  lkbuild cache import bundle.tar
      what `lkbuild cache export` wrote; a damaged or cut file is refused whole
  docker save nginx:1.27 -o nginx.tar && lkbuild cache import nginx.tar
  lkbuild cache import --name registry.lab/app:3 layout/
      a layout whose image has only a tag, or no name at all";

/// Arguments of `lkbuild cache import`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct ImportArgs {
    /// OCI layouts (folder or tar), docker save archives, bundles
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Name of the image, for a file with one image that does not say it
    #[arg(long, value_name = "IMAGE")]
    name: Option<String>,

    #[command(flatten)]
    cache: CacheArgs,
}

pub(super) fn run(args: &ImportArgs, progress: &Progress) -> Result<(), CliError> {
    let name = args.name.as_deref().map(parse_name).transpose()?;
    let store = args.cache.store()?;
    for path in &args.paths {
        let imported = import(path, name.as_ref(), &store, progress)?;
        for (name, entry) in &imported.images {
            progress.info(format!("{name} {}", entry.digest));
        }
        progress.info(format!(
            "{}: {} images, {} new",
            path.display(),
            imported.images.len(),
            size(imported.new_bytes)
        ));
    }
    Ok(())
}
