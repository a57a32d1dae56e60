//! The tally: what a shard has done since it started, in plain numbers (issue 5; docs/OPERATIONS.md, metrics).
//!
//! Counted in one place, from what leaves the shard, so that nothing that a line hears can be forgotten; only spans of
//! time, which no effect tells, are noted where they end. Numbers never go down. Nothing here decides anything, and no label
//! is made from what a client says.

use super::call::Volume;
use super::cause::{Cause, Reason};
use super::effect::{CallMode, CallRecord, Effect, Notice};
use super::event::{Request, Verb};
use super::tie::TieNotice;
use super::time::Tick;

/// Upper bounds of the buckets of a [`Histogram`], in microseconds: what software takes, what networks take, and what people
/// take to pick up.
pub const BOUNDS_US: [u64; 20] = [
    50,
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
];

/// How long things took.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Histogram {
    /// How many fell into each bucket, the last one being above all bounds. Not cumulative.
    pub counts: [u64; BOUNDS_US.len() + 1],
    /// All together, in microseconds.
    pub sum_us: u64,
}

impl Histogram {
    /// Notes a span, in microseconds.
    pub fn note(&mut self, span_us: u64) {
        self.counts[BOUNDS_US.partition_point(|&bound| bound < span_us)] += 1;
        self.sum_us += span_us;
    }

    /// Notes what has passed since `start`; nothing, if it is in the future, as another shard's clock may be.
    pub fn note_since(&mut self, start: Tick, now: Tick) {
        self.note(now.micros().saturating_sub(start.micros()));
    }

    /// Adds what another shard has counted.
    pub fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.sum_us += other.sum_us;
    }

    /// The span that this part of all (0 to 1) did not exceed, in microseconds, as far as buckets can tell: within one, spans are
    /// taken to be spread evenly, and those beyond the last bound to be as long as it. `None` if there was none.
    pub fn quantile_us(&self, part: f64) -> Option<f64> {
        let wanted = part.clamp(0.0, 1.0) * self.len() as f64;
        let (mut below, mut lower) = (0.0, 0.0);
        for (&bound, &count) in BOUNDS_US.iter().zip(&self.counts) {
            let (count, bound) = (count as f64, bound as f64);
            if count > 0.0 && below + count >= wanted {
                return Some(lower + (bound - lower) * ((wanted - below) / count).max(0.0));
            }
            (below, lower) = (below + count, bound);
        }
        (!self.is_empty()).then_some(lower)
    }

    /// How many spans there were.
    pub fn len(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A count for each reason there may be. What other exchanges and clients put into words of their own counts as one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PerReason([u64; Cause::ALL.len() + 1]);

impl Default for PerReason {
    fn default() -> Self {
        Self([0; Cause::ALL.len() + 1])
    }
}

impl PerReason {
    /// The name under which reasons count that are not the exchange's own.
    pub const OTHER: &'static str = "other";

    fn count(&mut self, cause: Cause) {
        self.0[cause as usize] += 1;
    }

    /// Whoever ends a call may say why in words of the exchange's own: they count as such.
    fn count_reason(&mut self, reason: &Reason) {
        let by_name = || Cause::ALL.into_iter().find(|cause| cause.name() == reason.as_str());
        self.0[reason.cause().or_else(by_name).map_or(Cause::ALL.len(), |cause| cause as usize)] += 1;
    }

    /// All counts with the reasons' names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = Cause::ALL.iter().map(|cause| cause.name()).chain([Self::OTHER]);
        names.zip(self.0)
    }

    /// Adds what another shard has counted.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }

    /// All reasons together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// What a shard has done so far.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// Requests by verb; see [`Verb::ALL`].
    pub requests: [u64; Verb::ALL.len()],
    /// Requests that were turned down, by cause; not those that were not understood.
    pub refusals: PerReason,
    /// Registrations that were granted, renewals among them.
    pub registered: u64,
    /// Registrations that were not.
    pub register_refusals: PerReason,
    /// Links of other exchanges that have registered.
    pub ties_registered: u64,
    /// Those that were refused.
    pub ties_refused: u64,
    /// Connections closed by the exchange.
    pub closed: PerReason,
    /// Calls that were answered here.
    pub answered: u64,
    /// Listeners that broadcasts got here.
    pub listeners: u64,
    /// Dials that came to nothing here.
    pub failed_dials: PerReason,
    /// Calls that were up and ended.
    pub ended: PerReason,
    /// Listeners that broadcasts lost.
    pub listeners_gone: PerReason,
    /// From DIAL to RING, of calls that rang here.
    pub ringing: Histogram,
    /// From RING to CONNECTED.
    pub answering: Histogram,
    /// From the start of a wake handler until the agent was there.
    pub waking: Histogram,
    /// Wake handlers that were started.
    pub wakes: u64,
    /// Those after which no agent came in time.
    pub wakes_failed: u64,
    /// Messages handed to one line each.
    pub delivered: Volume,
    /// Messages handed to listeners and members, one for each of them.
    pub fanned_out: Volume,
    /// Messages that had no call to go to.
    pub strays: u64,
    /// Lines sent home to another shard.
    pub relocations: u64,
}

