//! Repairs of what `fatfs` 0.3.6 writes, and fsck.fat refuses.

use std::io::{self, Seek, SeekFrom, Write};

use super::read::{ATTRIBUTE_LONG_NAME, FatEntry, SLOT_BYTES};
use crate::memory::SparseMemory;

/// Where the two halves of an entry's first cluster are.
const CLUSTER_HIGH: std::ops::Range<usize> = 20..22;
const CLUSTER_LOW: std::ops::Range<usize> = 26..28;

/// Mends a folder: "." and ".." have no long names and stand first, and ".." of a folder in the
/// root points at cluster 0 (specification, 6.5).
pub(super) fn folder(
    memory: &mut SparseMemory,
    folder: &FatEntry,
    bytes: &mut Vec<u8>,
) -> io::Result<()> {
    let in_root = !folder.path.contains('/');
    let len = bytes.len();
    let mut mended = Vec::with_capacity(len);
    let mut long_name = Vec::new();
    for slot in bytes.chunks_exact(SLOT_BYTES) {
        if slot[11] == ATTRIBUTE_LONG_NAME {
            long_name.extend_from_slice(slot);
            continue;
        }
        let mut slot = slot.to_vec();
        if slot[0] == b'.' {
            long_name.clear();
            if in_root && slot[1] == b'.' {
                slot[CLUSTER_HIGH].fill(0);
                slot[CLUSTER_LOW].fill(0);
            }
        }
        mended.append(&mut long_name);
        mended.append(&mut slot);
    }
    mended.resize(len, 0);
    let mut rest = &mended[..];
    for extent in &folder.extents {
        let bytes = usize::try_from(extent.end - extent.start).map_err(io::Error::other)?;
        let (now, later) = rest.split_at(bytes.min(rest.len()));
        memory.seek(SeekFrom::Start(extent.start))?;
        memory.write_all(now)?;
        rest = later;
    }
    *bytes = mended;
    Ok(())
}
