use super::*;
use crate::boot::kernel::{Kernel, tests::bz_image};

const SPEC_START: u64 = 36 * 512;

fn spec() -> BootSpec {
    let extent = |start_bytes, len_bytes, crc32| Extent {
        start_bytes,
        len_bytes,
        crc32,
    };
    BootSpec {
        kernel: extent(2 << 20, 66_560, 0x0102_0304),
        initrd: extent(5 << 40, 300_000_001, 0x0506_0708),
        cmdline: "console=tty0 console=ttyS1,115200n8 vga=0x31b".to_owned(),
        ram_bytes: (512 << 20) - 5,
    }
}

fn told(change: impl FnOnce(&mut BootSpec)) -> Result<Vec<u8>, BootError> {
    let mut spec = spec();
    change(&mut spec);
    let kernel = Kernel::read(&bz_image(4096)).unwrap();
    stage2(&spec, kernel.for_bios().unwrap(), SPEC_START)
}

fn with_cmdline(cmdline: &str) -> Vec<u8> {
    told(|spec| spec.cmdline = cmdline.to_owned()).unwrap()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().unwrap())
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(*bytes[at..].first_chunk().unwrap())
}

#[test]
fn a_loader_is_told_all_of_it_and_its_code_stays_as_it_is() {
    let loader = told(|_| ()).unwrap();
    assert_eq!(loader.len(), STAGE2_BYTES);
    let fields = |at: usize| [0, 4, 8].map(|word| u32_at(&loader, at + at::FILE_UNIT + word));
    assert_eq!(fields(at::KERNEL), [1024, 66_560, 0x0102_0304]);
    assert_eq!(
        fields(at::INITRD),
        [5 << 29, 300_000_001, 0x0506_0708],
        "5 TiB are within reach"
    );
    let cmdline = &loader[CODE_BYTES..];
    assert_eq!(
        fields(at::CMDLINE),
        [10, 2048, crc32fast::hash(cmdline)],
        "the unit after the loader's first"
    );
    assert!(cmdline.starts_with(b"console=tty0 console=ttyS1,115200n8 vga=0x31b\0"));
    assert_eq!(u32_at(&loader, at::SETUP_BYTES), 1024);
    assert_eq!(u32_at(&loader, at::FLOOR), 0x4f9_8000);
    assert_eq!(u32_at(&loader, at::CEILING), 0x8000_0000);
    assert_eq!(u32_at(&loader, at::RAM_KIB), 512 << 10, "whole MiB");
    let same = |range: std::ops::Range<usize>| loader[range.clone()] == BUILT.stage2[range];
    assert!(same(0..at::CMDLINE + 8) && same(96..CODE_BYTES));
    assert_eq!(&loader[MAGIC.0..][..4], MAGIC.1);
}

#[test]
fn what_a_loader_was_told_can_be_read_back() {
    let loader = told(|_| ()).unwrap();
    let read = read_stage2(&loader).unwrap();
    let ram_bytes = 512 << 20;
    assert_eq!(
        read,
        BootSpec {
            ram_bytes,
            ..spec()
        }
    );
    assert_eq!(read_stage2(&loader[..STAGE2_BYTES - 1]), None);
    assert_eq!(read_stage2(&[0; STAGE2_BYTES]), None);
}

#[test]
fn the_mbr_knows_the_loaders_sector() {
    let code = mbr(SPEC_START);
    assert_eq!(u32_at(&code, MBR_LBA_AT), 36);
    assert_eq!(code[..4], BUILT.mbr[..4]);
    assert_eq!(code[16..], BUILT.mbr[16..]);
    assert_eq!(mbr(6 << 40)[MBR_LBA_AT..][..8], (6_u64 << 31).to_le_bytes());
    // The loader that it looks for is ours.
    let magic = BUILT.mbr.windows(4).any(|bytes| bytes == MAGIC.1);
    assert!(magic);
}

#[test]
fn the_serial_line_is_the_kernels_console() {
    for (cmdline, expected) in [
        ("quiet", (0, 0)),
        ("console=tty0", (0, 0)),
        ("console=ttyS0", (0x3f8, 12)),
        ("a console=tty0 console=ttyS1,115200n8 b", (0x2f8, 1)),
        ("console=ttyS3,57600 console=ttyS0", (0x2e8, 2)),
        ("console=ttyS0,0", (0x3f8, 12)),
        ("console=ttyS0,n8", (0x3f8, 12)),
        ("console=ttyS0,921600", (0x3f8, 1)),
        ("console=ttyS4", (0, 0)),
        ("console=ttyS", (0, 0)),
        ("myconsole=ttyS0", (0, 0)),
    ] {
        let loader = with_cmdline(cmdline);
        let port = u16_at(&loader, at::SERIAL_PORT);
        let divisor = u16_at(&loader, at::SERIAL_DIVISOR);
        assert_eq!((port, divisor), expected, "{cmdline}");
    }
}

#[test]
fn vga_is_for_the_loader_to_read() {
    for (cmdline, expected) in [
        ("", 0xffff),
        ("vga=normal", 0xffff),
        ("vga=ask", 0xfffd),
        ("vga=791 x", 791),
        ("vga=791 vga=0x31B", 0x31b),
        ("vga=nonsense", 0xffff),
    ] {
        let mode = u16_at(&with_cmdline(cmdline), at::VIDEO_MODE);
        assert_eq!(mode, expected, "{cmdline}");
    }
}

#[test]
fn what_no_machine_could_load_is_refused() {
    let error = told(|spec| spec.initrd.len_bytes = 0x7b06_8001).unwrap_err();
    assert!(
        matches!(
            error,
            BootError::Kernel(KernelError::InitrdTooLarge {
                max_bytes: 0x7b06_8000,
                ..
            })
        ),
        "{error}"
    );
    let error = told(|spec| spec.initrd.len_bytes = 0).unwrap_err();
    assert_eq!(error, BootError::Empty { what: "initrd" });
    let error = told(|spec| spec.kernel.start_bytes = 1 << 43).unwrap_err();
    assert!(error.to_string().contains("8 TiB"), "{error}");
    let error = told(|spec| spec.cmdline = "x".repeat(2048)).unwrap_err();
    assert!(matches!(error, BootError::CmdlineTooLong { .. }), "{error}");

    let kernel = Kernel::read(&bz_image(4096)).unwrap();
    let error = stage2(&spec(), kernel.for_bios().unwrap(), 512).unwrap_err();
    let what = "BIOS loader";
    assert!(matches!(error, BootError::Unaligned { what: found, .. } if found == what));

    // A kernel that looks at less, and one with more setup code than there is room for.
    let mut short = bz_image(4096);
    short[0x238..0x23c].copy_from_slice(&10_u32.to_le_bytes());
    let mut long = bz_image(4096);
    long[0x1f1] = 64;
    long.resize(120_000, 0);
    for (file, text) in [(short, "looks at 10"), (long, "setup code")] {
        let kernel = Kernel::read(&file).unwrap();
        let error = stage2(&spec(), kernel.for_bios().unwrap(), 0).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}
