//! `lkbuild push vcenter`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use vmware::{DatastorePath, Outcome, PushOptions, Source};

use super::super::CliError;
use super::super::interrupt::Interrupt;
use super::super::vcenter::{ConnectArgs, PlaceArgs, Report, from_environment};
use super::pair;
use super::tfvars::{self, Pushed};
use crate::progress::{Event, Progress};

const EXAMPLES: &str = "\
Examples:
  export GOVC_URL=vcenter.example.org GOVC_USERNAME=administrator@vsphere.local GOVC_PASSWORD=…
  lkbuild push vcenter docker-host.iso
      to [the only datastore] docker-host/docker-host.iso, made if need be, checked, moved into place
  lkbuild push vcenter --datastore ssd --folder images/v2 --checksum host.iso
  lkbuild push vcenter --datacenter 'EMEA/Lab 1/DC1' --direct --tfvars host.tfvars host.iso
  lkbuild push vcenter --folder host disk.vmdk
      a flat pair: the descriptor and the disk-flat.vmdk that it names

Nothing is overwritten that a VM uses, unless with --force. Where the same bytes are there already,
nothing is done.";

/// Arguments of `lkbuild push vcenter`; spelled as LinuxKit spells them where LinuxKit has them.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct PushVcenterArgs {
    /// Files: an ISO, the descriptor of a flat VMDK, any other
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Folder on the datastore; / is its top (default: the first file's name without its ending)
    #[arg(long, value_name = "FOLDER")]
    folder: Option<String>,

    /// Name on the datastore, for one file (default: its own)
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Replace files even if VMs use them
    #[arg(long)]
    force: bool,

    /// Read each file back and compare it before it is moved into place
    #[arg(long)]
    checksum: bool,

    /// Send to a host rather than through vCenter, which is faster; falls back if none answers
    #[arg(long)]
    direct: bool,

    /// Host to send to with --direct (default: any that has the datastore) [env: VCHOST, GOVC_HOST]
    #[arg(long, value_name = "NAME", visible_alias = "host")]
    hostname: Option<String>,

    /// Write what the Terraform module needs: HCL, or JSON if the name ends in .json
    #[arg(long, value_name = "FILE")]
    tfvars: Option<PathBuf>,

    #[command(flatten)]
    place: PlaceArgs,

    #[command(flatten)]
    connect: ConnectArgs,
}

/// A file of this machine, opened anew for each attempt.
struct FileSource {
    path: PathBuf,
    len_bytes: u64,
}

impl FileSource {
    fn new(path: &Path) -> Result<Self, CliError> {
        let at = |source| CliError::File {
            path: path.into(),
            source,
        };
        let metadata = std::fs::metadata(path).map_err(at)?;
        if !metadata.is_file() {
            return Err(at(io::Error::other("it is no plain file")));
        }
        // What can't be read is found out before anything is sent.
        File::open(path).map_err(at)?;
        Ok(FileSource {
            path: path.into(),
            len_bytes: metadata.len(),
        })
    }
}

impl Source for FileSource {
    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        let file = File::open(&self.path)?;
        let now = file.metadata()?.len();
        if now != self.len_bytes {
            return Err(io::Error::other(format!(
                "{} had {} bytes and now has {now}",
                self.path.display(),
                self.len_bytes
            )));
        }
        Ok(Box::new(file))
    }
}

/// One file and the name that it is to have.
struct Item {
    source: FileSource,
    name: String,
}

impl PushVcenterArgs {
    /// The files in the order they are sent: what a descriptor needs before the descriptor.
    fn items(&self, progress: &Progress) -> Result<Vec<Item>, CliError> {
        if self.name.is_some() && self.files.len() > 1 {
            return Err(CliError::Usage("--name takes one file only".into()));
        }
        let mut items: Vec<Item> = Vec::new();
        for path in &self.files {
            let kind = pair::look(path)?;
            if let Some(warning) = kind.warning(path) {
                progress.warn(warning);
            }
            if !kind.extents.is_empty() && self.name.is_some() {
                return Err(CliError::Usage(format!(
                    "{} names its data by its own name: --name would part them",
                    path.display()
                )));
            }
            for extent in kind.extents {
                items.push(item(&extent, None)?);
            }
            items.push(item(path, self.name.as_deref())?);
        }
        for (i, item) in items.iter().enumerate() {
            if items[..i].iter().any(|other| other.name == item.name) {
                return Err(CliError::Usage(format!(
                    "two files would be named {:?} on the datastore",
                    item.name
                )));
            }
        }
        Ok(items)
    }

    fn folder(&self) -> Result<String, CliError> {
        if let Some(folder) = &self.folder {
            return Ok(folder.clone());
        }
        let stem = self.files.first().and_then(|path| path.file_stem());
        let stem = stem.and_then(|stem| stem.to_str());
        stem.map(str::to_owned).ok_or_else(|| {
            CliError::Usage("the file has no name to make a folder of: give --folder".into())
        })
    }
}

fn item(path: &Path, name: Option<&str>) -> Result<Item, CliError> {
    let own = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name.or(own) else {
        return Err(CliError::Usage(format!(
            "{}: a file's name must be UTF-8 on a datastore; give --name",
            path.display()
        )));
    };
    if name.contains('/') {
        return Err(CliError::Usage(
            "--name takes no folder: give --folder".into(),
        ));
    }
    Ok(Item {
        source: FileSource::new(path)?,
        name: name.into(),
    })
}

pub(super) fn run(args: &PushVcenterArgs, progress: &Progress) -> Result<(), CliError> {
    let items = args.items(progress)?;
    let folder = args.folder()?;
    let names = || items.iter().map(|item| item.name.as_str());
    let variables = args.tfvars.as_deref();
    let variables = variables.map(|file| Ok::<_, CliError>((file, tfvars::begin(file, names())?)));
    let variables = variables.transpose()?;
    let interrupt = Interrupt::watch()?;
    let session = args.connect.open(progress)?;
    let datacenter = args.place.datacenter(&session)?;
    let datastore = args.place.datastore(&session, &datacenter)?;
    let host = from_environment(args.hostname.as_deref(), &["VCHOST", "GOVC_HOST"]);
    let options = PushOptions {
        force: args.force,
        check_content: args.checksum,
        direct: args.direct,
        host: host.as_deref(),
    };
    let mut pushed = Vec::new();
    for item in &items {
        let path = DatastorePath::new(&datastore.name, &format!("{folder}/{}", item.name))?;
        let report = Report::new(
            progress,
            &interrupt,
            path.to_string(),
            item.source.len_bytes,
        );
        let outcome = session.push(&datastore, &path, &item.source, options, &report)?;
        drop(report);
        progress.emit(&Event::Pushed {
            path: path.to_string(),
            datacenter: datacenter.path.clone(),
            bytes: item.source.len_bytes,
            outcome: match outcome {
                Outcome::AlreadyThere => "already_there",
                Outcome::Pushed => "pushed",
                Outcome::Replaced => "replaced",
            },
        });
        pushed.push(path);
    }
    if let Some((file, pending)) = variables {
        tfvars::write(
            file,
            pending,
            &Pushed {
                datacenter: &datacenter,
                datastore: &datastore,
                paths: &pushed,
            },
        )?;
        progress.info(format!("wrote {}", file.display()));
    }
    session.close()?;
    Ok(())
}
