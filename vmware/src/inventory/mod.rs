//! The inventory: objects are found by name or inventory path; where there is only one, none need
//! be named.

mod choose;
mod collect;
mod datacenter;
mod list;
mod network;
mod placement;

pub use datacenter::{Datacenter, Datastore};
pub use network::Network;
pub use placement::{Placement, Wish};

pub(crate) use choose::{Wanted, choose};
pub(crate) use collect::{Object, for_each_in, properties};
pub(crate) use list::{Named, named, plain_name};
