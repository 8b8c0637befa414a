//! Layers that are no part of any image, and what the message says about each.

use testdata::{Compression, Kind, Layer, SparseFormat};

use crate::engine;

fn cases() -> Vec<(&'static str, Vec<Layer>, &'static str)> {
    let layer = Layer::new;
    vec![
        // containerd, TestBreakouts: WhiteoutRootParent, WhiteoutParent, WhiteoutCurrentDirectory.
        (
            "whiteout_of_nothing",
            vec![layer().file("d/.wh.", "")],
            "whiteout without a name",
        ),
        (
            "whiteout_current_directory",
            vec![layer().file("d/.wh..", "")],
            "whiteout without a name",
        ),
        (
            "whiteout_parent",
            vec![layer().file("d/.wh...", "")],
            "whiteout without a name",
        ),
        ("empty_filename", vec![layer().file("", "x")], "empty"),
        ("root_becomes_a_file", vec![layer().file("./", "x")], "root"),
        (
            "root_becomes_a_symlink",
            vec![layer().symlink("a/..", "/etc")],
            "root",
        ),
        (
            "hard_link_to_nothing",
            vec![layer().hardlink("a", "gone")],
            "gone",
        ),
        (
            "hard_link_to_a_folder",
            vec![layer().dir("d", 0o755).hardlink("a", "d")],
            "folder",
        ),
        (
            "hard_link_to_the_root",
            vec![layer().hardlink("a", "/")],
            "folder",
        ),
        (
            "hard_link_out_of_the_root",
            vec![layer().hardlink("a", "../../../etc/passwd")],
            "etc/passwd",
        ),
        (
            "symlinks_in_a_circle",
            vec![layer().symlink("a", "b").symlink("b", "a").file("a/x", "")],
            "too many symlinks",
        ),
        (
            "symlink_to_nothing",
            vec![layer().symlink("a", "")],
            "a symlink to nothing",
        ),
        (
            "unknown_type",
            vec![layer().entry("a", Kind::Raw(b'Z', b"x".to_vec()))],
            "unknown tar entry type",
        ),
        (
            "name_with_a_nul_byte",
            vec![layer().file("a", "x").pax("path", "a\0b")],
            "NUL",
        ),
        (
            "wrong_checksum",
            vec![layer().file("a", "x").wrong_checksum()],
            "checksum",
        ),
        (
            "size_beyond_the_end",
            vec![layer().file("a", "x").size_field(1 << 20)],
            "cut short",
        ),
        (
            "size_beyond_everything",
            vec![layer().file("a", "x").size_field(u64::MAX / 2)],
            "",
        ),
        (
            "path_beyond_the_limit",
            vec![layer().file("d/".repeat(3000) + "f", "x")],
            "max-path-bytes",
        ),
        (
            "records_beyond_the_limit",
            vec![layer().file("a", "").pax("comment", vec![b'x'; 2 << 20])],
            "limit",
        ),
        (
            "owner_beyond_32_bits",
            vec![layer().file("a", "").owner(1 << 32, 0)],
            "uid",
        ),
        (
            "sparse_ranges_out_of_order",
            vec![layer().sparse(
                "s",
                SparseFormat::OldGnu,
                4096,
                &[(1024, b"late"), (0, b"early")],
            )],
            "sparse",
        ),
        (
            "sparse_range_beyond_the_file",
            vec![layer().sparse("s", SparseFormat::Pax01, 100, &[(4096, b"late")])],
            "sparse",
        ),
    ]
}

#[test]
fn bad_layers_are_refused_with_their_reason() {
    let mut complaints = Vec::new();
    for (name, layers, word) in cases() {
        for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
            match engine::merge(&layers, compression) {
                Ok(_) => complaints.push(format!("{name}: accepted as {compression:?}")),
                Err(message) if message.contains(word) => {}
                Err(message) => complaints.push(format!("{name}: {word:?} is not in {message:?}")),
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_layer_cut_anywhere_is_refused() {
    let layer = Layer::new()
        .dir("d", 0o755)
        .file("d/f", "x".repeat(3000))
        .file("d/".repeat(80) + "long", "y");
    for compression in [Compression::Gzip, Compression::Zstd] {
        let blob = compression.compress(&layer.tar());
        println!("faults: {}", blob.len() - 1);
        for cut in 1..blob.len() {
            assert!(
                engine::merge_blobs(&[&blob[..cut]]).is_err(),
                "cut at {cut} of {} ({compression:?})",
                blob.len()
            );
        }
    }
}

#[test]
fn every_flipped_bit_of_a_gzip_blob_is_noticed_or_harmless() {
    // gzip has a CRC of what it holds; only the fields of its header that mean nothing (time,
    // system, the flag that says it may be text) can change.
    let layer = Layer::new().file("d/f", "some text ".repeat(50));
    let blob = Compression::Gzip.compress(&layer.tar());
    let good = engine::merge_blobs(&[&blob]).unwrap();
    println!("faults: {}", 8 * blob.len());
    for at in 0..blob.len() {
        for bit in 0..8 {
            let mut flipped = blob.clone();
            flipped[at] ^= 1 << bit;
            if let Ok(snapshot) = engine::merge_blobs(&[&flipped]) {
                assert_eq!(
                    good.differences(&snapshot),
                    [""; 0],
                    "bit {bit} of byte {at}"
                );
            }
        }
    }
}

/// containerd, `TestDetectCompressionZstd`: a zstd file may begin with a frame to be skipped, as
/// those of pzstd do, and have others anywhere.
#[test]
fn zstd_that_begins_with_a_skippable_frame_is_read() {
    let layer = Layer::new().file("d/f", "some text ".repeat(50));
    let blob = Compression::Zstd.compress(&layer.tar());
    let good = engine::merge_blobs(&[&blob]).unwrap();
    for kind in 0x50..=0x5f_u8 {
        let skipped = [&[kind, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"any"].concat();
        let blob = [&skipped[..], &blob, &skipped].concat();
        let read = engine::merge_blobs(&[&blob]).unwrap();
        assert_eq!(good.differences(&read), [""; 0], "{kind:#x}");
    }
}

#[test]
fn layers_that_are_compressed_otherwise_are_refused_by_name() {
    for (name, start) in [
        ("xz", &b"\xfd7zXZ\0\0\x04"[..]),
        ("bzip2", b"BZh91AY&SY\0\0"),
        ("lz4", b"\x04\x22\x4d\x18\x64\x40\xa7"),
    ] {
        let blob = [start, &[0x55; 600]].concat();
        let error = engine::merge_blobs(&[&blob]).unwrap_err();
        assert!(
            error.contains(&format!("compressed with {name}")),
            "{error}"
        );
    }
}
