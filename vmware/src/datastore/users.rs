//! Which virtual machines use a file.

use super::DatastorePath;
use crate::error::Result;
use crate::inventory::{Datastore, for_each_in, plain_name};
use crate::session::Session;
use crate::soap::{MoRef, Node};

impl Session {
    /// Names of the VMs of the datacenter that have the file as CD or disk, or a disk that is
    /// based on it; sorted.
    ///
    /// # Errors
    /// What the server says.
    pub fn users_of(&self, datastore: &Datastore, path: &DatastorePath) -> Result<Vec<String>> {
        let mut users = Vec::new();
        let wanted = [("VirtualMachine", &["name", "config.hardware.device"][..])];
        let datacenter = &datastore.datacenter.reference;
        for_each_in(self, datacenter, &wanted, &mut |vm| {
            let devices = vm.properties.child("config.hardware.device");
            let mut devices = devices.iter().flat_map(|devices| devices.children.iter());
            if devices.any(|device| uses(device, &datastore.reference, path)) {
                let name = vm.properties.text_at("name").unwrap_or(&vm.reference.value);
                users.push(plain_name(name));
            }
            Ok(())
        })?;
        users.sort();
        Ok(users)
    }
}

/// Whether a device's file, or one that it is based on, is this one.
fn uses(device: &Node, datastore: &MoRef, path: &DatastorePath) -> bool {
    let mut backing = device.child("backing");
    while let Some(file) = backing {
        let elsewhere = file
            .child("datastore")
            .and_then(Node::mo_ref)
            .is_some_and(|own| own != *datastore);
        let own = file
            .text_at("fileName")
            .and_then(|name| DatastorePath::parse(name).ok().flatten());
        if !elsewhere && own.is_some_and(|own| is_part_of(path, &own)) {
            return true;
        }
        backing = file.child("parent");
    }
    false
}

/// Whether it is that file, or the data that lies beside a disk's descriptor.
fn is_part_of(path: &DatastorePath, used: &DatastorePath) -> bool {
    let flat = used
        .path()
        .strip_suffix(".vmdk")
        .map(|stem| format!("{stem}-flat.vmdk"));
    path == used || (path.datastore() == used.datastore() && flat.as_deref() == Some(path.path()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::{Limits, parse};

    #[test]
    fn a_file_is_found_in_a_cd_a_disk_and_what_a_disk_is_based_on() {
        let device = |inner: &str| {
            let text = format!("<d><backing>{inner}</backing></d>");
            parse(text.as_bytes(), Limits::default()).unwrap()
        };
        let own = MoRef::new("Datastore", "datastore-1");
        let path = DatastorePath::new("ds", "a/x.iso").unwrap();
        let iso = r#"<fileName>[ds] a/x.iso</fileName><datastore type="Datastore">datastore-1</datastore>"#;
        assert!(uses(&device(iso), &own, &path));
        assert!(!uses(
            &device(iso),
            &MoRef::new("Datastore", "datastore-2"),
            &path
        ));
        let based = "<fileName>[ds] vm/vm-000001.vmdk</fileName><parent><fileName>[ds] vm/vm.vmdk</fileName></parent>";
        for used in ["vm/vm.vmdk", "vm/vm-flat.vmdk", "vm/vm-000001.vmdk"] {
            assert!(
                uses(
                    &device(based),
                    &own,
                    &DatastorePath::new("ds", used).unwrap()
                ),
                "{used}"
            );
        }
        assert!(!uses(&device(based), &own, &path));
        assert!(!uses(
            &device("<deviceName>cdrom0</deviceName>"),
            &own,
            &path
        ));
    }
}
