//! Datacenters and their datastores.

use super::{Named, Wanted, choose, named};
use crate::error::{Error, Result};
use crate::session::Session;
use crate::soap::{MoRef, Node};

/// A datacenter; an ESXi host without vCenter has one, `/ha-datacenter`.
#[derive(Clone, Debug)]
pub struct Datacenter {
    pub(crate) reference: MoRef,
    /// Its inventory path, with the folders it is in.
    pub path: String,
}

/// A datastore of a datacenter.
#[derive(Clone, Debug)]
pub struct Datastore {
    pub(crate) reference: MoRef,
    pub(crate) browser: MoRef,
    pub(crate) datacenter: Datacenter,
    /// Its name, as in `[NAME] folder/file`.
    pub name: String,
    /// Its inventory path.
    pub path: String,
    /// What it is made of: `VMFS`, `NFS`, `vsan` and so on.
    pub kind: String,
}

impl Session {
    /// Finds a datacenter by name or inventory path; the only one if `name` is `None`.
    ///
    /// # Errors
    /// [`Kind::NotFound`](crate::Kind::NotFound) with near names, or
    /// [`Kind::Ambiguous`](crate::Kind::Ambiguous) with the candidates.
    pub fn datacenter(&self, name: Option<&str>) -> Result<Datacenter> {
        let root = &self.services().root_folder;
        let all = named(self, root, "", &["Datacenter"], &[])?;
        let wanted = Wanted {
            what: "datacenter",
            place: "",
            name,
        };
        let found = choose(wanted, &all)?;
        Ok(Datacenter {
            reference: found.reference.clone(),
            path: found.path.clone(),
        })
    }

    /// Finds a datastore by name or inventory path; the only one if `name` is `None`.
    ///
    /// # Errors
    /// As [`datacenter`](Self::datacenter).
    pub fn datastore(&self, datacenter: &Datacenter, name: Option<&str>) -> Result<Datastore> {
        let all = self.named_in(
            datacenter,
            &["Datastore"],
            &["browser", "summary.type", "summary.accessible"],
        )?;
        let place = datacenter.place();
        let wanted = Wanted {
            what: "datastore",
            place: &place,
            name,
        };
        let found = choose(wanted, &all)?;
        if found.properties.text_at("summary.accessible") == Some("false") {
            return Err(Error::new(
                crate::Kind::Server,
                format!(
                    "the datastore {} is not accessible from any host at the moment",
                    found.path
                ),
            ));
        }
        let browser = found.properties.child("browser").and_then(Node::mo_ref);
        let name = found.properties.text_at("name").unwrap_or_default();
        Ok(Datastore {
            reference: found.reference.clone(),
            browser: browser.ok_or_else(|| {
                Error::protocol(format!("the server gave no browser of {}", found.path))
            })?,
            datacenter: datacenter.clone(),
            name: super::plain_name(name),
            path: found.path.clone(),
            kind: found
                .properties
                .text_at("summary.type")
                .unwrap_or_default()
                .into(),
        })
    }

    /// Objects of a datacenter with their paths.
    pub(crate) fn named_in(
        &self,
        datacenter: &Datacenter,
        wanted: &[&str],
        paths: &[&str],
    ) -> Result<Vec<Named>> {
        named(self, &datacenter.reference, &datacenter.path, wanted, paths)
    }
}

impl Datacenter {
    /// The path as the datastore's file API wants it.
    pub(crate) fn dc_path(&self) -> &str {
        self.path.trim_start_matches('/')
    }

    /// For messages.
    pub(crate) fn place(&self) -> String {
        format!(" in {}", self.path)
    }
}
