//! Formats to files.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use formats::compress::Compression;
use formats::iso::BootIsoError;
use formats::medium::{Loaders, MediumError};
use formats::payload::{Extents, PayloadReader, write_sparse};
use formats::squashfs::SquashfsError;
use formats::tarball::{Entry, Kind, TarWriter};

use super::disk::{BootDisk, DiskFormat, DiskSettings, MakeDiskError};
use super::format::Format;
use super::initrd::{Counted, InitrdError, InitrdSummary};
use super::iso;
use super::kernel::KernelError;
use super::media::{Media, reader};
use super::squashfs::{TreeSquashfsError, write_squashfs};
use super::tree_iso::{TreeIsoError, write_tree_iso};
use super::tree_tar::{TreeTarError, write_tree_tar};
use super::uki::{MakeUkiError, make_uki};
use crate::assemble::{Image, Kernel};
use crate::atomic::{PendingFile, WriteFileError, commit, folder_of, make_folder};
use crate::pack::PackError;
use crate::parts::Part;
use crate::tree::SYNTHETIC_MTIME;

/// Where outputs go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outputs {
    /// Files in a folder, named after the build.
    Named {
        /// The folder.
        dir: PathBuf,
        /// The common part of their names.
        name: String,
    },
    /// One file.
    File(PathBuf),
    /// Standard output.
    Stdout,
    /// A device or pipe that is there already; it gets the bytes as they come.
    Stream(PathBuf),
}

/// What is asked of outputs besides their format.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How the initrd is compressed.
    pub compression: Compression,
    /// Of disks.
    pub disks: DiskSettings,
    /// A stub for unified kernel images, instead of our own.
    pub uki_stub: Option<Vec<u8>>,
}

/// What was written.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// The files, in the order in which they got their names.
    pub files: Vec<WrittenFile>,
    /// What is known of the initrd, where one was written.
    pub initrd: Option<InitrdSummary>,
    /// What each section brought to it, or to the tree that was written.
    pub parts: Vec<Part>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// How long making the initrd took.
    pub initrd_time: Duration,
    /// How long the rest of each output took, by name; `-` is standard output.
    pub output_times: Vec<(String, Duration, u64)>,
    /// How long it took until all were on the disk with their names.
    pub commit_time: Duration,
}

