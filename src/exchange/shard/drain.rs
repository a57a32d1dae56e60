//! A drain: the exchange is about to go, and its lines go first, a few at a time (docs/OPERATIONS.md, deploying).
//!
//! Nobody is let in any more; whoever is here is served as before until he is told to go. Lines with nothing going on go first, at a
//! pace that spreads them over the time there is for it; those in parties and broadcasts, which have no end that could be waited
//! for, after that at the same pace; a line in a call of two never before the call has ended. Links to other exchanges stay
//! until the stop, which ends what is left. Invariant: until then no call ends because of the drain, and each line that goes
//! hears one last word. No step looks at more than a part of the lines.

use crate::exchange::address::LOG_SERVICE;
use crate::exchange::call::{Leg, LegStage, Record};
use crate::exchange::cause::Cause;
use crate::exchange::effect::{Effect, Notice, Outbox};
use crate::exchange::event::DrainOrder;
use crate::exchange::ids::LineId;
use crate::exchange::line::Line;
use crate::exchange::time::{Moment, Tick};
use crate::exchange::timers::{Due, TimerId};

use super::Shard;
use super::caller::refusal;
use super::departure::Afterlife;

/// Between two steps, in ms: at most a hundredth of a second's lines go together.
const STEP_MS: u64 = 10;
/// Lines that may go in a second however few there are: so few are no storm for anybody.
const PACE_MIN: u64 = 50;
/// Fewest slots looked at in a step, and the part of all that is: each line is looked at once a second or more often.
const LOOKS_MIN: u32 = 64;
const LOOKS_PART: u32 = 100;
/// Most lines that go in one step, however many are due: some milliseconds' work.
const DEPARTURES_MAX: u64 = 1000;
const MS_PER_SECOND: u64 = 1000;

/// A drain under way.
#[derive(Debug)]
pub(super) struct Drain {
    order: DrainOrder,
    begun: Tick,
    /// Lines that may go in a second.
    pace: u64,
    /// Thousandths of a line that may go now.
    allowance: u64,
    stepped: Tick,
    /// The slot that is looked at next.
    cursor: u32,
    timer: Option<TimerId>,
}

/// What a line has going on, as far as a drain cares.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Engagement {
    /// Nothing that would miss it.
    Idle,
    /// A party or a broadcast: nobody knows when it ends.
    Standing,
    /// A call of two, or a question that is being answered.
    Call,
    /// It leads to another exchange, or is a service of this one: not before the end.
    Fixture,
}

impl Drain {
    /// What has accrued since the last step is not saved up for more than a step: many calls that end together would else be
    /// a storm of their own. A single line may always wait for its turn.
    fn accrue(&mut self, now: Tick) {
        let span_ms = now.millis().saturating_sub(self.stepped.millis());
        // What was left over of a line is never lost.
        let most = self.pace * STEP_MS * 2 + MS_PER_SECOND;
        self.allowance = (self.allowance + self.pace * span_ms).min(most);
        self.stepped = now;
    }

    /// Takes leave for one line, if one may go.
    fn take_leave(&mut self) -> bool {
        let is_due = self.allowance >= MS_PER_SECOND;
        self.allowance -= if is_due { MS_PER_SECOND } else { 0 };
        is_due
    }

    /// The busiest lines that may go by now.
    fn may_go(&self, now: Tick) -> Engagement {
        let is_late = now >= self.begun.plus_millis(self.order.spread_ms);
        if is_late { Engagement::Standing } else { Engagement::Idle }
    }
}

impl Shard {
    /// A drain begins. A second order changes nothing.
    pub(super) fn begin_drain(&mut self, now: Moment, order: DrainOrder) {
        if self.drain.is_some() || self.stopping {
            return;
        }
        let lines = self.lines.len() as u64;
        let pace = (lines * MS_PER_SECOND).div_ceil(order.spread_ms.max(1)).max(PACE_MIN);
        let (begun, stepped) = (now.tick, now.tick);
        self.drain =
            Some(Drain { order, begun, pace, allowance: MS_PER_SECOND, stepped, cursor: 0, timer: None });
        self.keep_draining(now);
    }

    /// Whether a drain is under way.
    pub fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// When somebody who is sent away, or who comes during a drain, is to come back, in ms; `None` if there is no drain. Each
    /// time another number, so that those who leave together do not come back together.
    pub fn retry_after_ms(&mut self) -> Option<u64> {
        let retry_ms = self.drain.as_ref()?.order.retry_ms;
        let jitter = self.draw() as u64 % (retry_ms + 1);
        Some(retry_ms + jitter)
    }

