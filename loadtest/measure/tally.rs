//! What one worker counts: times, operations, errors, faults. Handed over and begun anew every second.
//!
//! A worker owns its tally alone, so counting takes no lock. What belongs to the measured window is decided here:
//! an operation by when it ended, and a latency that ended after the window by when it began, so that those that
//! were slow at the end are not forgotten.

use hdrhistogram::Histogram;

use crate::engine::timers::{MILLISECOND, Nanos, SECOND};

/// Longer times are counted as this: an hour.
const LATENCY_MAX: Nanos = 3600 * SECOND;
/// Decimal digits that a histogram keeps.
const DIGITS: u8 = 3;
/// Texts of faults that are kept; all are counted.
pub const FAULTS_SHOWN: usize = 20;
/// Whoever begins within this has not waited for anybody.
const WAIT_MIN: Nanos = MILLISECOND;
/// Different reasons that are kept apart.
const REASONS_MAX: usize = 100;

/// An empty histogram of nanoseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LATENCY_MAX, DIGITS).expect("the bounds are in order")
}

/// What a scenario counts.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// What one operation is, such as `call`.
    pub operation: &'static str,
    /// Latencies by name; the first is the main one.
    pub latencies: &'static [&'static str],
    /// Counters by name.
    pub counters: &'static [&'static str],
}

/// Where a tally stands in the run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Span {
    /// Set-up or warm-up: only faults count.
    #[default]
    Before,
    /// A second of the window, counted from 0.
    Slot(u32),
    /// The window is over: what began in it still ends.
    After,
}

/// Counts of one worker and one span.
#[derive(Clone, Debug)]
pub struct Tally {
    /// What they belong to.
    pub span: Span,
    /// By the order in [`Figures`].
    pub latencies: Vec<Histogram<u64>>,
    /// By the order in [`Figures`].
    pub counters: Vec<u64>,
    /// Operations that ended well.
    pub operations: u64,
    /// Operations that did not, by reason.
    pub errors: Vec<(String, u64)>,
    /// All of them.
    pub errors_total: u64,
    /// Breaches of correctness, the first few.
    pub faults: Vec<String>,
    /// All of them.
    pub faults_total: u64,
    /// How late the generator itself was, in nanoseconds.
    pub lateness: Histogram<u64>,
    /// Operations that are due and wait, at most.
    pub queue_max: u64,
    /// Operations that were due and began.
    pub waits: Waits,
    /// Traffic of all clients.
    pub traffic: Traffic,
    /// The end of the window; what began later does not count.
    window_end: Nanos,
}

/// How many operations of an open loop had to wait because all pairs, phones or places were taken.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Waits {
    /// That began.
    pub begun: u64,
    /// Of those, that waited for longer than [`WAIT_MIN`].
    pub waited: u64,
    /// The longest wait.
    pub longest: Nanos,
}

impl Waits {
    /// The sum of two.
    pub fn add(&mut self, more: Self) {
        self.begun += more.begun;
        self.waited += more.waited;
        self.longest = self.longest.max(more.longest);
    }
}

/// Traffic of all clients.
#[derive(Clone, Copy, Default, Debug)]
pub struct Traffic {
    /// Frames handed over to be sent.
    pub frames_sent: u64,
    /// Text frames that came.
    pub frames_received: u64,
    /// Bytes that sockets took, TLS not counted.
    pub bytes_sent: u64,
    /// Bytes that came.
    pub bytes_received: u64,
}

/// What happened in a worker in about a second.
pub struct Interval {
    /// What was counted.
    pub tally: Tally,
    /// Registered clients at its end.
    pub connections: u64,
    /// How much of the time the worker had something to do, 0 to 1.
    pub busy: f64,
    /// Length of the interval in wall time.
    pub length: Nanos,
    /// When it ended, from the beginning of the window.
    pub ended: Nanos,
}

impl Tally {
    /// Nothing counted.
    pub fn new(figures: Figures) -> Self {
        Self {
            span: Span::Before,
            latencies: figures.latencies.iter().map(|_| histogram()).collect(),
            counters: vec![0; figures.counters.len()],
            operations: 0,
            errors: Vec::new(),
            errors_total: 0,
            faults: Vec::new(),
            faults_total: 0,
            lateness: histogram(),
            queue_max: 0,
            waits: Waits::default(),
            traffic: Traffic::default(),
            window_end: Nanos::MAX,
        }
    }

