//! What kind of file it is, by its bytes.

use std::io::{self, Read};
use std::sync::Arc;

use flate2::read::GzDecoder;
use formats::disk::read_mbr;
use formats::payload::{Payload, PayloadReader};
use formats::qcow2::{self, Qcow2Reader};
use formats::vhd::{self, VhdReader};
use formats::vmdk::{self, SparseReader, read_flat};

use super::{Bytes, Inspector, Section, open_by_place};

/// What is read of a file to tell its kind: up to an ISO's first descriptor.
const HEAD_BYTES: u64 = 40 << 10;
/// Descriptions of disks are shorter.
const DESCRIPTION_MAX_BYTES: u64 = 64 << 10;

const TAR_MAGIC_AT: usize = 257;
const TAR_MAGIC: &[u8] = b"ustar";
const ISO_MAGIC_AT: usize = 32_769;
const ISO_MAGIC: &[u8] = b"CD001";
const GPT_MAGIC_AT: usize = 512;
const GPT_MAGIC: &[u8] = b"EFI PART";
const VHD_MAGIC: &[u8] = b"conectix";
const VHD_FOOTER_BYTES: u64 = 512;
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const CPIO_MAGIC: &[u8] = b"07070";
const SQUASHFS_MAGIC: &[u8] = b"hsqs";
const BOOT_MAGIC_AT: usize = 510;

impl Inspector {
    /// Says what bytes are; `None` if that is not known.
    pub(super) fn look(&mut self, bytes: &Bytes) -> Option<Section> {
        let head = head(bytes);
        let at =
            |at: usize, magic: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
        if at(ISO_MAGIC_AT, ISO_MAGIC) {
            return Some(self.iso(bytes));
        }
        if at(0, b"KDMV") {
            return Some(self.vmdk(bytes));
        }
        if at(0, b"# Disk DescriptorFile") {
            return Some(self.flat_vmdk(bytes));
        }
        if at(0, b"QFI\xfb") {
            let section = Section::of_kind("qcow2");
            let reader = Qcow2Reader::open(bytes.clone()).map_err(|error| {
                let unread = matches!(error.kind, qcow2::ReadErrorKind::Unsupported { .. });
                (error.to_string(), unread)
            });
            return Some(self.virtual_disk(section, reader));
        }
        if at(0, VHD_MAGIC) || has_footer(bytes) {
            return Some(self.vhd(bytes));
        }
        if at(GPT_MAGIC_AT, GPT_MAGIC) {
            return Some(Section::of_kind("disk").and(self.disk(bytes)));
        }
        if at(TAR_MAGIC_AT, TAR_MAGIC) {
            return Some(match is_appliance(&head) {
                true => self.appliance(bytes),
                false => self.tar(bytes),
            });
        }
        if at(0, SQUASHFS_MAGIC) {
            return Some(self.squashfs(bytes));
        }
        if at(0, GZIP_MAGIC) && is_gzipped_tar(bytes) {
            return Some(self.gzipped_tar(bytes));
        }
        if at(0, GZIP_MAGIC) || at(0, ZSTD_MAGIC) || at(0, CPIO_MAGIC) {
            return Some(self.initrd(bytes, None));
        }
        // A kernel may look like a boot sector and a UEFI program too.
        if let Some(kernel) = self.kernel(bytes) {
            return Some(kernel);
        }
        if at(0, b"MZ") {
            return Some(self.program(bytes));
        }
        if at(BOOT_MAGIC_AT, &[0x55, 0xaa]) {
            return Some(match read_mbr(bytes) {
                Ok(entries) if !entries.is_empty() => {
                    Section::of_kind("disk").and(self.disk(bytes))
                }
                _ => self.fat_only(bytes),
            });
        }
        None
    }

    fn vmdk(&mut self, bytes: &Bytes) -> Section {
        let mut section = Section::of_kind("vmdk");
        let reader = SparseReader::open(bytes.clone()).map_err(|error| {
            let unread = matches!(error.kind, vmdk::ReadErrorKind::Unsupported { .. });
            (error.to_string(), unread)
        });
        if let Ok(reader) = &reader {
            let create_type = reader.descriptor().lines().find_map(|line| {
                let quoted = line.strip_prefix("createType=\"")?;
                quoted.strip_suffix('"')
            });
            let (version, flags) = reader.version_and_flags();
            section = section
                .text("create_type", create_type.unwrap_or_default())
                .number("version", u64::from(version))
                .text("flags", format!("{flags:#x}"));
        }
        self.virtual_disk(section, reader)
    }

