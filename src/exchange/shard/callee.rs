//! The callee's end of a call: finding the callee, ringing it, and the end of the record.
//!
//! The record lives on the shard of the callee's line. While the callee sleeps it lives on the home shard of the
//! dialled address, which is where the callee will be when it wakes up.

use bytes::Bytes;

use crate::exchange::address::Address;
use crate::exchange::call::{Call, Record, Stage, Traffic};
use crate::exchange::cause::{Cause, Reason};
use crate::exchange::directory::Holder;
use crate::exchange::effect::{
    CallMode, CallRecord, Crossing, Effect, EndedBy, Name, Notice, Outbox, Payload, Way,
};
use crate::exchange::event::{Concurrency, ContentType};
use crate::exchange::ids::{CallId, LegId, LineId, RecordId, ShardId};
use crate::exchange::limits::DIAL_HOPS_MAX;
use crate::exchange::press::weight;
use crate::exchange::signal::{Dial, Signal};
use crate::exchange::time::Moment;
use crate::exchange::timers::Due;

use super::Shard;
use super::forwarding::name_call;

impl Shard {
    /// A dial arrives (section 9, from step 5 on).
    pub(super) fn on_dial(&mut self, now: Moment, dial: Dial, out: &mut Outbox<'_>) {
        if let Some(inbound) = &dial.inbound {
            if !inbound.is_unique {
                return self.take_name(now, dial, out);
            }
            if self.records_by_call.contains_key(&dial.call) {
                // What is left of a call that had the same name.
                return self.refuse_call(now, &dial, Cause::LoopDetected, CallMode::Forwarded, out);
            }
        }
        if let Some(guest) = dial.guest {
            if self.address_of(guest) == Some(&dial.to) {
                return self.offer(now, guest, dial, out);
            }
            if self.is_tie(guest) {
                return self.forward(now, guest, dial, out);
            }
        }
        let home = self.home(dial.to.as_str());
        if home != self.id {
            return self.send_on(now, home, None, dial, out);
        }
        let holder = self.directory.find(dial.to.as_str(), &self.lines);
        if matches!(holder, Holder::Asleep | Holder::PoolAsleep | Holder::Nobody)
            && let Some(tie) = self.route_of(&dial)
        {
            return self.send_on(now, tie.shard(), Some(tie), dial, out);
        }
        match holder {
            // Whoever was here may have been sent away, and whoever were woken would not be let in.
            Holder::Asleep | Holder::PoolAsleep | Holder::Nobody if self.is_draining() => {
                self.refuse_call(now, &dial, Cause::Unavailable, CallMode::Single, out);
            }
            Holder::Here(line) => self.offer(now, line, dial, out),
            Holder::Elsewhere(line) => self.send_on(now, line.shard(), Some(line), dial, out),
            Holder::Pool | Holder::PoolAsleep => self.offer_to_pool(now, dial, out),
            Holder::Asleep => self.wait_for_wake(now, dial, out),
            Holder::Nobody => self.refuse_call(now, &dial, Cause::NoSuchAddress, CallMode::Single, out),
        }
    }

    /// Sends a dial after a callee that is a guest on another shard, or has just moved back home.
    pub(super) fn send_on(
        &mut self,
        now: Moment,
        to: ShardId,
        guest: Option<LineId>,
        mut dial: Dial,
        out: &mut Outbox<'_>,
    ) {
        if dial.hops >= DIAL_HOPS_MAX {
            return self.refuse_call(now, &dial, Cause::Unavailable, CallMode::Single, out);
        }
        dial.hops += 1;
        dial.guest = guest;
        self.send(to, Signal::Dial(Box::new(dial)), out);
    }

    /// Section 9, steps 6 to 9, for a line of this shard.
    pub(super) fn offer(&mut self, now: Moment, line: LineId, dial: Dial, out: &mut Outbox<'_>) {
        let mode = self.mode_of(line);
        if let Some(cause) = self.objection(line, &dial) {
            return self.refuse_call(now, &dial, cause, mode, out);
        }
        if mode == CallMode::Broadcast && dial.inbound.is_some() {
            return self.refuse_call(now, &dial, Cause::Unsupported, mode, out);
        }
        if mode == CallMode::Broadcast {
            return self.listen(now, line, dial, out);
        }
        self.start_call(now, line, dial, out);
    }

