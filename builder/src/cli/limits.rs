//! Bounds on images, as options.
//!
//! What no valid input comes near has no option: the depth of YAML and JSON, for instance, since
//! LinuxKit's schema needs 7 levels and an image's documents 6.

use clap::Args;

use crate::layer::Limits;

/// For images that are larger than images should be.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// Unpacked bytes of one layer
    #[arg(long, value_name = "N", default_value_t = Limits::default().layer_bytes)]
    max_layer_bytes: u64,
    /// Unpacked bytes of one layer for each byte of its blob; 512 MiB are free
    #[arg(long, value_name = "N", default_value_t = Limits::default().layer_ratio)]
    max_layer_ratio: u64,
    /// Unpacked bytes of all layers of an image
    #[arg(long, value_name = "N", default_value_t = Limits::default().image_bytes)]
    max_image_bytes: u64,
    /// Entries of one layer
    #[arg(long, value_name = "N", default_value_t = Limits::default().entries)]
    max_layer_entries: u64,
    /// Entries of all layers of an image
    #[arg(long, value_name = "N", default_value_t = Limits::default().image_entries)]
    max_image_entries: u64,
    /// Bytes of tar headers before one file
    #[arg(long, value_name = "N", default_value_t = Limits::default().header_bytes)]
    max_header_bytes: u64,
    /// Bytes of a path or link target
    #[arg(long, value_name = "N", default_value_t = Limits::default().path_bytes)]
    max_path_bytes: usize,
    /// Data ranges of one sparse file
    #[arg(long, value_name = "N", default_value_t = Limits::default().sparse_ranges)]
    max_sparse_ranges: usize,
    /// Symlinks that one path leads through
    #[arg(long, value_name = "N", default_value_t = Limits::default().links)]
    max_links: usize,
    /// Components of symlinks that all paths of an image lead through
    #[arg(long, value_name = "N", default_value_t = Limits::default().link_steps)]
    max_link_steps: u64,
    /// Bytes of an image's paths, link targets and extended attributes (and 96 for each attribute),
    /// or of the paths of folders that it implies
    #[arg(long, value_name = "N", default_value_t = Limits::default().metadata_bytes)]
    max_metadata_bytes: u64,
}

impl From<&LimitArgs> for Limits {
    fn from(args: &LimitArgs) -> Self {
        Limits {
            layer_bytes: args.max_layer_bytes,
            layer_ratio: args.max_layer_ratio,
            blob_bytes: None,
            entries: args.max_layer_entries,
            header_bytes: args.max_header_bytes,
            path_bytes: args.max_path_bytes,
            sparse_ranges: args.max_sparse_ranges,
            image_bytes: args.max_image_bytes,
            image_entries: args.max_image_entries,
            links: args.max_links,
            link_steps: args.max_link_steps,
            metadata_bytes: args.max_metadata_bytes,
        }
    }
}
