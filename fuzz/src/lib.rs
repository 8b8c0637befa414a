//! Fuzz targets as plain functions from bytes, so that a normal test can replay every seed.
//!
//! Each returns without a panic for any input; what a parser must refuse, it refuses with an
//! error.

mod compress;
mod cpio;

pub use compress::compress;
pub use cpio::cpio;

/// A fuzz target: it panics if something is wrong.
pub type Target = fn(&[u8]);

/// Every target; its seeds lie in `seeds/` under its name.
pub const TARGETS: &[(&str, Target)] = &[("compress", compress), ("cpio", cpio)];
