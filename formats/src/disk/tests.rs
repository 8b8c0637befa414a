use std::path::Path;

use proptest::prelude::*;

use super::format::TYPE_ESP;
use super::*;
use crate::fat::{FatReader, FatVolume, FileSpec, Limits, VolumeOptions};
use crate::payload::{Extents, Payload};
use crate::testing::{judged, noise, raw_file, text};

const ID: [u8; 16] = *b"0123456789abcdef";

fn esp() -> Extents {
    let files = [
        ("EFI/BOOT/BOOTX64.EFI", text(9000)),
        ("initrd.img", noise(3 << 20)),
    ];
    let specs = files.clone().map(|(path, body)| FileSpec {
        path: path.to_owned(),
        len_bytes: body.len() as u64,
    });
    let options = VolumeOptions {
        label: "ESP".to_owned(),
        id: 1,
        least_bytes: 0,
    };
    let plan = FatVolume::plan(&options, &specs).unwrap();
    plan.fill_with(files.map(|(_, body)| body)).unwrap()
}

fn options() -> DiskOptions {
    DiskOptions {
        id: ID,
        bios: None,
        data_bytes: 0,
        least_bytes: 0,
    }
}

fn with_everything() -> DiskOptions {
    DiskOptions {
        bios: Some(BiosLoader {
            mbr: [0x90; 440],
            loader: vec![0xf4; 4096],
        }),
        data_bytes: (20 << 20) + 1,
        least_bytes: 100_000_000,
        ..options()
    }
}

fn in_file(disk: &Disk) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    raw_file(&disk.content, file.path());
    file
}

fn run(program: &str, arguments: &[&str], file: &Path) -> Option<String> {
    let arguments = [arguments, &[file.to_str().unwrap()]].concat();
    judged(program, &arguments, Path::new("/"))
}

#[test]
fn sgdisk_finds_no_problem() {
    for options in [options(), with_everything()] {
        let disk = build(esp(), &options).unwrap();
        let file = in_file(&disk);
        let Some(report) = run("sgdisk", &["-v"], file.path()) else {
            return;
        };
        assert!(report.contains("No problems found."), "{report}");
        // Of an active protective entry it warns, which a BIOS may want.
        let warnings = report.matches("Warning").count();
        assert_eq!(warnings, usize::from(options.bios.is_some()), "{report}");
        for complaint in ["Caution", "Problem:", "not aligned"] {
            assert!(!report.contains(complaint), "{report}");
        }
        let list = run("sgdisk", &["-p"], file.path()).unwrap();
        assert!(list.contains("EF00  EFI system"), "{list}");
        assert_eq!(
            list.contains("8300  data"),
            options.data_bytes > 0,
            "{list}"
        );
        let guid = "30313233-3435-8637-B839-616263646566";
        assert!(list.contains(guid), "{list}");
    }
}

#[test]
fn the_partition_is_the_volume() {
    let disk = build(esp(), &with_everything()).unwrap();
    let esp = esp();
    let mut ours = vec![0; usize::try_from(esp.len_bytes()).unwrap()];
    let mut theirs = ours.clone();
    disk.content
        .read_exact_at(ESP_START_BYTES, &mut ours)
        .unwrap();
    esp.read_exact_at(0, &mut theirs).unwrap();
    assert!(ours == theirs);
    let entries = FatReader::open(&ours)
        .unwrap()
        .entries(Limits::default())
        .unwrap();
    assert_eq!(entries.len(), 4);
}

