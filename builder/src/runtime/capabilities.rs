//! Capabilities.

use std::collections::BTreeSet;

use super::{Setting, wrong};
use crate::config::emit::MapBuilder;
use crate::config::{Texts, Value};

/// All capabilities in the order of their numbers (`linux/capability.h`).
const ALL: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Joins lists of capabilities. A list of the one word `all` or `none` (in any case) means that;
/// beside other lists, `all` wins and `none` adds nothing.
pub(super) fn join(lists: &[&Texts]) -> Setting<Vec<&'static str>> {
    let mut joined = Vec::new();
    let mut all = false;
    for list in lists {
        if let [word] = &list[..] {
            match word.to_lowercase().as_str() {
                "all" => {
                    all = true;
                    continue;
                }
                "none" => continue,
                _ => {}
            }
        }
        for name in list.iter() {
            match ALL.iter().find(|known| **known == name.as_str()) {
                Some(known) => joined.push(*known),
                None => {
                    let message = format!("unknown capability {:?}", name.as_str());
                    return wrong(&name.span, message, help(name));
                }
            }
        }
    }
    Ok(if all { ALL.to_vec() } else { joined })
}

fn help(name: &str) -> String {
    let upper = name.to_uppercase();
    if matches!(upper.as_str(), "ALL" | "NONE") {
        return format!("{name:?} must stand alone in its list");
    }
    let full = format!("CAP_{}", upper.strip_prefix("CAP_").unwrap_or(&upper));
    if ALL.contains(&full.as_str()) {
        format!("write {full}")
    } else {
        "the names are those of capabilities(7), like CAP_NET_ADMIN".into()
    }
}

/// `process.capabilities`: what the container has, in the user's order, and the sets that bound
/// it, sorted. Ambient capabilities are within the bounds, but not effective by themselves.
pub(super) fn to_value(effective: &[&'static str], ambient: &[&'static str]) -> Value {
    let bounds: BTreeSet<&str> = effective.iter().chain(ambient).copied().collect();
    let bounds: Vec<&str> = bounds.into_iter().collect();
    MapBuilder::new()
        .put_filled("bounding", bounds.clone())
        .put_filled("effective", effective.to_vec())
        .put_filled("inheritable", bounds.clone())
        .put_filled("permitted", bounds)
        .put_filled("ambient", ambient.to_vec())
        .build()
}
