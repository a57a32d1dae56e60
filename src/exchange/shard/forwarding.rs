//! Calls across exchanges: DIAL_FORWARD both ways, and what a tie line says about calls (spec sections 19.3 to 19.5).
//!
//! A call that another exchange places has a leg on its tie line's shard, one that goes out a record: each end then is as
//! that of any call, and a call in transit has both. A tie line speaks for those ends only. Other exchanges name their calls,
//! so each name is first brought to the one shard that knows whether it is taken, our own calls included: a dial that comes
//! back is refused there, however long its way was.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::exchange::address::Address;
use crate::exchange::call::{Call, Leg, LegStage, Record, Stage};
use crate::exchange::cause::{Cause, Reason};
use crate::exchange::effect::{CallMode, Effect, EndedBy, Notice, Outbox, TieNews};
use crate::exchange::event::Verb;
use crate::exchange::ids::{CallId, LegId, LineId, RecordId, ShardId, ShardSet};
use crate::exchange::limits::CALLS_PER_TIE_MAX;
use crate::exchange::signal::{Dial, Inbound, Signal};
use crate::exchange::tie::{DialForward, ForwardedDial, Tie, TieNotice, TieRequest, Vouch};
use crate::exchange::time::Moment;
use crate::exchange::timers::Due;

use super::Shard;

