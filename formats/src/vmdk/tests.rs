use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::format::{FLAG_COMPRESSED, FLAG_MARKERS, FLAG_NEW_LINE_TEST, Header, MAGIC};
use super::*;
use crate::payload::{Extents, FilePayload, Payload};
use crate::testing::{awkward_disk, noise, qemu_img, raw_file, same_content, text};

/// Whole grains, so that other programs see the same length.
const LEN_BYTES: u64 = 100 << 20;

fn options() -> Options {
    Options::new(DiskId(*b"0123456789abcdef"), "disk.vmdk")
}

fn stream(disk: &dyn Payload) -> Vec<u8> {
    let mut out = Vec::new();
    let bytes = write_stream_optimized(&mut out, disk, &options()).unwrap();
    assert_eq!(bytes, out.len() as u64);
    out
}

fn sparse(disk: &dyn Payload) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let bytes = write_monolithic_sparse(&mut out, disk, &options()).unwrap();
    assert_eq!(bytes, out.get_ref().len() as u64);
    out.into_inner()
}

#[test]
fn disks_come_back_through_our_reader() {
    for len_bytes in [LEN_BYTES, LEN_BYTES + 1, LEN_BYTES + 70_000, 200 << 20] {
        let disk = awkward_disk(len_bytes);
        for image in [stream(&disk), sparse(&disk)] {
            let reader = SparseReader::open(image).unwrap();
            assert_eq!(reader.len_bytes(), len_bytes.next_multiple_of(65_536));
            assert!(same_content(&reader, &disk), "{len_bytes}");
        }
    }
}

#[test]
fn qemu_img_reads_the_same_disks() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (raw, vmdk, back) = (path("disk.raw"), path("disk.vmdk"), path("back.raw"));
    for len_bytes in [LEN_BYTES, 200 << 20] {
        let disk = awkward_disk(len_bytes);
        raw_file(&disk, Path::new(&raw));
        for (kind, image) in [
            ("streamOptimized", stream(&disk)),
            ("monolithicSparse", sparse(&disk)),
        ] {
            std::fs::write(&vmdk, image).unwrap();
            let Some(info) = qemu_img(&["info", "-f", "vmdk", &vmdk]) else {
                return;
            };
            assert!(info.contains(&format!("create type: {kind}")), "{info}");
            assert!(info.contains(&format!("({len_bytes} bytes)")), "{info}");
            qemu_img(&["check", "-f", "vmdk", &vmdk]);
            qemu_img(&["compare", "-f", "vmdk", "-F", "raw", &vmdk, &raw]);
            qemu_img(&["convert", "-f", "vmdk", "-O", "raw", &vmdk, &back]);
            let back = FilePayload::new(std::fs::File::open(&back).unwrap()).unwrap();
            assert!(same_content(&back, &disk), "{kind}");
        }
    }
}

#[test]
fn qemu_img_s_own_disks_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (raw, vmdk) = (path("disk.raw"), path("disk.vmdk"));
    let disk = awkward_disk(LEN_BYTES);
    raw_file(&disk, Path::new(&raw));
    for kind in ["monolithicSparse", "streamOptimized"] {
        let subformat = format!("subformat={kind}");
        let arguments = [
            "convert", "-f", "raw", "-O", "vmdk", "-o", &subformat, &raw, &vmdk,
        ];
        if qemu_img(&arguments).is_none() {
            return;
        }
        let reader = SparseReader::open(std::fs::read(&vmdk).unwrap()).unwrap();
        assert!(reader.descriptor().contains(kind));
        assert!(same_content(&reader, &disk), "{kind}");
    }
}

#[test]
fn the_stream_is_what_esxi_wants() {
    let image = stream(&awkward_disk(LEN_BYTES));
    let header = Header::decode(image[..512].try_into().unwrap()).unwrap();
    assert_eq!(image[..4], MAGIC.to_le_bytes());
    assert_eq!(header.version, 3);
    assert_eq!(
        header.flags,
        FLAG_NEW_LINE_TEST | FLAG_COMPRESSED | FLAG_MARKERS
    );
    assert_eq!(header.flags, 0x3_0001);
    assert_eq!(header.grain_sectors, 128);
    assert_eq!(
        header.directory_sector,
        u64::MAX,
        "the directory is at the end"
    );
    let footer = image.len() - 1024;
    let footer = Header::decode(image[footer..footer + 512].try_into().unwrap()).unwrap();
    assert!(footer.directory_sector * 512 < image.len() as u64);
    assert_eq!(
        Header {
            directory_sector: u64::MAX,
            ..footer
        },
        header
    );
    assert!(image[image.len() - 512..].iter().all(|&byte| byte == 0));
    let reader = SparseReader::open(image).unwrap();
    let expected = "# Disk DescriptorFile\n\
        version=1\n\
        CID=30313233\n\
        parentCID=ffffffff\n\
        createType=\"streamOptimized\"\n\
        \n\
        # Extent description\n\
        RDONLY 204800 SPARSE \"disk.vmdk\"\n\
        \n\
        # The Disk Data Base\n\
        #DDB\n\
        \n\
        ddb.adapterType = \"lsilogic\"\n\
        ddb.geometry.cylinders = \"12\"\n\
        ddb.geometry.heads = \"255\"\n\
        ddb.geometry.sectors = \"63\"\n\
        ddb.longContentID = \"34353637383961626364656630313233\"\n\
        ddb.virtualHWVersion = \"13\"\n";
    assert_eq!(reader.descriptor(), expected);
}

