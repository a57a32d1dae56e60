//! The caller's end of a call: what its leg hears from the callee's shard, and what it says on going.
//!
//! A signal for a leg that is gone is normal: a hang-up has crossed it on the way.

use crate::exchange::address::Address;
use crate::exchange::call::{Leg, LegStage};
use crate::exchange::cause::{Cause, Reason};
use crate::exchange::effect::{Name, Notice, Outbox, Payload};
use crate::exchange::event::ContentType;
use crate::exchange::ids::{CallId, LegId, LineId, RecordId};
use crate::exchange::press::weight;
use crate::exchange::signal::{AudienceId, Signal};
use crate::exchange::tie::TieNotice;
use crate::exchange::time::Moment;

use super::Shard;

impl Shard {
    /// The dial was sent on and found its callee on another shard than the dialled address's home. If the caller
    /// has gone meanwhile, its farewell went to the wrong shard and is said again, if not in its words: a caller whose line is
    /// still there has cancelled.
    pub(super) fn on_located(
        &mut self,
        leg: LegId,
        call: CallId,
        line: LineId,
        record: RecordId,
        out: &mut Outbox<'_>,
    ) {
        if let Some(leg) = self.legs.get_mut(leg.0) {
            leg.shard = record.shard();
            return;
        }
        let is_there = self.lines.get(line.0).is_some();
        let reason = if is_there { Cause::Cancelled } else { Cause::PeerDisconnected }.into();
        self.send(record.shard(), Signal::CallerGone { call, line, leg, reason }, out);
    }

    pub(super) fn on_connected(&mut self, id: LegId, record: RecordId, out: &mut Outbox<'_>) {
        let Some(leg) = self.legs.get_mut(id.0) else { return };
        leg.stage = LegStage::Connected(record);
        let (line, call, to, reference) = (leg.line, leg.id, leg.to.clone(), leg.reference.clone());
        let notice = if leg.forwarded.is_some() {
            Notice::Tie(TieNotice::Answered { call, from: leg.callee_address().clone() })
        } else {
            Notice::Connected { call, to, reference }
        };
        out.notify(line, notice);
        self.tell_flow_of_new_leg(line, record, out);
    }

    pub(super) fn on_listening(
        &mut self,
        id: LegId,
        record: RecordId,
        session: CallId,
        out: &mut Outbox<'_>,
    ) {
        let Some(leg) = self.legs.get_mut(id.0) else { return };
        leg.stage = LegStage::Listening { record, session };
        let (line, to, reference) = (leg.line, leg.to.clone(), leg.reference.clone());
        self.listening.insert((session, line), id);
        self.enter_audience(AudienceId::Session(session), line);
        out.notify(line, Notice::Connected { call: session, to, reference });
    }

    /// A second dial of a listener: CONNECTED again, nothing else (section 13, step 2).
    pub(super) fn on_listens_already(
        &mut self,
        now: Moment,
        id: LegId,
        session: CallId,
        out: &mut Outbox<'_>,
    ) {
        let Some(line) = self.legs.get(id.0).map(|leg| leg.line) else { return };
        if !self.listening.contains_key(&(session, line)) {
            // It has hung up meanwhile: told that it is connected, it would wait for words that never come.
            return self.on_dial_refused(now, id, Cause::Unavailable.into(), out);
        }
        let Some(leg) = self.remove_leg(id, out) else { return };
        out.notify(leg.line, Notice::Connected { call: session, to: leg.to, reference: leg.reference });
        self.after_call(now, leg.line, out);
    }

    pub(super) fn on_dial_refused(&mut self, now: Moment, id: LegId, reason: Reason, out: &mut Outbox<'_>) {
        let Some(leg) = self.remove_leg(id, out) else { return };
        out.notify(leg.line, refusal(&leg, reason));
        self.after_call(now, leg.line, out);
    }

    pub(super) fn on_callee_gone(&mut self, now: Moment, id: LegId, reason: Reason, out: &mut Outbox<'_>) {
        let Some(leg) = self.remove_leg(id, out) else { return };
        out.notify(leg.line, Notice::HungUp { call: leg.shown_id(), reason, from: None });
        self.after_call(now, leg.line, out);
    }

    pub(super) fn on_callee_says<'a>(
        &mut self,
        id: LegId,
        data: Payload<'a>,
        content_type: ContentType,
        out: &mut Outbox<'a>,
    ) {
        let Some(leg) = self.legs.get_mut(id.0) else { return };
        leg.pressed += weight(data.bytes());
        let (call, from) = (leg.shown_id(), leg.callee_address().clone());
        out.notify(leg.line, Notice::Message { call, from, data, content_type });
    }

    pub(super) fn on_callee_renamed(&mut self, id: LegId, address: Address) {
        if let Some(leg) = self.legs.get_mut(id.0) {
            leg.callee = Some(address);
        }
    }

    /// The caller hangs up. It hears nothing back, but a listener that leaves a broadcast does (section 13).
    pub(super) fn caller_hangs_up(
        &mut self,
        now: Moment,
        id: LegId,
        stage: LegStage,
        given: Option<Reason>,
        out: &mut Outbox<'_>,
    ) {
        // Only callers that name their dials can know of a call that rings; the word is theirs (issue 2, part 3).
        let is_named = self.legs.get(id.0).is_some_and(|leg| leg.reference.is_some());
        let otherwise =
            if stage == LegStage::Dialling && is_named { Cause::Cancelled } else { Cause::Normal };
        let reason = given.unwrap_or(otherwise.into());
        let Some(leg) = self.end_leg(id, reason.clone(), out) else { return };
        if let LegStage::Listening { session, .. } = stage {
            out.notify(leg.line, Notice::HungUp { call: session, reason, from: None });
        }
        self.after_call(now, leg.line, out);
    }

    /// Takes a leg out and tells the other side.
    pub(super) fn end_leg(&mut self, id: LegId, reason: Reason, out: &mut Outbox<'_>) -> Option<Leg> {
        let leg = self.remove_leg(id, out)?;
        let shard = match leg.stage {
            LegStage::Dialling => leg.shard,
            LegStage::Connected(record) | LegStage::Listening { record, .. } => record.shard(),
        };
        self.send(shard, Signal::CallerGone { call: leg.id, line: leg.line, leg: id, reason }, out);
        Some(leg)
    }

    /// Takes a leg out of everything on this shard that knows it.
    pub(super) fn remove_leg(&mut self, id: LegId, out: &mut Outbox<'_>) -> Option<Leg> {
        let leg = self.legs.remove(id.0)?;
        if let LegStage::Listening { session, .. } = leg.stage {
            self.listening.remove(&(session, leg.line));
            self.leave_audience(AudienceId::Session(session), leg.line);
        }
        if leg.forwarded.is_some() {
            self.unlink_forwarded(id, &leg, out);
        } else if let Some(business) = self.lines.get_mut(leg.line.0).and_then(|line| line.business.as_mut())
            && let Some(at) = business.legs.iter().rposition(|&other| other == id)
        {
            business.legs.swap_remove(at);
        }
        Some(leg)
    }
}

/// What the caller's side is told of a dial that has come to nothing.
pub(super) fn refusal(leg: &Leg, reason: Reason) -> Notice<'static> {
    if leg.forwarded.is_some() {
        let to = leg.to.as_str().to_owned().into();
        return Notice::Tie(TieNotice::Busy { call: leg.id, to, reason });
    }
    let reference = leg.reference.clone().map(|reference| (reference, leg.id));
    Notice::Busy { to: Name::Address(leg.to.clone()), reason, reference }
}
