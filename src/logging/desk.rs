//! What an operator may do with the log of this process while it runs: read its last warnings and errors, and set its level.
//!
//! Whoever logs only puts a warning into a bounded queue without a lock; the reader keeps the last of them. There is one log in
//! a process, as there is one subscriber of `tracing`, so there is one desk, found by [`desk`].

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam::queue::ArrayQueue;
use parking_lot::Mutex;
use tracing::Level;

use crate::config::LogLevel;
use crate::timestamp::Timestamp;

/// Warnings and errors that are kept: what a busy hour of trouble brings, and at most 1.3 MB.
pub const WARNINGS_MAX: usize = 256;

/// A warning or an error that was logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedLine {
    /// When.
    pub at: Timestamp,
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
    /// What has been taken out of the queue; no logging thread ever comes here.
    kept: Mutex<VecDeque<LoggedLine>>,
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
        let (warnings, kept) = (ArrayQueue::new(WARNINGS_MAX), Mutex::default());
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
        while let Some(line) = self.warnings.pop() {
            if kept.len() == WARNINGS_MAX {
                kept.pop_front();
            }
            kept.push_back(line);
        }
        kept.iter().rev().take(most).cloned().collect()
    }

    /// Notes what is logged, if it is a warning or an error. Never waits; the oldest gives way.
    pub(super) fn note(&self, level: Level, at: Timestamp, message: &str, fields: &str) {
        // tracing orders levels by verbosity: WARN and ERROR are the least.
        if level <= Level::WARN {
            let (message, fields) = (message.into(), format!("{{{fields}}}").into());
            self.warnings.force_push(LoggedLine { at, is_error: level == Level::ERROR, message, fields });
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
            desk.note(Level::WARN, Timestamp(number as u64), "oh", "\"n\":1");
            desk.note(Level::INFO, Timestamp(0), "nothing", "");
        }
        desk.note(Level::ERROR, Timestamp(7), "ah", "");
        let lines = desk.warnings(usize::MAX);
        assert_eq!(lines.len(), WARNINGS_MAX);
        assert_eq!((&*lines[0].message, &*lines[0].fields, lines[0].is_error), ("ah", "{}", true));
        assert_eq!((&*lines[1].message, &*lines[1].fields, lines[1].is_error), ("oh", "{\"n\":1}", false));
        desk.note(Level::WARN, Timestamp(8), "again", "");
        assert_eq!(&*desk.warnings(1)[0].message, "again");
        assert_eq!(desk.warnings(usize::MAX).len(), WARNINGS_MAX);
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
