//! The configuration as the rest of the program sees it: LinuxKit's schema, typed.
//!
//! An absent key is `None`; an empty list was written as one, which matters where YAML replaces
//! what an image's label says. Text that a later stage may have to refuse keeps its place.

use std::collections::BTreeMap;

use super::source::Spanned;
use crate::reference::Reference;

/// Text with its place.
pub type Text = Spanned<String>;
/// A list of texts, as `binds:` and many others are.
pub type Texts = Vec<Text>;

/// A whole LinuxKit configuration, of one YAML file or several appended.
#[derive(Clone, Debug, Default)]
pub struct Moby {
    /// Where kernel, command line and microcode come from.
    pub kernel: Kernel,
    /// Images that make up the root file system, lowest first.
    pub init: Vec<Spanned<Reference>>,
    /// Containers run one after another before the services.
    pub onboot: Vec<Container>,
    /// Containers run one after another on the way down.
    pub onshutdown: Vec<Container>,
    /// Containers that stay up.
    pub services: Vec<Container>,
    /// Files put over everything else, in order.
    pub files: Vec<File>,
    /// Volumes that containers share.
    pub volumes: Vec<Volume>,
}

/// `kernel:`.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    /// The image; without it the build has no kernel.
    pub image: Option<Spanned<Reference>>,
    /// The kernel's command line.
    pub cmdline: Option<Text>,
    /// The kernel's file in the image, if not `kernel`.
    pub binary: Option<Text>,
    /// The archive of modules in the image, if not `kernel.tar`; empty or `none`: there is none.
    pub tar: Option<Text>,
    /// The archive of microcode in the image.
    pub ucode: Option<Text>,
}

impl Kernel {
    /// Path of the kernel in its image.
    pub fn binary_path(&self) -> &str {
        given(&self.binary).unwrap_or("kernel")
    }

    /// Path of the archive that goes into the root, if there is to be one.
    pub fn tar_path(&self) -> Option<&str> {
        match self.tar.as_ref().map(|t| t.as_str()) {
            None => Some("kernel.tar"),
            Some("" | "none") => None,
            Some(path) => Some(path),
        }
    }

    /// Path of the microcode archive in the image, if it was asked for.
    pub fn ucode_path(&self) -> Option<&str> {
        given(&self.ucode)
    }

    /// The command line, empty if none was given.
    pub fn cmdline(&self) -> &str {
        given(&self.cmdline).unwrap_or_default()
    }
}

/// The text, unless absent or empty.
pub(crate) fn given(text: &Option<Text>) -> Option<&str> {
    text.as_ref().map(|t| t.as_str()).filter(|t| !t.is_empty())
}

/// One container of `onboot:`, `onshutdown:` or `services:`.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its name: one component of a path.
    pub name: Text,
    /// Its image.
    pub image: Spanned<Reference>,
    /// What the YAML says about how it runs.
    pub settings: Settings,
}

