//! `lkbuild inspect`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::CliError;
use crate::inspect::{Options, inspect};
use crate::progress::printable_json;

const HELP: &str = "\
Says what a kernel, initrd, ISO, disk (raw, VMDK, qcow2, VHD, OVA, gcp), tar, squashfs or UEFI program is and \
what is in it: boot entries, partitions, files, kernel version, command line, what the initrd is made of, the RAM \
it needs. What the loaders on it expect is compared with what is there.

What an initrd is made of is told by image and size where an ISO, disk or UEFI program carries the list that \
lkbuild puts there (boot/images.json; in a UEFI program the section .images) or a tar says who brought each file, \
and by container everywhere, with the image where the YAML is in the system (etc/linuxkit-config).";

const EXAMPLES: &str = "\
Examples:
  lkbuild inspect host.iso
  lkbuild inspect --json host.vmdk | jq '.kernel.version, .loaders[].verified'
      one JSON object; its keys stay as they are
  lkbuild inspect --json host.iso | jq -r '.initrd.images[] | [.image, .digest, .unpacked_bytes] | @tsv'
      what it was made of
  lkbuild inspect --security host-initrd.img
      setuid and setgid files and devices as well

Exit codes: 0 nothing is wrong with it; 1 it can't be read or is of no known kind; 16 it is damaged: the
report ends with the problems.";

/// Arguments of `lkbuild inspect`.
#[derive(Debug, Args)]
#[command(long_about = HELP, after_help = EXAMPLES)]
pub(super) struct InspectArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// List all files, however many there are
    #[arg(long)]
    files: bool,

    /// List setuid and setgid files, device nodes and files with capabilities
    #[arg(long)]
    security: bool,
}

pub(super) fn run(args: &InspectArgs, json: bool) -> Result<(), CliError> {
    let options = Options {
        files: args.files,
        security: args.security,
    };
    let report = inspect(&args.file, options)?;
    let text = match json {
        true => {
            let json = serde_json::to_string(&report);
            printable_json(&json.map_err(|e| CliError::Setup(e.to_string()))?) + "\n"
        }
        false => report.to_string(),
    };
    let written = io::stdout().write_all(text.as_bytes());
    written.map_err(|source| CliError::File {
        path: "standard output".into(),
        source,
    })?;
    match report.problems.len() {
        0 => Ok(()),
        1 if report.unread => Err(CliError::File {
            path: args.file.clone(),
            source: io::Error::other(
                "a disk of a kind that inspect does not read; see the problem",
            ),
        }),
        problems => Err(CliError::Damaged {
            path: args.file.clone(),
            problems,
        }),
    }
}
