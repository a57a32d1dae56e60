//! Broadcasts: one line speaks, many listen, all share one call id (spec section 13).
//!
//! The session's record lives with the broadcaster. Each shard with listeners keeps them as an audience, so that
//! a message crosses each trunk once. Party lines use the same audiences.

use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexSet;

use crate::exchange::call::{Listener, Record, Session, Traffic};
use crate::exchange::cause::{Cause, Reason};
use crate::exchange::effect::{CallMode, CallRecord, Effect, EndedBy, Name, Notice, Outbox, Payload};
use crate::exchange::event::{Concurrency, ContentType};
use crate::exchange::ids::{CallId, LegId, LineId, RecordId, ShardId};
use crate::exchange::party::Except;
use crate::exchange::signal::{AudienceId, Dial, News, Publication, Signal};
use crate::exchange::time::Moment;

use super::Shard;

impl Shard {
    /// A dial to a broadcaster that may be called: the caller listens from now on, without an answer.
    pub(super) fn listen(&mut self, now: Moment, line: LineId, dial: Dial, out: &mut Outbox<'_>) {
        let existing = self.session_of(line);
        if let Some(session) = existing.and_then(|id| self.session(id))
            && session.listeners.contains_key(&dial.line)
        {
            let signal = Signal::ListensAlready { leg: dial.leg, session: session.id };
            return self.send(dial.leg.shard(), signal, out);
        }
        if self.audience_is_full(line, existing) {
            return self.refuse_call(now, &dial, Cause::MaxListenersReached, CallMode::Broadcast, out);
        }
        let Some(record) = existing.or_else(|| self.start_session(line)) else {
            return self.refuse_call(now, &dial, Cause::Unavailable, CallMode::Broadcast, out);
        };
        self.add_listener(now, record, dial, out);
        self.call_off_sleep(now, line);
        self.reconsider_pause(now, line, out);
    }

    fn audience_is_full(&self, line: LineId, session: Option<RecordId>) -> bool {
        let listeners = session.and_then(|id| self.session(id)).map_or(0, |session| session.listeners.len());
        match self.lines.get(line.0).map(|line| line.concurrency()) {
            Some(Concurrency::Broadcast { max_listeners }) => {
                max_listeners.is_some_and(|max| listeners >= max as usize)
            }
            _ => false,
        }
    }

    fn session_of(&self, line: LineId) -> Option<RecordId> {
        self.lines.get(line.0)?.business.as_ref()?.session
    }

    pub(super) fn session(&self, id: RecordId) -> Option<&Session> {
        match self.records.get(id.0)? {
            Record::Session(session) => Some(session),
            Record::Call(_) => None,
        }
    }

    fn start_session(&mut self, line: LineId) -> Option<RecordId> {
        if self.records.is_full() {
            return None;
        }
        let call = CallId::mint(LegId(line.0), self.draw());
        let session = Session::new(call, line, self.shards, self.hasher.clone());
        self.sessions += 1;
        let record = RecordId(self.records.insert_with(|_| Record::Session(Box::new(session))));
        self.records_by_call.insert(call, record);
        let broadcaster = self.lines.get_mut(line.0)?;
        let business = broadcaster.business_mut();
        business.records.push(record);
        business.session = Some(record);
        broadcaster.note_call_began();
        Some(record)
    }

    fn add_listener(&mut self, now: Moment, record: RecordId, dial: Dial, out: &mut Outbox<'_>) {
        let Dial { call: dialled, leg, line, from, to, metadata, started, hops, trace, .. } = dial;
        let Some(Record::Session(session)) = self.records.get_mut(record.0) else { return };
        let (call, broadcaster, missed) = (session.id, session.broadcaster, session.said);
        let address = from.clone();
        let traffic = Traffic::default();
        let listener =
            Listener { dial: dialled, leg, address, to, started, answered: now, traffic, missed, trace };
        session.add(line, listener);
        self.tally.listeners += 1;
        self.records_by_call.insert(dialled, record);
        if hops > 0 {
            self.send(leg.shard(), Signal::Located { leg, call: dialled, line, record }, out);
        }
        self.send(leg.shard(), Signal::Listening { leg, record, session: call }, out);
        out.notify(broadcaster, Notice::Ring { from, call, metadata: metadata.into(), listener: Some(line) });
    }

    /// A listener has left, in whatever way.
    pub(super) fn on_listener_gone(
        &mut self,
        now: Moment,
        id: RecordId,
        line: LineId,
        reason: Reason,
        out: &mut Outbox<'_>,
    ) {
        let Some(Record::Session(session)) = self.records.get_mut(id.0) else { return };
        let Some(listener) = session.remove(line) else { return };
        let (call, broadcaster, last) = (session.id, session.broadcaster, session.listeners.is_empty());
        self.records_by_call.remove(&listener.dial);
        self.log_listener(now, call, &listener, reason.clone(), EndedBy::Caller, out);
        out.notify(broadcaster, Notice::HungUp { call, reason, from: Some(listener.address) });
        if last {
            self.remove_session(id);
            self.after_call(now, broadcaster, out);
        }
    }

    /// The broadcaster ends its session: every listener hears why, the broadcaster nothing.
    pub(super) fn end_session(&mut self, now: Moment, id: RecordId, reason: Reason, out: &mut Outbox<'_>) {
        let Some(mut session) = self.remove_session(id) else { return };
        for listener in session.listeners.values_mut() {
            self.records_by_call.remove(&listener.dial);
            listener.sum_up(session.said);
            self.log_listener(now, session.id, listener, reason.clone(), EndedBy::Callee, out);
        }
        let audience = AudienceId::Session(session.id);
        self.publish(
            &session.per_shard,
            Publication { audience, except: Except::Nobody, news: News::SessionEnded { reason } },
            out,
        );
        self.after_call(now, session.broadcaster, out);
    }

