//! Loaders of our own: what reads kernel and initrd off the medium on a BIOS or under UEFI.
//!
//! The loaders are small programs (sources in `boot/bios` and `boot/efi`, built blobs beside them)
//! that know no file system: where kernel and initrd stand, how long they are, what their checksums
//! are, the command line and the RAM that the system needs are patched into them when a medium is
//! written. Both refuse to start a kernel without its whole initrd.

pub mod bios;
pub mod efi;
pub mod kernel;

use crate::payload::{Payload, crc32};

/// Kernel and initrd start at multiples of this on every medium: the sector of a CD.
pub const ALIGNMENT_BYTES: u64 = 2048;

/// Room for the command line in both loaders, its final zero included. Linux on x86 takes as much
/// (`COMMAND_LINE_SIZE`).
pub const CMDLINE_BYTES: usize = 2048;

/// A file in one piece, by its place on the whole medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it starts; a multiple of [`ALIGNMENT_BYTES`].
    pub start_bytes: u64,
    /// How long it is.
    pub len_bytes: u64,
    /// CRC-32 (IEEE) of its bytes.
    pub crc32: u32,
}

impl Extent {
    /// `file`, which stands at `start_bytes`. Reads all of it for its checksum.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn of(file: &dyn Payload, start_bytes: u64) -> std::io::Result<Self> {
        Ok(Self {
            start_bytes,
            len_bytes: file.len_bytes(),
            crc32: crc32(file)?,
        })
    }
}

/// What a loader is to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootSpec {
    /// The kernel: a bzImage.
    pub kernel: Extent,
    /// The initrd.
    pub initrd: Extent,
    /// The kernel's command line, without a newline or zero in it.
    pub cmdline: String,
    /// RAM that the system needs to come up, in bytes; a loader stops where there is less.
    pub ram_bytes: u64,
}

/// Why no loader can load something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// The command line does not fit.
    #[error(
        "the command line has {bytes} bytes, and a loader takes {max_bytes} at most: shorten kernel.cmdline"
    )]
    CmdlineTooLong {
        /// Its length.
        bytes: usize,
        /// The most there may be.
        max_bytes: usize,
    },
    /// A command line that ends early.
    #[error("the command line has a zero or a newline at byte {at}")]
    CmdlineByte {
        /// Where in it.
        at: usize,
    },
    /// An extent at a place that can't be read in whole CD sectors.
    #[error(
        "the {what} stands at byte {start_bytes}, which is not a multiple of {ALIGNMENT_BYTES}"
    )]
    Unaligned {
        /// Kernel or initrd.
        what: &'static str,
        /// Where it stands.
        start_bytes: u64,
    },
    /// An extent that a BIOS loader can't reach.
    #[error(
        "the {what} stands at byte {start_bytes}: a BIOS loader reaches 8 TiB and files of 4 GiB"
    )]
    OutOfReach {
        /// What.
        what: &'static str,
        /// Where it stands.
        start_bytes: u64,
    },
    /// Nothing to load.
    #[error("the {what} is empty")]
    Empty {
        /// Kernel or initrd.
        what: &'static str,
    },
    /// The kernel is not one for this loader, or does not go with the rest.
    #[error(transparent)]
    Kernel(#[from] kernel::KernelError),
}

impl BootSpec {
    /// Checks what holds for every loader.
    ///
    /// # Errors
    /// If the command line is too long or has a byte it can't have, or an extent is not aligned.
    pub fn check(&self) -> Result<(), BootError> {
        let bytes = self.cmdline.len();
        let max_bytes = CMDLINE_BYTES - 1;
        if bytes > max_bytes {
            return Err(BootError::CmdlineTooLong { bytes, max_bytes });
        }
        if let Some(at) = self.cmdline.bytes().position(|b| b == 0 || b == b'\n') {
            return Err(BootError::CmdlineByte { at });
        }
        for (what, extent) in [("kernel", &self.kernel), ("initrd", &self.initrd)] {
            if extent.start_bytes % ALIGNMENT_BYTES != 0 {
                let start_bytes = extent.start_bytes;
                return Err(BootError::Unaligned { what, start_bytes });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_loader_can_load_is_refused() {
        let extent = Extent::of(&b"kernel".to_vec(), 4096).unwrap();
        assert_eq!(extent.crc32, crc32fast::hash(b"kernel"));
        let good = BootSpec {
            kernel: extent,
            initrd: extent,
            cmdline: "console=ttyS0".to_owned(),
            ram_bytes: 1 << 30,
        };
        good.check().unwrap();
        let with = |change: &dyn Fn(&mut BootSpec)| {
            let mut spec = good.clone();
            change(&mut spec);
            spec.check()
        };
        let longest = "x".repeat(CMDLINE_BYTES - 1);
        assert_eq!(with(&|s| s.cmdline.clone_from(&longest)), Ok(()));
        assert!(with(&|s| s.cmdline = longest.clone() + "x").is_err());
        assert_eq!(
            with(&|s| s.cmdline = "a\nb".to_owned()),
            Err(BootError::CmdlineByte { at: 1 })
        );
        assert!(with(&|s| s.initrd.start_bytes += 512).is_err());
    }
}
