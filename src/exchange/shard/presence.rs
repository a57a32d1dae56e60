//! PRESENCE: who is there (spec sections 16, 19.6).
//!
//! Each shard searches its own census, other exchanges are asked by their tie lines; the asker's shard gathers. While other
//! shards search, the asker is not read, so that its answers keep the order of its questions. Another exchange may
//! take a second: meanwhile the asker is read, and if it asks again it is first told what has been found so far. So
//! one line never has many questions under way.

use std::sync::Arc;

use crate::exchange::cause::Cause;
use crate::exchange::census::matches;
use crate::exchange::effect::{Notice, Outbox, PresenceEntry};
use crate::exchange::event::{PresenceQuery, Verb};
use crate::exchange::ids::{LineId, QuestionId, ShardId};
use crate::exchange::limits::{PRESENCE_HOPS_MAX, PRESENCE_WAIT_MS};
use crate::exchange::line::Pauses;
use crate::exchange::question::{Question, Reply};
use crate::exchange::signal::{Found, Signal, TieAsked};
use crate::exchange::time::Moment;
use crate::exchange::timers::Due;

use super::Shard;

/// Whom a PRESENCE comes from, as far as its answer depends on it.
pub(super) struct Asker {
    pub line: LineId,
    /// By what address other exchanges are told of it.
    pub name: Box<str>,
    /// How the answer is addressed, if another exchange asks.
    pub reply: Option<Reply>,
    /// How many exchanges it has come through.
    pub hops: u8,
}

impl Shard {
    pub(super) fn ask_presence(
        &mut self,
        now: Moment,
        line: LineId,
        query: PresenceQuery,
        out: &mut Outbox<'_>,
    ) {
        let Some(address) = self.address_of(line) else {
            return self.refuse(line, Verb::Presence, Cause::NotRegistered, out);
        };
        // Only asked for by those who wait for other exchanges.
        let name = if self.routes.is_empty() { Box::default() } else { address.as_str().into() };
        if let Some(pending) = self.pending_question(line) {
            self.answer_question(now, pending, true, out);
        }
        self.pose(now, Asker { line, name, reply: None, hops: 0 }, query, out);
    }

    fn pending_question(&self, line: LineId) -> Option<QuestionId> {
        self.lines.get(line.0)?.business.as_ref()?.asking
    }

    /// Asks everybody who may know.
    pub(super) fn pose(&mut self, now: Moment, asker: Asker, mut query: PresenceQuery, out: &mut Outbox<'_>) {
        let most = self.limits.presence_limit;
        let limit = query.limit.map_or(most, |limit| most.min(limit as usize));
        query.limit = Some(limit as u32);
        let Asker { line, name, reply, hops } = asker;
        query.asker = self.restricted_asker(line, &name, reply.is_none());
        let mut found = self.search(line, &query);
        let ties = self.ties_to_ask(line, &query, hops);
        if self.shards == 1 && ties.is_empty() {
            found.cut();
            return self.say_presence(line, found, reply, out);
        }
        // The others need not find more than is still wanted; asked for nothing, they say whether there is more.
        query.limit = Some((limit - found.entries.len()) as u32);
        let (missing_shards, missing_ties, is_local) = (self.shards - 1, ties.len(), reply.is_none());
        let question = Question { line, missing_shards, missing_ties, limit, found, reply, timer: None };
        let id = QuestionId(self.questions.insert_with(|_| question));
        self.note_question(line, id, is_local);
        if is_local && self.shards > 1 {
            self.pause(line, Pauses::PRESENCE, out);
        }
        self.ask_others(id, line, &Arc::new(query), &ties, (name, hops), out);
        if !ties.is_empty() {
            let wait_ms = PRESENCE_WAIT_MS >> u32::from(hops).min(3);
            let timer = self.timers.set(now.tick.plus_millis(wait_ms), Due::Question(id));
            if let Some(question) = self.questions.get_mut(id.0) {
                question.timer = Some(timer);
            }
        }
    }

    fn ask_others(
        &mut self,
        id: QuestionId,
        line: LineId,
        query: &Arc<PresenceQuery>,
        ties: &[LineId],
        (name, hops): (Box<str>, u8),
        out: &mut Outbox<'_>,
    ) {
        let here = self.id;
        for shard in (0..self.shards).map(ShardId::new).filter(|&shard| shard != here) {
            self.send(shard, Signal::PresenceAsked { question: id, asker: line, query: query.clone() }, out);
        }
        for &tie in ties {
            let asked = TieAsked { tie, question: id, query: query.clone(), reply_to: name.clone(), hops };
            self.send(tie.shard(), Signal::TieAsked(Box::new(asked)), out);
        }
    }

