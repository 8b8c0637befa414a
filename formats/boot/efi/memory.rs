//! Memory of the firmware's, and what the compiler expects to find in every program.

use core::arch::asm;
use core::slice;

use crate::firmware::{
    AllocateType, BOOT_SERVICES_CODE, BOOT_SERVICES_DATA, CONVENTIONAL_MEMORY, Firmware,
    LOADER_CODE, LOADER_DATA, MemoryDescriptor, Status,
};

const PAGE_BYTES: usize = 4096;

/// Pages that are given back when they are dropped, and are zeros at first.
pub struct Pages<'a> {
    firmware: &'a Firmware,
    start: u64,
    bytes: usize,
}

impl<'a> Pages<'a> {
    /// Pages for `bytes` bytes.
    pub fn new(firmware: &'a Firmware, bytes: usize) -> Result<Self, Status> {
        Self::allocate(firmware, bytes, AllocateType::AnyPages, 0)
    }

    /// The same, below 4 GiB: some firmware can't read from a disk to addresses above.
    pub fn low(firmware: &'a Firmware, bytes: usize) -> Result<Self, Status> {
        let last = u64::from(u32::MAX);
        Self::allocate(firmware, bytes, AllocateType::MaxAddress, last)
    }

    fn allocate(
        firmware: &'a Firmware,
        bytes: usize,
        how: AllocateType,
        mut start: u64,
    ) -> Result<Self, Status> {
        let pages = bytes.div_ceil(PAGE_BYTES);
        // SAFETY: `start` lives as long as the call.
        unsafe { (firmware.boot().allocate_pages)(how, LOADER_DATA, pages, &mut start) }.check()?;
        // SAFETY: the firmware just gave these pages away. Pages don't have zeros of themselves,
        // and a slice is made of them.
        unsafe { memset(start as *mut u8, 0, bytes) };
        Ok(Self {
            firmware,
            start,
            bytes,
        })
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: our pages, filled above.
        unsafe { slice::from_raw_parts(self.start as *const u8, self.bytes) }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: our pages, filled above, and borrowed once.
        unsafe { slice::from_raw_parts_mut(self.start as *mut u8, self.bytes) }
    }
}

impl Drop for Pages<'_> {
    fn drop(&mut self) {
        let pages = self.bytes.div_ceil(PAGE_BYTES);
        // SAFETY: our pages, which nobody borrows any more.
        unsafe { (self.firmware.boot().free_pages)(self.start, pages) };
    }
}

/// RAM that the kernel can use once the firmware has left: what is free, and what is free then.
pub fn usable_bytes(firmware: &Firmware) -> Result<u64, Status> {
    // The allocation itself can add entries.
    const MORE_BYTES: usize = 4096;
    let (mut bytes, mut key, mut entry_bytes, mut version) = (0, 0, 0, 0);
    let get_memory_map = firmware.boot().get_memory_map;
    let mut nothing = 0;
    // SAFETY: a length of 0 only asks for the length.
    let _ = unsafe {
        get_memory_map(
            &mut bytes,
            &mut nothing,
            &mut key,
            &mut entry_bytes,
            &mut version,
        )
    };
    let mut map = Pages::new(firmware, bytes + MORE_BYTES)?;
    let map = map.bytes_mut();
    bytes = map.len();
    let start = map.as_mut_ptr();
    // SAFETY: the length is that of the pages.
    unsafe { get_memory_map(&mut bytes, start, &mut key, &mut entry_bytes, &mut version) }
        .check()?;
    let mut usable = 0;
    let mut at = 0;
    while entry_bytes > 0 && at + entry_bytes <= bytes && at + entry_bytes <= map.len() {
        // SAFETY: within the map; entries are at least as long as the part of them that is known.
        let entry = unsafe { start.add(at).cast::<MemoryDescriptor>().read_unaligned() };
        if matches!(
            entry.kind,
            LOADER_CODE
                | LOADER_DATA
                | BOOT_SERVICES_CODE
                | BOOT_SERVICES_DATA
                | CONVENTIONAL_MEMORY
        ) {
            usable += entry.pages * PAGE_BYTES as u64;
        }
        at += entry_bytes;
    }
    Ok(usable)
}

/// Copies bytes from one slice to the start of another, as many as both have. Slices' own copy
/// ends the program where the lengths differ.
pub fn copy(to: &mut [u8], from: &[u8]) {
    let bytes = to.len().min(from.len());
    // SAFETY: within both, and a slice that can be written overlaps no other.
    unsafe { memcpy(to.as_mut_ptr(), from.as_ptr(), bytes) };
}

// The compiler writes calls of these three; there is no C library here.

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    // SAFETY: the caller's. The direction flag is clear at every call.
    unsafe {
        asm!("rep movsb", inout("rcx") bytes => _, inout("rdi") to => _, inout("rsi") from => _,
             options(nostack, preserves_flags));
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, bytes: usize) -> *mut u8 {
    // SAFETY: the caller's. The direction flag is clear at every call.
    unsafe {
        asm!("rep stosb", inout("rcx") bytes => _, inout("rdi") to => _, in("al") byte as u8,
             options(nostack, preserves_flags));
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, bytes: usize) -> i32 {
    let mut at = 0;
    while at < bytes {
        // SAFETY: the caller's.
        let (one, other) = unsafe { (*one.add(at), *other.add(at)) };
        if one != other {
            return i32::from(one) - i32::from(other);
        }
        at += 1;
    }
    0
}
