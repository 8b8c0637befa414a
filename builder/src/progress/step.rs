//! How long the steps of a build take, and what they do with bytes.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::event::{Event, size};
use super::{Progress, lock};

/// The steps of a build, in the order in which they end. Fetching, importing and packing go on at
/// the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Names to manifests and configs.
    Resolve,
    /// Packs from caches (`--cache-from`).
    Import,
    /// Layers from registries, or files that the user names.
    Fetch,
    /// Layers to packs.
    Pack,
    /// Packs to one tree.
    Assemble,
    /// The tree to an initrd, once for all formats.
    Initrd,
    /// The rest of one output.
    Output,
    /// Outputs to the disk (fsync), and their names.
    Commit,
    /// Packs to caches (`--cache-to`).
    Export,
}

/// What a step did with bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StepBytes {
    /// That came from a registry, a file with images or a cache.
    pub fetched_bytes: u64,
    /// That were there already: documents, files' bytes (before compression) in packs, an output.
    pub reused_bytes: u64,
    /// That were compressed, as they were before.
    pub compressed_bytes: u64,
    /// That were written to packs, outputs or caches.
    pub written_bytes: u64,
}

impl StepBytes {
    fn add(&mut self, more: &StepBytes) {
        self.fetched_bytes += more.fetched_bytes;
        self.reused_bytes += more.reused_bytes;
        self.compressed_bytes += more.compressed_bytes;
        self.written_bytes += more.written_bytes;
    }

    /// For people: what is not nothing.
    pub(super) fn line(&self) -> String {
        let parts = [
            (self.fetched_bytes, "fetched"),
            (self.reused_bytes, "reused"),
            (self.compressed_bytes, "compressed"),
            (self.written_bytes, "written"),
        ];
        let parts = parts.iter().filter(|(bytes, _)| *bytes > 0);
        let parts: Vec<String> = parts
            .map(|(bytes, what)| format!("{} {what}", size(*bytes)))
            .collect();
        parts.join(", ")
    }
}

/// A step that goes on, in one of the threads that do it; it ends when this is dropped.
pub struct Running {
    progress: Progress,
    step: Step,
    start: Instant,
    bytes: StepBytes,
}

impl Running {
    /// Adds to what the step does.
    pub fn add(&mut self, bytes: StepBytes) {
        self.bytes.add(&bytes);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let steps = &self.progress.inner.steps;
        steps.record(self.step, self.start, Instant::now(), &self.bytes);
    }
}

/// What was done so far.
#[derive(Default)]
pub(super) struct Steps {
    /// From where a step was begun first to where it ended last.
    of_build: Mutex<BTreeMap<Step, (Instant, Instant, StepBytes)>>,
    /// Outputs by name, in order.
    of_outputs: Mutex<Vec<(String, Duration, StepBytes)>>,
}

impl Steps {
    fn record(&self, step: Step, start: Instant, end: Instant, bytes: &StepBytes) {
        let mut steps = lock(&self.of_build);
        let known = steps
            .entry(step)
            .or_insert_with(|| (start, end, StepBytes::default()));
        known.0 = known.0.min(start);
        known.1 = known.1.max(end);
        known.2.add(bytes);
    }
}

impl Progress {
    /// Begins a step, or takes part in one that goes on.
    pub fn step(&self, step: Step) -> Running {
        Running {
            progress: self.clone(),
            step,
            start: Instant::now(),
            bytes: StepBytes::default(),
        }
    }

    /// A step that was timed elsewhere, and ended now.
    pub fn step_took(&self, step: Step, time: Duration, bytes: StepBytes) {
        let end = Instant::now();
        let start = end.checked_sub(time).unwrap_or(end);
        self.inner.steps.record(step, start, end, &bytes);
    }

    /// What one output took.
    pub fn output_took(&self, name: impl Into<String>, time: Duration, bytes: StepBytes) {
        lock(&self.inner.steps.of_outputs).push((name.into(), time, bytes));
    }

    /// Emits the events of all steps.
    pub fn tell_steps(&self) {
        for event in self.steps() {
            self.emit(&event);
        }
    }

    /// The events of all steps, in order; they are forgotten then.
    pub(super) fn steps(&self) -> Vec<Event> {
        let steps = std::mem::take(&mut *lock(&self.inner.steps.of_build));
        let outputs = std::mem::take(&mut *lock(&self.inner.steps.of_outputs));
        let event = |step, name, time: Duration, bytes| Event::Step {
            step,
            name,
            seconds: time.as_secs_f64(),
            bytes,
        };
        let mut events: Vec<Event> = outputs
            .into_iter()
            .map(|(name, time, bytes)| event(Step::Output, Some(name), time, bytes))
            .collect();
        events.extend(
            steps
                .into_iter()
                .map(|(step, (start, end, bytes))| event(step, None, end - start, bytes)),
        );
        events.sort_by_key(|event| match event {
            Event::Step { step, .. } => Some(*step),
            _ => None,
        });
        events
    }
}
