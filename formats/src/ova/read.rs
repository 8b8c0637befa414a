//! Reading a description and a manifest, within limits.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// Longest description that is read.
pub(super) const MAX_DESCRIPTOR_BYTES: usize = 1 << 20;

/// Elements within elements.
const MAX_DEPTH: usize = 32;

/// Files, disks, networks or devices.
const MAX_ENTRIES: usize = 1000;

/// Longest text that is taken from a description.
const MAX_TEXT_BYTES: usize = 4096;

/// Why an appliance, its description or its manifest can't be read, and where.
#[derive(Debug, thiserror::Error)]
#[error("appliance, {file}, at byte {offset}: {kind}")]
pub struct ReadError {
    /// What is wrong.
    pub kind: ReadErrorKind,
    /// In which of its files.
    pub file: &'static str,
    /// Where in it.
    pub offset: u64,
}

/// What is wrong with an appliance.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadErrorKind {
    /// Not XML.
    #[error("it is not XML: {0}")]
    Xml(String),
    /// XML, but not a description.
    #[error("{0}")]
    Content(&'static str),
    /// More than is read here.
    #[error("more {what} than {limit}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A file that is not what the manifest says.
    #[error("{name}: its SHA-256 is not the one in the manifest")]
    Checksum {
        /// The file.
        name: String,
    },
    /// The file can't be read.
    #[error("can't be read: {0}")]
    Io(#[from] std::io::Error),
}

/// What a description says of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Name, or else id, of the machine.
    pub name: String,
    /// Kinds of machine that will do, as in `vmx-13`.
    pub hardware: Vec<String>,
    /// VMware's id of the guest system.
    pub guest_id: Option<String>,
    /// `bios` or `efi`, where it is said.
    pub firmware: Option<String>,
    /// Processors.
    pub cpus: Option<u64>,
    /// Memory.
    pub memory_bytes: Option<u64>,
    /// Files of the package.
    pub files: Vec<FileEntry>,
    /// Disks, empty ones too.
    pub disks: Vec<DiskEntry>,
    /// Names of networks to be mapped.
    pub networks: Vec<String>,
    /// Everything that is not processor or memory.
    pub devices: Vec<Device>,
}

/// A file of a package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileEntry {
    /// Id within the description.
    pub id: String,
    /// Its name.
    pub href: String,
    /// How long it is said to be.
    pub bytes: Option<u64>,
}

/// A disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskEntry {
    /// Id within the description.
    pub id: String,
    /// How long it is, if that can be told.
    pub capacity_bytes: Option<u64>,
    /// Id of the file that it comes from; an empty disk has none.
    pub file: Option<String>,
    /// A URI that stands for its format.
    pub format: Option<String>,
}

/// A virtual device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// `CIM_ResourceAllocationSettingData.ResourceType`.
    pub resource_type: u64,
    /// Its model.
    pub subtype: Option<String>,
    /// What it is called.
    pub name: String,
    /// The disk or file in it.
    pub host_resource: Option<String>,
}

/// Properties of a device, or of processors and memory, while they are read.
#[derive(Default)]
struct Item {
    device: Device,
    quantity: Option<u64>,
    units: Option<String>,
}

/// Reads a description of one machine (DSP0243). Elements are told by their names alone, whatever
/// their prefixes; what is not known is passed over.
///
/// # Errors
/// If it is no such description, or more than is read here.
pub fn read_descriptor(text: &[u8]) -> Result<Descriptor, ReadError> {
    if text.len() > MAX_DESCRIPTOR_BYTES {
        let (what, limit) = ("bytes", MAX_DESCRIPTOR_BYTES);
        return Err(descriptor_error(0, ReadErrorKind::Limit { what, limit }));
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        let kind = ReadErrorKind::Content("it is not UTF-8");
        descriptor_error(error.valid_up_to() as u64, kind)
    })?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut parser = Parser::default();
    loop {
        let event = reader.read_event().map_err(|error| {
            let kind = ReadErrorKind::Xml(error.to_string());
            descriptor_error(reader.error_position(), kind)
        })?;
        let end = matches!(event, Event::Eof);
        parser
            .event(event)
            .map_err(|kind| descriptor_error(reader.buffer_position(), kind))?;
        if end {
            return Ok(parser.descriptor);
        }
    }
}

