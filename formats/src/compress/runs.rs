//! Literal runs on other threads, back in the order in which they were given.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::compression::Compression;
use super::encode::Scratch;

/// Appends what a run becomes.
pub(super) type Encode = fn(Compression, &mut Scratch, &[u8], &mut Vec<u8>) -> io::Result<()>;

thread_local! {
    /// Encoder states are large and kept from run to run.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

/// Runs on their way, oldest first.
#[derive(Default)]
pub(super) struct Runs {
    queue: VecDeque<Arc<Run>>,
}

/// A run that any thread may encode: one of the pool's, or the one that wants it, if none has begun.
/// So it comes even where all threads of the pool wait for something themselves.
struct Run {
    encode: Encode,
    compression: Compression,
    state: Mutex<State>,
    done: Condvar,
}

enum State {
    Plain(Vec<u8>),
    Begun,
    Done(io::Result<Vec<u8>>),
}

impl Runs {
    /// Sends a run on its way. The oldest one should be taken while [`is_full`](Self::is_full).
    pub(super) fn push(&mut self, encode: Encode, compression: Compression, plain: Vec<u8>) {
        let run = Arc::new(Run {
            encode,
            compression,
            state: Mutex::new(State::Plain(plain)),
            done: Condvar::new(),
        });
        self.queue.push_back(run.clone());
        rayon::spawn(move || run.encode());
    }

    /// Whether as many are under way as there is use for.
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() > 2 * rayon::current_num_threads()
    }

    /// The bytes of the oldest run; `None` if there is none.
    pub(super) fn take(&mut self) -> Option<io::Result<Vec<u8>>> {
        self.queue.pop_front().map(|run| {
            run.encode();
            run.wait()
        })
    }
}

impl Run {
    /// Encodes the run, if nobody has begun.
    fn encode(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let plain = match &mut *state {
            State::Plain(plain) => std::mem::take(plain),
            State::Begun | State::Done(_) => return,
        };
        *state = State::Begun;
        drop(state);
        let mut out = Vec::new();
        let encoded = SCRATCH
            .with_borrow_mut(|scratch| (self.encode)(self.compression, scratch, &plain, &mut out))
            .map(|()| out);
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Done(encoded);
        self.done.notify_all();
    }

    fn wait(&self) -> io::Result<Vec<u8>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match std::mem::replace(&mut *state, State::Begun) {
                State::Done(encoded) => return encoded,
                other => *state = other,
            }
            state = self
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
