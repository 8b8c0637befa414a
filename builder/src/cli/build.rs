//! `lkbuild build`.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use formats::compress::Compression;

use super::CliError;
use super::disk::DiskArgs;
use super::images::load_files;
use super::input::default_name;
use super::limits::LimitArgs;
use super::lock::LockedArgs;
use super::pack_cache::PackCacheArgs;
use super::source::{CacheSizeArgs, SourceArgs, Want};
use crate::assemble::sbom::{SYNTHETIC_TIME, rfc3339};
use crate::atomic::is_stream;
use crate::build::{Context, SbomPlan, build, resolve};
use crate::config::{Moby, dry_run_yaml};
use crate::layer::Limits;
use crate::output::kernel::decompress_kernel;
use crate::output::{DiskSettings, Format, OutputError, Outputs, Settings, Written, write};
use crate::pack::{PackSet, PackStore, Workers};
use crate::progress::{Event, Progress, Step, StepBytes, size};
use crate::registry::{Images, Platform};

const EXAMPLES: &str = "\
Examples:
  lkbuild build docker-host.yml
      docker-host-kernel, docker-host-initrd.img and docker-host-cmdline
  lkbuild build -f iso docker-host.yml
      docker-host.iso, which boots from CD, USB stick and disk, on BIOS and UEFI
  lkbuild build -f tar -o - base.yml site.yml | tar -tv
      both files appended, the system as a tar on standard output
  lkbuild build --initrd-compression zstd:3 --dir out --name host host.yml
  lkbuild build --images images.tar --offline host.yml
      images from an OCI layout or docker save, nothing from the network
  lkbuild build --cache-from packs --cache-to packs host.yml
      a folder that CI saves and restores: what did not change is compressed once for all runs
  lkbuild build --cache-from type=registry,ref=registry.example/os/cache:host \\
                --cache-to type=registry,ref=registry.example/os/cache:host host.yml
      one cache for all runners, in a registry";

/// Arguments of `lkbuild build`; spelled as LinuxKit spells them where LinuxKit has them.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BuildArgs {
    /// YAML files, URLs, or - for standard input; several are appended
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,

    /// Formats to write (default: kernel+initrd); several with commas: kernel+initrd,
    /// kernel+squashfs, kernel+iso, tar-kernel-initrd, tar, docker; an image that boots from CD,
    /// stick and disk, on BIOS and UEFI: iso, and LinuxKit's iso-bios, iso-efi, iso-efi-initrd;
    /// disks that boot on BIOS and UEFI: vmdk, vmdk-sparse, vmdk-flat, ova, raw, qcow2, vhd,
    /// dynamic-vhd, aws, gcp, and LinuxKit's raw-bios, raw-efi, qcow2-bios, qcow2-efi; one program
    /// for UEFI (a unified kernel image): uki
    #[arg(short, long = "format", value_name = "FORMAT", value_delimiter = ',')]
    format: Vec<Format>,

    /// Name of the output files (default: that of the last YAML)
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Folder of the output files (default: the current one)
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Write one format to this file, or to standard output (-)
    #[arg(short, long = "output", visible_alias = "o", value_name = "FILE")]
    output: Option<String>,

    /// How the initrd is compressed: gzip, zstd or none, with a level as in gzip:9
    #[arg(long, value_name = "COMPRESSION", default_value_t = Compression::default())]
    initrd_compression: Compression,

    /// Ask registries for tags again, even where the cache knows them
    #[arg(long)]
    pull: bool,

    /// Architecture of the images: amd64, arm64, arm/v7 and so on (default: this machine's)
    #[arg(long, value_name = "ARCH", default_value = std::env::consts::ARCH)]
    arch: String,

    /// Write the kernel decompressed
    #[arg(long)]
    decompress_kernel: bool,

    /// A stub for the format uki, such as systemd's linuxx64.efi.stub, instead of our own loader
    #[arg(long, value_name = "FILE")]
    uki_stub: Option<PathBuf>,

    /// Do not join the SBOMs that images have into one
    #[arg(long)]
    no_sbom: bool,

    /// Path of the joined SBOM in the root file system
    #[arg(long, value_name = "PATH", default_value = "sbom.spdx.json")]
    sbom_output: String,

    /// Give the joined SBOM the current time (then no two builds are the same)
    #[arg(long)]
    sbom_current_time: bool,

    /// Print the configuration that would be built, and stop
    #[arg(long)]
    dry_run: bool,

    /// Threads that compress (default: all processors)
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    /// Look for images in Docker; refused, as there is no Docker here
    #[arg(long, hide = true)]
    docker: bool,

    /// Take images from the tar of an earlier build; refused, as the cache does that
    #[arg(long, value_name = "FILE", hide = true)]
    input_tar: Option<PathBuf>,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    locked: LockedArgs,

    #[command(flatten)]
    cache_size: CacheSizeArgs,

    #[command(flatten)]
    pack_caches: PackCacheArgs,

    #[command(flatten)]
    disk: DiskArgs,

    #[command(flatten)]
    limits: LimitArgs,
}

