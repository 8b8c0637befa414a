//! The command line: raw arguments become a checked plan, one file per subcommand.

mod build;
mod cache;
mod credentials;
mod disk;
mod error;
mod images;
mod import;
mod input;
mod inspect;
mod interrupt;
mod limits;
mod lock;
mod manual;
mod pack_cache;
mod push;
mod registries;
mod rm;
mod run;
mod settings;
mod source;
mod vcenter;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use error::{CliError, Failure};

use crate::progress::{Event, Progress, Style};

const AFTER_HELP: &str = "\
Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the configuration is wrong; 4 an image can't be had;
5 the output can't be written. Of vSphere: 10 login or right refused; 11 no such name, or it means
several; 12 in use, or the name is taken; 13 certificate not trusted; 14 network or time-out;
15 the server failed; 16 what arrived is not what was sent, or a file that is inspected is damaged;
130 a transfer was stopped by a signal, and nothing of it is left.

Environment: LINUXKIT_CACHE (the cache), LINUXKIT_MIRROR (mirrors), DOCKER_CONFIG (credentials),
HTTP_PROXY, HTTPS_PROXY and NO_PROXY, and for registries ALL_PROXY; for vSphere GOVC_URL, GOVC_USERNAME,
GOVC_PASSWORD and others that the commands' help names, before them LinuxKit's VCURL and its like.";

/// LinuxKit YAML in, bootable operating system images out: no Docker, no root.
#[derive(Debug, Parser)]
#[command(name = "lkbuild", version, about, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// Say only what is wrong
    #[arg(short, long, global = true)]
    quiet: bool,

    /// Say more (0 quiet, 1 usual, 2 more, 3 most; -v alone is 2)
    #[arg(short, long, global = true, value_name = "N", num_args = 0..=1, require_equals = true,
          default_missing_value = "2", value_parser = clap::value_parser!(u8).range(0..=3))]
    verbose: Option<u8>,

    /// Write events as JSON, one object a line (to standard error where the output goes to
    /// standard output)
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build an image from LinuxKit YAML
    Build(Box<build::BuildArgs>),
    /// Push an image to where it is to run
    #[command(subcommand)]
    Push(push::PushCommand),
    /// Boot what was built
    #[command(subcommand)]
    Run(run::RunCommand),
    /// Fill the cache, carry parts of it elsewhere, look after it
    #[command(subcommand)]
    Cache(cache::CacheCommand),
    /// Make a machine of an appliance or a disk
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Remove what was made
    #[command(subcommand)]
    Rm(rm::RmCommand),
    /// Say what a file that boots is and what is in it
    Inspect(inspect::InspectArgs),
    /// Write down what the names in YAML files stand for
    Lock(Box<lock::LockCommandArgs>),
    /// Print the version
    Version,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write manual pages into a folder
    Man {
        /// The folder
        dir: std::path::PathBuf,
    },
}

/// Runs the program with the process's own arguments.
pub fn run() -> ExitCode {
    run_with(std::env::args_os())
}

/// Runs the program with the given arguments, the program's name first.
pub fn run_with(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(split_verbosity(args)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap prints them where they belong.
            let _ = error.print();
            return if error.use_stderr() {
                Failure::Usage.code()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    interrupt::survive_file_limits();
    let progress = Progress::new(cli.style());
    let result = match cli.command {
        Command::Build(args) => build::run(*args, &progress),
        Command::Push(command) => push::run(command, &progress),
        Command::Run(command) => run::run(command, &progress),
        Command::Cache(command) => cache::run(command, &progress),
        Command::Import(command) => import::run(command, &progress),
        Command::Rm(command) => rm::run(command, &progress),
        Command::Inspect(args) => inspect::run(&args, cli.json),
        Command::Lock(args) => lock::run(&args, &progress),
        Command::Version => manual::version(),
        Command::Completions { shell } => manual::completions(shell, &mut Cli::command()),
        Command::Man { dir } => manual::man(&dir, Cli::command()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress.emit(&Event::Error {
                message: error.to_string(),
            });
            error.failure().code()
        }
    }
}

impl Cli {
    fn style(&self) -> Style {
        let to_stdout = match &self.command {
            Command::Build(args) => !args.takes_stdout(),
            Command::Cache(command) => !command.takes_stdout(),
            // The guest's console is there.
            Command::Run(_) => false,
            // The report has it.
            Command::Inspect(_) => false,
            _ => true,
        };
        let verbosity = self.verbose.unwrap_or(1);
        if self.json {
            Style::Json { to_stdout }
        } else if self.quiet || verbosity == 0 {
            Style::Quiet
        } else {
            Style::Human {
                verbose: verbosity > 1,
            }
        }
    }
}

/// LinuxKit writes `-v 2`; here `-v` alone is allowed too, so a number that follows is joined to
/// it before the arguments are parsed.
fn split_verbosity(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut out: Vec<OsString> = Vec::new();
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        if arg == "--" {
            out.push(arg);
            out.extend(args);
            break;
        }
        let level = |next: &OsString| matches!(next.to_str(), Some("0" | "1" | "2" | "3"));
        if arg == "-v" || arg == "--verbose" {
            match args.next_if(|next| level(next)) {
                Some(level) => out.push(format!("--verbose={}", level.to_string_lossy()).into()),
                None => out.push(arg),
            }
        } else {
            out.push(arg);
        }
    }
    out
}

#[cfg(test)]
mod tests;
