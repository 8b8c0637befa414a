//! The configuration as values, in the order of LinuxKit's own structures.
//!
//! What is written can be read again by this program and by LinuxKit. LinuxKit's own output cannot
//! always: it writes `null` for empty sections in JSON, and `resources` under names that its schema
//! does not know.

use std::collections::BTreeMap;

use super::yaml::{Style, write};
use super::{MapBuilder, Value};
use crate::config::model::{
    BindNs, BlockIo, Container, Cpu, Device, DeviceRule, File, FileContent, HugepageLimit, Id,
    IdMapping, Interface, Kernel, Memory, Metadata, Moby, Mount, Network, Resources, Runtime,
    Settings, Text, Texts, ThrottleDevice, Volume, VolumeFormat, WeightDevice,
};
use crate::config::source::Spanned;
use crate::reference::Reference;

/// The merged configuration as `--dry-run` prints it, image names as the user wrote them.
pub fn dry_run_yaml(moby: &Moby) -> String {
    let form = Form {
        full_names: false,
        json: false,
    };
    write(
        &form.moby(moby),
        Style {
            step: 4,
            indent_lists: true,
        },
    )
}

/// The merged configuration as `metadata: yaml` puts it into a file, image names in full.
pub fn metadata_yaml(moby: &Moby) -> String {
    let form = Form {
        full_names: true,
        json: false,
    };
    write(
        &form.moby(moby),
        Style {
            step: 2,
            indent_lists: false,
        },
    )
}

/// The merged configuration as `metadata: json` puts it into a file, image names in full.
pub fn metadata_json(moby: &Moby) -> String {
    Form {
        full_names: true,
        json: true,
    }
    .moby(moby)
    .to_portable_json()
}

#[derive(Clone, Copy)]
struct Form {
    /// Write image names out in full.
    full_names: bool,
    /// Leave out what Go's JSON tags leave out and its YAML tags do not.
    json: bool,
}

impl Form {
    fn moby(self, m: &Moby) -> Value {
        let containers =
            |list: &[Container]| -> Vec<Value> { list.iter().map(|c| self.container(c)).collect() };
        let init: Vec<String> = m.init.iter().map(|i| self.name(i)).collect();
        MapBuilder::new()
            .put("kernel", self.kernel(&m.kernel))
            .put("init", init)
            .put("onboot", containers(&m.onboot))
            .put("onshutdown", containers(&m.onshutdown))
            .put("services", containers(&m.services))
            .put("files", m.files.iter().map(file).collect::<Vec<_>>())
            .put(
                "volumes",
                m.volumes.iter().map(|v| self.volume(v)).collect::<Vec<_>>(),
            )
            .build()
    }

    fn name(self, image: &Spanned<Reference>) -> String {
        if self.full_names {
            image.written_out()
        } else {
            image.original().to_owned()
        }
    }

    fn kernel(self, k: &Kernel) -> Value {
        MapBuilder::new()
            .put(
                "image",
                k.image.as_ref().map_or(String::new(), |i| self.name(i)),
            )
            .put_filled("cmdline", filled(&k.cmdline))
            .put_filled("binary", filled(&k.binary))
            .put_some("tar", k.tar.as_ref().map(|t| t.as_str()))
            .put_some("ucode", k.ucode.as_ref().map(|t| t.as_str()))
            .build()
    }

    fn volume(self, v: &Volume) -> Value {
        MapBuilder::new()
            .put("name", v.name.as_str())
            // LinuxKit leaves these as they were written.
            .put_some("image", v.image.as_ref().map(|i| i.original()))
            .put_filled("readonly", v.readonly)
            .put_some(
                "format",
                v.format.map(|f| match f {
                    VolumeFormat::Filesystem => "filesystem",
                    VolumeFormat::Oci => "oci",
                }),
            )
            .put_filled("platforms", texts(&v.platforms))
            .build()
    }

