//! `/init`: from the initramfs to a tmpfs.
//!
//! Programs that pivot the root (runc, dockerd) can't do so on the kernel's first root, so the whole
//! tree is copied to a new tmpfs. The old copy is removed afterwards: until then both take memory,
//! and that is the moment that decides how much RAM an image needs.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid};
use rustix::mount::{MountFlags, mount, mount_move};

use crate::error::{Context, GuestError};
use crate::report;

/// Magic numbers of the kernel's ramfs and tmpfs (linux/magic.h).
const RAMFS_MAGIC: u64 = 0x8584_58f6;
const TMPFS_MAGIC: u64 = 0x0102_1994;

const NEW_ROOT: &str = "/mnt";

/// Copies the system to a tmpfs where it runs from a ramfs or tmpfs, then becomes `/sbin/init`.
pub(crate) fn switch_to_tmpfs() -> Result<(), GuestError> {
    let magic = u64::try_from(rustix::fs::statfs("/").context("stat", "/")?.f_type).unwrap_or(0);
    if magic == RAMFS_MAGIC || magic == TMPFS_MAGIC {
        match move_root() {
            Ok(bytes) => report::line(&format!("initramfs copied bytes={bytes}")),
            Err(error) => {
                // Without the new root nothing can run; say so where a test looks, and stop here.
                report::line(&format!("initramfs FAILED {error}"));
                let _ = rustix::system::reboot(rustix::system::RebootCommand::PowerOff);
                return Err(error);
            }
        }
    }
    Err(Command::new("/sbin/init").exec()).context("start", "/sbin/init")
}

fn move_root() -> Result<u64, GuestError> {
    fs::create_dir_all(NEW_ROOT).context("make", NEW_ROOT)?;
    let root_device = fs::symlink_metadata("/").context("stat", "/")?.dev();
    // No limit of its own: the memory there is decides.
    mount(
        "rootfs",
        NEW_ROOT,
        "tmpfs",
        MountFlags::empty(),
        c"size=100%,mode=755",
    )
    .context("mount", NEW_ROOT)?;
    let mut copier = Copier {
        root_device,
        links: HashMap::new(),
        bytes: 0,
    };
    copier.folder(Path::new("/"), Path::new(NEW_ROOT))?;
    remove_below(Path::new("/"), root_device);
    rustix::process::chdir(NEW_ROOT).context("enter", NEW_ROOT)?;
    mount_move(".", "/").context("move", NEW_ROOT)?;
    rustix::process::chroot(".").context("chroot to", NEW_ROOT)?;
    rustix::process::chdir("/").context("enter", "/")?;
    Ok(copier.bytes)
}

struct Copier {
    root_device: u64,
    /// Where files that have several names were copied to first.
    links: HashMap<u64, PathBuf>,
    bytes: u64,
}

impl Copier {
    fn folder(&mut self, from: &Path, to: &Path) -> Result<(), GuestError> {
        let metadata = fs::symlink_metadata(from).context("stat", from)?;
        for child in fs::read_dir(from).context("list", from)? {
            let child = child.context("list", from)?;
            let target = to.join(child.file_name());
            self.entry(&child.path(), &target)?;
        }
        set_attributes(to, &metadata)
    }

    fn entry(&mut self, from: &Path, to: &Path) -> Result<(), GuestError> {
        let metadata = fs::symlink_metadata(from).context("stat", from)?;
        if metadata.dev() != self.root_device {
            // The new root itself, or something mounted: an empty folder takes its place.
            fs::create_dir_all(to).context("make", to)?;
            return Ok(());
        }
        let kind = FileType::from_raw_mode(metadata.mode());
        if kind != FileType::Directory && metadata.nlink() > 1 {
            if let Some(first) = self.links.get(&metadata.ino()) {
                return fs::hard_link(first, to).context("link", to);
            }
            self.links.insert(metadata.ino(), to.to_owned());
        }
        match kind {
            FileType::Directory => {
                fs::create_dir(to).context("make", to)?;
                return self.folder(from, to);
            }
            FileType::RegularFile => self.bytes += fs::copy(from, to).context("copy", from)?,
            FileType::Symlink => {
                let target = fs::read_link(from).context("read", from)?;
                symlink(target, to).context("link", to)?;
            }
            _ => {
                let mode = Mode::from_raw_mode(metadata.mode());
                rustix::fs::mknodat(CWD, to, kind, mode, metadata.rdev())
                    .context("make node", to)?;
            }
        }
        set_attributes(to, &metadata)
    }
}

/// Owner first: changing it takes set-id bits away.
fn set_attributes(path: &Path, metadata: &fs::Metadata) -> Result<(), GuestError> {
    let (uid, gid) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
    rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .context("chown", path)?;
    if !metadata.file_type().is_symlink() {
        rustix::fs::chmod(path, Mode::from_raw_mode(metadata.mode() & 0o7777))
            .context("chmod", path)?;
    }
    let time = Timespec {
        tv_sec: metadata.mtime(),
        tv_nsec: metadata.mtime_nsec(),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).context("set time of", path)
}

/// Frees the memory of the old root. Best effort: what can't be removed only costs memory.
fn remove_below(folder: &Path, root_device: u64) {
    let Ok(children) = fs::read_dir(folder) else {
        return;
    };
    for child in children.flatten() {
        let path = child.path();
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        if metadata.dev() != root_device {
            continue;
        }
        let removed: io::Result<()> = if metadata.is_dir() {
            remove_below(&path, root_device);
            fs::remove_dir(&path)
        } else {
            fs::remove_file(&path)
        };
        // A folder that holds a mount point stays.
        drop(removed);
    }
}
