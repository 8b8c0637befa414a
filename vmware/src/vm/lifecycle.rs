//! Starting, asking and removing machines.

use std::time::{Duration, Instant};

use super::find::disk_file;
use super::{Machine, PowerState, device};
use crate::datastore::DatastorePath;
use crate::error::{Error, Kind, Result};
use crate::inventory::properties;
use crate::session::{Call, Session, rest};
use crate::soap::{Node, Xml};

const IP_PAUSE: Duration = Duration::from_secs(2);

impl Session {
    /// Starts a machine; one that runs is left alone.
    ///
    /// # Errors
    /// What the server says.
    pub fn power_on(&self, machine: &Machine) -> Result<()> {
        if self.power_state(machine)? == PowerState::On {
            return Ok(());
        }
        self.machine_task("PowerOnVM_Task", machine, "start", Xml::new())
    }

    /// Stops a machine without asking its system.
    ///
    /// # Errors
    /// What the server says.
    pub fn power_off(&self, machine: &Machine) -> Result<()> {
        if self.power_state(machine)? == PowerState::Off {
            return Ok(());
        }
        self.machine_task("PowerOffVM_Task", machine, "stop", Xml::new())
    }

    /// Waits until the machine's tools tell an address that others can reach.
    ///
    /// # Errors
    /// [`Kind::Timeout`] after `wait`: most often there are no tools in the guest.
    pub fn wait_for_ip(&self, machine: &Machine, wait: Duration) -> Result<String> {
        let end = Instant::now() + wait;
        loop {
            let guest = properties(self, &machine.reference, &["guest.ipAddress", "guest.net"])?;
            if let Some(address) = address_of(&guest) {
                return Ok(address.to_owned());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::new(
                    Kind::Timeout,
                    format!(
                        "{} has no IP address after {} s: it takes VMware's tools (open-vm-tools) in the guest to tell one",
                        machine.name,
                        wait.as_secs()
                    ),
                ));
            }
            rest(IP_PAUSE.min(left));
        }
    }

    /// Makes a template of a machine.
    ///
    /// # Errors
    /// What the server says; an ESXi host without vCenter has no templates.
    pub fn mark_as_template(&self, machine: &Machine) -> Result<()> {
        let call = Call::once("MarkAsTemplate", &machine.reference, Xml::new());
        let marked = self.call(&call);
        marked
            .map(|_| ())
            .map_err(|e| e.context(format!("can't make {} a template", machine.name)))
    }

    /// Takes a machine's disks away from it; their files stay. Their paths.
    ///
    /// # Errors
    /// What the server says: a template's disks can't be taken away.
    pub fn detach_disks(&self, machine: &Machine) -> Result<Vec<DatastorePath>> {
        let devices = self.devices_of(machine)?;
        let disks: Vec<&Node> = devices
            .iter()
            .filter(|device| disk_file(device).is_some())
            .collect();
        if disks.is_empty() {
            return Ok(Vec::new());
        }
        let mut arguments = Xml::new();
        arguments.element("spec", |xml| {
            for disk in &disks {
                device::remove(xml, disk);
            }
        });
        self.machine_task("ReconfigVM_Task", machine, "take the disks from", arguments)?;
        Ok(disks.into_iter().filter_map(disk_file).collect())
    }

    /// Removes a machine that is off, with the files that are its own; disks that it still has are
    /// among them.
    ///
    /// # Errors
    /// What the server says.
    pub fn destroy(&self, machine: &Machine) -> Result<()> {
        self.machine_task("Destroy_Task", machine, "remove", Xml::new())
    }

    fn machine_task(
        &self,
        method: &'static str,
        machine: &Machine,
        verb: &str,
        arguments: Xml,
    ) -> Result<()> {
        let done = self.run_task(&Call::once(method, &machine.reference, arguments));
        done.map(|_| ())
            .map_err(|e| e.context(format!("can't {verb} {}", machine.name)))
    }
}

/// The first address that is not of the machine's own link; IPv4 before IPv6.
fn address_of(guest: &Node) -> Option<&str> {
    let first = guest.text_at("guest.ipAddress");
    let cards = guest.child("guest.net");
    let more = cards
        .iter()
        .flat_map(|cards| cards.children.iter())
        .flat_map(|card| card.all("ipAddress"))
        .map(|address| address.text.as_str());
    let all: Vec<&str> = first
        .into_iter()
        .chain(more)
        .filter(|a| reaches_others(a))
        .collect();
    all.iter()
        .find(|a| !a.contains(':'))
        .or(all.first())
        .copied()
}

fn reaches_others(address: &str) -> bool {
    match address.trim().parse() {
        Ok(std::net::IpAddr::V4(v4)) => {
            !v4.is_link_local() && !v4.is_loopback() && !v4.is_unspecified()
        }
        Ok(std::net::IpAddr::V6(v6)) => {
            !v6.is_unicast_link_local() && !v6.is_loopback() && !v6.is_unspecified()
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::{Limits, parse};

    #[test]
    fn addresses_of_the_own_link_are_none() {
        let guest = |first: &str, more: &[&str]| {
            let more: String = more
                .iter()
                .map(|a| format!("<ipAddress>{a}</ipAddress>"))
                .collect();
            let text = format!(
                "<o><guest.ipAddress>{first}</guest.ipAddress><guest.net><GuestNicInfo>{more}</GuestNicInfo></guest.net></o>"
            );
            let node = parse(text.as_bytes(), Limits::default()).unwrap();
            address_of(&node).map(str::to_owned)
        };
        assert_eq!(
            guest("169.254.1.2", &["fe80::1", "10.0.0.5"]).as_deref(),
            Some("10.0.0.5")
        );
        assert_eq!(
            guest("2001:db8::1", &["10.0.0.5"]).as_deref(),
            Some("10.0.0.5")
        );
        assert_eq!(guest("2001:db8::1", &[]).as_deref(), Some("2001:db8::1"));
        assert_eq!(guest("", &["fe80::1", "127.0.0.1", "x"]), None);
    }
}