    fn container(self, c: &Container) -> Value {
        let s: &Settings = &c.settings;
        let list = |t: &Option<Texts>| t.as_ref().map(texts);
        let maps = |m: &Option<Vec<IdMapping>>| m.as_ref().map(|m| id_mappings(m));
        MapBuilder::new()
            .put("name", c.name.as_str())
            .put("image", self.name(&c.image))
            .put_some("capabilities", list(&s.capabilities))
            .put_some("capabilities.add", list(&s.capabilities_add))
            .put_some("ambient", list(&s.ambient))
            .put_some("mounts", s.mounts.as_ref().map(|m| self.mounts(m)))
            .put_some("binds", list(&s.binds))
            .put_some("binds.add", list(&s.binds_add))
            .put_some(
                "devices",
                s.devices
                    .as_ref()
                    .map(|d| d.iter().map(device).collect::<Vec<_>>()),
            )
            .put_some("tmpfs", list(&s.tmpfs))
            .put_some("command", list(&s.command))
            .put_some("env", list(&s.env))
            .put_filled("cwd", filled(&s.cwd))
            .put_filled("net", filled(&s.net))
            .put_filled("pid", filled(&s.pid))
            .put_filled("ipc", filled(&s.ipc))
            .put_filled("uts", filled(&s.uts))
            .put_filled("userns", filled(&s.userns))
            .put_filled("hostname", filled(&s.hostname))
            .put_some("readonly", s.readonly)
            .put_some("maskedPaths", list(&s.masked_paths))
            .put_some("readonlyPaths", list(&s.readonly_paths))
            .put_some("uid", s.uid.as_ref().map(|i| id(i)))
            .put_some("gid", s.gid.as_ref().map(|i| id(i)))
            .put_some(
                "additionalGids",
                s.additional_gids
                    .as_ref()
                    .map(|g| g.iter().map(|i| id(i)).collect::<Vec<_>>()),
            )
            .put_some("noNewPrivileges", s.no_new_privileges)
            .put_some("oomScoreAdj", s.oom_score_adj.as_ref().map(|n| n.value))
            .put_some("rootfsPropagation", text(&s.rootfs_propagation))
            .put_some("cgroupsPath", text(&s.cgroups_path))
            .put_some("resources", s.resources.as_ref().map(resources))
            .put_some("sysctl", s.sysctl.as_ref().map(text_map))
            .put_some("rlimits", list(&s.rlimits))
            .put_some("uidMappings", maps(&s.uid_mappings))
            .put_some("gidMappings", maps(&s.gid_mappings))
            .put_some("annotations", s.annotations.as_ref().map(text_map))
            .put_some("runtime", s.runtime.as_ref().map(|r| self.runtime(r)))
            .build()
    }

    fn mounts(self, mounts: &[Mount]) -> Vec<Value> {
        mounts.iter().map(|m| self.mount(m)).collect()
    }

    fn mount(self, m: &Mount) -> Value {
        let (destination, kind, source) =
            (filled(&m.destination), filled(&m.kind), filled(&m.source));
        let options = texts(&m.options);
        let (uids, gids) = (id_mappings(&m.uid_mappings), id_mappings(&m.gid_mappings));
        if self.json {
            return MapBuilder::new()
                .put("destination", destination)
                .put_filled("type", kind)
                .put_filled("source", source)
                .put_filled("options", options)
                .put_filled("uidMappings", uids)
                .put_filled("gidMappings", gids)
                .build();
        }
        MapBuilder::new()
            .put("destination", destination)
            .put("type", kind)
            .put("source", source)
            .put("options", options)
            .put("uidmappings", uids)
            .put("gidmappings", gids)
            .build()
    }

    fn runtime(self, r: &Runtime) -> Value {
        let list = |t: &Option<Texts>| t.as_ref().map(texts);
        let BindNs {
            cgroup,
            ipc,
            mnt,
            net,
            pid,
            user,
            uts,
        } = &r.bind_ns;
        let bind_ns = MapBuilder::new()
            .put_some("cgroup", cgroup.as_deref())
            .put_some("ipc", ipc.as_deref())
            .put_some("mnt", mnt.as_deref())
            .put_some("net", net.as_deref())
            .put_some("pid", pid.as_deref())
            .put_some("user", user.as_deref())
            .put_some("uts", uts.as_deref());
        let map = MapBuilder::new()
            .put_some("cgroups", list(&r.cgroups))
            .put_some("mounts", r.mounts.as_ref().map(|m| self.mounts(m)))
            .put_some("mkdir", list(&r.mkdir))
            .put_some(
                "interfaces",
                r.interfaces
                    .as_ref()
                    .map(|i| i.iter().map(interface).collect::<Vec<_>>()),
            );
        let map = if self.json {
            map.put("bindNS", bind_ns)
        } else {
            map.put_filled("bindNS", bind_ns)
        };
        map.put_some("namespace", text(&r.namespace)).build()
    }
}

