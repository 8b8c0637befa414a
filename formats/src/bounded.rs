//! What readers of disks and volumes share: reads that stay within the file, and numbers.

use std::io;

use crate::payload::Payload;

/// Why bytes could not be read; each reader makes its own error of it.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Where they should be.
    pub(crate) offset: u64,
    /// What they should be.
    pub(crate) what: &'static str,
    /// What the file said; `None` where it ends before them.
    pub(crate) source: Option<io::Error>,
}

/// Makes a reader's error of a [`Fault`]: its kinds are called the same in each.
macro_rules! from_fault {
    ($error:ty, $kind:ident) => {
        impl From<crate::bounded::Fault> for $error {
            fn from(fault: crate::bounded::Fault) -> Self {
                let crate::bounded::Fault {
                    offset,
                    what,
                    source,
                } = fault;
                let kind = source.map_or($kind::BeyondEnd { what }, $kind::Io);
                Self { kind, offset }
            }
        }
    };
}
pub(crate) use from_fault;

/// Fills `out` with what is at `offset`.
pub(crate) fn read(
    file: &(impl Payload + ?Sized),
    offset: u64,
    out: &mut [u8],
    what: &'static str,
) -> Result<(), Fault> {
    let fault = |source| Fault {
        offset,
        what,
        source,
    };
    if offset.saturating_add(out.len() as u64) > file.len_bytes() {
        return Err(fault(None));
    }
    file.read_exact_at(offset, out)
        .map_err(|source| fault(Some(source)))
}

/// Reads `bytes` bytes into new memory, which is taken only if the file has them.
pub(crate) fn read_vec(
    file: &(impl Payload + ?Sized),
    offset: u64,
    bytes: u64,
    what: &'static str,
) -> Result<Vec<u8>, Fault> {
    let is_there = offset.saturating_add(bytes) <= file.len_bytes();
    let len = usize::try_from(bytes).ok().filter(|_| is_there);
    let mut out = vec![
        0;
        len.ok_or(Fault {
            offset,
            what,
            source: None,
        })?
    ];
    read(file, offset, &mut out, what)?;
    Ok(out)
}

/// Two bytes, which are there.
pub(crate) fn u16_le(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Four bytes, which are there.
pub(crate) fn u32_le(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_le(bytes, at + 2)) << 16 | u32::from(u16_le(bytes, at))
}

/// Eight bytes, which are there.
pub(crate) fn u64_le(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_le(bytes, at + 4)) << 32 | u64::from(u32_le(bytes, at))
}

/// Eight bytes, which are there, the highest first.
pub(crate) fn u64_be(bytes: &[u8], at: usize) -> u64 {
    u64_le(bytes, at).swap_bytes()
}