#[test]
fn loader_table_and_partitions_are_where_they_belong() {
    let disk = build(esp(), &with_everything()).unwrap();
    let len_bytes = disk.content.len_bytes();
    assert_eq!(len_bytes, 96 << 20, "at least 100 MB, in whole MiB");
    let mut start = vec![0; 1 << 20];
    disk.content.read_exact_at(0, &mut start).unwrap();
    assert_eq!(start[..440], [0x90; 440]);
    assert_eq!(start[440..444], ID[..4]);
    assert_eq!(start[446], 0x80, "the protective entry is active");
    assert_eq!(start[450], 0xee);
    assert_eq!(start[36 * 512..44 * 512], [0xf4; 4096]);
    let [esp_part, data] = &disk.partitions[..] else {
        panic!("{:?}", disk.partitions);
    };
    assert_eq!(esp_part.start_bytes, 1 << 20);
    assert_eq!(data.start_bytes, esp_part.start_bytes + esp_part.len_bytes);
    assert_eq!(data.len_bytes, 21 << 20);
    let read = read_partitions(&disk.content).unwrap();
    assert_eq!(read.len(), 2);
    assert!(read[0].is_esp() && !read[1].is_esp());
    assert_eq!(read[0].type_guid, TYPE_ESP);
    for (read, made) in read.iter().zip(&disk.partitions) {
        assert_eq!(read.name, made.name);
        assert_eq!(read.start_bytes, made.start_bytes);
        assert_eq!(read.len_bytes, made.len_bytes);
    }
    let without = build(esp(), &options()).unwrap();
    let mut mbr = [0; 512];
    without.content.read_exact_at(0, &mut mbr).unwrap();
    assert_eq!(mbr[446], 0, "nothing to boot on a BIOS");
}

#[test]
fn the_same_input_is_the_same_disk_and_another_id_is_not() {
    let crc = |options: &DiskOptions| {
        crate::payload::crc32(&build(esp(), options).unwrap().content).unwrap()
    };
    assert_eq!(crc(&with_everything()), crc(&with_everything()));
    let other = DiskOptions {
        id: [9; 16],
        ..with_everything()
    };
    assert_ne!(crc(&with_everything()), crc(&other));
}

#[test]
fn a_loader_that_is_too_long_is_an_error() {
    let options = DiskOptions {
        bios: Some(BiosLoader {
            mbr: [0; 440],
            loader: vec![1; 1 << 20],
        }),
        ..options()
    };
    let error = build(esp(), &options).unwrap_err();
    assert!(matches!(error, DiskError::LoaderTooLarge { .. }), "{error}");
}

#[test]
fn a_disk_that_was_cut_in_its_empty_end_is_an_error() {
    let disk = build(esp(), &with_everything()).unwrap();
    let mut bytes = vec![0; usize::try_from(disk.content.len_bytes()).unwrap()];
    disk.content.read_exact_at(0, &mut bytes).unwrap();
    assert!(read_partitions(&bytes).is_ok());
    bytes.truncate(bytes.len() - 512);
    let error = read_partitions(&bytes).unwrap_err().to_string();
    assert!(error.contains("it was cut"), "{error}");
}

#[test]
fn damaged_tables_are_errors() {
    let disk = build(esp(), &with_everything()).unwrap();
    let mut start = vec![0; 1 << 20];
    disk.content.read_exact_at(0, &mut start).unwrap();
    // MBR magic and type; header magic, checksum, entries; an entry's start.
    for at in [511, 450, 512, 512 + 17, 512 + 80, 1024 + 32] {
        let mut damaged = start.clone();
        damaged[at] ^= 1;
        damaged.resize(96 << 20, 0);
        assert!(read_partitions(&damaged).is_err(), "byte {at}");
    }
    // A partition beyond the end, of a table that takes the disk to be as short as it is.
    start[512 + 32..512 + 40].copy_from_slice(&1_u64.to_le_bytes());
    start[512 + 16..512 + 20].fill(0);
    let checksum = crc32fast::hash(&start[512..512 + 92]);
    start[512 + 16..512 + 20].copy_from_slice(&checksum.to_le_bytes());
    let error = read_partitions(&start).unwrap_err();
    assert!(
        matches!(error.kind, ReadErrorKind::Partition { number: 1 }),
        "{error}"
    );
    assert!(read_partitions(&start[..600].to_vec()).is_err());
}

/// The first sector of a disk of 64 MiB, the rest of which is empty, with entries of an MBR.
fn with_mbr(entries: &[(u8, u8, u32, u32)]) -> Extents {
    let mut mbr = vec![0; 512];
    mbr[510..].copy_from_slice(&[0x55, 0xaa]);
    for (slot, (flag, type_id, start, len)) in mbr[446..510].chunks_exact_mut(16).zip(entries) {
        (slot[0], slot[4]) = (*flag, *type_id);
        slot[8..12].copy_from_slice(&start.to_le_bytes());
        slot[12..].copy_from_slice(&len.to_le_bytes());
    }
    let mut disk = Extents::new(64 << 20);
    disk.place(0, mbr).unwrap();
    disk
}

