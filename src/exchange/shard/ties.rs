//! Tie lines: how a line becomes one, how all shards learn of its routes, and how it ends (spec sections 19.1, 19.9, 18).
//!
//! Shard 0 is the registrar: it alone decides which routes there are, and tells every shard, itself included. Only when all
//! have said that they know is the line told that it is registered, so whoever dials after that is routed. Meanwhile
//! the line is not read: what it sends next is for a tie line. Routes of the configuration wait for nothing.

use std::sync::Arc;

use crate::exchange::call::{Record, Stage};
use crate::exchange::cause::{Cause, Reason};
use crate::exchange::effect::{Effect, EndedBy, Notice, Outbox, TieNews};
use crate::exchange::ids::{LineId, RecordId, ShardId};
use crate::exchange::limits::{HEARTBEATS_MISSED_MAX, ROUTES_MAX, TIES_MAX, WILD_ROUTES_MAX};
use crate::exchange::line::Pauses;
use crate::exchange::pattern::Shape;
use crate::exchange::routes::TieRoutes;
use crate::exchange::signal::Signal;
use crate::exchange::tie::{AskedOf, Peer, Tie, TieNotice, TieRefusal, TieRegistration};
use crate::exchange::time::Moment;
use crate::exchange::timers::Due;

use super::Shard;
use super::departure::Afterlife;

/// The shard that decides about routes.
pub(super) const REGISTRAR: usize = 0;

/// A tie line that waits until every shard knows its routes; on the registrar.
#[derive(Debug)]
pub(super) struct Announcement {
    routes: Arc<TieRoutes>,
    /// Shards that have not said so yet.
    missing: usize,
}

/// On the tie line's shard.
impl Shard {
    /// A connection to an exchange that this one has called: a tie line from the start (section 19.9). `None` as for
    /// [`Shard::open_line`].
    pub fn open_tie(&mut self, now: Moment, peer: &Arc<Peer>, out: &mut Outbox<'_>) -> Option<LineId> {
        self.counted(now, out, |shard, out| shard.begin_tie(now, peer, out))
    }

    fn begin_tie(&mut self, now: Moment, peer: &Arc<Peer>, out: &mut Outbox<'_>) -> Option<LineId> {
        let line = self.open_unwatched(now)?;
        let routes = TieRoutes {
            domain: peer.id.clone(),
            routes: peer.routes.clone(),
            announced: peer.announced.clone(),
            configured: Some(peer.position),
        };
        self.make_tie(line, peer.id.clone());
        if let Some(tie) = self.lines.get_mut(line.0).and_then(|line| line.tie_mut()) {
            tie.peer = Some(peer.clone());
        }
        self.want_tie(line, Some(Arc::new(routes)), out);
        out.notify(line, Notice::Tie(TieNotice::Introduction(peer.clone())));
        self.set_heartbeat(now, line);
        Some(line)
    }

    /// REGISTER_PBX (section 19.1).
    pub(super) fn register_tie(&mut self, line: LineId, registration: TieRegistration, out: &mut Outbox<'_>) {
        let TieRegistration { domain, routes, auth } = registration;
        if !self.may_tie(&domain, &routes, auth.as_ref()) {
            return out.notify(line, Notice::Tie(TieNotice::Refused(Box::new(TieRefusal::AuthFailed))));
        }
        // What was announced to it stays announced.
        let peer = self.tie(line).and_then(|tie| tie.peer.as_ref());
        let announced = peer.map(|peer| peer.announced.clone()).unwrap_or_default();
        let routes = TieRoutes { domain, routes, announced, configured: None };
        self.pause(line, Pauses::TIE, out);
        self.want_tie(line, Some(Arc::new(routes)), out);
    }

    fn want_tie(&mut self, line: LineId, routes: Option<Arc<TieRoutes>>, out: &mut Outbox<'_>) {
        self.send(ShardId::new(REGISTRAR), Signal::TieWanted { line, routes }, out);
    }

    fn make_tie(&mut self, line: LineId, domain: Box<str>) {
        let hasher = self.hasher.clone();
        let Some(entry) = self.lines.get_mut(line.0) else { return };
        let tie = entry.business_mut().tie.get_or_insert_with(|| Box::new(Tie::with_hasher(hasher)));
        tie.domain = domain;
    }

