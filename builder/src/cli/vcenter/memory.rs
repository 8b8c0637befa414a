//! How much memory an image says it needs: our ISOs' loaders know, and check it at boot.

use std::io;

use formats::boot::bios::{STAGE2_BYTES, read_stage2};
use formats::iso::IsoReader;
use formats::payload::Payload;
use vmware::{Datastore, DatastorePath, Session};

use super::super::CliError;

/// The loader stands near the start of our ISOs.
const START_BYTES: usize = 2 << 20;
/// Platform of a boot entry: a PC's BIOS.
const BIOS: u8 = 0;

/// The start of a longer file.
struct Start {
    bytes: Vec<u8>,
    len_bytes: u64,
}

impl Payload for Start {
    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn read_exact_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.bytes.read_exact_at(offset, out)
    }
}

/// The memory that an ISO on a datastore needs; `None` if it is not one of ours.
pub(in super::super) fn needed_bytes(
    session: &Session,
    datastore: &Datastore,
    iso: &DatastorePath,
    len_bytes: u64,
) -> Result<Option<u64>, CliError> {
    let bytes = session.read_start(datastore, iso, START_BYTES)?;
    Ok(needed_by(&Start { bytes, len_bytes }))
}

fn needed_by(volume: &dyn Payload) -> Option<u64> {
    let entries = IsoReader::open(volume).ok()?.boot_entries().ok()?;
    let entry = entries.iter().find(|entry| entry.platform == BIOS)?;
    let mut stage2 = vec![0; STAGE2_BYTES];
    volume.read_exact_at(entry.start_bytes, &mut stage2).ok()?;
    let told = read_stage2(&stage2)?.ram_bytes;
    (told > 0).then_some(told)
}

#[cfg(test)]
mod tests {
    use formats::iso::boot_iso;
    use formats::medium::{BiosCode, BootFile, BootFiles, Loaders};

    use super::*;

    const KERNEL: &[u8] = include_bytes!("../../../../fuzz/seeds/kernel/bzimage");

    #[test]
    fn an_iso_of_ours_tells_what_it_needs() {
        let files = BootFiles {
            kernel: BootFile::read(KERNEL.to_vec()).unwrap(),
            initrd: BootFile::read(vec![1; 4 << 20]).unwrap(),
            cmdline: "console=ttyS0".into(),
            ram_bytes: 1300 << 20,
            images: Vec::new(),
        };
        let loaders = Loaders {
            bios: Some(BiosCode::own()),
            efi: None,
        };
        let iso = boot_iso(&files, &loaders, "host", 0).unwrap().content;
        let mut bytes = vec![0; START_BYTES];
        iso.read_exact_at(0, &mut bytes).unwrap();
        let start = |bytes: &[u8]| Start {
            bytes: bytes.to_vec(),
            len_bytes: iso.len_bytes(),
        };
        assert_eq!(needed_by(&start(&bytes)), Some(1300 << 20));
        // Other ISOs, and what is none, say nothing.
        assert_eq!(needed_by(&start(&bytes[..40_000])), None);
        assert_eq!(needed_by(&start(&[])), None);
    }
}
