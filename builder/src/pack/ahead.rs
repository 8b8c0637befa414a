//! Bodies read ahead of their use, by a thread of its own: reading and checking a pack takes about as
//! long as writing the initrd that is made of it.

use std::sync::mpsc;
use std::thread::Scope;
use std::vec;

use super::read::{PackError, PackSet};

/// How much is read at a time, in stored bytes; one segment at least.
const BATCH_BYTES: usize = 1 << 20;
/// Batches that may wait.
const MAX_WAITING: usize = 2;

type Batch = Vec<Result<Vec<u8>, PackError>>;

/// The segments of bodies in the order that was asked for; see [`PackSet::read_ahead`].
pub struct Ahead {
    batches: mpsc::Receiver<Batch>,
    current: vec::IntoIter<Result<Vec<u8>, PackError>>,
}

impl PackSet {
    /// Starts to read `bodies`, each named by its pack's place and its number, on a thread of
    /// `scope`. It ends when all are read or the result is dropped.
    pub fn read_ahead<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        bodies: impl Iterator<Item = (u32, u32)> + Send + 'scope,
    ) -> Ahead {
        let (sender, batches) = mpsc::sync_channel(MAX_WAITING);
        scope.spawn(move || {
            let mut batch = Batch::new();
            let mut bytes = 0;
            for (pack, body) in bodies {
                for segment in self.get(pack).segments(body) {
                    bytes += segment.as_ref().map_or(BATCH_BYTES, Vec::len);
                    batch.push(segment);
                    if bytes >= BATCH_BYTES {
                        bytes = 0;
                        // Nobody wants more once writing has failed.
                        if sender.send(std::mem::take(&mut batch)).is_err() {
                            return;
                        }
                    }
                }
            }
            let _ = sender.send(batch);
        });
        Ahead {
            batches,
            current: Vec::new().into_iter(),
        }
    }
}

/// All segments, body after body.
impl Iterator for Ahead {
    type Item = Result<Vec<u8>, PackError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(segment) = self.current.next() {
                return Some(segment);
            }
            self.current = self.batches.recv().ok()?.into_iter();
        }
    }
}