    /// Why a line cannot be called now, if it cannot.
    fn objection(&self, line: LineId, dial: &Dial) -> Option<Cause> {
        let callee = self.lines.get(line.0)?;
        if line == dial.line {
            return Some(Cause::AlreadyInCall);
        }
        if let Some(cause) = callee.reserve() {
            return Some(cause);
        }
        let taken = match callee.concurrency() {
            Concurrency::Broadcast { .. } => None,
            Concurrency::Parallel { max_sessions } => max_sessions
                .is_some_and(|max| callee.sessions() >= max as usize)
                .then_some(Cause::MaxSessionsReached),
            Concurrency::Single => callee.in_call().then_some(Cause::AlreadyInCall),
        };
        let full = callee.calls() as u32 >= self.limits.calls_per_line_max || self.records.is_full();
        taken.or(full.then_some(Cause::Unavailable))
    }

    fn mode_of(&self, line: LineId) -> CallMode {
        match self.lines.get(line.0).map(|line| line.concurrency()) {
            Some(Concurrency::Broadcast { .. }) => CallMode::Broadcast,
            Some(Concurrency::Parallel { .. }) => CallMode::Parallel,
            Some(Concurrency::Single) | None => CallMode::Single,
        }
    }

    /// Makes the record of a call and rings the callee.
    pub(super) fn start_call(&mut self, now: Moment, line: LineId, mut dial: Dial, out: &mut Outbox<'_>) {
        let metadata = dial.metadata.take();
        let (leg, call, caller, hops) = (dial.leg, dial.call, dial.line, dial.hops);
        let record = self.insert_call(dial, Stage::Ringing, out);
        if hops > 0 {
            self.send(leg.shard(), Signal::Located { leg, call, line: caller, record }, out);
        }
        self.ring(now, line, record, metadata, out);
    }

    pub(super) fn insert_call(&mut self, dial: Dial, stage: Stage, out: &mut Outbox<'_>) -> RecordId {
        let Dial { call, leg, line, from, to, metadata, started, inbound, trace, .. } = dial;
        name_call(call, inbound.as_ref().and_then(|inbound| inbound.name.as_ref()), out);
        let record = RecordId(self.records.insert_with(|_| {
            Record::Call(Box::new(Call {
                id: call,
                leg,
                caller: line,
                from,
                to,
                callee: None,
                mode: CallMode::Single,
                stage,
                timer: None,
                metadata,
                started,
                rang: None,
                answered: None,
                traffic: Traffic::default(),
                held: false,
                heedless_peer: false,
                pressed: 0,
                is_inbound: inbound.is_some(),
                speaker: None,
                trace,
            }))
        }));
        self.records_by_call.insert(call, record);
        record
    }

    /// Rings a line for a call whose record is there: section 9, step 9.
    pub(super) fn ring(
        &mut self,
        now: Moment,
        line: LineId,
        id: RecordId,
        metadata: Option<Bytes>,
        out: &mut Outbox<'_>,
    ) {
        let timer = self.timers.set(now.tick.plus_millis(self.limits.call_timeout_ms), Due::Call(id));
        let mode = self.mode_of(line);
        let Some(Record::Call(call)) = self.records.get_mut(id.0) else { return };
        call.stage = Stage::Ringing;
        call.rang = Some(now.tick);
        self.tally.ringing.note_since(call.started.tick, now.tick);
        call.callee = Some(line);
        call.mode = mode;
        call.timer = Some(timer);
        let heard_by = call.is_inbound.then(|| (call.leg, call.to.clone()));
        let (from, call) = (call.from.clone(), call.id);
        if let Some(callee) = self.lines.get_mut(line.0) {
            callee.business_mut().records.push(id);
            callee.note_call_began();
        }
        self.call_off_sleep(now, line);
        self.reconsider_pause(now, line, out);
        if let Some((leg, address)) = heard_by {
            self.ring_back(leg, address, metadata.clone(), out);
        }
        out.notify(line, Notice::Ring { from, call, metadata: metadata.into(), listener: None });
    }

