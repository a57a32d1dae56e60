//! The two flags by which shards wake each other, apart from queues and wakers so that they can be model-checked.
//!
//! Both follow one pattern: who is about to sleep raises a flag, passes a SeqCst fence and looks once more; who
//! changed a queue passes a SeqCst fence and looks at the flag. Of two fences one comes first, so either the sleeper
//! sees the change or the changer sees the flag. `model.rs` compiles this very file against loom's atomics.
//! Invariant: no fence here may be dropped, nor moved across the access it separates.

use super::sync::{AtomicBool, Ordering, fence};

/// Whether a shard is asleep, or about to be. Raised by the shard itself, lowered by it or by the one who wakes it.
#[derive(Debug)]
pub(super) struct Sleeping(AtomicBool);

impl Sleeping {
    pub fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Before the last look at the queues. The flag must be up before they are looked at.
    pub fn announce(&self) {
        self.0.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The shard found something to do, or was woken.
    pub fn revoke(&self) {
        // A swap, not a store, so that whatever a waker did to the flag happened before the next announcement.
        self.0.swap(false, Ordering::AcqRel);
    }

    /// True for exactly one caller per announcement; after [`publish`].
    pub fn must_be_woken(&self) -> bool {
        // The load spares shards that are awake, the usual case under load, a write to their cache line.
        self.0.load(Ordering::Relaxed)
            && self.0.compare_exchange(true, false, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

/// Whether a producer that sleeps does so on messages that did not fit its queue. Raised and lowered by the producer
/// alone. If the consumer took it down, as is tempting, it could take a raise whose announcement it cannot see yet:
/// the producer, having filled the space meanwhile, would sleep for ever (`model.rs` fails if it is tried).
#[derive(Debug)]
pub(super) struct WantSpace(AtomicBool);

impl WantSpace {
    pub fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Before the producer announces its sleep, whose fence orders this store too.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// All its messages have found room.
    pub fn lower(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether the producer must be woken, if it sleeps, because there is space now; after [`publish`].
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Between changing queues and looking at flags.
pub(super) fn publish() {
    fence(Ordering::SeqCst);
}