    /// A description of a raw disk, which lies beside it.
    fn flat_vmdk(&mut self, bytes: &Bytes) -> Section {
        let section = Section::of_kind("vmdk");
        let text = match read_description(bytes) {
            Ok(text) => text,
            Err(error) => {
                self.problem(format!("the description can't be read: {error}"));
                return section;
            }
        };
        let Some(flat) = read_flat(&text) else {
            self.problem("the description names no raw disk with its length");
            // One in several files, or in sparse ones.
            self.unread |= text
                .lines()
                .any(|line| line.starts_with("RW ") && line.trim_end().ends_with('"'));
            return section;
        };
        let section = section
            .text("create_type", &flat.create_type)
            .text("disk_file", &flat.file_name)
            .bytes("disk_bytes", flat.disk_bytes);
        let Some(path) = &self.path else {
            return section;
        };
        let beside = path.with_file_name(&flat.file_name);
        let disk = match open_by_place(&beside) {
            Ok(disk) => disk,
            Err(error) => {
                self.problem(format!("{}: {error}", beside.display()));
                return section;
            }
        };
        if disk.len_bytes() != flat.disk_bytes {
            self.problem(format!(
                "{} has {} bytes, and {} are described",
                beside.display(),
                disk.len_bytes(),
                flat.disk_bytes
            ));
        }
        let disk: Bytes = Arc::new(disk);
        section.and(self.disk(&disk))
    }

    fn vhd(&mut self, bytes: &Bytes) -> Section {
        let mut section = Section::of_kind("vhd");
        let reader = VhdReader::open(bytes.clone()).map_err(|error| {
            let unread = matches!(error.kind, vhd::ReadErrorKind::Unsupported { .. });
            (error.to_string(), unread)
        });
        if let Ok(reader) = &reader {
            let kind = if reader.is_dynamic() {
                "dynamic"
            } else {
                "fixed"
            };
            section = section.text("type", kind);
        }
        self.virtual_disk(section, reader)
    }

    /// A disk in its format; where that can't be read, why, and whether nothing is wrong with it but
    /// that.
    fn virtual_disk<P: Payload + 'static>(
        &mut self,
        section: Section,
        reader: Result<P, (String, bool)>,
    ) -> Section {
        match reader {
            Ok(disk) => {
                let disk: Bytes = Arc::new(disk);
                let section = section.bytes("disk_bytes", disk.len_bytes());
                section.and(self.disk(&disk))
            }
            Err((why, unread)) => {
                self.problem(why);
                self.unread |= unread;
                section
            }
        }
    }
}

fn head(bytes: &Bytes) -> Vec<u8> {
    start(bytes, HEAD_BYTES).unwrap_or_default()
}

/// The first `max_bytes` bytes, or all if there are fewer.
fn start(bytes: &dyn Payload, max_bytes: u64) -> io::Result<Vec<u8>> {
    let len = usize::try_from(bytes.len_bytes().min(max_bytes)).unwrap_or(0);
    let mut start = vec![0; len];
    bytes.read_exact_at(0, &mut start)?;
    Ok(start)
}

/// Reads the text that describes a VMDK, as far as descriptions go.
pub(crate) fn read_description(file: &dyn Payload) -> io::Result<String> {
    let text = start(file, DESCRIPTION_MAX_BYTES)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn has_footer(bytes: &Bytes) -> bool {
    let mut magic = [0; 8];
    let start = bytes.len_bytes().checked_sub(VHD_FOOTER_BYTES);
    start.is_some_and(|start| bytes.read_exact_at(start, &mut magic).is_ok()) && magic == VHD_MAGIC
}

/// The first file of an appliance is its description.
fn is_appliance(head: &[u8]) -> bool {
    let name = head.get(..100).unwrap_or_default();
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    name.ends_with(b".ovf")
}

fn is_gzipped_tar(bytes: &Bytes) -> bool {
    let mut header = [0; 512];
    let mut plain = GzDecoder::new(PayloadReader::new(bytes));
    plain.read_exact(&mut header).is_ok() && header[TAR_MAGIC_AT..].starts_with(TAR_MAGIC)
}
