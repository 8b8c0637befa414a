//! Every layer that a build needs, as a pack.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Context;
use crate::assemble::PackedLayer;
use crate::digest::VerifyError;
use crate::layer::{LayerError, LayerErrorKind};
use crate::pack::{MakeError, MakeOptions, Pack, PackError, PackKey, PackSet, PackStore, make};
use crate::pack_cache::WantedPack;
use crate::progress::{Running, Step, StepBytes, Task};
use crate::registry::{LayerDescriptor, MissingImages, RegistryError, ResolvedImage};

/// Layers that are read at once: enough to hide the network and to keep the workers busy.
const LAYERS_AT_ONCE: usize = 4;

/// An image whose layers are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Index of the image.
    pub image: usize,
    /// Name of the tar in it that is to be opened (`kernel.tar`).
    pub nested: Option<Vec<u8>>,
}

/// A layer could not be made a pack.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// Nothing may be fetched, and blobs are missing.
    #[error(transparent)]
    Missing(#[from] Box<MissingImages>),
    /// The blob can't be had.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The layer is bad.
    #[error("{image}: layer {digest}: {source}")]
    Layer {
        /// The image.
        image: String,
        /// The layer.
        digest: String,
        /// What is wrong.
        source: Box<MakeError>,
    },
    /// The layers of an image are too much together.
    #[error(
        "{image}: its layers exceed the limit of {limit} {what} together; raise it with --{flag} if \
         this image is to be trusted"
    )]
    Image {
        /// The image.
        image: String,
        /// What is counted.
        what: &'static str,
        /// The bound.
        limit: u64,
        /// The option that raises it.
        flag: &'static str,
    },
    /// A pack can't be read or taken away.
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// All packs of a build.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The packs.
    pub packs: PackSet,
    layers: Vec<(Wanted, Vec<PackedLayer>)>,
}

impl Gathered {
    /// The layers of a wanted image, lowest first.
    pub fn layers(&self, wanted: &Wanted) -> &[PackedLayer] {
        self.layers
            .iter()
            .find(|(w, _)| w == wanted)
            .map_or(&[], |(_, layers)| layers)
    }
}

/// One pack to have.
struct Job<'a> {
    key: PackKey,
    image: &'a ResolvedImage,
    /// The image's place in the list of all.
    place: usize,
    layer: &'a LayerDescriptor,
}

/// Finds or makes the packs of all wanted images. The largest layers are read first, several at a
/// time; which comes when leaves no trace in the result.
pub fn gather(
    wanted: &[Wanted],
    images: &[ResolvedImage],
    store: &PackStore,
    context: &Context<'_>,
) -> Result<Gathered, GatherError> {
    let mut jobs: Vec<Job<'_>> = Vec::new();
    let mut places: HashMap<PackKey, usize> = HashMap::new();
    let mut layers_of: Vec<(Wanted, Vec<(usize, String)>)> = Vec::new();
    for want in wanted {
        let image = &images[want.image];
        let mut layers = Vec::new();
        for layer in &image.layers {
            let key = PackKey {
                layer: layer.digest.clone(),
                compression: context.compression,
                nested: want.nested.clone(),
            };
            let place = *places.entry(key.clone()).or_insert_with(|| {
                jobs.push(Job {
                    key,
                    image,
                    place: want.image,
                    layer,
                });
                jobs.len() - 1
            });
            layers.push((place, layer.digest.to_string()));
        }
        layers_of.push((want.clone(), layers));
    }
    if context.images.is_offline() {
        check_at_hand(&jobs, store, context)?;
    }
    let packs = run(&jobs, images.len(), store, context)?;
    for (want, layers) in &layers_of {
        let image = &images[want.image];
        let packs = layers.iter().map(|&(place, _)| &packs[place]);
        let cost = packs.fold(Cost::default(), |cost, pack| cost.and(Cost::of(pack)));
        cost.check(image, context)?;
    }
    let mut set = PackSet::default();
    let places: Vec<u32> = packs.into_iter().map(|pack| set.add(pack)).collect();
    let layers = layers_of.into_iter().map(|(want, layers)| {
        let packed = |(place, digest)| PackedLayer {
            pack: places[place],
            digest,
        };
        (want, layers.into_iter().map(packed).collect())
    });
    Ok(Gathered {
        layers: layers.collect(),
        packs: set,
    })
}

/// What layers of an image come to.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    /// Unpacked bytes.
    bytes: u64,
    entries: u64,
    /// As [`Limits::metadata_bytes`](crate::layer::Limits::metadata_bytes).
    metadata_bytes: u64,
}

impl Cost {
    fn of(pack: &Pack) -> Self {
        let index = pack.index();
        let nested = index.nested.iter().flat_map(|nested| &nested.entries);
        let (mut entries, mut metadata_bytes) = (0, 0u64);
        for entry in index.entries.iter().chain(nested) {
            entries += 1;
            metadata_bytes = metadata_bytes.saturating_add(entry.metadata_bytes());
        }
        Cost {
            // The holes of sparse files are bytes of bodies, but not of the layer.
            bytes: index.uncompressed_bytes.max(index.body_bytes()),
            entries,
            metadata_bytes,
        }
    }