    pub(super) fn on_tie_granted(
        &mut self,
        now: Moment,
        line: LineId,
        routes: &TieRoutes,
        out: &mut Outbox<'_>,
    ) {
        if self.lines.get(line.0).is_none() || routes.configured.is_some() {
            return;
        }
        self.make_tie(line, routes.domain.clone());
        out.notify(line, Notice::Tie(TieNotice::Registered { domain: routes.domain.clone() }));
        self.unpause(now, line, Pauses::TIE, out);
    }

    pub(super) fn on_tie_refused(
        &mut self,
        now: Moment,
        line: LineId,
        refusal: Box<TieRefusal>,
        out: &mut Outbox<'_>,
    ) {
        let Some(entry) = self.lines.get(line.0) else { return };
        let is_outbound = entry.tie().is_some_and(|tie| tie.peer.is_some());
        if is_outbound {
            // There is nobody to be told but the operator, and no way to do better.
            return out.push(Effect::Tie { line, news: TieNews::NoRoom });
        }
        out.notify(line, Notice::Tie(TieNotice::Refused(refusal)));
        self.unpause(now, line, Pauses::TIE, out);
    }

    /// A newer tie line of the same exchange has taken over: this one has lost its network, or its program (section 19.1).
    pub(super) fn on_tie_replaced(&mut self, now: Moment, line: LineId, out: &mut Outbox<'_>) {
        self.dismiss(now, line, Cause::Replaced, Afterlife::None, out);
    }

    /// Whether a line leads to another exchange.
    pub fn is_tie(&self, line: LineId) -> bool {
        self.tie(line).is_some()
    }

    pub(super) fn tie(&self, line: LineId) -> Option<&Tie> {
        self.lines.get(line.0)?.tie()
    }

    /// A line goes that is a tie line or wants to be one; its calls end (section 18, step 2).
    pub(super) fn end_tie(
        &mut self,
        now: Moment,
        line: LineId,
        tie: Option<Box<Tie>>,
        cause: Cause,
        out: &mut Outbox<'_>,
    ) {
        self.routes.remove(line);
        self.want_tie(line, None, out);
        let Some(mut tie) = tie else { return };
        if let Some(timer) = tie.heartbeat.take() {
            self.timers.cancel(timer);
        }
        let cause = if cause == Cause::Shutdown { cause } else { Cause::Error };
        for question in std::mem::take(&mut tie.questions) {
            self.forget_question(question);
        }
        for AskedOf { question, .. } in tie.asked.drain(..) {
            let found = Box::default();
            self.send(question.shard(), Signal::PresenceFound { question, found, by_tie: true }, out);
        }
        self.cut_parties(line, &tie, out);
        // In a fixed order: hash tables have none that two runs share.
        let mut legs: Vec<_> = tie.legs.into_values().collect();
        legs.sort_unstable();
        for leg in legs {
            self.end_leg(leg, cause.into(), out);
        }
        let mut records: Vec<_> = tie.records.into_iter().collect();
        records.sort_unstable();
        for record in records {
            self.end_forwarded(now, record, cause, out);
        }
    }

    /// Whoever still waits for an answer hears that there is none, whoever was answered that it is over.
    fn end_forwarded(&mut self, now: Moment, id: RecordId, cause: Cause, out: &mut Outbox<'_>) {
        let is_up =
            matches!(self.records.get(id.0), Some(Record::Call(call)) if call.stage == Stage::Connected);
        if is_up {
            drop(self.end_call(now, id, cause.into(), EndedBy::Callee, out));
        } else {
            self.refuse_forwarded(now, id, Cause::Unavailable.into(), out);
        }
    }

    /// A call that went out and is not up came to nothing.
    pub(super) fn refuse_forwarded(
        &mut self,
        now: Moment,
        id: RecordId,
        reason: Reason,
        out: &mut Outbox<'_>,
    ) {
        let Some(call) = self.remove_call(id) else { return };
        self.log_call(now, &call, reason.clone(), EndedBy::Callee, out);
        self.send(call.leg.shard(), Signal::DialRefused { leg: call.leg, reason }, out);
    }
}

/// The heartbeat of tie lines that this exchange has called.
impl Shard {
    fn set_heartbeat(&mut self, now: Moment, line: LineId) {
        let Some(tie) = self.lines.get_mut(line.0).and_then(|line| line.tie_mut()) else { return };
        let Some(every_ms) = tie.peer.as_ref().and_then(|peer| peer.heartbeat_ms) else { return };
        tie.heartbeat = Some(self.timers.set(now.tick.plus_millis(every_ms), Due::Tie(line)));
    }

