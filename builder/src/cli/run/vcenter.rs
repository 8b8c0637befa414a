//! `lkbuild run vcenter`.

use std::time::{Duration, Instant};

use clap::Args;
use vmware::vm::{Disk, Machine, MachineSpec};
use vmware::{Datacenter, Datastore, DatastorePath, Network, Placement, Session};

use super::super::CliError;
use super::super::vcenter::{
    ConnectArgs, FirmwareArg, PlaceArgs, PlacementArgs, mib, needed_bytes, numbered,
};
use crate::progress::{Event, Progress, size};

const EXAMPLES: &str = "\
Examples:
  lkbuild run vcenter --persistent-size 20G --power-on docker-host/docker-host.iso
      a VM docker-host that boots the ISO on the datastore, and a disk that stays
  lkbuild run vcenter --count 3 --name web --mem 4G --network 'VM Network' --wait-for-ip host/host.iso
      web-1, web-2 and web-3, started; prints their addresses
  lkbuild run vcenter --template docker-host --name web-1 --persistent-size 20G --power-on
  lkbuild run vcenter --name web-1 --disk '[ssd] web-1/web-1.vmdk' --power-on host/v2.iso
      the disk of an earlier VM, with a new system";

/// VMware wants memory in units of 4 MiB.
const MEMORY_UNIT_MIB: u64 = 4;
const DEFAULT_MEMORY_MIB: u64 = 2048;
const DEFAULT_CPUS: u32 = 2;

/// Arguments of `lkbuild run vcenter`; spelled as LinuxKit spells them where LinuxKit has them.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct RunVcenterArgs {
    /// The ISO on its datastore: FOLDER/FILE.iso, [DATASTORE] FOLDER/FILE.iso, or FILE.iso alone if
    /// its folder has its name, or the VM's
    #[arg(
        value_name = "ISO",
        required_unless_present = "template",
        conflicts_with = "template"
    )]
    iso: Option<String>,

    /// Copy this template (or VM) instead
    #[arg(long, value_name = "NAME")]
    template: Option<String>,

    /// Name of the VM (default: that of the ISO); this is what LinuxKit's --vmfolder means
    #[arg(
        long,
        value_name = "NAME",
        visible_alias = "vmfolder",
        required_unless_present = "iso"
    )]
    name: Option<String>,

    /// Make so many: NAME-1, NAME-2 and so on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: Option<u32>,

    /// Processors (default: 2; a template's own)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    cpus: Option<u32>,

    /// Memory in MiB, or with G (default: 2048 or what the image says it needs; a template's own)
    #[arg(long, value_name = "SIZE", visible_alias = "memory", value_parser = mib)]
    mem: Option<u64>,

    /// A new disk that stays when the system is replaced, in MiB, or with G; 0 for none
    #[arg(long, value_name = "SIZE", visible_alias = "persistentSize", value_parser = mib,
          default_value = "0")]
    persistent_size: u64,

    /// Take the whole room of the new disk now, not as it fills
    #[arg(long)]
    thick: bool,

    /// Use a disk that is there, as [DATASTORE] FOLDER/FILE.vmdk
    #[arg(long, value_name = "PATH", conflicts_with_all = ["persistent_size", "count"])]
    disk: Option<String>,

    /// What starts the VM (default: efi; a template's own)
    #[arg(long, value_name = "FIRMWARE")]
    firmware: Option<FirmwareArg>,

    /// VMware's id of the guest's system
    #[arg(long, value_name = "ID", default_value = "other3xLinux64Guest")]
    guest_id: String,

    /// Start the VM
    #[arg(long, visible_alias = "powerOn")]
    power_on: bool,

    /// Start the VM, wait until its tools tell an IP address, and print it
    #[arg(long, visible_alias = "waitForIP")]
    wait_for_ip: bool,

    /// Seconds to wait for an address
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    ip_timeout: u32,

    #[command(flatten)]
    place: PlaceArgs,

    #[command(flatten)]
    placement: PlacementArgs,

    #[command(flatten)]
    connect: ConnectArgs,
}

/// What the machines are made of.
enum Origin {
    Iso(Box<Iso>),
    Template(Machine),
}

/// An ISO on a datastore.
struct Iso {
    path: DatastorePath,
    datastore: Datastore,
    /// Memory that it says it needs.
    needed_bytes: Option<u64>,
}

