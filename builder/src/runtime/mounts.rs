//! Mounts of a container: the standard ones, then `tmpfs`, `binds` and `mounts` over them.

use std::collections::BTreeMap;

use super::settings::Layered;
use super::{Setting, wrong};
use crate::config::emit::MapBuilder;
use crate::config::{IdMapping, Mount, Span, Text, Value, Volume};

/// A mount of `config.json`.
#[derive(Clone, Debug, Default)]
pub(super) struct OciMount {
    pub(super) destination: String,
    pub(super) kind: String,
    pub(super) source: String,
    pub(super) options: Vec<String>,
    pub(super) uid_mappings: Vec<IdMapping>,
    pub(super) gid_mappings: Vec<IdMapping>,
}

impl OciMount {
    pub(super) fn new(kind: &str, source: &str, destination: &str, options: &[&str]) -> Self {
        Self {
            destination: destination.to_owned(),
            kind: kind.to_owned(),
            source: source.to_owned(),
            options: options.iter().map(|o| (*o).to_owned()).collect(),
            ..Self::default()
        }
    }

    /// A mount of `runtime: mounts:`, which is taken as it stands.
    pub(super) fn as_written(mount: &Mount) -> Self {
        let text = |t: &Option<Text>| t.as_ref().map(|t| t.value.clone()).unwrap_or_default();
        Self {
            destination: text(&mount.destination),
            kind: text(&mount.kind),
            source: text(&mount.source),
            options: mount.options.iter().map(|o| o.value.clone()).collect(),
            uid_mappings: mount.uid_mappings.clone(),
            gid_mappings: mount.gid_mappings.clone(),
        }
    }

    pub(super) fn to_value(&self) -> Value {
        MapBuilder::new()
            .put("destination", self.destination.as_str())
            .put_filled("type", self.kind.as_str())
            .put_filled("source", self.source.as_str())
            .put_filled("options", self.options.clone())
            .put_filled("uidMappings", id_mappings(&self.uid_mappings))
            .put_filled("gidMappings", id_mappings(&self.gid_mappings))
            .build()
    }
}

/// `LinuxIDMapping`s of the specification.
pub(super) fn id_mappings(mappings: &[IdMapping]) -> Value {
    let one = |m: &IdMapping| {
        MapBuilder::new()
            .put("containerID", m.container_id)
            .put("hostID", m.host_id)
            .put("size", m.size)
            .build()
    };
    Value::List(mappings.iter().map(one).collect())
}

/// The mounts of a container by destination, which is also the order to mount them in: a parent
/// sorts before what lies below it.
pub(super) fn all(
    settings: &Layered<'_>,
    readonly: bool,
    volumes: &[Volume],
) -> Setting<BTreeMap<String, OciMount>> {
    let mut mounts = BTreeMap::new();
    let mut put = |mount: OciMount| mounts.insert(mount.destination.clone(), mount);
    standard(readonly).into_iter().for_each(|m| drop(put(m)));
    for text in settings.list(|s| &s.tmpfs) {
        put(tmpfs(text)?);
    }
    for list in settings.added(|s| &s.binds, |s| &s.binds_add) {
        for text in list {
            put(bind(text, volumes)?);
        }
    }
    for mount in settings.list(|s| &s.mounts) {
        put(explicit(mount, volumes)?);
    }
    Ok(mounts)
}

/// What every container gets: Docker's, without /dev/shm and /dev/mqueue.
fn standard(readonly: bool) -> Vec<OciMount> {
    let mut mounts = vec![
        OciMount::new(
            "tmpfs",
            "tmpfs",
            "/dev",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        OciMount::new(
            "devpts",
            "devpts",
            "/dev/pts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
            ],
        ),
        OciMount::new(
            "proc",
            "proc",
            "/proc",
            &["nosuid", "nodev", "noexec", "relatime"],
        ),
        OciMount::new("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev"]),
        OciMount::new(
            "cgroup",
            "cgroup",
            "/sys/fs/cgroup",
            &["nosuid", "noexec", "nodev", "relatime", "ro"],
        ),
    ];
    if readonly {
        for mount in &mut mounts {
            if matches!(mount.destination.as_str(), "/dev" | "/sys") {
                mount.options.push("ro".into());
            }
        }
    }
    mounts
}

