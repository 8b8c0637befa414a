//! Devices as they are written into a machine's specification.

use super::create::Disk;
use crate::datastore::DatastorePath;
use crate::inventory::{Datastore, Network};
use crate::soap::{MoRef, Node, Xml};

/// Keys of devices that are not there yet are negative.
const SCSI_KEY: i32 = -1;
const IDE_KEY: i32 = -2;
const DISK_KEY: i32 = -3;
const CD_KEY: i32 = -4;
const NIC_KEY: i32 = -5;

/// Unit 7 of a SCSI bus is the controller itself.
const SCSI_OWN_UNIT: u32 = 7;
const SCSI_UNITS: u32 = 16;

/// Where a disk hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) controller: i32,
    pub(super) unit: u32,
}

impl Slot {
    /// The first of the controller that [`scsi_controller`] adds.
    pub(super) const NEW: Slot = Slot {
        controller: SCSI_KEY,
        unit: 0,
    };

    /// A free one of the machine's own controllers.
    pub(super) fn free(devices: &[Node]) -> Option<Slot> {
        let controllers = devices.iter().filter(|device| {
            device.xsi_type.as_deref().is_some_and(|kind| {
                [
                    "ParaVirtualSCSIController",
                    "VirtualLsiLogicController",
                    "VirtualLsiLogicSASController",
                    "VirtualBusLogicController",
                ]
                .contains(&kind)
            })
        });
        controllers
            .filter_map(|controller| controller.number_at::<i32>("key"))
            .find_map(|controller| {
                let taken: Vec<u32> = devices
                    .iter()
                    .filter(|device| device.number_at("controllerKey") == Some(controller))
                    .filter_map(|device| device.number_at("unitNumber"))
                    .collect();
                (0..SCSI_UNITS)
                    .find(|unit| *unit != SCSI_OWN_UNIT && !taken.contains(unit))
                    .map(|unit| Slot { controller, unit })
            })
    }
}

fn change(
    xml: &mut Xml,
    operation: &str,
    file_operation: Option<&str>,
    device: impl FnOnce(&mut Xml),
) {
    xml.element("deviceChange", |xml| {
        xml.text("operation", operation);
        if let Some(file_operation) = file_operation {
            xml.text("fileOperation", file_operation);
        }
        device(xml);
    });
}

fn connectable(xml: &mut Xml) {
    xml.element("connectable", |xml| {
        xml.value("startConnected", true)
            .value("allowGuestControl", true)
            .value("connected", true);
    });
}

pub(super) fn scsi_controller(xml: &mut Xml) {
    change(xml, "add", None, |xml| {
        xml.typed("device", "ParaVirtualSCSIController", |xml| {
            xml.value("key", SCSI_KEY)
                .value("busNumber", 0)
                .text("sharedBus", "noSharing");
        });
    });
}

pub(super) fn ide_controller(xml: &mut Xml) {
    change(xml, "add", None, |xml| {
        xml.typed("device", "VirtualIDEController", |xml| {
            xml.value("key", IDE_KEY).value("busNumber", 0);
        });
    });
}

/// A disk; a new one lies in the machine's folder.
pub(super) fn disk(xml: &mut Xml, disk: &Disk, slot: Slot, datastore: &Datastore) {
    let (file_operation, file, capacity_kib, thin) = match disk {
        Disk::New { size_mib, thin } => {
            let file = format!("[{}]", datastore.name);
            (Some("create"), file, size_mib.saturating_mul(1024), *thin)
        }
        Disk::Existing(path) => (None, path.to_string(), 0, false),
    };
    change(xml, "add", file_operation, |xml| {
        xml.typed("device", "VirtualDisk", |xml| {
            xml.value("key", DISK_KEY)
                .typed("backing", "VirtualDiskFlatVer2BackingInfo", |xml| {
                    xml.text("fileName", file);
                    if file_operation.is_some() {
                        xml.mo("datastore", &datastore.reference);
                    }
                    xml.text("diskMode", "persistent");
                    if file_operation.is_some() {
                        xml.value("thinProvisioned", thin);
                    }
                })
                .value("controllerKey", slot.controller)
                .value("unitNumber", slot.unit)
                .value("capacityInKB", capacity_kib);
        });
    });
}

