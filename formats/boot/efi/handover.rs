//! Starting the kernel, which is a UEFI program itself, with its initrd and command line.
//!
//! The kernel asks for the initrd by a device path that is made for it (Linux,
//! Documentation/arch/x86/boot.rst and drivers/firmware/efi/libstub): a vendor's medium, which has
//! the protocol to load a file.

use core::ffi::c_void;
use core::ptr;
use core::slice;

use crate::firmware::{DEVICE_PATH, Firmware, Guid, Handle, LOAD_FILE2, LOADED_IMAGE, LoadFile2};
use crate::firmware::{LoadedImage, Status};
use crate::memory::copy;
use crate::sections::major_version;

/// A device path of one vendor's node (UEFI specification 2.10, 10.3.5.3) and the end.
#[repr(C, packed)]
struct VendorPath {
    kind: u8,
    sub_kind: u8,
    bytes: u16,
    vendor: Guid,
    end: [u8; 4],
}

const fn vendor_path(vendor: Guid) -> VendorPath {
    VendorPath {
        kind: 4,
        sub_kind: 3,
        bytes: 20,
        vendor,
        end: [0x7f, 0xff, 4, 0],
    }
}

/// Linux's path of the initrd (`LINUX_EFI_INITRD_MEDIA_GUID`).
static INITRD_PATH: VendorPath = vendor_path(Guid(
    0x5568_e427,
    0x68fc,
    0x4f3d,
    [0xac, 0x74, 0xca, 0x55, 0x52, 0x31, 0xcc, 0x68],
));

/// A name for the kernel: some firmware asks where an image in memory is from. The number means
/// nothing else.
static KERNEL_PATH: VendorPath = vendor_path(Guid(
    0x6c6b_6275,
    0x696c,
    0x8964,
    [0x8b, 0x65, 0x72, 0x6e, 0x65, 0x6c, 0x00, 0x01],
));

/// Why the kernel did not start.
pub enum Refusal {
    /// No UEFI program, or not for this processor.
    NoStub(Status),
    /// It does not know how to ask for the initrd.
    TooOld,
    /// Secure Boot's.
    SecureBoot(Status),
    /// The firmware can't load it.
    Load(Status),
    /// The firmware can't be told of the initrd.
    Initrd(Status),
    /// The kernel came back.
    Returned(Status),
}

/// The initrd as a file of the firmware's.
#[repr(C)]
struct Initrd {
    /// First: the firmware knows the whole by it.
    protocol: LoadFile2,
    start: *const u8,
    bytes: usize,
}

unsafe extern "efiapi" fn load_file(
    this: *mut LoadFile2,
    _path: *const u8,
    is_boot_policy: u8,
    bytes: *mut usize,
    to: *mut u8,
) -> Status {
    if this.is_null() || bytes.is_null() {
        return Status::INVALID_PARAMETER;
    }
    if is_boot_policy != 0 {
        return Status::UNSUPPORTED;
    }
    // SAFETY: `this` is what was installed, and the caller's memory is as long as it says.
    unsafe {
        let initrd = &*this.cast::<Initrd>();
        let room = *bytes;
        *bytes = initrd.bytes;
        if to.is_null() || room < initrd.bytes {
            return Status::BUFFER_TOO_SMALL;
        }
        let from = slice::from_raw_parts(initrd.start, initrd.bytes);
        copy(slice::from_raw_parts_mut(to, initrd.bytes), from);
    }
    Status::SUCCESS
}

/// Loads a kernel from memory, without starting it.
pub fn load(firmware: &Firmware, kernel: &[u8]) -> Result<Handle, Refusal> {
    // Linux 5.8 was the first on x86 that asks for its initrd in this way; its version is then 1
    // or more (Linux, include/linux/pe.h).
    match major_version(kernel) {
        None => return Err(Refusal::NoStub(Status::LOAD_ERROR)),
        Some(0) => return Err(Refusal::TooOld),
        Some(_) => {}
    }
    let mut handle = ptr::null_mut();
    let path = (&raw const KERNEL_PATH).cast();
    let (start, bytes) = (kernel.as_ptr(), kernel.len());
    // SAFETY: all live as long as the call.
    let status =
        unsafe { (firmware.boot().load_image)(0, firmware.image, path, start, bytes, &mut handle) };
    match status.check() {
        Ok(()) => Ok(handle),
        Err(status @ (Status::SECURITY_VIOLATION | Status::ACCESS_DENIED)) => {
            if !handle.is_null() {
                // SAFETY: loaded, but not to be started.
                unsafe { (firmware.boot().unload_image)(handle) };
            }
            Err(Refusal::SecureBoot(status))
        }
        Err(status @ (Status::UNSUPPORTED | Status::LOAD_ERROR)) => Err(Refusal::NoStub(status)),
        Err(status) => Err(Refusal::Load(status)),
    }
}

/// Starts a loaded kernel. Comes back only if that fails.
pub fn start(firmware: &Firmware, kernel: Handle, initrd: &[u8], cmdline: &[u16]) -> Refusal {
    let boot = firmware.boot();
    match firmware.protocol::<LoadedImage>(kernel, &LOADED_IMAGE) {
        // SAFETY: the firmware's, of an image that does not run yet.
        Ok(mut image) => unsafe {
            image.as_mut().load_options = cmdline.as_ptr().cast();
            image.as_mut().load_options_bytes = size_of_val(cmdline) as u32;
        },
        Err(status) => return Refusal::Load(status),
    }
    let file = Initrd {
        protocol: LoadFile2 { load_file },
        start: initrd.as_ptr(),
        bytes: initrd.len(),
    };
    // One protocol a call: the call for several takes any number of arguments.
    let protocols: [(&Guid, *const c_void); 2] = [
        (&DEVICE_PATH, (&raw const INITRD_PATH).cast()),
        (&LOAD_FILE2, (&raw const file).cast()),
    ];
    let mut handle = ptr::null_mut();
    let mut installed = Ok(());
    for (guid, interface) in protocols {
        // SAFETY: what is installed lives until it is taken away below.
        let install = boot.install_protocol_interface;
        installed =
            installed.and_then(|()| unsafe { install(&mut handle, guid, 0, interface).check() });
    }
    let refusal = match installed {
        Err(status) => Refusal::Initrd(status),
        Ok(()) => {
            // SAFETY: a loaded image; its exit data are not asked for.
            let status = unsafe { (boot.start_image)(kernel, ptr::null_mut(), ptr::null_mut()) };
            match status {
                Status::SECURITY_VIOLATION | Status::ACCESS_DENIED => Refusal::SecureBoot(status),
                _ => Refusal::Returned(status),
            }
        }
    };
    for (guid, interface) in protocols {
        // SAFETY: installed above; where not, it is an error that says so.
        unsafe { (boot.uninstall_protocol_interface)(handle, guid, interface) };
    }
    refusal
}
