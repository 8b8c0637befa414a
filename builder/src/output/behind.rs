//! Writing behind the work that makes the bytes, by a thread of its own: the kernel takes about as long
//! to copy an initrd into its page cache as it takes to put it together.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

/// How much is written at a time.
const BUFFER_BYTES: usize = 512 << 10;
/// Buffers that may wait; there is one more on either side.
const MAX_WAITING: usize = 2;

/// Hands what it is given to a thread that writes it, in order. Nothing but
/// [`finish`](Behind::finish) tells whether all of it was written.
pub(super) struct Behind<'scope> {
    buffer: Vec<u8>,
    /// Gone once writing has failed.
    full: Option<SyncSender<Vec<u8>>>,
    empty: Receiver<Vec<u8>>,
    writer: Option<ScopedJoinHandle<'scope, io::Result<()>>>,
}

impl<'scope> Behind<'scope> {
    /// Starts the thread, in `scope`. It flushes `out` at the end.
    pub(super) fn new<W: Write + Send>(
        scope: &'scope Scope<'scope, '_>,
        out: &'scope mut W,
    ) -> Self {
        let (full, buffers) = sync_channel::<Vec<u8>>(MAX_WAITING);
        let (written, empty) = channel();
        let writer = scope.spawn(move || {
            for mut buffer in buffers {
                out.write_all(&buffer)?;
                buffer.clear();
                // It is taken again or not.
                let _ = written.send(buffer);
            }
            out.flush()
        });
        Behind {
            buffer: Vec::with_capacity(BUFFER_BYTES),
            full: Some(full),
            empty,
            writer: Some(writer),
        }
    }

    /// Waits until all is written.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.send()?;
        self.join()
    }

    fn send(&mut self) -> io::Result<()> {
        let next = self.empty.try_recv();
        let next = next.unwrap_or_else(|_| Vec::with_capacity(BUFFER_BYTES));
        let buffer = std::mem::replace(&mut self.buffer, next);
        match &self.full {
            Some(full) if full.send(buffer).is_ok() => Ok(()),
            // The thread ends early only by an error.
            _ => self.join().and(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn join(&mut self) -> io::Result<()> {
        self.full = None;
        let ended = self.writer.take().map(ScopedJoinHandle::join);
        let died = || Err(io::Error::other("the thread that writes died"));
        ended.unwrap_or(Ok(Ok(()))).unwrap_or_else(|_| died())
    }
}

impl Write for Behind<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == BUFFER_BYTES {
            self.send()?;
        }
        let taken = bytes.len().min(BUFFER_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_come_in_their_order() {
        let bytes: Vec<u8> = (0..=250).cycle().take(3 * BUFFER_BYTES + 7).collect();
        for piece in [1 << 10, BUFFER_BYTES - 1, BUFFER_BYTES, 2 * BUFFER_BYTES] {
            let mut out = Vec::new();
            std::thread::scope(|scope| {
                let mut behind = Behind::new(scope, &mut out);
                for piece in bytes.chunks(piece) {
                    behind.write_all(piece).unwrap();
                }
                behind.finish().unwrap();
            });
            assert!(out == bytes, "pieces of {piece}");
        }
    }

    #[test]
    fn nothing_is_written_and_flushed_all_the_same() {
        let mut out = io::BufWriter::new(Vec::new());
        std::thread::scope(|scope| Behind::new(scope, &mut out).finish().unwrap());
        assert!(out.get_ref().is_empty());
    }

    #[test]
    fn a_full_disk_is_told_as_soon_as_it_is_noticed_and_at_the_end() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self
                    .0
                    .checked_sub(bytes.len())
                    .ok_or(io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let many = vec![0; 20 * BUFFER_BYTES];
        let mut full = Full(BUFFER_BYTES);
        std::thread::scope(|scope| {
            let mut behind = Behind::new(scope, &mut full);
            let error = behind.write_all(&many).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            assert!(behind.write_all(&many).is_err());
        });
        let mut full = Full(10);
        std::thread::scope(|scope| {
            let mut behind = Behind::new(scope, &mut full);
            behind.write_all(&many[..11]).unwrap();
            let error = behind.finish().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        });
    }
}