    /// Time to say that one is alive, and to look whether the other side is.
    pub(super) fn on_tie_due(&mut self, now: Moment, line: LineId, out: &mut Outbox<'_>) {
        let Some(tie) = self.lines.get_mut(line.0).and_then(|line| line.tie_mut()) else { return };
        tie.heartbeat = None;
        if tie.unanswered >= HEARTBEATS_MISSED_MAX {
            return self.dismiss(now, line, Cause::Timeout, Afterlife::None, out);
        }
        tie.unanswered += 1;
        out.notify(line, Notice::Tie(TieNotice::Heartbeat));
        self.set_heartbeat(now, line);
    }

    pub(super) fn tie_heartbeat_heard(&mut self, line: LineId) {
        if let Some(tie) = self.lines.get_mut(line.0).and_then(|line| line.tie_mut()) {
            tie.unanswered = 0;
        }
    }
}

/// On the registrar, and what it tells all.
impl Shard {
    pub(super) fn on_tie_wanted(
        &mut self,
        line: LineId,
        routes: Option<Arc<TieRoutes>>,
        out: &mut Outbox<'_>,
    ) {
        let Some(routes) = routes else {
            self.announcements.remove(&line);
            return self.announce(line, None, out);
        };
        if let Some(refusal) = self.objection_to_tie(line, &routes) {
            let refusal = Box::new(refusal);
            return self.send(line.shard(), Signal::TieRefused { line, refusal }, out);
        }
        if let Some(old) = self.older_tie(line, &routes) {
            self.announce(old, None, out);
            self.send(old.shard(), Signal::TieReplaced { line: old }, out);
        }
        let missing = self.shards;
        self.announcements.insert(line, Announcement { routes: routes.clone(), missing });
        self.announce(line, Some(&routes), out);
    }

    fn objection_to_tie(&self, line: LineId, routes: &TieRoutes) -> Option<TieRefusal> {
        let conflict = self.routes.conflict(&routes.domain, line, &routes.routes);
        if let Some((route, claimed_by)) = conflict.filter(|_| routes.configured.is_none()) {
            return Some(TieRefusal::RouteConflict { route: route.as_given().into(), claimed_by });
        }
        let is_wild = |route: &&crate::exchange::pattern::Pattern| route.shape() == Shape::Wild;
        let wild = routes.routes.iter().filter(is_wild).count();
        let is_full = self.routes.len() + routes.routes.len() > ROUTES_MAX
            || self.routes.wild_len() + wild > WILD_ROUTES_MAX
            || self.routes.ties().count() >= TIES_MAX;
        is_full.then_some(TieRefusal::TooManyRoutes)
    }

    /// The live tie line of the same exchange, if this is not the same one.
    fn older_tie(&self, line: LineId, routes: &TieRoutes) -> Option<LineId> {
        let is_same = |other: &TieRoutes| other.configured.is_none() && other.is_of(&routes.domain);
        let mut ties = self.routes.ties().filter(|_| routes.configured.is_none());
        ties.find(|&(other, known)| other != line && is_same(known)).map(|(other, _)| other)
    }

    fn announce(&mut self, line: LineId, routes: Option<&Arc<TieRoutes>>, out: &mut Outbox<'_>) {
        // Known here before the next one asks.
        self.learn_routes(line, routes.cloned());
        for shard in (0..self.shards).map(ShardId::new) {
            self.send(shard, Signal::Routes { line, routes: routes.cloned() }, out);
        }
    }

    fn learn_routes(&mut self, line: LineId, routes: Option<Arc<TieRoutes>>) {
        match routes {
            Some(routes) => self.routes.add(line, routes),
            None => drop(self.routes.remove(line)),
        }
    }

    pub(super) fn on_routes(&mut self, line: LineId, routes: Option<Arc<TieRoutes>>, out: &mut Outbox<'_>) {
        let is_known = routes.is_some();
        // The registrar knows, and may know of newer ones by now.
        if self.id.index() != REGISTRAR {
            self.learn_routes(line, routes);
        }
        if is_known {
            self.send(ShardId::new(REGISTRAR), Signal::RoutesKnown { line }, out);
        }
    }

    pub(super) fn on_routes_known(&mut self, line: LineId, out: &mut Outbox<'_>) {
        let Some(announcement) = self.announcements.get_mut(&line) else { return };
        announcement.missing -= 1;
        if announcement.missing > 0 {
            return;
        }
        let Some(Announcement { routes, .. }) = self.announcements.remove(&line) else { return };
        self.send(line.shard(), Signal::TieGranted { line, routes }, out);
    }
}
