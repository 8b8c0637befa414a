//! Jobs that need one state, one after the other, on whichever worker is free.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// Runs jobs in the order in which they were given, each with the state that the one before it
/// left, and never two at a time. No worker waits for another: one that is there stays until
/// nothing is left to do.
pub(super) struct Strand<S>(Arc<Mutex<Queue<S>>>);

struct Queue<S> {
    waiting: VecDeque<Job<S>>,
    /// `None` while a worker has it.
    state: Option<S>,
}

impl<S: Send + 'static> Strand<S> {
    pub(super) fn new(state: S) -> Self {
        Strand(Arc::new(Mutex::new(Queue {
            waiting: VecDeque::new(),
            state: Some(state),
        })))
    }

    /// Has `job` done on `pool` after all that were given before.
    pub(super) fn spawn(
        &self,
        pool: &rayon::ThreadPool,
        job: impl FnOnce(&mut S) + Send + 'static,
    ) {
        let mut queue = lock(&self.0);
        queue.waiting.push_back(Box::new(job));
        if let Some(state) = queue.state.take() {
            let strand = self.0.clone();
            pool.spawn(move || work(&strand, state));
        }
    }
}

fn work<S>(strand: &Mutex<Queue<S>>, mut state: S) {
    loop {
        let mut queue = lock(strand);
        let Some(job) = queue.waiting.pop_front() else {
            queue.state = Some(state);
            return;
        };
        drop(queue);
        job(&mut state);
    }
}

fn lock<S>(strand: &Mutex<Queue<S>>) -> MutexGuard<'_, Queue<S>> {
    strand.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn jobs_of_a_strand_run_in_order_and_one_at_a_time() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(4)
            .build()
            .unwrap();
        let strands: Vec<_> = (0..3).map(|_| Strand::new(Vec::new())).collect();
        let (sender, receiver) = mpsc::channel();
        for number in 0..1000 {
            for strand in &strands {
                let sender = sender.clone();
                strand.spawn(&pool, move |done: &mut Vec<u32>| {
                    done.push(number);
                    if number == 999 {
                        sender.send(std::mem::take(done)).unwrap();
                    }
                });
            }
        }
        let in_order: Vec<u32> = (0..1000).collect();
        for _ in &strands {
            assert_eq!(receiver.recv().unwrap(), in_order);
        }
    }

    #[test]
    fn a_strand_that_was_idle_goes_on_where_it_was() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        let strand = Strand::new(0);
        for expected in 1..=50 {
            let (sender, receiver) = mpsc::channel();
            strand.spawn(&pool, move |count| {
                *count += 1;
                sender.send(*count).unwrap();
            });
            assert_eq!(receiver.recv().unwrap(), expected);
            // The worker gives the state back after the job.
            pool.install(|| ());
        }
    }
}
