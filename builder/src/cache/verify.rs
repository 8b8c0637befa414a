//! Reading all of the store once: what is damaged is named, and healed where a source can give it
//! again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::PathBuf;

use oci_spec::image::ImageIndex;
use rayon::prelude::*;

use super::fetch::fetch_blob;
use super::parts::{Parts, everything};
use crate::digest::{Digest, VerifyingReader};
use crate::pack::{PackStore, Workers, verify_file};
use crate::progress::Progress;
use crate::reference::Reference;
use crate::registry::document::DocumentError;
use crate::registry::{Images, RegistryError};
use crate::store::{BlobFile, IndexEntry, Store, StoreError};

/// Something in the store that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
    /// Full names of the images that need it; none for packs.
    pub images: Vec<String>,
    /// Whether it was put right: fetched again, or taken away where it is not needed.
    pub healed: bool,
}

/// What was read, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Blobs read.
    pub blobs: u64,
    /// Packs read.
    pub packs: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// In the order of the paths.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether something is still wrong.
    pub fn is_bad(&self) -> bool {
        self.findings.iter().any(|finding| !finding.healed)
    }
}

/// Verifies every blob and every pack. Damaged packs are taken away, as builds make them again;
/// damaged blobs are fetched again unless `images` is offline. Names whose document is gone are
/// findings too; blobs that are merely not there are not, as layouts may hold parts of an image.
pub fn verify(
    images: &Images,
    workers: &Workers,
    progress: &Progress,
) -> Result<Report, StoreError> {
    let store = images.store();
    let mut report = Report::default();
    if let Some(finding) = check_index(images)? {
        let usable = finding.healed;
        report.findings.push(finding);
        if !usable {
            return Ok(report);
        }
    }
    verify_packs(store, workers, progress, &mut report)?;
    let blobs = store.blobs()?;
    let problems = check_blobs(store, &blobs, workers, progress);
    report.blobs = blobs.len() as u64;
    report.bytes += blobs.iter().map(|b| b.bytes).sum::<u64>();
    let mut healer = Healer {
        images,
        progress,
        problems,
        users: BTreeMap::new(),
        healed: BTreeSet::new(),
    };
    for (name, entry) in store.entries()? {
        healer.look_at(name.as_deref(), &entry);
    }
    report.findings.extend(healer.finish());
    store.settle()?;
    report.findings.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(report)
}

/// An `index.json` that is damaged is moved away online: names are found again when asked for.
fn check_index(images: &Images) -> Result<Option<Finding>, StoreError> {
    let store = images.store();
    let (problem, healed) = match store.entries() {
        Ok(_) => return Ok(None),
        Err(StoreError::Index { reason, .. }) if images.is_offline() => {
            let advice = "`lkbuild cache verify` without --offline moves it away";
            (format!("{reason}; {advice}"), false)
        }
        Err(error) if images.is_offline() => (error.to_string(), false),
        Err(_) => match store.heal_index()? {
            Some((aside, problem)) => {
                let aside = aside.display();
                (format!("{problem} (moved to {aside})"), true)
            }
            None => return Ok(None),
        },
    };
    Ok(Some(Finding {
        path: store.dir().join("index.json"),
        problem,
        images: Vec::new(),
        healed,
    }))
}

fn verify_packs(
    store: &Store,
    workers: &Workers,
    progress: &Progress,
    report: &mut Report,
) -> Result<(), StoreError> {
    let packs = PackStore::new(store.dir());
    let list = packs.list().map_err(|source| StoreError::Io {
        action: "list",
        path: packs.dir().to_owned(),
        source,
    })?;
    let total = list.iter().map(|p| p.bytes).sum();
    let task = progress.task(format!("verifying {} packs", list.len()), Some(total));
    let bad: Vec<_> = workers.pool().install(|| {
        let check = |pack: &crate::pack::PackFile| {
            let path = packs.dir().join(&pack.name);
            let checked = verify_file(&path, &pack.name);
            task.advance(pack.bytes);
            checked.err().map(|error| (path, error.to_string()))
        };
        list.par_iter().filter_map(check).collect()
    });
    report.packs = list.len() as u64;
    report.bytes += total;
    for (path, problem) in bad {
        let removed = std::fs::remove_file(&path);
        report.findings.push(Finding {
            healed: !matches!(removed, Err(e) if e.kind() != io::ErrorKind::NotFound),
            path,
            problem,
            images: Vec::new(),
        });
    }
    Ok(())
}

