//! Writers: an [`Image`] becomes files.
//!
//! [`Format`] names what can be made; [`write()`] makes it. Formats that share kernel and initrd get
//! them from one place (`media`). Files get their names together when all
//! are written and synced ([`crate::atomic`]).

mod behind;
pub mod disk;
mod format;
pub mod initrd;
mod iso;
pub mod kernel;
mod media;
pub mod squashfs;
pub mod tree_iso;
pub mod tree_tar;
mod uki;
mod write;

pub use disk::{DiskFormat, DiskSettings, MachineSettings, MakeDiskError};
pub use format::{Format, ParseFormatError};
pub use iso::IsoFormat;
pub use tree_iso::TreeIsoError;
pub use uki::MakeUkiError;
pub use write::{OutputError, Outputs, Settings, Written, WrittenFile, write};

#[cfg(doc)]
use crate::assemble::Image;