/// The text, empty if absent.
fn filled(text: &Option<Text>) -> &str {
    text.as_ref().map_or("", |t| t.as_str())
}

fn text(text: &Option<Text>) -> Option<&str> {
    text.as_ref().map(|t| t.as_str())
}

pub(crate) fn texts(texts: &Texts) -> Value {
    Value::List(texts.iter().map(|t| t.as_str().into()).collect())
}

fn text_map(map: &BTreeMap<String, Text>) -> Value {
    Value::Map(
        map.iter()
            .map(|(k, v)| (k.clone(), v.as_str().into()))
            .collect(),
    )
}

fn id(id: &Id) -> Value {
    match id {
        Id::Number(n) => (*n).into(),
        Id::Name(name) => name.as_str().into(),
    }
}

fn id_mappings(mappings: &[IdMapping]) -> Value {
    let one = |m: &IdMapping| {
        MapBuilder::new()
            .put("containerID", m.container_id)
            .put("hostID", m.host_id)
            .put("size", m.size)
            .build()
    };
    Value::List(mappings.iter().map(one).collect())
}

fn device(d: &Device) -> Value {
    MapBuilder::new()
        .put("path", filled(&d.path))
        .put("type", filled(&d.kind))
        .put("major", d.major)
        .put("minor", d.minor)
        .put_some("mode", d.mode.as_ref().map(|m| m.written.as_str()))
        .build()
}

pub(crate) fn interface(i: &Interface) -> Value {
    MapBuilder::new()
        .put_filled("name", i.name.as_str())
        .put_filled("add", i.add.as_str())
        .put_filled("peer", i.peer.as_str())
        .put("createInRoot", i.create_in_root)
        .build()
}

fn file(f: &File) -> Value {
    let mut symlink = "";
    let mut contents = None;
    let mut source = "";
    let mut metadata = "";
    match &f.content {
        FileContent::Directory => {}
        FileContent::Symlink(target) => symlink = target,
        FileContent::Inline(bytes) => {
            contents = Some(match String::from_utf8(bytes.clone()) {
                Ok(text) => Value::Text(text),
                Err(error) => Value::Bytes(error.into_bytes()),
            });
        }
        FileContent::Source(path) => source = path,
        FileContent::Metadata(Metadata::Yaml) => metadata = "yaml",
        FileContent::Metadata(Metadata::Json) => metadata = "json",
    }
    MapBuilder::new()
        .put("path", f.path.as_str())
        .put("directory", matches!(f.content, FileContent::Directory))
        .put_filled("symlink", symlink)
        .put_some("contents", contents)
        .put_filled("source", source)
        .put_filled("metadata", metadata)
        .put("optional", f.optional)
        .put_some("mode", f.mode.as_ref().map(|m| m.written.as_str()))
        .put_some("uid", f.uid.as_ref().map(|i| id(i)))
        .put_some("gid", f.gid.as_ref().map(|i| id(i)))
        .build()
}

/// Cgroup limits under the schema's names.
fn resources(r: &Resources) -> Value {
    let block_io = r.block_io.as_ref().map(block_io_value);
    resources_map(r, "blockio", block_io, |h| {
        let size = h
            .page_size_bytes
            .map_or_else(|| h.page_size.as_str().into(), Value::from);
        MapBuilder::new()
            .put("pageSize", size)
            .put("limit", h.limit)
            .build()
    })
}

/// Cgroup limits as the OCI runtime specification wants them (`LinuxResources`), `devices` apart.
pub(crate) fn oci_resources(r: &Resources) -> Value {
    let block_io = r.block_io.as_ref().map(block_io_value);
    let r = Resources {
        devices: None,
        ..r.clone()
    };
    resources_map(&r, "blockIO", block_io, |h| {
        MapBuilder::new()
            .put("pageSize", h.page_size.as_str())
            .put("limit", h.limit)
            .build()
    })
}

