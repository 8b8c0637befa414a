//! The whole medium, read by place: for firmware that does not show the files.

use core::ptr::{self, NonNull};
use core::slice;

use crate::firmware::{
    BLOCK_IO, BY_PROTOCOL, BlockIo, DEVICE_PATH, Firmware, Handle, Media, Status,
};
use crate::memory::{Pages, copy};
use crate::part::{Failure, PIECE_BYTES, Part, Reading};

/// Device path nodes (UEFI specification 2.10, 10.3): a header of four bytes, whose first is the
/// type and whose last two are the length.
const NODE_HEADER_BYTES: usize = 4;
const NODE_MEDIA: u8 = 4;
const NODE_END: u8 = 0x7f;
/// An end node of the whole path.
const END: [u8; 4] = [NODE_END, 0xff, 4, 0];
/// Far longer than any device path, but for broken ones.
const PATH_MAX_BYTES: usize = 2048;

/// How often a block is read before that is an error: CD drives need a second try at times.
const ATTEMPTS: u32 = 3;

/// A disk or CD, without regard to its partitions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Medium(NonNull<BlockIo>);

impl Medium {
    fn of(firmware: &Firmware, handle: Handle) -> Result<Self, Status> {
        firmware.protocol(handle, &BLOCK_IO).map(Self)
    }

    fn media(&self) -> &Media {
        // SAFETY: the firmware's interface, which stays where it is while boot services run.
        unsafe { &*(*self.0.as_ptr()).media }
    }

    /// The medium that the partition `device` is on, at whatever depth.
    fn parent(firmware: &Firmware, device: Handle) -> Result<Self, Failure> {
        let path: NonNull<u8> = firmware
            .protocol(device, &DEVICE_PATH)
            .map_err(Failure::Source)?;
        let path = path.as_ptr().cast_const();
        // Where the nodes start that are media, up to the end of the path.
        let mut media_at = None;
        let mut at = 0;
        loop {
            // SAFETY: the path goes on up to its end node.
            let [kind, _, low, high] = unsafe { path.add(at).cast::<[u8; 4]>().read_unaligned() };
            let bytes = usize::from(u16::from_le_bytes([low, high]));
            if kind == NODE_END {
                break;
            }
            if bytes < NODE_HEADER_BYTES || at + bytes > PATH_MAX_BYTES {
                return Err(Failure::Source(Status::UNSUPPORTED));
            }
            match kind {
                NODE_MEDIA => media_at = media_at.or(Some(at)),
                _ => media_at = None,
            }
            at += bytes;
        }
        let kept = media_at.unwrap_or(at);
        let mut whole =
            Pages::new(firmware, PATH_MAX_BYTES + END.len()).map_err(Failure::Source)?;
        // SAFETY: these bytes were walked over above.
        let nodes = unsafe { slice::from_raw_parts(path, kept) };
        copy(whole.bytes_mut(), nodes);
        copy(whole.bytes_mut().get_mut(kept..).unwrap_or_default(), &END);
        let mut rest = whole.bytes().as_ptr();
        let mut handle = ptr::null_mut();
        // SAFETY: a whole path; both places live as long as the call.
        unsafe { (firmware.boot().locate_device_path)(&BLOCK_IO, &mut rest, &mut handle) }
            .check()
            .map_err(Failure::Source)?;
        // SAFETY: `rest` is a node of the path. What is not at its end is another device, farther
        // up.
        if unsafe { *rest } != NODE_END {
            return Err(Failure::Source(Status::NOT_FOUND));
        }
        Self::of(firmware, handle).map_err(Failure::Source)
    }

    /// Reads part of a part, to where the device can read to. Says which bytes of `bounce` it
    /// is.
    fn piece(&self, part: &Part, at: usize, bounce: &mut [u8]) -> Result<(usize, usize), Failure> {
        let media = self.media();
        let block_bytes = media.block_bytes as usize;
        let align = media.io_align.max(1) as usize;
        let is_sane = block_bytes.is_power_of_two()
            && block_bytes <= PIECE_BYTES
            && align.is_power_of_two()
            && align <= PIECE_BYTES;
        if media.is_present == 0 || !is_sane {
            return Err(Failure::Source(Status::NO_MEDIA));
        }
        // Shifts, as a division by an unknown number would need a check for zero.
        let block_shift = block_bytes.trailing_zeros();
        let start = part.start_bytes + at as u64;
        let block = start >> block_shift;
        let skip = start as usize & (block_bytes - 1);
        let wanted = skip + (part.len_bytes - at);
        let bytes = match wanted > PIECE_BYTES {
            true => PIECE_BYTES,
            false => (wanted + block_bytes - 1) >> block_shift << block_shift,
        };
        let last = block + (bytes >> block_shift) as u64 - 1;
        if last > media.last_block {
            let medium_bytes = (media.last_block + 1) << block_shift;
            return Err(Failure::MediumEnd { medium_bytes });
        }
        let from = bounce.as_ptr() as usize;
        let aligned = (from.wrapping_neg()) & (align - 1);
        let to = bounce.get_mut(aligned..aligned + bytes).unwrap_or_default();
        let io = self.0.as_ptr();
        let mut status = Ok(());
        for _ in 0..ATTEMPTS {
            // SAFETY: the firmware's interface, whole blocks, and memory of that length.
            status = unsafe { ((*io).read_blocks)(io, media.id, block, to.len(), to.as_mut_ptr()) }
                .check();
            if status.is_ok() {
                break;
            }
        }
        status.map_err(|status| Failure::Read { at: start, status })?;
        Ok((aligned + skip, aligned + bytes))
    }

    /// Reads a part from its place.
    pub fn read<'a>(&self, reading: &mut Reading<'a>, part: &Part) -> Result<Pages<'a>, Failure> {
        reading.read(part, |at, bounce| self.piece(part, at, bounce))
    }
}

/// Calls `found` with each medium that may hold the system, until it is content: first the one
/// that the loader was started from, then all others. What is on them is told by its checksum.
pub fn each(
    firmware: &Firmware,
    device: Handle,
    mut found: impl FnMut(Medium) -> bool,
) -> Result<(), Failure> {
    let parent = Medium::parent(firmware, device);
    if let Ok(parent) = parent
        && found(parent)
    {
        return Ok(());
    }
    let (mut count, mut handles) = (0, ptr::null_mut());
    let none = ptr::null();
    // SAFETY: both places live as long as the call.
    let located = unsafe {
        (firmware.boot().locate_handle_buffer)(
            BY_PROTOCOL,
            &BLOCK_IO,
            none,
            &mut count,
            &mut handles,
        )
    };
    if located.check().is_ok() {
        for index in 0..count {
            // SAFETY: the firmware's list has that many.
            let handle = unsafe { *handles.add(index) };
            let Ok(medium) = Medium::of(firmware, handle) else {
                continue;
            };
            let is_whole = medium.media().is_partition == 0 && medium.media().is_present != 0;
            if is_whole && Ok(medium) != parent.map_err(drop) && found(medium) {
                break;
            }
        }
        // SAFETY: the list is ours to give back.
        unsafe { (firmware.boot().free_pool)(handles.cast()) };
    }
    parent.map(drop)
}
