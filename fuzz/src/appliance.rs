//! Virtual appliances.

use formats::ova::{OvaReader, read_descriptor, read_manifest};

use crate::disk_image::file;

/// Reads any bytes as the description of a machine, and as a manifest.
pub fn ovf(data: &[u8]) {
    if let Ok(descriptor) = read_descriptor(data) {
        let devices = descriptor.devices.len();
        assert!(devices <= data.len(), "devices from nowhere");
    }
    for (name, digest) in read_manifest(data).unwrap_or_default() {
        assert_eq!(digest.len(), 64, "{name}");
    }
}

/// Opens any bytes, in parts as disks are, as a package, and checks its files.
pub fn ova(data: &[u8]) {
    let package = file(data);
    let len_bytes = formats::payload::Payload::len_bytes(&package);
    if let Ok(reader) = OvaReader::open(package) {
        for entry in reader.files() {
            let end = entry.start_bytes + entry.len_bytes;
            assert!(end <= len_bytes, "a file behind the end");
        }
        let _ = reader.verify();
    }
}
