//! Where a machine goes: a pool to run in, perhaps a host, a folder to be listed in.

use super::{Datacenter, Datastore, Named, Wanted, choose, named, properties};
use crate::error::Result;
use crate::session::Session;
use crate::soap::{MoRef, Node};

/// Names of where a machine is to go; what is not named is the only one there is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// A host; in a cluster it may be left to it.
    pub host: Option<&'a str>,
    /// A cluster.
    pub cluster: Option<&'a str>,
    /// A resource pool; that of the cluster or host otherwise.
    pub pool: Option<&'a str>,
    /// A folder of machines, below the datacenter's own.
    pub folder: Option<&'a str>,
}

/// Where a machine goes.
#[derive(Clone, Debug)]
pub struct Placement {
    pub(crate) pool: MoRef,
    pub(crate) host: Option<MoRef>,
    pub(crate) folder: MoRef,
    pub(crate) datastore: Datastore,
    /// Inventory path of the folder.
    pub folder_path: String,
}

const COMPUTE: &[&str] = &["ComputeResource", "ClusterComputeResource"];

impl Session {
    /// Finds where a machine goes whose files are on `datastore`.
    ///
    /// # Errors
    /// As [`datacenter`](Self::datacenter).
    pub fn placement(&self, datastore: &Datastore, wish: Wish<'_>) -> Result<Placement> {
        let datacenter = &datastore.datacenter;
        let place = datacenter.place();
        let (folder, folder_path) = self.machine_folder(datacenter, wish.folder)?;
        let host = match wish.host {
            None => None,
            Some(_) => {
                let all = self.named_in(datacenter, &["HostSystem"], &[])?;
                Some(choose(wanted("host", &place, wish.host), &all)?.clone())
            }
        };
        let pool = match (wish.pool, &host) {
            (Some(_), _) => {
                let all = self.named_in(datacenter, &["ResourcePool", "VirtualApp"], &[])?;
                choose(wanted("resource pool", &place, wish.pool), &all)?
                    .reference
                    .clone()
            }
            (None, Some(host)) => {
                let compute = host.properties.need_ref("parent")?;
                properties(self, &compute, &["resourcePool"])?.need_ref("resourcePool")?
            }
            (None, None) => self.only_pool(datastore, wish.cluster)?,
        };
        Ok(Placement {
            pool,
            host: host.map(|host| host.reference),
            folder,
            datastore: datastore.clone(),
            folder_path,
        })
    }

    /// The pool of the cluster (or host without one) of that name, or of the only one that has
    /// the datastore.
    fn only_pool(&self, datastore: &Datastore, cluster: Option<&str>) -> Result<MoRef> {
        let datacenter = &datastore.datacenter;
        let mut all = self.named_in(datacenter, COMPUTE, &["resourcePool", "datastore"])?;
        if cluster.is_none() {
            all.retain(|compute| has_datastore(compute, &datastore.reference));
        }
        let place = format!(" in {} with {}", datacenter.path, datastore.name);
        let found = choose(wanted("cluster or host", &place, cluster), &all)?;
        found.properties.need_ref("resourcePool")
    }

    /// A folder of machines and its path; the datacenter's own if none is named.
    pub(crate) fn machine_folder(
        &self,
        datacenter: &Datacenter,
        name: Option<&str>,
    ) -> Result<(MoRef, String)> {
        let top = properties(self, &datacenter.reference, &["vmFolder"])?.need_ref("vmFolder")?;
        let prefix = format!("{}/vm", datacenter.path);
        let Some(name) = name.filter(|name| !name.trim_matches('/').is_empty()) else {
            return Ok((top, prefix));
        };
        let mut all = named(self, &top, &prefix, &["Folder"], &[])?;
        all.push(Named {
            reference: top,
            path: prefix.clone(),
            properties: Node::default(),
        });
        let place = format!(" in {prefix}");
        let found = choose(wanted("folder", &place, Some(name)), &all)?;
        Ok((found.reference.clone(), found.path.clone()))
    }
}

fn wanted<'a>(what: &'a str, place: &'a str, name: Option<&'a str>) -> Wanted<'a> {
    Wanted { what, place, name }
}

fn has_datastore(compute: &Named, datastore: &MoRef) -> bool {
    let all = compute.properties.child("datastore");
    // Where it may not be seen, it is not known to be missing.
    all.is_none_or(|all| {
        let mut references = all.children.iter().filter_map(Node::mo_ref);
        references.any(|own| own == *datastore)
    })
}