pub(super) fn run(args: &RunVcenterArgs, progress: &Progress) -> Result<(), CliError> {
    let names = numbered(&args.name()?, args.count);
    let session = args.connect.open(progress)?;
    let datacenter = args.place.datacenter(&session)?;
    let datastore = args.place.datastore(&session, &datacenter)?;
    let origin = args.origin(&session, &datacenter, &datastore)?;
    let memory_mib = args.memory_mib(&origin)?;
    let disk = args.disk(&session, &datacenter)?;
    let placement = args.placement.find(&session, &datastore)?;
    let network = args.network(&session, &datacenter)?;
    // Found out before the first is made.
    let taken = session.taken_names(&datacenter, &placement.folder_path, &names)?;
    if !taken.is_empty() {
        return Err(CliError::Taken {
            folder: placement.folder_path.clone(),
            names: taken.join(", "),
        });
    }
    let is_template = matches!(origin, Origin::Template(_));
    let mut machines = Vec::new();
    let mut failed: Option<CliError> = None;
    for name in &names {
        let spec = MachineSpec {
            name,
            cpus: args.cpus.or((!is_template).then_some(DEFAULT_CPUS)),
            memory_mib,
            firmware: match (args.firmware, is_template) {
                (Some(firmware), _) => Some(firmware.into()),
                (None, true) => None,
                (None, false) => Some(FirmwareArg::Efi.into()),
            },
            guest_id: &args.guest_id,
            iso: match &origin {
                Origin::Iso(iso) => Some((&iso.path, &iso.datastore)),
                Origin::Template(_) => None,
            },
            disk: disk.clone(),
            network: network.as_ref(),
            made_by: env!("CARGO_PKG_VERSION"),
        };
        match make(&session, &placement, &origin, &spec, progress) {
            Ok(machine) => machines.push(machine),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
        if let Some(machine) = machines.last()
            && (args.power_on || args.wait_for_ip)
        {
            if let Err(error) = session.power_on(machine) {
                failed = Some(error.into());
                break;
            }
            progress.detail(format!("started {name}"));
        }
    }
    // What was made is told, also where something failed. All start while the first is waited for.
    let end = match failed {
        Some(_) => None,
        None => args.wait_end(),
    };
    for machine in &machines {
        if let Err(error) = args.tell(&session, machine, end, progress) {
            failed.get_or_insert(error);
        }
    }
    session.close()?;
    failed.map_or(Ok(()), Err)
}

fn make(
    session: &Session,
    placement: &Placement,
    origin: &Origin,
    spec: &MachineSpec<'_>,
    progress: &Progress,
) -> Result<Machine, CliError> {
    let _task = progress.task(format!("making {}", spec.name), None);
    Ok(match origin {
        Origin::Iso(_) => session.create_machine(placement, spec)?,
        Origin::Template(template) => session.clone_machine(template, placement, spec)?,
    })
}

/// A file's name without its ending.
fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

impl RunVcenterArgs {
    fn name(&self) -> Result<String, CliError> {
        let of_iso = || {
            let iso = self.iso.as_deref()?;
            let on_datastore = iso.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            let path = on_datastore.map_or(iso, |(_, path)| path.trim_start());
            Some(stem(path.rsplit('/').next()?).to_owned())
        };
        let name = self.name.clone().or_else(of_iso);
        name.filter(|name| !name.is_empty())
            .ok_or_else(|| CliError::Usage("the VM has no name: give --name".into()))
    }

    fn origin(
        &self,
        session: &Session,
        datacenter: &Datacenter,
        datastore: &Datastore,
    ) -> Result<Origin, CliError> {
        let Some(iso) = &self.iso else {
            let template = self.template.as_deref().unwrap_or_default();
            return Ok(Origin::Template(session.machine(datacenter, template)?));
        };
        let (path, datastore) = match DatastorePath::parse(iso)? {
            Some(path) => {
                let datastore = session.datastore(datacenter, Some(path.datastore()))?;
                (path, datastore)
            }
            None => (DatastorePath::new(&datastore.name, iso)?, datastore.clone()),
        };
        let mut len_bytes = session.file_len(&datastore, &path)?;
        let mut path = path;
        if len_bytes.is_none() && path.folder().is_none() {
            // LinuxKit names no folder: it has the VM's name, or the ISO's, as a push has it.
            for folder in [self.name()?, stem(path.name()).to_owned()] {
                let inside = format!("{folder}/{}", path.name());
                let inside = DatastorePath::new(&datastore.name, &inside)?;
                len_bytes = session.file_len(&datastore, &inside)?;
                if len_bytes.is_some() {
                    path = inside;
                    break;
                }
            }
        }
        let Some(len_bytes) = len_bytes else {
            return Err(CliError::NotThere {
                path: path.to_string(),
                advice: "push it first (lkbuild push vcenter), or name its datastore as [DATASTORE] FOLDER/FILE.iso",
            });
        };
        let needed_bytes = needed_bytes(session, &datastore, &path, len_bytes)?;
        Ok(Origin::Iso(Box::new(Iso {
            path,
            datastore,
            needed_bytes,
        })))
    }

    /// Memory as asked for, not below what the image says it needs.
    fn memory_mib(&self, origin: &Origin) -> Result<Option<u64>, CliError> {
        let round = |mib: u64| mib.next_multiple_of(MEMORY_UNIT_MIB);
        let Origin::Iso(iso) = origin else {
            return Ok(self.mem.map(round));
        };
        let path = &iso.path;
        let needed = iso.needed_bytes.unwrap_or(0).div_ceil(1 << 20);
        match self.mem {
            None => Ok(Some(round(needed.max(DEFAULT_MEMORY_MIB)))),
            Some(asked) if asked < needed => Err(CliError::Usage(format!(
                "--mem {asked}: {path} says that it needs {}: give at least --mem {needed}",
                size(needed << 20)
            ))),
            Some(asked) => Ok(Some(round(asked))),
        }
    }

    fn disk(&self, session: &Session, datacenter: &Datacenter) -> Result<Option<Disk>, CliError> {
        let Some(text) = &self.disk else {
            let size_mib = self.persistent_size;
            let thin = !self.thick;
            return Ok((size_mib > 0).then_some(Disk::New { size_mib, thin }));
        };
        let path = DatastorePath::parse(text)?.ok_or_else(|| {
            CliError::Usage(format!(
                "--disk {text:?}: write it as [DATASTORE] FOLDER/FILE.vmdk"
            ))
        })?;
        let datastore = session.datastore(datacenter, Some(path.datastore()))?;
        if session.file_len(&datastore, &path)?.is_none() {
            return Err(CliError::NotThere {
                path: path.to_string(),
                advice: "a disk is named by its descriptor, the file without -flat",
            });
        }
        let users = session.users_of(&datastore, &path)?;
        if !users.is_empty() {
            return Err(CliError::DiskInUse {
                path: path.to_string(),
                users: users.join(", "),
            });
        }
        Ok(Some(Disk::Existing(path)))
    }

    /// A template has a network of its own; an ISO has not.
    fn network(
        &self,
        session: &Session,
        datacenter: &Datacenter,
    ) -> Result<Option<Network>, CliError> {
        match (self.placement.network(), &self.template) {
            (None, Some(_)) => Ok(None),
            (name, _) => Ok(Some(session.network(datacenter, name.as_deref())?)),
        }
    }

    /// Until when addresses are waited for, if they are.
    fn wait_end(&self) -> Option<Instant> {
        let wait = Duration::from_secs(self.ip_timeout.into());
        self.wait_for_ip.then(|| Instant::now() + wait)
    }

    /// Says what a machine is, after a wait for its address up to `end`.
    fn tell(
        &self,
        session: &Session,
        machine: &Machine,
        end: Option<Instant>,
        progress: &Progress,
    ) -> Result<(), CliError> {
        let ip = end.map(|end| {
            let _task = progress.task(format!("waiting for the address of {}", machine.name), None);
            session.wait_for_ip(machine, end.saturating_duration_since(Instant::now()))
        });
        let ip = ip.transpose();
        let disks = session.disks_of(machine)?;
        progress.emit(&Event::Machine {
            name: machine.name.clone(),
            path: machine.path.clone(),
            done: "made",
            disks: disks.iter().map(ToString::to_string).collect(),
            ip: ip.as_ref().ok().cloned().flatten(),
        });
        ip?;
        Ok(())
    }
}
