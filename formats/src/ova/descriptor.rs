//! Writing the description of a machine.

use quick_xml::escape::escape;

use super::format::{
    CD_DRIVE, DISK, ETHERNET, MAX_NAME_BYTES, MEMORY, OS_LINUX_64, OTHER_STORAGE, OVF, PROCESSOR,
    RASD, SCSI_CONTROLLER, STREAM_OPTIMIZED, SUBTYPE_AHCI, SUBTYPE_CD, SUBTYPE_VMXNET3, VMW, VSSD,
};

/// What starts the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// A BIOS.
    Bios,
    /// UEFI, without Secure Boot.
    Efi,
}

impl Firmware {
    /// As VMware calls it.
    pub fn name(self) -> &'static str {
        match self {
            Firmware::Bios => "bios",
            Firmware::Efi => "efi",
        }
    }
}

/// What the disks hang on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// VMware's paravirtual SCSI: Linux' driver `vmw_pvscsi`.
    Pvscsi,
    /// LSI Logic parallel, for systems without that driver: `mptspi`.
    LsiLogic,
}

impl Controller {
    fn subtype(self) -> &'static str {
        match self {
            Controller::Pvscsi => "VirtualSCSI",
            Controller::LsiLogic => "lsilogic",
        }
    }
}

/// A virtual machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name, as an importer proposes it.
    pub name: String,
    /// VMware's hardware version: the machine is a `vmx-13` or so.
    pub hardware_version: u32,
    /// VMware's id of the guest system.
    pub guest_id: String,
    /// What starts it.
    pub firmware: Firmware,
    /// What its disks hang on.
    pub controller: Controller,
    /// Processors.
    pub cpus: u32,
    /// Memory; rounded up to multiples of 4 MiB, which VMware wants.
    pub memory_bytes: u64,
    /// The network its adapter is on, to be mapped at import; no adapter without one.
    pub network: Option<String>,
    /// An empty CD drive.
    pub cd_drive: bool,
    /// Length of a second, empty disk; 0 for none.
    pub data_bytes: u64,
}

impl Machine {
    /// A machine as most will want it: hardware version 13 (ESXi 6.5), BIOS, pvscsi, a vmxnet3
    /// adapter on "VM Network", two processors.
    pub fn new(name: impl Into<String>, memory_bytes: u64) -> Self {
        Self {
            name: name.into(),
            hardware_version: 13,
            guest_id: "other3xLinux64Guest".to_owned(),
            firmware: Firmware::Bios,
            controller: Controller::Pvscsi,
            cpus: 2,
            memory_bytes,
            network: Some("VM Network".to_owned()),
            cd_drive: false,
            data_bytes: 0,
        }
    }

    /// Memory in MiB.
    fn memory_mib(&self) -> u64 {
        self.memory_bytes.div_ceil(4 << 20) * 4
    }

    /// Checks what XML and file names can't hold.
    pub(super) fn check(&self) -> Result<(), NameError> {
        let network = self.network.as_deref().unwrap_or("network");
        for (what, text) in [
            ("name", self.name.as_str()),
            ("guest id", &self.guest_id),
            ("network", network),
        ] {
            // XML 1.0, 2.2: most control characters can't be written at all.
            let bad = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
            if text.is_empty() || text.contains(bad) {
                let text = text.escape_debug().to_string();
                return Err(NameError::Text { what, text });
            }
        }
        if self.name.len() > MAX_NAME_BYTES {
            return Err(NameError::TooLong {
                bytes: self.name.len(),
            });
        }
        Ok(())
    }

    /// The common part of the names of the package's files: they are also parts of URLs.
    pub(super) fn file_stem(&self) -> String {
        let kept = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let stem: String = self
            .name
            .chars()
            .map(|c| if kept(c) { c } else { '_' })
            .collect();
        // Not hidden, and no folder.
        match stem.strip_prefix('.') {
            Some(rest) => format!("_{rest}"),
            None => stem,
        }
    }
}

/// A text that an appliance can't hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Empty, or with a control character.
    #[error("{text:?} can't be the {what} of an appliance: it is empty or has a control character")]
    Text {
        /// What it was to be.
        what: &'static str,
        /// The text, made printable.
        text: String,
    },
    /// A name that is too long for the files in the package.
    #[error("the name of an appliance has {bytes} bytes, and {MAX_NAME_BYTES} is the most")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// The system's disk, as it is described.
