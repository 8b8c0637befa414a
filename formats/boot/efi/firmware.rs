//! The part of UEFI that is used here (UEFI specification 2.10, the clauses are named).

use core::ffi::c_void;
use core::ptr::{self, NonNull};

/// What a call came to (appendix D).
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Status(pub usize);

const ERROR: usize = 1 << (usize::BITS - 1);

impl Status {
    pub const SUCCESS: Self = Self(0);
    pub const LOAD_ERROR: Self = Self(ERROR | 1);
    pub const INVALID_PARAMETER: Self = Self(ERROR | 2);
    pub const UNSUPPORTED: Self = Self(ERROR | 3);
    pub const BUFFER_TOO_SMALL: Self = Self(ERROR | 5);
    pub const DEVICE_ERROR: Self = Self(ERROR | 7);
    pub const OUT_OF_RESOURCES: Self = Self(ERROR | 9);
    pub const VOLUME_CORRUPTED: Self = Self(ERROR | 10);
    pub const NO_MEDIA: Self = Self(ERROR | 12);
    pub const MEDIA_CHANGED: Self = Self(ERROR | 13);
    pub const NOT_FOUND: Self = Self(ERROR | 14);
    pub const ACCESS_DENIED: Self = Self(ERROR | 15);
    pub const SECURITY_VIOLATION: Self = Self(ERROR | 26);

    /// Warnings count as success.
    pub fn check(self) -> Result<(), Self> {
        if self.0 & ERROR == 0 {
            Ok(())
        } else {
            Err(self)
        }
    }

    /// The number that the specification gives it.
    pub fn number(self) -> u64 {
        (self.0 & !ERROR) as u64
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::LOAD_ERROR => "load error",
            Self::INVALID_PARAMETER => "invalid parameter",
            Self::UNSUPPORTED => "not supported",
            Self::DEVICE_ERROR => "device error",
            Self::OUT_OF_RESOURCES => "out of resources",
            Self::VOLUME_CORRUPTED => "the volume is damaged",
            Self::NO_MEDIA => "no medium",
            Self::MEDIA_CHANGED => "the medium was changed",
            Self::NOT_FOUND => "not found",
            Self::ACCESS_DENIED => "access denied",
            Self::SECURITY_VIOLATION => "security violation",
            _ => "error",
        }
    }
}

pub type Handle = *mut c_void;
pub type Event = *mut c_void;

#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Guid(pub u32, pub u16, pub u16, pub [u8; 8]);

pub const LOADED_IMAGE: Guid = Guid(
    0x5b1b_31a1,
    0x9562,
    0x11d2,
    [0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b],
);
pub const DEVICE_PATH: Guid = Guid(
    0x0957_6e91,
    0x6d3f,
    0x11d2,
    [0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b],
);
pub const SIMPLE_FILE_SYSTEM: Guid = Guid(
    0x964e_5b22,
    0x6459,
    0x11d2,
    [0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b],
);
pub const BLOCK_IO: Guid = Guid(
    0x964e_5b21,
    0x6459,
    0x11d2,
    [0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b],
);
pub const LOAD_FILE2: Guid = Guid(
    0x4006_c0c1,
    0xfcb3,
    0x403e,
    [0x99, 0x6d, 0x4a, 0x6c, 0x87, 0x24, 0xe0, 0x6d],
);

#[repr(C)]
pub struct TableHeader {
    signature: u64,
    revision: u32,
    header_bytes: u32,
    crc32: u32,
    reserved: u32,
}

/// 4.3
#[repr(C)]
pub struct SystemTable {
    header: TableHeader,
    firmware_vendor: *const u16,
    firmware_revision: u32,
    console_in_handle: Handle,
    pub console_in: *mut SimpleTextInput,
    console_out_handle: Handle,
    pub console_out: *mut SimpleTextOutput,
    standard_error_handle: Handle,
    standard_error: *mut SimpleTextOutput,
    runtime_services: *const c_void,
    pub boot_services: *const BootServices,
    // Configuration tables follow.
}

/// A service that is not called here.
type Unused = *const c_void;

/// 4.4
#[repr(C)]
pub struct BootServices {
    header: TableHeader,
    raise_tpl: Unused,
    restore_tpl: Unused,
    pub allocate_pages: unsafe extern "efiapi" fn(AllocateType, u32, usize, *mut u64) -> Status,
    pub free_pages: unsafe extern "efiapi" fn(u64, usize) -> Status,
    pub get_memory_map:
        unsafe extern "efiapi" fn(*mut usize, *mut u8, *mut usize, *mut usize, *mut u32) -> Status,
    allocate_pool: Unused,
    pub free_pool: unsafe extern "efiapi" fn(*mut c_void) -> Status,
    pub create_event:
        unsafe extern "efiapi" fn(u32, usize, *const c_void, *const c_void, *mut Event) -> Status,
    pub set_timer: unsafe extern "efiapi" fn(Event, u32, u64) -> Status,
    pub wait_for_event: unsafe extern "efiapi" fn(usize, *const Event, *mut usize) -> Status,
    signal_event: Unused,
    pub close_event: unsafe extern "efiapi" fn(Event) -> Status,
    check_event: Unused,
    pub install_protocol_interface:
        unsafe extern "efiapi" fn(*mut Handle, *const Guid, u32, *const c_void) -> Status,
    reinstall_protocol_interface: Unused,
    pub uninstall_protocol_interface:
        unsafe extern "efiapi" fn(Handle, *const Guid, *const c_void) -> Status,
    pub handle_protocol: unsafe extern "efiapi" fn(Handle, *const Guid, *mut *mut c_void) -> Status,
    reserved: Unused,
    register_protocol_notify: Unused,
    locate_handle: Unused,
    pub locate_device_path:
        unsafe extern "efiapi" fn(*const Guid, *mut *const u8, *mut Handle) -> Status,
    install_configuration_table: Unused,
    pub load_image:
        unsafe extern "efiapi" fn(u8, Handle, *const u8, *const u8, usize, *mut Handle) -> Status,
    pub start_image: unsafe extern "efiapi" fn(Handle, *mut usize, *mut *mut u16) -> Status,
    exit: Unused,
    pub unload_image: unsafe extern "efiapi" fn(Handle) -> Status,
    exit_boot_services: Unused,
    get_next_monotonic_count: Unused,
    pub stall: unsafe extern "efiapi" fn(usize) -> Status,
    pub set_watchdog_timer: unsafe extern "efiapi" fn(usize, u64, usize, *const u16) -> Status,
    connect_controller: Unused,
    disconnect_controller: Unused,
    open_protocol: Unused,
    close_protocol: Unused,
    open_protocol_information: Unused,
    protocols_per_handle: Unused,
    pub locate_handle_buffer: unsafe extern "efiapi" fn(
        u32,
        *const Guid,
        *const c_void,
        *mut usize,
        *mut *mut Handle,
    ) -> Status,
    // More follow.
}

