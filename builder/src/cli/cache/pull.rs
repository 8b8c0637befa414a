//! `lkbuild cache pull`.

use clap::Args;

use super::super::CliError;
use super::super::images::ImageArgs;
use super::super::source::{SourceArgs, Want};
use crate::cache::fetch;
use crate::progress::{Progress, size};

const EXAMPLES: &str = "\
Examples:
  lkbuild cache pull docker-host.yml
  lkbuild cache pull --arch amd64,arm64 base.yml linuxkit/sshd:v1.0";

/// Arguments of `lkbuild cache pull`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct PullArgs {
    #[command(flatten)]
    images: ImageArgs,

    #[command(flatten)]
    source: SourceArgs,
}

pub(super) fn run(args: &PullArgs, progress: &Progress) -> Result<(), CliError> {
    let offline = args.source.offline;
    let (wishes, pins) = args.images.wishes(&args.source, progress)?;
    let platforms = args.images.platforms();
    let want = Want::of(&platforms).pull(!offline).pins(pins);
    let images = args.source.images(args.source.store()?, want, progress)?;
    let fetched = fetch(&images, &wishes, &platforms, progress)?;
    let all = fetched.parts.all();
    progress.info(format!(
        "{} images, {} in {} blobs; {} fetched",
        fetched.images.len(),
        size(all.values().sum()),
        all.len(),
        size(progress.counters().fetched_bytes),
    ));
    Ok(())
}
