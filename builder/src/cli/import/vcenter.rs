//! `lkbuild import vcenter`.

use std::path::{Path, PathBuf};

use clap::Args;
use formats::ova;
use vmware::Network;
use vmware::import::Appliance;

use super::super::CliError;
use super::super::interrupt::Interrupt;
use super::super::vcenter::{ConnectArgs, FirmwareArg, PlaceArgs, PlacementArgs, Report, mib};
use super::package::{Opened, open_ova, open_vmdk};
use crate::progress::{Event, Progress};

const EXAMPLES: &str = "\
Examples:
  lkbuild import vcenter --as-template --datastore ssd docker-host.ova
      a template, of which `lkbuild run vcenter --template docker-host` makes VMs
  lkbuild import vcenter --name web --network 'VM Network' --power-on docker-host.ova
  lkbuild import vcenter --mem 4G --firmware efi docker-host.vmdk
      a bare streamOptimized disk: the description is made for it";

/// Arguments of `lkbuild import vcenter`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct ImportVcenterArgs {
    /// An OVA, or a streamOptimized VMDK
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Name of the VM (default: the file's, without its ending)
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Make a template of it
    #[arg(long, conflicts_with = "power_on")]
    as_template: bool,

    /// Start the VM
    #[arg(long, visible_alias = "powerOn")]
    power_on: bool,

    /// Take the whole room of the disks now, not as they fill
    #[arg(long)]
    thick: bool,

    /// Processors, for a VMDK; an OVA says it itself
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    cpus: u32,

    /// Memory in MiB or with G, for a VMDK; an OVA says it itself
    #[arg(long, value_name = "SIZE", visible_alias = "memory", value_parser = mib,
          default_value = "2048")]
    mem: u64,

    /// What starts the VM, for a VMDK; an OVA says it itself
    #[arg(long, value_name = "FIRMWARE", default_value = "bios")]
    firmware: FirmwareArg,

    #[command(flatten)]
    place: PlaceArgs,

    #[command(flatten)]
    placement: PlacementArgs,

    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) fn run(args: &ImportVcenterArgs, progress: &Progress) -> Result<(), CliError> {
    let name = args.name()?;
    let opened = args.open(&name)?;
    let interrupt = Interrupt::watch()?;
    let session = args.connect.open(progress)?;
    let datacenter = args.place.datacenter(&session)?;
    let datastore = args.place.datastore(&session, &datacenter)?;
    let placement = args.placement.find(&session, &datastore)?;
    let taken = session.taken_names(
        &datacenter,
        &placement.folder_path,
        std::slice::from_ref(&name),
    )?;
    if !taken.is_empty() {
        return Err(CliError::Taken {
            folder: placement.folder_path.clone(),
            names: name,
        });
    }
    // Every network that it names becomes the one that was named here.
    let network = match opened.networks.is_empty() {
        true => None,
        false => Some(session.network(&datacenter, args.placement.network().as_deref())?),
    };
    let networks: Vec<(&str, &Network)> = opened
        .networks
        .iter()
        .filter_map(|own| Some((own.as_str(), network.as_ref()?)))
        .collect();
    let appliance = Appliance {
        name: &name,
        descriptor: &opened.descriptor,
        package: &opened,
        networks: &networks,
        thin: !args.thick,
        made_by: env!("CARGO_PKG_VERSION"),
    };
    let what = format!("importing {name}");
    let report = Report::new(progress, &interrupt, what, opened.len_bytes());
    let machine = session.import(&placement, &appliance, &report)?;
    drop(report);
    if args.as_template {
        session.mark_as_template(&machine)?;
    }
    if args.power_on {
        session.power_on(&machine)?;
    }
    let disks = session.disks_of(&machine)?;
    progress.emit(&Event::Machine {
        name: machine.name.clone(),
        path: machine.path.clone(),
        done: if args.as_template {
            "imported as a template"
        } else {
            "imported"
        },
        disks: disks.iter().map(ToString::to_string).collect(),
        ip: None,
    });
    session.close()?;
    Ok(())
}

impl ImportVcenterArgs {
    fn name(&self) -> Result<String, CliError> {
        let stem = self.file.file_stem().and_then(|stem| stem.to_str());
        self.name
            .clone()
            .or(stem.map(str::to_owned))
            .ok_or_else(|| CliError::Usage("the VM has no name: give --name".into()))
    }

    fn open(&self, name: &str) -> Result<Opened, CliError> {
        match ending(&self.file).as_str() {
            "ova" => open_ova(&self.file),
            "vmdk" => {
                let mut machine = ova::Machine::new(name, self.mem << 20);
                machine.cpus = self.cpus;
                machine.firmware = match self.firmware {
                    FirmwareArg::Bios => ova::Firmware::Bios,
                    FirmwareArg::Efi => ova::Firmware::Efi,
                };
                open_vmdk(&self.file, &machine)
            }
            _ => Err(CliError::Usage(format!(
                "{}: only .ova and .vmdk can be imported; push an ISO instead (lkbuild push vcenter)",
                self.file.display()
            ))),
        }
    }
}

fn ending(path: &Path) -> String {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.unwrap_or_default().to_ascii_lowercase()
}
