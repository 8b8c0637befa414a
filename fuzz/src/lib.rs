//! Fuzz targets as plain functions from bytes, so that a normal test can replay every seed.
//!
//! Each returns without a panic for any input; what a parser must refuse, it refuses with an
//! error. A panic is how a target reports a bug.
#![allow(clippy::panic)]

pub mod appliance;
pub mod cache_manifest;
pub mod compress;
pub mod cpio;
pub mod described;
pub mod disk_image;
pub mod document;
pub mod import;
pub mod inspect;
pub mod kernel;
pub mod layer;
pub mod lock;
pub mod pack;
pub mod reference;
pub mod reuse;
pub mod soap;
pub mod squashfs;
pub mod tar;
pub mod tree;
pub mod yaml;

/// A fuzz target: it panics if something is wrong.
pub type Target = fn(&[u8]);

/// Every target; its seeds lie in `seeds/` under its name, past crashes in `crashes/`, its
/// dictionary, if it has one, in `dictionaries/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("cache-manifest", cache_manifest::cache_manifest),
    ("compress", compress::compress),
    ("cpio", cpio::cpio),
    ("described", described::described),
    ("document", document::document),
    ("fat", disk_image::fat),
    ("gpt", disk_image::gpt),
    ("image-label", yaml::image_label),
    ("import", import::import),
    ("inspect", inspect::inspect),
    ("iso", disk_image::iso),
    ("kernel", kernel::kernel),
    ("layer", layer::layer),
    ("ova", appliance::ova),
    ("ovf", appliance::ovf),
    ("lock", lock::lock),
    ("pack", pack::pack),
    ("pack-index", pack::pack_index),
    ("pe", inspect::pe),
    ("qcow2", disk_image::qcow2),
    ("reference", reference::reference),
    ("reuse", reuse::reuse),
    ("soap", soap::soap),
    ("squashfs", squashfs::squashfs),
    ("store-index", import::store_index),
    ("tar", tar::tar),
    ("tree", tree::tree),
    ("vhd", disk_image::vhd),
    ("vmdk", disk_image::vmdk),
    ("yaml", yaml::yaml),
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    let found = TARGETS.iter().find(|(own, _)| *own == name);
    found.map(|&(_, target)| target)
}