    /// The ring, or the wait for a sleeping callee, has lasted long enough.
    pub(super) fn on_call_timeout(&mut self, now: Moment, id: RecordId, out: &mut Outbox<'_>) {
        self.fail_call(now, id, Cause::Timeout, out);
    }

    /// Ends a call that is not up yet: the caller hears BUSY, the callee HANGUP, both with the cause.
    pub(super) fn fail_call(&mut self, now: Moment, id: RecordId, cause: Cause, out: &mut Outbox<'_>) {
        let Some(call) = self.remove_call(id) else { return };
        let reason = Reason::from(cause);
        self.send(call.leg.shard(), Signal::DialRefused { leg: call.leg, reason: reason.clone() }, out);
        self.log_call(now, &call, reason.clone(), EndedBy::Exchange, out);
        self.callee_hears_end(now, &call, reason, out);
    }

    /// The caller's end is gone, or it has hung up.
    pub(super) fn on_caller_gone(
        &mut self,
        now: Moment,
        call: CallId,
        line: LineId,
        leg: LegId,
        reason: Reason,
        out: &mut Outbox<'_>,
    ) {
        let Some(&id) = self.records_by_call.get(&call) else { return };
        match self.records.get(id.0) {
            Some(Record::Session(_)) => self.on_listener_gone(now, id, line, reason, out),
            Some(Record::Call(record)) if record.leg == leg => {
                let Some(call) = self.remove_call(id) else { return };
                self.log_call(now, &call, reason.clone(), EndedBy::Caller, out);
                self.callee_hears_end(now, &call, reason, out);
            }
            Some(Record::Call(_)) | None => {}
        }
    }

    pub(super) fn callee_hears_end(
        &mut self,
        now: Moment,
        call: &Call,
        reason: Reason,
        out: &mut Outbox<'_>,
    ) {
        let Some(callee) = call.callee else { return };
        self.note_given_up(call, out);
        out.notify(callee, Notice::HungUp { call: call.id, reason, from: None });
        self.after_call(now, callee, out);
    }

    /// The callee hangs up; it hears nothing back (section 11).
    pub(super) fn callee_hangs_up(
        &mut self,
        now: Moment,
        id: RecordId,
        reason: Reason,
        out: &mut Outbox<'_>,
    ) {
        let Some(call) = self.end_call(now, id, reason, EndedBy::Callee, out) else { return };
        if let Some(callee) = call.callee {
            self.after_call(now, callee, out);
        }
    }

    /// Takes a call out and tells the caller.
    pub(super) fn end_call(
        &mut self,
        now: Moment,
        id: RecordId,
        reason: Reason,
        ended_by: EndedBy,
        out: &mut Outbox<'_>,
    ) -> Option<Box<Call>> {
        let call = self.remove_call(id)?;
        self.log_call(now, &call, reason.clone(), ended_by, out);
        self.send(call.leg.shard(), Signal::CalleeGone { leg: call.leg, reason }, out);
        Some(call)
    }

