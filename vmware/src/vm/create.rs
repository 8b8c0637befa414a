//! Making machines.

use super::device::{self, Slot};
use super::{MADE_BY, Machine};
use crate::datastore::DatastorePath;
use crate::error::{Error, Kind, Result};
use crate::inventory::{Datastore, Network, Placement};
use crate::session::{Call, Session};
use crate::soap::{Node, Xml};

/// VMware takes no longer names.
const MAX_NAME_BYTES: usize = 80;

/// What starts a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// A BIOS.
    Bios,
    /// UEFI, without Secure Boot.
    Efi,
}

impl Firmware {
    /// As VMware calls it.
    pub fn name(self) -> &'static str {
        match self {
            Firmware::Bios => "bios",
            Firmware::Efi => "efi",
        }
    }
}

/// A disk that persists when the system is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disk {
    /// A new, empty one in the machine's folder.
    New {
        /// Its length in MiB.
        size_mib: u64,
        /// Whether it takes room only as it fills.
        thin: bool,
    },
    /// One that is there.
    Existing(DatastorePath),
}

/// A machine to be made.
#[derive(Clone, Debug)]
pub struct MachineSpec<'a> {
    /// Its name.
    pub name: &'a str,
    /// Processors; `None` leaves a template's.
    pub cpus: Option<u32>,
    /// Memory in MiB, a multiple of 4; `None` leaves a template's.
    pub memory_mib: Option<u64>,
    /// What starts it; `None` leaves a template's.
    pub firmware: Option<Firmware>,
    /// VMware's id of the guest's system, such as `other3xLinux64Guest`.
    pub guest_id: &'a str,
    /// The ISO in its CD drive, and the datastore that it is on.
    pub iso: Option<(&'a DatastorePath, &'a Datastore)>,
    /// Its persistent disk.
    pub disk: Option<Disk>,
    /// The network that it is on; `None` leaves a template's, and else means none.
    pub network: Option<&'a Network>,
    /// Version of the maker, kept in the machine.
    pub made_by: &'a str,
}

impl MachineSpec<'_> {
    fn check(&self) -> Result<()> {
        let wrong = |why: String| Err(Error::new(Kind::Input, format!("{:?}: {why}", self.name)));
        if self.name.is_empty() || self.name.len() > MAX_NAME_BYTES {
            return wrong(format!("a VM's name has 1 to {MAX_NAME_BYTES} bytes"));
        }
        if self.name.chars().any(char::is_control) {
            return wrong("a VM's name has no control characters".into());
        }
        if self.memory_mib.is_some_and(|mib| mib < 4 || mib % 4 != 0) {
            return wrong("memory is a multiple of 4 MiB".into());
        }
        if self.cpus == Some(0) {
            return wrong("a VM has at least one processor".into());
        }
        if matches!(self.disk, Some(Disk::New { size_mib: 0, .. })) {
            return wrong("a disk has at least 1 MiB".into());
        }
        Ok(())
    }

    /// The settings before the devices, in the schema's order.
    fn write_head(&self, xml: &mut Xml) {
        if let Some(cpus) = self.cpus {
            xml.value("numCPUs", cpus);
        }
        if let Some(mib) = self.memory_mib {
            xml.value("memoryMB", mib);
        }
    }

    /// The settings after the devices.
    fn write_tail(&self, xml: &mut Xml, boot_from_cd: bool) {
        let mut setting = |key: &str, value: &str| {
            xml.typed("extraConfig", "OptionValue", |xml| {
                xml.text("key", key).typed_text("value", "string", value);
            });
        };
        setting(MADE_BY, self.made_by);
        // Disks get names in the guest that stay (/dev/disk/by-id).
        setting("disk.EnableUUID", "TRUE");
        if boot_from_cd {
            // A disk with a partition table and no loader would stop a BIOS before it tries the CD.
            xml.element("bootOptions", |xml| {
                xml.typed(
                    "bootOrder",
                    "VirtualMachineBootOptionsBootableCdromDevice",
                    |_| {},
                );
            });
        }
        if let Some(firmware) = self.firmware {
            xml.text("firmware", firmware.name());
        }
    }
}

impl Session {
    /// Makes a machine; it is off.
    ///
    /// # Errors
    /// [`Kind::Exists`] if the name is taken in its folder; what the server says.
    pub fn create_machine(&self, place: &Placement, spec: &MachineSpec<'_>) -> Result<Machine> {
        spec.check()?;
        let mut arguments = Xml::new();
        arguments.element("config", |xml| {
            xml.text("name", spec.name)
                .text("guestId", spec.guest_id)
                .element("files", |xml| {
                    xml.text("vmPathName", format!("[{}]", place.datastore.name));
                });
            spec.write_head(xml);
            if let Some(disk) = &spec.disk {
                device::scsi_controller(xml);
                device::disk(xml, disk, Slot::NEW, &place.datastore);
            }
            if let Some((path, datastore)) = spec.iso {
                device::ide_controller(xml);
                device::cd(xml, path, &datastore.reference);
            }
            if let Some(network) = spec.network {
                device::nic(xml, network);
            }
            spec.write_tail(xml, spec.iso.is_some());
        });
        arguments
            .mo("pool", &place.pool)
            .mo_opt("host", place.host.as_ref());
        self.made(
            spec,
            place,
            Call::once("CreateVM_Task", &place.folder, arguments),
        )
    }

    /// Makes a machine as a copy of another, or of a template; it is off.
    ///
    /// # Errors
    /// As [`create_machine`](Self::create_machine).
    pub fn clone_machine(
        &self,
        template: &Machine,
        place: &Placement,
        spec: &MachineSpec<'_>,
    ) -> Result<Machine> {
        spec.check()?;
        let devices = self.devices_of(template)?;
        let mut arguments = Xml::new();
        arguments
            .mo("folder", &place.folder)
            .text("name", spec.name)
            .element("spec", |xml| {
                xml.element("location", |xml| {
                    xml.mo("datastore", &place.datastore.reference)
                        .mo("pool", &place.pool)
                        .mo_opt("host", place.host.as_ref());
                })
                .value("template", false)
                .element("config", |xml| {
                    spec.write_head(xml);
                    if let Some(disk) = &spec.disk {
                        let slot = Slot::free(&devices).unwrap_or_else(|| {
                            device::scsi_controller(xml);
                            Slot::NEW
                        });
                        device::disk(xml, disk, slot, &place.datastore);
                    }
                    if let Some(network) = spec.network {
                        device::replug(xml, &devices, network);
                    }
                    spec.write_tail(xml, false);
                })
                .value("powerOn", false);
            });
        self.made(
            spec,
            place,
            Call::once("CloneVM_Task", &template.reference, arguments),
        )
    }

    fn made(&self, spec: &MachineSpec<'_>, place: &Placement, call: Call<'_>) -> Result<Machine> {
        let made = self
            .run_task(&call)
            .map_err(|e| e.context(format!("can't make the VM {}", spec.name)))?;
        let reference = made.as_ref().and_then(Node::mo_ref).ok_or_else(|| {
            Error::protocol(format!(
                "the server made {} and does not say which it is",
                spec.name
            ))
        })?;
        Ok(Machine {
            reference,
            name: spec.name.into(),
            path: format!("{}/{}", place.folder_path, spec.name),
        })
    }
}