/// How a container runs: what stands beside `name` and `image` in YAML, and what the label
/// `org.mobyproject.config` of an image may hold.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Capabilities, or the one word `all` or `none`; replaces the label's.
    pub capabilities: Option<Texts>,
    /// Capabilities added to the label's.
    pub capabilities_add: Option<Texts>,
    /// Ambient capabilities.
    pub ambient: Option<Texts>,
    /// Mounts.
    pub mounts: Option<Vec<Mount>>,
    /// Bind mounts, `source:destination[:options]`; replaces the label's.
    pub binds: Option<Texts>,
    /// Bind mounts added to the label's.
    pub binds_add: Option<Texts>,
    /// Devices.
    pub devices: Option<Vec<Device>>,
    /// tmpfs mounts, `destination[:options]`.
    pub tmpfs: Option<Texts>,
    /// Program and arguments.
    pub command: Option<Texts>,
    /// Environment, `NAME=value`.
    pub env: Option<Texts>,
    /// Working directory.
    pub cwd: Option<Text>,
    /// Network namespace.
    pub net: Option<Text>,
    /// Process id namespace.
    pub pid: Option<Text>,
    /// IPC namespace.
    pub ipc: Option<Text>,
    /// UTS namespace.
    pub uts: Option<Text>,
    /// User namespace.
    pub userns: Option<Text>,
    /// Host name.
    pub hostname: Option<Text>,
    /// Whether the root file system is read-only.
    pub readonly: Option<bool>,
    /// Paths hidden from the container.
    pub masked_paths: Option<Texts>,
    /// Paths read-only in the container.
    pub readonly_paths: Option<Texts>,
    /// User.
    pub uid: Option<Spanned<Id>>,
    /// Group.
    pub gid: Option<Spanned<Id>>,
    /// More groups.
    pub additional_gids: Option<Vec<Spanned<Id>>>,
    /// No new privileges by exec.
    pub no_new_privileges: Option<bool>,
    /// Score for the out-of-memory killer, -1000 to 1000.
    pub oom_score_adj: Option<Spanned<i32>>,
    /// Mount propagation of the root.
    pub rootfs_propagation: Option<Text>,
    /// Cgroup path.
    pub cgroups_path: Option<Text>,
    /// Cgroup limits.
    pub resources: Option<Resources>,
    /// Kernel parameters.
    pub sysctl: Option<BTreeMap<String, Text>>,
    /// Limits, `name,soft,hard`.
    pub rlimits: Option<Texts>,
    /// Uids of a user namespace.
    pub uid_mappings: Option<Vec<IdMapping>>,
    /// Gids of a user namespace.
    pub gid_mappings: Option<Vec<IdMapping>>,
    /// Annotations.
    pub annotations: Option<BTreeMap<String, Text>>,
    /// What LinuxKit's init does around the container.
    pub runtime: Option<Runtime>,
}

/// A uid or gid: a number, or the name of a container (or `root`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// The number itself.
    Number(u32),
    /// The number that the container of this name got.
    Name(String),
}

/// A mount of `mounts:` or `runtime: mounts:`; all texts may be empty.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Where it is mounted.
    pub destination: Option<Text>,
    /// The file system's type.
    pub kind: Option<Text>,
    /// What is mounted: a device, a path, a volume.
    pub source: Option<Text>,
    /// Options, as in fstab.
    pub options: Texts,
    /// Uids of an id-mapped mount.
    pub uid_mappings: Vec<IdMapping>,
    /// Gids of an id-mapped mount.
    pub gid_mappings: Vec<IdMapping>,
    /// Where the mount stands in its file.
    pub span: super::source::Span,
}

/// A range of ids in a user namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMapping {
    /// First id in the container.
    pub container_id: u32,
    /// First id outside.
    pub host_id: u32,
    /// How many.
    pub size: u32,
}

/// A device of `devices:`.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its path, or `all` for every device of the type.
    pub path: Option<Text>,
    /// `b`, `c`, `u` or `p`.
    pub kind: Option<Text>,
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// Permissions, as text in octal.
    pub mode: Option<Spanned<Mode>>,
    /// Where the device stands in its file.
    pub span: super::source::Span,
}

/// Permission bits, and how they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mode {
    /// The bits.
    pub bits: u32,
    /// As LinuxKit wants them written: octal digits.
    pub written: String,
}

/// `runtime:`: carried out by LinuxKit's init, not by the container runtime.
#[derive(Clone, Debug, Default)]
pub struct Runtime {
    /// Cgroups to make.
    pub cgroups: Option<Texts>,
    /// Mounts before the container starts.
    pub mounts: Option<Vec<Mount>>,
    /// Directories to make.
    pub mkdir: Option<Texts>,
    /// Network interfaces to add or move.
    pub interfaces: Option<Vec<Interface>>,
    /// Paths that namespaces are bound to.
    pub bind_ns: BindNs,
    /// The containerd namespace.
    pub namespace: Option<Text>,
}

/// A network interface of `runtime: interfaces:`.
#[derive(Clone, Debug, Default)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The type to add; empty: an existing one is moved.
    pub add: String,
    /// The other end of a veth pair.
    pub peer: String,
    /// Whether it is made in the root namespace first.
    pub create_in_root: bool,
}

/// `runtime: bindNS:`.
#[derive(Clone, Debug, Default)]
pub struct BindNs {
    /// Cgroup namespace.
    pub cgroup: Option<String>,
    /// IPC namespace.
    pub ipc: Option<String>,
    /// Mount namespace.
    pub mnt: Option<String>,
    /// Network namespace.
    pub net: Option<String>,
    /// Process id namespace.
    pub pid: Option<String>,
    /// User namespace.
    pub user: Option<String>,
    /// UTS namespace.
    pub uts: Option<String>,
}