impl Shard {
    /// What another exchange asks; of a line that is no tie line only that it becomes one.
    pub(super) fn on_tie_request<'a>(
        &mut self,
        now: Moment,
        line: LineId,
        request: TieRequest<'a>,
        out: &mut Outbox<'a>,
    ) {
        if let TieRequest::Register(registration) = request {
            return self.register_tie(line, *registration, out);
        }
        if !self.is_tie(line) {
            return self.refuse(line, Verb::DialForward, Cause::NotPbx, out);
        }
        match request {
            TieRequest::Register(_) => {}
            TieRequest::DialForward(dial) => self.dial_forward(now, line, *dial, out),
            TieRequest::Ring { call, metadata } => self.far_end_rings(now, line, call, metadata, out),
            TieRequest::Busy { call, reason } => {
                self.far_end_refuses(now, line, call, reason.as_deref(), out)
            }
            TieRequest::Message { call, from, data, content_type } => {
                self.learn_speaker(line, call, from.as_deref(), out);
                self.settle(now, out);
                self.say(line, call, data, content_type, out);
            }
            TieRequest::PresenceQuery(query) => self.answer_presence_query(now, line, *query, out),
            TieRequest::PresenceResult(answer) => self.on_tie_answer(line, *answer, out),
            TieRequest::Party(talk) => self.hear_of_party(now, line, *talk, out),
            TieRequest::Welcomed => out.push(Effect::Tie { line, news: TieNews::Welcomed }),
            TieRequest::TurnedDown { reason } => {
                out.push(Effect::Tie { line, news: TieNews::TurnedDown(reason.into()) });
            }
            TieRequest::HeartbeatHeard => self.tie_heartbeat_heard(line),
            TieRequest::Complaint => {}
        }
    }

    /// What the shell's outbox rule has to know about the requests of tie lines.
    pub(super) fn tie_reaches(&self, line: LineId, request: &TieRequest<'_>) -> ShardSet {
        match request {
            TieRequest::Register(_) => ShardSet::of(ShardId::new(super::ties::REGISTRAR)),
            TieRequest::DialForward(dial) => ShardSet::of(self.registrar_of(dial.call)),
            TieRequest::Ring { call, .. }
            | TieRequest::Busy { call, .. }
            | TieRequest::Message { call, .. } => self.call_reaches(line, *call),
            TieRequest::PresenceQuery(_) | TieRequest::PresenceResult(_) => ShardSet::all(self.shards),
            TieRequest::Party(talk) => self.party_reaches(talk.party.as_str()),
            TieRequest::Welcomed
            | TieRequest::TurnedDown { .. }
            | TieRequest::HeartbeatHeard
            | TieRequest::Complaint => ShardSet::NONE,
        }
    }

    /// DIAL_FORWARD (section 19.4).
    fn dial_forward(&mut self, now: Moment, line: LineId, dial: DialForward<'_>, out: &mut Outbox<'_>) {
        let DialForward { call, name, from, to, metadata, trace } = dial;
        if let Some(name) = &name {
            out.push(Effect::CallNamed { call, name: name.clone() });
        }
        let address = self.callable(&to, Some(line)).ok_or(Cause::NoSuchAddress);
        let permit =
            |address: Address| self.may_dial_from(line, from.as_str(), address.as_str()).then_some(address);
        let address = address.and_then(|address| permit(address).ok_or(Cause::Forbidden));
        let address =
            address.and_then(|address| self.objection_to_forward(line, call).map_or(Ok(address), Err));
        let to = match address {
            Ok(address) => address,
            Err(cause) => {
                self.forgotten.extend(name.map(|_| call));
                let to = Cow::Owned(to.into_owned());
                return out.notify(line, Notice::Tie(TieNotice::Busy { call, to, reason: cause.into() }));
            }
        };
        let shard = self.registrar_of(call);
        let leg = LegId(self.legs.insert_with(|_| Leg {
            id: call,
            line,
            to: to.clone(),
            callee: None,
            reference: None,
            stage: LegStage::Dialling,
            shard,
            held: false,
            heedless_peer: false,
            pressed: 0,
            forwarded: Some(from.clone()),
        }));
        if let Some(tie) = self.lines.get_mut(line.0).and_then(|line| line.tie_mut()) {
            tie.legs.insert(call, leg);
        }
        let dial = Dial {
            call,
            leg,
            line,
            from: from.detached(),
            to: to.detached(),
            metadata: metadata.map(Bytes::copy_from_slice),
            started: now,
            hops: 0,
            guest: None,
            vouch: Vouch::Theirs,
            inbound: Some(Box::new(Inbound { name, is_unique: false })),
            trace,
        };
        self.send(shard, Signal::Dial(Box::new(dial)), out);
    }

    fn objection_to_forward(&self, line: LineId, call: CallId) -> Option<Cause> {
        let tie = self.tie(line)?;
        if tie.legs.contains_key(&call) {
            return Some(Cause::LoopDetected);
        }
        (tie.calls() >= CALLS_PER_TIE_MAX || self.legs.is_full()).then_some(Cause::Unavailable)
    }

    /// The shard that knows whether a call's name is taken; for our own calls the one of the caller.
    pub(super) fn registrar_of(&self, call: CallId) -> ShardId {
        ShardId::new(call.shard_index() % self.shards)
    }

    /// Gives the name of a call from another exchange to its leg, if nobody has it (section 19.5).
    pub(super) fn take_name(&mut self, now: Moment, mut dial: Dial, out: &mut Outbox<'_>) {
        let is_ours = |(_, leg): (_, &Leg)| leg.id == dial.call && leg.forwarded.is_none();
        let of_ours =
            dial.call.shard_index() == self.id.index() && self.legs.at(dial.call.slot()).is_some_and(is_ours);
        let was_given_up = self.given_up.has(now.tick, dial.call);
        if of_ours || was_given_up || self.names.contains_key(&dial.call) {
            return self.refuse_call(now, &dial, Cause::LoopDetected, CallMode::Forwarded, out);
        }
        self.names.insert(dial.call, dial.leg);
        if let Some(inbound) = &mut dial.inbound {
            inbound.is_unique = true;
        }
        self.on_dial(now, dial, out);
    }

    /// Its call is over.
    pub(super) fn on_name_free(&mut self, call: CallId, leg: LegId) {
        if self.names.get(&call) == Some(&leg) {
            self.names.remove(&call);
        }
    }

    /// A call ends that may still be on its way beyond one of this shard's tie lines, from where it may come back.
    pub(super) fn note_given_up(&mut self, call: &Call, out: &mut Outbox<'_>) {
        if call.mode == CallMode::Forwarded && call.stage != Stage::Connected {
            self.send(self.registrar_of(call.id), Signal::GivenUp { call: call.id }, out);
        }
    }

    /// A call that came in by a tie line is over here.
    pub(super) fn unlink_forwarded(&mut self, id: LegId, leg: &Leg, out: &mut Outbox<'_>) {
        if let Some(tie) = self.lines.get_mut(leg.line.0).and_then(|line| line.tie_mut()) {
            tie.legs.remove(&leg.id);
        }
        if leg.id.is_derived() {
            self.forgotten.push(leg.id);
        }
        self.send(self.registrar_of(leg.id), Signal::NameFree { call: leg.id, leg: id }, out);
    }

    /// What is dialled, if it can be: an address, or a text of any form that a route other than `came_by` is for (section 9,
    /// step 1).
    pub(super) fn callable(&self, to: &str, came_by: Option<LineId>) -> Option<Address> {
        let is_routed = |to: &Address| self.routes.find(to.as_str(), came_by).is_some();
        Address::parse(to).or_else(|| Address::beyond(to).filter(is_routed))
    }

    /// The tie line by which a dial goes on that finds nobody here.
    pub(super) fn route_of(&self, dial: &Dial) -> Option<LineId> {
        let came_by = dial.inbound.as_ref().map(|_| dial.line);
        let way = self.routes.find(dial.to.as_str(), came_by)?;
        if self.speaks_for(way, dial.to.as_str()) {
            return Some(way);
        }
        let mut ways = self.routes.find_all(dial.to.as_str(), came_by).into_iter();
        ways.find(|&way| self.speaks_for(way, dial.to.as_str()))
    }

    /// A call goes out by a tie line of this shard (sections 19.3, 19.5).
    pub(super) fn forward(&mut self, now: Moment, line: LineId, mut dial: Dial, out: &mut Outbox<'_>) {
        let is_full =
            self.records.is_full() || self.tie(line).is_none_or(|tie| tie.calls() >= CALLS_PER_TIE_MAX);
        if is_full {
            return self.refuse_call(now, &dial, Cause::Unavailable, CallMode::Forwarded, out);
        }
        let forwarded = Box::new(ForwardedDial {
            call: dial.call,
            from: dial.from.clone(),
            to: dial.to.clone(),
            metadata: dial.metadata.take(),
            vouch: dial.vouch,
            domain: self.limits.domain.clone(),
            wall_ms: now.wall_ms,
        });
        let (leg, call, caller) = (dial.leg, dial.call, dial.line);
        let record = self.insert_call(dial, Stage::Ringing, out);
        let timer = self.timers.set(now.tick.plus_millis(self.limits.call_timeout_ms), Due::Call(record));
        if let Some(Record::Call(call)) = self.records.get_mut(record.0) {
            call.callee = Some(line);
            call.mode = CallMode::Forwarded;
            call.timer = Some(timer);
        }
        if let Some(tie) = self.lines.get_mut(line.0).and_then(|line| line.tie_mut()) {
            tie.records.insert(record);
        }
        self.send(leg.shard(), Signal::Located { leg, call, line: caller, record }, out);
        out.notify(line, Notice::Tie(TieNotice::DialForward(forwarded)));
    }

    /// RING: whom we have called by way of the other exchange rings (section 19.3).
    fn far_end_rings(
        &mut self,
        now: Moment,
        line: LineId,
        call: CallId,
        metadata: Option<&[u8]>,
        out: &mut Outbox<'_>,
    ) {
        let Some(id) = self.forwarded_by(line, call) else { return };
        let Some(Record::Call(record)) = self.records.get_mut(id.0) else { return };
        if record.stage == Stage::Ringing {
            if record.rang.replace(now.tick).is_none() {
                self.tally.ringing.note_since(record.started.tick, now.tick);
            }
            let (leg, from) = (record.leg, record.to.clone());
            self.ring_back(leg, from, metadata.map(Bytes::copy_from_slice), out);
        }
    }

    /// Lets whoever placed a call by way of another exchange know that it rings.
    pub(super) fn ring_back(
        &mut self,
        leg: LegId,
        from: Address,
        metadata: Option<Bytes>,
        out: &mut Outbox<'_>,
    ) {
        let from = if leg.shard() == self.id { from } else { from.detached() };
        self.send(leg.shard(), Signal::RingBack { leg, from, metadata: metadata.map(Box::new) }, out);
    }

    pub(super) fn on_ring_back(
        &mut self,
        id: LegId,
        from: Address,
        metadata: Option<Box<Bytes>>,
        out: &mut Outbox<'_>,
    ) {
        let Some(leg) = self.legs.get(id.0) else { return };
        let (call, metadata) = (leg.id, metadata.map(|bytes| *bytes));
        let notice = if leg.forwarded.is_some() {
            Notice::Tie(TieNotice::Ring { call, from, metadata })
        } else {
            Notice::RingBack { call, to: leg.to.clone(), metadata }
        };
        out.notify(leg.line, notice);
    }

    /// BUSY: a call that went out came to nothing (section 19.3). One that is up is over then, whatever the other side meant.
    fn far_end_refuses(
        &mut self,
        now: Moment,
        line: LineId,
        call: CallId,
        reason: Option<&str>,
        out: &mut Outbox<'_>,
    ) {
        let Some(id) = self.forwarded_by(line, call) else { return };
        let reason = reason.map_or(Cause::Unavailable.into(), |text| Reason::Given(text.into()));
        match self.records.get(id.0) {
            Some(Record::Call(call)) if call.stage == Stage::Connected => {
                drop(self.end_call(now, id, reason, EndedBy::Callee, out));
            }
            _ => self.refuse_forwarded(now, id, reason, out),
        }
    }

    /// The record of a call that went out by a tie line.
    fn forwarded_by(&self, line: LineId, call: CallId) -> Option<RecordId> {
        let id = self.record_of(line, call)?;
        self.tie(line).filter(|tie| tie.records.contains(&id)).map(|_| id)
    }

    /// Section 12: on a tie line a message says whose it is. Nearly always that is known.
    fn learn_speaker(&mut self, line: LineId, call: CallId, from: Option<&str>, out: &mut Outbox<'_>) {
        let Some(from) = from else { return };
        if let Some((id, leg)) = self.leg_of(line, call) {
            let LegStage::Connected(record) = leg.stage else { return };
            if leg.forwarded.as_ref().is_none_or(|known| known.as_str() == from) {
                return;
            }
            let Some(address) = self.new_speaker(line, from) else { return };
            if let Some(leg) = self.legs.get_mut(id.0) {
                leg.forwarded = Some(address.clone());
            }
            let address = address.detached();
            return self.send(record.shard(), Signal::CallerRenamed { call, line, address }, out);
        }
        let Some(id) = self.forwarded_by(line, call) else { return };
        let Some(Record::Call(record)) = self.records.get(id.0) else { return };
        let known = record.speaker.as_ref().unwrap_or(&record.to);
        if known.as_str() == from {
            return;
        }
        let Some(address) = self.new_speaker(line, from) else { return };
        let Some(Record::Call(record)) = self.records.get_mut(id.0) else { return };
        record.speaker = Some(address.clone());
        let (leg, address) = (record.leg, address.detached());
        self.send(leg.shard(), Signal::CalleeRenamed { leg, address }, out);
    }

    /// Somebody who has not spoken in a call before, if the tie line may say that it is he.
    fn new_speaker(&self, line: LineId, from: &str) -> Option<Address> {
        Address::beyond(from).filter(|address| self.speaks_for(line, address.as_str()))
    }
}

impl Tie {
    /// How many calls run over it.
    fn calls(&self) -> usize {
        self.legs.len() + self.records.len()
    }
}

/// Names of calls are said once for each end on a shard.
pub(super) fn name_call(call: CallId, name: Option<&Arc<str>>, out: &mut Outbox<'_>) {
    if let Some(name) = name {
        out.push(Effect::CallNamed { call, name: name.clone() });
    }
}
