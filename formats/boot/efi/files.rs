//! Files on the volume that the loader was started from, read through the firmware.

use core::ptr::{self, NonNull};

use crate::firmware::{FILE_MODE_READ, File, Handle, SIMPLE_FILE_SYSTEM, SimpleFileSystem, Status};
use crate::memory::Pages;
use crate::part::{Failure, PIECE_BYTES, Part, Reading};

/// Room for a path.
const PATH_UNITS: usize = 32;

/// An open file or folder.
struct Opened(NonNull<File>);

impl Drop for Opened {
    fn drop(&mut self) {
        let file = self.0.as_ptr();
        // SAFETY: open until now.
        unsafe { ((*file).close)(file) };
    }
}

impl Opened {
    fn new(file: *mut File) -> Result<Self, Status> {
        NonNull::new(file).map(Self).ok_or(Status::NOT_FOUND)
    }

    /// The root folder of `device`'s volume.
    fn root(reading: &Reading<'_>, device: Handle) -> Result<Self, Status> {
        let system: NonNull<SimpleFileSystem> =
            reading.firmware.protocol(device, &SIMPLE_FILE_SYSTEM)?;
        let mut root = ptr::null_mut();
        let system = system.as_ptr();
        // SAFETY: the firmware's interface; `root` lives as long as the call.
        unsafe { ((*system).open_volume)(system, &mut root) }.check()?;
        Self::new(root)
    }

    /// A file below this folder, by its path with `/` between names.
    fn file(&self, path: &str) -> Result<Self, Status> {
        let mut units = [0; PATH_UNITS + 1];
        for (unit, byte) in units.iter_mut().take(PATH_UNITS).zip(path.bytes()) {
            *unit = match byte {
                b'/' => u16::from(b'\\'),
                byte => u16::from(byte),
            };
        }
        let mut file = ptr::null_mut();
        let folder = self.0.as_ptr();
        // SAFETY: an open folder; the path ends with a zero.
        unsafe { ((*folder).open)(folder, &mut file, units.as_ptr(), FILE_MODE_READ, 0) }
            .check()?;
        Self::new(file)
    }

    fn len_bytes(&self) -> Result<u64, Status> {
        // The position after the end stands for the end.
        const END: u64 = u64::MAX;
        let file = self.0.as_ptr();
        let mut bytes = 0;
        // SAFETY: an open file.
        unsafe {
            ((*file).set_position)(file, END).check()?;
            ((*file).get_position)(file, &mut bytes).check()?;
            ((*file).set_position)(file, 0).check()?;
        }
        Ok(bytes)
    }

    fn read(&self, to: &mut [u8]) -> Result<usize, Status> {
        let mut bytes = to.len();
        let file = self.0.as_ptr();
        // SAFETY: an open file, and memory of that length.
        unsafe { ((*file).read)(file, &mut bytes, to.as_mut_ptr()) }.check()?;
        Ok(bytes)
    }
}

/// Reads a part from its file.
pub fn read<'a>(
    reading: &mut Reading<'a>,
    device: Handle,
    part: &Part,
) -> Result<Pages<'a>, Failure> {
    let file = Opened::root(reading, device)
        .and_then(|root| root.file(part.file))
        .map_err(Failure::Source)?;
    let found_bytes = file.len_bytes().map_err(Failure::Source)?;
    if found_bytes != part.len_bytes as u64 {
        return Err(Failure::Length { found_bytes });
    }
    reading.read(part, |at, bounce| {
        let to = bounce.get_mut(..PIECE_BYTES).unwrap_or_default();
        let bytes = file.read(to).map_err(|status| Failure::Read {
            at: at as u64,
            status,
        })?;
        Ok((0, bytes))
    })
}
