//! The sum of what all workers counted, and the time line of the measured window.
//!
//! Lives on the main thread. A second of the time line is complete when every worker has handed it over.

use std::collections::{BTreeMap, VecDeque};

use hdrhistogram::Histogram;

use super::tally::{FAULTS_SHOWN, Figures, Interval, Span, Tally, Traffic, Waits, histogram};
use crate::engine::timers::{Nanos, SECOND};
use crate::results::{Latency, Slot};

/// Steps of a latency's curve for each halving of what is left.
const CURVE_STEPS: u32 = 8;
const NANOS_IN_MICRO: f64 = 1e3;
/// Seconds of the time line that are kept one by one: 12 hours. Older ones are brought together to minutes.
const SECONDS_MAX: usize = 12 * 3600;
const SECONDS_IN_MINUTE: usize = 60;

/// Sums of all workers.
#[derive(Debug)]
pub struct Ledger {
    /// What is counted.
    pub figures: Figures,
    workers: usize,
    /// By the order in the figures.
    pub latencies: Vec<Histogram<u64>>,
    /// By the order in the figures.
    pub counters: Vec<u64>,
    /// Completed in the window.
    pub operations: u64,
    /// Of the window and of what ended after it.
    pub errors: BTreeMap<String, u64>,
    /// Before the window.
    pub early_errors: BTreeMap<String, u64>,
    /// The first few.
    pub faults: Vec<String>,
    /// All.
    pub faults_total: u64,
    /// How late the generator was.
    pub lateness: Histogram<u64>,
    /// The longest queue of operations that were due.
    pub queue_max: u64,
    /// In the window.
    pub waits: Waits,
    /// In the window.
    pub traffic: Traffic,
    /// Processor time of each worker in the window, and the window's length.
    busy: Vec<(f64, f64)>,
    /// The time line before the first of the seconds, in minutes.
    minutes: Vec<Slot>,
    /// See [`SECONDS_MAX`].
    seconds_max: usize,
    /// The number of the first second that is kept.
    first: usize,
    slots: VecDeque<Second>,
}

/// A second of the window.
#[derive(Debug)]
struct Second {
    /// Main latency; dropped when complete.
    main: Option<Histogram<u64>>,
    slot: Slot,
    workers: usize,
}

impl Ledger {
    /// Nothing yet.
    pub fn new(figures: Figures, workers: usize) -> Self {
        Self {
            figures,
            workers,
            latencies: figures.latencies.iter().map(|_| histogram()).collect(),
            counters: vec![0; figures.counters.len()],
            operations: 0,
            errors: BTreeMap::new(),
            early_errors: BTreeMap::new(),
            faults: Vec::new(),
            faults_total: 0,
            lateness: histogram(),
            queue_max: 0,
            waits: Waits::default(),
            traffic: Traffic::default(),
            busy: vec![(0.0, 0.0); workers],
            minutes: Vec::new(),
            seconds_max: SECONDS_MAX,
            first: 0,
            slots: VecDeque::new(),
        }
    }

    /// A fault that no worker could see. It comes before theirs: it may be why there are any.
    pub fn fault(&mut self, text: String) {
        self.faults_total += 1;
        self.faults.insert(0, text);
    }

    /// Adds what a worker counted. Gives the second that is complete with it, to be completed with what the server
    /// says.
    pub fn add(&mut self, worker: usize, interval: &Interval) -> Option<&mut Slot> {
        let tally = &interval.tally;
        self.faults_total += tally.faults_total;
        let room = FAULTS_SHOWN.saturating_sub(self.faults.len());
        self.faults.extend(tally.faults.iter().take(room).cloned());
        let errors = if tally.span == Span::Before { &mut self.early_errors } else { &mut self.errors };
        for (reason, count) in &tally.errors {
            *errors.entry(reason.clone()).or_default() += count;
        }
        if tally.span == Span::Before {
            return None;
        }
        for (sum, more) in self.latencies.iter_mut().zip(&tally.latencies) {
            sum.add(more).expect("both have the same bounds");
        }
        let Span::Slot(number) = tally.span else { return None };
        self.add_counts(tally);
        if self.slots.len() >= self.seconds_max + SECONDS_IN_MINUTE {
            self.merge_oldest();
        }
        let length = interval.length as f64 / SECOND as f64;
        let (busy, whole) = &mut self.busy[worker];
        (*busy, *whole) = (*busy + interval.busy * length, *whole + length);
        self.add_second(number as usize, interval, length)
    }

