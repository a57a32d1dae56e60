//! The rows of a comparison: what is held beside each other, and what may be concluded from it.
//!
//! Rows of the first kind come from the seconds of both runs and are judged. Rows of the second kind are one number for
//! each run; there is nothing to measure their spread by, so they are shown and never judged.

use serde::Serialize;

use super::statistics::{self, Estimate, SECONDS_MIN};
use crate::report::headline;
use crate::results::{Latency, Results, Slot};

/// Seconds shorter than this are the cut-off end of a run.
const SLOT_S_MIN: f64 = 0.5;

/// A value of a second, if it has one.
type OfSlot = fn(&Slot) -> Option<f64>;
/// A value of a distribution.
type OfLatency = fn(&Latency) -> f64;

/// What a row says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The second run is better, by more than noise.
    Better,
    /// It is worse.
    Worse,
    /// The difference is one that two runs of the same program may show.
    Noise,
    /// There is too little to go by.
    CannotTell,
}

impl Verdict {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Noise => "noise",
            Self::CannotTell => "cannot tell",
        }
    }
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// So many a second.
    PerSecond,
    /// Microseconds.
    Us,
    /// Bytes.
    Bytes,
    /// A share of one.
    Share,
}

/// One thing that was measured in both runs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// What.
    pub name: String,
    /// The unit of both values.
    pub unit: Unit,
    /// In the first run.
    pub a: f64,
    /// In the second.
    pub b: f64,
    /// The second over the first; absent if the first is zero.
    pub ratio: Option<f64>,
    /// The 99 % interval of the ratio, if the row is judged.
    pub interval: Option<(f64, f64)>,
    /// The conclusion.
    pub verdict: Verdict,
    /// Why nothing can be told.
    pub reason: Option<&'static str>,
}

impl Row {
    /// By how many per cent the second run is worse; 0 unless it is.
    pub fn worse_by_percent(&self) -> f64 {
        if self.verdict != Verdict::Worse {
            return 0.0;
        }
        match (self.ratio, self.unit) {
            (Some(ratio), Unit::PerSecond) => (1.0 - ratio) * 100.0,
            (Some(ratio), _) => (ratio - 1.0) * 100.0,
            // From nothing to something is more than any bound.
            (None, _) => f64::INFINITY,
        }
    }
}

/// The rows that the seconds of both runs decide.
pub fn judged(a: &Results, b: &Results) -> Vec<Row> {
    let rate = |slot: &Slot| Some(slot.operations as f64 / slot.length_s);
    let mut rows = vec![by_median("rate", Unit::PerSecond, a, b, rate)];
    let latencies: [(&str, OfSlot); 3] =
        [("p50", |slot| slot.p50_us), ("p99", |slot| slot.p99_us), ("max", |slot| slot.max_us)];
    let name =
        headline::main_latency(b).map_or_else(|| "latency".to_owned(), |(name, _)| headline::words(name));
    for (label, of) in latencies {
        if [a, b].iter().all(|run| run.timeline.iter().any(|slot| of(slot).is_some())) {
            rows.push(by_median(&format!("{name} {label}"), Unit::Us, a, b, of));
        }
    }
    rows.push(errors(a, b));
    rows
}

fn series(run: &Results, of: impl Fn(&Slot) -> Option<f64>) -> Vec<f64> {
    run.timeline.iter().filter(|slot| slot.length_s >= SLOT_S_MIN).filter_map(of).collect()
}

fn by_median(name: &str, unit: Unit, a: &Results, b: &Results, of: impl Fn(&Slot) -> Option<f64>) -> Row {
    let (first, second) = (series(a, &of), series(b, &of));
    let estimate = statistics::medians(&first, &second);
    let median = |values: &[f64]| statistics::median(&mut values.to_vec());
    let row = plain(name, unit, median(&first), median(&second));
    let too_few = first.len().min(second.len()) < SECONDS_MIN;
    match (too_few, stands_still(&first, &second), stands_still(&second, &first)) {
        (false, true, _) => Row { verdict: Verdict::Worse, reason: None, ..row },
        (false, _, true) => Row { verdict: Verdict::Better, reason: None, ..row },
        _ => conclude(row, estimate, too_few),
    }
}

