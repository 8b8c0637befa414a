//! Disks: one with loaders for BIOS and UEFI, in the format that somebody wants.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use formats::boot::BootError;
use formats::disk::{self, DiskError, DiskOptions, ESP_START_BYTES};
use formats::gcp::write_gcp;
use formats::medium::{BootVolume, MediumError};
use formats::ova::{self, Controller, Firmware, Machine, OvaError, stream_ova, write_ova};
use formats::payload::{Extents, Payload, PayloadReader};
use formats::qcow2::write_qcow2;
use formats::raw::write_raw;
use formats::vhd::{write_dynamic, write_fixed};
use formats::vmdk::{
    self, DiskId, ImageError, write_flat, write_monolithic_sparse, write_stream_optimized,
};

use crate::atomic::PendingFile;
use crate::tree::SYNTHETIC_MTIME;

/// Formats of a disk. LinuxKit's names for one firmware give the same disk, which boots on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiskFormat {
    /// Raw: `NAME.img`.
    Raw,
    /// Raw: `NAME-bios.img`.
    RawBios,
    /// Raw: `NAME-efi.img`.
    RawEfi,
    /// Raw, as AWS imports it: `NAME.raw`.
    Aws,
    /// Raw in a gzipped tar, as Google Compute Engine imports it: `NAME.img.tar.gz`.
    Gcp,
    /// VMDK, streamOptimized: `NAME.vmdk`.
    Vmdk,
    /// VMDK, monolithicSparse: `NAME-sparse.vmdk`.
    VmdkSparse,
    /// VMDK for a datastore: a description, `NAME.vmdk`, and the raw disk, `NAME-flat.vmdk`.
    VmdkFlat,
    /// A virtual appliance: `NAME.ova`.
    Ova,
    /// qcow2: `NAME.qcow2`.
    Qcow2,
    /// qcow2: `NAME.qcow2`.
    Qcow2Bios,
    /// qcow2: `NAME-efi.qcow2`.
    Qcow2Efi,
    /// VHD, fixed: `NAME.vhd`.
    Vhd,
    /// VHD, dynamic: `NAME.vhd`.
    DynamicVhd,
}

impl DiskFormat {
    /// All of them.
    pub const ALL: [DiskFormat; 14] = [
        DiskFormat::Raw,
        DiskFormat::RawBios,
        DiskFormat::RawEfi,
        DiskFormat::Aws,
        DiskFormat::Gcp,
        DiskFormat::Vmdk,
        DiskFormat::VmdkSparse,
        DiskFormat::VmdkFlat,
        DiskFormat::Ova,
        DiskFormat::Qcow2,
        DiskFormat::Qcow2Bios,
        DiskFormat::Qcow2Efi,
        DiskFormat::Vhd,
        DiskFormat::DynamicVhd,
    ];

    /// The name as `-f` takes it.
    pub fn name(self) -> &'static str {
        match self {
            DiskFormat::Raw => "raw",
            DiskFormat::RawBios => "raw-bios",
            DiskFormat::RawEfi => "raw-efi",
            DiskFormat::Aws => "aws",
            DiskFormat::Gcp => "gcp",
            DiskFormat::Vmdk => "vmdk",
            DiskFormat::VmdkSparse => "vmdk-sparse",
            DiskFormat::VmdkFlat => "vmdk-flat",
            DiskFormat::Ova => "ova",
            DiskFormat::Qcow2 => "qcow2",
            DiskFormat::Qcow2Bios => "qcow2-bios",
            DiskFormat::Qcow2Efi => "qcow2-efi",
            DiskFormat::Vhd => "vhd",
            DiskFormat::DynamicVhd => "dynamic-vhd",
        }
    }

    /// What follows the build's name in the names of its files.
    pub(super) fn endings(self) -> &'static [&'static str] {
        match self {
            DiskFormat::Raw => &[".img"],
            DiskFormat::RawBios => &["-bios.img"],
            DiskFormat::RawEfi => &["-efi.img"],
            DiskFormat::Aws => &[".raw"],
            DiskFormat::Gcp => &[".img.tar.gz"],
            DiskFormat::Vmdk => &[".vmdk"],
            DiskFormat::VmdkSparse => &["-sparse.vmdk"],
            DiskFormat::VmdkFlat => &[".vmdk", "-flat.vmdk"],
            DiskFormat::Ova => &[".ova"],
            DiskFormat::Qcow2 | DiskFormat::Qcow2Bios => &[".qcow2"],
            DiskFormat::Qcow2Efi => &["-efi.qcow2"],
            DiskFormat::Vhd | DiskFormat::DynamicVhd => &[".vhd"],
        }
    }

    /// The firmware that it must boot on; of most, one kind will do.
    fn firmware(self, settings: &DiskSettings) -> Option<Firmware> {
        match self {
            DiskFormat::RawBios | DiskFormat::Qcow2Bios => Some(Firmware::Bios),
            DiskFormat::RawEfi | DiskFormat::Qcow2Efi => Some(Firmware::Efi),
            DiskFormat::Ova => Some(settings.machine.firmware),
            _ => None,
        }
    }

    /// Whether it can be written without going back in the file.
    pub(super) fn streams(self) -> bool {
        matches!(
            self,
            DiskFormat::Raw
                | DiskFormat::RawBios
                | DiskFormat::RawEfi
                | DiskFormat::Aws
                | DiskFormat::Gcp
                | DiskFormat::Vmdk
                | DiskFormat::Ova
        )
    }
}

