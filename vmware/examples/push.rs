//! Pushes an ISO to a datastore and makes a VM that boots it:
//!
//! ```sh
//! export GOVC_URL=vcenter.example.org GOVC_USERNAME=… GOVC_PASSWORD=…
//! cargo run -p lkbuild-vmware --example push host.iso
//! ```
//!
//! `None` stands for the only datacenter and datastore that there is; where there are several, the
//! error lists them. So it is with clusters and networks, unless `GOVC_CLUSTER` and `GOVC_NETWORK`
//! name one.

// It has a terminal to itself.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use vmware::vm::{Disk, Firmware, MachineSpec};
use vmware::{
    Address, Credentials, DatastorePath, Observer, Options, Proxy, PushOptions, Secret, Session,
    Source, Trust, Wish,
};

/// A file that is opened anew for each attempt.
struct Iso {
    path: PathBuf,
    len_bytes: u64,
}

impl Source for Iso {
    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(File::open(&self.path)?))
    }
}

/// Says on standard error how far it is.
struct Percent(u64);

impl Observer for Percent {
    fn progress(&self, done_bytes: u64) {
        eprint!("\r{} %", done_bytes * 100 / self.0.max(1));
    }

    fn note(&self, text: &str) {
        eprintln!("\r{text}");
    }

    fn warn(&self, text: &str) {
        eprintln!("\rwarning: {text}");
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\r{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let path = PathBuf::from(std::env::args_os().nth(1).ok_or("which ISO?")?);
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or("the file has no name")?;
    let iso = Iso {
        len_bytes: std::fs::metadata(&path)?.len(),
        path: path.clone(),
    };

    let server = Address::parse(&std::env::var("GOVC_URL")?)?;
    let credentials = Credentials {
        user: std::env::var("GOVC_USERNAME")?,
        password: Secret::new(std::env::var("GOVC_PASSWORD")?),
    };
    let mut trust = Trust::system();
    if let Ok(pem) = std::env::var("GOVC_TLS_CA_CERTS") {
        trust.add_pem(&pem, &std::fs::read(&pem)?)?;
    }
    let options = Options {
        proxy: Proxy::from_environment(),
        ..Options::default()
    };
    let session = Session::open(server.address, credentials, trust, options)?;
    println!("{}", session.about().full_name);

    let datacenter = session.datacenter(None)?;
    let datastore = session.datastore(&datacenter, None)?;
    let place = DatastorePath::new(&datastore.name, &format!("images/{name}"))?;
    let observer = Percent(iso.len_bytes);
    let outcome = session.push(&datastore, &place, &iso, PushOptions::default(), &observer)?;
    println!("{place}: {outcome:?}");

    let network = std::env::var("GOVC_NETWORK").ok();
    let network = session.network(&datacenter, network.as_deref())?;
    let cluster = std::env::var("GOVC_CLUSTER").ok();
    let wish = Wish {
        cluster: cluster.as_deref(),
        ..Wish::default()
    };
    let placement = session.placement(&datastore, wish)?;
    let spec = MachineSpec {
        name: "example",
        cpus: Some(2),
        memory_mib: Some(2048),
        firmware: Some(Firmware::Efi),
        guest_id: "other3xLinux64Guest",
        iso: Some((&place, &datastore)),
        disk: Some(Disk::New {
            size_mib: 4096,
            thin: true,
        }),
        network: Some(&network),
        made_by: "example",
    };
    let machine = session.create_machine(&placement, &spec)?;
    session.power_on(&machine)?;
    println!("{} runs", machine.path);
    session.close()?;
    Ok(())
}
