//! `lkbuild run qemu`: arguments become a [`Machine`], that becomes a command, and that is run.

mod command;
mod disk;
mod firmware;
mod medium;
mod network;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::{Args, ValueEnum};
use formats::boot::kernel::Architecture;

use self::command::{Attach, Guest, Machine};
use self::disk::{DiskArg, Preparation};
use self::medium::{Found, Medium};
use self::network::{Network, Publish};
use crate::cli::CliError;
use crate::progress::Progress;
use crate::shell;

const EXAMPLES: &str = "\
Examples:
  lkbuild run qemu docker-host
      docker-host-kernel, docker-host-initrd.img and docker-host-cmdline
  lkbuild run qemu --uefi --mem 4096 --disk docker.img,size=20G --publish 2222:22 docker-host.iso
      the ISO with UEFI firmware; a disk that stays; ssh -p 2222 root@localhost
  lkbuild run qemu --attach pvscsi docker-host.vmdk
      as on a virtual machine of VMware's, with a BIOS
  lkbuild run qemu --print docker-host.iso -- -device e1000e
      only the command, with more arguments for QEMU

The serial console is on the terminal: give the system console=ttyS0. Ctrl-A X ends QEMU.
LINUXKIT_QEMU_KVM is understood as --kvm is.";

/// RAM of a machine whose medium does not say that it needs more.
const DEFAULT_MIB: u64 = 1024;

/// RAM besides what a system needs to come up.
const SPARE_MIB: u64 = 512;

