//! Appliances and disks through the import lease (`HttpNfcLease`): the server makes the machine
//! from its description, the disks are sent to the URLs that the lease names.

mod lease;
mod mark;
mod spec;
mod transfer;

pub use spec::{Appliance, Package};