/// Whether one run was at work in nearly every second and the other was not in half of its: no ratio says that, and
/// chance does not either.
fn stands_still(at_work: &[f64], other: &[f64]) -> bool {
    let zeros = |values: &[f64]| values.iter().filter(|value| **value == 0.0).count();
    zeros(at_work) * 10 <= at_work.len() && zeros(other) * 2 >= other.len()
}

fn conclude(row: Row, estimate: Option<Estimate>, too_few: bool) -> Row {
    let Some(estimate) = estimate else {
        let reason = if too_few { "too few seconds to tell" } else { "a median is zero" };
        return Row { reason: Some(reason), ..row };
    };
    let more_is_better = row.unit == Unit::PerSecond;
    let verdict = match estimate.is_difference() {
        false => Verdict::Noise,
        true if (estimate.ratio > 1.0) == more_is_better => Verdict::Better,
        true => Verdict::Worse,
    };
    Row { interval: Some((estimate.low, estimate.high)), verdict, reason: None, ..row }
}

/// Shares of failed operations. Most seconds have none, so means are compared.
fn errors(a: &Results, b: &Results) -> Row {
    let share = |slot: &Slot| {
        let ended = slot.operations + slot.errors;
        Some(if ended == 0 { 0.0 } else { slot.errors as f64 / ended as f64 })
    };
    let (first, second) = (series(a, share), series(b, share));
    let row = plain("errors, share", Unit::Share, headline::error_share(a), headline::error_share(b));
    let too_few = first.len().min(second.len()) < SECONDS_MIN;
    if too_few {
        return conclude(row, None, too_few);
    }
    let none = |values: &[f64]| values.iter().all(|share| *share == 0.0);
    match (none(&first), none(&second)) {
        (true, true) => Row { verdict: Verdict::Noise, reason: None, ..row },
        (false, false) => conclude(row, statistics::sums(&first, &second), too_few),
        (first_none, _) => {
            // A handful of seconds with errors may all fall into one run by chance; many may not.
            let with = |values: &[f64]| values.iter().filter(|share| **share > 0.0).count();
            let several = with(&first).max(with(&second)) > SECONDS_MIN;
            let verdict = match (several, first_none) {
                (false, _) => Verdict::Noise,
                (true, true) => Verdict::Worse,
                (true, false) => Verdict::Better,
            };
            Row { verdict, reason: None, ..row }
        }
    }
}

/// The rows that are one number for each run.
pub fn unjudged(a: &Results, b: &Results) -> Vec<Row> {
    let mut rows = vec![plain("whole run, rate", Unit::PerSecond, a.rate_per_s, b.rate_per_s)];
    for (name, first) in &a.latencies {
        let Some(second) = b.latencies.get(name) else { continue };
        if first.count > 0 && second.count > 0 {
            rows.extend(percentiles(name, first, second));
        }
    }
    let (Some(first), Some(second)) = (&a.server, &b.server) else { return rows };
    let each = [first, second].map(|server| server.cpu_per_operation_us);
    rows.push(plain("server's processor an operation", Unit::Us, each[0], each[1]));
    if let (Some(first), Some(second)) = (first.bytes_per_connection, second.bytes_per_connection) {
        rows.push(plain("server's memory a connection", Unit::Bytes, first, second));
    }
    rows
}

