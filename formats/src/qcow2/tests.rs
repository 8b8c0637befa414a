use std::io::Cursor;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::payload::{Extents, FilePayload, Payload};
use crate::testing::{awkward_disk, noise, qemu_img, raw_file, same_content, text};

const LEN_BYTES: u64 = 100 << 20;

fn image(disk: &dyn Payload) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let bytes = write_qcow2(&mut out, disk).unwrap();
    assert_eq!(bytes, out.get_ref().len() as u64);
    out.into_inner()
}

#[test]
fn disks_come_back_through_our_reader() {
    for len_bytes in [LEN_BYTES, LEN_BYTES + 1, 530 << 20] {
        let disk = awkward_disk(len_bytes);
        let reader = Qcow2Reader::open(image(&disk)).unwrap();
        assert_eq!(reader.len_bytes(), len_bytes.next_multiple_of(512));
        assert!(same_content(&reader, &disk), "{len_bytes}");
    }
}

#[test]
fn qemu_img_finds_no_fault_and_the_same_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (raw, qcow2, back) = (path("disk.raw"), path("disk.qcow2"), path("back.raw"));
    for len_bytes in [LEN_BYTES, 530 << 20] {
        let disk = awkward_disk(len_bytes);
        raw_file(&disk, Path::new(&raw));
        std::fs::write(&qcow2, image(&disk)).unwrap();
        let Some(report) = qemu_img(&["check", "-f", "qcow2", &qcow2]) else {
            return;
        };
        assert!(
            report.starts_with("No errors were found on the image."),
            "{report}"
        );
        qemu_img(&["compare", "-f", "qcow2", "-F", "raw", &qcow2, &raw]);
        qemu_img(&["convert", "-f", "qcow2", "-O", "raw", &qcow2, &back]);
        let back = FilePayload::new(std::fs::File::open(&back).unwrap()).unwrap();
        assert!(same_content(&back, &disk), "{len_bytes}");
    }
}

#[test]
fn qemu_img_s_own_disks_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (raw, qcow2) = (path("disk.raw"), path("disk.qcow2"));
    let disk = awkward_disk(LEN_BYTES);
    raw_file(&disk, Path::new(&raw));
    for options in [&["-c"][..], &["-o", "compat=0.10"], &["-o", "compat=1.1"]] {
        let convert = ["convert", "-f", "raw", "-O", "qcow2"];
        let arguments = [&convert[..], options, &[&raw, &qcow2]].concat();
        if qemu_img(&arguments).is_none() {
            return;
        }
        let reader = Qcow2Reader::open(std::fs::read(&qcow2).unwrap()).unwrap();
        assert!(same_content(&reader, &disk), "{options:?}");
    }
}

#[test]
fn the_number_of_threads_does_not_show() {
    let disk = awkward_disk(LEN_BYTES);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| image(&disk))
    };
    assert!(with(1) == with(3));
}

#[test]
fn what_compresses_is_compressed_and_the_rest_is_stored() {
    let mut disk = Extents::new(16 << 20);
    disk.place(0, "compressible text ".repeat(900_000).into_bytes())
        .unwrap();
    assert!(image(&disk).len() < 1 << 20);
    let mut disk = Extents::new(16 << 20);
    disk.place(0, noise(16 << 20)).unwrap();
    // Header, L2, L1, refcount block and table.
    assert_eq!(image(&disk).len(), (16 << 20) + 5 * 65_536);
    assert_eq!(image(&Extents::new(1 << 40)).len(), 4 * 65_536);
}

#[test]
fn a_disk_that_qemu_can_t_hold_is_an_error() {
    let error = write_qcow2(Cursor::new(Vec::new()), &Extents::new(1 << 62)).unwrap_err();
    assert!(matches!(error, ImageError::TooLarge { .. }), "{error}");
}

#[test]
fn damaged_disks_are_errors() {
    let image = image(&awkward_disk(LEN_BYTES));
    let open = |image: Vec<u8>| Qcow2Reader::open(image).map(drop);
    for (at, value) in [
        (0, 0),
        (7, 9),
        (15, 1),
        (23, 17),
        (35, 1),
        (39, 0),
        (79, 1),
        (40, 0xff),
    ] {
        let mut damaged = image.clone();
        damaged[at] = value;
        assert!(open(damaged).is_err(), "byte {at}");
    }
    assert!(open(image[..100].to_vec()).is_err());
    let reader = Qcow2Reader::open(image.clone()).unwrap();
    reader.read_exact_at(0, &mut [0; 512]).unwrap();
    // The first cluster is compressed and starts behind the header.
    let mut damaged = image;
    damaged[65_536] ^= 0x06;
    let reader = Qcow2Reader::open(damaged).unwrap();
    assert!(reader.read_exact_at(0, &mut [0; 512]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_disk_comes_back(
        places in prop::collection::vec((0u64..40_000_000, 1usize..200_000, any::<bool>()), 0..8),
        len_bytes in 41_000_000u64..120_000_000,
    ) {
        let mut disk = Extents::new(len_bytes);
        for (start, bytes, random) in places {
            // Those that overlap are left out.
            let _ = disk.place(start, if random { noise(bytes) } else { text(bytes) });
        }
        let reader = Qcow2Reader::open(image(&disk)).unwrap();
        prop_assert!(same_content(&reader, &disk));
    }
}