    fn remove_session(&mut self, id: RecordId) -> Option<Box<Session>> {
        self.session(id)?;
        let Some(Record::Session(session)) = self.records.remove(id.0) else { return None };
        self.sessions -= 1;
        self.records_by_call.remove(&session.id);
        self.forget_record(session.broadcaster, id);
        Some(session)
    }

    /// The broadcaster speaks to everybody.
    pub(super) fn say_to_listeners(
        &mut self,
        id: RecordId,
        data: Option<&[u8]>,
        content_type: ContentType,
        out: &mut Outbox<'_>,
    ) {
        let Some(Record::Session(session)) = self.records.get_mut(id.0) else { return };
        session.said.count(data.map_or(0, <[u8]>::len));
        let Some(session) = self.session(id) else { return };
        let Some(from) = self.address_of(session.broadcaster).cloned() else { return };
        let (audience, per_shard) = (AudienceId::Session(session.id), session.per_shard.clone());
        let news = News::Message { from, data: data.map(Bytes::copy_from_slice), content_type };
        self.publish(&per_shard, Publication { audience, except: Except::Nobody, news }, out);
    }

    /// The broadcaster speaks to one listener only: services inside the exchange do.
    pub(super) fn whisper<'a>(
        &mut self,
        line: LineId,
        call: CallId,
        listener: LineId,
        data: &'a [u8],
        out: &mut Outbox<'a>,
    ) {
        let session = self.record_of(line, call).and_then(|id| self.session(id));
        let Some(leg) =
            session.and_then(|session| session.listeners.get(&listener)).map(|listener| listener.leg)
        else {
            return;
        };
        self.say_to_caller(leg, Some(data), ContentType::Text, out);
    }

    /// Tells an audience something: one signal for each shard that has members.
    pub(super) fn publish(&mut self, per_shard: &[u32], publication: Publication, out: &mut Outbox<'_>) {
        let publication = Arc::new(publication);
        for (shard, _) in per_shard.iter().enumerate().filter(|&(_, &members)| members > 0) {
            self.send(ShardId::new(shard), Signal::Publish(publication.clone()), out);
        }
    }

    /// The local members of an audience hear something.
    pub(super) fn on_publish(&mut self, now: Moment, publication: &Publication, out: &mut Outbox<'_>) {
        let Publication { audience, except, news } = publication;
        let Some(members) = self.audiences.get(audience) else { return };
        let lines: Vec<LineId> = members.iter().copied().filter(|line| !except.has(*line)).collect();
        match (news, *audience) {
            (News::SessionEnded { reason }, AudienceId::Session(call)) => {
                self.on_session_ended(now, call, lines, reason, out);
            }
            (News::Message { from, data, content_type }, AudienceId::Session(call)) => {
                let (from, content_type) = (from.clone(), *content_type);
                out.push(Effect::Publish {
                    lines,
                    notice: Notice::Message { call, from, data: Payload::from(data.clone()), content_type },
                });
            }
            (News::PartyMessage { party, from, data, content_type }, _) => {
                let (party, from, content_type) = (party.clone(), from.clone(), *content_type);
                let notice =
                    Notice::PartyMessage { party, from, data: Payload::from(data.clone()), content_type };
                out.push(Effect::Publish { lines, notice });
            }
            (News::SessionEnded { .. } | News::Message { .. }, AudienceId::Party(_)) => {
                debug_assert!(false, "a party is no broadcast");
            }
        }
    }

    fn on_session_ended(
        &mut self,
        now: Moment,
        call: CallId,
        lines: Vec<LineId>,
        reason: &Reason,
        out: &mut Outbox<'_>,
    ) {
        for &line in &lines {
            if let Some(&leg) = self.listening.get(&(call, line)) {
                self.remove_leg(leg, out);
            }
        }
        let notice = Notice::HungUp { call, reason: reason.clone(), from: None };
        out.push(Effect::Publish { lines: lines.clone(), notice });
        for line in lines {
            self.after_call(now, line, out);
        }
    }

    /// Puts a line of this shard into an audience.
    pub(super) fn enter_audience(&mut self, audience: AudienceId, line: LineId) {
        let hasher = &self.hasher;
        self.audiences.get_or_insert_with(audience, || IndexSet::with_hasher(hasher.clone())).insert(line);
    }

    /// Takes a line of this shard out of an audience.
    pub(super) fn leave_audience(&mut self, audience: AudienceId, line: LineId) {
        let Some(members) = self.audiences.get_mut(&audience) else { return };
        members.swap_remove(&line);
        if members.is_empty() {
            self.audiences.remove(&audience);
        }
    }

    fn log_listener(
        &self,
        now: Moment,
        call: CallId,
        listener: &Listener,
        reason: Reason,
        ended_by: EndedBy,
        out: &mut Outbox<'_>,
    ) {
        out.push(Effect::Record(Box::new(CallRecord {
            call,
            from: listener.address.clone(),
            to: Name::Address(listener.to.clone()),
            mode: CallMode::Broadcast,
            started: listener.started,
            rang: None,
            answered: Some(listener.answered),
            ended: now,
            ended_by: ended_by.unless_stopped(&reason),
            reason: reason.brief(),
            traffic: listener.traffic,
            crossing: None,
            trace: listener.trace.clone(),
        })));
    }
}
