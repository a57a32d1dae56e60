//! Whose calls fill a tie line that does not take them (design.md, D7).
//!
//! A sender with other business is not held, so nothing but the limit on its receiver's output stops it; and beyond that limit
//! the receiver is given up with all its calls. That is a client's own affair, but a tie line carries the calls of many: a few that
//! send without end would end them all. Hence, long before the limit, the calls that press most end alone. Each time, those are
//! chosen that together have sent half of what nobody could hold back: a handful of floods ends at once, a thousand small ones
//! within ten steps, and who says little is last. Calls whose senders are held are not among them, unless the limit is passed
//! before anybody could say whether he can be held.

use crate::exchange::call::{LegStage, Record, Stage};
use crate::exchange::cause::Cause;
use crate::exchange::effect::{EndedBy, Notice, Outbox};
use crate::exchange::ids::{LegId, LineId, RecordId};
use crate::exchange::signal::CallEnd;
use crate::exchange::time::Moment;

use super::Shard;

impl Shard {
    /// A tie line's output has grown by another step towards its limit, or beyond it.
    pub(super) fn on_pressed(&mut self, now: Moment, line: LineId, is_over: bool, out: &mut Outbox<'_>) {
        let mut pressing = self.pressing(line, is_over);
        pressing.sort_by_key(|&(bytes, _)| std::cmp::Reverse(bytes));
        let half = pressing.iter().map(|&(bytes, _)| bytes).sum::<u64>().div_ceil(2);
        let mut relieved = 0;
        for (bytes, end) in pressing {
            if relieved >= half {
                return;
            }
            relieved += bytes;
            match end {
                CallEnd::Leg(leg) => self.end_pressing_leg(now, leg, out),
                CallEnd::Record(record) => self.end_pressing_call(now, record, out),
            }
        }
    }

    /// A line's calls whose senders cannot be held back, or all, and what they have sent since its output began to pile up, in
    /// bytes.
    fn pressing(&self, line: LineId, are_all_meant: bool) -> Vec<(u64, CallEnd)> {
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
}