/// An independent reader of VMware's disks, in Python.
#[test]
fn dissect_reads_the_stream() {
    let Some(python) = testdata::judge_python() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let disk = awkward_disk(LEN_BYTES);
    for image in [stream(&disk), sparse(&disk)] {
        let path = folder.path().join("disk.vmdk");
        std::fs::write(&path, image).unwrap();
        let script = "
import sys, zlib
from dissect.hypervisor.disk.vmdk import VMDK
with open(sys.argv[1], 'rb') as f:
    disk = VMDK(f)
    disk = disk.open() if hasattr(disk, 'open') else disk
    total, crc = 0, 0
    while piece := disk.read(1 << 20):
        total += len(piece); crc = zlib.crc32(piece, crc)
    print(total, crc)
";
        let output = Command::new(&python)
            .args(["-c", script])
            .arg(&path)
            .output()
            .unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaints}");
        let crc = crate::payload::crc32(&disk).unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed.trim(), format!("{LEN_BYTES} {crc}"));
    }
}

#[test]
fn a_flat_pair_is_read_by_qemu_img() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("disk-flat.vmdk");
    let descriptor = folder.path().join("disk.vmdk");
    let disk = awkward_disk(LEN_BYTES);
    raw_file(&disk, &raw);
    let mut text = Vec::new();
    let options = Options::new(options().id, "disk-flat.vmdk");
    write_flat(&mut text, LEN_BYTES, &options).unwrap();
    assert!(String::from_utf8_lossy(&text).contains("RW 204800 VMFS \"disk-flat.vmdk\"\n"));
    std::fs::write(&descriptor, text).unwrap();
    let (descriptor, raw) = (descriptor.to_str().unwrap(), raw.to_str().unwrap());
    qemu_img(&["compare", "-f", "vmdk", "-F", "raw", descriptor, raw]);
    assert!(write_flat(&mut Vec::new(), 1000, &options).is_err());
}

#[test]
fn the_number_of_threads_does_not_show() {
    let disk = awkward_disk(LEN_BYTES);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| (stream(&disk), sparse(&disk)))
    };
    let one = with(1);
    for threads in [2, 5] {
        assert!(with(threads) == one, "{threads} threads");
    }
}

#[test]
fn what_does_not_compress_is_stored_within_one_and_a_half_percent() {
    let mut disk = Extents::new(16 << 20);
    disk.place(0, noise(16 << 20)).unwrap();
    let image = stream(&disk);
    let most = (16 << 20) + (16 << 20) * 3 / 200;
    assert!(image.len() < most, "{} bytes", image.len());
    let mut disk = Extents::new(16 << 20);
    disk.place(0, "compressible text ".repeat(900_000).into_bytes())
        .unwrap();
    assert!(stream(&disk).len() < 1 << 20);
}

#[test]
fn zeros_take_no_room() {
    let empty = Extents::new(1 << 40);
    // Header, descriptor, padding, directory, footer and three markers.
    assert_eq!(stream(&empty).len(), 65_536 + 131_072 + 4 * 512);
    let sparse = sparse(&Extents::new(1 << 30));
    assert_eq!(sparse.len() as u64 % 65_536, 0);
    assert!(same_content(
        &SparseReader::open(sparse).unwrap(),
        &Extents::new(1 << 30)
    ));
}

#[test]
fn a_disk_that_vmware_can_t_hold_is_an_error() {
    let disk = Extents::new((62 << 40) + 1);
    let error = write_stream_optimized(Vec::new(), &disk, &options()).unwrap_err();
    assert!(matches!(error, ImageError::TooLarge { .. }), "{error}");
    let long = Options::new(options().id, "x".repeat(20_000));
    let error = write_stream_optimized(Vec::new(), &Extents::new(1 << 20), &long).unwrap_err();
    assert!(matches!(error, ImageError::Write(_)), "{error}");
}

#[test]
fn damaged_disks_are_errors() {
    let disk = awkward_disk(LEN_BYTES);
    let image = stream(&disk);
    let open = |image: Vec<u8>| SparseReader::open(image).map(drop);
    for cut in [0, 511, 512, image.len() / 2, image.len() - 512] {
        assert!(open(image[..cut].to_vec()).is_err(), "{cut} bytes");
    }
    // Each marker, length and stream of a grain is checked.
    let first_grain = 65_536;
    for at in [first_grain, first_grain + 8, first_grain + 12 + 5] {
        let mut damaged = image.clone();
        damaged[at] ^= 0x55;
        let reader = SparseReader::open(damaged).unwrap();
        assert!(reader.read_exact_at(0, &mut [0; 512]).is_err(), "byte {at}");
    }
    let mut as_text = image;
    as_text[74] = b'\n';
    let error = open(as_text).unwrap_err();
    assert!(matches!(error.kind, ReadErrorKind::Header), "{error}");
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
        for image in [stream(&disk), sparse(&disk)] {
            let reader = SparseReader::open(image).unwrap();
            prop_assert!(same_content(&reader, &disk));
        }
    }

    #[test]
    fn any_bytes_are_no_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        offset in 0u64..10_000,
    ) {
        let mut image = bytes;
        image.splice(0..0, b"KDMV\x01\0\0\0\0\0\0\0".iter().copied());
        if let Ok(reader) = SparseReader::open(image) {
            let _ = reader.read_exact_at(offset, &mut [0; 700]);
        }
    }
}
