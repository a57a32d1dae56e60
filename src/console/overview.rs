//! The exchange at a glance: what it holds, how fast it goes, what comes to nothing and why, shard beside shard.
//!
//! Made of the shards' reports alone. Rates need two of them: [`History`] keeps some seconds of the few counts that have one.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::exchange::tally::{Histogram, PerReason, Tally};
use crate::exchange::time::{Moment, Tick};

use super::report::Report;

/// How far back rates look, in milliseconds: long enough to be calm, short enough to show what happens now.
const RATE_SPAN_MS: u64 = 10_000;
/// Samples that are kept: one a second, and some more if they come faster.
const SAMPLES_MAX: usize = 32;
/// Causes that are named in the list of the most frequent ones.
const TOP_CAUSES: usize = 10;
/// The parts of a distribution that are shown.
const QUANTILES: [(&str, f64); 4] = [("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("p999_ms", 0.999)];

/// Numbers of something by their names.
type Named<Of, Number, const LEN: usize> = [(&'static str, fn(&Of) -> Number); LEN];

/// The counts that have a rate, and their names there.
const RATES: Named<Report, u64, 10> = [
    ("connections", |report| report.meter.opened),
    ("registrations", |report| report.tally.registered),
    ("dials", |report| dials(&report.tally)),
    ("answers", |report| report.tally.answered),
    ("hangups", |report| report.tally.ended.total()),
    ("messages_in", |report| report.meter.messages_in),
    ("messages_out", |report| report.tally.delivered.messages + report.tally.fanned_out.messages),
    ("bytes_in", |report| report.meter.bytes_in),
    ("bytes_out", |report| report.meter.bytes_out),
    ("refusals", |report| report.tally.refusals.total() + report.tally.register_refusals.total()),
];

/// Dials that have come to their outcome.
fn dials(tally: &Tally) -> u64 {
    tally.answered + tally.listeners + tally.failed_dials.total()
}

/// Counts by cause, of a tally.
type CausesOf = fn(&Tally) -> &PerReason;

/// Counts of some seconds.
#[derive(Default, Debug)]
pub struct History {
    samples: VecDeque<(Tick, [u64; RATES.len()])>,
}

impl History {
    /// Notes what the shards say now.
    pub fn note(&mut self, now: Tick, reports: &[Report]) {
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back((now, counts(reports)));
    }

    /// How often each thing happens a second, and over how many milliseconds that was looked at.
    fn rates(&self, now: Tick, reports: &[Report]) -> (u64, [f64; RATES.len()]) {
        let is_near = |at: Tick| at.plus_millis(RATE_SPAN_MS) >= now;
        let Some((then, before)) = self.samples.iter().find(|(at, _)| is_near(*at)) else {
            return (0, [0.0; RATES.len()]);
        };
        let span_us = now.micros().saturating_sub(then.micros());
        let mut rates = [0.0; RATES.len()];
        if span_us > 0 {
            for ((rate, now), before) in rates.iter_mut().zip(counts(reports)).zip(before) {
                *rate = now.saturating_sub(*before) as f64 * 1e6 / span_us as f64;
            }
        }
        (span_us / 1000, rates)
    }
}

fn counts(reports: &[Report]) -> [u64; RATES.len()] {
    RATES.map(|(_, of)| reports.iter().map(of).sum())
}

/// The overview as JSON; `started_ms` is when the exchange started, by the wall clock.
pub fn overview(reports: &[Report], history: &History, now: Moment, started_ms: u64) -> Value {
    let (over_ms, rates) = history.rates(now.tick, reports);
    let per_second: serde_json::Map<String, Value> =
        RATES.iter().zip(rates).map(|((name, _), rate)| ((*name).to_owned(), json!(rounded(rate)))).collect();
    let total = Totals::of(reports);
    let dials =
        [("answered", total.sum(|tally| tally.answered)), ("listening", total.sum(|tally| tally.listeners))];
    let failed = total.per_reason(|tally| &tally.failed_dials);
    let dials: serde_json::Map<String, Value> = dials
        .into_iter()
        .chain(failed.iter().filter(|(_, count)| *count > 0))
        .map(|(outcome, count)| (outcome.to_owned(), json!(count)))
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "now_ms": now.wall_ms,
        "started_ms": started_ms,
        "uptime_s": now.tick.seconds(),
        "totals": total.now(),
        "rates_per_s": per_second,
        "rates_over_ms": over_ms,
        "dials": dials,
        "top_causes": total.top_causes(),
        "latency": {
            "dial_to_ring": total.spans(|report| &report.tally.ringing),
            "ring_to_connected": total.spans(|report| &report.tally.answering),
            "wake": total.spans(|report| &report.tally.waking),
            "queue_wait": total.spans(|report| &report.meter.queue_wait),
        },
        "shards": reports.iter().enumerate().map(|(number, report)| shard(number, report, now)).collect::<Vec<_>>(),
    })
}

fn shard(number: usize, report: &Report, now: Moment) -> Value {
    let counts = &report.counts;
    json!({
        "shard": number,
        "reported_ms_ago": now.tick.millis().saturating_sub(report.at.millis()),
        "connections": report.connections,
        "registered": counts.registered,
        "calls_connected": counts.connected_calls,
        "calls_ringing": counts.ringing_calls(),
        "calls_waiting": counts.waiting_calls,
        "listeners": counts.listeners,
        "parties": counts.parties,
        "congested": report.congested,
        "input_bytes": report.input_bytes,
        "output_bytes": report.output_bytes,
        "messages_in": report.meter.messages_in,
        "turns": report.meter.turns,
        "trunk_outbox": report.trunks.iter().map(|trunk| trunk.outbox).sum::<usize>(),
    })
}

/// All shards together.
struct Totals<'r>(&'r [Report]);

impl<'r> Totals<'r> {
    fn of(reports: &'r [Report]) -> Self {
        Self(reports)
    }

    fn sum(&self, of: fn(&Tally) -> u64) -> u64 {
        self.0.iter().map(|report| of(&report.tally)).sum()
    }

    fn count(&self, of: fn(&Report) -> usize) -> usize {
        self.0.iter().map(of).sum()
    }

    fn now(&self) -> Value {
        json!({
            "connections": self.count(|report| report.connections),
            "registered": self.count(|report| report.counts.registered),
            "calls": {
                "waiting": self.count(|report| report.counts.waiting_calls),
                "ringing": self.count(|report| report.counts.ringing_calls()),
                "connected": self.count(|report| report.counts.connected_calls),
            },
            "listeners": self.count(|report| report.counts.listeners),
            "parties": self.count(|report| report.counts.parties),
            "links": self.count(|report| report.counts.ties),
            "sleeping": self.count(|report| report.counts.profiles),
            "wakes_in_flight": self.count(|report| report.counts.runs),
            "congested": self.count(|report| report.congested),
        })
    }

    fn per_reason(&self, of: fn(&Tally) -> &PerReason) -> PerReason {
        let mut total = PerReason::default();
        self.0.iter().for_each(|report| total.add(of(&report.tally)));
        total
    }

    /// The most frequent causes of what people may ask about, since the start.
    fn top_causes(&self) -> Vec<Value> {
        let kinds: [(&str, CausesOf); 5] = [
            ("dial", |tally| &tally.failed_dials),
            ("hangup", |tally| &tally.ended),
            ("request", |tally| &tally.refusals),
            ("register", |tally| &tally.register_refusals),
            ("close", |tally| &tally.closed),
        ];
        let mut causes: Vec<(u64, &str, &'static str)> = Vec::new();
        for (what, of) in kinds {
            let counts = self.per_reason(of);
            causes.extend(counts.iter().filter(|(_, n)| *n > 0).map(|(cause, count)| (count, what, cause)));
        }
        causes.sort_unstable_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let top = causes.into_iter().take(TOP_CAUSES);
        top.map(|(count, what, cause)| json!({ "what": what, "cause": cause, "count": count })).collect()
    }

    fn spans(&self, of: fn(&Report) -> &Histogram) -> Value {
        let mut total = Histogram::default();
        self.0.iter().for_each(|report| total.add(of(report)));
        let mut spans = json!({ "count": total.len() });
        for (name, part) in QUANTILES {
            spans[name] = total.quantile_us(part).map_or(Value::Null, |us| json!(rounded(us / 1e3)));
        }
        spans
    }
}

/// To a thousandth: more digits than that are noise.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment { tick: Tick::from_millis(seconds * 1000), wall_ms: 5_000_000 + seconds * 1000 }
    }

    fn reports(messages_in: u64) -> Vec<Report> {
        let mut report = Report { connections: 3, ..Report::default() };
        report.meter.messages_in = messages_in;
        vec![report.clone(), report]
    }

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let mut history = History::default();
        assert_eq!(overview(&reports(9), &history, at(1), 0)["rates_per_s"]["messages_in"], 0.0);
        history.note(at(0).tick, &reports(0));
        history.note(at(95).tick, &reports(1000));
        let shown = overview(&reports(1050), &history, at(100), 5_000_000);
        assert_eq!(shown["rates_per_s"]["messages_in"], 20.0);
        assert_eq!((&shown["rates_over_ms"], &shown["uptime_s"]), (&json!(5000), &json!(100)));
        assert_eq!(shown["totals"]["connections"], 6);
        assert_eq!(shown["shards"][1]["shard"], 1);
    }

    #[test]
    fn the_history_is_bounded() {
        let mut history = History::default();
        (0..1000).for_each(|second| history.note(at(second).tick, &reports(second)));
        assert_eq!(history.samples.len(), SAMPLES_MAX);
    }
}
