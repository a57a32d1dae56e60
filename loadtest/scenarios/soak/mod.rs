//! `mixed` for hours, with an eye on what the server keeps: memory, descriptors, threads.
//!
//! What it keeps at the beginning is not counted (`--settle`). After that, growth that is sure and above the bound is a leak,
//! which is a fault and makes the run fail. `measure/trend.rs` says what is sure.

mod sampler;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sampler::{Sampler, Seen};

use super::mixed::Day;
use crate::engine::run::Outcome;
use crate::engine::timers::{Nanos, SECOND};
use crate::fault::Fault;
use crate::measure::probe::{Probe, Sample};
use crate::measure::trend::{Bound, POINTS_MIN, Point, leaks, trend};
use crate::options::{Common, not_negative, positive};
use crate::scenarios::Load;

const MIB: f64 = 1_048_576.0;
const HOUR: f64 = 3600.0 * SECOND as f64;
/// Memory that an allocator may take or give back for reasons of its own.
const BYTES_LEAST: f64 = 2.0 * MIB;
/// Descriptors and threads are few and counted: one a minute, and no fewer than this in all, is a leak.
const COUNT_BOUND: Bound = Bound { per_hour: 60.0, least: 16.0 };
/// Without --settle, this part of the run is for settling.
const SETTLE_PART: f64 = 0.25;

/// Options of `soak`.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    day: Day,
    /// Between two looks at the server, in seconds.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = positive)]
    sample: f64,
    /// What the server may take to settle, in seconds from the beginning; a quarter of the run unless given.
    #[arg(long, value_name = "SECONDS", value_parser = not_negative)]
    settle: Option<f64>,
    /// Growth of the server's memory that is a leak, in bytes an hour.
    #[arg(long, default_value_t = 8 << 20, value_name = "BYTES")]
    leak_bytes_per_hour: u64,
}

impl Load for Options {
    fn parameters(&self) -> BTreeMap<String, String> {
        let mut found = self.day.parameters();
        found.insert("sample".to_owned(), self.sample.to_string());
        if let Some(settle) = self.settle {
            found.insert("settle".to_owned(), settle.to_string());
        }
        found.insert("leak-bytes-per-hour".to_owned(), self.leak_bytes_per_hour.to_string());
        found
    }

    fn run(&self, common: &Common) -> Result<Outcome, Fault> {
        self.day.check(common.threads)?;
        let plan = common.plan()?;
        let probe = match common.watch()?.probe {
            Some(probe) => Arc::new(probe),
            None => {
                return Err(Fault::BadOption(
                    "soak needs --pid or --metrics to see what the server keeps".to_owned(),
                ));
            }
        };
        Probe::sample(&probe)?;
        let sampler = Sampler::start(probe, plan.clock, Duration::from_secs_f64(self.sample))?;
        let outcome = self.day.run(common, &plan);
        let seen = sampler.end()?;
        let mut outcome = outcome?;
        self.judge(&seen, self.settle_s(common), &mut outcome);
        Ok(outcome)
    }
}

impl Options {
    fn settle_s(&self, common: &Common) -> f64 {
        self.settle.unwrap_or(common.duration * SETTLE_PART)
    }

    /// Says the trends and whether they are leaks.
    fn judge(&self, seen: &Seen, settle_s: f64, outcome: &mut Outcome) {
        let settled = outcome.began + (settle_s * SECOND as f64) as Nanos;
        let ended = outcome.began + (outcome.ledger.measured_s() * SECOND as f64) as Nanos;
        let seen: Vec<&(Nanos, Sample)> =
            seen.iter().filter(|(at, _)| (settled..=ended).contains(at)).collect();
        let memory = Bound { per_hour: self.leak_bytes_per_hour as f64, least: BYTES_LEAST };
        let level = |what, unit, word, bound, of| Level { what, unit, word, bound, of };
        for level in [
            level("memory", MIB, " MiB", memory, |sample| sample.memory_bytes),
            level("open descriptors", 1.0, "", COUNT_BOUND, |sample| sample.descriptors),
            level("threads", 1.0, "", COUNT_BOUND, |sample| sample.threads),
        ] {
            level.judge(&seen, outcome);
        }
    }
}

/// Something that the server has so and so much of.
struct Level {
    what: &'static str,
    /// What it is told in, and that unit's name.
    unit: f64,
    word: &'static str,
    bound: Bound,
    of: fn(&Sample) -> Option<u64>,
}

impl Level {
    fn judge(&self, seen: &[&(Nanos, Sample)], outcome: &mut Outcome) {
        let Self { what, unit, word, bound, of } = self;
        let point = |(at, sample): &&(Nanos, Sample)| {
            Some(Point { hours: *at as f64 / HOUR, level: of(sample)? as f64 })
        };
        let points: Vec<Point> = seen.iter().filter_map(point).collect();
        let Some((first, last)) = points.first().zip(points.last()) else { return };
        let (from, to, count) = (first.level / unit, last.level / unit, points.len());
        let Some(trend) = trend(&points) else {
            outcome.notes.push(format!(
                "too few samples after settling ({count}, {POINTS_MIN} are needed) to see any growth of the server's {what}"
            ));
            return;
        };
        let [per_hour, low, high] = [trend.per_hour, trend.low, trend.high].map(|value| value / unit);
        let said = format!(
            "the server's {what}: {from:.1}{word} after settling, {to:.1}{word} at the end; trend \
             {per_hour:+.2}{word} an hour, with 99 % confidence between {low:+.2} and {high:+.2} ({count} samples)"
        );
        if leaks(&points, *bound) {
            outcome.ledger.fault(format!("leak: {said}"));
        }
        outcome.notes.push(said);
    }
}