impl Tally {
    pub(super) fn count_request(&mut self, request: &Request<'_>) {
        self.requests[request.verb() as usize] += 1;
    }

    pub(super) fn count_effects(&mut self, effects: &[Effect<'_>]) {
        effects.iter().for_each(|effect| self.count_effect(effect));
    }

    fn count_effect(&mut self, effect: &Effect<'_>) {
        match effect {
            Effect::Notify { notice, .. } => self.count_notice(notice),
            Effect::Publish { lines, notice } => self.count_fan_out(lines.len() as u64, notice),
            Effect::Close { cause, .. } => self.closed.count(*cause),
            Effect::SendAway { .. } => self.closed.count(Cause::Restarting),
            Effect::Record(record) => self.count_record(record),
            Effect::Relocate { .. } => self.relocations += 1,
            Effect::Wake { .. } => self.wakes += 1,
            Effect::Stray(_) => self.strays += 1,
            _ => {}
        }
    }

    fn count_notice(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Message { data, .. } => self.delivered.count(data.bytes().map_or(0, <[u8]>::len)),
            Notice::Registered { .. } => self.registered += 1,
            Notice::RegisterRefused(cause) => self.register_refusals.count(*cause),
            Notice::Refused { cause, .. } => self.refusals.count(*cause),
            Notice::Tie(TieNotice::Registered { .. }) => self.ties_registered += 1,
            Notice::Tie(TieNotice::Refused(_)) => self.ties_refused += 1,
            _ => {}
        }
    }

    fn count_fan_out(&mut self, lines: u64, notice: &Notice<'_>) {
        let (Notice::Message { data, .. } | Notice::PartyMessage { data, .. }) = notice else { return };
        self.fanned_out.messages += lines;
        self.fanned_out.bytes += lines * data.bytes().map_or(0, <[u8]>::len) as u64;
    }

    fn count_record(&mut self, record: &CallRecord) {
        let counts = match (record.mode, record.answered) {
            (_, None) => &mut self.failed_dials,
            (CallMode::Broadcast, Some(_)) => &mut self.listeners_gone,
            (_, Some(_)) => &mut self.ended,
        };
        counts.count_reason(&record.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_within_the_bucket_that_holds_them() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile_us(0.5), None);
        for span_us in [60; 90].into_iter().chain([4_000; 9]).chain([500_000_000]) {
            histogram.note(span_us);
        }
        let quantile = |part| histogram.quantile_us(part).unwrap();
        assert!((50.0..=100.0).contains(&quantile(0.5)) && (2_500.0..=5_000.0).contains(&quantile(0.95)));
        assert_eq!(quantile(0.9), 100.0);
        assert_eq!(quantile(1.0), 120_000_000.0);
    }
}
