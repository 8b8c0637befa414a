//! `lkbuild cache export`.

use std::io::{self, Write};
use std::path::Path;

use clap::Args;

use super::super::CliError;
use super::super::images::ImageArgs;
use super::super::source::{SourceArgs, Want};
use crate::atomic::{PendingFile, commit};
use crate::cache::{BundleError, fetch, write_bundle};
use crate::output::OutputError;
use crate::progress::{Event, Progress};

const EXAMPLES: &str = "\
Examples:
  lkbuild cache export -o bundle.tar docker-host.yml
  lkbuild cache export --arch amd64,arm64 -o - docker-host.yml | ssh host 'cat > bundle.tar'

The bundle is an OCI layout in a tar, the same bytes each time. On a host without a network:
  lkbuild cache import bundle.tar && lkbuild build --offline docker-host.yml";

/// Arguments of `lkbuild cache export`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct ExportArgs {
    #[command(flatten)]
    images: ImageArgs,

    /// The file to write, or - for standard output
    #[arg(short, long, visible_alias = "outfile", value_name = "FILE")]
    output: String,

    /// LinuxKit's choice of formats; oci is the only one
    #[arg(long, hide = true, value_parser = ["oci"])]
    format: Option<String>,

    /// Ask registries for tags again, even where the cache knows them
    #[arg(long)]
    pull: bool,

    #[command(flatten)]
    source: SourceArgs,
}

impl ExportArgs {
    pub(super) fn takes_stdout(&self) -> bool {
        self.output == "-"
    }
}

pub(super) fn run(args: &ExportArgs, progress: &Progress) -> Result<(), CliError> {
    if args.source.offline && args.pull {
        let message = "--offline and --pull can't be given together";
        return Err(CliError::Usage(message.into()));
    }
    let (wishes, pins) = args.images.wishes(&args.source, progress)?;
    let platforms = args.images.platforms();
    let want = Want::of(&platforms).pull(args.pull).pins(pins);
    let store = args.source.store()?;
    let images = args.source.images(store.clone(), want, progress)?;
    let fetched = fetch(&images, &wishes, &platforms, progress)?;
    let blobs = fetched.parts.all();
    let _task = progress.task(format!("writing {}", args.output), None);
    if args.takes_stdout() {
        let mut out = io::BufWriter::with_capacity(1 << 18, io::stdout().lock());
        write_bundle(&mut out, &store, &fetched.images, &blobs)?;
        out.flush().map_err(BundleError::from)?;
        return Ok(());
    }
    let mut file = PendingFile::create(Path::new(&args.output)).map_err(OutputError::from)?;
    write_bundle(&mut file, &store, &fetched.images, &blobs)?;
    let bytes = file.bytes();
    commit(vec![file]).map_err(OutputError::from)?;
    progress.emit(&Event::Output {
        path: args.output.clone(),
        bytes,
        unchanged: false,
    });
    Ok(())
}
