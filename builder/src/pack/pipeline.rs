//! Bodies through the workers into a file: cut, compressed in parallel, written in order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::mpsc;

use formats::compress::reuse::{BlockLog, Part, Splice};
use formats::compress::{
    BodyEncoder, BodyInfo, Compression, SEGMENT_BYTES, Scratch, WINDOW_BYTES, compress_segment,
};

use super::format::{BodyRecord, SegmentRecord, segment_check};
use super::strand::Strand;
use super::workers::{Permit, Workers};
use crate::layer::{Entry, EntryKind};

/// Small bodies share a job until it holds this many bytes.
const BATCH_BYTES: usize = SEGMENT_BYTES / 4;
/// Segments compressed by the reading thread that may wait to be written.
const MAX_READY: usize = 8;
/// Smaller bodies have hardly symbols enough that could be used again.
const REUSE_FROM_BYTES: u64 = 48 << 10;

/// The pack could not be written: told apart from a layer that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WriteFailed(pub(super) io::Error);

/// Bodies on their way through the workers into the file.
pub(super) struct Pipeline<'w, W> {
    out: W,
    position: u64,
    compression: Compression,
    workers: &'w Workers,
    bodies: Vec<BodyRecord>,
    batch: Batch,
    /// The layer's own deflate blocks, where they can be used again.
    blocks: Option<BlockLog>,
    /// Room for what is read of bodies with such blocks.
    text: Text,
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

/// A job's result, and the permit that it held.
type Reply = (io::Result<Done>, Permit);

enum Pending {
    Job(mpsc::Receiver<Reply>),
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

impl<'w, W: Write> Pipeline<'w, W> {
    /// Writes to `out`, from its current position on.
    pub(super) fn new(out: W, compression: Compression, workers: &'w Workers) -> Self {
        Pipeline {
            out,
            position: 0,
            compression,
            workers,
            bodies: Vec::new(),
            batch: Batch::default(),
            blocks: None,
            text: Text::default(),
            queue: VecDeque::new(),
        }
    }

    /// Bodies are read from the bytes that this log tells of.
    pub(super) fn reuse(&mut self, blocks: Option<BlockLog>) {
        self.blocks = blocks;
    }

    /// Bytes written so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Records of all bodies; whole after [`Pipeline::flush`].
    pub(super) fn take_bodies(&mut self) -> Vec<BodyRecord> {
        std::mem::take(&mut self.bodies)
    }

    /// The writer.
    pub(super) fn into_inner(self) -> W {
        self.out
    }