/// `resources:`: cgroup limits, as the OCI runtime specification has them.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// Device rules.
    pub devices: Option<Vec<DeviceRule>>,
    /// Memory, in bytes (`swappiness` in percent).
    pub memory: Option<Memory>,
    /// Processor time, in microseconds.
    pub cpu: Option<Cpu>,
    /// Number of processes; -1: no limit.
    pub pids: Option<i64>,
    /// Block devices.
    pub block_io: Option<BlockIo>,
    /// Huge pages.
    pub hugepage_limits: Option<Vec<HugepageLimit>>,
    /// Network.
    pub network: Option<Network>,
}

/// A rule of the device cgroup.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // The names are those of the specification.
pub struct DeviceRule {
    pub allow: bool,
    pub kind: String,
    pub major: Option<i64>,
    pub minor: Option<i64>,
    pub access: String,
}

/// `resources: memory:`, in bytes.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // The names are those of the specification.
pub struct Memory {
    pub limit: Option<i64>,
    pub reservation: Option<i64>,
    pub swap: Option<i64>,
    pub kernel: Option<i64>,
    pub kernel_tcp: Option<i64>,
    pub swappiness: Option<u64>,
    pub disable_oom_killer: Option<bool>,
}

/// `resources: cpu:`.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // The names are those of the specification.
pub struct Cpu {
    pub shares: Option<u64>,
    pub quota: Option<i64>,
    pub period: Option<u64>,
    pub realtime_runtime: Option<i64>,
    pub realtime_period: Option<u64>,
    pub cpus: String,
    pub mems: String,
}

/// `resources: blockio:`.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // The names are those of the specification.
pub struct BlockIo {
    pub weight: Option<u16>,
    pub leaf_weight: Option<u16>,
    pub weight_device: Option<Vec<WeightDevice>>,
    pub throttle_read_bps_device: Option<Vec<ThrottleDevice>>,
    pub throttle_write_bps_device: Option<Vec<ThrottleDevice>>,
    pub throttle_read_iops_device: Option<Vec<ThrottleDevice>>,
    pub throttle_write_iops_device: Option<Vec<ThrottleDevice>>,
}

/// A weight for one block device.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // The names are those of the specification.
pub struct WeightDevice {
    pub major: i64,
    pub minor: i64,
    pub weight: Option<u16>,
    pub leaf_weight: Option<u16>,
}

/// A rate for one block device, in bytes or operations per second.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // The names are those of the specification.
pub struct ThrottleDevice {
    pub major: i64,
    pub minor: i64,
    pub rate: u64,
}

/// A limit for pages of one size.
#[derive(Clone, Debug, Default)]
pub struct HugepageLimit {
    /// The kernel's name for the size, such as `2MB`.
    pub page_size: String,
    /// The size as the YAML has it, in bytes; absent where it has the name.
    pub page_size_bytes: Option<u64>,
    /// Bytes.
    pub limit: u64,
}

/// `resources: network:`.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // The names are those of the specification.
pub struct Network {
    pub class_id: Option<u32>,
    pub priorities: Option<Vec<InterfacePriority>>,
}

/// The priority of one interface's traffic.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // The names are those of the specification.
pub struct InterfacePriority {
    pub name: String,
    pub priority: u32,
}

/// An entry of `files:`.
#[derive(Clone, Debug)]
pub struct File {
    /// The path as it was written; see [`File::image_path`].
    pub path: Text,
    /// What is there.
    pub content: FileContent,
    /// Whether a `source:` that cannot be read is passed over.
    pub optional: bool,
    /// Permission bits, if given.
    pub mode: Option<Spanned<Mode>>,
    /// Owner.
    pub uid: Option<Spanned<Id>>,
    /// Group.
    pub gid: Option<Spanned<Id>>,
}

/// What an entry of `files:` makes.
#[derive(Clone, Debug)]
pub enum FileContent {
    /// A directory.
    Directory,
    /// A symbolic link to this target.
    Symlink(Text),
    /// A file of these bytes.
    Inline(Vec<u8>),
    /// A file with the bytes of a file on the build machine; `~/` is the user's home, and a
    /// relative path is relative to where the build was started.
    Source(Text),
    /// A file with this configuration.
    Metadata(Metadata),
}

