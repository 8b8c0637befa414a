//! What is imported, and what the server makes of its description.

use std::io::{self, Read};

use super::mark::mark;
use crate::datastore::Observer;
use crate::error::{Error, Kind, Result};
use crate::inventory::{Network, Placement};
use crate::session::{Call, Session};
use crate::soap::{Node, Xml, error_of_localized};

/// Files of an appliance; each may be opened more than once.
pub trait Package: Sync {
    /// The length of a file; `None` if there is none of that name.
    fn len_bytes(&self, name: &str) -> Option<u64>;

    /// Reads a file from its start.
    ///
    /// # Errors
    /// If it can't be read.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>>;
}

/// An appliance to be imported.
#[derive(Clone, Copy)]
pub struct Appliance<'a> {
    /// The name that the machine gets.
    pub name: &'a str,
    /// Its description (OVF).
    pub descriptor: &'a str,
    /// The files that the description names.
    pub package: &'a dyn Package,
    /// The networks that it names, and what they are here.
    pub networks: &'a [(&'a str, &'a Network)],
    /// Whether its disks take room only as they fill.
    pub thin: bool,
    /// Version of the maker, kept in the machine (see [`MADE_BY`](crate::vm::MADE_BY)).
    pub made_by: &'a str,
}

/// A file that the server wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Which URL of the lease it goes to.
    pub(super) device: String,
    pub(super) name: String,
    pub(super) len_bytes: u64,
    /// Whether it is made anew there, rather than written into a disk.
    pub(super) create: bool,
}

/// What the server made of the description.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) spec: Node,
    pub(super) items: Vec<Item>,
}

impl Session {
    pub(super) fn import_plan(
        &self,
        place: &Placement,
        appliance: &Appliance<'_>,
        observer: &dyn Observer,
    ) -> Result<Plan> {
        let manager = self
            .services()
            .ovf_manager
            .as_ref()
            .ok_or_else(|| Error::new(Kind::Server, "this server imports no appliances"))?;
        let mut arguments = Xml::new();
        arguments
            .text("ovfDescriptor", appliance.descriptor)
            .mo("resourcePool", &place.pool)
            .mo("datastore", &place.datastore.reference)
            .element("cisp", |xml| {
                xml.text("locale", "US")
                    .text("deploymentOption", "")
                    .text("entityName", appliance.name)
                    .mo_opt("hostSystem", place.host.as_ref());
                for (name, network) in appliance.networks {
                    xml.element("networkMapping", |xml| {
                        xml.text("name", name).mo("network", &network.reference);
                    });
                }
                xml.text(
                    "diskProvisioning",
                    if appliance.thin { "thin" } else { "thick" },
                );
            });
        let answer = self
            .call(&Call::read("CreateImportSpec", manager, arguments))
            .map_err(|e| e.context(format!("the description of {}", appliance.name)))?;
        plan_of(answer.need("returnval")?, appliance, observer)
    }
}

fn plan_of(result: &Node, appliance: &Appliance<'_>, observer: &dyn Observer) -> Result<Plan> {
    for warning in result.all("warning") {
        observer.warn(&format!(
            "{}: {}",
            appliance.name,
            error_of_localized(warning)
        ));
    }
    let errors: Vec<String> = result
        .all("error")
        .map(|error| error_of_localized(error).to_string())
        .collect();
    if !errors.is_empty() {
        return Err(Error::new(
            Kind::Server,
            format!(
                "the server can't import {}: {}",
                appliance.name,
                errors.join("; ")
            ),
        ));
    }
    let items = result.all("fileItem").map(|item| {
        let name = item.need_text("path")?;
        let len_bytes = appliance.package.len_bytes(name).ok_or_else(|| {
            Error::new(
                Kind::Input,
                format!(
                    "{}: its description names {name:?}, which is not in it",
                    appliance.name
                ),
            )
        })?;
        if item
            .text_at("compressionMethod")
            .is_some_and(|method| !method.is_empty())
        {
            return Err(Error::new(
                Kind::Input,
                format!(
                    "{}: {name:?} is compressed on its own, which is not supported",
                    appliance.name
                ),
            ));
        }
        Ok(Item {
            device: item.need_text("deviceId")?.into(),
            name: name.into(),
            len_bytes,
            create: item.is_true("create"),
        })
    });
    let items = items.collect::<Result<_>>()?;
    let mut spec = result.need("importSpec")?.clone();
    mark(&mut spec, appliance.made_by);
    Ok(Plan { spec, items })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datastore::Silent;
    use crate::soap::{Limits, parse};

    struct OneDisk;

    impl Package for OneDisk {
        fn len_bytes(&self, name: &str) -> Option<u64> {
            (name == "disk.vmdk").then_some(7)
        }

        fn open(&self, _: &str) -> io::Result<Box<dyn Read + '_>> {
            Ok(Box::new(&b"content"[..]))
        }
    }

    fn plan(text: &str) -> Result<Plan> {
        let appliance = Appliance {
            name: "host",
            descriptor: "",
            package: &OneDisk,
            networks: &[],
            thin: true,
            made_by: "1",
        };
        let text = format!(
            r#"<r xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><importSpec i:type="VirtualMachineImportSpec"/>{text}</r>"#
        );
        plan_of(
            &parse(text.as_bytes(), Limits::default())?,
            &appliance,
            &Silent,
        )
    }

    #[test]
    fn the_server_s_list_of_files_is_checked_against_the_package() {
        let item = |name: &str, more: &str| {
            format!(
                "<fileItem><deviceId>/host/x:0</deviceId><path>{name}</path>{more}<cimType>17</cimType><create>false</create></fileItem>"
            )
        };
        let good = plan(&item("disk.vmdk", "")).unwrap();
        assert_eq!(good.items[0].len_bytes, 7);
        assert!(!good.items[0].create && good.spec.is_a("VirtualMachineImportSpec"));
        assert_eq!(
            plan(&item("other.vmdk", "")).unwrap_err().kind(),
            Kind::Input
        );
        let gzip = "<compressionMethod>gzip</compressionMethod>";
        assert!(plan(&item("disk.vmdk", gzip)).is_err());
    }

    #[test]
    fn every_error_in_the_description_is_told() {
        let error = |text: &str| {
            format!(
                r#"<error><fault i:type="OvfUnsupportedElement"/><localizedMessage>{text}</localizedMessage></error>"#
            )
        };
        let error = plan(&(error("no such hardware") + &error("no such network")))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no such hardware") && error.contains("no such network"),
            "{error}"
        );
    }
}
