//! `runtime.json`: what is to be done around a container by whoever starts it.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Context, GuestError};

/// A container's `runtime.json`. Keys that are missing mean nothing to do.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Runtime {
    pub(crate) cgroups: Option<Vec<String>>,
    pub(crate) mounts: Option<Vec<Mount>>,
    pub(crate) mkdir: Option<Vec<String>>,
    pub(crate) interfaces: Option<Vec<Interface>>,
    #[serde(rename = "bindNS")]
    pub(crate) bind_namespaces: Option<BindNamespaces>,
}

/// A mount made before the container; a relative destination is below its root.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Mount {
    pub(crate) destination: String,
    #[serde(rename = "type")]
    pub(crate) filesystem: String,
    pub(crate) source: String,
    pub(crate) options: Vec<String>,
}

/// A network interface for the container's own network namespace.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Interface {
    pub(crate) name: String,
    /// Kind of the interface to make (`veth`, `dummy`); empty: one that exists is moved.
    pub(crate) add: String,
    pub(crate) peer: String,
    pub(crate) create_in_root: bool,
}

/// Paths that the container's namespaces are bound to; empty: not.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BindNamespaces {
    pub(crate) cgroup: String,
    pub(crate) ipc: String,
    pub(crate) mnt: String,
    pub(crate) net: String,
    pub(crate) pid: String,
    pub(crate) user: String,
    pub(crate) uts: String,
}

impl BindNamespaces {
    /// The namespaces that are to be bound: name in /proc/PID/ns, path.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("cgroup", &self.cgroup),
            ("ipc", &self.ipc),
            ("mnt", &self.mnt),
            ("net", &self.net),
            ("pid", &self.pid),
            ("user", &self.user),
            ("uts", &self.uts),
        ]
        .into_iter()
        .filter(|(_, path)| !path.is_empty())
        .map(|(name, path)| (name, path.as_str()))
    }
}

/// Reads the `runtime.json` of the container in `bundle`; none there means nothing to do.
pub(crate) fn read(bundle: &Path) -> Result<Runtime, GuestError> {
    let path = bundle.join("runtime.json");
    if !path.exists() {
        return Ok(Runtime::default());
    }
    let bytes = fs::read(&path).context("read", &path)?;
    serde_json::from_slice(&bytes).map_err(|source| GuestError::Runtime { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_nulls_and_missing_keys() {
        let runtime: Runtime = serde_json::from_str(
            r#"{"cgroups": null, "mounts": [{"destination": "a", "options": ["bind"]}],
                "interfaces": [{"name": "wg0", "add": "wireguard", "createInRoot": true}],
                "bindNS": {"net": "/run/netns/wg"}, "namespace": ""}"#,
        )
        .unwrap_or_default();
        assert!(runtime.cgroups.is_none());
        assert_eq!(runtime.mounts.map(|mounts| mounts.len()), Some(1));
        assert!(runtime.interfaces.is_some_and(|all| all[0].create_in_root));
        let bound = runtime.bind_namespaces.unwrap_or_default();
        assert_eq!(
            bound.wanted().collect::<Vec<_>>(),
            [("net", "/run/netns/wg")]
        );
    }
}
