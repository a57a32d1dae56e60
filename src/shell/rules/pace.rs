//! When keys are fetched: now and then, sooner if they are wanted, never more often than once a minute.
//!
//! Whoever sends tokens with made-up key ids could otherwise have the key server asked as often as he likes. Pure: the time is
//! passed in.

use std::time::{Duration, Instant};

/// Least time between two fetches.
const FETCH_EVERY_MIN: Duration = Duration::from_secs(60);
/// Time between two fetches that nobody has asked for.
const FETCH_EVERY: Duration = Duration::from_secs(600);

/// The time of the next fetch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    last: Instant,
    next: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { last: now, next: now + FETCH_EVERY }
    }

    /// How long to wait for it.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }

    /// A key is missing.
    pub(super) fn want(&mut self, now: Instant) {
        self.next = self.next.min(now.max(self.last + FETCH_EVERY_MIN));
    }

    /// Keys are being fetched.
    pub(super) fn fetched(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// None came.
    pub(super) fn failed(&mut self, now: Instant) {
        self.want(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_fetched_at_most_once_a_minute_however_often_they_are_wanted() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(start);
        assert_eq!(pace.wait(at(0)), FETCH_EVERY);
        pace.want(at(10));
        pace.want(at(20));
        assert_eq!(pace.wait(at(20)), Duration::from_secs(40));
        pace.fetched(at(60));
        assert_eq!(pace.wait(at(60)), FETCH_EVERY);
        pace.want(at(300));
        assert_eq!(pace.wait(at(300)), Duration::ZERO);
        pace.fetched(at(300));
        pace.failed(at(303));
        assert_eq!(pace.wait(at(310)), Duration::from_secs(50));
    }
}
