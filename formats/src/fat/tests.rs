use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use testdata::judge;

use super::*;
use crate::payload::{Extents, Payload};
use crate::testing::{noise, raw_file, text};

fn options(least_bytes: u64) -> VolumeOptions {
    VolumeOptions {
        label: "lkbuild".to_owned(),
        id: 0x1234_abcd,
        least_bytes,
    }
}

fn volume(files: &[(&str, Vec<u8>)], least_bytes: u64) -> (Extents, Vec<u64>) {
    let specs: Vec<_> = files
        .iter()
        .map(|(path, body)| FileSpec {
            path: (*path).to_owned(),
            len_bytes: body.len() as u64,
        })
        .collect();
    let plan = FatVolume::plan(&options(least_bytes), &specs).unwrap();
    let starts = specs
        .iter()
        .map(|file| plan.file_start_bytes(&file.path).unwrap())
        .collect();
    let bodies = files.iter().map(|(_, body)| body.clone());
    (plan.fill_with(bodies).unwrap(), starts)
}

fn boot_files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("EFI/BOOT/BOOTX64.EFI", text(9_000)),
        ("kernel", noise(3_000_001)),
        ("initrd.img", text(5_000_000)),
        ("cmdline", b"console=ttyS0".to_vec()),
        ("empty", Vec::new()),
        ("EFI/lkbuild/A rather long name.txt", b"long".to_vec()),
    ]
}

fn in_file(volume: &Extents) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    raw_file(volume, file.path());
    file
}

fn run(program: &str, arguments: &[&str], image: &Path) -> Option<Vec<u8>> {
    let output = Command::new(judge(program)?)
        .args(arguments)
        .env("MTOOLS_SKIP_CHECK", "0")
        .args(match program {
            "fsck.fat" => vec![image.as_os_str()],
            _ => Vec::new(),
        })
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{program}: {printed}{complaints}"
    );
    Some(output.stdout)
}

/// FAT12, FAT16 and FAT32 by their length.
const LENGTHS: [u64; 4] = [0, 64 << 20, 300 << 20, 700 << 20];

#[test]
fn fsck_finds_nothing_to_mend() {
    for least_bytes in LENGTHS {
        let (volume, _) = volume(&boot_files(), least_bytes);
        let file = in_file(&volume);
        let Some(report) = run("fsck.fat", &["-n", "-v"], file.path()) else {
            return;
        };
        let report = String::from_utf8_lossy(&report).into_owned();
        for complaint in ["rong", "orrect", "differ", "dirty", "Bad", "uninitialized"] {
            assert!(!report.contains(complaint), "{report}");
        }
        // Six files, three folders and the label.
        assert!(report.contains(": 10 files, "), "{report}");
    }
    let (volume, _) = volume(&[("EFI/BOOT/BOOTX64.EFI", text(600))], 0);
    run("fsck.fat", &["-n"], in_file(&volume).path());
}

#[test]
fn mtools_reads_the_same_files() {
    for least_bytes in LENGTHS {
        let (volume, _) = volume(&boot_files(), least_bytes);
        let file = in_file(&volume);
        let image = file.path().to_str().unwrap();
        for (path, body) in boot_files() {
            let inner = format!("::{path}");
            let Some(read) = run("mtype", &["-i", image, &inner], file.path()) else {
                return;
            };
            assert!(read == body, "{path}");
        }
    }
}

#[test]
fn files_are_where_they_were_planned() {
    for least_bytes in LENGTHS {
        let files = boot_files();
        let (volume, starts) = volume(&files, least_bytes);
        assert!(volume.len_bytes() >= least_bytes);
        let reader = FatReader::open(&volume).unwrap();
        assert_eq!(reader.data_start_bytes() % 2048, 0);
        let entries = reader.entries(Limits::default()).unwrap();
        for ((path, body), start) in files.iter().zip(starts) {
            assert_eq!(start % 2048, 0, "{path}");
            let mut read = vec![0; body.len()];
            volume.read_exact_at(start, &mut read).unwrap();
            assert!(read == *body, "{path}");
            let entry = entries.iter().find(|entry| entry.path == *path).unwrap();
            assert_eq!(entry.len_bytes, body.len() as u64);
            assert_eq!(entry.extents.len(), usize::from(!body.is_empty()));
        }
        assert_eq!(entries.iter().filter(|entry| entry.is_folder).count(), 3);
    }
}

