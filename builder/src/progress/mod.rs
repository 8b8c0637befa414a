//! What a build says while it runs: bars on a terminal, plain lines elsewhere, or JSON events.
//!
//! Everything goes to standard error, where it never mixes with an image written to standard
//! output; JSON events go to standard output unless the image does. Nothing that is said here
//! reaches an output file.

mod event;
mod sink;
mod step;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use event::{Counters, Event, size};
pub use sink::Style;
pub(crate) use sink::printable_json;
pub use step::{Running, Step, StepBytes};

use sink::Sink;
use step::Steps;

const TELL_EVERY: Duration = Duration::from_secs(1);

/// A handle that every part of a build speaks through; clones speak through the same.
#[derive(Clone)]
pub struct Progress {
    inner: Arc<Inner>,
}

struct Inner {
    sink: Sink,
    counts: Counts,
    steps: Steps,
    start: Instant,
}

#[derive(Default)]
struct Counts {
    layers_packed: AtomicU64,
    layers_reused: AtomicU64,
    compressed_bytes: AtomicU64,
    reused_bytes: AtomicU64,
    fetched_bytes: AtomicU64,
    imported_packs: AtomicU64,
    imported_bytes: AtomicU64,
    exported_packs: AtomicU64,
    exported_bytes: AtomicU64,
}

/// Something that takes a while; it ends when dropped.
pub struct Task {
    progress: Progress,
    name: String,
    bar: Option<indicatif::ProgressBar>,
    total_bytes: Option<u64>,
    start: Instant,
    told: Mutex<Instant>,
}

impl Progress {
    /// Speaks in the given style.
    pub fn new(style: Style) -> Self {
        Progress {
            inner: Arc::new(Inner {
                sink: Sink::new(style),
                counts: Counts::default(),
                steps: Steps::default(),
                start: Instant::now(),
            }),
        }
    }

    /// Says nothing: for tests and library use.
    pub fn silent() -> Self {
        Progress::new(Style::Quiet)
    }

    /// A line that a person may want to see.
    pub fn info(&self, message: impl Into<String>) {
        self.emit(&Event::Info {
            message: message.into(),
        });
    }

    /// A line for `-v`.
    pub fn detail(&self, message: impl Into<String>) {
        self.emit(&Event::Detail {
            message: message.into(),
        });
    }

    /// Something that is accepted but probably not meant.
    pub fn warn(&self, message: impl Into<String>) {
        self.emit(&Event::Warning {
            message: message.into(),
        });
    }

    /// An event.
    pub fn emit(&self, event: &Event) {
        self.inner.sink.emit(event);
    }

    /// Since the program began to speak.
    pub fn elapsed(&self) -> Duration {
        self.inner.start.elapsed()
    }

    /// Whether events are written as JSON; lists for people are not printed then.
    pub fn is_json(&self) -> bool {
        self.inner.sink.is_json()
    }

    /// Starts a task; with `total_bytes` its bar shows how far it is.
    pub fn task(&self, name: impl Into<String>, total_bytes: Option<u64>) -> Task {
        let name = name.into();
        self.emit(&Event::Start { task: name.clone() });
        let bar = self.inner.sink.bar(&name, total_bytes);
        let start = Instant::now();
        Task {
            progress: self.clone(),
            name,
            bar,
            total_bytes,
            start,
            told: Mutex::new(start),
        }
    }

    /// A layer was compressed into a pack.
    pub fn layer_packed(&self, digest: &str, compressed_bytes: u64) {
        self.inner
            .counts
            .layers_packed
            .fetch_add(1, Ordering::Relaxed);
        self.inner
            .counts
            .compressed_bytes
            .fetch_add(compressed_bytes, Ordering::Relaxed);
        self.emit(&Event::Layer {
            digest: digest.into(),
            reused: false,
            bytes: compressed_bytes,
        });
    }

    /// A layer's pack was there already.
    pub fn layer_reused(&self, digest: &str, bytes: u64) {
        self.inner
            .counts
            .layers_reused
            .fetch_add(1, Ordering::Relaxed);
        self.inner
            .counts
            .reused_bytes
            .fetch_add(bytes, Ordering::Relaxed);
        self.emit(&Event::Layer {
            digest: digest.into(),
            reused: true,
            bytes,
        });
    }

    /// Bytes of files that no layer holds were compressed.
    pub fn compressed(&self, bytes: u64) {
        self.inner
            .counts
            .compressed_bytes
            .fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes came from a registry or a file with images.
    pub fn fetched(&self, bytes: u64) {
        self.inner
            .counts
            .fetched_bytes
            .fetch_add(bytes, Ordering::Relaxed);
    }

    /// A pack of so many bytes came from a cache of packs.
    pub fn imported(&self, bytes: u64) {
        let counts = &self.inner.counts;
        counts.imported_packs.fetch_add(1, Ordering::Relaxed);
        counts.imported_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many packs were brought to a cache of packs.
    pub fn exported(&self, packs: u64, bytes: u64) {
        let counts = &self.inner.counts;
        counts.exported_packs.fetch_add(packs, Ordering::Relaxed);
        counts.exported_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        let counts = &self.inner.counts;
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counters {
            layers_packed: get(&counts.layers_packed),
            layers_reused: get(&counts.layers_reused),
            compressed_bytes: get(&counts.compressed_bytes),
            reused_bytes: get(&counts.reused_bytes),
            fetched_bytes: get(&counts.fetched_bytes),
            imported_packs: get(&counts.imported_packs),
            imported_bytes: get(&counts.imported_bytes),
            exported_packs: get(&counts.exported_packs),
            exported_bytes: get(&counts.exported_bytes),
        }
    }
}

impl Task {
    /// So many more bytes are done.
    pub fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// So many bytes are done in all. Programs are told once a second.
    pub fn set(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
        }
        let mut told = lock(&self.told);
        let now = Instant::now();
        if now.duration_since(*told) >= TELL_EVERY {
            *told = now;
            self.progress.emit(&Event::Progress {
                task: self.name.clone(),
                bytes,
                total_bytes: self.total_bytes.unwrap_or_default(),
            });
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let seconds = self.start.elapsed().as_secs_f64();
        self.progress.emit(&Event::End {
            task: std::mem::take(&mut self.name),
            seconds,
        });
    }
}

/// A panic elsewhere is told elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
