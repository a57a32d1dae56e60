//! What an operator may do with the log of this process while it runs: read its last warnings and errors, and set its level.
//!
//! Whoever logs never waits: a warning is kept at once if nobody reads the others just then, and else put into a bounded queue without
//! a lock. There is one log in a process, as there is one subscriber of `tracing`, so there is one desk, found by [`desk`].

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam::queue::ArrayQueue;
use parking_lot::Mutex;
use tracing::Level;

use super::LogLevel;
use super::kept::Kept;
use crate::timestamp::Timestamp;

pub use super::kept::WARNINGS_MAX;

/// Warnings that may come while somebody reads those that are kept, which takes some microseconds.
const QUEUE_LEN_MAX: usize = 256;

/// A warning or an error that was logged, perhaps again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedLine {
    /// When; the last time.
    pub at: Timestamp,
    /// When for the first time.
    pub first: Timestamp,
    /// How often.
    pub count: u64,
    /// How often something of its kind, with whatever fields.
    pub of_kind: u64,
    /// Its kind: what no client can choose.
    pub kind: Box<str>,
    /// Whether it is an error.
    pub is_error: bool,
    /// The message.
    pub message: Box<str>,
    /// Its fields, as a JSON object.
    pub fields: Box<str>,
}

/// The operator's hold on the log.
#[derive(Debug)]
pub struct LogDesk {
    warnings: ArrayQueue<LoggedLine>,
    /// No thread that logs ever waits for it.
    kept: Mutex<Kept>,
    level: AtomicU8,
}

static DESK: OnceLock<Arc<LogDesk>> = OnceLock::new();

/// The desk of this process's log; `None` before there is one, as in tests.
pub fn desk() -> Option<&'static LogDesk> {
    DESK.get().map(|desk| &**desk)
}

/// From now on this is the desk. The first one stays.
pub(super) fn install(desk: &Arc<LogDesk>) {
    DESK.get_or_init(|| Arc::clone(desk));
}

/// The levels by their numbers.
const LEVELS: [LogLevel; 4] = [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];

impl LogDesk {
    pub(super) fn new(level: LogLevel) -> Self {
        let (warnings, kept) = (ArrayQueue::new(QUEUE_LEN_MAX), Mutex::default());
        Self { warnings, kept, level: AtomicU8::new(level as u8) }
    }

    /// The least level that is logged.
    pub fn level(&self) -> LogLevel {
        LEVELS.get(usize::from(self.level.load(Ordering::Relaxed))).copied().unwrap_or(LogLevel::Info)
    }

    /// From now on this level is logged, and what is above it.
    pub fn turn_to(&self, level: LogLevel) {
        self.level.store(level as u8, Ordering::Relaxed);
        // Every place that logs remembers whether it is wanted.
        tracing::callsite::rebuild_interest_cache();
    }

    /// The last warnings and errors, the latest first, at most so many.
    pub fn warnings(&self, most: usize) -> Vec<LoggedLine> {
        let mut kept = self.kept.lock();
        self.take_queue(&mut kept);
        kept.latest(most)
    }

    fn take_queue(&self, kept: &mut Kept) {
        while let Some(line) = self.warnings.pop() {
            kept.add(line);
        }
    }

    /// Notes what is logged, if it is a warning or an error. `kind` is something that no client can choose. Never waits.
    pub(super) fn note(&self, level: Level, at: Timestamp, kind: &str, message: &str, fields: &str) {
        // tracing orders levels by verbosity: WARN and ERROR are the least.
        if level > Level::WARN {
            return;
        }
        let line = LoggedLine {
            at,
            first: at,
            count: 1,
            of_kind: 1,
            is_error: level == Level::ERROR,
            kind: kind.into(),
            message: message.into(),
            fields: format!("{{{fields}}}").into(),
        };
        match self.kept.try_lock() {
            Some(mut kept) => {
                self.take_queue(&mut kept);
                kept.add(line);
            }
            // Somebody reads. The oldest gives way.
            None => drop(self.warnings.force_push(line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_warnings_are_kept_latest_first_whether_somebody_reads_or_not() {
        let desk = LogDesk::new(LogLevel::Info);
        for number in 0..WARNINGS_MAX + 10 {
            let kind = format!("kind {number}");
            desk.note(Level::WARN, Timestamp(number as u64), &kind, &kind, "\"n\":1");
            desk.note(Level::INFO, Timestamp(0), "nothing", "nothing", "");
        }
        desk.note(Level::ERROR, Timestamp(7), "ah", "ah", "");
        let lines = desk.warnings(usize::MAX);
        assert_eq!(lines.len(), WARNINGS_MAX);
        assert_eq!((&*lines[0].message, &*lines[0].fields, lines[0].is_error), ("ah", "{}", true));
        let last = format!("kind {}", WARNINGS_MAX + 9);
        assert_eq!((&*lines[1].message, &*lines[1].fields, lines[1].is_error), (&*last, "{\"n\":1}", false));
        desk.note(Level::WARN, Timestamp(8), "again", "again", "");
        assert_eq!(&*desk.warnings(1)[0].message, "again");
        assert_eq!(desk.warnings(usize::MAX).len(), WARNINGS_MAX);
    }

    #[test]
    fn what_is_logged_while_somebody_reads_is_there_the_next_time() {
        let desk = LogDesk::new(LogLevel::Info);
        let reading = desk.kept.lock();
        desk.note(Level::WARN, Timestamp(1), "oh", "oh", "");
        drop(reading);
        desk.note(Level::WARN, Timestamp(2), "oh", "oh", "");
        let lines = desk.warnings(usize::MAX);
        assert_eq!(
            (lines.len(), lines[0].count, lines[0].first, lines[0].at),
            (1, 2, Timestamp(1), Timestamp(2))
        );
    }

    #[test]
    fn a_level_is_what_it_was_turned_to() {
        let desk = LogDesk::new(LogLevel::Warn);
        assert_eq!(desk.level(), LogLevel::Warn);
        for level in LEVELS {
            desk.turn_to(level);
            assert_eq!(desk.level(), level);
        }
    }
}