    fn and(self, other: Self) -> Self {
        Cost {
            bytes: self.bytes.saturating_add(other.bytes),
            entries: self.entries.saturating_add(other.entries),
            metadata_bytes: self.metadata_bytes.saturating_add(other.metadata_bytes),
        }
    }

    /// Holds it against the bounds on all layers of an image together.
    fn check(self, image: &ResolvedImage, context: &Context<'_>) -> Result<(), GatherError> {
        let limits = &context.limits;
        for (count, limit, what, flag) in [
            (
                self.bytes,
                limits.image_bytes,
                "unpacked bytes",
                "max-image-bytes",
            ),
            (
                self.entries,
                limits.image_entries,
                "entries",
                "max-image-entries",
            ),
            (
                self.metadata_bytes,
                limits.metadata_bytes,
                "bytes of paths, links and attributes",
                "max-metadata-bytes",
            ),
        ] {
            if count > limit {
                return Err(GatherError::Image {
                    image: image.reference.to_string(),
                    what,
                    limit,
                    flag,
                });
            }
        }
        Ok(())
    }
}

/// Takes a job's pack from the caches that the user names.
fn take_from_caches(job: &Job<'_>, store: &PackStore, context: &Context<'_>) -> Option<Pack> {
    if context.caches.is_empty() {
        return None;
    }
    let mut step = context.progress.step(Step::Import);
    let wanted = WantedPack::new(&job.key, job.layer, &context.limits);
    let pack = context.caches.take(&wanted, store, context.progress)?;
    let bytes = file_bytes(&pack);
    context.progress.imported(bytes);
    step.add(StepBytes {
        fetched_bytes: bytes,
        written_bytes: bytes,
        ..StepBytes::default()
    });
    Some(pack)
}

fn file_bytes(pack: &Pack) -> u64 {
    pack.file().metadata().map_or(0, |data| data.len())
}

/// Says that a layer's pack was there, or came from a cache.
fn reused(job: &Job<'_>, pack: &Pack, context: &Context<'_>) {
    let bytes = pack.index().body_bytes();
    let progress = context.progress;
    progress.layer_reused(&job.layer.digest.to_string(), bytes);
    progress.step(Step::Pack).add(StepBytes {
        reused_bytes: bytes,
        ..StepBytes::default()
    });
}

/// Says at once which layers have neither a pack nor a blob, nor a pack in a cache that is asked;
/// packs of such caches are taken now.
fn check_at_hand(
    jobs: &[Job<'_>],
    store: &PackStore,
    context: &Context<'_>,
) -> Result<(), Box<MissingImages>> {
    let images = context.images;
    let cache = images.store().dir().to_owned();
    let mut missing = MissingImages::new(cache, vec![images.platform().clone()]);
    for job in jobs {
        if !store.path(&job.key).exists()
            && !images.has_at_hand(job.image, job.layer)
            && take_from_caches(job, store, context).is_none()
        {
            let layer = format!("layer {}", job.layer.digest);
            missing.add(&job.image.reference.to_string(), Some(layer));
        }
    }
    missing.check()
}

/// The packs of all jobs, in their order.
fn run(
    jobs: &[Job<'_>],
    images: usize,
    store: &PackStore,
    context: &Context<'_>,
) -> Result<Vec<Pack>, GatherError> {
    // What the layers of each image have come to so far: nobody reads on when it is too much.
    let spent: Vec<Mutex<Cost>> = (0..images).map(|_| Mutex::default()).collect();
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|&job| std::cmp::Reverse(jobs[job].layer.size));
    let next = AtomicUsize::new(0);
    let slots: Vec<Mutex<Option<Result<Pack, GatherError>>>> =
        jobs.iter().map(|_| Mutex::new(None)).collect();
    let failed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..LAYERS_AT_ONCE.min(jobs.len()) {
            scope.spawn(|| {
                while failed.load(Ordering::Relaxed) == 0 {
                    let Some(&job) = order.get(next.fetch_add(1, Ordering::Relaxed)) else {
                        break;
                    };
                    let found = find_or_make(&jobs[job], store, context);
                    let result = found.and_then(|pack| {
                        let spent = &spent[jobs[job].place];
                        let mut spent = spent.lock().unwrap_or_else(PoisonError::into_inner);
                        *spent = spent.and(Cost::of(&pack));
                        spent.check(jobs[job].image, context)?;
                        Ok(pack)
                    });
                    failed.fetch_add(usize::from(result.is_err()), Ordering::Relaxed);
                    *slots[job].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                }
            });
        }
    });
    let mut results: Vec<_> = slots
        .into_iter()
        .map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect();
    // A layer that was not begun is missing because another one failed: report that one.
    let error = results.iter().position(|r| matches!(r, Some(Err(_))));
    if let Some(Some(Err(error))) = error.map(|place| results.swap_remove(place)) {
        return Err(error);
    }
    let unfinished = || io::Error::other("a layer was not read");
    results
        .into_iter()
        .map(|result| match result {
            Some(result) => result,
            None => Err(PackError::Read {
                path: store.dir().to_owned(),
                source: unfinished(),
            }
            .into()),
        })
        .collect()
}

