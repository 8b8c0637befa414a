//! Networks, and how a network card is plugged into them.

use super::{Datacenter, Wanted, choose, named, plain_name, properties};
use crate::error::Result;
use crate::session::Session;
use crate::soap::{MoRef, Xml};

/// A network that a machine can be on.
#[derive(Clone, Debug)]
pub struct Network {
    pub(crate) reference: MoRef,
    /// Its inventory path.
    pub path: String,
    backing: Backing,
}

#[derive(Clone, Debug)]
enum Backing {
    /// A standard switch's port group.
    Standard { name: String },
    /// A distributed switch's port group.
    Distributed { switch: String, portgroup: String },
    /// A network of NSX.
    Opaque { id: String, kind: String },
}

impl Session {
    /// Finds a network by name or inventory path; the only one if `name` is `None`.
    ///
    /// # Errors
    /// As [`datacenter`](Self::datacenter).
    pub fn network(&self, datacenter: &Datacenter, name: Option<&str>) -> Result<Network> {
        let kinds = ["Network", "DistributedVirtualPortgroup", "OpaqueNetwork"];
        let mut all = named(self, &datacenter.reference, &datacenter.path, &kinds, &[])?;
        // Ports towards the physical network are none for machines.
        all.retain(|network| !network.name().contains("-DVUplinks-"));
        let place = datacenter.place();
        let wanted = Wanted {
            what: "network",
            place: &place,
            name,
        };
        let found = choose(wanted, &all)?;
        Ok(Network {
            reference: found.reference.clone(),
            path: found.path.clone(),
            backing: self.backing(&found.reference, found.name())?,
        })
    }

    fn backing(&self, network: &MoRef, name: &str) -> Result<Backing> {
        match &*network.kind {
            "DistributedVirtualPortgroup" => {
                let group = properties(self, network, &["key", "config.distributedVirtualSwitch"])?;
                let switch = group.need_ref("config.distributedVirtualSwitch")?;
                let switch = properties(self, &switch, &["uuid"])?;
                Ok(Backing::Distributed {
                    switch: switch.need_text("uuid")?.into(),
                    portgroup: group.need_text("key")?.into(),
                })
            }
            "OpaqueNetwork" => {
                let summary = properties(self, network, &["summary"])?;
                Ok(Backing::Opaque {
                    id: summary.need_text("summary/opaqueNetworkId")?.into(),
                    kind: summary.need_text("summary/opaqueNetworkType")?.into(),
                })
            }
            _ => Ok(Backing::Standard {
                name: plain_name(name),
            }),
        }
    }
}

impl Network {
    /// The element `backing` of a network card.
    pub(crate) fn write_backing(&self, xml: &mut Xml) {
        match &self.backing {
            Backing::Standard { name } => {
                xml.typed("backing", "VirtualEthernetCardNetworkBackingInfo", |xml| {
                    xml.text("deviceName", name).mo("network", &self.reference);
                });
            }
            Backing::Distributed { switch, portgroup } => {
                let kind = "VirtualEthernetCardDistributedVirtualPortBackingInfo";
                xml.typed("backing", kind, |xml| {
                    xml.element("port", |xml| {
                        xml.text("switchUuid", switch)
                            .text("portgroupKey", portgroup);
                    });
                });
            }
            Backing::Opaque { id, kind } => {
                let own = "VirtualEthernetCardOpaqueNetworkBackingInfo";
                xml.typed("backing", own, |xml| {
                    xml.text("opaqueNetworkId", id)
                        .text("opaqueNetworkType", kind);
                });
            }
        }
    }
}
