//! The loader for machines with a BIOS: two pieces of code (sources and bytes in `boot/bios`), and
//! what they are told.
//!
//! A CD's boot catalogue names the loader itself: the BIOS loads its first [`FIRST_LOAD_BYTES`]. On
//! a disk, the MBR's code does so. The loader then reads command line, kernel and initrd, checks
//! each one's CRC-32, and enters the kernel (Linux, `Documentation/arch/x86/boot.rst`).

use super::kernel::{BzImage, KernelError};
use super::{ALIGNMENT_BYTES, BootError, BootSpec, CMDLINE_BYTES, Extent};

/// The loader's length, command line included, whatever it is told.
pub const STAGE2_BYTES: usize = CODE_BYTES + CMDLINE_BYTES;

/// What a BIOS or the MBR must load of it: a CD sector, four sectors as El Torito counts.
pub const FIRST_LOAD_BYTES: usize = CODE_BYTES;

const CODE_BYTES: usize = 2048;
const MBR_BYTES: usize = 440;
const SECTOR_BYTES: u64 = 512;

/// Built from `boot/bios`, and rebuilt by the tests.
const BUILT: Code = Code {
    mbr: *include_bytes!("../../boot/bios/mbr.bin"),
    stage2: *include_bytes!("../../boot/bios/stage2.bin"),
};

/// The loader's code, told nothing yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Code of the MBR.
    pub mbr: [u8; MBR_BYTES],
    /// The loader without its command line.
    pub stage2: [u8; CODE_BYTES],
}

/// Where the MBR's code has the loader's first sector.
const MBR_LBA_AT: usize = 8;

/// What the loader begins with, after a jump.
const MAGIC: (usize, &[u8]) = (4, b"LKB2");

/// Where the loader has what it is told, as `boot/bios/stage2.s` says.
mod at {
    pub(super) const CMDLINE: usize = 8;
    pub(super) const KERNEL: usize = 28;
    pub(super) const INITRD: usize = 48;
    pub(super) const SETUP_BYTES: usize = 68;
    pub(super) const FLOOR: usize = 72;
    pub(super) const CEILING: usize = 76;
    pub(super) const RAM_KIB: usize = 80;
    pub(super) const DOT_UNITS: usize = 84;
    pub(super) const SERIAL_PORT: usize = 88;
    pub(super) const SERIAL_DIVISOR: usize = 90;
    pub(super) const VIDEO_MODE: usize = 92;

    /// Within a file's fields, after its name.
    pub(super) const FILE_UNIT: usize = 8;
    pub(super) const FILE_BYTES: usize = 12;
    pub(super) const FILE_CRC32: usize = 16;
}

/// Where the loader puts the kernel's file before it takes it apart.
const KERNEL_START: u64 = 0x10_0000;

/// Room for the setup code and its heap.
const SETUP_MAX_BYTES: u64 = 32 << 10;

/// The last page below 4 GiB is out of reach.
const CEILING_MAX: u64 = 0xffff_f000;

/// About how many dots are printed while loading.
const DOTS: u64 = 48;

/// Ports of ttyS0 to ttyS3.
const SERIAL_PORTS: [u16; 4] = [0x3f8, 0x2f8, 0x3e8, 0x2e8];

/// The kernel's default for a serial console, and what a divisor of 1 stands for.
const DEFAULT_BAUD: u32 = 9600;
const BASE_BAUD: u32 = 115_200;

/// Video modes that `vga=` has names for.
const VIDEO_MODES: [(&str, u16); 3] = [("normal", 0xffff), ("ext", 0xfffe), ("ask", 0xfffd)];

/// Code of the MBR, told that the loader starts at `stage2_start_bytes`, a multiple of
/// [`ALIGNMENT_BYTES`] (which [`stage2`] checks).
pub fn mbr(stage2_start_bytes: u64) -> [u8; MBR_BYTES] {
    BUILT.mbr(stage2_start_bytes)
}

/// The loader, told what to load and that it starts at `start_bytes` of the medium. It is
/// [`STAGE2_BYTES`] long.
///
/// # Errors
/// If it can't be told, or could not load that kernel and initrd on any machine.
pub fn stage2(spec: &BootSpec, kernel: &BzImage, start_bytes: u64) -> Result<Vec<u8>, BootError> {
    BUILT.stage2(spec, kernel, start_bytes)
}

impl Code {
    /// As [`mbr`], for code from elsewhere.
    pub fn mbr(&self, stage2_start_bytes: u64) -> [u8; MBR_BYTES] {
        let mut mbr = self.mbr;
        let lba = stage2_start_bytes / SECTOR_BYTES;
        mbr[MBR_LBA_AT..MBR_LBA_AT + 8].copy_from_slice(&lba.to_le_bytes());
        mbr
    }

