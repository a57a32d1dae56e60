//! What the workers of one run share when one client speaks to the listeners of all: how far the speech is.
//!
//! The speaker's worker writes what was said, every worker what its listeners have; atomics, touched once for each
//! message and worker. Invariant: a message's place among the slots is taken again only when all have heard it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mio::Waker;

/// Shared by all workers.
#[derive(Debug)]
pub struct Stage {
    workers: u32,
    /// Workers that have not finished a message, by its number modulo their count.
    slots: Vec<AtomicU32>,
    said: AtomicU64,
    /// Messages that everybody has.
    whole: AtomicU64,
    /// Listeners that are in.
    joined: AtomicUsize,
    speaker_up: AtomicBool,
    /// Nothing more will be said.
    over: AtomicBool,
    speaker: OnceLock<Arc<Waker>>,
    /// Listeners that the speaker was told are gone, to be looked after by their workers.
    hung_up: Mutex<Vec<usize>>,
}

impl Stage {
    /// At most so many messages in flight.
    pub fn new(workers: usize, in_flight: usize) -> Self {
        Self {
            workers: workers as u32,
            slots: (0..in_flight).map(|_| AtomicU32::new(0)).collect(),
            said: AtomicU64::new(0),
            whole: AtomicU64::new(0),
            joined: AtomicUsize::new(0),
            speaker_up: AtomicBool::new(false),
            over: AtomicBool::new(false),
            speaker: OnceLock::new(),
            hung_up: Mutex::default(),
        }
    }

    /// The number of the next message; the speaker alone asks. `None` while too many are in flight.
    pub fn say(&self) -> Option<u64> {
        let number = self.said.load(Ordering::Relaxed);
        if number - self.whole.load(Ordering::Acquire) >= self.slots.len() as u64 {
            return None;
        }
        self.slot(number).store(self.workers, Ordering::Relaxed);
        self.said.store(number + 1, Ordering::Release);
        Some(number)
    }

    /// All listeners of a worker have a message. True if with them everybody has; the speaker is told.
    pub fn heard_by_worker(&self, number: u64) -> bool {
        if self.slot(number).fetch_sub(1, Ordering::AcqRel) > 1 {
            return false;
        }
        self.whole.fetch_add(1, Ordering::AcqRel);
        true
    }

    fn slot(&self, number: u64) -> &AtomicU32 {
        &self.slots[(number % self.slots.len() as u64) as usize]
    }

    /// Messages said so far.
    pub fn said(&self) -> u64 {
        self.said.load(Ordering::Acquire)
    }

    /// Messages that not everybody has.
    pub fn in_flight(&self) -> u64 {
        self.said().saturating_sub(self.whole.load(Ordering::Acquire))
    }

    /// A listener came in.
    pub fn join(&self) -> usize {
        self.joined.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// A listener went.
    pub fn leave(&self) {
        self.joined.fetch_sub(1, Ordering::AcqRel);
    }

    /// Listeners that are in.
    pub fn joined(&self) -> usize {
        self.joined.load(Ordering::Acquire)
    }

    /// Whether the speaker can be dialled.
    pub fn is_speaker_up(&self) -> bool {
        self.speaker_up.load(Ordering::Acquire)
    }

    /// The speaker is in, or gone.
    pub fn speaker_is(&self, up: bool) {
        self.speaker_up.store(up, Ordering::Release);
    }

    /// This is how the speaker's worker is woken.
    pub fn speaker_wakes_by(&self, waker: Arc<Waker>) {
        // There is one speaker.
        drop(self.speaker.set(waker));
    }

    /// Wakes the speaker's worker.
    pub fn wake_speaker(&self) {
        if let Some(waker) = self.speaker.get() {
            // One that cannot be woken looks within a second.
            drop(waker.wake());
        }
    }

    /// The speaker has said its last.
    pub fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Whether nothing is under way and nothing more comes.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire) && self.in_flight() == 0
    }

    /// The server says that this listener is gone.
    pub fn hang_up(&self, listener: usize) {
        self.hung_up.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// Whether the server has said that this listener is gone.
    pub fn has_hung_up(&self, listener: usize) -> bool {
        self.hung_up.lock().unwrap_or_else(PoisonError::into_inner).contains(&listener)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_whole_when_the_last_worker_has_it_and_only_then_another_is_said() {
        let stage = Stage::new(2, 2);
        assert_eq!((stage.say(), stage.say(), stage.say()), (Some(0), Some(1), None));
        assert!(!stage.heard_by_worker(0) && !stage.heard_by_worker(1));
        assert_eq!((stage.say(), stage.in_flight()), (None, 2));
        assert!(stage.heard_by_worker(0));
        assert_eq!((stage.say(), stage.say()), (Some(2), None));
        assert!(stage.heard_by_worker(1) && !stage.heard_by_worker(2) && stage.heard_by_worker(2));
        assert_eq!((stage.in_flight(), stage.is_over()), (0, false));
        stage.end();
        assert!(stage.is_over());
    }
}
