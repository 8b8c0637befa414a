//! What the tests of all crates share.
//!
//! * [`Layer`]: a layer as a short readable description, in Rust or in the JSON of the golden
//!   vectors, written to tar bytes by a writer of our own that can also write what no well-behaved
//!   tool would ([`tar`]);
//! * [`Image`] and [`Layout`]: images made of such layers, as an OCI layout (folder or tar) or a
//!   `docker save` tar;
//! * [`model`]: the merge rules once more, slow and obvious, to compare the engine with;
//! * [`snapshot`]: file systems as flat lists that can be compared line by line;
//! * [`Registry`]: a real registry on localhost, [`Authority`] and [`Proxy`] on the way to it; [`http`]: a server that misbehaves as asked;
//! * [`qemu`]: machines that boot our media; [`guest_images`]: what their systems are built of;
//! * [`VCenter`]: a strict vCenter or ESXi on localhost that can be told what to get wrong;
//! * [`Terraform`]: the real one, offline;
//! * [`judge()`]: the outside programs that judge our output, and [`vectors_dir`].
//!
//! A panic is how test support fails, so the lints against it are off here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

mod authority;
mod compress;
mod guest;
pub mod http;
mod image;
mod judge;
mod layer;
mod layout;
pub mod model;
mod prng;
mod proxy;
pub mod qemu;
mod registry;
pub mod sequences;
pub mod snapshot;
pub mod tar;
mod terraform;
mod vcenter;
mod vectors;

pub use authority::Authority;
pub use compress::Compression;
pub use guest::guest_images;
pub use image::Image;
pub use judge::{judge, judge_file, judge_python, vectors_dir, workspace_dir};
pub use layer::{DEFAULT_MTIME, Dialect, Entry, Kind, Layer, SparseFormat};
pub use layout::{Layout, sha256_hex};
pub use prng::Prng;
pub use proxy::Proxy;
pub use registry::{Door, Registry};
pub use snapshot::Snapshot;
pub use terraform::Terraform;
pub use vcenter::{Fault, Inventory, Machine, Requested, VCenter, VCenterOptions};
pub use vectors::{ExpectedNode, images_from_json, read_tree};

#[cfg(test)]
mod tests;