/// What is asked of disks besides their format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSettings {
    /// Disks are at least so long.
    pub least_bytes: u64,
    /// Length of an empty partition for data; 0 for none.
    pub data_bytes: u64,
    /// The machine of an appliance.
    pub machine: MachineSettings,
}

impl Default for DiskSettings {
    fn default() -> Self {
        Self {
            least_bytes: 1 << 30,
            data_bytes: 0,
            machine: MachineSettings::default(),
        }
    }
}

/// The machine that an appliance describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineSettings {
    /// VMware's hardware version.
    pub hardware_version: u32,
    /// VMware's id of the guest system.
    pub guest_id: String,
    /// What starts it.
    pub firmware: Firmware,
    /// What its disks hang on.
    pub controller: Controller,
    /// Processors.
    pub cpus: u32,
    /// Memory; by default what the system needs, and room for what runs in it.
    pub memory_bytes: Option<u64>,
    /// The network it is on.
    pub network: String,
    /// An empty CD drive.
    pub cd_drive: bool,
    /// Length of a second, empty disk; 0 for none.
    pub disk_bytes: u64,
}

impl Default for MachineSettings {
    fn default() -> Self {
        let machine = Machine::new("", 0);
        Self {
            hardware_version: machine.hardware_version,
            guest_id: machine.guest_id,
            firmware: machine.firmware,
            controller: machine.controller,
            cpus: machine.cpus,
            memory_bytes: None,
            network: machine.network.unwrap_or_default(),
            cd_drive: machine.cd_drive,
            disk_bytes: machine.data_bytes,
        }
    }
}

impl MachineSettings {
    fn machine(&self, name: &str, ram_bytes: u64) -> Machine {
        const ROOM_BYTES: u64 = 512 << 20;
        const UNIT_BYTES: u64 = 256 << 20;
        const LEAST_BYTES: u64 = 1 << 30;
        let usual = (ram_bytes + ROOM_BYTES).next_multiple_of(UNIT_BYTES);
        Machine {
            name: name.to_owned(),
            hardware_version: self.hardware_version,
            guest_id: self.guest_id.clone(),
            firmware: self.firmware,
            controller: self.controller,
            cpus: self.cpus,
            memory_bytes: self.memory_bytes.unwrap_or(usual.max(LEAST_BYTES)),
            network: Some(self.network.clone()),
            cd_drive: self.cd_drive,
            data_bytes: self.disk_bytes,
        }
    }
}

