//! Names and numbers of the description (DSP0243 1.1; CIM_ResourceAllocationSettingData;
//! VMware's own as its `ovftool` writes them).

/// Namespace of the description.
pub(super) const OVF: &str = "http://schemas.dmtf.org/ovf/envelope/1";

/// Namespace of a device's properties.
pub(super) const RASD: &str =
    "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData";

/// Namespace of the machine's kind.
pub(super) const VSSD: &str =
    "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData";

/// Namespace of VMware's settings.
pub(super) const VMW: &str = "http://www.vmware.com/schema/ovf";

/// The format of our disks.
pub(super) const STREAM_OPTIMIZED: &str =
    "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";

/// `CIM_OperatingSystem.OsType`: Linux, 64 bits.
pub(super) const OS_LINUX_64: u16 = 101;

/// `ResourceType`: processors.
pub(super) const PROCESSOR: u16 = 3;
/// `ResourceType`: memory.
pub(super) const MEMORY: u16 = 4;
/// `ResourceType`: a SCSI controller.
pub(super) const SCSI_CONTROLLER: u16 = 6;
/// `ResourceType`: a network adapter.
pub(super) const ETHERNET: u16 = 10;
/// `ResourceType`: a CD drive.
pub(super) const CD_DRIVE: u16 = 15;
/// `ResourceType`: a disk.
pub(super) const DISK: u16 = 17;
/// `ResourceType`: another storage controller, here AHCI.
pub(super) const OTHER_STORAGE: u16 = 20;

/// `ResourceSubType` of an AHCI controller.
pub(super) const SUBTYPE_AHCI: &str = "vmware.sata.ahci";
/// `ResourceSubType` of a CD drive that passes a client's on.
pub(super) const SUBTYPE_CD: &str = "vmware.cdrom.remotepassthrough";
/// `ResourceSubType` of VMware's paravirtual network adapter.
pub(super) const SUBTYPE_VMXNET3: &str = "VmxNet3";

/// Longest file of a ustar archive: eleven octal digits.
pub(super) const MAX_FILE_BYTES: u64 = 0o77_777_777_777;

/// Longest name of a package; `-disk1.vmdk` and the ustar header's 100 bytes are to hold.
pub(super) const MAX_NAME_BYTES: usize = 80;

/// Blocks of a tar, in memory.
pub(super) const BLOCK: usize = 512;

/// Blocks of a tar.
pub(super) const BLOCK_BYTES: u64 = BLOCK as u64;
