//! One stream out of literal bytes and copied bodies.

use std::fmt;
use std::io::{self, BufWriter, Write};

use super::compression::Compression;
use super::encode::{BodyInfo, Scratch};
use super::format::{
    DEFLATE_FINAL_BLOCK, GZIP_HEADER, INLINE_BODY_BYTES, LITERAL_RUN_BYTES, SEGMENT_BYTES,
    ZSTD_WINDOW_LOG_MIN,
};
use super::runs::Runs;
use super::zstd_frame::{frame_header, raw_blocks};

/// Writes one compressed stream: literal bytes are compressed here, bodies come as segments.
///
/// The stream is a row of entries, each ended by [`entry_boundary`](Self::entry_boundary): any
/// literal bytes and at most one body. zstd frames end only there. An entry's literal bytes are
/// held in memory until its body or its end, in zstd those of up to 256 KiB of entries. Long rows of
/// them are compressed on all cores, some runs ahead of the writer.
pub struct Stitcher<W: Write> {
    out: BufWriter<W>,
    compression: Compression,
    scratch: Scratch,
    /// Of all plain bytes so far, those in `pending` too.
    plain: BodyInfo,
    written_bytes: u64,
    /// Literal bytes that are not written yet.
    pending: Vec<u8>,
    /// How many of them belong to entries that are complete.
    pending_complete: usize,
    /// Whether the current entry's body has been written.
    after_body: bool,
    /// Compressed bytes on their way.
    run: Vec<u8>,
    /// Whole runs that other threads compress; what is written next comes after them.
    runs: Runs,
}

impl<W: Write> fmt::Debug for Stitcher<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stitcher")
            .field("compression", &self.compression)
            .field("plain", &self.plain)
            .field("written_bytes", &self.written_bytes)
            .finish_non_exhaustive()
    }
}

