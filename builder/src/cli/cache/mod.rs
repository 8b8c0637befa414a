//! `lkbuild cache`: one file per subcommand.

mod clean;
mod export;
mod gc;
mod import;
mod list;
mod pull;
mod remove;
mod verify;

use clap::Subcommand;

use super::CliError;
use crate::progress::Progress;

/// What can be done with the cache; LinuxKit's spellings are taken too.
#[derive(Debug, Subcommand)]
pub(super) enum CacheCommand {
    /// Fetch all that YAML files or images need
    Pull(Box<pull::PullArgs>),
    /// Write images as one file that a host without a network can import
    Export(Box<export::ExportArgs>),
    /// Take images in from OCI layouts, docker save archives and bundles
    Import(Box<import::ImportArgs>),
    /// List the images
    #[command(visible_alias = "list")]
    Ls(list::ListArgs),
    /// Remove images, and what only they needed
    #[command(visible_alias = "remove")]
    Rm(remove::RemoveArgs),
    /// Remove everything
    Clean(clean::CleanArgs),
    /// Remove what no image needs, and packs that were not used for long
    Gc(gc::GcArgs),
    /// Read everything once; name what is damaged, and put it right
    Verify(Box<verify::VerifyArgs>),
}

impl CacheCommand {
    /// Whether standard output is taken.
    pub(super) fn takes_stdout(&self) -> bool {
        matches!(self, CacheCommand::Export(args) if args.takes_stdout())
    }
}

pub(super) fn run(command: CacheCommand, progress: &Progress) -> Result<(), CliError> {
    match command {
        CacheCommand::Pull(args) => pull::run(&args, progress),
        CacheCommand::Export(args) => export::run(&args, progress),
        CacheCommand::Import(args) => import::run(&args, progress),
        CacheCommand::Ls(args) => list::run(&args, progress),
        CacheCommand::Rm(args) => remove::run(&args, progress),
        CacheCommand::Clean(args) => clean::run(&args, progress),
        CacheCommand::Gc(args) => gc::run(&args, progress),
        CacheCommand::Verify(args) => verify::run(&args, progress),
    }
}
