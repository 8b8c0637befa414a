//! zlib's inflate, stopped at every block.
//!
//! Only its C interface tells where in a byte a block ends (`data_type`), so it is used here; the
//! implementation behind it is zlib-rs, the one that everything else uses.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint};
use std::io;

use libz_rs_sys::{
    Z_BLOCK, Z_BUF_ERROR, Z_OK, Z_STREAM_END, inflate, inflateEnd, inflateInit2_, inflateReset,
    z_stream, zlibVersion,
};

/// The largest window, and gzip's header and trailer.
const GZIP_WINDOW_BITS: c_int = 15 + 16;

/// State of one gzip member after another.
pub(super) struct Inflate {
    /// zlib checks that its state stays where it was set up.
    stream: Box<z_stream>,
}

// SAFETY: the stream is owned by this value alone; its pointers into callers' buffers are set and
// cleared within one call, and zlib-rs's state has no tie to a thread.
unsafe impl Send for Inflate {}

/// What one call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Bytes taken from the input.
    pub(super) consumed: usize,
    /// Bytes put into the output.
    pub(super) produced: usize,
    /// At a boundary (before the first block, or after any): how many bits of the last byte taken
    /// belong to what follows.
    pub(super) boundary: Option<u8>,
    /// The member's trailer was read and is right.
    pub(super) ended: bool,
}

impl Inflate {
    pub(super) fn new() -> io::Result<Self> {
        let mut stream = Box::new(z_stream::default());
        let size = c_int::try_from(size_of::<z_stream>()).map_err(io::Error::other)?;
        // SAFETY: the stream is zeroed and outlives the state; version and size are this library's.
        let result =
            unsafe { inflateInit2_(&raw mut *stream, GZIP_WINDOW_BITS, zlibVersion(), size) };
        if result != Z_OK {
            return Err(io::Error::other("inflate can't be set up"));
        }
        Ok(Inflate { stream })
    }

    /// Prepares for the next member.
    pub(super) fn reset(&mut self) -> io::Result<()> {
        // SAFETY: the stream was set up by `new`.
        match unsafe { inflateReset(&raw mut *self.stream) } {
            Z_OK => Ok(()),
            _ => Err(io::Error::other("inflate can't be reset")),
        }
    }

    /// Inflates from `input` to `output` up to the next boundary, or until one of them is used up.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Step> {
        let bounded = |length: usize| c_uint::try_from(length).unwrap_or(c_uint::MAX);
        let (avail_in, avail_out) = (bounded(input.len()), bounded(output.len()));
        self.stream.next_in = input.as_ptr().cast_mut();
        self.stream.avail_in = avail_in;
        self.stream.next_out = output.as_mut_ptr();
        self.stream.avail_out = avail_out;
        // SAFETY: both buffers are valid for the lengths given, input is only read, and the
        // pointers are cleared before the borrows end.
        let result = unsafe { inflate(&raw mut *self.stream, Z_BLOCK) };
        let step = Step {
            consumed: (avail_in - self.stream.avail_in) as usize,
            produced: (avail_out - self.stream.avail_out) as usize,
            // Bit 7 says boundary; then fewer than eight bits are left over.
            boundary: (self.stream.data_type & 128 != 0)
                .then(|| u8::try_from(self.stream.data_type & 7).unwrap_or_default()),
            ended: result == Z_STREAM_END,
        };
        self.stream.next_in = std::ptr::null_mut();
        self.stream.next_out = std::ptr::null_mut();
        match result {
            Z_OK | Z_STREAM_END | Z_BUF_ERROR => Ok(step),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "damaged gzip data",
            )),
        }
    }
}

impl Drop for Inflate {
    fn drop(&mut self) {
        // SAFETY: the stream was set up by `new` and is not used again.
        unsafe { inflateEnd(&raw mut *self.stream) };
    }
}
