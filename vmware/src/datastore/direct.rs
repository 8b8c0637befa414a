//! Uploads straight to a host: it is faster, as vCenter need not pass the bytes on.

use super::DatastorePath;
use super::transfer::Place;
use crate::address::{DEFAULT_PORT, Url, authority, split_port};
use crate::error::{Error, Kind, Result};
use crate::inventory::{Datastore, Wanted, choose, plain_name, properties};
use crate::percent;
use crate::session::{Call, Session};
use crate::soap::{MoRef, Node, Xml};

impl Session {
    /// A place for one PUT at a host that has the datastore: a ticket is good for one request.
    pub(super) fn direct_place(
        &self,
        datastore: &Datastore,
        path: &DatastorePath,
        wanted: Option<&str>,
    ) -> Result<Place> {
        let host = self.writing_host(datastore, wanted)?;
        let name = self.host_name(&host)?;
        let target = format!(
            "/folder/{}?dsName={}",
            percent::encode_path(path.path()),
            percent::encode(&datastore.name)
        );
        let mut arguments = Xml::new();
        arguments.typed("spec", "SessionManagerHttpServiceRequestSpec", |xml| {
            xml.text("method", "httpPut").text(
                "url",
                format!("https://{}{target}", authority(&name, DEFAULT_PORT)),
            );
        });
        let manager = &self.services().session_manager;
        let ticket = self.call(&Call::once(
            "AcquireGenericServiceTicket",
            manager,
            arguments,
        ))?;
        let ticket = ticket.need("returnval")?;
        let own_name = ticket
            .text_at("hostName")
            .filter(|own| !own.is_empty() && *own != "*");
        // vCenter vouches for its hosts' certificates by their thumbprints.
        let pin = ticket
            .text_at("sslThumbprint")
            .filter(|print| !print.is_empty());
        let (own_name, port) = own_name
            .and_then(split_port)
            .unwrap_or((&name, DEFAULT_PORT));
        Ok(Place {
            url: Url {
                host: own_name.into(),
                port,
                target,
            },
            cookie: format!("vmware_cgi_ticket={}", ticket.need_text("id")?),
            pin: pin.map(str::parse).transpose()?,
        })
    }

    /// A host that is connected, running, and can write to the datastore.
    fn writing_host(&self, datastore: &Datastore, wanted: Option<&str>) -> Result<MoRef> {
        let chosen = match wanted {
            Some(_) => {
                let all = self.named_in(&datastore.datacenter, &["HostSystem"], &[])?;
                let place = datastore.datacenter.place();
                let wanted = Wanted {
                    what: "host",
                    place: &place,
                    name: wanted,
                };
                Some(choose(wanted, &all)?.reference.clone())
            }
            None => None,
        };
        let mounts = properties(self, &datastore.reference, &["host"])?;
        let mounts = mounts.child("host").map(|hosts| hosts.children.clone());
        for mount in mounts.iter().flatten().filter(|mount| writable(mount)) {
            let Some(host) = mount.child("key").and_then(Node::mo_ref) else {
                continue;
            };
            if chosen.as_ref().is_some_and(|chosen| *chosen != host) {
                continue;
            }
            let paths = [
                "runtime.connectionState",
                "runtime.powerState",
                "runtime.inMaintenanceMode",
            ];
            let runtime = properties(self, &host, &paths)?;
            if runtime.text_at("runtime.connectionState") == Some("connected")
                && runtime.text_at("runtime.powerState") != Some("poweredOff")
                && !runtime.is_true("runtime.inMaintenanceMode")
            {
                return Ok(host);
            }
        }
        Err(Error::new(
            Kind::NotFound,
            format!("no connected host can write to {}", datastore.path),
        ))
    }

    /// The name that vCenter itself reaches the host by.
    fn host_name(&self, host: &MoRef) -> Result<String> {
        let found = properties(self, host, &["name"])?;
        Ok(plain_name(found.need_text("name")?))
    }
}

fn writable(mount: &Node) -> bool {
    mount.text_at("mountInfo/accessMode") != Some("readOnly")
        && mount.text_at("mountInfo/mounted") != Some("false")
        && mount.text_at("mountInfo/accessible") != Some("false")
}
