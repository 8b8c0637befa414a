//! tar archives: ustar headers, and PAX extended headers where they are needed (POSIX.1-2017,
//! pax, "pax Interchange Format").
//!
//! Names, link targets, sizes, owners and times that a ustar header can't hold go to PAX
//! records; the caller can add records of its own. Names that are not UTF-8 stand in the header
//! as they are, long ones in a record after `hdrcharset=BINARY`. Reading tar is the `tar` crate's
//! business.

mod format;
mod write;

pub use write::{Entry, Kind, TarError, TarWriter};

#[cfg(test)]
mod tests;
