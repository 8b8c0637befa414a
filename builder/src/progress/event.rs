//! The events of `--json`, one object a line.

use serde::Serialize;

use super::step::{Step, StepBytes};
use crate::parts::Part;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A line for people.
    Info {
        /// Text.
        message: String,
    },
    /// A line for people who asked for more.
    Detail {
        /// Text.
        message: String,
    },
    /// Something accepted but doubtful.
    Warning {
        /// Text.
        message: String,
    },
    /// The end of a run that failed.
    Error {
        /// Text.
        message: String,
    },
    /// A task began.
    Start {
        /// Its name.
        task: String,
    },
    /// A task ended.
    End {
        /// Its name.
        task: String,
        /// How long it took.
        seconds: f64,
    },
    /// A layer is ready to be used.
    Layer {
        /// Digest of its blob.
        digest: String,
        /// Whether its pack was there already.
        reused: bool,
        /// Bytes of its files, uncompressed.
        bytes: u64,
    },
    /// A file was written.
    Output {
        /// Its path.
        path: String,
        /// Its length.
        bytes: u64,
        /// It was there already, with the same bytes.
        unchanged: bool,
    },
    /// What one section of the YAML brought to the initrd.
    Part(Part),
    /// How far a transfer is; at most one a second.
    Progress {
        /// Name of its task.
        task: String,
        /// Bytes done.
        bytes: u64,
        /// Bytes in all.
        total_bytes: u64,
    },
    /// A file is on a datastore.
    Pushed {
        /// Where, as in `[datastore] folder/file`.
        path: String,
        /// Inventory path of the datacenter.
        datacenter: String,
        /// Its length.
        bytes: u64,
        /// `pushed`, `replaced` or `already_there`.
        outcome: &'static str,
    },
    /// An image of the cache.
    Image {
        /// Its full name; null where it has none.
        name: Option<String>,
        /// Digest of its index or manifest.
        digest: String,
        /// Platforms of which something is there.
        platforms: Vec<String>,
        /// Bytes of its blobs that are there.
        bytes: u64,
        /// How many of its blobs are not.
        absent_blobs: usize,
    },
    /// What the cache holds, or what of it was verified.
    Cache {
        /// How many blobs.
        blobs: u64,
        /// How many packs.
        packs: u64,
        /// Bytes of both.
        bytes: u64,
    },
    /// Something in the cache that is not as it should be.
    Damage {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
        /// Images that need it.
        images: Vec<String>,
        /// Whether it was put right.
        healed: bool,
    },
    /// What was taken out of the cache.
    Freed {
        /// How many files.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// A virtual machine was made or removed.
    Machine {
        /// Its name.
        name: String,
        /// Its inventory path.
        path: String,
        /// `made`, `imported`, `imported as a template` or `removed`.
        done: &'static str,
        /// Its disks; after a removal, those that were kept.
        disks: Vec<String>,
        /// Its address, where it was waited for.
        #[serde(skip_serializing_if = "Option::is_none")]
        ip: Option<String>,
    },
    /// What a step of a build took; all of them come at its end.
    Step {
        /// Which.
        step: Step,
        /// The file, of an output; `-` is standard output.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// From where it was begun first to where it ended last.
        seconds: f64,
        /// What was done.
        #[serde(flatten)]
        bytes: StepBytes,
    },
    /// The end of a build.
    Summary {
        /// What was done.
        #[serde(flatten)]
        counters: Counters,
        /// RAM that the result needs, in bytes; 0 where that is not known.
        ram_bytes: u64,
        /// Length of the initrd in bytes; 0 where there is none.
        initrd_bytes: u64,
        /// Length of the initrd before compression.
        unpacked_bytes: u64,
        /// How long it took in all.
        seconds: f64,
    },
}

/// What a build did and what it found done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Layers that were read and compressed.
    pub layers_packed: u64,
    /// Layers whose packs were there.
    pub layers_reused: u64,
    /// Bytes of files (before compression) that were compressed.
    pub compressed_bytes: u64,
    /// Bytes of files whose compressed form was there.
    pub reused_bytes: u64,
    /// Bytes of blobs that were fetched.
    pub fetched_bytes: u64,
    /// Packs that came from caches (`--cache-from`).
    pub imported_packs: u64,
    /// Bytes of these packs.
    pub imported_bytes: u64,
    /// Packs that were brought to caches (`--cache-to`).
    pub exported_packs: u64,
    /// Bytes of these packs.
    pub exported_bytes: u64,
}

impl Event {
    /// The event as a line for people; `None` for what only programs want.
    pub fn line(&self) -> Option<String> {
        match self {
            Event::Info { message } | Event::Detail { message } => Some(message.clone()),
            Event::Warning { message } => Some(format!("warning: {message}")),
            Event::Error { message } => Some(format!("error: {message}")),
            Event::Output {
                path,
                bytes,
                unchanged,
            } => {
                let verb = if *unchanged { "unchanged:" } else { "wrote" };
                Some(format!("{verb} {path} ({})", size(*bytes)))
            }
            Event::Part(part) => Some(part_line(part)),
            Event::Start { task } => Some(task.clone()),
            Event::Pushed {
                path,
                bytes,
                outcome,
                ..
            } => Some(match *outcome {
                "already_there" => {
                    format!("{path} is there already, the same bytes ({})", size(*bytes))
                }
                outcome => format!("{outcome} {path} ({})", size(*bytes)),
            }),
            Event::Machine { path, done, ip, .. } => Some(match ip {
                Some(ip) => format!("{done} {path}, {ip}"),
                None => format!("{done} {path}"),
            }),
            Event::Progress { .. } => None,
            Event::Step {
                step,
                name,
                seconds,
                bytes,
            } => {
                let step = format!("{step:?}").to_lowercase();
                let name = name
                    .as_ref()
                    .map_or(String::new(), |name| format!(" {name}"));
                let bytes = match bytes.line() {
                    line if line.is_empty() => line,
                    line => format!(": {line}"),
                };
                Some(format!("{step}{name} {seconds:.3} s{bytes}"))
            }
            Event::Damage {
                path,
                problem,
                images,
                healed,
            } => {
                let state = if *healed { "healed" } else { "damaged" };
                let needed = match images.is_empty() {
                    true => String::new(),
                    false => format!("; needed by {}", images.join(", ")),
                };
                Some(format!("{state}: {path}: {problem}{needed}"))
            }
            Event::Freed { files, bytes } => {
                Some(format!("{files} files removed, {} freed", size(*bytes)))
            }
            Event::End { .. }
            | Event::Layer { .. }
            | Event::Image { .. }
            | Event::Cache { .. }
            | Event::Summary { .. } => None,
        }
    }
}

/// A row of a table: lengths and images below each other.
fn part_line(part: &Part) -> String {
    let length = size(part.unpacked_bytes);
    let what = match &part.name {
        Some(name) => format!("{}/{name}", part.section),
        None => part.section.clone(),
    };
    let of = part.image.as_ref().or(part.path.as_ref());
    let line = format!(
        "part {length:>9}  {what:28}  {}",
        of.map_or("", String::as_str)
    );
    line.trim_end().to_owned()
}

/// A length for people: `12.3 MB` (powers of ten, as disks and downloads are measured).
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut value = bytes as f64;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}
