//! The files of an appliance: an OVA, or a bare disk with a description made for it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use formats::ova::{Machine, OvaReader, describe};
use formats::payload::{FilePayload, Payload};
use formats::vmdk::SparseReader;
use vmware::import::Package;

use super::super::CliError;

/// Header version and flags of a disk that ESXi imports.
const STREAM_VERSION: u32 = 3;
const STREAM_FLAGS: u32 = 1 | 1 << 16 | 1 << 17;

/// An appliance, open.
pub(super) struct Opened {
    /// Its description.
    pub(super) descriptor: String,
    /// Networks that it names.
    pub(super) networks: Vec<String>,
    file: FilePayload,
    /// Name, start and length of each file.
    files: Vec<(String, u64, u64)>,
}

/// Opens an OVA, and compares its files with its manifest.
pub(super) fn open_ova(path: &Path) -> Result<Opened, CliError> {
    let unusable = |reason: String| unusable(path, reason);
    let ova = OvaReader::open(open(path)?).map_err(|e| unusable(e.to_string()))?;
    ova.verify().map_err(|e| unusable(e.to_string()))?;
    Ok(Opened {
        descriptor: ova.descriptor_text().to_owned(),
        networks: ova.descriptor().networks.clone(),
        files: ova
            .files()
            .iter()
            .map(|file| (file.name.clone(), file.start_bytes, file.len_bytes))
            .collect(),
        file: open(path)?,
    })
}

/// Opens a disk, and describes a machine with it.
pub(super) fn open_vmdk(path: &Path, machine: &Machine) -> Result<Opened, CliError> {
    let unusable = |reason: &str| unusable(path, reason.to_owned());
    let disk = SparseReader::open(open(path)?).map_err(|e| unusable(&e.to_string()))?;
    if disk.version_and_flags() != (STREAM_VERSION, STREAM_FLAGS) {
        return Err(unusable(
            "it is no streamOptimized disk of version 3, which is all that ESXi imports",
        ));
    }
    let capacity_bytes = disk.len_bytes();
    let file = open(path)?;
    // The name is for the lease alone.
    let name = "disk1.vmdk";
    let descriptor = describe(machine, name, file.len_bytes(), capacity_bytes)
        .map_err(|e| CliError::Usage(e.to_string()))?;
    Ok(Opened {
        descriptor,
        networks: machine.network.iter().cloned().collect(),
        files: vec![(name.into(), 0, file.len_bytes())],
        file,
    })
}

fn open(path: &Path) -> Result<FilePayload, CliError> {
    let opened = File::open(path).and_then(FilePayload::new);
    opened.map_err(|source| CliError::File {
        path: path.into(),
        source,
    })
}

fn unusable(path: &Path, reason: String) -> CliError {
    CliError::Input {
        name: path.display().to_string(),
        reason,
    }
}

impl Opened {
    /// Bytes that will be sent at most.
    pub(super) fn len_bytes(&self) -> u64 {
        let disks = self
            .files
            .iter()
            .filter(|(name, ..)| !name.ends_with(".ovf") && !name.ends_with(".mf"));
        disks.map(|(_, _, len)| len).sum()
    }

    fn find(&self, name: &str) -> Option<(u64, u64)> {
        let found = self.files.iter().find(|(own, ..)| own == name);
        found.map(|(_, start, len)| (*start, *len))
    }
}

impl Package for Opened {
    fn len_bytes(&self, name: &str) -> Option<u64> {
        self.find(name).map(|(_, len)| len)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        let (offset, left) = self.find(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Part {
            file: &self.file,
            offset,
            left,
        }))
    }
}

/// A file within the package, read from its start on.
struct Part<'a> {
    file: &'a FilePayload,
    offset: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = usize::try_from(self.left).map_or(out.len(), |left| left.min(out.len()));
        self.file.read_exact_at(self.offset, &mut out[..n])?;
        self.offset += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use formats::vmdk::{DiskId, Options, write_monolithic_sparse, write_stream_optimized};

    use super::*;

    #[test]
    fn a_bare_disk_gets_a_description_and_others_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.vmdk");
        let content = vec![7_u8; 1 << 20];
        let options = Options::new(DiskId([1; 16]), "x");
        let mut stream = Vec::new();
        write_stream_optimized(&mut stream, &content, &options).unwrap();
        std::fs::write(&path, &stream).unwrap();
        let machine = Machine::new("host", 1 << 30);
        let opened = open_vmdk(&path, &machine).unwrap();
        assert!(opened.descriptor.contains("disk1.vmdk"));
        assert_eq!(opened.len_bytes(), stream.len() as u64);
        let mut read = Vec::new();
        Package::open(&opened, "disk1.vmdk")
            .unwrap()
            .read_to_end(&mut read)
            .unwrap();
        assert!(read == stream);
        assert!(Package::open(&opened, "other").is_err());
        let mut sparse = io::Cursor::new(Vec::new());
        write_monolithic_sparse(&mut sparse, &content, &options).unwrap();
        std::fs::write(&path, sparse.into_inner()).unwrap();
        let error = open_vmdk(&path, &machine).err().unwrap().to_string();
        assert!(error.contains("streamOptimized"), "{error}");
    }
}
