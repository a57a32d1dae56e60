//! Flow control: a call is as fast as its slower end, and nobody outside it is delayed (design.md, D7).
//!
//! When a party's output passes the high-water mark, the other ends of its calls are told to hold. A line that
//! has just that one call is then not read, so that TCP slows its client down. A line with other business is not
//! held; the receiver's shard is told (`Heedless`), and the limit on the receiver's output applies.

use crate::exchange::call::{LegStage, Record, Stage};
use crate::exchange::effect::{Effect, Outbox};
use crate::exchange::ids::{LegId, LineId, RecordId};
use crate::exchange::line::{OnlyCall, Pauses};
use crate::exchange::signal::{CallEnd, Signal};
use crate::exchange::time::Moment;

use super::Shard;

impl Shard {
    /// Whether a line's output may grow beyond its limit for now, because the one who fills it is being held.
    pub fn tolerates_backlog(&self, line: LineId) -> bool {
        let Some(line) = self.lines.get(line.0) else { return false };
        match line.only_call() {
            Some(OnlyCall::Leg(leg)) => self
                .legs
                .get(leg.0)
                .is_some_and(|leg| matches!(leg.stage, LegStage::Connected(_)) && !leg.heedless_peer),
            Some(OnlyCall::Record(record)) => match self.records.get(record.0) {
                Some(Record::Call(call)) => call.stage == Stage::Connected && !call.heedless_peer,
                Some(Record::Session(_)) | None => false,
            },
            None => false,
        }
    }

    /// A line's output has passed the high-water mark, or fallen below the low-water mark.
    pub(super) fn on_congestion(&mut self, line: LineId, congested: bool, out: &mut Outbox<'_>) {
        let Some(entry) = self.lines.get_mut(line.0) else { return };
        entry.congested = congested;
        if let Some(tie) = entry.tie_mut() {
            tie.parties.speakers.clear();
        }
        if congested {
            self.trust_far_ends(line);
        }
        let Some(business) = self.lines.get(line.0).and_then(|entry| entry.business.as_deref()) else {
            return;
        };
        let legs = business.all_legs().filter_map(|leg| self.far_end_of_leg(leg));
        let records = business.all_records().filter_map(|record| self.far_end_of_record(record));
        let ends: Vec<CallEnd> = legs.chain(records).collect();
        for end in ends {
            self.send(end_shard(end), Signal::Flow { end, hold: congested }, out);
        }
    }

    /// Whoever could not be held the last time may be able to now; if not, it says so again.
    fn trust_far_ends(&mut self, line: LineId) {
        let Some(business) = self.lines.get(line.0).and_then(|entry| entry.business.as_deref()) else {
            return;
        };
        for leg in business.all_legs() {
            if let Some(leg) = self.legs.get_mut(leg.0) {
                (leg.heedless_peer, leg.pressed) = (false, 0);
            }
        }
        for record in business.all_records() {
            if let Some(Record::Call(call)) = self.records.get_mut(record.0) {
                (call.heedless_peer, call.pressed) = (false, 0);
            }
        }
    }

    fn far_end_of_leg(&self, leg: LegId) -> Option<CallEnd> {
        match self.legs.get(leg.0)?.stage {
            LegStage::Connected(record) => Some(CallEnd::Record(record)),
            LegStage::Dialling | LegStage::Listening { .. } => None,
        }
    }

    fn far_end_of_record(&self, record: RecordId) -> Option<CallEnd> {
        match self.records.get(record.0)? {
            Record::Call(call) => (call.stage == Stage::Connected).then(|| call.caller_end()),
            Record::Session(_) => None,
        }
    }

    /// A callee whose output is full answers a call: its caller is to hold from the start.
    pub(super) fn tell_flow_of_new_call(&mut self, line: LineId, leg: LegId, out: &mut Outbox<'_>) {
        if self.lines.get(line.0).is_some_and(|line| line.congested) {
            self.send(leg.shard(), Signal::Flow { end: CallEnd::Leg(leg), hold: true }, out);
        }
    }

    /// The same for a caller whose call is answered.
    pub(super) fn tell_flow_of_new_leg(&mut self, line: LineId, record: RecordId, out: &mut Outbox<'_>) {
        if self.lines.get(line.0).is_some_and(|line| line.congested) {
            self.send(record.shard(), Signal::Flow { end: CallEnd::Record(record), hold: true }, out);
        }
    }