    fn add_counts(&mut self, tally: &Tally) {
        self.operations += tally.operations;
        for (sum, more) in self.counters.iter_mut().zip(&tally.counters) {
            *sum += more;
        }
        self.lateness.add(&tally.lateness).expect("both have the same bounds");
        self.queue_max = self.queue_max.max(tally.queue_max);
        self.waits.add(tally.waits);
        let (sum, more) = (&mut self.traffic, tally.traffic);
        sum.frames_sent += more.frames_sent;
        sum.frames_received += more.frames_received;
        sum.bytes_sent += more.bytes_sent;
        sum.bytes_received += more.bytes_received;
    }

    fn add_second(&mut self, number: usize, interval: &Interval, length: f64) -> Option<&mut Slot> {
        // A worker that is hours behind the others has nothing to say any more.
        let number = number.checked_sub(self.first)?;
        while self.slots.len() <= number {
            self.slots.push_back(Second { main: Some(histogram()), slot: Slot::default(), workers: 0 });
        }
        let tally = &interval.tally;
        let second = &mut self.slots[number];
        second.workers += 1;
        let slot = &mut second.slot;
        slot.operations += tally.operations;
        slot.errors += tally.errors_total;
        slot.connections += interval.connections;
        slot.length_s = slot.length_s.max(length);
        slot.at_s = slot.at_s.max(interval.ended as f64 / SECOND as f64);
        if let (Some(sum), Some(more)) = (&mut second.main, tally.latencies.first()) {
            sum.add(more).expect("both have the same bounds");
        }
        if second.workers < self.workers {
            return None;
        }
        if let Some(main) = second.main.take().filter(|main| !main.is_empty()) {
            slot.p50_us = Some(micros(main.value_at_quantile(0.5)));
            slot.p99_us = Some(micros(main.value_at_quantile(0.99)));
            slot.max_us = Some(micros(main.max()));
        }
        Some(slot)
    }

    /// Brings the oldest minute of the time line together.
    fn merge_oldest(&mut self) {
        let seconds: Vec<Slot> = self.slots.drain(..SECONDS_IN_MINUTE).map(|second| second.slot).collect();
        self.first += SECONDS_IN_MINUTE;
        self.minutes.push(merged(&seconds));
    }

    /// The time line.
    pub fn timeline(&self) -> Vec<Slot> {
        let seconds = self.slots.iter().map(|second| second.slot.clone());
        self.minutes.iter().cloned().chain(seconds).collect()
    }

    /// The length of what was measured, seconds.
    pub fn measured_s(&self) -> f64 {
        let minutes: f64 = self.minutes.iter().map(|slot| slot.length_s).sum();
        minutes + self.slots.iter().map(|second| second.slot.length_s).sum::<f64>()
    }

    /// The part of the window in which the busiest worker had something to do.
    pub fn busiest(&self) -> f64 {
        self.busy.iter().map(|(busy, whole)| busy / whole.max(f64::MIN_POSITIVE)).fold(0.0, f64::max)
    }
}