    /// As [`stage2`], for code from elsewhere.
    ///
    /// # Errors
    /// As [`stage2`].
    pub fn stage2(
        &self,
        spec: &BootSpec,
        kernel: &BzImage,
        start_bytes: u64,
    ) -> Result<Vec<u8>, BootError> {
        spec.check()?;
        kernel.check_cmdline(&spec.cmdline)?;
        kernel.check_initrd(spec.initrd.len_bytes)?;
        if kernel.setup_bytes > SETUP_MAX_BYTES {
            let what = "its setup code is longer than 32 KiB";
            return Err(KernelError::Header { what }.into());
        }
        let mut cmdline = spec.cmdline.clone().into_bytes();
        cmdline.resize(CMDLINE_BYTES, 0);
        let cmdline_extent = Extent {
            start_bytes: start_bytes + CODE_BYTES as u64,
            len_bytes: CMDLINE_BYTES as u64,
            crc32: crc32fast::hash(&cmdline),
        };
        let mut code = self.stage2;
        let mut put = |at: usize, bytes: &[u8]| code[at..at + bytes.len()].copy_from_slice(bytes);
        for (what, at, extent) in [
            ("BIOS loader", at::CMDLINE, &cmdline_extent),
            ("kernel", at::KERNEL, &spec.kernel),
            ("initrd", at::INITRD, &spec.initrd),
        ] {
            let start_bytes = extent.start_bytes;
            if start_bytes % ALIGNMENT_BYTES != 0 {
                return Err(BootError::Unaligned { what, start_bytes });
            }
            let beyond = |_| BootError::OutOfReach { what, start_bytes };
            let unit = u32::try_from(start_bytes / ALIGNMENT_BYTES).map_err(beyond)?;
            // Longer than a BIOS machine could hold: refused above, but for the kernel.
            let bytes = u32::try_from(extent.len_bytes).map_err(beyond)?;
            if bytes == 0 {
                return Err(BootError::Empty { what });
            }
            put(at + at::FILE_UNIT, &unit.to_le_bytes());
            put(at + at::FILE_BYTES, &bytes.to_le_bytes());
            put(at + at::FILE_CRC32, &extent.crc32.to_le_bytes());
        }
        let mut put_u32 = |at: usize, value: u64| {
            let value = u32::try_from(value).unwrap_or(u32::MAX);
            put(at, &value.to_le_bytes());
        };
        let file_end = KERNEL_START + spec.kernel.len_bytes;
        let floor = kernel.initrd_floor().max(file_end.next_multiple_of(4096));
        put_u32(at::SETUP_BYTES, kernel.setup_bytes);
        put_u32(at::FLOOR, floor);
        put_u32(at::CEILING, kernel.initrd_ceiling.min(CEILING_MAX));
        // In whole MiB, as the loader prints it.
        put_u32(at::RAM_KIB, spec.ram_bytes.div_ceil(1 << 20) << 10);
        let units = (spec.kernel.len_bytes + spec.initrd.len_bytes) / ALIGNMENT_BYTES;
        put_u32(at::DOT_UNITS, units / DOTS + 1);
        let (port, divisor) = serial(&spec.cmdline).unwrap_or_default();
        put(at::SERIAL_PORT, &port.to_le_bytes());
        put(at::SERIAL_DIVISOR, &divisor.to_le_bytes());
        put(at::VIDEO_MODE, &video_mode(&spec.cmdline).to_le_bytes());
        let mut out = code.to_vec();
        out.extend_from_slice(&cmdline);
        Ok(out)
    }
}

/// What a loader was told; `None` if these are not the bytes of one.
pub fn read_stage2(bytes: &[u8]) -> Option<BootSpec> {
    let code = bytes.get(..CODE_BYTES)?;
    let word = |at: usize| {
        let word = code.get(at..)?.first_chunk().copied();
        word.map(|bytes| u64::from(u32::from_le_bytes(bytes)))
    };
    let extent = |at: usize| {
        Some(Extent {
            start_bytes: word(at + at::FILE_UNIT)? * ALIGNMENT_BYTES,
            len_bytes: word(at + at::FILE_BYTES)?,
            crc32: u32::try_from(word(at + at::FILE_CRC32)?).ok()?,
        })
    };
    code.get(MAGIC.0..)?.strip_prefix(MAGIC.1)?;
    let slot = bytes.get(CODE_BYTES..STAGE2_BYTES)?;
    let cmdline = slot.split(|byte| *byte == 0).next()?;
    Some(BootSpec {
        kernel: extent(at::KERNEL)?,
        initrd: extent(at::INITRD)?,
        cmdline: String::from_utf8_lossy(cmdline).into_owned(),
        ram_bytes: word(at::RAM_KIB)? << 10,
    })
}

/// The first serial line that the kernel is to use as a console: its port and its divisor.
fn serial(cmdline: &str) -> Option<(u16, u16)> {
    let mut words = cmdline.split_ascii_whitespace();
    let console = words.find_map(|word| word.strip_prefix("console=ttyS"))?;
    let (number, options) = console.split_once(',').unwrap_or((console, ""));
    let port = *SERIAL_PORTS.get(number.parse::<usize>().ok()?)?;
    // As in 115200n8.
    let digits = options.trim_end_matches(|c: char| !c.is_ascii_digit());
    let digits = digits.split(|c: char| !c.is_ascii_digit()).next();
    let baud = digits.and_then(|digits| digits.parse().ok());
    let baud = baud.filter(|baud| *baud > 0).unwrap_or(DEFAULT_BAUD);
    let divisor = u16::try_from((BASE_BAUD / baud).max(1)).ok()?;
    Some((port, divisor))
}

/// What `vga=` asks for, which is the loader's to read; the last one counts.
fn video_mode(cmdline: &str) -> u16 {
    let [(_, normal), ..] = VIDEO_MODES;
    let words = cmdline.split_ascii_whitespace();
    let Some(asked) = words
        .filter_map(|word| word.strip_prefix("vga="))
        .next_back()
    else {
        return normal;
    };
    let named = VIDEO_MODES.iter().find(|(name, _)| *name == asked);
    named
        .map(|(_, mode)| *mode)
        .or_else(|| match asked.strip_prefix("0x") {
            Some(digits) => u16::from_str_radix(digits, 16).ok(),
            None => asked.parse().ok(),
        })
        .unwrap_or(normal)
}

#[cfg(test)]
mod tests;
