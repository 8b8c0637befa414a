//! Disks that stay, and what is done before a machine runs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use formats::payload::Extents;
use formats::qcow2::write_qcow2;
use formats::raw::write_raw;

use super::medium::{DiskFormat, sniff};
use crate::atomic::{PendingFile, commit};
use crate::cli::{CliError, disk::size};
use crate::shell::quoted;

/// `[file=]PATH[,size=SIZE][,format=FORMAT]`, LinuxKit's spelling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DiskArg {
    file: Option<PathBuf>,
    bytes: Option<u64>,
    format: Option<DiskFormat>,
}

impl FromStr for DiskArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut disk = Self::default();
        for (number, part) in text.split(',').enumerate() {
            match part.split_once('=') {
                Some(("file", file)) => disk.file = Some(file.into()),
                Some(("size", bytes)) => disk.bytes = Some(size(bytes)?),
                Some(("format", "raw")) => disk.format = Some(DiskFormat::Raw),
                Some(("format", "qcow2")) => disk.format = Some(DiskFormat::Qcow2),
                Some(("format", _)) => {
                    return Err(
                        "disks are made as raw or qcow2; those that are there may have \
                                another format, which is seen without its name"
                            .to_owned(),
                    );
                }
                // As LinuxKit takes it: a path may stand alone, at the beginning.
                _ if number == 0 => disk.file = Some(part.into()),
                _ => return Err(format!("{part:?} is not file=, size= or format=")),
            }
        }
        let named = disk
            .file
            .as_ref()
            .is_some_and(|file| !file.as_os_str().is_empty());
        if !named && (disk.file.is_some() || disk.bytes.is_none()) {
            return Err("a disk needs a path or a size".to_owned());
        }
        if disk.bytes == Some(0) {
            return Err("a disk of size 0".to_owned());
        }
        Ok(disk)
    }
}

/// A disk of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) file: PathBuf,
    pub(super) format: DiskFormat,
}

impl DiskArg {
    /// The disk, and how it is made if it is not there.
    pub(super) fn resolve(
        &self,
        state: &Path,
        number: usize,
    ) -> Result<(Disk, Option<Preparation>), CliError> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => state.join(match number {
                0 => "disk.img".to_owned(),
                _ => format!("disk{number}.img"),
            }),
        };
        if file.exists() {
            let format = sniff(&file)?.unwrap_or(DiskFormat::Raw);
            return Ok((Disk { file, format }, None));
        }
        let Some(bytes) = self.bytes else {
            return Err(CliError::Usage(format!(
                "--disk: there is no file {0}; to have it made, say how large: --disk {0},size=4G",
                file.display()
            )));
        };
        let format = match (self.format, file.extension()) {
            (Some(format), _) => format,
            (None, Some(end)) if end == "qcow2" => DiskFormat::Qcow2,
            (None, _) => DiskFormat::Raw,
        };
        let made = Preparation::Make {
            file: file.clone(),
            format,
            bytes,
        };
        Ok((Disk { file, format }, Some(made)))
    }
}

/// Something that is done once, before a machine first runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Preparation {
    /// The firmware's variables.
    Copy { from: PathBuf, to: PathBuf },
    /// An empty disk.
    Make {
        file: PathBuf,
        format: DiskFormat,
        bytes: u64,
    },
}

impl Preparation {
    fn target(&self) -> &Path {
        match self {
            Preparation::Copy { to, .. } => to,
            Preparation::Make { file, .. } => file,
        }
    }

    /// Whether it was done by an earlier run.
    pub(super) fn is_done(&self) -> bool {
        self.target().exists()
    }

    /// As a shell would do it.
    pub(super) fn shown(&self) -> String {
        let word = |path: &Path| quoted(&path.to_string_lossy());
        let folder = self.target().parent().filter(|dir| !dir.is_dir());
        let folder = folder.filter(|dir| !dir.as_os_str().is_empty());
        let folder = folder.map_or(String::new(), |dir| format!("mkdir -p {} && ", word(dir)));
        folder
            + &match self {
                Preparation::Copy { from, to } => format!("cp {} {}", word(from), word(to)),
                Preparation::Make {
                    file,
                    format,
                    bytes,
                } => format!(
                    "qemu-img create -f {} {} {bytes}",
                    format.name(),
                    word(file)
                ),
            }
    }

    /// Does it.
    pub(super) fn run(&self) -> Result<(), CliError> {
        let target = self.target();
        let error = |source: io::Error| CliError::File {
            path: target.to_owned(),
            source,
        };
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(error)?;
        }
        let other = |problem: &dyn std::fmt::Display| error(io::Error::other(problem.to_string()));
        let mut out = PendingFile::create(target).map_err(|e| other(&e))?;
        match self {
            Preparation::Copy { from, .. } => {
                let mut from = File::open(from).map_err(|source| CliError::File {
                    path: from.clone(),
                    source,
                })?;
                io::copy(&mut from, &mut out).map_err(error)?;
            }
            Preparation::Make { format, bytes, .. } => {
                let empty = Extents::new(*bytes);
                match format {
                    DiskFormat::Qcow2 => {
                        write_qcow2(&mut out, &empty).map_err(|e| other(&e))?;
                    }
                    _ => write_raw(&mut out, &empty).map_err(|e| other(&e))?,
                }
            }
        }
        commit(vec![out]).map_err(|e| other(&e))
    }
}
