//! `config.json` and `runtime.json` as wholes.

use super::mounts::{self, OciMount};
use super::process::process;
use super::settings::Layered;
use super::{ImageConfig, Setting, wrong};
use crate::config::emit::MapBuilder;
use crate::config::emit::moby::{device_rule, interface, oci_resources};
use crate::config::{
    BindNs, Device, DeviceRule, IdMapping, Ids, Resources, Runtime, Text, Texts, Value, Volume,
};

/// Version of the runtime specification that `config.json` follows.
const OCI_VERSION: &str = "1.2.1";
/// Device types of the specification (`linux.devices`).
const DEVICE_TYPES: [&str; 4] = ["c", "b", "u", "p"];

/// The whole of `config.json`.
pub(super) fn config_json(
    settings: &Layered<'_>,
    image: &ImageConfig,
    volumes: &[Volume],
    ids: &Ids,
    readonly: bool,
) -> Setting<Value> {
    let mounts = mounts::all(settings, readonly, volumes)?;
    let mounts: Vec<Value> = mounts.values().map(OciMount::to_value).collect();
    let annotations = settings
        .get(|s| &s.annotations)
        .map(text_map)
        .unwrap_or(Value::Map(vec![]));
    Ok(MapBuilder::new()
        .put("ociVersion", OCI_VERSION)
        .put("process", process(settings, image, ids)?)
        .put(
            "root",
            MapBuilder::new()
                .put("path", "rootfs")
                .put_filled("readonly", readonly),
        )
        .put_filled("hostname", optional(settings.text(|s| &s.hostname)))
        .put("mounts", mounts)
        .put_filled("annotations", annotations)
        .put("linux", linux(settings)?)
        .build())
}

fn linux(settings: &Layered<'_>) -> Setting<Value> {
    let (devices, rules) = devices(settings.list(|s| &s.devices))?;
    let resources = resources(settings.get(|s| &s.resources), rules);
    let sysctl = settings
        .get(|s| &s.sysctl)
        .map(text_map)
        .unwrap_or(Value::Map(vec![]));
    let mappings = |m: &[IdMapping]| mounts::id_mappings(m);
    let paths = |texts: Option<&Texts>| -> Vec<String> {
        texts
            .into_iter()
            .flatten()
            .map(|t| t.value.clone())
            .collect()
    };
    Ok(MapBuilder::new()
        .put_filled("uidMappings", mappings(settings.list(|s| &s.uid_mappings)))
        .put_filled("gidMappings", mappings(settings.list(|s| &s.gid_mappings)))
        .put_filled("sysctl", sysctl)
        .put("resources", resources)
        .put_filled("cgroupsPath", optional(settings.get(|s| &s.cgroups_path)))
        .put("namespaces", namespaces(settings)?)
        .put_filled("devices", devices)
        .put_filled(
            "rootfsPropagation",
            optional(settings.get(|s| &s.rootfs_propagation)),
        )
        .put_filled("maskedPaths", paths(settings.get(|s| &s.masked_paths)))
        .put_filled("readonlyPaths", paths(settings.get(|s| &s.readonly_paths)))
        .build())
}

fn optional(text: Option<&Text>) -> &str {
    text.map_or("", |t| t.as_str())
}

fn text_map(map: &std::collections::BTreeMap<String, Text>) -> Value {
    Value::Map(
        map.iter()
            .map(|(k, v)| (k.clone(), v.as_str().into()))
            .collect(),
    )
}

/// What a namespace key asks for.
enum Namespace<'t> {
    /// The one that LinuxKit's init is in.
    Host,
    New,
    Path(&'t str),
}

/// Namespaces: net, ipc, uts and user are the host's unless asked otherwise, pid and mount are
/// new.
fn namespaces(settings: &Layered<'_>) -> Setting<Vec<Value>> {
    let mut list = Vec::new();
    for (key, kind, setting) in [
        ("net", "network", settings.text(|s| &s.net)),
        ("ipc", "ipc", settings.text(|s| &s.ipc)),
        ("uts", "uts", settings.text(|s| &s.uts)),
        ("pid", "pid", settings.text(|s| &s.pid)),
        ("userns", "user", settings.text(|s| &s.userns)),
    ] {
        let wanted = match setting {
            Some(text) => namespace(key, text)?,
            None if key == "pid" => Namespace::New,
            None => Namespace::Host,
        };
        let map = MapBuilder::new().put("type", kind);
        match wanted {
            Namespace::Host => {}
            Namespace::New => list.push(map.build()),
            Namespace::Path(path) => list.push(map.put("path", path).build()),
        }
    }
    list.push(MapBuilder::new().put("type", "mount").build());
    Ok(list)
}

fn namespace<'t>(key: &str, text: &'t Text) -> Setting<Namespace<'t>> {
    match text.as_str() {
        "host" | "root" => Ok(Namespace::Host),
        "new" => Ok(Namespace::New),
        // A new network namespace has nothing but lo: none it is.
        "none" if key == "net" => Ok(Namespace::New),
        path if path.starts_with('/') => Ok(Namespace::Path(path)),
        other => {
            let help = "write \"new\", \"host\", or the absolute path of a namespace file";
            wrong(
                &text.span,
                format!("{other:?} cannot be the namespace {key:?}"),
                help,
            )
        }
    }
}

