//! `lkbuild run`: boots what was built, one file per place.

mod qemu;
mod vcenter;

use clap::Subcommand;

use super::CliError;
use crate::progress::Progress;

/// Where an output is booted.
#[derive(Debug, Subcommand)]
pub(super) enum RunCommand {
    /// Boot an output in QEMU on this machine
    Qemu(Box<qemu::QemuArgs>),
    /// Make VMs of an ISO or a template on vCenter or ESXi
    Vcenter(Box<vcenter::RunVcenterArgs>),
}

pub(super) fn run(command: RunCommand, progress: &Progress) -> Result<(), CliError> {
    match command {
        RunCommand::Qemu(args) => qemu::run(&args, progress),
        RunCommand::Vcenter(args) => vcenter::run(&args, progress),
    }
}