    /// The tie lines that lead to addresses of the domain in question.
    fn ties_to_ask(&self, line: LineId, query: &PresenceQuery, hops: u8) -> Vec<LineId> {
        let Some(domain) = query.domain.as_ref().filter(|_| hops < PRESENCE_HOPS_MAX) else {
            return Vec::new();
        };
        if self.routes.is_empty() {
            return Vec::new();
        }
        self.routes.find_all(&format!("x@{domain}"), Some(line))
    }

    fn note_question(&mut self, line: LineId, id: QuestionId, is_local: bool) {
        let Some(entry) = self.lines.get_mut(line.0) else { return };
        if is_local {
            entry.business_mut().asking = Some(id);
        } else if let Some(tie) = entry.tie_mut() {
            tie.questions.insert(id);
        }
    }

    pub(super) fn on_presence_asked(
        &mut self,
        question: QuestionId,
        asker: LineId,
        query: &PresenceQuery,
        out: &mut Outbox<'_>,
    ) {
        let found = Box::new(self.search(asker, query));
        self.send(asker.shard(), Signal::PresenceFound { question, found, by_tie: false }, out);
    }

    pub(super) fn on_presence_found(
        &mut self,
        now: Moment,
        id: QuestionId,
        mut found: Found,
        by_tie: bool,
        out: &mut Outbox<'_>,
    ) {
        if by_tie {
            self.hide_forbidden(id, &mut found);
        }
        let Some(question) = self.questions.get_mut(id.0) else { return };
        if by_tie {
            question.found.drop_known_from(&mut found);
        }
        question.found.add(found, question.limit);
        if by_tie {
            question.missing_ties -= 1;
        } else {
            question.missing_shards -= 1;
        }
        let (line, is_complete, is_read) =
            (question.line, question.is_complete(), question.missing_shards == 0 && question.reply.is_none());
        if is_complete {
            return self.answer_question(now, id, false, out);
        }
        if is_read {
            self.unpause(now, line, Pauses::PRESENCE, out);
        }
    }

    /// Other exchanges have had their time.
    pub(super) fn on_question_due(&mut self, now: Moment, id: QuestionId, out: &mut Outbox<'_>) {
        if let Some(question) = self.questions.get_mut(id.0) {
            question.timer = None;
            self.answer_question(now, id, true, out);
        }
    }

    /// Says what has been found; `early` if somebody has not answered.
    pub(super) fn answer_question(&mut self, now: Moment, id: QuestionId, early: bool, out: &mut Outbox<'_>) {
        let Some(Question { line, mut found, reply, .. }) = self.forget_question(id) else { return };
        found.truncated |= early;
        found.cut();
        let is_local = reply.is_none();
        self.say_presence(line, found, reply, out);
        if is_local {
            self.unpause(now, line, Pauses::PRESENCE, out);
            self.go_home_if_idle(line, out);
        }
    }

    /// Takes a question out of everything that knows it.
    pub(super) fn forget_question(&mut self, id: QuestionId) -> Option<Question> {
        let mut question = self.questions.remove(id.0)?;
        if let Some(timer) = question.timer.take() {
            self.timers.cancel(timer);
        }
        if let Some(entry) = self.lines.get_mut(question.line.0) {
            if let Some(tie) = entry.tie_mut().filter(|_| question.reply.is_some()) {
                tie.questions.remove(&id);
            } else if let Some(business) = entry.business.as_mut() {
                business.asking = business.asking.filter(|&asking| asking != id);
            }
            entry.drop_empty_business();
        }
        Some(question)
    }

    fn say_presence(&self, line: LineId, found: Found, reply: Option<Reply>, out: &mut Outbox<'_>) {
        let Found { entries, truncated } = found;
        let notice = match reply {
            Some(reply) => self.answer_to_tie(entries, truncated, reply),
            None => Notice::Presence { entries, truncated },
        };
        out.notify(line, notice);
    }

    /// What this shard knows; at most as much as the query's limit allows.
    fn search(&self, asker: LineId, query: &PresenceQuery) -> Found {
        let limit = query.limit.map_or(usize::MAX, |limit| limit as usize);
        let mut found = Found::default();
        let dialler = query.asker.as_ref().and_then(|asker| self.dialler(asker));
        let may_see = |slot| dialler.as_ref().is_none_or(|dialler| self.may_see(dialler, slot));
        let gave_up = self.census.search(query, &self.lines, may_see, |slot| {
            let Some((handle, line)) = self.lines.at(slot) else { return true };
            let Some(address) = &line.address else { return true };
            let profile = line.profile.as_deref();
            debug_assert!(matches(query, address.domain(), profile), "{address} was not asked for");
            if LineId(handle) == asker {
                return true;
            }
            if found.entries.len() >= limit {
                found.truncated = true;
                return false;
            }
            let metadata = profile.and_then(|profile| profile.metadata.clone());
            found.entries.push(PresenceEntry { address: address.clone(), status: line.shown(), metadata });
            true
        });
        found.truncated |= gave_up;
        found
    }
}
