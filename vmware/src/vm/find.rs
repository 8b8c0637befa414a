//! Machines that are there.

use super::MADE_BY;
use crate::datastore::DatastorePath;
use crate::error::Result;
use crate::inventory::{Datacenter, Named, Wanted, choose, named, plain_name, properties};
use crate::session::Session;
use crate::soap::{MoRef, Node};

/// A virtual machine or template.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(crate) reference: MoRef,
    /// Its name.
    pub name: String,
    /// Its inventory path, where it is known.
    pub path: String,
}

/// Whether a machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerState {
    /// It runs.
    On,
    /// It does not.
    Off,
    /// Its memory is on disk.
    Suspended,
}

impl Session {
    /// Finds a machine or template by name or inventory path.
    ///
    /// # Errors
    /// As [`datacenter`](Self::datacenter).
    pub fn machine(&self, datacenter: &Datacenter, name: &str) -> Result<Machine> {
        let all = self.machines_in(datacenter)?;
        let place = datacenter.place();
        let wanted = Wanted {
            what: "VM",
            place: &place,
            name: Some(name),
        };
        let found = choose(wanted, &all)?;
        Ok(Machine {
            reference: found.reference.clone(),
            name: plain_name(found.name()),
            path: found.path.clone(),
        })
    }

    fn machines_in(&self, datacenter: &Datacenter) -> Result<Vec<Named>> {
        let top = properties(self, &datacenter.reference, &["vmFolder"])?.need_ref("vmFolder")?;
        let prefix = format!("{}/vm", datacenter.path);
        named(self, &top, &prefix, &["VirtualMachine"], &[])
    }

    /// Which of the names are taken in a folder; vSphere allows each name once in it.
    ///
    /// # Errors
    /// What the server says.
    pub fn taken_names(
        &self,
        datacenter: &Datacenter,
        folder: &str,
        names: &[String],
    ) -> Result<Vec<String>> {
        let all = self.machines_in(datacenter)?;
        let mut taken: Vec<String> = all
            .iter()
            .filter(|machine| {
                machine
                    .path
                    .rsplit_once('/')
                    .is_some_and(|(own, _)| own == folder)
            })
            .map(|machine| plain_name(machine.name()))
            .filter(|name| names.contains(name))
            .collect();
        taken.sort();
        Ok(taken)
    }

    /// Whether the machine runs.
    ///
    /// # Errors
    /// What the server says.
    pub fn power_state(&self, machine: &Machine) -> Result<PowerState> {
        let found = properties(self, &machine.reference, &["runtime.powerState"])?;
        Ok(match found.text_at("runtime.powerState") {
            Some("poweredOn") => PowerState::On,
            Some("suspended") => PowerState::Suspended,
            _ => PowerState::Off,
        })
    }

    /// Whether the machine was made or imported here (by [`MADE_BY`]).
    ///
    /// # Errors
    /// What the server says.
    pub fn is_made_here(&self, machine: &Machine) -> Result<bool> {
        let found = properties(self, &machine.reference, &["config.extraConfig"])?;
        let settings = found.child("config.extraConfig");
        let mut settings = settings.iter().flat_map(|all| all.children.iter());
        Ok(settings.any(|setting| setting.text_at("key") == Some(MADE_BY)))
    }

    /// Whether it is a template.
    ///
    /// # Errors
    /// What the server says.
    pub fn is_template(&self, machine: &Machine) -> Result<bool> {
        let found = properties(self, &machine.reference, &["config.template"])?;
        Ok(found.is_true("config.template"))
    }

    /// Files of the machine's disks.
    ///
    /// # Errors
    /// What the server says.
    pub fn disks_of(&self, machine: &Machine) -> Result<Vec<DatastorePath>> {
        let devices = self.devices_of(machine)?;
        Ok(devices.iter().filter_map(disk_file).collect())
    }

    pub(super) fn devices_of(&self, machine: &Machine) -> Result<Vec<Node>> {
        let found = properties(self, &machine.reference, &["config.hardware.device"])?;
        let devices = found.child("config.hardware.device");
        Ok(devices.map(|all| all.children.clone()).unwrap_or_default())
    }
}

/// The file of a device that is a disk.
pub(super) fn disk_file(device: &Node) -> Option<DatastorePath> {
    let name = device
        .is_a("VirtualDisk")
        .then(|| device.text_at("backing/fileName"))??;
    DatastorePath::parse(name).ok().flatten()
}
