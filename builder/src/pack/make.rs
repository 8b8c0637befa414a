//! From a layer blob to a pack, in one pass.
//!
//! The thread that reads the layer verifies, inflates and parses it, and cuts bodies into segments;
//! the [`Workers`] compress these; the results go to the file in the order of the layer. Which
//! thread does what when leaves no trace in the bytes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, BufWriter, Read, Write};
use std::sync::mpsc;

use formats::compress::{
    BodyEncoder, BodyInfo, Compression, SEGMENT_BYTES, Scratch, WINDOW_BYTES, compress_segment,
};

use super::format::{BodyRecord, Index, MAGIC, Nested, SegmentRecord, footer, segment_check};
use super::key::PackKey;
use super::read::{Pack, PackError};
use super::store::PackStore;
use super::workers::{Permit, Workers};
use crate::layer::{
    Entry, EntryKind, LayerError, LayerErrorKind, LayerSummary, Limits, Names, read_archive,
    read_layer,
};

/// Small bodies share a job until it holds this many bytes.
const BATCH_BYTES: usize = SEGMENT_BYTES / 4;
/// Segments compressed by the reading thread that may wait to be written.
const MAX_READY: usize = 8;

/// What [`make`] needs besides the blob.
#[derive(Clone)]
pub struct MakeOptions {
    /// The pack to make.
    pub key: PackKey,
    /// What the layer's uncompressed bytes must hash to, where the image's config says.
    pub diff_id: Option<[u8; 32]>,
    /// Bounds on the layer.
    pub limits: Limits,
}

/// Why no pack was made. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The layer is bad or could not be read.
    #[error("{0}")]
    Layer(#[from] LayerError),
    /// The layer's uncompressed bytes are not those that the image's config names.
    #[error(
        "the unpacked layer has the digest sha256:{found}, but the image's config names \
         sha256:{expected}; the image is damaged or was tampered with"
    )]
    DiffId {
        /// From the config.
        expected: String,
        /// Of what was read.
        found: String,
    },
    /// The pack could not be written.
    #[error("can't write the pack {path}: {source}")]
    Write {
        /// Where it was to be.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The pack that was just written can't be read.
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// Reads `blob` to its end and makes its pack in `store`. The blob's reader is trusted to fail when
/// its bytes do not have the layer's digest.
pub fn make<R: Read + Send>(
    blob: R,
    options: &MakeOptions,
    store: &PackStore,
    workers: &Workers,
) -> Result<Pack, MakeError> {
    let key = &options.key;
    let write_error = |source| MakeError::Write {
        path: store.path(key).display().to_string(),
        source,
    };
    let file = store.create(key).map_err(write_error)?;
    let mut pipeline = Pipeline::new(
        BufWriter::with_capacity(1 << 18, file),
        key.compression,
        workers,
    );
    pipeline.put(&MAGIC).map_err(write_error)?;
    let (summary, listing) = read_entries(blob, options, &mut pipeline)?;
    if let Some(expected) = options.diff_id.filter(|d| *d != summary.diff_id) {
        return Err(MakeError::DiffId {
            expected: hex(&expected),
            found: hex(&summary.diff_id),
        });
    }
    pipeline.flush().map_err(write_error)?;
    let index = Index {
        key: key.file_name(),
        diff_id: summary.diff_id,
        uncompressed_bytes: summary.uncompressed_bytes,
        entries: listing.entries,
        body_of: listing.body_of,
        bodies: std::mem::take(&mut pipeline.bodies),
        nested: listing.nested,
    };
    let encoded = index.encode();
    let offset = pipeline.position;
    pipeline.put(&encoded).map_err(write_error)?;
    pipeline
        .put(&footer(offset, &encoded))
        .map_err(write_error)?;
    let file = pipeline
        .out
        .into_inner()
        .map_err(|e| write_error(e.into_error()))?;
    let file = store.commit(key, file).map_err(write_error)?;
    Ok(Pack::from_parts(
        file,
        store.path(key),
        key.compression,
        index,
    ))
}

/// What the layer listed, as it is read.
#[derive(Default)]
struct Listing {
    entries: Vec<Entry>,
    body_of: Vec<Option<u32>>,
    nested: Option<Nested>,
}

fn read_entries<R: Read + Send>(
    blob: R,
    options: &MakeOptions,
    pipeline: &mut Pipeline<'_>,
) -> Result<(LayerSummary, Listing), LayerError> {
    let mut listing = Listing::default();
    let summary = read_layer(blob, &options.limits, |entry, body| {
        let is_nested = matches!(entry.kind, EntryKind::File { .. })
            && options.key.nested.as_deref() == Some(&entry.path);
        let body_index = if is_nested {
            let (entries, body_of) = read_nested(body, &options.limits, pipeline)?;
            // A name that comes twice: the last one counts, as for every other file.
            let entry = u32::try_from(listing.entries.len()).unwrap_or(u32::MAX);
            listing.nested = Some(Nested {
                entry,
                entries,
                body_of,
            });
            None
        } else {
            pipeline.take_body(&entry, body)?
        };
        listing.entries.push(entry);
        listing.body_of.push(body_index);
        Ok(())
    })?;
    Ok((summary, listing))
}

type Boxed = Box<dyn std::error::Error + Send + Sync>;

fn read_nested(
    tar: &mut dyn Read,
    limits: &Limits,
    pipeline: &mut Pipeline<'_>,
) -> Result<(Vec<Entry>, Vec<Option<u32>>), Boxed> {
    let mut entries = Vec::new();
    let mut body_of = Vec::new();
    read_archive(tar, limits, Names::Plain, |entry, body| {
        body_of.push(pipeline.take_body(&entry, body)?);
        entries.push(entry);
        Ok(())
    })
    .map_err(|LayerError { kind, path, .. }| -> Boxed {
        match kind {
            LayerErrorKind::Visitor(inner) => inner,
            kind => Box::new(kind.at(path.as_deref(), 0)),
        }
    })?;
    Ok((entries, body_of))
}

/// Bodies on their way through the workers into the file.
struct Pipeline<'w> {
    out: BufWriter<tempfile::NamedTempFile>,
    position: u64,
    compression: Compression,
    workers: &'w Workers,
    bodies: Vec<BodyRecord>,
    batch: Batch,
    /// Under way, oldest first: the file is written in this order.
    queue: VecDeque<Pending>,
}

