//! A small vSphere client: files onto datastores, appliances through the import lease, virtual
//! machines.
//!
//! It speaks to vCenter and to ESXi without one; it blocks, has no runtime and few dependencies.
//! It knows no image formats: callers hand it streams with their lengths.
//!
//! ```no_run
//! use vmware::{Address, Credentials, DatastorePath, Options, PushOptions, Secret, Session, Silent, Trust};
//!
//! # fn main() -> vmware::Result<()> {
//! let server = Address::parse("vcenter.example.org")?;
//! let credentials = Credentials {
//!     user: "administrator@vsphere.local".into(),
//!     password: Secret::new("…"),
//! };
//! let session = Session::open(server.address, credentials, Trust::system(), Options::default())?;
//! let datacenter = session.datacenter(None)?;
//! let datastore = session.datastore(&datacenter, Some("ssd"))?;
//! let path = DatastorePath::new(&datastore.name, "images/host.iso")?;
//! let content = b"an image".to_vec();
//! session.push(&datastore, &path, &content, PushOptions::default(), &Silent)?;
//! # Ok(())
//! # }
//! ```
//!
//! `examples/push.rs` goes on from there, with progress and a machine.
//!
//! | module | what is there |
//! | --- | --- |
//! | `session` | login, calls, keep-alive, logout |
//! | `tls`, `http` | whom to trust; one exchange over TLS, whose answer may come early |
//! | `soap` | calls written, answers parsed within bounds, faults as errors |
//! | `inventory` | objects by name or path |
//! | [`datastore`] | files: push, read, remove, who uses them |
//! | [`import`] | appliances and disks through the import lease |
//! | [`vm`] | machines: create, clone, power, address, remove |

mod address;
pub mod datastore;
mod error;
pub mod http;
pub mod import;
mod inventory;
mod percent;
mod secret;
mod session;
pub mod soap;
mod task;
mod tls;
pub mod vm;

pub use address::{Address, ParsedAddress};
pub use datastore::{DatastorePath, Observer, Outcome, PushOptions, Silent, Source};
pub use error::{Error, Kind, Result};
pub use http::{NoProxy, Proxy};
pub use inventory::{Datacenter, Datastore, Network, Placement, Wish};
pub use secret::Secret;
pub use session::{About, Credentials, Options, Session};
pub use tls::{Thumbprint, Trust};