impl<W: Write> Stitcher<W> {
    /// Starts the stream on `out`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W, compression: Compression) -> io::Result<Self> {
        let mut stream = Self {
            out: BufWriter::with_capacity(LITERAL_RUN_BYTES, out),
            compression,
            scratch: Scratch::new(),
            plain: BodyInfo { bytes: 0, crc32: 0 },
            written_bytes: 0,
            pending: Vec::new(),
            pending_complete: 0,
            after_body: false,
            run: Vec::new(),
            runs: Runs::default(),
        };
        if matches!(compression, Compression::Gzip { .. }) {
            stream.write(&GZIP_HEADER)?;
        }
        Ok(stream)
    }

    /// How the stream is compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Plain bytes so far.
    pub fn plain_bytes(&self) -> u64 {
        self.plain.bytes
    }

    /// Compressed bytes given to the writer so far; what is held back is not counted.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Adds bytes that are compressed here: headers, padding, link targets.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn literal(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.plain = self.plain.join(BodyInfo::of(bytes));
        self.hold(bytes)
    }

    fn hold(&mut self, bytes: &[u8]) -> io::Result<()> {
        if matches!(self.compression, Compression::Zstd { .. }) {
            self.pending.extend_from_slice(bytes);
            return Ok(());
        }
        let mut bytes = bytes;
        while bytes.len() >= LITERAL_RUN_BYTES - self.pending.len() {
            let (taken, rest) = bytes.split_at(LITERAL_RUN_BYTES - self.pending.len());
            self.pending.extend_from_slice(taken);
            bytes = rest;
            let plain = std::mem::take(&mut self.pending);
            self.start_run(plain)?;
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds a body by its segments, in order, as [`BodyEncoder`](super::BodyEncoder) made them
    /// with this stream's compression. They are trusted to be those of `body`: who reads them
    /// from a cache verifies them first.
    ///
    /// # Errors
    /// Those of the segments' source and of the writer; more or fewer segments than `body` has;
    /// a second body in one entry.
    pub fn body<S, E>(
        &mut self,
        body: BodyInfo,
        segments: impl IntoIterator<Item = Result<S, E>>,
    ) -> Result<(), E>
    where
        S: AsRef<[u8]>,
        E: From<io::Error>,
    {
        if self.after_body {
            return Err(invalid("a second body in one entry").into());
        }
        let inline = body.bytes <= INLINE_BODY_BYTES as u64;
        if !inline {
            self.start_body(body)?;
        }
        let mut count = 0;
        for segment in segments {
            let segment = segment?;
            let segment = segment.as_ref();
            count += 1;
            if inline {
                if BodyInfo::of(segment) != body {
                    return Err(invalid("a stored body that is not the one announced").into());
                }
                self.hold(segment)?;
            } else {
                self.write(segment)?;
            }
        }
        if (count == 0) != (body.bytes == 0) || (inline && count > 1) {
            return Err(invalid("more or fewer segments than the body has").into());
        }
        self.plain = self.plain.join(body);
        self.after_body = !inline && body.bytes > 0;
        Ok(())
    }

    /// Counts a body whose bytes are left out: for a stream that is measured, not written.
    pub(crate) fn leave_out(&mut self, body: BodyInfo) {
        self.plain = self.plain.join(body);
    }

    /// Length and CRC-32 of the plain bytes so far.
    pub(crate) fn plain(&self) -> BodyInfo {
        self.plain
    }

    fn start_body(&mut self, body: BodyInfo) -> io::Result<()> {
        match self.compression {
            Compression::None | Compression::Gzip { .. } => self.flush_pending(),
            Compression::Zstd { level } => {
                self.flush_complete_entries()?;
                self.run.clear();
                let window_log = Compression::zstd_window_log(level, body.bytes);
                self.run.extend_from_slice(&frame_header(window_log));
                raw_blocks(&self.pending, false, &mut self.run);
                self.pending.clear();
                self.write_run()
            }
        }
    }

    /// Ends the current entry.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn entry_boundary(&mut self) -> io::Result<()> {
        if !matches!(self.compression, Compression::Zstd { .. }) {
            self.after_body = false;
            return Ok(());
        }
        if std::mem::take(&mut self.after_body) {
            self.run.clear();
            raw_blocks(&self.pending, true, &mut self.run);
            self.pending.clear();
            return self.write_run();
        }
        self.pending_complete = self.pending.len();
        if self.pending_complete >= LITERAL_RUN_BYTES {
            self.flush_complete_entries()?;
        }
        Ok(())
    }

    /// Ends the stream and gives the writer back, flushed.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.entry_boundary()?;
        match self.compression {
            Compression::None => self.flush_pending()?,
            Compression::Zstd { .. } => {
                self.flush_complete_entries()?;
                self.write_runs()?;
                if self.written_bytes == 0 {
                    // No frame at all is no zstd stream.
                    self.run.clear();
                    self.run
                        .extend_from_slice(&frame_header(ZSTD_WINDOW_LOG_MIN));
                    raw_blocks(&[], true, &mut self.run);
                    self.write_run()?;
                }
            }
            Compression::Gzip { .. } => {
                self.flush_pending()?;
                self.write(&DEFLATE_FINAL_BLOCK)?;
                self.write(&self.plain.crc32.to_le_bytes())?;
                // ISIZE is the length modulo 2^32 (RFC 1952 2.3.1).
                #[expect(clippy::cast_possible_truncation, reason = "as the field says")]
                let plain_bytes = self.plain.bytes as u32;
                self.write(&plain_bytes.to_le_bytes())?;
            }
        }
        self.write_runs()?;
        self.out.flush()?;
        self.out
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
    }

    fn flush_pending(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.run.clear();
        encode_run(
            self.compression,
            &mut self.scratch,
            &self.pending,
            &mut self.run,
        )?;
        self.pending.clear();
        self.write_run()
    }

    /// Compresses a run, beside the writer where that is worth it.
    fn start_run(&mut self, plain: Vec<u8>) -> io::Result<()> {
        if plain.len() < LITERAL_RUN_BYTES || self.compression == Compression::None {
            self.run.clear();
            encode_run(self.compression, &mut self.scratch, &plain, &mut self.run)?;
            return self.write_run();
        }
        self.runs.push(encode_run, self.compression, plain);
        while self.runs.is_full() {
            self.write_oldest_run()?;
        }
        Ok(())
    }

    /// Writes the oldest of the runs that other threads compress; `false` if there is none.
    fn write_oldest_run(&mut self) -> io::Result<bool> {
        let Some(run) = self.runs.take().transpose()? else {
            return Ok(false);
        };
        self.written_bytes += run.len() as u64;
        self.out.write_all(&run)?;
        Ok(true)
    }

    /// Writes the complete entries in `pending` as a zstd frame of their own.
    fn flush_complete_entries(&mut self) -> io::Result<()> {
        let complete = std::mem::take(&mut self.pending_complete);
        if complete > 0 {
            let rest = self.pending.split_off(complete);
            let plain = std::mem::replace(&mut self.pending, rest);
            self.start_run(plain)?;
        }
        Ok(())
    }

    /// Writes all runs that are under way.
    fn write_runs(&mut self) -> io::Result<()> {
        while self.write_oldest_run()? {}
        Ok(())
    }

    fn write_run(&mut self) -> io::Result<()> {
        self.write_runs()?;
        self.written_bytes += self.run.len() as u64;
        self.out.write_all(&self.run)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_runs()?;
        self.written_bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

/// Appends literal bytes to `out` as the stream has them: as they are, as deflate blocks, or as a zstd
/// frame of their own.
fn encode_run(
    compression: Compression,
    scratch: &mut Scratch,
    plain: &[u8],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    match compression {
        Compression::None => {
            out.extend_from_slice(plain);
            Ok(())
        }
        Compression::Gzip { level } => scratch.deflater.run(level, &[], plain, out),
        Compression::Zstd { level } => scratch.zstd(level)?.frame(plain, out),
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

const _: () = assert!(INLINE_BODY_BYTES <= SEGMENT_BYTES);
