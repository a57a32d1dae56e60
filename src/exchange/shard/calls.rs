//! Calls, as lines ask for them: DIAL, ANSWER, HANGUP, MSG (spec sections 9 to 12).
//!
//! Here it is decided which end of a call a request comes from; what happens at each end is in `caller.rs` and
//! `callee.rs`. Whoever is no party to a call is ignored, and cannot tell whether it exists.

use std::borrow::Cow;

use bytes::Bytes;

use crate::exchange::address::Address;
use crate::exchange::call::{Leg, LegStage, Record, Stage, Traffic};
use crate::exchange::cause::{Cause, Reason};
use crate::exchange::effect::{CallMode, CallRecord, Effect, EndedBy, Name, Notice, Outbox, Payload};
use crate::exchange::event::{ContentType, Verb};
use crate::exchange::ids::{CallId, LegId, LineId, RecordId};
use crate::exchange::limits::REFERENCE_BYTES_MAX;
use crate::exchange::signal::{Dial, Signal};
use crate::exchange::time::Moment;
use crate::exchange::trace::TraceParent;

use super::Shard;

/// What DIAL says.
pub(super) struct Dialling<'a> {
    pub(super) to: Cow<'a, str>,
    pub(super) metadata: Option<&'a [u8]>,
    pub(super) reference: Option<Cow<'a, str>>,
    pub(super) trace: Option<Box<TraceParent>>,
}

/// Who dials, by which name of its own, and in which trace.
struct Dialler {
    line: LineId,
    from: Address,
    reference: Option<Box<str>>,
    trace: Option<Box<TraceParent>>,
}

