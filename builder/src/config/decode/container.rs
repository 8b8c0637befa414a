//! Containers, in YAML and in labels.

use super::{Decoder, Fields};
use crate::config::model::{
    BindNs, Container, Device, IdMapping, Interface, Mount, Runtime, Settings,
};
use crate::config::node::Node;

/// The keys of a container: those of [`Container`], then those of [`Settings`].
const KEYS: [&str; 36] = [
    "name",
    "image",
    "capabilities",
    "capabilities.add",
    "ambient",
    "mounts",
    "binds",
    "binds.add",
    "devices",
    "tmpfs",
    "command",
    "env",
    "cwd",
    "net",
    "pid",
    "ipc",
    "uts",
    "userns",
    "hostname",
    "readonly",
    "maskedPaths",
    "readonlyPaths",
    "uid",
    "gid",
    "additionalGids",
    "noNewPrivileges",
    "oomScoreAdj",
    "rootfsPropagation",
    "cgroupsPath",
    "resources",
    "sysctl",
    "rlimits",
    "uidMappings",
    "gidMappings",
    "annotations",
    "runtime",
];

/// The score that the kernel takes (`/proc/PID/oom_score_adj`).
const OOM_SCORE: std::ops::RangeInclusive<i32> = -1000..=1000;

impl Decoder {
    pub(super) fn container(&mut self, node: &Node, section: &str) -> Option<Container> {
        let what = format!("a container of {section}");
        let fields = self.fields(node, &what, &KEYS)?;
        let settings = self.settings(&fields);
        let name = self.required(&fields, "name", &what);
        let image = self.required(&fields, "image", &what);
        if let Some(name) = &name {
            self.check_name(name, &format!("the name of {what}"));
        }
        let image = self.reference(image?);
        Some(Container {
            name: name?,
            image: image?,
            settings,
        })
    }

    /// The settings in an image's label.
    pub(in crate::config) fn label(&mut self, node: &Node) -> Option<Settings> {
        // A label may not set the first two; that gets a message of its own.
        let fields = self.fields(node, "the label", &KEYS)?;
        for key in ["name", "image"] {
            if let Some(text) = self.text(fields.get(key), key)
                && !text.is_empty()
            {
                let message = format!("a label cannot set {key:?}");
                self.error_help(
                    &text.span,
                    message,
                    "only the YAML can; build the image without",
                );
            }
        }
        Some(self.settings(&fields))
    }

    fn settings(&mut self, f: &Fields<'_>) -> Settings {
        Settings {
            capabilities: self.texts(f.get("capabilities"), "\"capabilities\""),
            capabilities_add: self.texts(f.get("capabilities.add"), "\"capabilities.add\""),
            ambient: self.texts(f.get("ambient"), "\"ambient\""),
            mounts: self.list(f.get("mounts"), "\"mounts\"", Self::mount),
            binds: self.texts(f.get("binds"), "\"binds\""),
            binds_add: self.texts(f.get("binds.add"), "\"binds.add\""),
            devices: self.list(f.get("devices"), "\"devices\"", Self::device),
            tmpfs: self.texts(f.get("tmpfs"), "\"tmpfs\""),
            command: self.texts(f.get("command"), "\"command\""),
            env: self.texts(f.get("env"), "\"env\""),
            cwd: self.text(f.get("cwd"), "\"cwd\""),
            net: self.text(f.get("net"), "\"net\""),
            pid: self.text(f.get("pid"), "\"pid\""),
            ipc: self.text(f.get("ipc"), "\"ipc\""),
            uts: self.text(f.get("uts"), "\"uts\""),
            userns: self.text(f.get("userns"), "\"userns\""),
            hostname: self.text(f.get("hostname"), "\"hostname\""),
            readonly: self.boolean(f.get("readonly"), "\"readonly\""),
            masked_paths: self.texts(f.get("maskedPaths"), "\"maskedPaths\""),
            readonly_paths: self.texts(f.get("readonlyPaths"), "\"readonlyPaths\""),
            uid: self.id(f.get("uid"), "\"uid\""),
            gid: self.id(f.get("gid"), "\"gid\""),
            additional_gids: self.list(f.get("additionalGids"), "\"additionalGids\"", |d, n| {
                d.id(Some(n), "an entry of \"additionalGids\"")
            }),
            no_new_privileges: self.boolean(f.get("noNewPrivileges"), "\"noNewPrivileges\""),
            oom_score_adj: f.get("oomScoreAdj").and_then(|n| {
                let score = self.integer(Some(n), "\"oomScoreAdj\"", OOM_SCORE)?;
                Some(super::Spanned::new(score, n.span.clone()))
            }),
            rootfs_propagation: self.text(f.get("rootfsPropagation"), "\"rootfsPropagation\""),
            cgroups_path: self.text(f.get("cgroupsPath"), "\"cgroupsPath\""),
            resources: f.get("resources").and_then(|n| self.resources(n)),
            sysctl: self.text_map(f.get("sysctl"), "\"sysctl\""),
            rlimits: self.texts(f.get("rlimits"), "\"rlimits\""),
            uid_mappings: self.id_mappings(f.get("uidMappings"), "\"uidMappings\""),
            gid_mappings: self.id_mappings(f.get("gidMappings"), "\"gidMappings\""),
            annotations: self.text_map(f.get("annotations"), "\"annotations\""),
            runtime: f.get("runtime").and_then(|n| self.runtime(n)),
        }
    }

