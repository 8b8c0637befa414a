//! Compressed grains: zlib streams (RFC 1950) of 64 KiB each.

use std::cell::RefCell;
use std::io;

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::blocks::looks_random;

/// What grains that compress are compressed with: as fast as they can be written.
const LEVEL: u32 = 3;

/// Stored blocks and zlib's header and trailer on top of the grain.
const WORST_CASE_BYTES: usize = super::format::GRAIN_BYTES + 1024 + super::format::GRAIN_BYTES / 8;

thread_local! {
    /// Grains are made by the thousand: the state that only stores is kept per thread.
    static STORE: RefCell<Compress> = RefCell::new(Compress::new(Compression::none(), true));
}

/// Appends `plain` as a zlib stream; stored, where it would not become smaller.
pub(super) fn compress(plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    if !looks_random(plain) {
        // A new state each time: a reset one of zlib-rs still sees bytes of the grain before.
        stream(
            &mut Compress::new(Compression::new(LEVEL), true),
            plain,
            out,
        )?;
        if out.len() - start < plain.len() {
            return Ok(());
        }
        out.truncate(start);
    }
    STORE.with_borrow_mut(|state| {
        state.reset();
        stream(state, plain, out)
    })
}

fn stream(state: &mut Compress, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    // What stored blocks are cut to depends on the room there is.
    let mut room = Vec::with_capacity(WORST_CASE_BYTES);
    let status = state
        .compress_vec(plain, &mut room, FlushCompress::Finish)
        .map_err(io::Error::other)?;
    if status != Status::StreamEnd {
        return Err(io::Error::other("a grain did not fit its worst case"));
    }
    out.extend_from_slice(&room);
    Ok(())
}
