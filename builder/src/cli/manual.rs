//! Version, completions and manual pages.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::Command;

use super::CliError;

fn stdout(result: io::Result<()>) -> Result<(), CliError> {
    result.map_err(|source| CliError::File {
        path: "standard output".into(),
        source,
    })
}

pub(super) fn version() -> Result<(), CliError> {
    stdout(writeln!(
        io::stdout(),
        "lkbuild {}",
        env!("CARGO_PKG_VERSION")
    ))
}

pub(super) fn completions(
    shell: clap_complete::Shell,
    command: &mut Command,
) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "lkbuild", &mut script);
    stdout(io::stdout().write_all(&script))
}

/// `lkbuild.1` and a page for each subcommand.
pub(super) fn man(dir: &Path, command: Command) -> Result<(), CliError> {
    let at = |source| CliError::File {
        path: dir.to_owned(),
        source,
    };
    fs::create_dir_all(dir).map_err(at)?;
    clap_mangen::generate_to(command, dir).map_err(at)
}
