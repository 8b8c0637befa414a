use super::*;
use crate::medium;

// The loader's own code, as far as it needs no firmware.
#[allow(unreachable_pub, clippy::cast_possible_truncation)]
#[path = "../../../boot/efi/crc32.rs"]
mod crc32;
#[allow(unreachable_pub, clippy::cast_possible_truncation)]
#[path = "../../../boot/efi/utf16.rs"]
mod utf16;

fn spec() -> BootSpec {
    let extent = |start_bytes, len_bytes, crc32| Extent {
        start_bytes,
        len_bytes,
        crc32,
    };
    BootSpec {
        kernel: extent(1 << 20, 8_000_001, 0x1234_5678),
        initrd: extent(5 << 40, 300_000_000, 0xffff_ffff),
        cmdline: "console=ttyS0 grüß".to_owned(),
        ram_bytes: 1_400_000_000,
    }
}

#[test]
fn a_loader_is_told_all_and_is_as_long_as_planned() {
    let loader = loader(&spec()).unwrap();
    assert_eq!(loader.len() as u64, LOADER_BYTES);
    assert_eq!(read_loader(&loader).unwrap(), Some(spec()));
    let longest = BootSpec {
        cmdline: "x".repeat(super::super::CMDLINE_BYTES - 1),
        ..spec()
    };
    let loader = super::loader(&longest).unwrap();
    assert_eq!(read_loader(&loader).unwrap(), Some(longest));
    let too_long = BootSpec {
        cmdline: "x".repeat(super::super::CMDLINE_BYTES),
        ..spec()
    };
    assert!(super::loader(&too_long).is_err());
}

#[test]
fn the_loader_has_one_block_of_parameters_and_looks_where_media_have_the_files() {
    let blocks = LOADER.windows(MAGIC.len()).filter(|at| *at == MAGIC);
    assert_eq!(blocks.count(), 1);
    assert_eq!(KERNEL_FILE, medium::KERNEL_PATH);
    assert_eq!(INITRD_FILE, medium::INITRD_PATH);
    assert!(KERNEL_FILE.len() <= 32 && INITRD_FILE.len() <= 32);
}

#[test]
fn firmware_can_keep_code_and_data_apart() {
    let pe = PeFile::read(&LOADER.to_vec()).unwrap();
    assert!(pe.is_efi_amd64());
    let names: Vec<_> = pe.sections.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, [".rodata", ".text", ".data", ".reloc"]);
    for section in &pe.sections {
        assert!(
            !(section.is_writable && section.is_executable),
            "{section:?}"
        );
        assert_eq!(section.address % 4096, 0, "{section:?}");
    }
}

#[test]
fn checksums_in_the_loader_are_those_of_the_writer() {
    let mut tables = crc32::Tables([[0; 256]; 8]);
    tables.fill();
    assert_eq!(crc32::Tables::BYTES, 8192);
    let bytes = crate::testing::noise(10_000);
    for len in (0..64).chain([1000, 4096, 9999]) {
        let (one, other) = bytes[..len].split_at(len / 3);
        let crc = tables.update(tables.update(0, one), other);
        assert_eq!(crc, crc32fast::hash(&bytes[..len]), "{len}");
    }
}

#[test]
fn command_lines_become_utf_16() {
    let units = |bytes: &[u8]| {
        let mut units = Vec::new();
        utf16::utf16(bytes.iter().copied(), |unit| units.push(unit));
        units
    };
    for text in ["", "console=ttyS0", "grüß €uro 😀 \u{ffff}\u{10ffff}"] {
        let expected: Vec<u16> = text.encode_utf16().collect();
        assert_eq!(units(text.as_bytes()), expected, "{text}");
    }
    // Cut short, over-long, a surrogate, beyond the end, no start.
    for bytes in [
        &b"a\xe2\x82"[..],
        b"a\xc0\xaf",
        b"a\xed\xa0\x80",
        b"a\xf4\x90\x80\x80",
        b"a\x80",
    ] {
        let found = units(bytes);
        assert_eq!(found[0], u16::from(b'a'));
        assert!(found[1..].iter().all(|&unit| unit == 0xfffd) && found.len() > 1);
    }
}
