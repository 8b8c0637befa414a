//! `resources:`, the cgroup limits.

use super::Decoder;
use crate::config::model::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, InterfacePriority, Memory, Network, Resources,
    ThrottleDevice, WeightDevice,
};
use crate::config::node::{Node, Value};
use crate::config::scalar::Scalar;

impl Decoder {
    pub(super) fn resources(&mut self, node: &Node) -> Option<Resources> {
        let keys = [
            "devices",
            "memory",
            "cpu",
            "pids",
            "blockio",
            "hugepageLimits",
            "network",
        ];
        let f = self.fields(node, "\"resources\"", &keys)?;
        Some(Resources {
            devices: self.list(
                f.get("devices"),
                "\"devices\" of resources",
                Self::device_rule,
            ),
            memory: f.get("memory").and_then(|n| self.memory(n)),
            cpu: f.get("cpu").and_then(|n| self.cpu(n)),
            pids: f.get("pids").and_then(|n| {
                let f = self.fields(n, "\"pids\"", &["limit"])?;
                Some(self.i64(f.get("limit"), "\"limit\"").unwrap_or_default())
            }),
            block_io: f.get("blockio").and_then(|n| self.block_io(n)),
            hugepage_limits: self.list(
                f.get("hugepageLimits"),
                "\"hugepageLimits\"",
                Self::hugepage_limit,
            ),
            network: f.get("network").and_then(|n| self.network(n)),
        })
    }

    fn device_rule(&mut self, node: &Node) -> Option<DeviceRule> {
        let keys = ["allow", "type", "major", "minor", "access"];
        let f = self.fields(node, "a device rule", &keys)?;
        let kind = self.text(f.get("type"), "\"type\"");
        if let Some(kind) = &kind
            && !matches!(kind.as_str(), "" | "a" | "b" | "c" | "u" | "p")
        {
            let message = format!("{:?} is not a type of devices", kind.as_str());
            self.error_help(&kind.span, message, "write \"a\" (all), \"b\" or \"c\"");
        }
        let access = self.text(f.get("access"), "\"access\"");
        if let Some(access) = &access
            && !access.chars().all(|c| matches!(c, 'r' | 'w' | 'm'))
        {
            let message = format!("{:?} is not an access to devices", access.as_str());
            let help = "write letters of \"rwm\": read, write, mknod";
            self.error_help(&access.span, message, help);
        }
        Some(DeviceRule {
            allow: self
                .boolean(f.get("allow"), "\"allow\"")
                .unwrap_or_default(),
            kind: kind.map(|t| t.value).unwrap_or_default(),
            major: self.i64(f.get("major"), "\"major\""),
            minor: self.i64(f.get("minor"), "\"minor\""),
            access: access.map(|t| t.value).unwrap_or_default(),
        })
    }

    fn memory(&mut self, node: &Node) -> Option<Memory> {
        let keys = [
            "limit",
            "reservation",
            "swap",
            "kernel",
            "kernelTCP",
            "swappiness",
            "disableOOMKiller",
        ];
        let f = self.fields(node, "\"memory\"", &keys)?;
        Some(Memory {
            limit: self.i64(f.get("limit"), "\"limit\""),
            reservation: self.i64(f.get("reservation"), "\"reservation\""),
            swap: self.i64(f.get("swap"), "\"swap\""),
            kernel: self.i64(f.get("kernel"), "\"kernel\""),
            kernel_tcp: self.i64(f.get("kernelTCP"), "\"kernelTCP\""),
            swappiness: self.u64(f.get("swappiness"), "\"swappiness\""),
            disable_oom_killer: self.boolean(f.get("disableOOMKiller"), "\"disableOOMKiller\""),
        })
    }

    fn cpu(&mut self, node: &Node) -> Option<Cpu> {
        let keys = [
            "shares",
            "quota",
            "period",
            "realtimeRuntime",
            "realtimePeriod",
            "cpus",
            "mems",
        ];
        let f = self.fields(node, "\"cpu\"", &keys)?;
        Some(Cpu {
            shares: self.u64(f.get("shares"), "\"shares\""),
            quota: self.i64(f.get("quota"), "\"quota\""),
            period: self.u64(f.get("period"), "\"period\""),
            realtime_runtime: self.i64(f.get("realtimeRuntime"), "\"realtimeRuntime\""),
            realtime_period: self.u64(f.get("realtimePeriod"), "\"realtimePeriod\""),
            cpus: self.plain_text(f.get("cpus"), "\"cpus\""),
            mems: self.plain_text(f.get("mems"), "\"mems\""),
        })
    }

