//! `lkbuild import`: makes a machine of an appliance or a disk.

mod package;
mod vcenter;

use clap::Subcommand;

use super::CliError;
use crate::progress::Progress;

/// Where to.
#[derive(Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// Import an OVA or a VMDK into vCenter or ESXi, as a VM or a template
    Vcenter(Box<vcenter::ImportVcenterArgs>),
}

pub(super) fn run(command: ImportCommand, progress: &Progress) -> Result<(), CliError> {
    match command {
        ImportCommand::Vcenter(args) => vcenter::run(&args, progress),
    }
}
