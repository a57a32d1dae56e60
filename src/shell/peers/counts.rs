//! What came of calling other exchanges, in plain counts for the page of metrics. Written by the thread that calls, read by
//! anybody; no number depends on another.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::console::metrics::Federation;

/// Counts of links that this exchange has called.
#[derive(Default, Debug)]
pub struct LinkCounts {
    connected: AtomicU64,
    lost: AtomicU64,
    failed: AtomicU64,
}

impl LinkCounts {
    /// A link has come up.
    pub(super) fn is_up(&self) {
        self.connected.fetch_add(1, Ordering::Relaxed);
    }

    /// One that was up is gone.
    pub(super) fn is_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// An attempt came to nothing.
    pub(super) fn has_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts; how many are configured is not among what is counted here.
    pub fn now(&self) -> Federation {
        Federation {
            configured: 0,
            connected: self.connected.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}