/// What the arguments ask for, checked.
struct Plan {
    formats: Vec<Format>,
    outputs: Outputs,
    threads: usize,
    home: Option<PathBuf>,
    sbom: Option<SbomPlan>,
    uki_stub: Option<Vec<u8>>,
}

/// Stubs have some hundred kilobytes.
const MAX_STUB_BYTES: u64 = 16 << 20;

impl BuildArgs {
    /// Whether standard output is taken by the image (or the dry run's YAML).
    pub(super) fn takes_stdout(&self) -> bool {
        self.output.as_deref() == Some("-") || self.dry_run
    }

    fn plan(&self) -> Result<Plan, CliError> {
        let usage = |message: &str| Err(CliError::Usage(message.into()));
        if self.docker {
            return usage(
                "--docker: lkbuild does not talk to Docker; save the image with `docker save` and name the file with --images",
            );
        }
        if self.input_tar.is_some() {
            return usage(
                "--input-tar: not needed here: what did not change is taken from the cache anyway",
            );
        }
        if self.source.offline && self.pull {
            return usage("--offline and --pull can't be given together");
        }
        let mut formats = match (&self.format[..], &self.output) {
            ([], None) => vec![Format::KernelInitrd],
            ([], Some(_)) => vec![Format::Tar],
            (formats, _) => formats.to_vec(),
        };
        // LinuxKit takes a format twice as once.
        let mut seen = HashSet::new();
        formats.retain(|format| seen.insert(*format));
        if let Some((one, other, ending)) = Format::clash(&formats) {
            return Err(CliError::Usage(format!(
                "the formats {one} and {other} would both be written to NAME{ending}: \
                 build them one after the other, under two names"
            )));
        }
        if self.uki_stub.is_some() && !formats.contains(&Format::Uki) {
            return usage("--uki-stub is for the format uki: add -f uki");
        }
        let outputs = match self.output.as_deref() {
            None => Outputs::Named {
                dir: self.dir.clone().unwrap_or_else(|| PathBuf::from(".")),
                name: self.output_name()?,
            },
            Some(_) if formats.len() > 1 => return usage("--output takes one format only"),
            Some(_) if self.name.is_some() => {
                return usage("--output and --name can't be given together");
            }
            Some(_) if self.dir.is_some() => {
                return usage("--output and --dir can't be given together");
            }
            Some(_) if !formats.iter().all(|f| f.is_one_file()) => {
                return Err(CliError::Usage(format!(
                    "the format {} is several files: use --dir and --name",
                    formats[0]
                )));
            }
            Some(file) if takes_stream(file) && !formats.iter().all(|f| f.streams()) => {
                return Err(CliError::Usage(format!(
                    "the format {} can't be written as a stream: name a file with --output",
                    formats[0]
                )));
            }
            Some("-") => Outputs::Stdout,
            Some(file) if takes_stream(file) => Outputs::Stream(file.into()),
            Some(file) => Outputs::File(file.into()),
        };
        let home = std::env::home_dir();
        let threads = self
            .threads
            .or_else(|| std::thread::available_parallelism().ok());
        let sbom = (!self.no_sbom).then(|| SbomPlan {
            path: self.sbom_output.clone(),
            created: match self.sbom_current_time {
                true => now(),
                false => SYNTHETIC_TIME.into(),
            },
        });
        Ok(Plan {
            formats,
            outputs,
            threads: threads.map_or(1, NonZeroUsize::get),
            home,
            sbom,
            uki_stub: self.read_stub()?,
        })
    }

