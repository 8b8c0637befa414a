use std::io::Cursor;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::payload::{Extents, Payload};
use crate::testing::{awkward_disk, noise, qemu_img, raw_file, same_content, text};

const LEN_BYTES: u64 = 100 << 20;
const ID: [u8; 16] = *b"0123456789abcdef";

fn fixed(disk: &dyn Payload) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let bytes = write_fixed(&mut out, disk, ID).unwrap();
    assert_eq!(bytes, out.get_ref().len() as u64);
    out.into_inner()
}

fn dynamic(disk: &dyn Payload) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let bytes = write_dynamic(&mut out, disk, ID).unwrap();
    assert_eq!(bytes, out.get_ref().len() as u64);
    out.into_inner()
}

#[test]
fn disks_come_back_through_our_reader() {
    for len_bytes in [LEN_BYTES, LEN_BYTES + 1, 201 << 20] {
        let disk = awkward_disk(len_bytes);
        for (image, is_dynamic) in [(fixed(&disk), false), (dynamic(&disk), true)] {
            let reader = VhdReader::open(image).unwrap();
            assert_eq!(reader.len_bytes(), len_bytes.next_multiple_of(1 << 20));
            assert_eq!((reader.id(), reader.is_dynamic()), (ID, is_dynamic));
            assert!(same_content(&reader, &disk), "{len_bytes}");
        }
    }
}

#[test]
fn qemu_img_reads_the_same_disks() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (raw, vhd) = (path("disk.raw"), path("disk.vhd"));
    for len_bytes in [LEN_BYTES, 301 << 20] {
        let disk = awkward_disk(len_bytes);
        raw_file(&disk, Path::new(&raw));
        for image in [fixed(&disk), dynamic(&disk)] {
            std::fs::write(&vhd, image).unwrap();
            let Some(info) = qemu_img(&["info", "-f", "vpc", &vhd]) else {
                return;
            };
            assert!(info.contains(&format!("({len_bytes} bytes)")), "{info}");
            qemu_img(&["compare", "-f", "vpc", "-F", "raw", &vhd, &raw]);
        }
    }
}

#[test]
fn qemu_img_s_own_disks_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (raw, vhd) = (path("disk.raw"), path("disk.vhd"));
    let disk = awkward_disk(LEN_BYTES);
    raw_file(&disk, Path::new(&raw));
    for kind in ["fixed", "dynamic"] {
        let options = format!("subformat={kind},force_size=on");
        let arguments = [
            "convert", "-f", "raw", "-O", "vpc", "-o", &options, &raw, &vhd,
        ];
        if qemu_img(&arguments).is_none() {
            return;
        }
        let reader = VhdReader::open(std::fs::read(&vhd).unwrap()).unwrap();
        assert!(same_content(&reader, &disk), "{kind}");
    }
}

#[test]
fn blocks_of_zeros_take_no_room() {
    // Footers, header and a table of 512 entries.
    assert_eq!(dynamic(&Extents::new(1 << 30)).len(), 2 * 512 + 1024 + 2048);
}

#[test]
fn a_disk_that_vhd_can_t_hold_is_an_error() {
    let disk = Extents::new((2040 << 30) + 1);
    for result in [
        write_fixed(Cursor::new(Vec::new()), &disk, ID),
        write_dynamic(Cursor::new(Vec::new()), &disk, ID),
    ] {
        assert!(matches!(result, Err(ImageError::TooLarge { .. })));
    }
}

#[test]
fn damaged_disks_are_errors() {
    let disk = awkward_disk(LEN_BYTES);
    let image = dynamic(&disk);
    let footer = image.len() - 512;
    // The footer at the end, the header behind its copy.
    for at in [footer, footer + 20, footer + 63, footer + 70, 512, 530, 600] {
        let mut damaged = image.clone();
        damaged[at] ^= 4;
        assert!(VhdReader::open(damaged).is_err(), "byte {at}");
    }
    let image = fixed(&disk);
    let without_a_sector = [&image[..1 << 20], &image[(1 << 20) + 512..]].concat();
    let error = VhdReader::open(without_a_sector).map(drop).unwrap_err();
    assert!(
        matches!(error.kind, ReadErrorKind::BeyondEnd { .. }),
        "{error}"
    );
    assert!(VhdReader::open(vec![0; 100]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn any_disk_comes_back(
        places in prop::collection::vec((0u64..40_000_000, 1usize..200_000, any::<bool>()), 0..8),
        len_bytes in 41_000_000u64..60_000_000,
    ) {
        let mut disk = Extents::new(len_bytes);
        for (start, bytes, random) in places {
            // Those that overlap are left out.
            let _ = disk.place(start, if random { noise(bytes) } else { text(bytes) });
        }
        for image in [fixed(&disk), dynamic(&disk)] {
            let reader = VhdReader::open(image).unwrap();
            prop_assert!(same_content(&reader, &disk));
        }
    }
}
