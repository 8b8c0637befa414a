//! A container's life: prepared by its `runtime.json`, made and started by runc.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, WaitOptions};

use crate::error::{Context, GuestError};
use crate::mounts::mount_with;
use crate::report;
use crate::runtime::{self, Interface, Runtime};

const RUNC: &str = "/usr/bin/runc";
const CONTAINERS: &str = "/containers";
const CGROUPS: &str = "/sys/fs/cgroup";
const LOGS: &str = "/var/log";

/// A folder below /containers with `config.json`, the root and perhaps `runtime.json`.
pub(crate) struct Container {
    /// The folder's name, also runc's name for it.
    pub(crate) name: String,
    bundle: PathBuf,
    runtime: Runtime,
}

/// The containers of a section (`onboot`, `services`, `onshutdown`) in name order.
pub(crate) fn of_section(section: &str) -> Result<Vec<Container>, GuestError> {
    let folder = Path::new(CONTAINERS).join(section);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut bundles = Vec::new();
    for entry in fs::read_dir(&folder).context("list", &folder)? {
        bundles.push(entry.context("list", &folder)?.path());
    }
    bundles.sort();
    bundles
        .into_iter()
        .map(|bundle| {
            Ok(Container {
                name: bundle
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                runtime: runtime::read(&bundle)?,
                bundle,
            })
        })
        .collect()
}

/// Runs a section's containers one after the other, each to its end, and reports each.
///
/// One that fails doesn't keep the next from running: a machine that comes up halfway can be looked at.
pub(crate) fn run_all(section: &str) -> Result<(), GuestError> {
    // runc leaves the container's first process to its nearest living ancestor: to us, who want its exit code.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .context("become subreaper in", "/proc/self")?;
    for container in of_section(section)? {
        let name = &container.name;
        let log = container.log_path(section);
        let outcome = container
            .prepare()
            .and_then(|()| container.run_to_end(&log));
        for line in fs::read(&log)
            .unwrap_or_default()
            .split(|byte| *byte == b'\n')
        {
            if !line.is_empty() {
                report::line(&format!(
                    "{section} {name} | {}",
                    String::from_utf8_lossy(line)
                ));
            }
        }
        match outcome {
            Ok(()) => report::line(&format!("{section} {name} ok")),
            Err(error) => report::line(&format!("{section} {name} FAILED {error}")),
        }
    }
    Ok(())
}

impl Container {
    /// Where what the container writes is kept.
    pub(crate) fn log_path(&self, section: &str) -> PathBuf {
        Path::new(LOGS).join(format!("{section}.{}.log", self.name))
    }

    /// What `runtime.json` wants done once, before the container is made: mounts, folders, cgroups.
    pub(crate) fn prepare(&self) -> Result<(), GuestError> {
        for mount in self.runtime.mounts.iter().flatten() {
            let target = self.bundle.join("rootfs").join(&mount.destination);
            mount_with(&mount.source, &target, &mount.filesystem, &mount.options)?;
        }
        for folder in self.runtime.mkdir.iter().flatten() {
            fs::create_dir_all(folder).context("make", folder)?;
        }
        for cgroup in self.runtime.cgroups.iter().flatten() {
            let folder = Path::new(CGROUPS).join(cgroup.trim_start_matches('/'));
            fs::create_dir_all(&folder).context("make", &folder)?;
        }
        Ok(())
    }

    /// Makes and starts the container; gives its first process.
    pub(crate) fn start(&self, log: &Path) -> Result<Pid, GuestError> {
        let pid_file = Path::new("/run").join(format!("{}.pid", self.name));
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .context("open", log)?;
        let errors = output.try_clone().context("open", log)?;
        let status = Command::new(RUNC)
            .args(["create", "--bundle"])
            .arg(&self.bundle)
            .arg("--pid-file")
            .arg(&pid_file)
            .arg(&self.name)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .status()
            .context("run", RUNC)?;
        if !status.success() {
            return Err(GuestError::Command {
                command: format!("runc create {}", self.name),
                outcome: status.to_string(),
                output: String::new(),
            });
        }
        let text = fs::read_to_string(&pid_file).context("read", &pid_file)?;
        let pid = text.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid
            .ok_or_else(|| std::io::Error::other("no process id"))
            .context("read", &pid_file)?;
        self.attach(pid)?;
        report::run(RUNC, &["start", &self.name])?;
        Ok(pid)
    }

    /// What needs the container's namespaces: its interfaces, and names for the namespaces.
    fn attach(&self, pid: Pid) -> Result<(), GuestError> {
        for interface in self.runtime.interfaces.iter().flatten() {
            attach_interface(interface, pid)?;
        }
        let Some(namespaces) = &self.runtime.bind_namespaces else {
            return Ok(());
        };
        for (namespace, path) in namespaces.wanted() {
            let source = format!("/proc/{}/ns/{namespace}", pid.as_raw_nonzero());
            let target = Path::new(path);
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).context("make", parent)?;
            }
            fs::write(target, b"").context("make", target)?;
            mount_with(&source, target, "", &["bind"])?;
        }
        Ok(())
    }

    fn run_to_end(&self, log: &Path) -> Result<(), GuestError> {
        let outcome = self.start(log).and_then(|pid| wait(pid, &self.name));
        self.delete();
        outcome
    }

    /// Removes what runc keeps of the container, dead or alive.
    pub(crate) fn delete(&self) {
        // Not there is as good as removed.
        let _ = report::run(RUNC, &["delete", "--force", &self.name]);
    }

    /// Sends a signal to the container's first process, or to all of its processes.
    pub(crate) fn signal(&self, signal: &str, all: bool) {
        let arguments: &[&str] = if all { &["kill", "--all"] } else { &["kill"] };
        let _ = report::run(RUNC, &[arguments, &[&self.name, signal]].concat());
    }
}

/// Waits for a process that was left to us.
fn wait(pid: Pid, name: &str) -> Result<(), GuestError> {
    let status = loop {
        match rustix::process::waitpid(Some(pid), WaitOptions::empty()) {
            Err(rustix::io::Errno::INTR) | Ok(None) => {}
            Ok(Some((_, status))) => break status,
            Err(errno) => return Err(errno).context("wait for", name),
        }
    };
    if status.exit_status() == Some(0) {
        return Ok(());
    }
    let outcome = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown end".to_owned(),
    };
    Err(GuestError::Command {
        command: name.to_owned(),
        outcome,
        output: String::new(),
    })
}

fn attach_interface(interface: &Interface, pid: Pid) -> Result<(), GuestError> {
    let Interface {
        name,
        add,
        peer,
        create_in_root,
    } = interface;
    let pid = pid.as_raw_nonzero().to_string();
    let network = format!("--net=/proc/{pid}/ns/net");
    let in_container = ["nsenter", network.as_str(), "--"];
    if !add.is_empty() {
        let mut command = vec!["ip", "link", "add", name, "type", add];
        if !peer.is_empty() {
            command.extend(["peer", "name", peer]);
        }
        if *create_in_root {
            report::run("/bin/busybox", &command)?;
        } else {
            report::run(
                "/bin/busybox",
                &[&in_container[..], &["/bin/busybox"], &command].concat(),
            )?;
            return Ok(());
        }
    }
    report::run("/bin/busybox", &["ip", "link", "set", name, "netns", &pid])?;
    Ok(())
}
