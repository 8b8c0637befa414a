//! cpio archives in the "newc" format, as Linux reads its initial RAM file system from them.
//!
//! The kernel accepts any number of archives one after the other, plain or each with its own
//! compression (Documentation/driver-api/early-userspace/buffer-format.rst, init/initramfs.c).
//! [`CpioWriter`] writes one archive with one trailer, so that everybody's tools list all of it;
//! [`Reader`] reads what the kernel would.
//!
//! What the format can't hold: bodies of 4 GiB and more, extended attributes, fractions of
//! seconds, times before 1970 or after 2106. The kernel drops an entry whose folder does not
//! exist yet, and writes a path that comes twice into the file that is there already: names must
//! come once, folders before what is in them.

mod format;
mod read;
mod write;

pub use format::{BODY_MAX_BYTES, NAME_MAX_BYTES};
pub use read::{Container, Limits, ReadEntry, ReadError, ReadErrorKind, Reader};
pub use write::{CpioMeasure, CpioWriter, Entry, WriteError, write_microcode};

#[cfg(test)]
mod tests;