/// Segments that are compressed in one job.
#[derive(Default)]
struct Batch {
    /// The last bytes of the body before the first segment, then the segments.
    data: Vec<u8>,
    window_bytes: usize,
    segments: Vec<BatchSegment>,
}

#[derive(Clone, Copy)]
struct BatchSegment {
    body: u32,
    /// Of the whole body.
    body_bytes: u64,
    plain_bytes: usize,
}

enum Pending {
    Job(mpsc::Receiver<(io::Result<Done>, Permit)>),
    /// Compressed by the thread that reads the layer.
    Ready(Done),
}

/// Compressed segments, one right after the other.
struct Done {
    stored: Vec<u8>,
    segments: Vec<DoneSegment>,
}

struct DoneSegment {
    body: u32,
    plain: BodyInfo,
    record: SegmentRecord,
}

impl<'w> Pipeline<'w> {
    fn new(
        out: BufWriter<tempfile::NamedTempFile>,
        compression: Compression,
        workers: &'w Workers,
    ) -> Self {
        Pipeline {
            out,
            position: 0,
            compression,
            workers,
            bodies: Vec::new(),
            batch: Batch::default(),
            queue: VecDeque::new(),
        }
    }

    /// Reads a file's body and sends it on its way; `None` for what has none.
    fn take_body(&mut self, entry: &Entry, body: &mut dyn Read) -> io::Result<Option<u32>> {
        let EntryKind::File { size } = entry.kind else {
            return Ok(None);
        };
        if size == 0 {
            return Ok(None);
        }
        // Limits keep the number of entries far below 2^32.
        let index = u32::try_from(self.bodies.len()).unwrap_or(u32::MAX);
        let info = BodyInfo { bytes: 0, crc32: 0 };
        self.bodies.push(BodyRecord {
            offset: 0,
            info,
            segments: Vec::new(),
        });
        if self.compression.segments_are_independent(size) {
            self.take_segments(index, size, body)?;
        } else {
            self.encode_here(index, size, body)?;
        }
        Ok(Some(index))
    }

    fn take_segments(&mut self, index: u32, size: u64, body: &mut dyn Read) -> io::Result<()> {
        let mut left = size;
        while left > 0 {
            let continues = left < size;
            if continues || self.batch.data.len() >= BATCH_BYTES {
                self.submit(continues)?;
            }
            let plain_bytes = segment_bytes(left);
            let start = self.batch.data.len();
            self.batch.data.resize(start + plain_bytes, 0);
            body.read_exact(&mut self.batch.data[start..])?;
            self.batch.segments.push(BatchSegment {
                body: index,
                body_bytes: size,
                plain_bytes,
            });
            left -= plain_bytes as u64;
        }
        Ok(())
    }

