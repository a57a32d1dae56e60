//! The way of records from shards to a thread that keeps them: a bounded queue that nobody waits at.
//!
//! Putting a record in is a few atomic operations, never a system call and never a lock: the other side looks by itself, a few
//! times a second. What does not fit is counted as lost; nothing else ever is lost here. What waits and what is lost can be
//! read at any time by anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam::queue::ArrayQueue;

use super::CallRecord;

/// A bounded queue of records and what it could not take.
#[derive(Debug)]
pub(super) struct Intake {
    queue: ArrayQueue<Arc<CallRecord>>,
    lost: AtomicU64,
    /// Set when the exchange stops: what is in the queue then is the last.
    stopping: AtomicBool,
}

impl Intake {
    /// A queue for so many records; their places take 16 bytes each from the start.
    pub(super) fn new(len_max: usize) -> Self {
        Self { queue: ArrayQueue::new(len_max), lost: AtomicU64::new(0), stopping: AtomicBool::new(false) }
    }

    /// Takes a record, or counts it as lost.
    pub(super) fn put(&self, record: Arc<CallRecord>) {
        if self.queue.push(record).is_err() {
            self.note_lost(1);
        }
    }

    /// Counts records that will never be kept.
    pub(super) fn note_lost(&self, count: usize) {
        self.lost.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Moves waiting records into `batch` until that holds `len_max`.
    pub(super) fn take_into(&self, batch: &mut Vec<Arc<CallRecord>>, len_max: usize) {
        while batch.len() < len_max {
            let Some(record) = self.queue.pop() else { return };
            batch.push(record);
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// How many could not be kept.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Nothing more will come.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether nothing more will come.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted_and_the_rest_comes_out_in_order() {
        let intake = Intake::new(2);
        (0..5).for_each(|messages| intake.put(Arc::new(record(messages))));
        assert_eq!((intake.len(), intake.lost()), (2, 3));
        let mut batch = Vec::new();
        intake.take_into(&mut batch, 1);
        intake.take_into(&mut batch, 8);
        let messages: Vec<u64> = batch.iter().map(|record| record.to_callee.messages).collect();
        assert_eq!((messages, intake.len()), (vec![0, 1], 0));
    }
}