    /// Lines may have come from another shard, or are still here: the next step has to come.
    pub(super) fn keep_draining(&mut self, now: Moment) {
        if self.stopping || self.lines.is_empty() {
            return;
        }
        if let Some(drain) = &mut self.drain
            && drain.timer.is_none()
        {
            drain.timer = Some(self.timers.set(now.tick.plus_millis(STEP_MS), Due::Drain));
        }
    }

    /// A few lines go.
    pub(super) fn on_drain_due(&mut self, now: Moment, out: &mut Outbox<'_>) {
        let Some(drain) = &mut self.drain else { return };
        drain.timer = None;
        drain.accrue(now.tick);
        let most = drain.may_go(now.tick);
        let slots = self.lines.slots();
        let mut departures = 0;
        for _ in 0..(slots / LOOKS_PART).max(LOOKS_MIN).min(slots) {
            let Some(drain) = &mut self.drain else { return };
            if drain.allowance < MS_PER_SECOND || departures >= DEPARTURES_MAX {
                break;
            }
            let slot = drain.cursor % slots;
            drain.cursor = slot + 1;
            let Some((handle, line)) = self.lines.at(slot) else { continue };
            if self.engagement(line) <= most && self.drain.as_mut().is_some_and(Drain::take_leave) {
                departures += 1;
                self.send_away(now, LineId(handle), out);
                self.settle(now, out);
            }
        }
        self.keep_draining(now);
    }

    /// The drain is over, because the exchange stops: it only decides how lines are told.
    pub(super) fn end_drain(&mut self) {
        if let Some(timer) = self.drain.as_mut().and_then(|drain| drain.timer.take()) {
            self.timers.cancel(timer);
        }
    }

    /// The timer of the next step, for checks.
    pub(super) fn drain_timer(&self) -> Option<TimerId> {
        self.drain.as_ref()?.timer
    }

    /// A line goes, with word of when to come back.
    pub(super) fn send_away(&mut self, now: Moment, line: LineId, out: &mut Outbox<'_>) {
        let Some(retry_after_ms) = self.retry_after_ms() else { return };
        self.hang_everything_up(line, out);
        if self.depart(now, line, Cause::Shutdown, Afterlife::Sleeps, out) {
            out.push(Effect::SendAway { line, retry_after_ms });
        }
    }

    /// The calls that a line still has are over, those that pass through a link included; it is told so itself, the others hear of it
    /// when it departs. A dial that has not got through has come to nothing: most callers know no name of the call yet.
    pub(super) fn hang_everything_up(&self, line: LineId, out: &mut Outbox<'_>) {
        let Some(business) = self.lines.get(line.0).and_then(|entry| entry.business.as_ref()) else { return };
        let legs = || business.all_legs().filter_map(|leg| self.legs.get(leg.0));
        let is_dialling = |leg: &&Leg| leg.stage == LegStage::Dialling;
        for leg in legs().filter(is_dialling) {
            out.notify(line, refusal(leg, Cause::Unavailable.into()));
        }
        let legs = legs().filter(|leg| !is_dialling(leg)).map(|leg| leg.shown_id());
        let records = business.all_records().filter_map(|record| match self.records.get(record.0)? {
            Record::Call(call) => Some(call.id),
            // To who is heard, a HANGUP means that one of those who listen has gone (section 13).
            Record::Session(_) => None,
        });
        for call in legs.chain(records) {
            out.notify(line, Notice::HungUp { call, reason: Cause::Shutdown.into(), from: None });
        }
    }

    fn engagement(&self, line: &Line) -> Engagement {
        if line.internal || line.tie().is_some() {
            return Engagement::Fixture;
        }
        if line.pauses.any() && line.is_idle() {
            return Engagement::Call;
        }
        let Some(business) = &line.business else { return Engagement::Idle };
        if business.asking.is_some() || business.claiming.is_some() {
            return Engagement::Call;
        }
        let legs = business.legs.iter().filter_map(|leg| self.legs.get(leg.0)).map(|leg| match leg.stage {
            // Whoever reads the log would wait for the last line of it.
            LegStage::Listening { .. } if leg.to.as_str() == LOG_SERVICE => Engagement::Idle,
            LegStage::Listening { .. } => Engagement::Standing,
            LegStage::Dialling | LegStage::Connected(_) => Engagement::Call,
        });
        let records = business.records.iter().map(|&record| match business.session {
            Some(session) if session == record => Engagement::Standing,
            _ => Engagement::Call,
        });
        let seats = business.seats.iter().map(|_| Engagement::Standing);
        legs.chain(records).chain(seats).max().unwrap_or(Engagement::Idle)
    }
}
