//! What can be done with the store besides building from it: filling it, carrying parts of it to
//! hosts without a network, looking after it.
//!
//! `parts` finds the blobs that images consist of; [`fetch`] brings them; `bundle` writes them
//! as one OCI layout tar, and [`import`] takes such tars (and other layouts) in, whole or not at
//! all; `collect` lists and removes; [`verify`] reads everything once.

mod bundle;
mod collect;
mod fetch;
mod import;
mod parts;
mod verify;

pub use bundle::{BundleError, SUMS_FILE, write_bundle};
pub use collect::{GRACE, ImageInfo, clean, gc, list, remove};
pub use fetch::{FetchError, Fetched, Wish, fetch, wishes};
pub use import::{ImportError, Imported, import};
pub use parts::Parts;
pub use verify::{Finding, Report, verify};