fn find_or_make(
    job: &Job<'_>,
    store: &PackStore,
    context: &Context<'_>,
) -> Result<Pack, GatherError> {
    let digest = job.layer.digest.to_string();
    match Pack::open(store, &job.key) {
        Ok(Some(pack)) => {
            pack.mark_used();
            reused(job, &pack, context);
            return Ok(pack);
        }
        Ok(None) => {}
        // One that can't be read is as good as damaged: a pack can always be made again.
        Err(error) => {
            context.progress.warn(format!("{error}; making it anew"));
            store.remove(&job.key).map_err(|source| PackError::Read {
                path: store.path(&job.key),
                source,
            })?;
        }
    }
    if let Some(pack) = take_from_caches(job, store, context) {
        reused(job, &pack, context);
        return Ok(pack);
    }
    let pack = match make_pack(job, store, context) {
        // The store took the damaged blob away when it noticed, and a mirror that gave it is passed
        // over; a source may have a good one.
        Err(GatherError::Layer { source, .. }) if is_damaged_blob(&source) => {
            context
                .progress
                .warn(format!("the blob {digest} is damaged; fetching it again"));
            make_pack(job, store, context)?
        }
        made => made?,
    };
    context
        .progress
        .layer_packed(&digest, pack.index().body_bytes());
    Ok(pack)
}

fn make_pack(job: &Job<'_>, store: &PackStore, context: &Context<'_>) -> Result<Pack, GatherError> {
    let fetched = !context.images.has_blob(job.layer);
    let mut step = context.progress.step(Step::Pack);
    let fetch = fetched.then(|| context.progress.step(Step::Fetch));
    let blob = context.images.open_blob(job.image, job.layer)?;
    let digest = job.layer.digest.to_string();
    let short = &digest[..digest.len().min(19)];
    let task = context.progress.task(
        format!("{} {short}", job.image.reference),
        Some(job.layer.size),
    );
    let options = MakeOptions {
        key: job.key.clone(),
        diff_id: job.layer.diff_id.as_ref().and_then(|d| d.sha256_bytes()),
        limits: context.limits.for_blob(job.layer.size),
    };
    let mut blob = Watched {
        inner: blob,
        task: &task,
        fetch,
    };
    let made = make(&mut blob, &options, store, context.workers);
    let pack = made.map_err(|error| GatherError::Layer {
        image: job.image.reference.to_string(),
        digest,
        source: Box::new(blame_blob(error, &mut blob)),
    })?;
    if fetched {
        context.progress.fetched(job.layer.size);
    }
    step.add(StepBytes {
        compressed_bytes: pack.index().body_bytes(),
        written_bytes: file_bytes(&pack),
        ..StepBytes::default()
    });
    Ok(pack)
}

/// Damaged bytes make no sense as a layer before the last of them shows that they are damaged: what
/// is left of the blob is read to tell which of the two it is.
fn blame_blob(error: MakeError, blob: &mut impl Read) -> MakeError {
    match error {
        // Nobody reads on in a layer that is too large.
        MakeError::Layer(layer) if !matches!(layer.kind, LayerErrorKind::Limit { .. }) => {
            let kind = match io::copy(blob, &mut io::sink()) {
                Err(read) if read.get_ref().is_some_and(|e| e.is::<VerifyError>()) => {
                    LayerErrorKind::Read(read)
                }
                _ => layer.kind,
            };
            MakeError::Layer(LayerError { kind, ..layer })
        }
        error => error,
    }
}

/// Whether a layer failed because its blob's bytes are not those of its digest.
fn is_damaged_blob(error: &MakeError) -> bool {
    let MakeError::Layer(layer) = error else {
        return false;
    };
    let LayerErrorKind::Read(error) = &layer.kind else {
        return false;
    };
    error.get_ref().is_some_and(|e| e.is::<VerifyError>())
}

/// Shows how far a blob is read.
struct Watched<'t, R> {
    inner: R,
    task: &'t Task,
    /// Where the bytes are fetched; it ends with them.
    fetch: Option<Running>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.task.advance(n as u64);
        match &mut self.fetch {
            Some(fetch) if n > 0 => fetch.add(StepBytes {
                fetched_bytes: n as u64,
                ..StepBytes::default()
            }),
            _ => self.fetch = None,
        }
        Ok(n)
    }
}