#[test]
fn a_large_file_is_planned_without_its_bytes() {
    let spec = FileSpec {
        path: "initrd.img".to_owned(),
        len_bytes: 300 << 20,
    };
    let plan = FatVolume::plan(&options(0), &[spec]).unwrap();
    assert!(plan.len_bytes() < 308 << 20, "{}", plan.len_bytes());
    let volume = plan.fill_with([Extents::new(300 << 20)]).unwrap();
    run("fsck.fat", &["-n"], in_file(&volume).path());
}

#[test]
fn the_same_plan_is_the_same_bytes() {
    let (one, _) = volume(&boot_files(), 0);
    let (two, _) = volume(&boot_files(), 0);
    assert_eq!(
        crate::payload::crc32(&one).unwrap(),
        crate::payload::crc32(&two).unwrap()
    );
}

#[test]
fn what_does_not_fit_is_an_error() {
    let large = FileSpec {
        path: "large".to_owned(),
        len_bytes: 4 << 30,
    };
    let error = FatVolume::plan(&options(0), &[large]).unwrap_err();
    assert!(matches!(error, FatError::FileTooLarge { .. }), "{error}");
    let label = VolumeOptions {
        label: "much too long".to_owned(),
        ..options(0)
    };
    let error = FatVolume::plan(&label, &[]).unwrap_err();
    assert!(matches!(error, FatError::Label { .. }), "{error}");
    let spec = FileSpec {
        path: "file".to_owned(),
        len_bytes: 5,
    };
    let plan = || FatVolume::plan(&options(0), std::slice::from_ref(&spec)).unwrap();
    assert!(plan().fill_with([vec![1; 4]]).is_err());
    assert!(plan().fill_with([vec![1; 5], vec![]]).is_err());
    assert!(plan().fill_with(Vec::<Vec<u8>>::new()).is_err());
    assert!(plan().fill_with([vec![1; 5]]).is_ok());
}

#[test]
fn damaged_volumes_are_errors() {
    let (volume, _) = volume(&boot_files(), 0);
    let mut bytes = vec![0; usize::try_from(volume.len_bytes()).unwrap()];
    volume.read_exact_at(0, &mut bytes).unwrap();
    let open = |bytes: &Vec<u8>| {
        FatReader::open(bytes).and_then(|reader| reader.entries(Limits::default()))
    };
    assert_eq!(open(&bytes).unwrap().len(), 9);
    // Sector and cluster size, number of tables, magic.
    for at in [12, 13, 16, 510] {
        let mut damaged = bytes.clone();
        damaged[at] = 0;
        assert!(open(&damaged).is_err(), "byte {at}");
    }
    let few = Limits {
        entries: 8,
        ..Limits::default()
    };
    let error = FatReader::open(&bytes).unwrap().entries(few).unwrap_err();
    assert!(matches!(error.kind, ReadErrorKind::Limit { .. }), "{error}");
    // The first table starts behind the boot sector: every chain now ends too early.
    let mut damaged = bytes.clone();
    damaged[512 + 3..512 * 4].fill(0xff);
    assert!(open(&damaged).is_err());
    bytes.truncate(1 << 20);
    assert!(open(&bytes).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_files_come_back(
        lengths in prop::collection::vec(0usize..200_000, 1..12),
        least_mib in 0u64..80,
    ) {
        let names: Vec<_> = (0..lengths.len())
            .map(|n| match n % 3 {
                0 => format!("FILE{n}.BIN"),
                1 => format!("folder {}/a longer name {n}", n % 4),
                _ => format!("A/B/C/{n}"),
            })
            .collect();
        let files: Vec<_> = names
            .iter()
            .map(String::as_str)
            .zip(lengths.iter().map(|&len| text(len)))
            .collect();
        let (volume, starts) = volume(&files, least_mib << 20);
        for ((path, body), start) in files.iter().zip(starts) {
            let mut read = vec![0; body.len()];
            volume.read_exact_at(start, &mut read).unwrap();
            prop_assert!(read == *body, "{}", path);
        }
    }

    #[test]
    fn any_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 600..4000)) {
        let mut bytes = bytes;
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        bytes[11..17].copy_from_slice(&[0, 2, 1, 1, 0, 1]);
        bytes[18..24].copy_from_slice(&[0, 7, 0, 0xf8, 1, 0]);
        bytes[17] = 16;
        if let Ok(reader) = FatReader::open(&bytes) {
            let _ = reader.entries(Limits::default());
        }
    }
}
