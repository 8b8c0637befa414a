//! `lkbuild rm`: takes away what was made.

mod vcenter;

use clap::Subcommand;

use super::CliError;
use crate::progress::Progress;

/// Where.
#[derive(Debug, Subcommand)]
pub(super) enum RmCommand {
    /// Remove VMs that lkbuild made; their disks stay
    Vcenter(Box<vcenter::RmVcenterArgs>),
}

pub(super) fn run(command: RmCommand, progress: &Progress) -> Result<(), CliError> {
    match command {
        RmCommand::Vcenter(args) => vcenter::run(&args, progress),
    }
}