/// A file that a build wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenFile {
    /// Its name.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// It was there already with the same bytes, and got the time of one that is written.
    pub unchanged: bool,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// A file can't be written.
    #[error(transparent)]
    File(#[from] WriteFileError),
    /// The initrd.
    #[error(transparent)]
    Initrd(#[from] InitrdError),
    /// A tar.
    #[error(transparent)]
    Tar(#[from] TreeTarError),
    /// The kernel.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A body can't be read from the store.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A unified kernel image.
    #[error(transparent)]
    Uki(#[from] MakeUkiError),
    /// A format that needs a kernel.
    #[error(
        "the format {0} needs a kernel, and the YAML has no kernel section; use -f tar for a system without one"
    )]
    NoKernel(Format),
    /// A squashfs.
    #[error(transparent)]
    Squashfs(#[from] TreeSquashfsError),
    /// An ISO of the root tree.
    #[error(transparent)]
    TreeIso(#[from] TreeIsoError),
    /// Kernel, initrd or command line that no loader takes.
    #[error(transparent)]
    Medium(#[from] MediumError),
    /// An ISO.
    #[error("can't make the ISO: {0}")]
    Iso(#[from] BootIsoError),
    /// A disk.
    #[error("can't make the disk: {0}")]
    Disk(#[from] MakeDiskError),
    /// Kernel or initrd, which a medium is made of, can't be put aside.
    #[error(
        "can't put kernel and initrd into a temporary file in {}: {source}; it needs room there \
         for both beside the output (--dir or -o name another folder, TMPDIR does for a stream)",
        .folder.display()
    )]
    Spool {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Standard output, or reading what was just written.
    #[error("can't write the output: {0}")]
    Io(#[from] io::Error),
}

impl OutputError {
    /// The pack behind it that is damaged or can't be read, if that is the cause.
    pub fn damaged_pack(&self) -> Option<&Path> {
        let error = match self {
            OutputError::Pack(error)
            | OutputError::Initrd(InitrdError::Pack(error))
            | OutputError::Tar(TreeTarError::Pack(error))
            | OutputError::Squashfs(TreeSquashfsError::Pack(error))
            | OutputError::TreeIso(TreeIsoError::Pack(error))
            | OutputError::Kernel(KernelError::Pack(error))
            | OutputError::Uki(MakeUkiError::Pack(error)) => error,
            // A body that is read as a stream has its error inside an I/O error.
            OutputError::Io(error) | OutputError::Initrd(InitrdError::Io(error)) => inside(error)?,
            OutputError::Tar(TreeTarError::Io(error))
            | OutputError::TreeIso(TreeIsoError::Io(error)) => inside(error)?,
            OutputError::Tar(TreeTarError::Tar(formats::tarball::TarError::Body {
                source,
                ..
            }))
            | OutputError::Squashfs(TreeSquashfsError::Squashfs(SquashfsError::Body {
                source,
                ..
            })) => inside(source)?,
            _ => return None,
        };
        match error {
            PackError::Damaged { path, .. } | PackError::Read { path, .. } => Some(path),
        }
    }
}

/// The error of a pack inside an I/O error: of a body that was read as a stream.
pub(super) fn inside(error: &io::Error) -> Option<&PackError> {
    error.get_ref()?.downcast_ref()
}

/// Writes an image in every format asked for. Nothing has its name before all is written.
pub fn write(
    image: &Image,
    formats: &[Format],
    outputs: &Outputs,
    settings: &Settings,
) -> Result<Written, OutputError> {
    if let Outputs::Named { dir, .. } = outputs {
        make_folder(dir)?;
    }
    let mut job = Job {
        since: Instant::now(),
        initrd_before: Duration::ZERO,
        times: Vec::new(),
        image,
        media: Media::new(image, settings.compression, &outputs.folder()),
        name: outputs.name(),
        settings,
        disk: None,
        pending: Vec::new(),
        warnings: Vec::new(),
    };
    for &format in formats {
        match (format, outputs) {
            (Format::KernelInitrd, Outputs::Named { dir, name }) => {
                job.kernel_initrd(dir, name)?;
            }
            (Format::KernelSquashfs, Outputs::Named { dir, name }) => {
                job.kernel_squashfs(dir, name)?;
            }
            (Format::KernelIso, Outputs::Named { dir, name }) => job.kernel_iso(dir, name)?,
            (Format::Disk(DiskFormat::VmdkFlat), Outputs::Named { dir, name }) => {
                job.flat_disk(dir, name)?;
            }
            (_, Outputs::Stdout) => {
                let stdout = io::stdout();
                let mut stdout = io::BufWriter::with_capacity(1 << 18, stdout);
                job.whole_stream(format, "-", &mut stdout)?;
            }
            (_, Outputs::Stream(path)) => job.stream_to(format, path)?,
            (_, Outputs::File(path)) => job.file(format, path)?,
            (_, Outputs::Named { dir, name }) => {
                let ending = format.endings()[0];
                job.file(format, &dir.join(format!("{name}{ending}")))?;
            }
        }
    }
    let mut written = Written {
        files: job
            .pending
            .iter_mut()
            .map(|file| WrittenFile {
                path: file.path().to_owned(),
                bytes: file.bytes(),
                unchanged: file.is_unchanged(),
            })
            .collect(),
        initrd: job.media.summary(),
        parts: image.parts.parts.clone(),
        initrd_time: job.media.initrd_time(),
        warnings: job.warnings,
        output_times: job.times,
        commit_time: Duration::ZERO,
    };
    let start = Instant::now();
    commit(job.pending)?;
    written.commit_time = start.elapsed();
    Ok(written)
}

impl Outputs {
    /// The folder that files go to, and temporary files too.
    fn folder(&self) -> PathBuf {
        match self {
            Outputs::Named { dir, .. } => dir.clone(),
            Outputs::File(path) => folder_of(path).to_owned(),
            Outputs::Stdout | Outputs::Stream(_) => std::env::temp_dir(),
        }
    }

    /// What volumes and machines are called.
    fn name(&self) -> String {
        match self {
            Outputs::Named { name, .. } => name.clone(),
            Outputs::File(path) | Outputs::Stream(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let stem = name.split_once('.').map_or(&*name, |(stem, _)| stem);
                stem.to_owned()
            }
            Outputs::Stdout => "lkbuild".to_owned(),
        }
    }
}

/// The outputs of a build on their way.
struct Job<'a> {
    /// When the last output was done.
    since: Instant,
    /// How long the initrd had taken then.
    initrd_before: Duration,
    times: Vec<(String, Duration, u64)>,
    image: &'a Image,
    media: Media<'a>,
    name: String,
    settings: &'a Settings,
    disk: Option<BootDisk>,
    pending: Vec<PendingFile>,
    warnings: Vec<String>,
}

impl<'a> Job<'a> {
    /// An output is written; its time is what passed since the last one, without the initrd's.
    fn done(&mut self, file: PendingFile) {
        self.took(file.path().display().to_string(), file.bytes());
        self.pending.push(file);
    }

    fn took(&mut self, name: String, bytes: u64) {
        let initrd = self.media.initrd_time();
        let of_initrd = initrd.saturating_sub(self.initrd_before);
        let time = self.since.elapsed().saturating_sub(of_initrd);
        self.times.push((name, time, bytes));
        (self.since, self.initrd_before) = (Instant::now(), initrd);
    }

    /// The kernel, for a format that needs one.
    fn kernel(&self, format: Format) -> Result<&'a Kernel, OutputError> {
        let kernel = self.image.kernel.as_ref();
        kernel.ok_or(OutputError::NoKernel(format))
    }

    fn stream_to(&mut self, format: Format, path: &Path) -> Result<(), OutputError> {
        let file = File::options().write(true).open(path);
        let file = file.map_err(|source| WriteFileError {
            path: path.to_owned(),
            source,
        })?;
        let mut file = io::BufWriter::with_capacity(1 << 18, file);
        self.whole_stream(format, &path.display().to_string(), &mut file)
    }

    fn whole_stream(
        &mut self,
        format: Format,
        name: &str,
        out: &mut (dyn Write + Send),
    ) -> Result<(), OutputError> {
        let mut out = Counted {
            inner: out,
            bytes: 0,
        };
        self.stream(format, &mut out)?;
        out.flush()?;
        self.took(name.to_owned(), out.bytes);
        Ok(())
    }

    fn kernel_initrd(&mut self, dir: &Path, name: &str) -> Result<(), OutputError> {
        self.kernel_file(dir, name)?;
        let mut file = self
            .media
            .initrd_file(&dir.join(format!("{name}-initrd.img")))?;
        self.media.initrd_to(&mut file)?;
        self.done(file);
        self.cmdline_file(dir, name)
    }

    fn kernel_squashfs(&mut self, dir: &Path, name: &str) -> Result<(), OutputError> {
        self.kernel_file(dir, name)?;
        let mut file = PendingFile::create_or_keep(&dir.join(format!("{name}-squashfs.img")))?;
        let lost = write_squashfs(&mut file, self.image)?;
        self.done(file);
        if lost > 0 {
            self.warnings.push(format!(
                "{lost} files lose extended attributes in a squashfs, which has those of user, \
                 trusted and security only"
            ));
        }
        self.cmdline_file(dir, name)
    }

    fn kernel_iso(&mut self, dir: &Path, name: &str) -> Result<(), OutputError> {
        self.kernel_file(dir, name)?;
        let mut file = PendingFile::create_or_keep(&dir.join(format!("{name}.iso")))?;
        let lost = write_tree_iso(&mut file, self.image, name)?;
        self.done(file);
        if lost > 0 {
            let warning = format!("{lost} files lose their extended attributes in an ISO");
            self.warnings.push(warning);
        }
        self.cmdline_file(dir, name)
    }

    /// The kernel, where there is one: a system without is one to be started by somebody else's.
    fn kernel_file(&mut self, dir: &Path, name: &str) -> Result<(), OutputError> {
        let path = dir.join(format!("{name}-kernel"));
        let kernel = self.image.kernel.as_ref();
        let Some(kernel) = kernel.filter(|_| !self.writes(&path)) else {
            return Ok(());
        };
        let mut file = PendingFile::create_or_keep(&path)?;
        io::copy(&mut self.image.open(&kernel.body)?, &mut file).map_err(|e| at(&file, e))?;
        self.done(file);
        Ok(())
    }

    fn cmdline_file(&mut self, dir: &Path, name: &str) -> Result<(), OutputError> {
        let path = dir.join(format!("{name}-cmdline"));
        let kernel = self.image.kernel.as_ref();
        let Some(kernel) = kernel.filter(|_| !self.writes(&path)) else {
            return Ok(());
        };
        let mut file = PendingFile::create_or_keep(&path)?;
        file.write_all(kernel.cmdline.as_bytes())
            .map_err(|e| at(&file, e))?;
        self.done(file);
        Ok(())
    }

    /// Whether another format brought this file already.
    fn writes(&self, path: &Path) -> bool {
        self.pending.iter().any(|file| file.path() == path)
    }

    /// Writes a format that is one file.
    fn file(&mut self, format: Format, path: &Path) -> Result<(), OutputError> {
        let mut file = PendingFile::create_or_keep(path)?;
        match format {
            Format::Disk(disk) => {
                let (name, disks) = (self.name.clone(), &self.settings.disks);
                let content = self.disk(disk)?;
                content.write(disk, &name, disks, &mut file)?;
            }
            Format::Iso(_) => {
                let content = self.iso(format)?;
                write_sparse(&mut file, &content).map_err(|error| at(&file, error))?;
            }
            _ => self.stream(format, &mut file)?,
        }
        self.done(file);
        Ok(())
    }

    /// Writes the description of a disk and the raw disk beside it.
    fn flat_disk(&mut self, dir: &Path, name: &str) -> Result<(), OutputError> {
        let format = DiskFormat::VmdkFlat;
        let disks = &self.settings.disks;
        let content = self.disk(format)?;
        let create =
            |ending: &str| PendingFile::create_or_keep(&dir.join(format!("{name}{ending}")));
        let [description, raw] = [".vmdk", "-flat.vmdk"].map(create);
        let (mut description, mut raw) = (description?, raw?);
        content.write(format, name, disks, &mut raw)?;
        content.describe(raw.path(), &mut description)?;
        // A description without its disk would be the worse half.
        self.done(raw);
        self.done(description);
        Ok(())
    }

    /// The disk, which is made once for all formats.
    fn disk(&mut self, format: DiskFormat) -> Result<&BootDisk, OutputError> {
        let disk = match self.disk.take() {
            Some(disk) => disk,
            None => {
                let kernel = self.kernel(Format::Disk(format))?;
                let (volume, missing) = self.media.boot_volume(kernel, &self.name)?;
                BootDisk::new(volume, missing, &self.settings.disks)?
            }
        };
        let warning = disk.check(format, &self.settings.disks)?;
        let warning = warning.filter(|warning| !self.warnings.contains(warning));
        self.warnings.extend(warning);
        Ok(self.disk.insert(disk))
    }

    /// The ISO.
    fn iso(&mut self, format: Format) -> Result<Extents, OutputError> {
        let kernel = self.kernel(format)?;
        let files = self.media.boot_files(kernel)?;
        let (loaders, missing) = Loaders::for_files(&files)?;
        if let Some(missing) = missing {
            let firmware = match loaders.bios {
                Some(_) => "a BIOS",
                None => "UEFI",
            };
            self.warnings
                .push(format!("the ISO boots on {firmware} only: {missing}"));
        }
        Ok(iso::make(&files, &loaders, &self.name)?.content)
    }

    /// Writes a format that is one file without seeking in it.
    fn stream(&mut self, format: Format, out: &mut (dyn Write + Send)) -> Result<(), OutputError> {
        match format {
            Format::Disk(disk) => {
                let (name, disks) = (self.name.clone(), &self.settings.disks);
                self.disk(disk)?.stream(disk, &name, disks, out)?;
            }
            Format::Iso(_) => {
                let content = self.iso(format)?;
                io::copy(&mut PayloadReader::new(&content), out)?;
            }
            Format::Uki => {
                let kernel = self.kernel(format)?;
                let files = self.media.boot_files(kernel)?;
                let stub = self.settings.uki_stub.as_deref();
                let uki = make_uki(self.image, &files, &self.name, stub)?;
                io::copy(&mut PayloadReader::new(&uki), out)?;
            }
            Format::Tar => drop(write_tree_tar(out, self.image, false)?),
            Format::Docker => drop(write_tree_tar(out, self.image, true)?),
            Format::TarKernelInitrd
            | Format::KernelInitrd
            | Format::KernelSquashfs
            | Format::KernelIso => {
                self.tar_kernel_initrd(self.kernel(format)?, out)?;
            }
        }
        Ok(())
    }

    /// A tar names a file's length before its bytes, so the initrd is written to a file first.
    fn tar_kernel_initrd(
        &mut self,
        kernel: &Kernel,
        out: &mut dyn Write,
    ) -> Result<(), OutputError> {
        let (initrd, summary) = self.media.initrd()?;
        let mut tar = TarWriter::new(out);
        let mut file = |name: &str, bytes: u64, body: &mut dyn Read| {
            let entry = Entry {
                name: name.as_bytes(),
                kind: Kind::File { bytes },
                mode: 0o600,
                uid: 0,
                gid: 0,
                mtime: SYNTHETIC_MTIME,
                mtime_nanos: 0,
                pax: &[],
            };
            tar.file(&entry, body).map_err(TreeTarError::from)
        };
        let mut body = self.image.open(&kernel.body)?;
        file("kernel", kernel.body.size(), &mut body)?;
        file("initrd.img", summary.initrd_bytes, &mut reader(&initrd))?;
        file(
            "cmdline",
            kernel.cmdline.len() as u64,
            &mut kernel.cmdline.as_bytes(),
        )?;
        tar.finish()?;
        Ok(())
    }
}

/// An I/O error of writing a file; those of reading the store keep their own words.
pub(super) fn at(file: &PendingFile, error: io::Error) -> OutputError {
    match inside(&error) {
        Some(_) => OutputError::Io(error),
        None => WriteFileError::new(file.path(), error).into(),
    }
}