    fn block_io(&mut self, node: &Node) -> Option<BlockIo> {
        let keys = [
            "weight",
            "leafWeight",
            "weightDevice",
            "throttleReadBpsDevice",
            "throttleWriteBpsDevice",
            "throttleReadIOPSDevice",
            "throttleWriteIOPSDevice",
        ];
        let f = self.fields(node, "\"blockio\"", &keys)?;
        let throttle = |d: &mut Self, key: &str| {
            d.list(f.get(key), &format!("{key:?}"), Self::throttle_device)
        };
        Some(BlockIo {
            weight: self.u16(f.get("weight"), "\"weight\""),
            leaf_weight: self.u16(f.get("leafWeight"), "\"leafWeight\""),
            weight_device: self.list(
                f.get("weightDevice"),
                "\"weightDevice\"",
                Self::weight_device,
            ),
            throttle_read_bps_device: throttle(self, "throttleReadBpsDevice"),
            throttle_write_bps_device: throttle(self, "throttleWriteBpsDevice"),
            throttle_read_iops_device: throttle(self, "throttleReadIOPSDevice"),
            throttle_write_iops_device: throttle(self, "throttleWriteIOPSDevice"),
        })
    }

    fn weight_device(&mut self, node: &Node) -> Option<WeightDevice> {
        let keys = ["major", "minor", "weight", "leafWeight"];
        let f = self.fields(node, "an entry of \"weightDevice\"", &keys)?;
        Some(WeightDevice {
            major: self.i64(f.get("major"), "\"major\"").unwrap_or_default(),
            minor: self.i64(f.get("minor"), "\"minor\"").unwrap_or_default(),
            weight: self.u16(f.get("weight"), "\"weight\""),
            leaf_weight: self.u16(f.get("leafWeight"), "\"leafWeight\""),
        })
    }

    fn throttle_device(&mut self, node: &Node) -> Option<ThrottleDevice> {
        let f = self.fields(node, "a throttled device", &["major", "minor", "rate"])?;
        Some(ThrottleDevice {
            major: self.i64(f.get("major"), "\"major\"").unwrap_or_default(),
            minor: self.i64(f.get("minor"), "\"minor\"").unwrap_or_default(),
            rate: self.u64(f.get("rate"), "\"rate\"").unwrap_or_default(),
        })
    }

    fn hugepage_limit(&mut self, node: &Node) -> Option<HugepageLimit> {
        let f = self.fields(
            node,
            "an entry of \"hugepageLimits\"",
            &["pageSize", "limit"],
        )?;
        let limit = self.u64(f.get("limit"), "\"limit\"").unwrap_or_default();
        let Some(size) = f.get("pageSize") else {
            let message = "an entry of \"hugepageLimits\" must have the key \"pageSize\"";
            self.error_help(f.span, message, "add something like \"pageSize: 2097152\"");
            return None;
        };
        // The YAML schema has bytes; the runtime wants the name of the cgroup's file.
        if let Value::Scalar {
            meaning: Scalar::Text(name),
            ..
        } = &size.value
        {
            if page_size_bytes(name).is_none() {
                let message = format!("{name:?} is not a page size");
                self.error_help(&size.span, message, "write bytes, or a size like \"2MB\"");
                return None;
            }
            return Some(HugepageLimit {
                page_size: name.clone(),
                page_size_bytes: None,
                limit,
            });
        }
        let bytes = self.u64(Some(size), "\"pageSize\"")?;
        let Some(page_size) = page_size_name(bytes) else {
            let message = format!("{bytes} bytes is not a page size");
            self.error_help(&size.span, message, "2097152 is 2 MB, 1073741824 is 1 GB");
            return None;
        };
        Some(HugepageLimit {
            page_size,
            page_size_bytes: Some(bytes),
            limit,
        })
    }

    fn network(&mut self, node: &Node) -> Option<Network> {
        let f = self.fields(node, "\"network\"", &["classID", "priorities"])?;
        Some(Network {
            class_id: self.u32(f.get("classID"), "\"classID\""),
            priorities: self.list(f.get("priorities"), "\"priorities\"", |d, n| {
                let f = d.fields(n, "an entry of \"priorities\"", &["name", "priority"])?;
                Some(InterfacePriority {
                    name: d.plain_text(f.get("name"), "\"name\""),
                    priority: d.u32(f.get("priority"), "\"priority\"").unwrap_or_default(),
                })
            }),
        })
    }
}

const UNITS: [(&str, u32); 3] = [("GB", 30), ("MB", 20), ("KB", 10)];

/// The kernel's name for a huge page of a size, as in `hugetlb.2MB.max`.
fn page_size_name(bytes: u64) -> Option<String> {
    if !bytes.is_power_of_two() {
        return None;
    }
    let (unit, shift) = UNITS.into_iter().find(|(_, shift)| bytes >> shift != 0)?;
    Some(format!("{}{unit}", bytes >> shift))
}

fn page_size_bytes(name: &str) -> Option<u64> {
    let (unit, shift) = UNITS.into_iter().find(|(unit, _)| name.ends_with(unit))?;
    let digits = name.strip_suffix(unit)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}