/// What is wrong with each blob that is damaged or can't be read.
fn check_blobs(
    store: &Store,
    blobs: &[BlobFile],
    workers: &Workers,
    progress: &Progress,
) -> BTreeMap<Digest, String> {
    let total = blobs.iter().map(|b| b.bytes).sum();
    let task = progress.task(format!("verifying {} blobs", blobs.len()), Some(total));
    workers.pool().install(|| {
        let check = |blob: &BlobFile| {
            let read = File::open(store.blob_path(&blob.digest)).and_then(|file| {
                let mut reader = VerifyingReader::new(file, blob.digest.clone(), blob.bytes);
                io::copy(&mut reader, &mut io::sink())
            });
            task.advance(blob.bytes);
            match read {
                // Somebody took it away meanwhile.
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                Err(e) => Some((blob.digest.clone(), e.to_string())),
                Ok(_) => None,
            }
        };
        blobs.par_iter().filter_map(check).collect()
    })
}

struct Healer<'a> {
    images: &'a Images,
    progress: &'a Progress,
    problems: BTreeMap<Digest, String>,
    /// Which images need a damaged blob.
    users: BTreeMap<Digest, BTreeSet<String>>,
    healed: BTreeSet<Digest>,
}

impl Healer<'_> {
    /// Goes through an image; what of it is damaged is fetched again, documents first, as they say
    /// what else belongs to it.
    fn look_at(&mut self, name: Option<&str>, entry: &IndexEntry) {
        let shown = name.unwrap_or("an image without a name").to_owned();
        let reference = name.and_then(|name| Reference::parse(name).ok());
        let mut parts = Parts::default();
        let images = self.images;
        let mut read = |digest: &Digest, size: u64| -> Result<Option<Vec<u8>>, DocumentError> {
            self.note(digest, &shown, entry);
            if let (Some(name), true) = (&reference, self.is_broken(digest))
                && !images.is_offline()
            {
                let fetched = match *digest == entry.digest {
                    true => images.top(name).map(drop),
                    false => images.document(name, digest, size, true).map(drop),
                };
                self.note_result(digest, fetched);
            }
            Ok(images.store().peek_document(digest))
        };
        let walked = parts.add(entry, &|index: &ImageIndex| everything(index), &mut read);
        if let Err(error) = walked {
            let problem = || format!("it is no image: {error}");
            self.problems
                .entry(entry.digest.clone())
                .or_insert_with(problem);
            self.note(&entry.digest, &shown, entry);
        }
        for (digest, size) in &parts.blobs {
            self.note(digest, &shown, entry);
            let Some(name) = reference.as_ref().filter(|_| self.is_broken(digest)) else {
                continue;
            };
            if !images.is_offline() {
                // Of the right length, it would be taken from the store.
                let _ = images.store().remove_blob(digest);
                let fetched = fetch_blob(images, digest, *size, name, self.progress);
                self.note_result(digest, fetched);
            }
        }
    }

    fn is_broken(&self, digest: &Digest) -> bool {
        self.problems.contains_key(digest) && !self.healed.contains(digest)
    }

    /// Notes that an image needs a blob. What a name stands for must be there.
    fn note(&mut self, digest: &Digest, name: &str, entry: &IndexEntry) {
        let store = self.images.store();
        if *digest == entry.digest && !store.blob_path(digest).exists() {
            let problem = || "it is missing, and an image's name stands for it".into();
            self.problems.entry(digest.clone()).or_insert_with(problem);
        }
        if self.problems.contains_key(digest) {
            let users = self.users.entry(digest.clone()).or_default();
            users.insert(name.to_owned());
        }
    }

    fn note_result(&mut self, digest: &Digest, fetched: Result<(), RegistryError>) {
        // A tag that points elsewhere by now does not bring the old document back.
        let there = self.images.store().peek_document(digest).is_some()
            || self.images.store().blob_path(digest).exists();
        match fetched {
            Err(error) => {
                if let Some(problem) = self.problems.get_mut(digest) {
                    *problem = format!("{problem}; fetching it again failed: {error}");
                }
            }
            Ok(()) if there => drop(self.healed.insert(digest.clone())),
            Ok(()) => {
                if let Some(problem) = self.problems.get_mut(digest) {
                    problem.push_str("; its name stands for something else by now");
                }
                self.healed.insert(digest.clone());
            }
        }
    }

    /// The findings. Damaged blobs that no image needs are taken away.
    fn finish(self) -> Vec<Finding> {
        let store = self.images.store();
        let finding = |(digest, problem): (Digest, String)| {
            let images: Vec<String> = self
                .users
                .get(&digest)
                .into_iter()
                .flatten()
                .cloned()
                .collect();
            let healed = self.healed.contains(&digest)
                || (images.is_empty() && store.remove_blob(&digest).is_ok());
            Finding {
                path: store.blob_path(&digest),
                problem,
                images,
                healed,
            }
        };
        self.problems.into_iter().map(finding).collect()
    }
}