/// How `locate_handle_buffer` is to search: for those with a protocol (7.3).
pub const BY_PROTOCOL: u32 = 2;

/// An event of a timer (7.1), and a timer that goes off once.
pub const EVENT_TIMER: u32 = 0x8000_0000;
pub const TIMER_RELATIVE: u32 = 2;

/// 7.2
#[repr(u32)]
pub enum AllocateType {
    AnyPages = 0,
    MaxAddress = 1,
}

/// An entry of the memory map; the next one is `descriptor_size` after it (7.2).
#[repr(C)]
pub struct MemoryDescriptor {
    pub kind: u32,
    pub physical_start: u64,
    pub virtual_start: u64,
    pub pages: u64,
    pub attribute: u64,
}

pub const LOADER_CODE: u32 = 1;
pub const LOADER_DATA: u32 = 2;
pub const BOOT_SERVICES_CODE: u32 = 3;
pub const BOOT_SERVICES_DATA: u32 = 4;
pub const CONVENTIONAL_MEMORY: u32 = 7;

/// 9.1
#[repr(C)]
pub struct LoadedImage {
    revision: u32,
    parent: Handle,
    system_table: *const SystemTable,
    pub device: Handle,
    file_path: *const u8,
    reserved: *const c_void,
    pub load_options_bytes: u32,
    pub load_options: *const c_void,
    pub image_base: *const u8,
    pub image_bytes: u64,
    // More follow.
}

/// 12.3
#[repr(C)]
pub struct SimpleTextInput {
    reset: Unused,
    pub read_key_stroke: unsafe extern "efiapi" fn(*mut Self, *mut [u16; 2]) -> Status,
    pub wait_for_key: Event,
}

/// 12.4
#[repr(C)]
pub struct SimpleTextOutput {
    reset: Unused,
    pub output_string: unsafe extern "efiapi" fn(*mut Self, *const u16) -> Status,
    // More follow.
}

/// 13.4
#[repr(C)]
pub struct SimpleFileSystem {
    revision: u64,
    pub open_volume: unsafe extern "efiapi" fn(*mut Self, *mut *mut File) -> Status,
}

/// 13.5
#[repr(C)]
pub struct File {
    revision: u64,
    pub open: unsafe extern "efiapi" fn(*mut Self, *mut *mut Self, *const u16, u64, u64) -> Status,
    pub close: unsafe extern "efiapi" fn(*mut Self) -> Status,
    delete: Unused,
    pub read: unsafe extern "efiapi" fn(*mut Self, *mut usize, *mut u8) -> Status,
    write: Unused,
    pub get_position: unsafe extern "efiapi" fn(*mut Self, *mut u64) -> Status,
    pub set_position: unsafe extern "efiapi" fn(*mut Self, u64) -> Status,
    // More follow.
}

pub const FILE_MODE_READ: u64 = 1;

/// 13.9
#[repr(C)]
pub struct BlockIo {
    revision: u64,
    pub media: *const Media,
    reset: Unused,
    pub read_blocks: unsafe extern "efiapi" fn(*const Self, u32, u64, usize, *mut u8) -> Status,
    // More follow.
}

/// 13.9
#[repr(C)]
pub struct Media {
    pub id: u32,
    removable: u8,
    pub is_present: u8,
    pub is_partition: u8,
    read_only: u8,
    write_caching: u8,
    pub block_bytes: u32,
    pub io_align: u32,
    pub last_block: u64,
    // More follow.
}

/// 13.2; the same shape as `EFI_LOAD_FILE2_PROTOCOL`.
#[repr(C)]
pub struct LoadFile2 {
    pub load_file:
        unsafe extern "efiapi" fn(*mut Self, *const u8, u8, *mut usize, *mut u8) -> Status,
}

/// The firmware, as this program was started by it.
pub struct Firmware {
    pub image: Handle,
    pub system: *const SystemTable,
}

impl Firmware {
    pub fn boot(&self) -> &BootServices {
        // SAFETY: the firmware's tables stay where they are while boot services run, which end
        // only when the kernel ends them.
        unsafe { &*(*self.system).boot_services }
    }

    /// The interface of a protocol that `handle` has.
    pub fn protocol<T>(&self, handle: Handle, guid: &Guid) -> Result<NonNull<T>, Status> {
        let mut interface = ptr::null_mut();
        // SAFETY: both places live as long as the call.
        unsafe { (self.boot().handle_protocol)(handle, guid, &mut interface) }.check()?;
        NonNull::new(interface.cast()).ok_or(Status::NOT_FOUND)
    }
}