    /// A body whose segments depend on each other is compressed while it is read.
    fn encode_here(&mut self, index: u32, size: u64, body: &mut dyn Read) -> io::Result<()> {
        self.submit(false)?;
        let mut encoder = BodyEncoder::new(self.compression, size);
        let mut chunk = vec![0; SEGMENT_BYTES];
        let mut left = size;
        while left > 0 {
            let plain_bytes = segment_bytes(left);
            let chunk = &mut chunk[..plain_bytes];
            body.read_exact(chunk)?;
            let mut stored = Vec::new();
            encoder.segment(chunk, &mut stored)?;
            let segments = vec![DoneSegment::new(index, BodyInfo::of(chunk), &stored)];
            while self.queue.len() >= MAX_READY {
                self.write_oldest()?;
            }
            self.queue
                .push_back(Pending::Ready(Done { stored, segments }));
            left -= plain_bytes as u64;
        }
        Ok(())
    }

    /// Sends the batch to the workers. `continues` keeps its last bytes as the window of the next
    /// segment, which belongs to the same body.
    fn submit(&mut self, continues: bool) -> io::Result<()> {
        if self.batch.segments.is_empty() {
            return Ok(());
        }
        let mut next = Batch::default();
        if continues {
            let last = self.batch.segments.last().map_or(0, |s| s.plain_bytes);
            let window = &self.batch.data[self.batch.data.len() - last.min(WINDOW_BYTES)..];
            next.data.reserve(SEGMENT_BYTES + window.len());
            next.data.extend_from_slice(window);
            next.window_bytes = window.len();
        }
        let batch = std::mem::replace(&mut self.batch, next);
        let permit = loop {
            if let Some(permit) = self.workers.try_permit() {
                break permit;
            }
            // Finished jobs of this layer hold permits until they are written; with none of its
            // own, others will return theirs.
            if !self.write_oldest()? {
                break self.workers.permit();
            }
        };
        let (sender, receiver) = mpsc::sync_channel(1);
        let compression = self.compression;
        self.workers.pool().spawn(move || {
            let done = compress_batch(compression, &batch);
            // The receiver is gone only when the layer failed already.
            let _ = sender.send((done, permit));
        });
        self.queue.push_back(Pending::Job(receiver));
        Ok(())
    }

    /// Waits for the oldest job and writes its segments; `false` where there is none.
    fn write_oldest(&mut self) -> io::Result<bool> {
        let (done, _permit) = match self.queue.pop_front() {
            None => return Ok(false),
            Some(Pending::Ready(done)) => (done, None),
            Some(Pending::Job(job)) => {
                let (done, permit) = job
                    .recv()
                    .map_err(|_| io::Error::other("a worker thread died"))?;
                (done?, Some(permit))
            }
        };
        let mut offset = self.position;
        for segment in done.segments {
            let body = &mut self.bodies[segment.body as usize];
            if body.segments.is_empty() {
                body.offset = offset;
            }
            body.info = body.info.join(segment.plain);
            body.segments.push(segment.record);
            offset += u64::from(segment.record.stored_bytes);
        }
        self.put(&done.stored)?;
        Ok(true)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.position += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Ends all that is under way.
    fn flush(&mut self) -> io::Result<()> {
        self.submit(false)?;
        while self.write_oldest()? {}
        Ok(())
    }
}

impl DoneSegment {
    fn new(body: u32, plain: BodyInfo, stored: &[u8]) -> Self {
        // A segment grows by some bytes at most when it does not compress.
        let stored_bytes = u32::try_from(stored.len()).unwrap_or(u32::MAX);
        DoneSegment {
            body,
            plain,
            record: SegmentRecord {
                stored_bytes,
                check: segment_check(stored),
            },
        }
    }
}

fn segment_bytes(left: u64) -> usize {
    usize::try_from(left).map_or(SEGMENT_BYTES, |left| left.min(SEGMENT_BYTES))
}

thread_local! {
    /// Compression states are large and kept from job to job.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

fn compress_batch(compression: Compression, batch: &Batch) -> io::Result<Done> {
    let mut stored = Vec::with_capacity(batch.data.len() / 2);
    let mut segments = Vec::with_capacity(batch.segments.len());
    let (mut window, mut rest) = batch.data.split_at(batch.window_bytes);
    SCRATCH.with_borrow_mut(|scratch| {
        for segment in &batch.segments {
            let (chunk, after) = rest.split_at(segment.plain_bytes);
            let start = stored.len();
            compress_segment(
                scratch,
                compression,
                segment.body_bytes,
                window,
                chunk,
                &mut stored,
            )?;
            let plain = BodyInfo::of(chunk);
            segments.push(DoneSegment::new(segment.body, plain, &stored[start..]));
            // Only a batch's first segment continues a body.
            window = &[];
            rest = after;
        }
        Ok(Done { stored, segments })
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
