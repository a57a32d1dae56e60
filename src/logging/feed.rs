//! What the service `logs@system.local` tells its listeners (spec 20): a bounded queue that log lines enter and one reader, the
//! log service, that drains it and keeps the last 100 lines for newcomers. A line never waits for the reader: a full
//! queue gives up its oldest line and counts it.
//!
//! The feedback rule: telling listeners about a line must not make lines that are told to listeners. An event is not fed if
//! its target is [`LOG_STREAM_TARGET`] (or below it), if it has the field `internal = true`, or if it occurs on a
//! thread that holds an [`unfed`] guard, which the log service takes around its own work.

use std::cell::Cell;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam::queue::ArrayQueue;

/// Lines a new listener is shown (spec 20).
pub const RECENT_LINES_MAX: usize = 100;
/// Lines waiting for the log service: it drains at each wake, so this covers a burst within one turn.
pub const FEED_LINES_MAX: usize = 1_024;
/// Events with this target, or one below it, are written to the console and kept out of the feed.
pub const LOG_STREAM_TARGET: &str = "systemx::log_stream";

type Wake = Box<dyn Fn() + Send + Sync>;

struct Shared {
    lines: ArrayQueue<Arc<str>>,
    lost: AtomicU64,
    /// Whether the reader has been woken and has not drained yet; saves a wake per line.
    is_woken: AtomicBool,
    wake: OnceLock<Wake>,
}

/// The producers' end, held by the logging layer.
#[derive(Clone)]
pub struct LogFeed {
    shared: Arc<Shared>,
}

/// The log service's end. There is one, so what it has drained and what it shows to newcomers never differ: replay
/// [`FeedReader::recent`] to a new listener, and it gets each later line once.
pub struct FeedReader {
    shared: Arc<Shared>,
    recent: VecDeque<Arc<str>>,
}

/// What [`FeedReader::drain`] found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// New lines, oldest first, each with its line end.
    pub lines: Vec<Arc<str>>,
    /// Lines that were given up since the last drain because the queue was full; they came before `lines`.
    pub lost: u64,
}

/// A feed and its only reader.
pub fn log_feed() -> (LogFeed, FeedReader) {
    let shared = Arc::new(Shared {
        lines: ArrayQueue::new(FEED_LINES_MAX),
        lost: AtomicU64::new(0),
        is_woken: AtomicBool::new(false),
        wake: OnceLock::new(),
    });
    let reader =
        FeedReader { shared: Arc::clone(&shared), recent: VecDeque::with_capacity(RECENT_LINES_MAX) };
    (LogFeed { shared }, reader)
}

impl LogFeed {
    /// Adds a line and wakes the reader if it is not awake yet. Never waits.
    pub(super) fn push(&self, line: Arc<str>) {
        if self.shared.lines.force_push(line).is_some() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
        // The line is in the queue before the flag is looked at, so a reader that has just cleared it will see the line.
        if self.shared.is_woken.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(wake) = self.shared.wake.get() {
            wake();
        }
    }
}

impl FeedReader {
    /// Sets what is called, on the logging thread, when lines wait after a drain. It must neither block nor log. Only the
    /// first call counts. Without it, drain by timer. Lines may wait already: drain once after this call.
    pub fn wake_with(&self, wake: impl Fn() + Send + Sync + 'static) {
        // A second wake is a mistake in our own start; the first one keeps working.
        let is_first = self.shared.wake.set(Box::new(wake)).is_ok();
        debug_assert!(is_first, "the log service sets its wake once");
    }

    /// Takes the lines that came since the last drain. At most [`FEED_LINES_MAX`] at a time, so that a flood of lines
    /// cannot hold the reader; drain again if that many came.
    pub fn drain(&mut self) -> Drained {
        self.shared.is_woken.store(false, Ordering::SeqCst);
        let lost = self.shared.lost.swap(0, Ordering::Relaxed);
        let lines: Vec<_> = std::iter::from_fn(|| self.shared.lines.pop()).take(FEED_LINES_MAX).collect();
        for line in lines.iter().skip(lines.len().saturating_sub(RECENT_LINES_MAX)) {
            if self.recent.len() == RECENT_LINES_MAX {
                self.recent.pop_front();
            }
            self.recent.push_back(Arc::clone(line));
        }
        Drained { lines, lost }
    }

    /// The last lines that were drained, oldest first, at most [`RECENT_LINES_MAX`].
    pub fn recent(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.recent.iter()
    }
}

thread_local! {
    /// How many [`Unfed`] guards this thread holds.
    static UNFED_DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// While it lives, nothing this thread logs enters the feed.
#[must_use = "events are kept out of the feed only while the guard lives"]
pub struct Unfed {
    /// The guard counts for the thread that took it, so it may not leave it.
    not_send: PhantomData<*const ()>,
}

/// Keeps what this thread logs out of the feed until the guard is dropped; taken by the log service around its own work.
pub fn unfed() -> Unfed {
    UNFED_DEPTH.with(|depth| depth.set(depth.get() + 1));
    Unfed { not_send: PhantomData }
}

impl Drop for Unfed {
    fn drop(&mut self) {
        UNFED_DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}

/// Whether an event with this target on this thread may be fed, as far as can be said before its fields are known.
pub(super) fn is_fed(target: &str) -> bool {
    let below = target.strip_prefix(LOG_STREAM_TARGET);
    let is_about_stream = below.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    !is_about_stream && target != super::AUDIT_TARGET && UNFED_DEPTH.with(Cell::get) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn line(number: usize) -> Arc<str> {
        Arc::from(number.to_string())
    }

    #[test]
    fn the_last_hundred_lines_are_kept() {
        let (feed, mut reader) = log_feed();
        for number in 0..150 {
            feed.push(line(number));
        }
        assert_eq!(reader.drain().lines.len(), 150);
        let expected: Vec<_> = (50..150).map(line).collect();
        assert!(reader.recent().eq(expected.iter()));
        feed.push(line(150));
        assert_eq!(reader.drain(), Drained { lines: vec![line(150)], lost: 0 });
        assert_eq!((reader.recent().len(), reader.recent().next()), (RECENT_LINES_MAX, Some(&line(51))));
    }

    #[test]
    fn a_reader_that_sleeps_loses_the_oldest_lines_and_learns_how_many() {
        let (feed, mut reader) = log_feed();
        for number in 0..FEED_LINES_MAX + 10 {
            feed.push(line(number));
        }
        let drained = reader.drain();
        assert_eq!((drained.lost, drained.lines.len()), (10, FEED_LINES_MAX));
        assert_eq!(drained.lines.first(), Some(&line(10)));
        assert_eq!(reader.drain(), Drained::default());
    }

    #[test]
    fn the_reader_is_woken_once_per_drain() {
        let (feed, mut reader) = log_feed();
        let wakes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&wakes);
        reader.wake_with(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        feed.push(line(1));
        feed.push(line(2));
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        reader.drain();
        feed.push(line(3));
        assert_eq!(wakes.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn the_streams_own_events_are_not_fed() {
        assert!(is_fed("systemx::shell"));
        assert!(is_fed("systemx::log_streams"));
        assert!(!is_fed(LOG_STREAM_TARGET));
        assert!(!is_fed("systemx::log_stream::replay"));
        assert!(!is_fed(crate::logging::AUDIT_TARGET));
        let guard = unfed();
        assert!(!is_fed("systemx::shell"));
        drop(guard);
        assert!(is_fed("systemx::shell"));
    }
}