/// Why there is no disk.
#[derive(Debug, thiserror::Error)]
pub enum MakeDiskError {
    /// The volume to boot from.
    #[error(transparent)]
    Medium(#[from] MediumError),
    /// The disk around it.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A format for a firmware that can't start the kernel.
    #[error("the format {} is to boot on {firmware}, and can't: {why}", .format.name())]
    Firmware {
        /// The format.
        format: DiskFormat,
        /// The firmware.
        firmware: &'static str,
        /// Why not.
        why: BootError,
    },
    /// The file in its format.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The appliance.
    #[error(transparent)]
    Ova(#[from] OvaError),
}

/// A disk that boots, to be written in any format.
pub(super) struct BootDisk {
    content: Arc<Extents>,
    id: [u8; 16],
    ram_bytes: u64,
    /// The firmware that can't start it, and why.
    missing: Option<(Firmware, BootError)>,
}

impl BootDisk {
    /// Makes a disk around a volume that was laid out for [`ESP_START_BYTES`].
    /// `missing` says why one kind of firmware can't start it, if so.
    pub(super) fn new(
        volume: BootVolume,
        missing: Option<BootError>,
        settings: &DiskSettings,
    ) -> Result<Self, MakeDiskError> {
        debug_assert_eq!(volume.start_bytes, ESP_START_BYTES);
        let without = match volume.bios.is_some() {
            true => Firmware::Efi,
            false => Firmware::Bios,
        };
        let options = DiskOptions {
            id: volume.id,
            bios: volume.bios,
            data_bytes: settings.data_bytes,
            least_bytes: settings.least_bytes,
        };
        Ok(Self {
            content: disk::build(volume.content, &options)?.content.into(),
            id: volume.id,
            ram_bytes: volume.boot.ram_bytes,
            missing: missing.map(|why| (without, why)),
        })
    }

    /// Checks that it boots where a format must; gives a warning if it does not boot everywhere.
    pub(super) fn check(
        &self,
        format: DiskFormat,
        settings: &DiskSettings,
    ) -> Result<Option<String>, MakeDiskError> {
        let Some((without, why)) = &self.missing else {
            return Ok(None);
        };
        let (name, other) = match without {
            Firmware::Bios => ("a BIOS", "UEFI"),
            Firmware::Efi => ("UEFI", "a BIOS"),
        };
        match format.firmware(settings) {
            Some(firmware) if firmware == *without => Err(MakeDiskError::Firmware {
                format,
                firmware: name,
                why: why.clone(),
            }),
            Some(_) => Ok(None),
            None => Ok(Some(format!("the disk boots on {other} only: {why}"))),
        }
    }

    /// Writes the disk to a file, of a flat pair the raw disk; `name` is what an appliance is
    /// called.
    pub(super) fn write(
        &self,
        format: DiskFormat,
        name: &str,
        settings: &DiskSettings,
        out: &mut PendingFile,
    ) -> Result<(), MakeDiskError> {
        let content = &self.content;
        match format {
            DiskFormat::Raw
            | DiskFormat::RawBios
            | DiskFormat::RawEfi
            | DiskFormat::Aws
            | DiskFormat::VmdkFlat => write_raw(out, content)?,
            DiskFormat::VmdkSparse => {
                let options = self.vmdk_options(out.path());
                write_monolithic_sparse(out, content, &options)?;
            }
            DiskFormat::Ova => {
                write_ova(out, content, &self.ova_options(name, settings))?;
            }
            DiskFormat::Qcow2 | DiskFormat::Qcow2Bios | DiskFormat::Qcow2Efi => {
                write_qcow2(out, content)?;
            }
            DiskFormat::Vhd => drop(write_fixed(out, content, self.id)?),
            DiskFormat::DynamicVhd => drop(write_dynamic(out, content, self.id)?),
            DiskFormat::Vmdk => {
                let options = self.vmdk_options(out.path());
                write_stream_optimized(out, content, &options)?;
            }
            DiskFormat::Gcp => write_gcp(out, content.clone(), mtime())?,
        }
        Ok(())
    }

    /// Writes the description of the raw disk that lies beside it.
    pub(super) fn describe(&self, raw: &Path, out: &mut PendingFile) -> Result<(), MakeDiskError> {
        Ok(write_flat(
            out,
            self.content.len_bytes(),
            &self.vmdk_options(raw),
        )?)
    }

    /// Writes a format that [`streams`](DiskFormat::streams) to something that can't go back.
    pub(super) fn stream(
        &self,
        format: DiskFormat,
        name: &str,
        settings: &DiskSettings,
        out: &mut (dyn Write + Send),
    ) -> Result<(), MakeDiskError> {
        let content = &self.content;
        match format {
            DiskFormat::Vmdk => {
                let path = format!("{name}{}", format.endings()[0]);
                let options = self.vmdk_options(Path::new(&path));
                write_stream_optimized(out, content, &options)?;
            }
            DiskFormat::Gcp => write_gcp(out, content.clone(), mtime())?,
            DiskFormat::Ova => {
                stream_ova(out, content, &self.ova_options(name, settings))?;
            }
            _ => {
                let copied = io::copy(&mut PayloadReader::new(&**content), out);
                copied.map_err(ImageError::Write)?;
            }
        }
        Ok(())
    }

    fn vmdk_options(&self, path: &Path) -> vmdk::Options {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // It stands between quotes, in a line.
        let kept = |c: char| if c == '"' || c.is_control() { '_' } else { c };
        vmdk::Options::new(DiskId(self.id), name.chars().map(kept).collect::<String>())
    }

    fn ova_options(&self, name: &str, settings: &DiskSettings) -> ova::Options {
        ova::Options {
            machine: settings.machine.machine(name, self.ram_bytes),
            disk_id: DiskId(self.id),
            mtime: SYNTHETIC_MTIME,
        }
    }
}

fn mtime() -> u64 {
    u64::try_from(SYNTHETIC_MTIME).unwrap_or(0)
}
