//! `lkbuild rm vcenter`.

use clap::Args;
use vmware::vm::{Machine, PowerState};
use vmware::{DatastorePath, Session};

use super::super::CliError;
use super::super::vcenter::{ConnectArgs, DatacenterArgs, numbered};
use crate::progress::{Event, Progress};

const EXAMPLES: &str = "\
Examples:
  lkbuild rm vcenter web-1
      stops and removes the VM; prints where its disk stays
  lkbuild rm vcenter --count 3 web
      web-1, web-2 and web-3
  lkbuild rm vcenter --disks web-1
      the disk too, with all that is on it";

/// Arguments of `lkbuild rm vcenter`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct RmVcenterArgs {
    /// Names or inventory paths of VMs
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,

    /// NAME-1 to NAME-N instead of NAME
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: Option<u32>,

    /// Remove their disks too, with all that is on them; a template goes no other way
    #[arg(long)]
    disks: bool,

    /// Remove VMs that lkbuild neither made nor imported, too
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    place: DatacenterArgs,

    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) fn run(args: &RmVcenterArgs, progress: &Progress) -> Result<(), CliError> {
    let names = args
        .names
        .iter()
        .flat_map(|name| numbered(name, args.count));
    let session = args.connect.open(progress)?;
    let datacenter = args.place.find(&session)?;
    // All are looked at before the first is removed.
    let mut machines = Vec::new();
    for name in names {
        let machine = session.machine(&datacenter, &name)?;
        if !args.force && !session.is_made_here(&machine)? {
            return Err(CliError::NotOurs { path: machine.path });
        }
        if !args.disks && session.is_template(&machine)? {
            return Err(CliError::Usage(format!(
                "{} is a template, which can't be removed without its disks: give --disks",
                machine.path
            )));
        }
        machines.push(machine);
    }
    for machine in &machines {
        let kept = remove(&session, machine, args.disks)?;
        for disk in &kept {
            progress.info(format!("kept {disk}"));
        }
        progress.emit(&Event::Machine {
            name: machine.name.clone(),
            path: machine.path.clone(),
            done: "removed",
            disks: kept.iter().map(ToString::to_string).collect(),
            ip: None,
        });
    }
    session.close()?;
    Ok(())
}

/// Stops and removes a machine; the disks that stay.
fn remove(
    session: &Session,
    machine: &Machine,
    disks: bool,
) -> Result<Vec<DatastorePath>, CliError> {
    if session.power_state(machine)? != PowerState::Off {
        session.power_off(machine)?;
    }
    let kept = match disks {
        true => Vec::new(),
        false => session.detach_disks(machine)?,
    };
    session.destroy(machine)?;
    Ok(kept)
}