    fn read_stub(&self) -> Result<Option<Vec<u8>>, CliError> {
        let Some(path) = &self.uki_stub else {
            return Ok(None);
        };
        let mut stub = Vec::new();
        let read =
            File::open(path).and_then(|file| file.take(MAX_STUB_BYTES + 1).read_to_end(&mut stub));
        read.map_err(|source| CliError::File {
            path: path.clone(),
            source,
        })?;
        if stub.len() as u64 > MAX_STUB_BYTES {
            return Err(CliError::Usage(format!(
                "--uki-stub: {} has more than {MAX_STUB_BYTES} bytes, which no stub has",
                path.display()
            )));
        }
        Ok(Some(stub))
    }

    fn output_name(&self) -> Result<String, CliError> {
        let name = match (&self.name, self.files.last()) {
            (Some(name), _) => name.clone(),
            (None, last) => default_name(last.map_or("-", String::as_str)),
        };
        if name.is_empty() || name.contains('/') {
            return Err(CliError::Usage(format!(
                "--name {name:?} can't be part of a file name; folders go to --dir"
            )));
        }
        Ok(name)
    }
}

/// Whether an output takes bytes as they come, and has no name to be given at the end.
fn takes_stream(output: &str) -> bool {
    output == "-" || is_stream(output.as_ref())
}

pub(super) fn run(args: BuildArgs, progress: &Progress) -> Result<(), CliError> {
    let plan = args.plan()?;
    let moby = load_files(&args.files, &args.source, progress)?;
    crate::runtime::check(&moby)?;
    if args.dry_run {
        use std::io::Write;
        // LinuxKit ends it with an empty line.
        let yaml = dry_run_yaml(&moby) + "\n";
        let written = std::io::stdout().write_all(yaml.as_bytes());
        return written.map_err(|source| OutputError::Io(source).into());
    }
    let want = Want {
        platform: Platform::linux(&args.arch),
        pull: args.pull,
        sboms: plan.sbom.is_some(),
        pins: args.locked.pins(&args.files, &moby, &[], progress)?,
    };
    let images = args.source.images(args.source.store()?, want, progress)?;
    let caches = args.pack_caches.caches(&args.source)?;
    let workers = Workers::new(plan.threads).map_err(|e| CliError::Setup(e.to_string()))?;
    let context = Context {
        images: &images,
        workers: &workers,
        compression: args.initrd_compression,
        limits: Limits::from(&args.limits),
        progress,
        caches: &caches.sources,
        sbom: plan.sbom.clone(),
    };
    let (written, packs) = build_and_heal(&args, &plan, &moby, &context)?;
    images.store().settle()?;
    let stored = caches.store(&packs, progress);
    if let Some(max_bytes) = args.cache_size.max_pack_bytes(&args.source.settings()?)? {
        evict(&images, max_bytes, progress);
    }
    report(&written, progress);
    stored
}

/// Packs that rotted are made anew from their blobs. Each is tried once; what went to standard
/// output already can't be taken back, so packs are verified before anything goes there.
fn build_and_heal(
    args: &BuildArgs,
    plan: &Plan,
    moby: &Moby,
    context: &Context<'_>,
) -> Result<(Written, PackSet), CliError> {
    let mut healed = Vec::new();
    loop {
        let error = match build_and_write(args, plan, moby, context) {
            Err(error) => error,
            written => return written,
        };
        let Some(path) = error.damaged_pack().filter(|path| !healed.contains(path)) else {
            return Err(error);
        };
        let progress = context.progress;
        progress.warn(format!("{} is damaged; making it anew", path.display()));
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(CliError::File { path, source });
            }
            _ => healed.push(path),
        }
    }
}

/// Keeps the packs within their bound. A build that is done does not fail because of it.
fn evict(images: &Images, max_bytes: u64, progress: &Progress) {
    let packs = PackStore::new(images.store().dir());
    match packs.evict(max_bytes) {
        Ok(freed) if freed.files > 0 => progress.detail(format!(
            "{} packs evicted, {} freed",
            freed.files,
            size(freed.bytes)
        )),
        Ok(_) => {}
        Err(error) => progress.warn(format!("can't evict packs: {error}")),
    }
}

