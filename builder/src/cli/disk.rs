//! Arguments of `lkbuild build` about disks and appliances.

use clap::{Args, ValueEnum};
use formats::ova;

use crate::output::{DiskSettings, MachineSettings};

/// Disks, and the machine of an appliance.
#[derive(Debug, Args)]
#[command(next_help_heading = "Disks")]
pub(super) struct DiskArgs {
    /// Disks are at least so long: 500M, 2G, or a number of MiB
    #[arg(long, value_name = "SIZE", default_value = "1024M", value_parser = size)]
    size: u64,

    /// Make an empty partition of this size for data, after the one that is booted from
    #[arg(long, value_name = "SIZE", value_parser = size)]
    data_size: Option<u64>,

    /// OVA: firmware of the machine (the disk boots on both)
    #[arg(long, value_name = "FIRMWARE", default_value = "bios")]
    ova_firmware: FirmwareArg,

    /// OVA: hardware version, as in vmx-13, which is ESXi 6.5
    #[arg(long, value_name = "N", default_value_t = MachineSettings::default().hardware_version,
          value_parser = clap::value_parser!(u32).range(7..=99))]
    ova_hardware_version: u32,

    /// OVA: VMware's id of the guest system
    #[arg(long, value_name = "ID", default_value_t = MachineSettings::default().guest_id)]
    ova_guest_id: String,

    /// OVA: controller of the disks
    #[arg(long, value_name = "CONTROLLER", default_value = "pvscsi")]
    ova_controller: ControllerArg,

    /// OVA: processors
    #[arg(long, value_name = "N", default_value_t = MachineSettings::default().cpus,
          value_parser = clap::value_parser!(u32).range(1..=768))]
    ova_cpus: u32,

    /// OVA: memory (default: what the system needs to boot and 512 MiB, at least 1 GiB)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    ova_memory: Option<u64>,

    /// OVA: network of the machine's adapter, to be mapped when it is imported
    #[arg(long, value_name = "NETWORK", default_value_t = MachineSettings::default().network)]
    ova_network: String,

    /// OVA: give the machine an empty CD drive
    #[arg(long)]
    ova_cd: bool,

    /// OVA: give the machine a second, empty disk
    #[arg(long, value_name = "SIZE", value_parser = size)]
    ova_disk: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FirmwareArg {
    Bios,
    Efi,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ControllerArg {
    Pvscsi,
    Lsilogic,
}

impl From<&DiskArgs> for DiskSettings {
    fn from(args: &DiskArgs) -> Self {
        DiskSettings {
            least_bytes: args.size,
            data_bytes: args.data_size.unwrap_or(0),
            machine: MachineSettings {
                hardware_version: args.ova_hardware_version,
                guest_id: args.ova_guest_id.clone(),
                firmware: match args.ova_firmware {
                    FirmwareArg::Bios => ova::Firmware::Bios,
                    FirmwareArg::Efi => ova::Firmware::Efi,
                },
                controller: match args.ova_controller {
                    ControllerArg::Pvscsi => ova::Controller::Pvscsi,
                    ControllerArg::Lsilogic => ova::Controller::LsiLogic,
                },
                cpus: args.ova_cpus,
                memory_bytes: args.ova_memory,
                network: args.ova_network.clone(),
                cd_drive: args.ova_cd,
                disk_bytes: args.ova_disk.unwrap_or(0),
            },
        }
    }
}

/// LinuxKit's sizes: `1024M`, `2G`, or a number of MiB; `T` besides. The result is in bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    /// More than any format holds.
    const MAX_BYTES: u64 = 62 << 40;
    let (number, shift) = match text.char_indices().next_back() {
        Some((at, 'M')) => (&text[..at], 20),
        Some((at, 'G')) => (&text[..at], 30),
        Some((at, 'T')) => (&text[..at], 40),
        _ => (text, 20),
    };
    // Without a sign, which parse would take.
    let number = Some(number).filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let number: Option<u64> = number.and_then(|number| number.parse().ok());
    let number = number.ok_or("not a size: write 500M, 2G, 1T, or a number of MiB")?;
    number
        .checked_mul(1 << shift)
        .filter(|&bytes| bytes <= MAX_BYTES)
        .ok_or_else(|| "more than the 62 TiB that a disk can have".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_linuxkit_s() {
        for (text, bytes) in [
            ("1024M", 1 << 30),
            ("1024", 1 << 30),
            ("2G", 2 << 30),
            ("1T", 1 << 40),
            ("0", 0),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "M",
            "-1",
            "+1",
            "1.5G",
            "1 G",
            "1GB",
            "63T",
            "99999999999999999999",
            "ü",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