pub(super) struct SystemDisk<'a> {
    pub(super) file_name: &'a str,
    pub(super) file_bytes: u64,
    pub(super) capacity_bytes: u64,
}

/// The description of a machine whose disk is a file of its own: what an importer needs that is
/// given a disk alone. `capacity_bytes` is the disk's length for the guest.
///
/// # Errors
/// If a text of the machine can't be in a description.
pub fn describe(
    machine: &Machine,
    file_name: &str,
    file_bytes: u64,
    capacity_bytes: u64,
) -> Result<String, NameError> {
    machine.check()?;
    Ok(text(
        machine,
        &SystemDisk {
            file_name,
            file_bytes,
            capacity_bytes,
        },
    ))
}

/// The description. Properties of a device stand in the order of the alphabet, as the schema
/// wants them.
pub(super) fn text(machine: &Machine, disk: &SystemDisk<'_>) -> String {
    let mut out = Writer::default();
    out.line("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    out.line(&format!(
        "<Envelope xmlns=\"{OVF}\" xmlns:ovf=\"{OVF}\" xmlns:rasd=\"{RASD}\" xmlns:vssd=\"{VSSD}\" xmlns:vmw=\"{VMW}\">"
    ));
    out.depth = 1;
    out.open("References");
    out.line(&format!(
        "<File ovf:href=\"{}\" ovf:id=\"file1\" ovf:size=\"{}\"/>",
        disk.file_name, disk.file_bytes
    ));
    out.close("References");
    disks(&mut out, machine, disk);
    if let Some(network) = &machine.network {
        out.open("NetworkSection");
        out.element("Info", "Networks");
        out.line(&format!("<Network ovf:name=\"{}\">", escape(network)));
        out.depth += 1;
        out.element("Description", "The network of the machine's adapter");
        out.close("Network");
        out.close("NetworkSection");
    }
    out.line(&format!(
        "<VirtualSystem ovf:id=\"{}\">",
        escape(machine.name.as_str())
    ));
    out.depth += 1;
    out.element("Info", "A virtual machine");
    out.element("Name", &machine.name);
    out.line(&format!(
        "<OperatingSystemSection ovf:id=\"{OS_LINUX_64}\" vmw:osType=\"{}\">",
        escape(machine.guest_id.as_str())
    ));
    out.depth += 1;
    out.element("Info", "The guest operating system");
    out.element("Description", "Linux, 64 bits");
    out.close("OperatingSystemSection");
    hardware(&mut out, machine);
    out.close("VirtualSystem");
    out.close("Envelope");
    out.text
}

fn disks(out: &mut Writer, machine: &Machine, disk: &SystemDisk<'_>) {
    out.open("DiskSection");
    out.element("Info", "Disks");
    out.line(&format!(
        "<Disk ovf:capacity=\"{}\" ovf:capacityAllocationUnits=\"byte\" ovf:diskId=\"system\" \
         ovf:fileRef=\"file1\" ovf:format=\"{STREAM_OPTIMIZED}\"/>",
        disk.capacity_bytes
    ));
    if machine.data_bytes > 0 {
        out.line(&format!(
            "<Disk ovf:capacity=\"{}\" ovf:capacityAllocationUnits=\"byte\" ovf:diskId=\"data\" \
             ovf:format=\"{STREAM_OPTIMIZED}\"/>",
            machine.data_bytes.next_multiple_of(1 << 20)
        ));
    }
    out.close("DiskSection");
}

/// Ids of devices that others hang on.
const SCSI_ID: u32 = 3;
const AHCI_ID: u32 = 4;

