//! From a checked configuration to an [`Image`]: names are resolved, layers become packs, sections
//! become one tree.

mod gather;
mod sections;
mod volume;

use std::path::Path;

use formats::compress::Compression;

pub use gather::{GatherError, Gathered, Wanted, gather};
pub(crate) use volume::kept_entries;

use crate::assemble::sbom::SbomError;
use crate::assemble::{AssembleError, Image};
use crate::config::{Diagnostic, Ids, Moby};
use crate::layer::Limits;
use crate::pack::{PackError, PackStore, Workers};
use crate::pack_cache::PackSources;
use crate::parts::Parts;
use crate::progress::{Progress, Step, StepBytes};
use crate::reference::Reference;
use crate::registry::{Images, MissingImages, RegistryError, ResolvedImage};
use crate::runtime::{ImageConfig, RuntimeError, bundles};

/// What a build needs besides the configuration.
pub struct Context<'a> {
    /// Where images come from.
    pub images: &'a Images,
    /// Threads that compress.
    pub workers: &'a Workers,
    /// How bodies are packed: that of the initrd to be written.
    pub compression: Compression,
    /// Bounds on layers.
    pub limits: Limits,
    /// What is said meanwhile.
    pub progress: &'a Progress,
    /// Caches of packs that are asked before a layer is read.
    pub caches: &'a PackSources,
    /// The joined SBOM that is wanted in the root tree, if any.
    pub sbom: Option<SbomPlan>,
}

/// How the SBOMs attached to images are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SbomPlan {
    /// Path of the joined document in the root tree.
    pub path: String,
    /// Its creation time (RFC 3339).
    pub created: String,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// An image can't be had.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Nothing may be fetched, and something is missing.
    #[error(transparent)]
    Missing(#[from] Box<MissingImages>),
    /// A layer can't be used.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// A container can't be described.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The sections do not fit together.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// A pack can't be read.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// An SBOM attached to an image makes no sense.
    #[error("{0}; use --no-sbom to build without")]
    Sbom(#[from] SbomError),
    /// Something in the configuration that shows only now, at its place.
    #[error("{0}")]
    Setting(Box<Diagnostic>),
}

/// A resolved configuration: its images in the order of [`Moby::images`], each name once.
pub struct Resolved {
    names: Vec<Reference>,
    /// Parallel to the names.
    pub images: Vec<ResolvedImage>,
}

impl Resolved {
    /// What a name of the configuration stands for.
    pub fn get(&self, name: &Reference) -> Option<&ResolvedImage> {
        self.place(name).map(|place| &self.images[place])
    }

    fn place(&self, name: &Reference) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }
}

/// Finds out what every image name of a configuration stands for.
pub fn resolve(moby: &Moby, context: &Context<'_>) -> Result<Resolved, BuildError> {
    let mut names: Vec<Reference> = Vec::new();
    for image in moby.images() {
        if !names.contains(&image.value) {
            names.push(image.value.clone());
        }
    }
    let _task = context
        .progress
        .task(format!("resolving {} images", names.len()), None);
    let mut step = context.progress.step(Step::Resolve);
    let before = context.images.fetched_bytes();
    let images = resolve_all(context.images, &names)?;
    warn_of_other_platforms(&images, context);
    step.add(StepBytes {
        fetched_bytes: context.images.fetched_bytes() - before,
        reused_bytes: context.images.reused_bytes(),
        ..StepBytes::default()
    });
    Ok(Resolved { names, images })
}

/// A name without an index, or a digest of one platform's manifest, stands for that platform's image
/// whatever is built. Images of data alone may well be meant.
fn warn_of_other_platforms(images: &[ResolvedImage], context: &Context<'_>) {
    let wanted = context.images.platform();
    for image in images {
        if let Some(own) = image.other_platform(wanted) {
            let name = &image.reference;
            context.progress.warn(format!(
                "{name} is an image for {own}, and {wanted} is built: programs in it will not run"
            ));
        }
    }
}

/// Resolves every name. What is missing offline is reported together, other errors one by one.
fn resolve_all(images: &Images, names: &[Reference]) -> Result<Vec<ResolvedImage>, BuildError> {
    let mut missing = nothing_missing(images);
    let mut resolved = Vec::with_capacity(names.len());
    for result in images.resolve_on(names, images.platform()) {
        match result {
            Ok(image) => resolved.push(image),
            Err(error) => {
                if let Some(error) = missing.add_error(error) {
                    return Err(error.into());
                }
            }
        }
    }
    missing.check()?;
    Ok(resolved)
}

/// Builds the image of a configuration. `home` is what `~/` in `files:` stands for.
pub fn build(
    moby: &Moby,
    resolved: &Resolved,
    context: &Context<'_>,
    home: Option<&Path>,
) -> Result<Image, BuildError> {
    // What a label gets wrong is said before anything large is fetched.
    let bundles = bundles(moby, |name| {
        let image = resolved.get(name);
        Ok::<_, RuntimeError>(
            image
                .map(|i| ImageConfig::from(&i.config))
                .unwrap_or_default(),
        )
    })?;
    let wanted = sections::wanted(moby, resolved);
    if context.images.is_offline() && context.sbom.is_some() {
        check_sboms(resolved, context.images)?;
    }
    let store = PackStore::new(context.images.store().dir());
    let gathered = {
        let _task = context.progress.task("reading layers", None);
        gather(&wanted, &resolved.images, &store, context)
            .map_err(|error| sections::blame_kernel_tar(error, &moby.kernel))?
    };
    let _task = context.progress.task("assembling", None);
    let mut step = context.progress.step(Step::Assemble);
    let before = context.images.fetched_bytes();
    let assembled = sections::assemble(
        moby,
        resolved,
        &bundles,
        &Ids::new(moby),
        gathered,
        context,
        home,
    );
    step.add(StepBytes {
        fetched_bytes: context.images.fetched_bytes() - before,
        ..StepBytes::default()
    });
    let mut image = assembled.map_err(|error| match error {
        BuildError::Registry(error) => one_missing(error, context.images),
        error => error,
    })?;
    let known = sections::places(moby, resolved, context.sbom.as_ref());
    let platform = context.images.platform().to_string();
    image.parts = Parts::count(&image, &platform, &known)?;
    Ok(image)
}

/// Says at once which attached SPDX documents are missing offline.
fn check_sboms(resolved: &Resolved, images: &Images) -> Result<(), Box<MissingImages>> {
    let mut missing = nothing_missing(images);
    for image in &resolved.images {
        for sbom in &image.sboms {
            if !images.has_at_hand(image, &sbom.to_layer()) {
                let part = format!("SBOM {}", sbom.digest);
                missing.add(&image.reference.to_string(), Some(part));
            }
        }
    }
    missing.check()
}

fn nothing_missing(images: &Images) -> MissingImages {
    MissingImages::new(
        images.store().dir().to_owned(),
        vec![images.platform().clone()],
    )
}

/// What is found missing late (in a volume that holds a whole image) says how to bring it too.
fn one_missing(error: RegistryError, images: &Images) -> BuildError {
    let mut missing = nothing_missing(images);
    match missing.add_error(error) {
        Some(error) => error.into(),
        None => Box::new(missing).into(),
    }
}
