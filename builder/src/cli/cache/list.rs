//! `lkbuild cache ls`.

use std::io::{self, Write};

use clap::Args;

use super::super::CliError;
use super::super::source::CacheArgs;
use crate::cache::list;
use crate::layer::Escaped;
use crate::output::OutputError;
use crate::pack::PackStore;
use crate::progress::{Event, Progress, size};
use crate::store::StoreError;

/// Arguments of `lkbuild cache ls`.
#[derive(Debug, Args)]
pub(in super::super) struct ListArgs {
    #[command(flatten)]
    cache: CacheArgs,
}

pub(super) fn run(args: &ListArgs, progress: &Progress) -> Result<(), CliError> {
    let store = args.cache.store()?;
    let images = list(&store)?;
    let blobs = store.blobs()?;
    let packs = PackStore::new(store.dir());
    let packs = packs.list().map_err(|source| StoreError::Io {
        action: "list",
        path: packs.dir().to_owned(),
        source,
    })?;
    let blob_bytes: u64 = blobs.iter().map(|b| b.bytes).sum();
    let pack_bytes: u64 = packs.iter().map(|p| p.bytes).sum();
    if progress.is_json() {
        for image in images {
            progress.emit(&Event::Image {
                name: image.name,
                digest: image.entry.digest.to_string(),
                platforms: image.platforms.into_iter().collect(),
                bytes: image.present_bytes,
                absent_blobs: image.absent_blobs,
            });
        }
        progress.emit(&Event::Cache {
            blobs: blobs.len() as u64,
            packs: packs.len() as u64,
            bytes: blob_bytes + pack_bytes,
        });
        return Ok(());
    }
    let mut text = String::new();
    let width = images
        .iter()
        .map(|i| i.name.as_deref().unwrap_or("-").chars().count())
        .max()
        .unwrap_or(0);
    for image in &images {
        // Both come from files of others: what would steer a terminal is escaped.
        let escaped = |text: &str| Escaped(text.as_bytes()).to_string();
        let platforms: Vec<String> = image.platforms.iter().map(|p| escaped(p)).collect();
        let name = escaped(image.name.as_deref().unwrap_or("-"));
        let digest = image.entry.digest.to_string();
        text += &format!(
            "{name:width$}  {}  {:>9}  {}\n",
            &digest[..digest.len().min(19)],
            size(image.present_bytes),
            platforms.join(",")
        );
    }
    text += &format!(
        "{} images; {} blobs, {}; {} packs, {}\n",
        images.len(),
        blobs.len(),
        size(blob_bytes),
        packs.len(),
        size(pack_bytes)
    );
    let written = io::stdout().write_all(text.as_bytes());
    written.map_err(|source| OutputError::Io(source).into())
}
