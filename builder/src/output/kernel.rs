//! The kernel file, as it is or decompressed.

use std::io::{self, Read};

use crate::assemble::{Image, Kernel};
use crate::pack::PackError;
use crate::tree::Body;

/// Kernels have some ten megabytes; this bounds what is held in memory.
const MAX_KERNEL_BYTES: u64 = 512 << 20;

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
/// x86 boot protocol (Linux, Documentation/arch/x86/boot.rst): offsets into the setup header.
const SETUP_SECTS: usize = 0x1f1;
const BOOT_FLAG: usize = 0x1fe;
const HEADER_MAGIC: usize = 0x202;
const PROTOCOL_VERSION: usize = 0x206;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
const SECTOR_BYTES: usize = 512;

/// Why there is no kernel file.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The body can't be read from the store.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// It can't be decompressed.
    #[error("--decompress-kernel: the kernel {0}; leave the option out to use it as it is")]
    Decompress(&'static str),
    /// It is too large.
    #[error("the kernel has more than {MAX_KERNEL_BYTES} bytes")]
    TooLarge,
    /// Its compressed part is damaged.
    #[error("--decompress-kernel: {0}")]
    Damaged(#[from] io::Error),
}

/// Replaces the kernel by what is compressed inside it: a gzip file, or the gzip payload of an
/// x86 bzImage (boot protocol 2.08).
pub fn decompress_kernel(image: &mut Image) -> Result<(), KernelError> {
    let Some(kernel) = &image.kernel else {
        return Ok(());
    };
    if kernel.body.size() > MAX_KERNEL_BYTES {
        return Err(KernelError::TooLarge);
    }
    let compressed = image.packs.read_body(&kernel.body, MAX_KERNEL_BYTES)?;
    let payload = payload(&compressed)?;
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(payload)
        .take(MAX_KERNEL_BYTES + 1)
        .read_to_end(&mut plain)?;
    if plain.len() as u64 > MAX_KERNEL_BYTES {
        return Err(KernelError::TooLarge);
    }
    let body = Body::Inline(plain.into());
    image.kernel = image.kernel.take().map(|kernel| Kernel { body, ..kernel });
    Ok(())
}

/// The gzip file in a kernel.
fn payload(kernel: &[u8]) -> Result<&[u8], KernelError> {
    if kernel.starts_with(GZIP_MAGIC) {
        return Ok(kernel);
    }
    let field = |at: usize| -> Option<usize> {
        let bytes = kernel.get(at..at + 4)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let is_bzimage = kernel.get(BOOT_FLAG..BOOT_FLAG + 2) == Some(&[0x55, 0xaa])
        && kernel.get(HEADER_MAGIC..HEADER_MAGIC + 4) == Some(b"HdrS");
    if !is_bzimage {
        return Err(KernelError::Decompress(
            "is neither a gzip file nor an x86 bzImage",
        ));
    }
    let version = (
        kernel.get(PROTOCOL_VERSION + 1),
        kernel.get(PROTOCOL_VERSION),
    );
    if version < (Some(&2), Some(&8)) {
        return Err(KernelError::Decompress(
            "is older than boot protocol 2.08 and does not say where its payload is",
        ));
    }
    // 0 means 4, for historical reasons.
    let setup = match kernel.get(SETUP_SECTS) {
        Some(0) | None => 4,
        Some(&sectors) => usize::from(sectors),
    };
    let found = || {
        let start = ((setup + 1) * SECTOR_BYTES).checked_add(field(PAYLOAD_OFFSET)?)?;
        kernel.get(start..start.checked_add(field(PAYLOAD_LENGTH)?)?)
    };
    let payload = found().ok_or(KernelError::Decompress("is cut short"))?;
    if !payload.starts_with(GZIP_MAGIC) {
        return Err(KernelError::Decompress(
            "is compressed with something else than gzip",
        ));
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn bzimage(payload: &[u8]) -> Vec<u8> {
        let mut kernel = vec![0; 3 * SECTOR_BYTES];
        kernel[SETUP_SECTS] = 2;
        kernel[BOOT_FLAG..BOOT_FLAG + 2].copy_from_slice(&[0x55, 0xaa]);
        kernel[HEADER_MAGIC..HEADER_MAGIC + 4].copy_from_slice(b"HdrS");
        kernel[PROTOCOL_VERSION..PROTOCOL_VERSION + 2].copy_from_slice(&[15, 2]);
        kernel[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 4].copy_from_slice(&7u32.to_le_bytes());
        let length = u32::try_from(payload.len()).unwrap();
        kernel[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&length.to_le_bytes());
        kernel.extend([0; 7]);
        kernel.extend(payload);
        kernel
    }

    #[test]
    fn payloads_of_gzip_files_and_bzimages_are_found() {
        let packed = gzip(b"vmlinux");
        assert_eq!(payload(&packed).unwrap(), packed);
        assert_eq!(payload(&bzimage(&packed)).unwrap(), packed);
    }

    #[test]
    fn what_is_no_compressed_kernel_is_refused_at_every_length() {
        let kernel = bzimage(&gzip(b"vmlinux"));
        for end in 0..kernel.len() {
            assert!(payload(&kernel[..end]).is_err(), "{end}");
        }
        assert!(payload(&bzimage(b"\xfd7zXZ")).is_err());
    }
}