fn build_and_write(
    args: &BuildArgs,
    plan: &Plan,
    moby: &Moby,
    context: &Context<'_>,
) -> Result<(Written, PackSet), CliError> {
    let resolved = resolve(moby, context)?;
    let mut image = build(moby, &resolved, context, plan.home.as_deref())?;
    if args.decompress_kernel {
        decompress_kernel(&mut image).map_err(OutputError::from)?;
    }
    let losses = match plan.formats.iter().any(|format| format.has_initrd()) {
        true => image.xattr_losses(),
        false => Vec::new(),
    };
    for (origin, files) in losses {
        context.progress.warn(format!(
            "{origin}: the extended attributes of {files} files are lost in an initrd"
        ));
    }
    if matches!(plan.outputs, Outputs::Stdout | Outputs::Stream(_)) {
        image.packs.verify().map_err(OutputError::from)?;
    }
    let _task = context.progress.task("writing", None);
    let settings = Settings {
        compression: context.compression,
        disks: DiskSettings::from(&args.disk),
        uki_stub: plan.uki_stub.clone(),
    };
    let written = write(&image, &plan.formats, &plan.outputs, &settings)?;
    Ok((written, image.packs))
}

fn report(written: &Written, progress: &Progress) {
    for warning in &written.warnings {
        progress.warn(warning.clone());
    }
    for file in &written.files {
        progress.emit(&Event::Output {
            path: file.path.display().to_string(),
            bytes: file.bytes,
            unchanged: file.unchanged,
        });
    }
    for part in &written.parts {
        progress.emit(&Event::Part(part.clone()));
    }
    tell_steps(written, progress);
    let counters = progress.counters();
    let initrd = written.initrd.unwrap_or_default();
    if written.initrd.is_some() {
        progress.info(format!(
            "initrd {} ({} unpacked); booting it needs about {} of RAM",
            size(initrd.initrd_bytes),
            size(initrd.cpio_bytes),
            size(initrd.ram_bytes),
        ));
    }
    progress.info(format!(
        "{} layers read, {} reused; {} compressed, {} reused, {} fetched",
        counters.layers_packed,
        counters.layers_reused,
        size(counters.compressed_bytes),
        size(counters.reused_bytes),
        size(counters.fetched_bytes),
    ));
    if counters.imported_packs > 0 {
        progress.info(format!(
            "{} packs from caches ({})",
            counters.imported_packs,
            size(counters.imported_bytes),
        ));
    }
    progress.emit(&Event::Summary {
        counters,
        ram_bytes: initrd.ram_bytes,
        initrd_bytes: initrd.initrd_bytes,
        unpacked_bytes: initrd.cpio_bytes,
        seconds: progress.elapsed().as_secs_f64(),
    });
}

/// What each step took. An output's bytes are reused where the file stayed.
fn tell_steps(written: &Written, progress: &Progress) {
    if let Some(initrd) = written.initrd {
        let bytes = StepBytes {
            reused_bytes: initrd.packed_bytes,
            compressed_bytes: initrd.cpio_bytes.saturating_sub(initrd.packed_bytes),
            written_bytes: initrd.initrd_bytes,
            ..StepBytes::default()
        };
        progress.step_took(Step::Initrd, written.initrd_time, bytes);
    }
    for (name, time, bytes) in &written.output_times {
        let stayed = written
            .files
            .iter()
            .any(|file| file.unchanged && file.path.display().to_string() == *name);
        let bytes = match stayed {
            true => StepBytes {
                reused_bytes: *bytes,
                ..StepBytes::default()
            },
            false => StepBytes {
                written_bytes: *bytes,
                ..StepBytes::default()
            },
        };
        progress.output_took(name, *time, bytes);
    }
    progress.step_took(Step::Commit, written.commit_time, StepBytes::default());
    progress.tell_steps();
}

/// The only clock of the program that reaches an output, and only when asked to.
fn now() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    rfc3339(since.as_secs())
}