    /// Reads a file's body and sends it on its way; `None` for what has none.
    pub(super) fn take_body(
        &mut self,
        entry: &Entry,
        body: &mut dyn Read,
    ) -> io::Result<Option<u32>> {
        let EntryKind::File { size } = entry.kind else {
            return Ok(None);
        };
        if size == 0 {
            return Ok(None);
        }
        // What stands before a body is of no use to it.
        if let Some(blocks) = &self.blocks {
            blocks.forget(blocks.served());
        }
        // Limits keep the number of entries far below 2^32.
        let index = u32::try_from(self.bodies.len()).unwrap_or(u32::MAX);
        let info = BodyInfo { bytes: 0, crc32: 0 };
        self.bodies.push(BodyRecord {
            offset: 0,
            info,
            segments: Vec::new(),
        });
        match self.blocks.clone() {
            Some(blocks) if size >= REUSE_FROM_BYTES => {
                self.take_blocks(index, size, body, &blocks)?
            }
            _ if self.compression.segments_are_independent(size) => {
                self.take_segments(index, size, body)?;
            }
            _ => self.take_in_order(index, size, body)?,
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

    /// A body whose segments depend on each other: one after the other, while the next is read.
    fn take_in_order(&mut self, index: u32, size: u64, body: &mut dyn Read) -> io::Result<()> {
        self.submit(false)?;
        let encoder = Strand::new(BodyEncoder::new(self.compression, size));
        let mut left = size;
        while left > 0 {
            let mut chunk = vec![0; segment_bytes(left)];
            body.read_exact(&mut chunk)?;
            left -= chunk.len() as u64;
            let (permit, reply) = (self.permit()?, self.expect());
            encoder.spawn(self.workers.pool(), move |encoder| {
                // The receiver is gone only when the layer failed already.
                let _ = reply.send((encode_next(encoder, index, &chunk), permit));
            });
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
        self.dispatch(batch)
    }

    fn dispatch(&mut self, batch: Batch) -> io::Result<()> {
        let (permit, reply) = (self.permit()?, self.expect());
        let compression = self.compression;
        self.workers.pool().spawn(move || {
            // As in `take_in_order`.
            let _ = reply.send((compress_batch(compression, &batch), permit));
        });
        Ok(())
    }

    /// The right to one more job; what is finished is written meanwhile.
    fn permit(&mut self) -> io::Result<Permit> {
        loop {
            if let Some(permit) = self.workers.try_permit() {
                return Ok(permit);
            }
            // Finished jobs of this layer hold permits until they are written; with none of its
            // own, others will return theirs.
            if !self.write_oldest()? {
                return Ok(self.workers.permit());
            }
        }
    }

    /// Keeps the next place in the file for a job, which sends what it made.
    fn expect(&mut self) -> mpsc::SyncSender<Reply> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.queue.push_back(Pending::Job(receiver));
        sender
    }

    /// Takes a body of which some deflate blocks can be used again. What is between them is compressed.
    fn take_blocks(
        &mut self,
        index: u32,
        size: u64,
        body: &mut dyn Read,
        blocks: &BlockLog,
    ) -> io::Result<()> {
        self.submit(false)?;
        let start = blocks.served();
        let mut text = std::mem::take(&mut self.text);
        text.restart();
        let mut done = 0;
        while done < size {
            let end = size.min(done + SEGMENT_BYTES as u64);
            text.read(end, body)?;
            let mut next = end;
            // A sparse file's holes do not come from the layer's bytes.
            if blocks.served() == start + end {
                let (parts, rest) = blocks.parts(start + done, start + end, start, end < size);
                blocks.forget(rest);
                next = rest - start;
                self.splice(index, size, start, &mut done, &parts, &text)?;
            }
            self.compress_range(index, size, done, next, &text)?;
            done = next;
            text.forget(done.saturating_sub(WINDOW_BYTES as u64));
        }
        self.text = text;
        Ok(())
    }

    /// Sends `parts` of blocks and what stands before each of them; `done` is moved behind the last.
    fn splice(
        &mut self,
        index: u32,
        size: u64,
        start: u64,
        done: &mut u64,
        parts: &[Part],
        text: &Text,
    ) -> io::Result<()> {
        let mut rest = parts;
        while let Some(first) = rest.first() {
            let from = first.start() - start;
            self.compress_range(index, size, *done, from, text)?;
            let mut splice = Splice::default();
            let mut to = from;
            while let Some((part, others)) = rest.split_first() {
                if part.start() != start + to {
                    break;
                }
                splice.push(part, text.range(part.start() - start, part.end() - start));
                to = part.end() - start;
                rest = others;
            }
            // Blocks that hold nothing leave nothing to send.
            if to > from {
                let plain = BodyInfo::of(text.range(from, to));
                self.push_ready(index, plain, splice.finish())?;
            }
            *done = to;
        }
        Ok(())
    }

    fn compress_range(
        &mut self,
        index: u32,
        size: u64,
        from: u64,
        to: u64,
        text: &Text,
    ) -> io::Result<()> {
        if from >= to {
            return Ok(());
        }
        let window = text.range(from.saturating_sub(WINDOW_BYTES as u64), from);
        let chunk = text.range(from, to);
        let segment = BatchSegment {
            body: index,
            body_bytes: size,
            plain_bytes: chunk.len(),
        };
        self.dispatch(Batch {
            data: [window, chunk].concat(),
            window_bytes: window.len(),
            segments: vec![segment],
        })
    }

    /// Queues a segment that is compressed already.
    fn push_ready(&mut self, index: u32, plain: BodyInfo, stored: Vec<u8>) -> io::Result<()> {
        while self.queue.len() >= MAX_READY && self.write_oldest()? {}
        let segments = vec![DoneSegment::new(index, plain, &stored)];
        self.queue
            .push_back(Pending::Ready(Done { stored, segments }));
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

    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.position += bytes.len() as u64;
        self.out
            .write_all(bytes)
            .map_err(|e| io::Error::other(WriteFailed(e)))
    }

    /// Ends all that is under way.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.submit(false)?;
        while self.write_oldest()? {}
        Ok(())
    }
}

/// The part of a body that is at hand.
#[derive(Default)]
struct Text {
    /// Room, which is not cleared between bodies; the first `filled` bytes are the body's.
    plain: Vec<u8>,
    filled: usize,
    /// Place in the body of its first byte.
    first: u64,
}

impl Text {
    /// Reads on to `end`.
    fn read(&mut self, end: u64, body: &mut dyn Read) -> io::Result<()> {
        let end = self.index(end);
        if self.plain.len() < end {
            self.plain.resize(end, 0);
        }
        body.read_exact(&mut self.plain[self.filled..end])?;
        self.filled = end;
        Ok(())
    }

    fn range(&self, from: u64, to: u64) -> &[u8] {
        &self.plain[..self.filled][self.index(from)..self.index(to)]
    }

    /// Forgets what stands before `from`.
    fn forget(&mut self, from: u64) {
        let known = self.index(from);
        self.plain.copy_within(known..self.filled, 0);
        self.filled -= known;
        self.first = self.first.max(from);
    }

    /// Begins another body.
    fn restart(&mut self) {
        self.filled = 0;
        self.first = 0;
    }

    /// A window and a segment at most.
    fn index(&self, place: u64) -> usize {
        usize::try_from(place.saturating_sub(self.first)).unwrap_or(usize::MAX)
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
                plain_bytes: u32::try_from(plain.bytes).unwrap_or(u32::MAX),
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

fn encode_next(encoder: &mut BodyEncoder, body: u32, chunk: &[u8]) -> io::Result<Done> {
    let mut stored = Vec::new();
    encoder.segment(chunk, &mut stored)?;
    let segments = vec![DoneSegment::new(body, BodyInfo::of(chunk), &stored)];
    Ok(Done { stored, segments })
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
