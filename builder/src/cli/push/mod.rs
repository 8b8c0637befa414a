//! `lkbuild push`: brings images to where they are to run.

mod pair;
mod tfvars;
mod vcenter;

use clap::Subcommand;

use super::CliError;
use crate::progress::Progress;

/// Where to.
#[derive(Debug, Subcommand)]
pub(super) enum PushCommand {
    /// Push files to a datastore of vCenter or ESXi
    Vcenter(Box<vcenter::PushVcenterArgs>),
}

pub(super) fn run(command: PushCommand, progress: &Progress) -> Result<(), CliError> {
    match command {
        PushCommand::Vcenter(args) => vcenter::run(&args, progress),
    }
}