/// Devices to make, and the rules of the device cgroup that allow them.
fn devices(devices: &[Device]) -> Setting<(Vec<Value>, Vec<Value>)> {
    let (mut nodes, mut rules) = (Vec::new(), Vec::new());
    for device in devices {
        let path = optional(device.path.as_ref());
        let kind = optional(device.kind.as_ref());
        let span = device.kind.as_ref().map_or(&device.span, |k| &k.span);
        let mut rule = DeviceRule {
            allow: true,
            kind: kind.to_owned(),
            access: "rwm".into(),
            ..<_>::default()
        };
        if path == "all" {
            // Every device of a type; without type, the specification means all of them.
            if !matches!(kind, "" | "a" | "b" | "c") {
                let message = format!("{kind:?} is not a type of devices");
                return wrong(span, message, "write \"b\" or \"c\"");
            }
            rules.push(device_rule(&rule));
            continue;
        }
        if !path.starts_with('/') {
            let span = device.path.as_ref().map_or(&device.span, |p| &p.span);
            let message = format!("a device needs an absolute path, but this is {path:?}");
            return wrong(span, message, "write something like \"path: /dev/null\"");
        }
        if !DEVICE_TYPES.contains(&kind) {
            let message = format!("{kind:?} is not a type of device");
            return wrong(span, message, "write \"c\", \"b\", \"u\" or \"p\"");
        }
        let Some(mode) = &device.mode else {
            let message = format!("the device {path:?} has no mode");
            return wrong(&device.span, message, "add something like mode: \"0660\"");
        };
        if mode.bits > 0o7777 {
            let message = format!("the mode {} has bits above 07777", mode.written);
            return wrong(
                &mode.span,
                message,
                "write permission bits only, like \"0660\"",
            );
        }
        if device.major < 0 || device.minor < 0 {
            let message = format!("the device {path:?} has a negative number");
            return wrong(
                &device.span,
                message,
                "write the numbers that `ls -l` shows",
            );
        }
        rule.major = Some(device.major);
        rule.minor = Some(device.minor);
        rules.push(device_rule(&rule));
        nodes.push(
            MapBuilder::new()
                .put("path", path)
                .put("type", kind)
                .put("major", device.major)
                .put("minor", device.minor)
                .put("fileMode", mode.bits)
                .build(),
        );
    }
    Ok((nodes, rules))
}

/// `resources`, its device rules followed by those of `devices`.
fn resources(resources: Option<&Resources>, rules: Vec<Value>) -> Value {
    let own = resources.and_then(|r| r.devices.as_ref());
    let mut all: Vec<Value> = own.into_iter().flatten().map(device_rule).collect();
    all.extend(rules);
    let mut map = MapBuilder::new().put_filled("devices", all).build();
    if let (Value::Map(entries), Some(Value::Map(rest))) = (&mut map, resources.map(oci_resources))
    {
        entries.extend(rest);
    }
    map
}

/// The whole of `runtime.json`; `root_mounts` are those that make the root file system.
///
/// Keys of label and YAML are laid over one another here one level deeper, `bindNS` two.
pub(super) fn runtime_json(settings: &Layered<'_>, root_mounts: &[OciMount]) -> Value {
    let absent = Runtime::default();
    let label = settings.label.runtime.as_ref().unwrap_or(&absent);
    let yaml = settings.yaml.runtime.as_ref().unwrap_or(&absent);
    let texts = |yaml: &Option<Texts>, label: &Option<Texts>| -> Vec<String> {
        let list = yaml.as_ref().or(label.as_ref());
        list.into_iter()
            .flatten()
            .map(|t| t.value.clone())
            .collect()
    };
    let own = yaml.mounts.as_ref().or(label.mounts.as_ref());
    let mut mounts: Vec<Value> = root_mounts.iter().map(OciMount::to_value).collect();
    mounts.extend(
        own.into_iter()
            .flatten()
            .map(|m| OciMount::as_written(m).to_value()),
    );
    let interfaces = yaml.interfaces.as_ref().or(label.interfaces.as_ref());
    let interfaces: Vec<Value> = interfaces.into_iter().flatten().map(interface).collect();
    let namespace = yaml.namespace.as_ref().or(label.namespace.as_ref());
    MapBuilder::new()
        .put("cgroups", texts(&yaml.cgroups, &label.cgroups))
        .put("mounts", mounts)
        .put("mkdir", texts(&yaml.mkdir, &label.mkdir))
        .put("interfaces", interfaces)
        .put("bindNS", bind_ns(&yaml.bind_ns, &label.bind_ns))
        .put("namespace", optional(namespace))
        .build()
}

fn bind_ns(yaml: &BindNs, label: &BindNs) -> Value {
    let path = |key: fn(&BindNs) -> &Option<String>| {
        key(yaml)
            .clone()
            .or_else(|| key(label).clone())
            .unwrap_or_default()
    };
    MapBuilder::new()
        .put("cgroup", path(|b| &b.cgroup))
        .put("ipc", path(|b| &b.ipc))
        .put("mnt", path(|b| &b.mnt))
        .put("net", path(|b| &b.net))
        .put("pid", path(|b| &b.pid))
        .put("user", path(|b| &b.user))
        .put("uts", path(|b| &b.uts))
        .build()
}
