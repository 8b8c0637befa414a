//! The UEFI loader for x86-64: the program in `boot/efi`, built, and what it is told.
//!
//! It reads kernel and initrd as files of the volume that it stands on, or raw from their places on
//! the whole medium, and verifies their checksums. As part of a unified kernel image it takes them
//! from its own sections.

use super::{BootError, BootSpec, Extent};
use crate::payload::Payload;
use crate::pe::{PeFile, ReadError, set_checksum};

// The loader's own source.
#[path = "../../boot/efi/parameters.rs"]
#[allow(unreachable_pub)]
mod parameters;

use parameters::{
    BLOCK_BYTES, CMDLINE_AT, CMDLINE_BYTES, CMDLINE_LEN_AT, EXTENT_CRC32_AT, EXTENT_LEN_AT,
    INITRD_AT, KERNEL_AT, MAGIC, RAM_AT,
};

/// Where the loader looks for kernel and initrd on the FAT volume, with `/` between names.
pub use parameters::{INITRD_FILE, KERNEL_FILE};

/// Built from `boot/efi`, and rebuilt by the tests.
const LOADER: &[u8] = include_bytes!("../../boot/efi/loader.efi");

/// Where its parameters start.
const PARAMETERS_AT: usize = find_parameters();

/// Length of the loader, whatever it is told.
pub const LOADER_BYTES: u64 = LOADER.len() as u64;

const _: () = assert!(CMDLINE_BYTES == super::CMDLINE_BYTES);

/// At compile time: a loader without parameters is no loader.
const fn find_parameters() -> usize {
    let mut start = 0;
    loop {
        let mut same = 0;
        while same < MAGIC.len() && LOADER[start + same] == MAGIC[same] {
            same += 1;
        }
        if same == MAGIC.len() {
            return start;
        }
        start += 1;
    }
}

/// The loader, told what to load; [`LOADER_BYTES`] long. It stands on a FAT volume as
/// `EFI/BOOT/BOOTX64.EFI`.
///
/// # Errors
/// If it can't be told, as [`BootSpec::check`] says.
pub fn loader(spec: &BootSpec) -> Result<Vec<u8>, BootError> {
    spec.check()?;
    let mut loader = LOADER.to_vec();
    let block = &mut loader[PARAMETERS_AT..PARAMETERS_AT + BLOCK_BYTES];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    for (at, extent) in [(KERNEL_AT, &spec.kernel), (INITRD_AT, &spec.initrd)] {
        put(at, &extent.start_bytes.to_le_bytes());
        put(at + EXTENT_LEN_AT, &extent.len_bytes.to_le_bytes());
        put(at + EXTENT_CRC32_AT, &extent.crc32.to_le_bytes());
    }
    put(RAM_AT, &spec.ram_bytes.to_le_bytes());
    put(CMDLINE_LEN_AT, &(spec.cmdline.len() as u64).to_le_bytes());
    put(CMDLINE_AT, spec.cmdline.as_bytes());
    set_checksum(&mut loader);
    Ok(loader)
}

/// What a loader was told; `None` if the file is a PE file, but not our loader.
///
/// # Errors
/// If the file is no PE file, or can't be read.
pub fn read_loader(file: &dyn Payload) -> Result<Option<BootSpec>, ReadError> {
    let pe = PeFile::read(file)?;
    let found = pe.section(".rodata").and_then(|section| {
        let content = section.content();
        // It stands near the start of a short section; another program's may be long.
        let bytes = (content.end - content.start).min(LOADER_BYTES);
        let mut start = vec![0; usize::try_from(bytes).ok()?];
        file.read_exact_at(content.start, &mut start).ok()?;
        let at = start.windows(MAGIC.len()).position(|at| at == MAGIC)?;
        told(start.get(at..at + BLOCK_BYTES)?)
    });
    Ok(found)
}

fn told(block: &[u8]) -> Option<BootSpec> {
    let number =
        |at: usize| -> Option<u64> { Some(u64::from_le_bytes(*block.get(at..)?.first_chunk()?)) };
    let extent = |at: usize| -> Option<Extent> {
        Some(Extent {
            start_bytes: number(at)?,
            len_bytes: number(at + EXTENT_LEN_AT)?,
            crc32: u32::from_le_bytes(*block.get(at + EXTENT_CRC32_AT..)?.first_chunk()?),
        })
    };
    let cmdline_bytes = usize::try_from(number(CMDLINE_LEN_AT)?).ok()?;
    let cmdline = block.get(CMDLINE_AT..CMDLINE_AT.checked_add(cmdline_bytes)?)?;
    Some(BootSpec {
        kernel: extent(KERNEL_AT)?,
        initrd: extent(INITRD_AT)?,
        cmdline: String::from_utf8_lossy(cmdline).into_owned(),
        ram_bytes: number(RAM_AT)?,
    })
}

#[cfg(test)]
mod tests;
