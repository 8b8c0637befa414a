//! Images named on the command line: by name, or by the YAML that uses them.

use std::collections::HashMap;

use clap::Args;

use super::CliError;
use super::input::read_all;
use super::lock::LockedArgs;
use super::source::SourceArgs;
use crate::cache::{Wish, wishes};
use crate::config::{Moby, load};
use crate::lockfile::LockEntry;
use crate::progress::{Event, Progress};
use crate::reference::Reference;
use crate::registry::Platform;

/// Names of images and of YAML files.
#[derive(Debug, Args)]
pub(super) struct ImageArgs {
    /// YAML files (.yml, .yaml, a URL, or - for standard input), whose images are meant, or names of
    /// images
    #[arg(required = true, value_name = "FILE|IMAGE")]
    what: Vec<String>,

    /// Architectures of the images: amd64, arm64, arm/v7 and so on; several are separated by
    /// commas (default: this machine's)
    #[arg(long, visible_alias = "platform", value_name = "ARCH", value_delimiter = ',',
          default_value = std::env::consts::ARCH)]
    arch: Vec<String>,

    #[command(flatten)]
    locked: LockedArgs,
}

impl ImageArgs {
    /// The platforms asked for, each once.
    pub(super) fn platforms(&self) -> Vec<Platform> {
        let mut platforms = Vec::new();
        for arch in &self.arch {
            let platform = Platform::linux(arch);
            if !platforms.contains(&platform) {
                platforms.push(platform);
            }
        }
        platforms
    }

    /// YAML files among the arguments, in their order.
    pub(super) fn files(&self) -> Vec<String> {
        self.what.iter().filter(|w| is_yaml(w)).cloned().collect()
    }

    /// The images that are meant, and what they must stand for.
    pub(super) fn wishes(
        &self,
        source: &SourceArgs,
        progress: &Progress,
    ) -> Result<(Vec<Wish>, HashMap<String, LockEntry>), CliError> {
        let names = self.what.iter().filter(|w| !is_yaml(w));
        let names: Vec<Reference> = names
            .map(|name| parse_name(name))
            .collect::<Result<_, _>>()?;
        let files = self.files();
        let moby = match files.is_empty() {
            true => Moby::default(),
            false => load_files(&files, source, progress)?,
        };
        let pins = self.locked.pins(&files, &moby, &names, progress)?;
        let mut all = wishes(&moby);
        all.extend(names.into_iter().map(|name| Wish { name, volume: None }));
        Ok((all, pins))
    }
}

/// A name given as an argument.
pub(super) fn parse_name(name: &str) -> Result<Reference, CliError> {
    Reference::parse(name).map_err(|e| {
        let hint = match std::path::Path::new(name).is_file() {
            true => "; a YAML file must end in .yml or .yaml to be taken for one",
            false => "",
        };
        CliError::Usage(format!("{e}{hint}"))
    })
}

/// Whether an argument is a YAML file rather than an image.
fn is_yaml(argument: &str) -> bool {
    let lower = argument.to_ascii_lowercase();
    argument == "-"
        || argument.contains("://")
        || [".yml", ".yaml"].iter().any(|end| lower.ends_with(end))
}

/// Reads and checks YAML files, and says what is doubtful about them.
pub(super) fn load_files(
    files: &[String],
    source: &SourceArgs,
    progress: &Progress,
) -> Result<Moby, CliError> {
    let inputs = read_all(files, source)?;
    let files: Vec<(&str, &[u8])> = inputs
        .iter()
        .map(|input| (input.name.as_str(), &*input.bytes))
        .collect();
    let loaded = load(&files)?;
    for warning in &loaded.warnings {
        progress.emit(&Event::Warning {
            message: warning.to_string(),
        });
    }
    Ok(loaded.moby)
}