#[test]
fn a_disk_without_a_gpt_is_told_from_one_that_lost_its_mbr() {
    let kind = |disk: &dyn Payload| read_partitions(disk).unwrap_err().kind;
    let empty = Extents::new(64 << 20);
    assert!(matches!(kind(&empty), ReadErrorKind::NoGpt));
    assert!(matches!(kind(&vec![0; 512]), ReadErrorKind::NoGpt));
    let mbr = with_mbr(&[(0x80, 0x0c, 2048, 100_000)]);
    assert!(matches!(kind(&mbr), ReadErrorKind::NoGpt));
    // The table alone is left, or its copy at the end.
    let disk = build(esp(), &with_everything()).unwrap().content;
    let mut bytes = vec![0; usize::try_from(disk.len_bytes()).unwrap()];
    disk.read_exact_at(0, &mut bytes).unwrap();
    for wiped in [512, 1 << 20] {
        bytes[..wiped].fill(0);
        assert!(matches!(kind(&bytes), ReadErrorKind::Mbr), "{wiped}");
    }
}

#[test]
fn a_gpt_that_was_left_beside_an_mbr_counts_as_none() {
    let kind = |disk: &dyn Payload| read_partitions(disk).unwrap_err().kind;
    let len_bytes = 64 << 20;
    let with_copy = |entry| {
        let mut disk = with_mbr(&[entry]);
        disk.place(len_bytes - 512, b"EFI PART".to_vec()).unwrap();
        disk
    };
    let partition = with_copy((0x80, 0x0c, 2048, 100_000));
    assert!(matches!(kind(&partition), ReadErrorKind::NoGpt));
    // What protects a GPT, with a wrong type, and an entry that makes no sense.
    for entry in [(0, 0xef, 1, 131_071), (0, 0x0c, 2048, 200_000)] {
        let disk = with_copy(entry);
        assert!(matches!(kind(&disk), ReadErrorKind::Mbr), "{entry:?}");
    }
}

#[test]
fn the_entries_of_an_mbr_are_read_where_they_make_sense() {
    let read = |entries: &[_]| read_mbr(&with_mbr(entries)).unwrap();
    let (active, other) = ((0x80, 0x0c, 2048, 100_000), (0, 0x83, 102_048, 29_024));
    let expected = |number, type_id, is_active, start: u64, len: u64| MbrEntry {
        number,
        type_id,
        is_active,
        start_bytes: start * 512,
        len_bytes: len * 512,
    };
    let first = expected(1, 0x0c, true, 2048, 100_000);
    assert_eq!(read(&[active]), std::slice::from_ref(&first));
    let third = expected(3, 0x83, false, 102_048, 29_024);
    assert_eq!(read(&[active, (0, 0, 0, 0), other]), [first, third]);
    // Past the end, empty, at the MBR itself, and with a flag that there is not.
    for wrong in [
        (0, 0x83, 102_048, 29_025),
        (0, 0x83, 2048, 0),
        (0, 0x83, 0, 2048),
        (0x20, 0x83, 2048, 2048),
    ] {
        assert_eq!(read(&[active, wrong]), [], "{wrong:?}");
    }
    assert_eq!(read_mbr(&Extents::new(1 << 20)).unwrap(), []);
    assert!(read_mbr(&vec![0; 511]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_sizes_make_a_good_table(
        esp_bytes in 1u64..500_000_000,
        data_bytes in prop_oneof![Just(0u64), 1u64..(1 << 42)],
        least_bytes in 0u64..(1 << 43),
    ) {
        let options = DiskOptions { data_bytes, least_bytes, ..options() };
        let disk = build(Extents::new(esp_bytes), &options).unwrap();
        prop_assert!(disk.content.len_bytes() >= least_bytes);
        prop_assert_eq!(disk.content.len_bytes() % (1 << 20), 0);
        let read = read_partitions(&disk.content).unwrap();
        prop_assert_eq!(read.len(), disk.partitions.len());
        prop_assert!(read[0].len_bytes >= esp_bytes);
    }
}
