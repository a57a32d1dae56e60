//! Who fills a tie line that does not take it (design.md, D7).
//!
//! A sender with other business is not held, so nothing but the limit on its receiver's output stops it; and beyond that limit
//! the receiver is given up with all its calls. That is a client's own affair, but a tie line carries the calls of many: a few that
//! send without end would end them all. Hence, long before the limit, those that press most end alone: calls, and the seats
//! of those who speak in parties, whom nobody can hold. Each time, those are chosen that together have sent half of what nobody could
//! hold back: a handful of floods ends at once, a thousand small ones within ten times, and who says little is last. Calls whose senders
//! are held are not among them, unless the limit is passed before anybody could say whether he can be held.

use crate::exchange::address::Address;
use crate::exchange::call::{LegStage, Record, Stage};
use crate::exchange::cause::Cause;
use crate::exchange::effect::{EndedBy, Notice, Outbox};
use crate::exchange::event::Verb;
use crate::exchange::ids::{LegId, LineId, RecordId};
use crate::exchange::press::Speaker;
use crate::exchange::signal::{CallEnd, Signal};
use crate::exchange::time::Moment;

use super::Shard;

/// Something that can end for pressing.
enum Pressing {
    Call(CallEnd),
    Seat(Speaker),
}

impl Shard {
    /// A tie line's output has grown by another step towards its limit, or beyond it.
    pub(super) fn on_pressed(&mut self, now: Moment, line: LineId, is_over: bool, out: &mut Outbox<'_>) {
        let calls = self.pressing_calls(line, is_over).into_iter();
        let calls = calls.map(|(bytes, end)| (bytes, Pressing::Call(end)));
        let seats = self.tie_parties(line).map(|parties| parties.speakers.all()).unwrap_or_default();
        let seats = seats.into_iter().map(|(bytes, speaker)| (bytes, Pressing::Seat(speaker)));
        let mut pressing: Vec<_> = calls.chain(seats).collect();
        pressing.sort_by_key(|&(bytes, _)| std::cmp::Reverse(bytes));
        let half = pressing.iter().map(|&(bytes, _)| bytes).sum::<u64>().div_ceil(2);
        let mut relieved = 0;
        for (bytes, presser) in pressing {
            if relieved >= half {
                return;
            }
            relieved += bytes;
            match presser {
                Pressing::Call(CallEnd::Leg(leg)) => self.end_pressing_leg(now, leg, out),
                Pressing::Call(CallEnd::Record(record)) => self.end_pressing_call(now, record, out),
                Pressing::Seat(speaker) => self.end_pressing_seat(line, speaker, out),
            }
        }
    }

    /// A line's calls whose senders cannot be held back, or all, and what they have sent since its output began to pile up, by
    /// weight in bytes.
    fn pressing_calls(&self, line: LineId, are_all_meant: bool) -> Vec<(u64, CallEnd)> {
        let Some(business) = self.lines.get(line.0).and_then(|entry| entry.business.as_deref()) else {
            return Vec::new();
        };
        let legs = business.all_legs().filter_map(|id| {
            let leg = self.legs.get(id.0)?;
            let is_up = matches!(leg.stage, LegStage::Connected(_));
            (is_up && (are_all_meant || leg.heedless_peer)).then_some((leg.pressed, CallEnd::Leg(id)))
        });
        let records = business.all_records().filter_map(|id| match self.records.get(id.0)? {
            Record::Call(call) => {
                let is_up = call.stage == Stage::Connected;
                (is_up && (are_all_meant || call.heedless_peer))
                    .then_some((call.pressed, CallEnd::Record(id)))
            }
            Record::Session(_) => None,
        });
        legs.chain(records).filter(|&(bytes, _)| bytes > 0).collect()
    }

    fn end_pressing_leg(&mut self, now: Moment, id: LegId, out: &mut Outbox<'_>) {
        let Some(leg) = self.end_leg(id, Cause::SlowConsumer.into(), out) else { return };
        out.notify(leg.line, Notice::HungUp { call: leg.id, reason: Cause::SlowConsumer.into(), from: None });
        self.after_call(now, leg.line, out);
    }

    fn end_pressing_call(&mut self, now: Moment, id: RecordId, out: &mut Outbox<'_>) {
        let Some(call) = self.end_call(now, id, Cause::SlowConsumer.into(), EndedBy::Exchange, out) else {
            return;
        };
        self.callee_hears_end(now, &call, Cause::SlowConsumer.into(), out);
    }

    /// Who is in the party is known at its home. Until that has acted, the speaker weighs nothing, or he would stand for others.
    fn end_pressing_seat(&mut self, tie: LineId, speaker: Speaker, out: &mut Outbox<'_>) {
        if let Some(parties) = self.tie_parties(tie) {
            parties.speakers.forget(&speaker);
        }
        let (party, from) = (speaker.0.detached(), speaker.1.detached());
        self.send(self.home(party.as_str()), Signal::PartyPressed { tie, party, from }, out);
    }

    /// What somebody says in a party fills a tie line.
    pub(super) fn on_party_pressed(
        &mut self,
        tie: LineId,
        party: &Address,
        from: &Address,
        out: &mut Outbox<'_>,
    ) {
        let Some(&id) = self.party_names.get(party) else { return };
        let Some(host) = self.parties.get(id.0) else { return };
        for member in host.pressing(tie, from) {
            self.put_out(id, member, Verb::PartyMessage, Cause::PartyLost, out);
        }
    }
}
