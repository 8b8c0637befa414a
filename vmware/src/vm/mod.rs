//! Virtual machines: made of an ISO and a disk, cloned from a template, started, removed.
//!
//! A machine that is made here carries the setting [`MADE_BY`], by which it is known again.

mod create;
mod device;
mod find;
mod lifecycle;

pub use create::{Disk, Firmware, MachineSpec};
pub use find::{Machine, PowerState};

/// The setting (`extraConfig`) that machines carry that were made here; its value is the version.
pub const MADE_BY: &str = "lkbuild.made-by";
