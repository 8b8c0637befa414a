//! `lkbuild lock`, and `--locked` of the other commands.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::CliError;
use super::images::{load_files, parse_name};
use super::source::{SourceArgs, Want};
use crate::atomic::{PendingFile, commit};
use crate::config::{Diagnostic, Moby};
use crate::lockfile::{LockEntry, LockFile, MAX_LOCK_BYTES};
use crate::output::OutputError;
use crate::progress::{Event, Progress};
use crate::reference::Reference;
use crate::registry::document::{self, Document, DocumentError};
use crate::registry::{Images, RegistryError, RegistryErrorKind};

const EXAMPLES: &str = "\
Examples:
  lkbuild lock host.yml
      host.lock: what each name stands for now; names that it has already stay as they are
  lkbuild lock --update nginx:1.27 host.yml
      that name is asked of its registry again; --update '*' asks for all
  lkbuild build --locked host.yml";

/// Arguments of `lkbuild lock`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LockCommandArgs {
    /// YAML files, whose names are locked together
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,

    /// Ask again what this name stands for (* for all names)
    #[arg(long, value_name = "NAME")]
    update: Vec<String>,

    /// The lock file (default: that of the last YAML, host.lock for host.yml)
    #[arg(long, value_name = "FILE")]
    lock_file: Option<PathBuf>,

    #[command(flatten)]
    source: SourceArgs,
}

/// Whether names must be those of a lock file.
#[derive(Debug, Args)]
pub(super) struct LockedArgs {
    /// Take every image by the digest in the lock file; a name that is not in it is an error
    #[arg(long)]
    locked: bool,

    /// The lock file (default: that of the last YAML, host.lock for host.yml)
    #[arg(long, value_name = "FILE", requires = "locked")]
    lock_file: Option<PathBuf>,
}

/// The lock file that is named, or that of the last YAML.
fn lock_path(named: Option<&PathBuf>, files: &[String]) -> Result<PathBuf, CliError> {
    if let Some(path) = named {
        return Ok(path.clone());
    }
    match files.last().filter(|f| *f != "-" && !f.contains("://")) {
        Some(file) => Ok(Path::new(file).with_extension("lock")),
        None => Err(CliError::Usage(
            "which lock file? name it with --lock-file".into(),
        )),
    }
}

impl LockedArgs {
    /// What the names of a configuration, and others beside it, must stand for; nothing where no
    /// lock is asked for, and a word about tags that move.
    pub(super) fn pins(
        &self,
        files: &[String],
        moby: &Moby,
        others: &[Reference],
        progress: &Progress,
    ) -> Result<HashMap<String, LockEntry>, CliError> {
        if !self.locked {
            warn_of_moving_tags(moby, progress);
            return Ok(HashMap::new());
        }
        let path = lock_path(self.lock_file.as_ref(), files)?;
        let found = read(&path)?;
        let problem = match found {
            Some(_) => "it has no entry for",
            None => "there is no such file, and so no entry for",
        };
        let lock = found.unwrap_or_default();
        let mut wanted = names(moby);
        for name in others.iter().filter(|name| name.digest().is_none()) {
            if !wanted.contains(&name) {
                wanted.push(name);
            }
        }
        let missing: Vec<String> = wanted
            .into_iter()
            .map(|name| name.to_string())
            .filter(|name| !lock.entries.contains_key(name))
            .collect();
        if !missing.is_empty() {
            return Err(CliError::Lock {
                path,
                reason: format!(
                    "{problem} {}; `lkbuild lock` adds what is missing",
                    missing.join(", ")
                ),
            });
        }
        Ok(lock.entries.into_iter().collect())
    }
}

/// Names that are not pinned in the YAML itself, each once.
fn names(moby: &Moby) -> Vec<&Reference> {
    let mut names: Vec<&Reference> = Vec::new();
    for name in moby.images().filter(|name| name.digest().is_none()) {
        if !names.contains(&&name.value) {
            names.push(&name.value);
        }
    }
    names
}

