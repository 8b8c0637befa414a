//! QEMU's command line.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::disk::Disk;
use super::medium::Medium;
use super::network::{Network, Publish};
use crate::cli::CliError;

/// What a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guest {
    Amd64,
    Arm64,
}

impl Guest {
    pub(super) fn program(self) -> &'static str {
        match self {
            Guest::Amd64 => "qemu-system-x86_64",
            Guest::Arm64 => "qemu-system-aarch64",
        }
    }

    /// Debian's package of it.
    pub(super) fn package(self) -> &'static str {
        match self {
            Guest::Amd64 => "qemu-system-x86",
            Guest::Arm64 => "qemu-system-arm",
        }
    }

    fn is_host(self) -> bool {
        match self {
            Guest::Amd64 => cfg!(target_arch = "x86_64"),
            Guest::Arm64 => cfg!(target_arch = "aarch64"),
        }
    }
}

/// How a drive is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Attach {
    /// A CD
    Cd,
    /// A SATA disk (arm64: virtio)
    Ahci,
    /// A USB stick
    Usb,
    /// A virtio disk
    Virtio,
    /// A disk of VMware's paravirtual SCSI
    Pvscsi,
    /// A disk of LSI Logic SAS
    Lsi,
}

impl Attach {
    pub(super) fn of(medium: &Medium) -> Self {
        match medium {
            Medium::Cd(_) => Attach::Cd,
            _ => Attach::Ahci,
        }
    }
}

/// A machine, checked.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) program: PathBuf,
    pub(super) guest: Guest,
    /// `None`: where it can be used.
    pub(super) kvm: Option<bool>,
    /// UEFI: code and variables.
    pub(super) firmware: Option<(PathBuf, Option<PathBuf>)>,
    pub(super) memory_mib: u64,
    pub(super) cpus: u32,
    pub(super) medium: Medium,
    pub(super) attach: Attach,
    pub(super) persist: bool,
    pub(super) disks: Vec<Disk>,
    pub(super) network: Network,
    pub(super) publish: Vec<Publish>,
    pub(super) nic: String,
    pub(super) gui: bool,
    pub(super) more: Vec<String>,
}

/// A path as a value of an option of QEMU's, in which commas are doubled.
fn value(path: &Path) -> Result<String, CliError> {
    Ok(text(path)?.replace(',', ",,"))
}

/// A path as an argument of its own.
fn text(path: &Path) -> Result<&str, CliError> {
    let not_text = || CliError::Usage(format!("{}: the name is not UTF-8", path.display()));
    path.to_str().ok_or_else(not_text)
}

impl Machine {
    /// The command, program first.
    pub(super) fn command(&self) -> Result<Vec<String>, CliError> {
        let mut out = vec![text(&self.program)?.to_owned()];
        let mut add = |option: &str, value: String| out.extend([option.to_owned(), value]);
        let kind = match self.guest {
            Guest::Amd64 => "q35",
            Guest::Arm64 => "virt",
        };
        add("-machine", format!("{kind},accel={}", self.accelerator()));
        add("-cpu", "max".to_owned());
        add("-smp", self.cpus.to_string());
        add("-m", self.memory_mib.to_string());
        out.push("-nodefaults".to_owned());
        self.console(&mut out);
        if let Some((code, vars)) = &self.firmware {
            let code = value(code)?;
            out.push("-drive".to_owned());
            out.push(format!("if=pflash,format=raw,readonly=on,file={code}"));
            if let Some(vars) = vars {
                out.push("-drive".to_owned());
                out.push(format!("if=pflash,format=raw,file={}", value(vars)?));
            }
        }
        self.medium(&mut out)?;
        for (number, disk) in self.disks.iter().enumerate() {
            // After the medium.
            let number = number + 1;
            let file = value(&disk.file)?;
            let format = disk.format.name();
            let options = format!("format={format},discard=unmap,file={file}");
            self.drive(&mut out, number, &options, Attach::Ahci);
        }
        self.network(&mut out)?;
        out.extend(["-device", "virtio-rng-pci"].map(str::to_owned));
        out.extend(self.more.iter().cloned());
        Ok(out)
    }

    /// Whether it runs with KVM, which may be there and broken, as inside of virtual machines.
    pub(super) fn may_use_kvm(&self) -> bool {
        self.accelerator().starts_with("kvm")
    }