/// Arguments of `lkbuild run qemu`; spelled as LinuxKit spells them where LinuxKit has them.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct QemuArgs {
    /// ISO, raw disk, VMDK, qcow2, VHD, OVA or UKI; or what stands before -kernel, -initrd.img and
    /// -cmdline
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Firmware (default: a BIOS; UEFI for arm64, a UKI, an OVA that says so and names that end in
    /// -efi)
    #[arg(long, value_name = "FIRMWARE")]
    firmware: Option<FirmwareArg>,

    /// The same as --firmware uefi
    #[arg(long, conflicts_with = "firmware")]
    uefi: bool,

    /// Code of the UEFI firmware (default: OVMF or AAVMF where distributions have it)
    #[arg(long, value_name = "FILE")]
    fw: Option<PathBuf>,

    /// Memory in MiB (default: 1024, or what the system needs to boot and 512)
    #[arg(long, visible_alias = "memory", value_name = "MIB",
          value_parser = clap::value_parser!(u64).range(16..=16 << 20))]
    mem: Option<u64>,

    /// Processors
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=255))]
    cpus: u32,

    /// A disk: [file=]PATH[,size=SIZE][,format=raw|qcow2]; made where it is missing, and kept
    #[arg(long, value_name = "DISK")]
    disk: Vec<DiskArg>,

    /// Folder of what is kept between runs: UEFI variables, disks without a path (default:
    /// FILE-state, without FILE's extension)
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,

    /// How FILE is attached (default: an ISO as cd, all else as ahci)
    #[arg(long, value_name = "BUS")]
    attach: Option<Attach>,

    /// Keep in FILE what the guest writes to it
    #[arg(long)]
    persist: bool,

    /// Forward a port of this machine: [ADDRESS:]PORT:GUEST-PORT[/udp]; ADDRESS is 127.0.0.1
    #[arg(long, value_name = "PORTS")]
    publish: Vec<Publish>,

    /// Network: user, none, tap,NAME or bridge,NAME
    #[arg(long, value_name = "MODE", default_value = "user")]
    networking: Network,

    /// Network card, by QEMU's name
    #[arg(long, value_name = "CARD", default_value = "virtio-net-pci")]
    nic: String,

    /// Architecture (default: that of the kernel, where FILE is one)
    #[arg(long, value_name = "ARCH")]
    arch: Option<GuestArg>,

    /// Use KVM, or not (default: where it can be used)
    #[arg(long, value_name = "BOOL", env = "LINUXKIT_QEMU_KVM", num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    kvm: Option<bool>,

    /// Show the machine's screen in a window
    #[arg(long)]
    gui: bool,

    /// FILE is an ISO; it is looked at anyway
    #[arg(long, hide = true, conflicts_with = "kernel")]
    iso: bool,

    /// FILE is a prefix of kernel and initrd; it is looked for anyway
    #[arg(long, hide = true)]
    kernel: bool,

    /// QEMU itself (default: qemu-system-ARCH in PATH)
    #[arg(long, value_name = "PROGRAM")]
    qemu: Option<PathBuf>,

    /// Print the commands instead of running them
    #[arg(long)]
    print: bool,

    /// More arguments for QEMU
    #[arg(last = true, value_name = "ARGUMENT")]
    more: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FirmwareArg {
    Bios,
    Uefi,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum GuestArg {
    #[value(name = "amd64", alias = "x86_64")]
    Amd64,
    #[value(name = "arm64", alias = "aarch64")]
    Arm64,
}

/// A machine, and what must be done before it runs.
#[derive(Debug)]
struct Plan {
    machine: Machine,
    preparations: Vec<Preparation>,
}

impl QemuArgs {
    fn plan(&self) -> Result<Plan, CliError> {
        let found = Medium::find(&self.file)?;
        self.check(&found.medium)?;
        let guest = match (self.arch, found.architecture) {
            (Some(GuestArg::Amd64), _) => Guest::Amd64,
            (Some(GuestArg::Arm64), _) | (None, Some(Architecture::Arm64)) => Guest::Arm64,
            (None, _) => Guest::Amd64,
        };
        let state = match &self.state {
            Some(state) => state.clone(),
            None => found.state_folder(),
        };
        let mut preparations = Vec::new();
        let firmware = match self.wants_uefi(guest, &found) {
            true => {
                let firmware = firmware::find(guest, self.fw.as_deref())?;
                let vars = firmware.vars.map(|template| {
                    let own = state.join("efivars.fd");
                    preparations.push(Preparation::Copy {
                        from: template,
                        to: own.clone(),
                    });
                    own
                });
                Some((firmware.code, vars))
            }
            false if self.fw.is_some() => {
                return usage("--fw is for UEFI: say --uefi as well");
            }
            false => None,
        };
        let mut disks = Vec::new();
        for (number, disk) in self.disk.iter().enumerate() {
            let (disk, preparation) = disk.resolve(&state, number)?;
            disks.push(disk);
            preparations.extend(preparation);
        }
        preparations.retain(|preparation| !preparation.is_done());
        let memory_mib = self.mem.unwrap_or_else(|| {
            let needed = found.ram_bytes();
            let needed = needed.map_or(0, |bytes| bytes.div_ceil(1 << 20) + SPARE_MIB);
            DEFAULT_MIB.max(needed)
        });
        let default = match found.medium {
            Medium::Cd(_) | Medium::Disk { .. } => Attach::of(&found.medium),
            _ => Attach::Ahci,
        };
        let machine = Machine {
            program: self.program(guest)?,
            guest,
            kvm: self.kvm,
            firmware,
            memory_mib,
            cpus: self.cpus,
            medium: found.medium,
            attach: self.attach.unwrap_or(default),
            persist: self.persist,
            disks,
            network: self.networking.clone(),
            publish: self.publish.clone(),
            nic: self.nic.clone(),
            gui: self.gui,
            more: self.more.clone(),
        };
        Ok(Plan {
            machine,
            preparations,
        })
    }

    fn check(&self, medium: &Medium) -> Result<(), CliError> {
        if self.iso && !matches!(medium, Medium::Cd(_)) {
            return usage(&format!("--iso: {} is no ISO", self.file.display()));
        }
        if !self.publish.is_empty() && self.networking != Network::User {
            return usage("--publish forwards ports of --networking user only");
        }
        let is_drive = matches!(medium, Medium::Cd(_) | Medium::Disk { .. });
        if !is_drive && (self.attach.is_some() || self.persist) {
            return usage("--attach and --persist are for ISOs and disks");
        }
        if self.persist && matches!(medium, Medium::Disk { part: Some(_), .. }) {
            return usage(
                "--persist: an appliance is not written to; unpack it, and name its disk",
            );
        }
        Ok(())
    }

    fn wants_uefi(&self, guest: Guest, found: &Found) -> bool {
        if self.uefi || self.firmware.is_some() {
            return self.uefi || self.firmware == Some(FirmwareArg::Uefi);
        }
        match &found.medium {
            // QEMU starts an arm64 kernel itself.
            Medium::Kernel { .. } => false,
            Medium::Uki(_) => true,
            Medium::Cd(file) | Medium::Disk { file, .. } => {
                let stem = file.file_stem().unwrap_or_default();
                guest == Guest::Arm64 || found.is_efi || stem.to_string_lossy().ends_with("-efi")
            }
        }
    }

    /// QEMU, by its path. What is only printed need not be there.
    fn program(&self, guest: Guest) -> Result<PathBuf, CliError> {
        let name = guest.program();
        let (program, is_path) = match &self.qemu {
            Some(program) => (program.clone(), program.components().count() > 1),
            None => (PathBuf::from(name), false),
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let exists = match is_path {
            true => program.is_file(),
            false => std::env::split_paths(&path).any(|dir| dir.join(&program).is_file()),
        };
        if exists || self.print {
            return Ok(program);
        }
        Err(CliError::Setup(format!(
            "{} is not installed: install QEMU (Debian: apt-get install {}), or name it with --qemu",
            program.display(),
            guest.package(),
        )))
    }
}

fn usage<T>(message: &str) -> Result<T, CliError> {
    Err(CliError::Usage(message.to_owned()))
}

pub(super) fn run(args: &QemuArgs, progress: &Progress) -> Result<(), CliError> {
    let plan = args.plan()?;
    let command = plan.machine.command()?;
    if args.print {
        use std::io::Write;
        let mut text = String::new();
        for preparation in &plan.preparations {
            text += &preparation.shown();
            text.push('\n');
        }
        text += &shell::in_lines(&command);
        text.push('\n');
        let printed = std::io::stdout().write_all(text.as_bytes());
        return printed.map_err(|error| CliError::Setup(format!("can't print: {error}")));
    }
    for preparation in &plan.preparations {
        preparation.run()?;
    }
    if !args.gui {
        progress.info("Ctrl-A X ends QEMU");
    }
    let [program, arguments @ ..] = &command[..] else {
        return usage("no command");
    };
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::inherit())
        .status()
        .map_err(|error| CliError::Setup(format!("can't run {program}: {error}")))?;
    match status.success() {
        true => Ok(()),
        false => Err(CliError::Setup(format!(
            "QEMU failed ({status}){}",
            match plan.machine.may_use_kvm() {
                true => "; if it is KVM that fails, --kvm=false does without it",
                false => "",
            }
        ))),
    }
}

#[cfg(test)]
mod tests;
