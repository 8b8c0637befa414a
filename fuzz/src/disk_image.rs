//! Disks of several formats.
//!
//! Their files are mostly zeros. So that inputs are small, an input is the file's parts: for each
//! its length and place in units of 512 bytes (u16 each, big-endian), then its bytes.

use formats::disk::{read_mbr, read_partitions};
use formats::fat::{FatReader, Limits};
use formats::iso::{self, EntryKind, IsoReader, Names};
use formats::payload::{Extents, Payload};
use formats::qcow2::Qcow2Reader;
use formats::vhd::VhdReader;
use formats::vmdk::{SparseReader, read_flat};

const UNIT: u64 = 512;

/// The file that an input stands for: parts that overlap are left out.
pub(crate) fn file(mut data: &[u8]) -> Extents {
    let mut parts = Vec::new();
    while let Some((&[a, b, c, d], rest)) = data.split_first_chunk::<4>() {
        let bytes = usize::from(u16::from_be_bytes([a, b])) * 512;
        let start = u64::from(u16::from_be_bytes([c, d])) * UNIT;
        let (part, rest) = rest.split_at(bytes.min(rest.len()));
        parts.push((start, part.to_vec()));
        data = rest;
    }
    let end = parts.iter().map(|(start, part)| start + part.len() as u64);
    let mut file = Extents::new(end.max().unwrap_or(0));
    for (start, part) in parts {
        let _ = file.place(start, part);
    }
    file
}

/// The input that stands for a file: what [`file`] reads back.
pub fn parts(file: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut units = file.chunks(512).zip(0_u16..).peekable();
    while let Some((unit, place)) = units.next() {
        let mut part = unit.to_vec();
        let is_data = |(unit, _): &(&[u8], u16)| unit.iter().any(|&byte| byte != 0);
        let first = unit.iter().any(|&byte| byte != 0);
        while let Some((unit, _)) = units.next_if(|next| first && is_data(next)) {
            part.extend_from_slice(unit);
        }
        let last = units.peek().is_none();
        if first || last {
            let units = u16::try_from(part.len().div_ceil(512)).unwrap_or(u16::MAX);
            out.extend_from_slice(&units.to_be_bytes());
            out.extend_from_slice(&place.to_be_bytes());
            out.extend_from_slice(&part);
        }
    }
    out
}

/// Reads at places all over a disk.
fn read(disk: &dyn Payload) {
    assert!(disk.len_bytes() < 1 << 62);
    let mut piece = [0; 3000];
    for part in 0..32 {
        let last = disk.len_bytes().saturating_sub(piece.len() as u64);
        let _ = disk.read_exact_at(last / 31 * part, &mut piece);
        let _ = disk.read_exact_at(part * 65_536, &mut piece);
    }
}

/// Opens any bytes as a VMware disk.
pub fn vmdk(data: &[u8]) {
    if let Some(flat) = read_flat(&String::from_utf8_lossy(data)) {
        assert!(!flat.file_name.contains('/'), "a disk elsewhere");
    }
    if let Ok(disk) = SparseReader::open(file(data)) {
        read(&disk);
    }
}

/// Opens any bytes as a QEMU disk.
pub fn qcow2(data: &[u8]) {
    if let Ok(disk) = Qcow2Reader::open(file(data)) {
        read(&disk);
    }
}

/// Opens any bytes as a Microsoft disk.
pub fn vhd(data: &[u8]) {
    if let Ok(disk) = VhdReader::open(file(data)) {
        read(&disk);
    }
}

/// Opens any bytes as a FAT volume and lists its folders.
pub fn fat(data: &[u8]) {
    let volume = file(data);
    let limits = Limits {
        entries: 200,
        depth: 4,
        folder_bytes: 64 << 10,
    };
    if let Ok(entries) = FatReader::open(&volume).and_then(|reader| reader.entries(limits)) {
        for entry in entries {
            for extent in entry.extents {
                assert!(extent.start < extent.end, "an empty extent");
                assert!(extent.end <= volume.len_bytes(), "an extent behind the end");
            }
        }
    }
}

/// Opens any bytes as an ISO and lists it by every kind of name.
pub fn iso(data: &[u8]) {
    let volume = file(data);
    let limits = iso::Limits {
        entries: 200,
        depth: 4,
        folder_bytes: 64 << 10,
        system_use_bytes: 8 << 10,
    };
    let Ok(reader) = IsoReader::open(&volume) else {
        return;
    };
    let _ = reader.boot_entries();
    for names in [Names::Plain, Names::RockRidge, Names::Joliet] {
        for entry in reader.entries(names, limits).unwrap_or_default() {
            assert!(!entry.path.is_empty(), "an entry without a name");
            if let EntryKind::File { extents } = entry.kind {
                for extent in extents {
                    assert!(extent.start < extent.end, "an empty extent");
                    assert!(extent.end <= volume.len_bytes(), "an extent behind the end");
                }
            }
        }
    }
}

/// Reads the partitions of any bytes.
pub fn gpt(data: &[u8]) {
    let disk = file(data);
    for partition in read_partitions(&disk).unwrap_or_default() {
        let end = partition.start_bytes + partition.len_bytes;
        assert!(end <= disk.len_bytes(), "a partition behind the end");
    }
    for entry in read_mbr(&disk).unwrap_or_default() {
        let end = entry.start_bytes + entry.len_bytes;
        assert!(end <= disk.len_bytes(), "an MBR's partition behind the end");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_disks() {
        let seed = |name: &str| {
            let path = format!("{}/seeds/{name}", env!("CARGO_MANIFEST_DIR"));
            file(&std::fs::read(path).unwrap())
        };
        let mut boot = [0; 11];
        for name in ["vmdk/stream", "vmdk/sparse"] {
            let disk = SparseReader::open(seed(name)).unwrap();
            disk.read_exact_at(0, &mut boot).unwrap();
            assert_eq!(&boot, b"boot sector", "{name}");
        }
        for name in ["vhd/fixed", "vhd/dynamic"] {
            let disk = VhdReader::open(seed(name)).unwrap();
            disk.read_exact_at(0, &mut boot).unwrap();
            assert_eq!(&boot, b"boot sector", "{name}");
        }
        let volume = seed("fat/boot");
        let entries = FatReader::open(&volume)
            .unwrap()
            .entries(Limits::default())
            .unwrap();
        assert_eq!(entries.len(), 5);
        let partitions = read_partitions(&seed("gpt/data")).unwrap();
        assert_eq!(partitions.len(), 2);
        for (name, files) in [("iso/tree", 7), ("iso/hybrid", 8)] {
            let volume = seed(name);
            let reader = IsoReader::open(&volume).unwrap();
            let entries = reader.entries(Names::RockRidge, iso::Limits::default());
            assert_eq!(entries.unwrap().len(), files, "{name}");
        }
        let disk = Qcow2Reader::open(seed("qcow2/compressed")).unwrap();
        disk.read_exact_at(0, &mut boot).unwrap();
        assert_eq!(&boot, b"boot sector");
    }
}