/// A CD drive with an ISO in it.
pub(super) fn cd(xml: &mut Xml, path: &DatastorePath, datastore: &MoRef) {
    change(xml, "add", None, |xml| {
        xml.typed("device", "VirtualCdrom", |xml| {
            xml.value("key", CD_KEY);
            xml.typed("backing", "VirtualCdromIsoBackingInfo", |xml| {
                xml.text("fileName", path.to_string())
                    .mo("datastore", datastore);
            });
            connectable(xml);
            xml.value("controllerKey", IDE_KEY).value("unitNumber", 0);
        });
    });
}

/// A network card.
pub(super) fn nic(xml: &mut Xml, network: &Network) {
    change(xml, "add", None, |xml| {
        xml.typed("device", "VirtualVmxnet3", |xml| {
            xml.value("key", NIC_KEY);
            network.write_backing(xml);
            connectable(xml);
            xml.text("addressType", "generated");
        });
    });
}

/// The machine's own first network card, plugged in elsewhere; adds one where there is none.
pub(super) fn replug(xml: &mut Xml, devices: &[Node], network: &Network) {
    let card = devices
        .iter()
        .find(|device| device.child("macAddress").is_some());
    let own = card.and_then(|card| Some((card.xsi_type.as_deref()?, card.text_at("key")?)));
    let Some((kind, key)) = own else {
        return nic(xml, network);
    };
    change(xml, "edit", None, |xml| {
        xml.typed("device", kind, |xml| {
            xml.text("key", key);
            network.write_backing(xml);
            connectable(xml);
        });
    });
}

/// Takes a device away; a disk's file stays.
pub(super) fn remove(xml: &mut Xml, device: &Node) {
    change(xml, "remove", None, |xml| {
        xml.node("device", device);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::{Limits, parse};

    fn devices(text: &str) -> Vec<Node> {
        let text = format!(r#"<x xmlns:i="http://www.w3.org/2001/XMLSchema-instance">{text}</x>"#);
        parse(text.as_bytes(), Limits::default()).unwrap().children
    }

    #[test]
    fn a_disk_takes_the_first_free_unit() {
        let controller = r#"<d i:type="ParaVirtualSCSIController"><key>1000</key></d>"#;
        let disk = |unit: u32| {
            format!(
                "<d i:type='VirtualDisk'><controllerKey>1000</controllerKey><unitNumber>{unit}</unitNumber></d>"
            )
        };
        let with = |units: &[u32]| {
            let disks: String = units.iter().map(|unit| disk(*unit)).collect();
            Slot::free(&devices(&format!("{controller}{disks}")))
        };
        let slot = |unit| {
            Some(Slot {
                controller: 1000,
                unit,
            })
        };
        assert_eq!(with(&[]), slot(0));
        assert_eq!(with(&[0, 1, 3]), slot(2));
        assert_eq!(with(&[0, 1, 2, 3, 4, 5, 6]), slot(8));
        assert_eq!(with(&(0..16).collect::<Vec<_>>()), None);
        assert_eq!(
            Slot::free(&devices(
                "<d i:type='VirtualIDEController'><key>200</key></d>"
            )),
            None
        );
    }

    #[test]
    fn a_device_that_is_removed_is_named_as_the_server_named_it() {
        let disk =
            devices(r#"<d i:type="VirtualDisk"><key>2000</key><capacityInKB>5</capacityInKB></d>"#);
        let mut xml = Xml::new();
        remove(&mut xml, &disk[0]);
        let text = xml.as_str();
        assert!(
            text.contains(r#"<device xsi:type="VirtualDisk"><key>2000</key>"#),
            "{text}"
        );
        assert!(!text.contains("fileOperation"), "{text}");
    }
}