fn hardware(out: &mut Writer, machine: &Machine) {
    out.open("VirtualHardwareSection");
    out.element("Info", "Virtual hardware");
    out.open("System");
    out.element("vssd:ElementName", "Virtual Hardware Family");
    out.element("vssd:InstanceID", "0");
    out.element("vssd:VirtualSystemIdentifier", &machine.name);
    let family = format!("vmx-{:02}", machine.hardware_version);
    out.element("vssd:VirtualSystemType", &family);
    out.close("System");

    let (cpus, memory_mib) = (machine.cpus.to_string(), machine.memory_mib().to_string());
    out.item(&[
        ("AllocationUnits", "hertz * 10^6"),
        ("Description", "Number of virtual CPUs"),
        ("ElementName", &format!("{cpus} virtual CPUs")),
        ("InstanceID", "1"),
        ("ResourceType", &PROCESSOR.to_string()),
        ("VirtualQuantity", &cpus),
    ]);
    out.item(&[
        ("AllocationUnits", "byte * 2^20"),
        ("Description", "Memory size"),
        ("ElementName", &format!("{memory_mib} MB of memory")),
        ("InstanceID", "2"),
        ("ResourceType", &MEMORY.to_string()),
        ("VirtualQuantity", &memory_mib),
    ]);
    out.item(&[
        ("Address", "0"),
        ("Description", "SCSI controller"),
        ("ElementName", "SCSI controller 0"),
        ("InstanceID", &SCSI_ID.to_string()),
        ("ResourceSubType", machine.controller.subtype()),
        ("ResourceType", &SCSI_CONTROLLER.to_string()),
    ]);
    if machine.cd_drive {
        out.item(&[
            ("Address", "0"),
            ("Description", "SATA controller"),
            ("ElementName", "SATA controller 0"),
            ("InstanceID", &AHCI_ID.to_string()),
            ("ResourceSubType", SUBTYPE_AHCI),
            ("ResourceType", &OTHER_STORAGE.to_string()),
        ]);
        out.item(&[
            ("AddressOnParent", "0"),
            ("AutomaticAllocation", "false"),
            ("ElementName", "CD/DVD drive 1"),
            ("InstanceID", "5"),
            ("Parent", &AHCI_ID.to_string()),
            ("ResourceSubType", SUBTYPE_CD),
            ("ResourceType", &CD_DRIVE.to_string()),
        ]);
    }
    let data = (machine.data_bytes > 0).then_some("data");
    for ((disk, number), id) in ["system"].into_iter().chain(data).zip(0..).zip(6..) {
        out.item(&[
            ("AddressOnParent", &i32::to_string(&number)),
            ("ElementName", &format!("Hard disk {}", number + 1)),
            ("HostResource", &format!("ovf:/disk/{disk}")),
            ("InstanceID", &i32::to_string(&id)),
            ("Parent", &SCSI_ID.to_string()),
            ("ResourceType", &DISK.to_string()),
        ]);
    }
    if let Some(network) = &machine.network {
        out.item(&[
            // The slot on the PCI bus, as VMware counts network adapters.
            ("AddressOnParent", "7"),
            ("AutomaticAllocation", "true"),
            ("Connection", network),
            ("ElementName", "Network adapter 1"),
            ("InstanceID", "8"),
            ("ResourceSubType", SUBTYPE_VMXNET3),
            ("ResourceType", &ETHERNET.to_string()),
        ]);
    }
    out.config("firmware", machine.firmware.name());
    if machine.firmware == Firmware::Efi {
        // Our loader is not signed.
        out.config("bootOptions.efiSecureBootEnabled", "false");
    }
    out.close("VirtualHardwareSection");
}

/// Elements, indented.
#[derive(Default)]
struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    fn line(&mut self, line: &str) {
        self.text.push_str(&"  ".repeat(self.depth));
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn open(&mut self, name: &str) {
        self.line(&format!("<{name}>"));
        self.depth += 1;
    }

    fn close(&mut self, name: &str) {
        self.depth = self.depth.saturating_sub(1);
        self.line(&format!("</{name}>"));
    }

    fn element(&mut self, name: &str, text: &str) {
        self.line(&format!("<{name}>{}</{name}>", escape(text)));
    }

    fn item(&mut self, properties: &[(&str, &str)]) {
        self.open("Item");
        for (name, value) in properties {
            self.element(&format!("rasd:{name}"), value);
        }
        self.close("Item");
    }

    /// A setting of VMware's that others may leave alone.
    fn config(&mut self, key: &str, value: &str) {
        self.line(&format!(
            "<vmw:Config ovf:required=\"false\" vmw:key=\"{key}\" vmw:value=\"{value}\"/>"
        ));
    }
}