    fn accelerator(&self) -> &'static str {
        match self.kvm {
            Some(true) => "kvm",
            Some(false) => "tcg",
            None if !self.guest.is_host() => "tcg",
            None if cfg!(target_os = "macos") => "hvf:tcg",
            // QEMU takes the second where the first does not work.
            None if kvm_can_be_opened() => "kvm:tcg",
            None => "tcg",
        }
    }

    fn console(&self, out: &mut Vec<String>) {
        let options: &[&str] = match (self.gui, self.guest) {
            (true, Guest::Amd64) => &["-vga", "std", "-serial", "mon:stdio"],
            (true, Guest::Arm64) => &["-device", "virtio-gpu-pci", "-serial", "mon:stdio"],
            (false, Guest::Amd64) => &["-vga", "std", "-display", "none", "-serial", "mon:stdio"],
            (false, Guest::Arm64) => &["-display", "none", "-serial", "mon:stdio"],
        };
        out.extend(options.iter().map(|&option| option.to_owned()));
    }

    fn medium(&self, out: &mut Vec<String>) -> Result<(), CliError> {
        match &self.medium {
            Medium::Kernel {
                kernel,
                initrd,
                cmdline,
            } => {
                let (kernel, initrd) = (text(kernel)?, text(initrd)?);
                let options = ["-kernel", kernel, "-initrd", initrd, "-append", cmdline];
                out.extend(options.map(str::to_owned));
            }
            Medium::Uki(file) => {
                out.extend(["-kernel".to_owned(), text(file)?.to_owned()]);
            }
            Medium::Cd(file) => {
                let kind = match self.attach {
                    Attach::Cd => "media=cdrom,readonly=on",
                    _ => self.writes(),
                };
                let options = format!("{kind},format=raw,file={}", value(file)?);
                self.drive(out, 0, &options, self.attach);
            }
            Medium::Disk { file, format, part } => {
                let (writes, format, file) = (self.writes(), format.name(), value(file)?);
                let options = match part {
                    None => format!("{writes},format={format},file={file}"),
                    Some(part) => format!(
                        "{writes},format={format},file.driver=raw,file.offset={},file.size={},\
                         file.file.driver=file,file.file.filename={file}",
                        part.start,
                        part.end.saturating_sub(part.start)
                    ),
                };
                self.drive(out, 0, &options, self.attach);
            }
        }
        if !matches!(self.medium, Medium::Kernel { .. } | Medium::Uki(_)) {
            // From nothing but the medium and the disks.
            out.extend(["-boot", "strict=on"].map(str::to_owned));
        }
        Ok(())
    }

    /// What becomes of writes to the medium.
    fn writes(&self) -> &'static str {
        match self.persist {
            true => "discard=unmap",
            false => "snapshot=on",
        }
    }

    fn drive(&self, out: &mut Vec<String>, number: usize, options: &str, attach: Attach) {
        let mut add = |option: &str, value: String| out.extend([option.to_owned(), value]);
        add("-drive", format!("if=none,id=drive{number},{options}"));
        let mut controller = |name: &str, id: &str| {
            add("-device", format!("{name},id={id}{number}"));
        };
        let device = match (attach, self.guest) {
            (Attach::Cd, Guest::Amd64) => format!("ide-cd,bus=ide.{number}"),
            (Attach::Ahci, Guest::Amd64) => format!("ide-hd,bus=ide.{number}"),
            (Attach::Cd, Guest::Arm64) => {
                controller("virtio-scsi-pci", "scsi");
                format!("scsi-cd,bus=scsi{number}.0")
            }
            (Attach::Ahci, Guest::Arm64) | (Attach::Virtio, _) => "virtio-blk-pci".to_owned(),
            (Attach::Usb, _) => {
                controller("qemu-xhci", "usb");
                format!("usb-storage,bus=usb{number}.0")
            }
            (Attach::Pvscsi, _) => {
                controller("pvscsi", "scsi");
                format!("scsi-hd,bus=scsi{number}.0")
            }
            (Attach::Lsi, _) => {
                controller("mptsas1068", "scsi");
                format!("scsi-hd,bus=scsi{number}.0")
            }
        };
        add(
            "-device",
            format!("{device},drive=drive{number},bootindex={number}"),
        );
    }

    fn network(&self, out: &mut Vec<String>) -> Result<(), CliError> {
        let netdev = match &self.network {
            Network::None => {
                out.extend(["-nic", "none"].map(str::to_owned));
                return Ok(());
            }
            Network::User => {
                let forwards = self.publish.iter().map(Publish::forward);
                let all: Vec<_> = [String::from("user,id=net0")]
                    .into_iter()
                    .chain(forwards)
                    .collect();
                all.join(",")
            }
            Network::Tap(name) => format!("tap,id=net0,ifname={name},script=no,downscript=no"),
            Network::Bridge(name) => format!("bridge,id=net0,br={name}"),
        };
        if self.nic.contains(',') || self.nic.is_empty() {
            let message = format!("--nic: {:?} is no name of a network card", self.nic);
            return Err(CliError::Usage(message));
        }
        let device = format!("{},netdev=net0", self.nic);
        out.extend(["-netdev".to_owned(), netdev, "-device".to_owned(), device]);
        Ok(())
    }
}

/// Inside a virtual machine it is often there, but not for everybody.
fn kvm_can_be_opened() -> bool {
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm");
    file.is_ok()
}
