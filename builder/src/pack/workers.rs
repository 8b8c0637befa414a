//! The threads that compress, and how much may wait for them.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A pool of threads with a bound on the jobs that are under way, whoever submits them. Memory is
/// bounded by that: a job holds one segment before and one after compression, and a large zstd body
/// the state of its encoder.
#[derive(Clone)]
pub struct Workers {
    pool: Arc<rayon::ThreadPool>,
    permits: Arc<Permits>,
}

struct Permits {
    free: Mutex<usize>,
    returned: Condvar,
}

/// One job's right to be under way; returned when dropped.
pub(super) struct Permit(Arc<Permits>);

impl Workers {
    /// `threads` threads; 0 is taken as 1.
    pub fn new(threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let threads = threads.max(1);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|n| format!("worker-{n}"))
            .build()?;
        // Enough that no thread waits for the next job while results are written in order.
        let permits = Permits {
            free: Mutex::new(3 * threads + 4),
            returned: Condvar::new(),
        };
        Ok(Workers {
            pool: Arc::new(pool),
            permits: Arc::new(permits),
        })
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// The pool, for work without permits (short, no waiting).
    pub fn pool(&self) -> &rayon::ThreadPool {
        &self.pool
    }

    pub(super) fn try_permit(&self) -> Option<Permit> {
        let mut free = self
            .permits
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *free = free.checked_sub(1)?;
        Some(Permit(self.permits.clone()))
    }

    pub(super) fn permit(&self) -> Permit {
        let mut free = self
            .permits
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self
                .permits
                .returned
                .wait(free)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Permit(self.permits.clone())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.returned.notify_one();
    }
}