fn descriptor_error(offset: u64, kind: ReadErrorKind) -> ReadError {
    let file = "description";
    ReadError { kind, file, offset }
}

#[derive(Default)]
struct Parser {
    descriptor: Descriptor,
    /// Names of the elements that are open.
    path: Vec<String>,
    /// Text of the innermost one.
    text: String,
    item: Item,
    systems: usize,
}

impl Parser {
    fn event(&mut self, event: Event<'_>) -> Result<(), ReadErrorKind> {
        match event {
            Event::Start(start) => self.start(&start),
            Event::End(_) => self.end(),
            Event::Text(text) => self.text(&text.xml10_content()),
            Event::CData(text) => self.text(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let name = reference.xml10_content();
                let text = match reference.resolve_char_ref() {
                    Ok(Some(c)) => c.to_string(),
                    Ok(None) => quick_xml::escape::resolve_predefined_entity(&name)
                        .ok_or(ReadErrorKind::Content(
                            "it has an entity that is not XML's own",
                        ))?
                        .to_owned(),
                    Err(error) => return Err(ReadErrorKind::Xml(error.to_string())),
                };
                self.text(&text)
            }
            Event::DocType(_) => Err(ReadErrorKind::Content(
                "it has a document type, which no description needs",
            )),
            Event::Eof if !self.path.is_empty() => {
                Err(ReadErrorKind::Content("it ends within an element"))
            }
            Event::Eof if self.systems == 0 => {
                Err(ReadErrorKind::Content("it describes no virtual system"))
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), ReadErrorKind> {
        self.path.push(short(start.local_name().into_inner())?);
        self.text.clear();
        let limits = [
            ("elements within elements", self.path.len(), MAX_DEPTH),
            ("files", self.descriptor.files.len(), MAX_ENTRIES),
            ("disks", self.descriptor.disks.len(), MAX_ENTRIES),
            ("networks", self.descriptor.networks.len(), MAX_ENTRIES),
            ("devices", self.descriptor.devices.len(), MAX_ENTRIES),
        ];
        for (what, count, limit) in limits {
            if count > limit {
                return Err(ReadErrorKind::Limit { what, limit });
            }
        }
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        if path[0] != "Envelope" {
            return Err(ReadErrorKind::Content(
                "it is not a description: the outermost element is no Envelope",
            ));
        }
        let descriptor = &mut self.descriptor;
        match path[1..] {
            ["References", "File"] => descriptor.files.push(FileEntry {
                id: attribute(start, "id")?.unwrap_or_default(),
                href: attribute(start, "href")?.unwrap_or_default(),
                bytes: attribute(start, "size")?.and_then(|size| size.parse().ok()),
            }),
            ["DiskSection", "Disk"] => {
                let units = attribute(start, "capacityAllocationUnits")?;
                let capacity = attribute(start, "capacity")?;
                descriptor.disks.push(DiskEntry {
                    id: attribute(start, "diskId")?.unwrap_or_default(),
                    capacity_bytes: capacity
                        .and_then(|capacity| capacity.parse().ok())
                        .and_then(|capacity| in_bytes(capacity, units.as_deref())),
                    file: attribute(start, "fileRef")?,
                    format: attribute(start, "format")?,
                });
            }
            ["NetworkSection", "Network"] => {
                let name = attribute(start, "name")?.unwrap_or_default();
                descriptor.networks.push(name);
            }
            ["VirtualSystemCollection"] => {
                return Err(ReadErrorKind::Content(
                    "it describes a collection of machines, and only one is read here",
                ));
            }
            ["VirtualSystem"] => {
                self.systems += 1;
                if self.systems > 1 {
                    return Err(ReadErrorKind::Content("it describes more than one machine"));
                }
                descriptor.name = attribute(start, "id")?.unwrap_or_default();
            }
            ["VirtualSystem", "OperatingSystemSection"] => {
                descriptor.guest_id = attribute(start, "osType")?;
            }
            ["VirtualSystem", "VirtualHardwareSection", "Item"] => self.item = Item::default(),
            ["VirtualSystem", "VirtualHardwareSection", "Config"]
                if attribute(start, "key")?.as_deref() == Some("firmware") =>
            {
                descriptor.firmware = attribute(start, "value")?;
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), ReadErrorKind> {
        // Licences and the like are longer; what is taken from here is not.
        if self.text.len() + text.len() <= MAX_TEXT_BYTES {
            self.text.push_str(text);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), ReadErrorKind> {
        let text = self.text.trim().to_owned();
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let item = &mut self.item;
        match path.get(1..).unwrap_or_default() {
            ["VirtualSystem", "Name"] if !text.is_empty() => self.descriptor.name = text,
            [
                "VirtualSystem",
                "VirtualHardwareSection",
                "System",
                "VirtualSystemType",
            ] => {
                self.descriptor.hardware = text.split_whitespace().map(str::to_owned).collect();
            }
            ["VirtualSystem", "VirtualHardwareSection", "Item", property] => match *property {
                "AllocationUnits" => item.units = Some(text),
                "ElementName" => item.device.name = text,
                "HostResource" => item.device.host_resource = Some(text),
                "ResourceSubType" => item.device.subtype = Some(text),
                "ResourceType" => {
                    item.device.resource_type = text
                        .parse()
                        .map_err(|_| ReadErrorKind::Content("a device's type is no number"))?;
                }
                "VirtualQuantity" => item.quantity = text.parse().ok(),
                _ => {}
            },
            ["VirtualSystem", "VirtualHardwareSection", "Item"] => {
                let item = std::mem::take(item);
                match item.device.resource_type {
                    3 => self.descriptor.cpus = item.quantity,
                    4 => {
                        self.descriptor.memory_bytes = item
                            .quantity
                            .and_then(|quantity| in_bytes(quantity, item.units.as_deref()));
                    }
                    _ => self.descriptor.devices.push(item.device),
                }
            }
            _ => {}
        }
        self.path.pop();
        self.text.clear();
        Ok(())
    }
}

fn short(text: &str) -> Result<String, ReadErrorKind> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(ReadErrorKind::Limit {
            what: "bytes of a name or value",
            limit: MAX_TEXT_BYTES,
        });
    }
    Ok(text.to_owned())
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>, ReadErrorKind> {
    // Without the search for duplicates, which takes the square of their number.
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| ReadErrorKind::Xml(error.to_string()))?;
        if attribute.key.local_name().into_inner() == name {
            let value = attribute
                .normalized_value(XmlVersion::Explicit1_0)
                .map_err(|error| ReadErrorKind::Xml(error.to_string()))?;
            return short(&value).map(Some);
        }
    }
    Ok(None)
}

/// A quantity in programmatic units (DSP0004, appendix C) as far as appliances use them: `byte`,
/// `byte * 2^30`, and `MegaBytes` of old ones.
fn in_bytes(quantity: u64, units: Option<&str>) -> Option<u64> {
    let factor = match units.unwrap_or("byte").trim() {
        "byte" => Some(1),
        "KiloBytes" => Some(1 << 10),
        "MegaBytes" => Some(1 << 20),
        "GigaBytes" => Some(1 << 30),
        other => {
            let power = other.strip_prefix("byte")?.trim().strip_prefix('*')?;
            let (base, exponent) = power.split_once('^')?;
            let base: u64 = base.trim().parse().ok()?;
            base.checked_pow(exponent.trim().parse().ok()?)
        }
    }?;
    quantity.checked_mul(factor)
}

/// Reads a manifest: names of files and their SHA-256, in hexadecimal and lower case.
///
/// # Errors
/// If a line of it says something else.
pub fn read_manifest(text: &[u8]) -> Result<Vec<(String, String)>, ReadError> {
    let mut entries = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let bad = |what| ReadError {
            kind: ReadErrorKind::Content(what),
            file: "manifest",
            offset,
        };
        let line_text = std::str::from_utf8(line)
            .map_err(|_| bad("it is not UTF-8"))?
            .trim();
        if entries.len() == MAX_ENTRIES {
            return Err(bad("it has more than 1000 lines"));
        }
        if !line_text.is_empty() {
            let parts = line_text
                .strip_prefix("SHA256(")
                .and_then(|rest| rest.rsplit_once(')'))
                .and_then(|(name, rest)| Some((name, rest.trim().strip_prefix('=')?.trim())));
            let (name, digest) = parts.ok_or_else(|| bad("no \"SHA256(NAME)= DIGEST\""))?;
            if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(bad("a digest that is not 64 hexadecimal digits"));
            }
            entries.push((name.to_owned(), digest.to_ascii_lowercase()));
        }
        offset += line.len() as u64;
    }
    Ok(entries)
}