fn percentiles(name: &str, a: &Latency, b: &Latency) -> Vec<Row> {
    let of: [(&str, OfLatency); 5] = [
        ("p50", |latency| latency.p50_us),
        ("p90", |latency| latency.p90_us),
        ("p99", |latency| latency.p99_us),
        ("p99.9", |latency| latency.p999_us),
        ("max", |latency| latency.max_us),
    ];
    let name = headline::words(name);
    of.map(|(label, of)| plain(&format!("{name} {label}"), Unit::Us, of(a), of(b))).into()
}

/// A row that says nothing yet.
fn plain(name: &str, unit: Unit, a: f64, b: f64) -> Row {
    let ratio = (a > 0.0).then(|| b / a);
    let reason = Some("one number for each run");
    Row { name: name.to_owned(), unit, a, b, ratio, interval: None, verdict: Verdict::CannotTell, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{sample, scaled};

    fn verdicts(a: &Results, b: &Results) -> Vec<(String, Verdict)> {
        judged(a, b).into_iter().map(|row| (row.name, row.verdict)).collect()
    }

    #[test]
    fn equal_runs_with_other_noise_are_noise() {
        let found = verdicts(&sample(), &scaled(1.0, 3));
        assert!(found.iter().all(|(_, verdict)| *verdict == Verdict::Noise), "{found:?}");
    }

    #[test]
    fn a_tenth_faster_is_better_and_a_tenth_slower_worse() {
        for (speed, expected) in [(1.1, Verdict::Better), (0.9, Verdict::Worse)] {
            let found = verdicts(&sample(), &scaled(speed, 2));
            assert!(found[..3].iter().all(|(_, verdict)| *verdict == expected), "{speed}: {found:?}");
        }
    }

    #[test]
    fn a_worse_row_says_by_how_much() {
        let rows = judged(&sample(), &scaled(0.9, 2));
        assert!(rows[..2].iter().all(|row| (8.0..14.0).contains(&row.worse_by_percent())), "{rows:#?}");
        assert_eq!(judged(&sample(), &scaled(1.1, 2))[0].worse_by_percent(), 0.0);
    }

    #[test]
    fn a_run_that_stands_still_is_worse_although_its_ratio_is_nought() {
        let (a, mut b) = (sample(), sample());
        b.timeline.iter_mut().for_each(|slot| slot.operations = 0);
        let row = judged(&a, &b).swap_remove(0);
        assert_eq!((row.verdict, row.worse_by_percent()), (Verdict::Worse, 100.0));
        assert_eq!(judged(&b, &a).swap_remove(0).verdict, Verdict::Better);
        // One operation every few seconds is no standstill.
        let mut rare = b.clone();
        rare.timeline.iter_mut().step_by(3).for_each(|slot| slot.operations = 1);
        assert_eq!(judged(&rare, &b).swap_remove(0).verdict, Verdict::CannotTell);
    }

    #[test]
    fn short_runs_cannot_be_told_apart() {
        let (a, mut b) = (sample(), scaled(2.0, 2));
        b.timeline.truncate(5);
        let rows = judged(&a, &b);
        let reasons = rows.iter().map(|row| (row.verdict, row.reason));
        assert!(reasons.into_iter().all(|it| it == (Verdict::CannotTell, Some("too few seconds to tell"))));
    }

    #[test]
    fn errors_in_many_seconds_of_one_run_only_are_worse() {
        let (mut a, mut b) = (sample(), sample());
        a.timeline.iter_mut().for_each(|slot| slot.errors = 0);
        a.errors.clear();
        b.timeline.iter_mut().for_each(|slot| slot.errors = 40);
        let row = errors(&a, &b);
        assert!(row.verdict == Verdict::Worse && row.ratio.is_none() && row.worse_by_percent().is_infinite());
        assert_eq!(errors(&a, &a).verdict, Verdict::Noise);
    }

    #[test]
    fn numbers_of_whole_runs_are_never_judged() {
        let rows = unjudged(&sample(), &scaled(2.0, 2));
        assert!(rows.len() > 15 && rows.iter().all(|row| row.verdict == Verdict::CannotTell));
    }
}
