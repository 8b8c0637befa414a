//! PE32+: programs for UEFI (Microsoft, "PE Format"; the clauses are named by their headings).
//!
//! [`write_program`] makes one of code and data, which is how our loader is built. [`append`] puts
//! sections behind those that a program has: a unified kernel image (UAPI group specification
//! "Unified Kernel Image") is a small program, the stub, with kernel, initrd and command line as
//! such sections. [`PeFile::read`] reads headers, within limits.

mod format;
mod program;
mod read;
mod write;

pub use program::{Access, Program, ProgramSection, write_program};
pub use read::{PeFile, ReadError, ReadErrorKind, Section};
pub use write::{AppendError, NewSection, append, checksum, set_checksum};

#[cfg(test)]
mod tests;