/// `destination[:options]`.
fn tmpfs(text: &Text) -> Setting<OciMount> {
    let parts: Vec<&str> = text.split(':').collect();
    let (destination, options) = match parts[..] {
        [destination] => (destination, vec![]),
        [destination, options] => (destination, options.split(',').collect()),
        _ => {
            let message = format!("too many \":\" in the tmpfs {:?}", text.as_str());
            return wrong(
                &text.span,
                message,
                "write \"destination\" or \"destination:options\"",
            );
        }
    };
    if destination.is_empty() {
        return wrong(
            &text.span,
            "a tmpfs without destination",
            "write a path before the \":\"",
        );
    }
    Ok(OciMount::new("tmpfs", "tmpfs", destination, &options))
}

/// `source:destination[:options]`, where the source may be a volume.
fn bind(text: &Text, volumes: &[Volume]) -> Setting<OciMount> {
    const FORM: &str = "write \"source:destination\" or \"source:destination:options\"";
    let parts: Vec<&str> = text.split(':').collect();
    let (source, destination, options) = match parts[..] {
        [_] => {
            let message = format!("no \":\" in the bind {:?}", text.as_str());
            return wrong(&text.span, message, FORM);
        }
        [source, destination] => (source, destination, vec!["rw", "rbind", "rshared"]),
        [source, destination, options] => (
            source,
            destination,
            options.split(',').chain(["rbind"]).collect(),
        ),
        _ => {
            let message = format!("too many \":\" in the bind {:?}", text.as_str());
            return wrong(&text.span, message, FORM);
        }
    };
    if source.is_empty() || destination.is_empty() {
        let end = if source.is_empty() {
            "source"
        } else {
            "destination"
        };
        let message = format!("the bind {:?} has no {end}", text.as_str());
        return wrong(&text.span, message, FORM);
    }
    let source = bind_source(source, &options, &text.span, volumes)?;
    Ok(OciMount::new("bind", &source, destination, &options))
}

/// An entry of `mounts`, with what it leaves out filled in from type and source.
fn explicit(mount: &Mount, volumes: &[Volume]) -> Setting<OciMount> {
    let mut oci = OciMount::as_written(mount);
    if oci.kind.is_empty() {
        oci.kind = match (oci.source.as_str(), oci.destination.as_str()) {
            ("mqueue" | "devpts" | "proc" | "sysfs" | "cgroup", _) => oci.source.clone(),
            (_, "/dev") => "tmpfs".into(),
            (_, destination) => {
                let message = format!("the mount at {destination:?} has no type");
                return wrong(&mount.span, message, "add something like \"type: bind\"");
            }
        };
    }
    if oci.destination.is_empty() {
        oci.destination = match oci.kind.as_str() {
            "proc" => "/proc",
            "devpts" => "/dev/pts",
            "sysfs" => "/sys",
            "cgroup" => "/sys/fs/cgroup",
            "mqueue" => "/dev/mqueue",
            kind => {
                let message = format!("the mount of type {kind:?} has no destination");
                return wrong(&mount.span, message, "add \"destination: /path\"");
            }
        }
        .into();
    }
    if oci.kind == "bind" {
        let options: Vec<&str> = oci.options.iter().map(String::as_str).collect();
        let span = mount.source.as_ref().map_or(&mount.span, |s| &s.span);
        if oci.source.is_empty() {
            let message = format!("the bind mount at {:?} has no source", oci.destination);
            return wrong(
                &mount.span,
                message,
                "add \"source:\" with a path or a volume",
            );
        }
        // LinuxKit checks the volume, but leaves its bare name, which is no path.
        oci.source = bind_source(&oci.source, &options, span, volumes)?;
    } else if oci.source.is_empty() {
        // The usual word for file systems without a device.
        oci.source.clone_from(&oci.kind);
    }
    Ok(oci)
}

/// The path that is bound: an absolute one as it is, or a volume's.
fn bind_source(source: &str, options: &[&str], span: &Span, volumes: &[Volume]) -> Setting<String> {
    if source.starts_with('/') {
        return Ok(source.to_owned());
    }
    let Some(volume) = volumes.iter().find(|v| v.name.as_str() == source) else {
        let names: Vec<&str> = volumes.iter().map(|v| v.name.as_str()).collect();
        let help = if names.is_empty() {
            "write an absolute path, or add it to \"volumes:\"".to_owned()
        } else {
            format!(
                "write an absolute path, or one of the volumes {}",
                names.join(", ")
            )
        };
        return wrong(span, format!("there is no volume {source:?}"), help);
    };
    if volume.readonly && (!options.contains(&"ro") || options.contains(&"rw")) {
        let message = format!("the volume {source:?} is read-only, but mounted read-write");
        return wrong(span, message, "add the option \"ro\"");
    }
    Ok(format!("/{}", volume.merged_path()))
}