/// The form of `metadata:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

impl File {
    /// The path in the image: relative, without `.`, empty components or a slash at the end.
    /// Validation has refused `..`.
    pub fn image_path(&self) -> String {
        let kept: Vec<&str> = self
            .path
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        kept.join("/")
    }

    /// Permission bits of the entry: as given, or 0700 for a directory and 0600 for the rest.
    pub fn mode_bits(&self) -> u32 {
        match (&self.mode, &self.content) {
            (Some(mode), _) => mode.bits,
            (None, FileContent::Directory) => 0o700,
            (None, _) => 0o600,
        }
    }

    /// Permission bits of the leading directories that the entry makes: the entry's own, with
    /// search wherever there is anything.
    pub fn parent_mode_bits(&self) -> u32 {
        let mode = self.mode_bits();
        [0o100, 0o010, 0o001]
            .into_iter()
            .filter(|search| mode & (search * 7) != 0)
            .fold(mode, |mode, search| mode | search)
    }
}

/// An entry of `volumes:`.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Its name: lower-case letters, digits, `_` and `-`.
    pub name: Text,
    /// What it holds at first; without image it is empty.
    pub image: Option<Spanned<Reference>>,
    /// Whether containers can only read it.
    pub readonly: bool,
    /// How the image is put into it, if given.
    pub format: Option<VolumeFormat>,
    /// The platforms kept of an image of format `oci`, such as `linux/amd64`; empty: all.
    pub platforms: Texts,
}

/// How an image fills a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeFormat {
    /// Its files.
    Filesystem,
    /// An OCI layout.
    Oci,
}

impl Volume {
    /// The volume's own directory in the image: `containers/volumes/NAME`.
    pub fn base_path(&self) -> String {
        format!("containers/volumes/{}", self.name.as_str())
    }

    /// What the volume holds at first.
    pub fn lower_path(&self) -> String {
        self.base_path() + "/lower"
    }

    /// Where changes go.
    pub fn tmp_path(&self) -> String {
        self.base_path() + "/tmp"
    }

    /// What containers see.
    pub fn merged_path(&self) -> String {
        self.base_path() + "/merged"
    }

    /// How the image fills it: as given, or its files.
    pub fn format(&self) -> VolumeFormat {
        self.format.unwrap_or(VolumeFormat::Filesystem)
    }
}

impl Moby {
    /// The containers of all sections in LinuxKit's order, with their section and index in it.
    pub fn containers(&self) -> impl Iterator<Item = (Section, usize, &Container)> {
        [
            (Section::Onboot, &self.onboot),
            (Section::Onshutdown, &self.onshutdown),
            (Section::Services, &self.services),
        ]
        .into_iter()
        .flat_map(|(section, list)| list.iter().enumerate().map(move |(i, c)| (section, i, c)))
    }

    /// Every image named, in LinuxKit's order: kernel, init, volumes, onboot, onshutdown, services.
    pub fn images(&self) -> impl Iterator<Item = &Spanned<Reference>> {
        self.kernel
            .image
            .iter()
            .chain(&self.init)
            .chain(self.volumes.iter().filter_map(|v| v.image.as_ref()))
            .chain(self.containers().map(|(_, _, c)| &c.image))
    }

    /// The volume of this name.
    pub fn volume(&self, name: &str) -> Option<&Volume> {
        self.volumes.iter().find(|v| v.name.as_str() == name)
    }
}

/// The sections that hold containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Run in order at boot.
    Onboot,
    /// Run in order at shutdown.
    Onshutdown,
    /// Kept running.
    Services,
}

impl Section {
    /// The key in YAML, and the directory below `containers/`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Onboot => "onboot",
            Self::Onshutdown => "onshutdown",
            Self::Services => "services",
        }
    }

    /// Where the bundle of the container at `index` goes: `containers/onboot/003-NAME`,
    /// `containers/services/NAME`.
    pub fn bundle_path(self, index: usize, name: &str) -> String {
        match self {
            Self::Services => format!("containers/services/{name}"),
            _ => format!("containers/{}/{index:03}-{name}", self.name()),
        }
    }
}