/// `latest`, written or meant, is another image tomorrow.
fn warn_of_moving_tags(moby: &Moby, progress: &Progress) {
    let mut seen: Vec<&Reference> = Vec::new();
    for name in moby.images() {
        let moves = name.digest().is_none() && name.tag() == Some("latest");
        if moves && !seen.contains(&&name.value) {
            seen.push(&name.value);
            let message = format!("{} may be another image tomorrow", name.value);
            let warning = Diagnostic::new(&name.span, message)
                .help("name a version, or write a lock file with `lkbuild lock` and use --locked");
            progress.warn(warning.to_string());
        }
    }
}

/// `None` where there is no such file.
fn read(path: &Path) -> Result<Option<LockFile>, CliError> {
    let error = |reason: String| CliError::Lock {
        path: path.to_owned(),
        reason,
    };
    let mut text = String::new();
    let read = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.and_then(|file| file.take(MAX_LOCK_BYTES + 1).read_to_string(&mut text)),
    };
    read.map_err(|e| error(e.to_string()))?;
    // What is cut off at a line's end would be a lock file, too.
    if text.len() as u64 > MAX_LOCK_BYTES {
        return Err(error(format!("it is longer than {MAX_LOCK_BYTES} bytes")));
    }
    let parsed = LockFile::parse(&text).map_err(|e| error(e.to_string()))?;
    Ok(Some(parsed))
}

pub(super) fn run(args: &LockCommandArgs, progress: &Progress) -> Result<(), CliError> {
    let moby = load_files(&args.files, &args.source, progress)?;
    let path = lock_path(args.lock_file.as_ref(), &args.files)?;
    let found = read(&path)?;
    let is_there = found.is_some();
    let old = found.unwrap_or_default();
    let wanted = names(&moby);
    let mut again: Vec<Reference> = Vec::new();
    for name in args.update.iter().filter(|name| *name != "*") {
        let name = parse_name(name)?;
        if !wanted.contains(&&name) {
            return Err(CliError::Usage(format!(
                "--update {name}: no image of that name is in the YAML"
            )));
        }
        again.push(name);
    }
    let all = args.update.iter().any(|name| name == "*");
    let want = Want::of(&[]).pull(!args.source.offline);
    let images = args.source.images(args.source.store()?, want, progress)?;
    let mut lock = LockFile::default();
    let task = progress.task(format!("locking {} images", wanted.len()), None);
    for name in wanted {
        let full_name = name.to_string();
        let known = old.entries.get(&full_name);
        let entry = match known {
            Some(known) if !all && !again.contains(name) => known.clone(),
            _ => {
                let entry = look_up(&images, name)?;
                if known != Some(&entry) {
                    progress.info(format!("{full_name} {}", entry.top));
                }
                entry
            }
        };
        lock.entries.insert(full_name, entry);
    }
    drop(task);
    images.store().settle()?;
    // Comments stay where nothing is new.
    let unchanged = is_there && lock == old;
    let text = lock.to_text();
    if !unchanged {
        let mut file = PendingFile::create(&path).map_err(OutputError::from)?;
        file.write_all(text.as_bytes()).map_err(OutputError::from)?;
        commit(vec![file]).map_err(OutputError::from)?;
    }
    progress.emit(&Event::Output {
        path: path.display().to_string(),
        bytes: text.len() as u64,
        unchanged,
    });
    Ok(())
}

/// What a name stands for now.
fn look_up(images: &Images, name: &Reference) -> Result<LockEntry, RegistryError> {
    let of = |e: DocumentError| RegistryErrorKind::from(e).of(name);
    let (top, bytes) = images.top(name)?;
    let platforms = match document::parse(&bytes, &top.media_type).map_err(of)? {
        Document::Index(index) => document::platforms_of(&index).map_err(of)?,
        Document::Manifest(manifest) => {
            let config = document::digest_of(manifest.config(), "manifest").map_err(of)?;
            let bytes = images.document(name, &config, manifest.config().size(), false)?;
            let config = document::parse_config(&bytes).map_err(of)?;
            BTreeMap::from([(document::config_platform(&config), top.digest.clone())])
        }
    };
    Ok(LockEntry::new(top.digest, platforms))
}