fn resources_map(
    r: &Resources,
    block_io_key: &str,
    block_io: Option<Value>,
    hugepage: impl Fn(&HugepageLimit) -> Value,
) -> Value {
    let rules = |rules: &Vec<DeviceRule>| rules.iter().map(device_rule).collect::<Vec<_>>();
    MapBuilder::new()
        .put_some("devices", r.devices.as_ref().map(rules))
        .put_some("memory", r.memory.as_ref().map(memory))
        .put_some("cpu", r.cpu.as_ref().map(cpu))
        .put_some(
            "pids",
            r.pids.map(|limit| MapBuilder::new().put("limit", limit)),
        )
        .put_some(block_io_key, block_io)
        .put_filled(
            "hugepageLimits",
            r.hugepage_limits
                .iter()
                .flatten()
                .map(hugepage)
                .collect::<Vec<_>>(),
        )
        .put_some("network", r.network.as_ref().map(network))
        .build()
}

pub(crate) fn device_rule(d: &DeviceRule) -> Value {
    MapBuilder::new()
        .put("allow", d.allow)
        .put_filled("type", d.kind.as_str())
        .put_some("major", d.major)
        .put_some("minor", d.minor)
        .put_filled("access", d.access.as_str())
        .build()
}

fn memory(m: &Memory) -> Value {
    MapBuilder::new()
        .put_some("limit", m.limit)
        .put_some("reservation", m.reservation)
        .put_some("swap", m.swap)
        .put_some("kernel", m.kernel)
        .put_some("kernelTCP", m.kernel_tcp)
        .put_some("swappiness", m.swappiness)
        .put_some("disableOOMKiller", m.disable_oom_killer)
        .build()
}

fn cpu(c: &Cpu) -> Value {
    MapBuilder::new()
        .put_some("shares", c.shares)
        .put_some("quota", c.quota)
        .put_some("period", c.period)
        .put_some("realtimeRuntime", c.realtime_runtime)
        .put_some("realtimePeriod", c.realtime_period)
        .put_filled("cpus", c.cpus.as_str())
        .put_filled("mems", c.mems.as_str())
        .build()
}

fn block_io_value(b: &BlockIo) -> Value {
    let throttle =
        |d: &Option<Vec<ThrottleDevice>>| d.iter().flatten().map(throttled).collect::<Vec<_>>();
    let weights: Vec<Value> = b.weight_device.iter().flatten().map(weighted).collect();
    MapBuilder::new()
        .put_some("weight", b.weight)
        .put_some("leafWeight", b.leaf_weight)
        .put_filled("weightDevice", weights)
        .put_filled(
            "throttleReadBpsDevice",
            throttle(&b.throttle_read_bps_device),
        )
        .put_filled(
            "throttleWriteBpsDevice",
            throttle(&b.throttle_write_bps_device),
        )
        .put_filled(
            "throttleReadIOPSDevice",
            throttle(&b.throttle_read_iops_device),
        )
        .put_filled(
            "throttleWriteIOPSDevice",
            throttle(&b.throttle_write_iops_device),
        )
        .build()
}

fn weighted(d: &WeightDevice) -> Value {
    MapBuilder::new()
        .put("major", d.major)
        .put("minor", d.minor)
        .put_some("weight", d.weight)
        .put_some("leafWeight", d.leaf_weight)
        .build()
}

fn throttled(d: &ThrottleDevice) -> Value {
    MapBuilder::new()
        .put("major", d.major)
        .put("minor", d.minor)
        .put("rate", d.rate)
        .build()
}

fn network(n: &Network) -> Value {
    let priorities: Vec<Value> = n
        .priorities
        .iter()
        .flatten()
        .map(|p| {
            MapBuilder::new()
                .put("name", p.name.as_str())
                .put("priority", p.priority)
                .build()
        })
        .collect();
    MapBuilder::new()
        .put_some("classID", n.class_id)
        .put_filled("priorities", priorities)
        .build()
}
