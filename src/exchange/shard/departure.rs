//! How lines go: UNREGISTER, lost connections, silence, shutdown (spec sections 5, 7, 18).
//!
//! Every way out takes the same steps, in the order of section 18. When `depart` returns nothing on this shard
//! names the line any more, and every other shard that does has been told.

use crate::exchange::call::Record;
use crate::exchange::cause::{Cause, Reason};
use crate::exchange::effect::{Effect, EndedBy, Outbox};
use crate::exchange::event::Loss;
use crate::exchange::ids::LineId;
use crate::exchange::line::{Business, Pauses};
use crate::exchange::time::Moment;

use super::Shard;

/// Whether the agent behind a line that goes can be woken again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Afterlife {
    /// Its wake profile is stored.
    Sleeps,
    /// It is gone for good.
    None,
}

impl Shard {
    /// UNREGISTER (section 5).
    pub(super) fn unregister(&mut self, now: Moment, line: LineId, out: &mut Outbox<'_>) {
        self.dismiss(now, line, Cause::ClientRequested, Afterlife::Sleeps, out);
    }

    /// The connection is gone already.
    pub(super) fn on_loss(&mut self, now: Moment, line: LineId, loss: Loss, out: &mut Outbox<'_>) {
        let (cause, afterlife) = match loss {
            Loss::Closed => (Cause::PeerDisconnected, Afterlife::None),
            Loss::Vanished => (Cause::PeerDisconnected, Afterlife::Sleeps),
            Loss::SlowConsumer => (Cause::SlowConsumer, Afterlife::Sleeps),
        };
        self.depart(now, line, cause, afterlife, out);
    }

    /// HEARTBEAT is what keeps a line alive, registered or not (section 7). A line that is not read cannot show
    /// that it lives; being read again counts as a heartbeat.
    pub(super) fn cut_silent_lines(&mut self, now: Moment, out: &mut Outbox<'_>) {
        for line in self.liveness.due(now.tick) {
            let Some(entry) = self.lines.get_mut(line.0) else { continue };
            if entry.pauses.any() {
                entry.heard_s = now.tick.seconds();
            }
            let heard_s = entry.heard_s;
            if self.liveness.is_over(heard_s, now.tick) {
                self.dismiss(now, line, Cause::Timeout, Afterlife::Sleeps, out);
            } else {
                self.liveness.watch(line, heard_s);
            }
        }
    }

    /// Everybody goes, and nobody comes.
    pub(super) fn shut_down(&mut self, now: Moment, out: &mut Outbox<'_>) {
        self.stopping = true;
        self.end_drain();
        let lines = self.lines.iter().map(|(handle, line)| (line.tie().is_some(), LineId(handle)));
        let mut lines: Vec<_> = lines.collect();
        // Links to other exchanges go last: what ends on this side is still told on the other.
        lines.sort_by_key(|&(is_tie, _)| is_tie);
        for (_, line) in lines {
            self.send_home(now, line, out);
            self.settle(now, out);
        }
    }

    /// A line goes because the exchange stops.
    pub(super) fn send_home(&mut self, now: Moment, line: LineId, out: &mut Outbox<'_>) {
        let Some(entry) = self.lines.get(line.0) else { return };
        if self.drain.is_some() && !entry.internal {
            return self.send_away(now, line, out);
        }
        if entry.tie().is_some() {
            // Calls of others pass through it: they are over for this reason, and not because a link broke.
            self.hang_everything_up(line, out);
        }
        let Some(entry) = self.lines.get(line.0) else { return };
        let cause = if entry.internal { Cause::ServiceShutdown } else { Cause::Shutdown };
        self.dismiss(now, line, cause, Afterlife::Sleeps, out);
    }

    /// The exchange ends a line that is still connected.
    pub(super) fn dismiss(
        &mut self,
        now: Moment,
        line: LineId,
        cause: Cause,
        afterlife: Afterlife,
        out: &mut Outbox<'_>,
    ) {
        if self.depart(now, line, cause, afterlife, out) {
            out.push(Effect::Close { line, cause });
        }
    }

    /// Section 18, all but the socket. Says whether the line was there.
    pub(super) fn depart(
        &mut self,
        now: Moment,
        line: LineId,
        cause: Cause,
        afterlife: Afterlife,
        out: &mut Outbox<'_>,
    ) -> bool {
        self.stop_idle_timer(line);
        self.stop_expiry_timer(line);
        self.give_up_address(line, afterlife, out);
        // Taken out before its calls end: whatever follows from their ends must not act on this line any more.
        let Some(entry) = self.lines.remove(line.0) else { return false };
        let awaits_tie = entry.pauses.has(Pauses::TIE);
        let mut business = entry.business.map(|business| *business).unwrap_or_default();
        let tie = business.tie.take();
        self.end_business(now, line, business, &cause.into(), out);
        if tie.is_some() || awaits_tie {
            self.end_tie(now, line, tie, cause, out);
        }
        true
    }

    /// Ends every call of a line, its broadcast, its waits and its memberships.
    fn end_business(
        &mut self,
        now: Moment,
        line: LineId,
        business: Business,
        reason: &Reason,
        out: &mut Outbox<'_>,
    ) {
        for leg in business.legs {
            self.end_leg(leg, reason.clone(), out);
        }
        for record in business.records {
            match self.records.get(record.0) {
                Some(Record::Call(_)) => {
                    drop(self.end_call(now, record, reason.clone(), EndedBy::Callee, out))
                }
                Some(Record::Session(_)) => self.end_session(now, record, reason.clone(), out),
                None => {}
            }
        }
        if let Some(question) = business.asking {
            self.forget_question(question);
        }
        for seat in business.seats {
            self.give_up_seat(line, seat, out);
        }
    }
}