impl Shard {
    /// DIAL (section 9): steps 2, 3 and the caller's part of 9.
    pub(super) fn dial<'a>(
        &mut self,
        now: Moment,
        line: LineId,
        dialling: Dialling<'a>,
        out: &mut Outbox<'a>,
    ) {
        let Dialling { to, metadata, reference, trace } = dialling;
        let Some(caller) = self.lines.get_mut(line.0) else { return };
        let max = self.limits.dial_max_attempts.unwrap_or(u32::MAX);
        if !caller.dials.admit(now.tick, max, self.limits.dial_window_ms) {
            return self.refuse(line, Verb::Dial, Cause::RateLimited, out);
        }
        let Some(from) = caller.address.clone() else {
            return self.refuse(line, Verb::Dial, Cause::NotRegistered, out);
        };
        let calls = caller.calls() as u32;
        let reference = reference.filter(|text| text.len() <= REFERENCE_BYTES_MAX);
        let reference = reference.as_deref().map(Box::<str>::from);
        let dialler = Dialler { line, from, reference, trace };
        let Some(address) = self.callable(&to, None) else {
            return self.refuse_dial(now, dialler, Name::Given(to), Cause::NoSuchAddress, out);
        };
        if !self.may_dial(dialler.from.as_str(), address.as_str()) {
            return self.refuse_dial(now, dialler, Name::Address(address), Cause::Forbidden, out);
        }
        if calls >= self.limits.calls_per_line_max || self.legs.is_full() {
            return self.refuse_dial(now, dialler, Name::Address(address), Cause::Unavailable, out);
        }
        self.place_call(now, dialler, address, metadata, out);
    }

    /// The caller's end of a new call, and the word to the callee's home.
    fn place_call(
        &mut self,
        now: Moment,
        dialler: Dialler,
        to: Address,
        metadata: Option<&[u8]>,
        out: &mut Outbox<'_>,
    ) {
        let Dialler { line, from, reference, trace } = dialler;
        let random = self.draw();
        let shard = self.home(to.as_str());
        let leg = LegId(self.legs.insert_with(|handle| Leg {
            id: CallId::mint(LegId(handle), random),
            line,
            to: to.clone(),
            callee: None,
            reference: reference.clone(),
            stage: LegStage::Dialling,
            shard,
            held: false,
            heedless_peer: false,
            pressed: 0,
            forwarded: None,
        }));
        let Some(call) = self.legs.get(leg.0).map(|leg| leg.id) else { return };
        if let Some(caller) = self.lines.get_mut(line.0) {
            caller.business_mut().legs.push(leg);
            caller.note_call_began();
        }
        self.reconsider_pause(now, line, out);
        if let Some(reference) = reference {
            out.notify(line, Notice::Dialling { reference, call, to: Name::Address(to.clone()) });
        }
        let (from, to) = if shard == self.id { (from, to) } else { (from.detached(), to.detached()) };
        let metadata = metadata.map(Bytes::copy_from_slice);
        let (hops, guest, vouch, inbound) = (0, None, self.vouch_for(line), None);
        let dial =
            Dial { call, leg, line, from, to, metadata, started: now, hops, guest, vouch, inbound, trace };
        self.send(shard, Signal::Dial(Box::new(dial)), out);
    }

    /// A dial that comes to nothing before it has left the caller's shard.
    fn refuse_dial<'a>(
        &mut self,
        now: Moment,
        dialler: Dialler,
        to: Name<'a>,
        cause: Cause,
        out: &mut Outbox<'a>,
    ) {
        let Dialler { line, from, reference, trace } = dialler;
        // There is no leg; the name only has to be one that nobody can guess and nothing answers to.
        let call = CallId::mint(LegId(line.0), self.draw());
        if let Some(reference) = reference.clone() {
            out.notify(line, Notice::Dialling { reference, call, to: to.clone() });
        }
        out.push(Effect::Record(Box::new(CallRecord {
            call,
            from,
            to: to.brief(),
            mode: CallMode::Single,
            started: now,
            rang: None,
            answered: None,
            ended: now,
            reason: cause.into(),
            ended_by: EndedBy::Exchange,
            traffic: Traffic::default(),
            crossing: None,
            trace,
        })));
        let reference = reference.map(|reference| (reference, call));
        out.notify(line, Notice::Busy { to, reason: cause.into(), reference });
    }

    /// ANSWER (section 10). Counts once; anything but a call that rings at this line is ignored.
    pub(super) fn answer(&mut self, now: Moment, line: LineId, call: CallId, out: &mut Outbox<'_>) {
        let Some(id) = self.record_of(line, call) else { return };
        let Some(Record::Call(record)) = self.records.get_mut(id.0) else { return };
        if record.stage != Stage::Ringing {
            return;
        }
        record.stage = Stage::Connected;
        record.answered = Some(now);
        self.tally.answered += 1;
        if let Some(rang) = record.rang {
            self.tally.answering.note_since(rang, now.tick);
        }
        let leg = record.leg;
        if let Some(timer) = record.timer.take() {
            self.timers.cancel(timer);
        }
        self.send(leg.shard(), Signal::Connected { leg, record: id }, out);
        self.tell_flow_of_new_call(line, leg, out);
        self.reconsider_pause(now, line, out);
    }

    /// HANGUP (sections 11, 13), from either side and in every state.
    pub(super) fn hang_up(
        &mut self,
        now: Moment,
        line: LineId,
        call: CallId,
        reason: Option<&str>,
        out: &mut Outbox<'_>,
    ) {
        let given = reason.map(|text| Reason::Given(Box::from(text)));
        if let Some((id, leg)) = self.leg_of(line, call) {
            let stage = leg.stage;
            return self.caller_hangs_up(now, id, stage, given, out);
        }
        let Some(id) = self.record_of(line, call) else { return };
        let reason = given.unwrap_or(Cause::Normal.into());
        match self.records.get(id.0) {
            Some(Record::Call(_)) => self.callee_hangs_up(now, id, reason, out),
            Some(Record::Session(_)) => self.end_session(now, id, reason, out),
            None => {}
        }
    }

    /// MSG (sections 12, 13). Without both ends up and the sender at one of them, it is dropped.
    pub(super) fn say<'a>(
        &mut self,
        line: LineId,
        call: CallId,
        data: Option<&'a [u8]>,
        content_type: ContentType,
        out: &mut Outbox<'a>,
    ) {
        if let Some((_, leg)) = self.leg_of(line, call) {
            return match leg.stage {
                LegStage::Dialling => out.push(Effect::Stray(line)),
                LegStage::Connected(record) | LegStage::Listening { record, .. } => {
                    self.say_to_callee(line, record, data, content_type, out);
                }
            };
        }
        let Some(id) = self.record_of(line, call) else { return out.push(Effect::Stray(line)) };
        match self.records.get_mut(id.0) {
            Some(Record::Call(record)) if record.stage == Stage::Connected => {
                record.traffic.to_caller.count(data.map_or(0, <[u8]>::len));
                let leg = record.leg;
                self.say_to_caller(leg, data, content_type, out);
            }
            Some(Record::Session(_)) => self.say_to_listeners(id, data, content_type, out),
            Some(Record::Call(_)) | None => out.push(Effect::Stray(line)),
        }
    }

    fn say_to_callee<'a>(
        &mut self,
        line: LineId,
        record: RecordId,
        data: Option<&'a [u8]>,
        content_type: ContentType,
        out: &mut Outbox<'a>,
    ) {
        if record.shard() == self.id {
            return self.on_caller_says(record, line, Payload::from(data), content_type, out);
        }
        let data = data.map(|bytes| out.parcel(bytes));
        self.send(record.shard(), Signal::CallerSays { record, line, data, content_type }, out);
    }

    pub(super) fn say_to_caller<'a>(
        &mut self,
        leg: LegId,
        data: Option<&'a [u8]>,
        content_type: ContentType,
        out: &mut Outbox<'a>,
    ) {
        if leg.shard() == self.id {
            return self.on_callee_says(leg, Payload::from(data), content_type, out);
        }
        let data = data.map(|bytes| out.parcel(bytes));
        self.send(leg.shard(), Signal::CalleeSays { leg, data, content_type }, out);
    }

    /// What a line's calls becoming fewer brings with it: its status, its idle time, calls that wait for it,
    /// being read again, and going home if it stayed only because of them.
    pub(super) fn after_call(&mut self, now: Moment, line: LineId, out: &mut Outbox<'_>) {
        let Some(entry) = self.lines.get_mut(line.0) else { return };
        if entry.note_call_over() {
            self.restart_idle_timer(now, line);
        }
        self.serve_waiting(now, line, out);
        self.reconsider_pause(now, line, out);
        self.go_home_if_idle(line, out);
    }
}
