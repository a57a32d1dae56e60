//! What the workers of a storm know of each other: when it began, and how many are back.
//!
//! Invariant: the k-th line that comes back is counted once, by the worker that saw it, so that the marks are exact.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::engine::timers::Nanos;

/// Nothing has happened yet.
const NOT_YET: u64 = u64::MAX;

/// Shared by all workers.
#[derive(Debug)]
pub struct Course {
    begun: AtomicU64,
    again: AtomicUsize,
    first: AtomicU64,
    half: AtomicU64,
    most: AtomicU64,
    all: AtomicU64,
    /// Lines that did not come back, by what kept each of them the last time.
    missing: Mutex<BTreeMap<String, u64>>,
}

impl Default for Course {
    fn default() -> Self {
        let not_yet = || AtomicU64::new(NOT_YET);
        Self {
            begun: not_yet(),
            again: AtomicUsize::new(0),
            first: not_yet(),
            half: not_yet(),
            most: not_yet(),
            all: not_yet(),
            missing: Mutex::default(),
        }
    }
}

/// Which part of the run it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weather {
    /// Nobody was cut off yet.
    Before,
    /// Not all are back.
    During,
    /// All are back.
    After,
}

/// The course as it was.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Seen {
    /// When it began.
    pub begun: Option<Nanos>,
    /// Lines that came back.
    pub again: usize,
    /// When the first was back.
    pub first: Option<Nanos>,
    /// When half of them were.
    pub half: Option<Nanos>,
    /// When 99 % were.
    pub most: Option<Nanos>,
    /// When all were.
    pub all: Option<Nanos>,
}

impl Course {
    /// A line was cut off, perhaps the first. Gives when the storm began.
    pub fn begin(&self, now: Nanos) -> Nanos {
        self.begun.fetch_min(now, Ordering::AcqRel).min(now)
    }

    /// One of so many lines is back for the first time.
    pub fn back(&self, now: Nanos, total: usize) {
        let count = self.again.fetch_add(1, Ordering::AcqRel) + 1;
        let marks = [
            (1, &self.first),
            (total.div_ceil(2), &self.half),
            (most_of(total), &self.most),
            (total, &self.all),
        ];
        for (due, mark) in marks {
            if count == due {
                mark.store(now, Ordering::Release);
            }
        }
    }

    /// At the end of the run a line has not come back; what kept it.
    pub fn miss(&self, why: &str) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        *missing.entry(why.to_owned()).or_default() += 1;
    }

    /// How many did not come back, and what kept them, in a sentence; if there are any.
    pub fn missing(&self, total: u32) -> Option<String> {
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let count: u64 = missing.values().sum();
        let reasons: Vec<String> = missing.iter().map(|(why, count)| format!("{why} {count}")).collect();
        let reasons = reasons.join(", ");
        (count > 0).then(|| {
            format!(
                "{count} of {total} lines did not come back in time; what kept them the last time: {reasons}"
            )
        })
    }

    /// Which part of the run it is.
    pub fn weather(&self) -> Weather {
        if self.begun.load(Ordering::Acquire) == NOT_YET {
            return Weather::Before;
        }
        if self.all.load(Ordering::Acquire) == NOT_YET { Weather::During } else { Weather::After }
    }

    /// As it is now.
    pub fn seen(&self, total: usize) -> Seen {
        let at = |mark: &AtomicU64| Some(mark.load(Ordering::Acquire)).filter(|&when| when != NOT_YET);
        Seen {
            begun: at(&self.begun),
            again: self.again.load(Ordering::Acquire).min(total),
            first: at(&self.first),
            half: at(&self.half),
            most: at(&self.most),
            all: at(&self.all),
        }
    }
}

/// 99 % of them, rounded up.
fn most_of(total: usize) -> usize {
    (total * 99).div_ceil(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_missing_is_told_with_what_kept_them() {
        let course = Course::default();
        assert_eq!(course.missing(9), None);
        ["b", "a", "b"].iter().for_each(|why| course.miss(why));
        let said = course.missing(9).expect("three are missing");
        assert!(said.starts_with("3 of 9 lines") && said.ends_with(": a 1, b 2"), "{said}");
    }

    #[test]
    fn the_first_half_most_and_all_are_marked_by_the_line_that_makes_them() {
        let course = Course::default();
        assert_eq!((course.weather(), course.seen(200).begun), (Weather::Before, None));
        assert_eq!((course.begin(7), course.begin(9), course.begin(5)), (7, 7, 5));
        for line in 1..200 {
            course.back(1000 + line, 200);
        }
        let seen = course.seen(200);
        assert_eq!((seen.first, seen.half, seen.most, seen.all), (Some(1001), Some(1100), Some(1198), None));
        assert_eq!(course.weather(), Weather::During);
        course.back(1200, 200);
        assert_eq!((course.weather(), course.seen(200).all), (Weather::After, Some(1200)));
    }
}
