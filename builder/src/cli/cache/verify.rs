//! `lkbuild cache verify`.

use clap::Args;

use super::super::CliError;
use super::super::source::{SourceArgs, Want};
use crate::cache::verify;
use crate::pack::Workers;
use crate::progress::{Event, Progress, size};

/// Arguments of `lkbuild cache verify`.
#[derive(Debug, Args)]
pub(in super::super) struct VerifyArgs {
    #[command(flatten)]
    source: SourceArgs,
}

pub(super) fn run(args: &VerifyArgs, progress: &Progress) -> Result<(), CliError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = Workers::new(threads).map_err(|e| CliError::Setup(e.to_string()))?;
    // The index is part of what is verified.
    let store = args.source.store()?;
    let images = args.source.images_unchecked(store, Want::of(&[]))?;
    let report = verify(&images, &workers, progress)?;
    for finding in &report.findings {
        progress.emit(&Event::Damage {
            path: finding.path.display().to_string(),
            problem: finding.problem.clone(),
            images: finding.images.clone(),
            healed: finding.healed,
        });
    }
    progress.emit(&Event::Cache {
        blobs: report.blobs,
        packs: report.packs,
        bytes: report.bytes,
    });
    let healed = report.findings.iter().filter(|f| f.healed).count();
    let damaged = report.findings.len() - healed;
    progress.info(format!(
        "{} blobs and {} packs verified, {}; {healed} healed, {damaged} damaged",
        report.blobs,
        report.packs,
        size(report.bytes),
    ));
    match report.is_bad() {
        true => Err(CliError::DamagedCache { damaged }),
        false => Ok(()),
    }
}