/// One slot for several: sums and levels are exact, p50 is the median of theirs, p99 and the maximum the greatest.
fn merged(slots: &[Slot]) -> Slot {
    let last = slots.last().cloned().unwrap_or_default();
    let sorted = |of: fn(&Slot) -> Option<f64>| {
        let mut values: Vec<f64> = slots.iter().filter_map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let p50 = sorted(|slot| slot.p50_us);
    Slot {
        length_s: slots.iter().map(|slot| slot.length_s).sum(),
        operations: slots.iter().map(|slot| slot.operations).sum(),
        errors: slots.iter().map(|slot| slot.errors).sum(),
        p50_us: p50.get(p50.len() / 2).copied(),
        p99_us: sorted(|slot| slot.p99_us).last().copied(),
        max_us: sorted(|slot| slot.max_us).last().copied(),
        ..last
    }
}

/// A distribution in the form of the results.
pub fn latency(values: &Histogram<u64>) -> Latency {
    if values.is_empty() {
        return Latency::default();
    }
    let at = |quantile| micros(values.value_at_quantile(quantile));
    let curve = values.iter_quantiles(CURVE_STEPS).map(|step| {
        let quantile = step.quantile_iterated_to();
        (quantile, micros(step.value_iterated_to().min(values.max())))
    });
    Latency {
        count: values.len(),
        min_us: micros(values.min()),
        mean_us: values.mean() / NANOS_IN_MICRO,
        p50_us: at(0.5),
        p90_us: at(0.9),
        p99_us: at(0.99),
        p999_us: at(0.999),
        max_us: micros(values.max()),
        curve: curve.collect(),
    }
}

fn micros(nanos: Nanos) -> f64 {
    nanos as f64 / NANOS_IN_MICRO
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURES: Figures = Figures { operation: "call", latencies: &["main"], counters: &["n"] };

    fn interval(span: Span, values: &[u64], errors: &[&str]) -> Interval {
        let mut tally = Tally::new(FIGURES);
        tally.span = span;
        for &value in values {
            tally.record(0, 0, value);
            tally.done();
        }
        errors.iter().for_each(|reason| tally.error("busy", reason));
        let ended = if span == Span::Slot(1) { 2 * SECOND } else { SECOND };
        Interval { tally, connections: 2, busy: 0.5, length: SECOND, ended }
    }

    #[test]
    fn a_second_is_complete_when_all_workers_have_handed_it_over() {
        let mut ledger = Ledger::new(FIGURES, 2);
        assert!(ledger.add(0, &interval(Span::Before, &[1], &["early"])).is_none());
        assert!(ledger.add(0, &interval(Span::Slot(0), &[1000, 2000], &["dnd"])).is_none());
        assert!(ledger.add(0, &interval(Span::Slot(1), &[9000], &[])).is_none());
        let slot = ledger.add(1, &interval(Span::Slot(0), &[3000], &[])).expect("both have come").clone();
        assert_eq!((slot.operations, slot.errors, slot.connections), (3, 1, 4));
        assert_eq!(slot.p50_us.map(f64::round), Some(2.0));
        assert!(ledger.add(1, &interval(Span::After, &[70_000], &["late"])).is_none());
        assert_eq!((ledger.operations, ledger.latencies[0].len()), (4, 5));
        assert_eq!(ledger.errors.keys().map(String::as_str).collect::<Vec<_>>(), ["busy:dnd", "busy:late"]);
        assert_eq!((ledger.early_errors.len(), ledger.timeline().len()), (1, 2));
        assert!((ledger.measured_s() - 2.0).abs() < 1e-9 && (ledger.busiest() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_distribution_is_ordered_and_its_curve_ends_at_the_greatest() {
        let mut values = histogram();
        (1..=1000_u64).for_each(|value| values.saturating_record(value * 1000));
        let found = latency(&values);
        let order = [found.min_us, found.p50_us, found.p90_us, found.p99_us, found.p999_us, found.max_us];
        assert!(order.windows(2).all(|pair| pair[0] <= pair[1]), "{order:?}");
        assert!((found.p50_us - 500.0).abs() < 1.0 && (found.mean_us - 500.5).abs() < 1.0);
        assert!(found.curve.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1));
        assert_eq!(found.curve.last().map(|&(_, value)| value), Some(found.max_us));
        assert_eq!(latency(&histogram()), Latency::default());
    }
    #[test]
    fn a_run_of_days_is_kept_in_minutes_and_loses_no_operation() {
        const HOUR: usize = 3600;
        let mut ledger = Ledger { seconds_max: HOUR, ..Ledger::new(FIGURES, 1) };
        let seconds = HOUR + 3 * SECONDS_IN_MINUTE;
        let mut second = interval(Span::Slot(0), &[1000], &["a"]);
        for number in 0..seconds {
            second.tally.span = Span::Slot(number as u32);
            second.ended = (number as u64 + 1) * SECOND;
            ledger.add(0, &second);
        }
        let timeline = ledger.timeline();
        assert_eq!(timeline.len(), HOUR + SECONDS_IN_MINUTE + 2);
        assert_eq!((timeline[0].at_s, timeline[0].length_s, timeline[0].operations), (60.0, 60.0, 60));
        assert_eq!((timeline[2].at_s, timeline[2].length_s), (121.0, 1.0));
        assert_eq!(timeline.iter().map(|slot| slot.operations).sum::<u64>(), seconds as u64);
        assert!((ledger.measured_s() - seconds as f64).abs() < 1e-6);
    }
}