    fn mount(&mut self, node: &Node) -> Option<Mount> {
        // LinuxKit spells the last two in lower case when it writes a configuration out.
        const KEYS: [&str; 8] = [
            "destination",
            "type",
            "source",
            "options",
            "uidMappings",
            "gidMappings",
            "uidmappings",
            "gidmappings",
        ];
        let f = self.fields(node, "a mount", &KEYS)?;
        let either = |a: &str, b: &str| f.get(a).or_else(|| f.get(b));
        Some(Mount {
            destination: self.text(f.get("destination"), "the destination of a mount"),
            kind: self.text(f.get("type"), "the type of a mount"),
            source: self.text(f.get("source"), "the source of a mount"),
            options: self
                .texts(f.get("options"), "the options of a mount")
                .unwrap_or_default(),
            uid_mappings: self
                .id_mappings(
                    either("uidMappings", "uidmappings"),
                    "\"uidMappings\" of a mount",
                )
                .unwrap_or_default(),
            gid_mappings: self
                .id_mappings(
                    either("gidMappings", "gidmappings"),
                    "\"gidMappings\" of a mount",
                )
                .unwrap_or_default(),
            span: node.span.clone(),
        })
    }

    fn id_mappings(&mut self, node: Option<&Node>, what: &str) -> Option<Vec<IdMapping>> {
        self.list(node, what, |d, n| {
            let f = d.fields(n, "an id mapping", &["hostID", "containerID", "size"])?;
            Some(IdMapping {
                container_id: d
                    .u32(f.get("containerID"), "\"containerID\"")
                    .unwrap_or_default(),
                host_id: d.u32(f.get("hostID"), "\"hostID\"").unwrap_or_default(),
                size: d.u32(f.get("size"), "\"size\"").unwrap_or_default(),
            })
        })
    }

    fn device(&mut self, node: &Node) -> Option<Device> {
        let f = self.fields(
            node,
            "a device",
            &["path", "type", "major", "minor", "mode"],
        )?;
        Some(Device {
            path: self.text(f.get("path"), "the path of a device"),
            kind: self.text(f.get("type"), "the type of a device"),
            major: self
                .i64(f.get("major"), "the major number of a device")
                .unwrap_or_default(),
            minor: self
                .i64(f.get("minor"), "the minor number of a device")
                .unwrap_or_default(),
            mode: self.mode(f.get("mode"), "the mode of a device"),
            span: node.span.clone(),
        })
    }

    fn runtime(&mut self, node: &Node) -> Option<Runtime> {
        let keys = [
            "cgroups",
            "mounts",
            "mkdir",
            "interfaces",
            "bindNS",
            "namespace",
        ];
        let f = self.fields(node, "\"runtime\"", &keys)?;
        Some(Runtime {
            cgroups: self.texts(f.get("cgroups"), "\"cgroups\""),
            mounts: self.list(f.get("mounts"), "\"mounts\"", Self::mount),
            mkdir: self.texts(f.get("mkdir"), "\"mkdir\""),
            interfaces: self.list(f.get("interfaces"), "\"interfaces\"", Self::interface),
            bind_ns: f
                .get("bindNS")
                .and_then(|n| self.bind_ns(n))
                .unwrap_or_default(),
            namespace: self.text(f.get("namespace"), "\"namespace\""),
        })
    }

    fn interface(&mut self, node: &Node) -> Option<Interface> {
        let f = self.fields(
            node,
            "an interface",
            &["name", "add", "peer", "createInRoot"],
        )?;
        Some(Interface {
            name: self.plain_text(f.get("name"), "the name of an interface"),
            add: self.plain_text(f.get("add"), "\"add\""),
            peer: self.plain_text(f.get("peer"), "\"peer\""),
            create_in_root: self
                .boolean(f.get("createInRoot"), "\"createInRoot\"")
                .unwrap_or_default(),
        })
    }

    fn bind_ns(&mut self, node: &Node) -> Option<BindNs> {
        let keys = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
        let f = self.fields(node, "\"bindNS\"", &keys)?;
        let mut text = |key| self.text(f.get(key), key).map(|t| t.value);
        Some(BindNs {
            cgroup: text("cgroup"),
            ipc: text("ipc"),
            mnt: text("mnt"),
            net: text("net"),
            pid: text("pid"),
            user: text("user"),
            uts: text("uts"),
        })
    }
}
