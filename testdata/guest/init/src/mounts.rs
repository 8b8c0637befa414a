//! Mounts with options as fstab spells them.

use std::ffi::CString;
use std::fs;
use std::path::Path;

use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change,
    mount_remount,
};

use crate::error::{Context, GuestError};

/// Options of a mount, taken apart.
#[derive(Debug, PartialEq)]
struct Options {
    flags: MountFlags,
    propagation: Option<MountPropagationFlags>,
    bind: bool,
    recursive: bool,
    remount: bool,
    /// What the kernel's flags don't cover, comma-separated: the file system's own options.
    data: String,
}

fn parse<S: AsRef<str>>(options: &[S]) -> Options {
    let mut parsed = Options {
        flags: MountFlags::empty(),
        propagation: None,
        bind: false,
        recursive: false,
        remount: false,
        data: String::new(),
    };
    for option in options {
        let option = option.as_ref();
        if let Some((flag, set)) = flag_of(option) {
            parsed.flags.set(flag, set);
        } else if let Some(propagation) = propagation_of(option) {
            parsed.propagation = Some(propagation);
        } else {
            match option {
                "bind" => parsed.bind = true,
                "rbind" => (parsed.bind, parsed.recursive) = (true, true),
                "remount" => parsed.remount = true,
                "defaults" | "" => {}
                other => {
                    if !parsed.data.is_empty() {
                        parsed.data.push(',');
                    }
                    parsed.data.push_str(other);
                }
            }
        }
    }
    parsed
}

/// The kernel's flag of an option, and whether the option sets or clears it.
fn flag_of(option: &str) -> Option<(MountFlags, bool)> {
    Some(match option {
        "ro" => (MountFlags::RDONLY, true),
        "rw" => (MountFlags::RDONLY, false),
        "nosuid" => (MountFlags::NOSUID, true),
        "suid" => (MountFlags::NOSUID, false),
        "nodev" => (MountFlags::NODEV, true),
        "dev" => (MountFlags::NODEV, false),
        "noexec" => (MountFlags::NOEXEC, true),
        "exec" => (MountFlags::NOEXEC, false),
        "sync" => (MountFlags::SYNCHRONOUS, true),
        "async" => (MountFlags::SYNCHRONOUS, false),
        "dirsync" => (MountFlags::DIRSYNC, true),
        "noatime" => (MountFlags::NOATIME, true),
        "atime" => (MountFlags::NOATIME, false),
        "nodiratime" => (MountFlags::NODIRATIME, true),
        "diratime" => (MountFlags::NODIRATIME, false),
        "relatime" => (MountFlags::RELATIME, true),
        "norelatime" => (MountFlags::RELATIME, false),
        "strictatime" => (MountFlags::STRICTATIME, true),
        _ => return None,
    })
}

fn propagation_of(option: &str) -> Option<MountPropagationFlags> {
    let all = MountPropagationFlags::REC;
    Some(match option {
        "private" => MountPropagationFlags::PRIVATE,
        "rprivate" => MountPropagationFlags::PRIVATE | all,
        "shared" => MountPropagationFlags::SHARED,
        "rshared" => MountPropagationFlags::SHARED | all,
        "slave" => MountPropagationFlags::DOWNSTREAM,
        "rslave" => MountPropagationFlags::DOWNSTREAM | all,
        "unbindable" => MountPropagationFlags::UNBINDABLE,
        "runbindable" => MountPropagationFlags::UNBINDABLE | all,
        _ => return None,
    })
}

/// Mounts `source` on `target`, which is made if missing, as are overlay's upper and work folders.
pub(crate) fn mount_with<S: AsRef<str>>(
    source: &str,
    target: &Path,
    filesystem: &str,
    options: &[S],
) -> Result<(), GuestError> {
    let options = parse(options);
    make_target(Path::new(source), target, options.bind)?;
    for part in options.data.split(',') {
        if let Some(("upperdir" | "workdir", folder)) = part.split_once('=') {
            fs::create_dir_all(folder).context("make", folder)?;
        }
    }
    let data = CString::new(options.data).unwrap_or_default();
    if options.remount {
        // `remount,private` asks for the propagation alone.
        if options.propagation.is_none() {
            mount_remount(target, options.flags, data.as_c_str()).context("remount", target)?;
        }
    } else if options.bind {
        if options.recursive {
            mount_bind_recursive(source, target).context("bind", target)?;
        } else {
            mount_bind(source, target).context("bind", target)?;
        }
        // A bind takes no flags at first.
        if !options.flags.is_empty() {
            let flags = options.flags | MountFlags::BIND;
            mount_remount(target, flags, c"").context("remount", target)?;
        }
    } else {
        mount(source, target, filesystem, options.flags, data.as_c_str())
            .context("mount", target)?;
    }
    if let Some(propagation) = options.propagation {
        mount_change(target, propagation).context("change propagation of", target)?;
    }
    Ok(())
}

/// A bind of a file needs a file to stand on, all else a folder.
fn make_target(source: &Path, target: &Path, bind: bool) -> Result<(), GuestError> {
    if target.exists() {
        return Ok(());
    }
    if bind && source.is_file() {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).context("make", parent)?;
        }
        return fs::write(target, b"").context("make", target);
    }
    fs::create_dir_all(target).context("make", target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_options_are_the_file_systems() {
        let options = parse(&["ro", "lowerdir=/a", "rw", "nosuid", "upperdir=/b", "rslave"]);
        assert_eq!(options.flags, MountFlags::NOSUID);
        assert_eq!(options.data, "lowerdir=/a,upperdir=/b");
        assert_eq!(
            options.propagation,
            Some(MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        );
    }

    #[test]
    fn recursive_binds_are_binds() {
        let options = parse(&["rbind", "ro"]);
        assert!(options.bind && options.recursive && !options.remount);
        assert_eq!(options.flags, MountFlags::RDONLY);
    }
}