    pub(super) fn on_caller_says<'a>(
        &mut self,
        id: RecordId,
        line: LineId,
        data: Payload<'a>,
        content_type: ContentType,
        out: &mut Outbox<'a>,
    ) {
        let bytes = data.bytes().map_or(0, <[u8]>::len);
        let (to, call, from) = match self.records.get_mut(id.0) {
            Some(Record::Call(call)) if call.stage == Stage::Connected => {
                debug_assert_eq!(call.caller, line, "a leg speaks for its own line only");
                call.traffic.to_callee.count(bytes);
                call.pressed += weight(data.bytes());
                (call.callee, call.id, call.from.clone())
            }
            Some(Record::Session(session)) => {
                let Some(listener) = session.listeners.get_mut(&line) else { return };
                listener.traffic.to_callee.count(bytes);
                (Some(session.broadcaster), session.id, listener.address.clone())
            }
            Some(Record::Call(_)) | None => return,
        };
        if let Some(to) = to {
            out.notify(to, Notice::Message { call, from, data, content_type });
        }
    }

    pub(super) fn on_caller_renamed(&mut self, call: CallId, line: LineId, address: Address) {
        let Some(&id) = self.records_by_call.get(&call) else { return };
        match self.records.get_mut(id.0) {
            Some(Record::Call(call)) if call.caller == line => call.from = address,
            Some(Record::Session(session)) => {
                if let Some(listener) = session.listeners.get_mut(&line) {
                    listener.address = address;
                }
            }
            Some(Record::Call(_)) | None => {}
        }
    }

    /// Takes a call out of everything on this shard that knows it.
    pub(super) fn remove_call(&mut self, id: RecordId) -> Option<Box<Call>> {
        let Some(Record::Call(_)) = self.records.get(id.0) else { return None };
        let Some(Record::Call(mut call)) = self.records.remove(id.0) else { return None };
        self.records_by_call.remove(&call.id);
        if call.id.is_derived() {
            self.forgotten.push(call.id);
        }
        self.waiting_metadata_bytes -= call.metadata.as_ref().map_or(0, Bytes::len);
        self.waiting_calls -= usize::from(matches!(call.stage, Stage::Waiting { .. }));
        if let Some(timer) = call.timer.take() {
            self.timers.cancel(timer);
        }
        match call.callee {
            Some(callee) => self.forget_record(callee, id),
            None => self.directory.edit(&call.to, |listing| listing.stop_waiting(id)),
        }
        Some(call)
    }

    /// Takes a record off its callee's list.
    pub(super) fn forget_record(&mut self, callee: LineId, id: RecordId) {
        let Some(business) = self.lines.get_mut(callee.0).and_then(|line| line.business.as_mut()) else {
            return;
        };
        if business.tie.as_mut().is_some_and(|tie| tie.records.remove(&id)) {
            return;
        }
        if let Some(at) = business.records.iter().rposition(|&other| other == id) {
            business.records.swap_remove(at);
        }
        if business.session == Some(id) {
            business.session = None;
        }
    }

    /// Refuses a dial for which there is no record.
    pub(super) fn refuse_call(
        &mut self,
        now: Moment,
        dial: &Dial,
        cause: Cause,
        mode: CallMode,
        out: &mut Outbox<'_>,
    ) {
        self.send(dial.leg.shard(), Signal::DialRefused { leg: dial.leg, reason: cause.into() }, out);
        out.push(Effect::Record(Box::new(CallRecord {
            call: dial.call,
            from: dial.from.clone(),
            to: Name::Address(dial.to.clone()),
            mode,
            started: dial.started,
            rang: None,
            answered: None,
            ended: now,
            reason: cause.into(),
            ended_by: EndedBy::Exchange,
            traffic: Traffic::default(),
            crossing: crossing(dial.inbound.is_some(), mode, None),
            trace: dial.trace.clone(),
        })));
    }

    pub(super) fn log_call(
        &self,
        now: Moment,
        call: &Call,
        reason: Reason,
        ended_by: EndedBy,
        out: &mut Outbox<'_>,
    ) {
        out.push(Effect::Record(Box::new(CallRecord {
            call: call.id,
            from: call.from.clone(),
            to: Name::Address(call.to.clone()),
            mode: call.mode,
            started: call.started,
            rang: call.rang,
            answered: call.answered,
            ended: now,
            ended_by: ended_by.unless_stopped(&reason),
            reason: reason.brief(),
            traffic: call.traffic,
            crossing: crossing(call.is_inbound, call.mode, self.link_of(call)),
            trace: call.trace.clone(),
        })));
    }

    /// The domain of the link by which a call goes out, or else came in, if that is this shard's and still there.
    fn link_of(&self, call: &Call) -> Option<Box<str>> {
        let tie = |line: LineId| (line.shard() == self.id).then(|| self.tie(line)).flatten();
        let beyond = call.callee.filter(|_| call.mode == CallMode::Forwarded).and_then(tie);
        let before = || if call.is_inbound { tie(call.caller) } else { None };
        beyond.or_else(before).map(|tie| tie.domain.clone())
    }
}

fn crossing(comes_in: bool, mode: CallMode, link: Option<Box<str>>) -> Option<Crossing> {
    Way::of(comes_in, mode == CallMode::Forwarded).map(|way| Crossing { way, link })
}
