//! `rc.init`: from a bare kernel to a system in which containers can run.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::error::{Context, GuestError};
use crate::mounts::mount_with;
use crate::report;

/// What is mounted before anything else: source, target, type, options.
const MOUNTS: &[(&str, &str, &str, &str)] = &[
    ("proc", "/proc", "proc", "nosuid,nodev,noexec,relatime"),
    (
        "tmpfs",
        "/run",
        "tmpfs",
        "size=10%,mode=755,nosuid,nodev,relatime",
    ),
    (
        "tmpfs",
        "/tmp",
        "tmpfs",
        "size=10%,mode=1777,nosuid,nodev,relatime",
    ),
    (
        "tmpfs",
        "/var",
        "tmpfs",
        "size=50%,mode=755,nosuid,nodev,relatime",
    ),
    ("dev", "/dev", "devtmpfs", "nosuid,noexec,relatime,mode=755"),
    (
        "devpts",
        "/dev/pts",
        "devpts",
        "gid=5,mode=620,nosuid,noexec",
    ),
    ("shm", "/dev/shm", "tmpfs", "nodev,nosuid,noexec,mode=1777"),
    ("mqueue", "/dev/mqueue", "mqueue", "nosuid,noexec,nodev"),
    ("sysfs", "/sys", "sysfs", "nosuid,noexec,nodev"),
    (
        "cgroup2",
        "/sys/fs/cgroup",
        "cgroup2",
        "nosuid,noexec,nodev,relatime,nsdelegate",
    ),
];

/// Mounted where the kernel has them.
const OPTIONAL_MOUNTS: &[(&str, &str, &str)] = &[
    ("securityfs", "/sys/kernel/security", "securityfs"),
    ("debugfs", "/sys/kernel/debug", "debugfs"),
    ("bpf", "/sys/fs/bpf", "bpf"),
    ("efivarfs", "/sys/firmware/efi/efivars", "efivarfs"),
];

/// Needed before any device asks for them: overlay for writable containers, vsock and fuse have no device.
const MODULES: &[&str] = &["overlay", "af_packet", "loop", "fuse"];

const OPEN_FILES: u64 = 1 << 20;

/// Does all of `rc.init`'s work; steps that a guest can live without only warn.
pub(crate) fn bring_up() -> Result<(), GuestError> {
    mount_all()?;
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().unwrap_or_default().replace(' ', "");
    report::line(&format!("boot {memory}"));
    load_modules();
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(OPEN_FILES),
            maximum: Some(OPEN_FILES),
        },
    );
    set_hostname()?;
    prepare_resolv_conf()?;
    report::try_run("/bin/busybox", &["ip", "link", "set", "lo", "up"]);
    report::line("boot ok");
    run_folder(Path::new("/etc/init.d"))
}

/// Runs the programs of a folder in name order and waits for each. What they leave in the background stays.
pub(crate) fn run_folder(folder: &Path) -> Result<(), GuestError> {
    if !folder.exists() {
        return Ok(());
    }
    let mut programs = Vec::new();
    for entry in fs::read_dir(folder).context("list", folder)? {
        programs.push(entry.context("list", folder)?.path());
    }
    programs.sort();
    for program in programs {
        let status = Command::new(&program).status().context("run", &program)?;
        if !status.success() {
            report::line(&format!("warning {} failed: {status}", program.display()));
        }
    }
    Ok(())
}

fn mount_all() -> Result<(), GuestError> {
    for (source, target, filesystem, options) in MOUNTS {
        let options: Vec<&str> = options.split(',').collect();
        mount_with(source, Path::new(target), filesystem, &options)?;
    }
    mount_with("", Path::new("/"), "", &["remount", "ro"])?;
    for (source, target, filesystem) in OPTIONAL_MOUNTS {
        if Path::new(target).exists() {
            let _ = mount_with(
                source,
                Path::new(target),
                filesystem,
                &["nosuid", "noexec", "nodev"],
            );
        }
    }
    mount_change(
        "/",
        MountPropagationFlags::SHARED | MountPropagationFlags::REC,
    )
    .context("share", "/")?;
    for folder in [
        "/var/cache",
        "/var/empty",
        "/var/lib",
        "/var/log",
        "/var/spool",
    ] {
        fs::create_dir_all(folder).context("make", folder)?;
    }
    let mut for_all = fs::DirBuilder::new();
    for_all
        .mode(0o1777)
        .create("/var/tmp")
        .context("make", "/var/tmp")?;
    std::os::unix::fs::symlink("/run", "/var/run").context("link", "/var/run")?;
    // Controllers are per cgroup; containers get those that the root hands down.
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    for controller in controllers.split_whitespace() {
        let _ = fs::write(
            "/sys/fs/cgroup/cgroup.subtree_control",
            format!("+{controller}"),
        );
    }
    Ok(())
}

/// Loads what the devices that there are ask for, until no new ones appear: a controller's driver brings disks.
fn load_modules() {
    report::try_run("/bin/busybox", &[&["modprobe", "-a"], MODULES].concat());
    let mut known = BTreeSet::new();
    loop {
        let mut found = BTreeSet::new();
        collect_modaliases(Path::new("/sys/devices"), &mut found);
        let new: Vec<&str> = found.difference(&known).map(String::as_str).collect();
        if new.is_empty() {
            break;
        }
        // Most have no module: not worth a word.
        let _ = report::run(
            "/bin/busybox",
            &[&["modprobe", "-a", "-b", "-q"], &new[..]].concat(),
        );
        known = found;
    }
    if Path::new("/proc/sys/kernel/hotplug").exists() {
        let _ = fs::write("/proc/sys/kernel/hotplug", "/sbin/mdev");
    }
}

fn collect_modaliases(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder {
            collect_modaliases(&entry.path(), found);
        } else if entry.file_name() == "modalias" {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let alias = text.trim();
            if !alias.is_empty() {
                found.insert(alias.to_owned());
            }
        }
    }
}

/// The name from /etc/hostname, else one made of the first network card's address.
fn set_hostname() -> Result<(), GuestError> {
    let text = fs::read_to_string("/etc/hostname").unwrap_or_default();
    let mut name = text.trim().to_owned();
    if name.is_empty() {
        let address = fs::read_to_string("/sys/class/net/eth0/address").unwrap_or_default();
        name = format!("linuxkit-{}", address.trim().replace(':', ""));
    }
    rustix::system::sethostname(name.as_bytes()).context("set host name to", &name)
}

/// Makes the folder and file that /etc/resolv.conf points to, for a DHCP client to write.
fn prepare_resolv_conf() -> Result<(), GuestError> {
    let Ok(target) = fs::read_link("/etc/resolv.conf") else {
        return Ok(());
    };
    let path = PathBuf::from("/etc").join(target);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).context("make", folder)?;
    }
    if !path.exists() {
        fs::write(&path, b"").context("make", &path)?;
    }
    Ok(())
}