    /// The other end of a call takes nothing more, or takes more again.
    pub(super) fn on_flow(&mut self, now: Moment, end: CallEnd, hold: bool, out: &mut Outbox<'_>) {
        let line = match end {
            CallEnd::Leg(leg) => self.legs.get_mut(leg.0).map(|leg| {
                leg.held = hold;
                leg.line
            }),
            CallEnd::Record(record) => match self.records.get_mut(record.0) {
                Some(Record::Call(call)) => {
                    call.held = hold;
                    call.callee
                }
                Some(Record::Session(_)) | None => None,
            },
        };
        let Some(line) = line else { return };
        self.reconsider_pause(now, line, out);
        let obeys = self.lines.get(line.0).is_some_and(|line| line.pauses.has(Pauses::FLOW));
        if hold && !obeys {
            self.say_heedless(end, out);
        }
    }

    fn say_heedless(&mut self, end: CallEnd, out: &mut Outbox<'_>) {
        let far = match end {
            CallEnd::Leg(leg) => self.far_end_of_leg(leg),
            CallEnd::Record(record) => self.far_end_of_record(record),
        };
        if let Some(far) = far {
            self.send(end_shard(far), Signal::Heedless { end: far }, out);
        }
    }

    /// The sender at the other end goes on sending.
    pub(super) fn on_heedless(&mut self, end: CallEnd) {
        match end {
            CallEnd::Leg(leg) => {
                if let Some(leg) = self.legs.get_mut(leg.0) {
                    leg.heedless_peer = true;
                }
            }
            CallEnd::Record(record) => {
                if let Some(Record::Call(call)) = self.records.get_mut(record.0) {
                    call.heedless_peer = true;
                }
            }
        }
    }

    /// To be called whenever a line's business has changed: whether it is to be held depends on all of it.
    pub(super) fn reconsider_pause(&mut self, now: Moment, line: LineId, out: &mut Outbox<'_>) {
        let Some(entry) = self.lines.get(line.0) else { return };
        let held_before = entry.pauses.has(Pauses::FLOW);
        let held = entry.business.is_some() && self.is_held(line);
        if held == held_before {
            return;
        }
        if held {
            return self.pause(line, Pauses::FLOW, out);
        }
        self.unpause(now, line, Pauses::FLOW, out);
        self.warn_of_heedlessness(line, out);
    }

    /// Whether the other end of a line's only call wants it to hold.
    pub(super) fn is_held(&self, line: LineId) -> bool {
        match self.lines.get(line.0).and_then(|line| line.only_call()) {
            Some(OnlyCall::Leg(leg)) => self.legs.get(leg.0).is_some_and(|leg| leg.held),
            Some(OnlyCall::Record(record)) => {
                matches!(self.records.get(record.0), Some(Record::Call(call)) if call.held)
            }
            None => false,
        }
    }

    /// A line that was held took on other business: those who hold it must know that it will not obey.
    fn warn_of_heedlessness(&mut self, line: LineId, out: &mut Outbox<'_>) {
        let Some(business) = self.lines.get(line.0).and_then(|line| line.business.as_ref()) else { return };
        let legs = business.legs.iter().filter(|leg| self.legs.get(leg.0).is_some_and(|leg| leg.held));
        let records = business
            .records
            .iter()
            .filter(|record| matches!(self.records.get(record.0), Some(Record::Call(call)) if call.held));
        let ends: Vec<_> =
            legs.map(|&leg| CallEnd::Leg(leg)).chain(records.map(|&id| CallEnd::Record(id))).collect();
        for end in ends {
            self.say_heedless(end, out);
        }
    }

    /// Adds a reason not to read a line.
    pub(super) fn pause(&mut self, line: LineId, reason: Pauses, out: &mut Outbox<'_>) {
        let Some(entry) = self.lines.get_mut(line.0) else { return };
        if !entry.pauses.any() {
            out.push(Effect::Pause(line));
        }
        entry.pauses.add(reason);
    }

    /// Takes a reason not to read a line away. With the last one gone it is read again. One that was held for the
    /// sake of others counts as heard: its silence was not its own. (A line that waits for an answer of its own does
    /// so for microseconds, and only HEARTBEAT shows that it lives.)
    pub(super) fn unpause(&mut self, now: Moment, line: LineId, reason: Pauses, out: &mut Outbox<'_>) {
        let Some(entry) = self.lines.get_mut(line.0) else { return };
        if !entry.pauses.has(reason) {
            return;
        }
        entry.pauses.remove(reason);
        if reason == Pauses::FLOW {
            entry.heard_s = now.tick.seconds();
        }
        if !entry.pauses.any() {
            out.push(Effect::Resume(line));
        }
    }
}

fn end_shard(end: CallEnd) -> crate::exchange::ids::ShardId {
    match end {
        CallEnd::Leg(leg) => leg.shard(),
        CallEnd::Record(record) => record.shard(),
    }
}