    /// What was counted; from now on the next span is.
    pub fn next(&mut self, figures: Figures, span: Span, window_end: Nanos) -> Self {
        std::mem::replace(self, Self { span, window_end, ..Self::new(figures) })
    }

    /// A time that began at `from` and has ended.
    pub fn record(&mut self, latency: usize, from: Nanos, to: Nanos) {
        if from < self.window_end {
            self.latencies[latency].saturating_record(to.saturating_sub(from));
        }
    }

    /// An operation ended well.
    pub fn done(&mut self) {
        self.operations += 1;
    }

    /// An operation ended otherwise, as the protocol allows: counted as `what:reason`.
    pub fn error(&mut self, what: &str, reason: &str) {
        self.errors_total += 1;
        let same = |key: &str| key.strip_prefix(what).and_then(|rest| rest.strip_prefix(':')) == Some(reason);
        match self.errors.iter().position(|(key, _)| same(key)) {
            Some(at) => self.errors[at].1 += 1,
            None if self.errors.len() < REASONS_MAX => self.errors.push((format!("{what}:{reason}"), 1)),
            // Reasons are a server's own words: it could invent one for each operation.
            None if reason != "other" => {
                self.errors_total -= 1;
                self.error(what, "other");
            }
            None => self.errors.push((format!("{what}:other"), 1)),
        }
    }

    /// A breach of correctness. The text is only made if it is kept.
    pub fn fault(&mut self, text: impl FnOnce() -> String) {
        self.faults_total += 1;
        if self.faults.len() < FAULTS_SHOWN {
            self.faults.push(text());
        }
    }

    /// Adds to a counter.
    pub fn count(&mut self, counter: usize, more: u64) {
        self.counters[counter] += more;
    }

    /// The generator noticed so late that an operation was due.
    pub fn late(&mut self, by: Nanos) {
        self.lateness.saturating_record(by);
    }

    /// An operation that was due begins, so long after that was noticed.
    pub fn began(&mut self, waited: Nanos) {
        self.waits.add(Waits { begun: 1, waited: u64::from(waited > WAIT_MIN), longest: waited });
    }

    /// So many operations are due and wait.
    pub fn queued(&mut self, len: usize) {
        self.queue_max = self.queue_max.max(len as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURES: Figures = Figures { operation: "call", latencies: &["a", "b"], counters: &["c"] };

    #[test]
    fn what_began_after_the_window_is_not_recorded() {
        let mut tally = Tally::new(FIGURES);
        drop(tally.next(FIGURES, Span::After, 1000));
        tally.record(1, 999, 5999);
        tally.record(1, 1000, 6000);
        tally.record(0, 999, 998);
        assert_eq!((tally.latencies[1].len(), tally.latencies[0].len()), (1, 1));
        assert_eq!((tally.latencies[1].max() / 10, tally.latencies[0].max()), (500, 0));
    }

    #[test]
    fn errors_are_counted_by_reason_and_faults_are_bounded() {
        let mut tally = Tally::new(FIGURES);
        for (what, reason) in [("busy", "dnd"), ("busy", "away"), ("busy", "dnd"), ("bus", "y:dnd")] {
            tally.error(what, reason);
        }
        assert_eq!(
            tally.errors,
            [("busy:dnd".to_owned(), 2), ("busy:away".to_owned(), 1), ("bus:y:dnd".to_owned(), 1)]
        );
        for number in 0..100 {
            tally.fault(|| format!("{number}"));
        }
        assert_eq!((tally.faults.len(), tally.faults_total, tally.errors_total), (FAULTS_SHOWN, 100, 4));
    }

    #[test]
    fn the_next_span_begins_with_nothing() {
        let mut tally = Tally::new(FIGURES);
        tally.done();
        tally.count(0, 5);
        tally.queued(3);
        let last = tally.next(FIGURES, Span::Slot(4), 9);
        assert_eq!((last.operations, last.counters[0], last.queue_max, last.span), (1, 5, 3, Span::Before));
        assert_eq!(
            (tally.operations, tally.counters[0], tally.queue_max, tally.span),
            (0, 0, 0, Span::Slot(4))
        );
    }
}
