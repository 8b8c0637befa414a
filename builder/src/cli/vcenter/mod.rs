//! What the commands for vSphere share: the server, the credentials, the names in its inventory.
//!
//! Settings come from the flag, then from LinuxKit's variable (`VC…`), then from govc's (`GOVC_…`).

mod connect;
mod machine;
mod memory;
mod password;
mod report;
mod setting;

pub(super) use connect::{ConnectArgs, DatacenterArgs, PlaceArgs};
pub(super) use machine::{FirmwareArg, PlacementArgs, mib, numbered};
pub(super) use memory::needed_bytes;
pub(super) use report::Report;

/// The flag's value, or that of the first of the variables that is set.
pub(super) fn from_environment(flag: Option<&str>, variables: &[&str]) -> Option<String> {
    setting::setting(flag, variables, &setting::environment)
}
