//! PRESENCE across exchanges: what a tie line is asked, and what it asks (spec section 19.6).
//!
//! A question that goes out is remembered with the tie line until its answer comes, or so many newer ones have gone out that it
//! is not waited for any more. Whoever asked waits with a time limit of its own.

use crate::exchange::census::lower;
use crate::exchange::effect::{Notice, Outbox, PresenceEntry};
use crate::exchange::ids::LineId;
use crate::exchange::limits::{QUESTIONS_PER_TIE_MAX, QUESTIONS_SENT_MAX};
use crate::exchange::question::Reply;
use crate::exchange::signal::{Found, Signal, TieAsked};
use crate::exchange::tie::{AskedOf, TieAnswer, TieNotice, TiePresence, TieQuery, TieReply};
use crate::exchange::time::Moment;

use super::Shard;
use super::presence::Asker;

impl Shard {
    /// Somebody here, or beyond, wants to know who is there.
    pub(super) fn on_tie_asked(&mut self, asked: TieAsked, out: &mut Outbox<'_>) {
        let TieAsked { tie: line, question, query, reply_to, hops } = asked;
        let Some(tie) = self.lines.get_mut(line.0).and_then(|line| line.tie_mut()) else {
            let found = Box::default();
            return self.send(question.shard(), Signal::PresenceFound { question, found, by_tie: true }, out);
        };
        tie.asked_count += 1;
        let number = tie.asked_count;
        tie.asked.push_back(AskedOf { number, question, query: query.clone(), reply_to: reply_to.clone() });
        if tie.asked.len() > QUESTIONS_SENT_MAX {
            tie.asked.pop_front();
        }
        let hops = hops + 1;
        let asked = TiePresence { query, reply_to, number, hops };
        out.notify(line, Notice::Tie(TieNotice::PresenceQuery(Box::new(asked))));
    }

    /// The other exchange wants to know who is there.
    pub(super) fn answer_presence_query(
        &mut self,
        now: Moment,
        line: LineId,
        asked: TieQuery,
        out: &mut Outbox<'_>,
    ) {
        let TieQuery { query, reply_to, query_id, hops } = asked;
        let reply = Reply { to: reply_to, id: query_id };
        if self.is_shady_asker(line, reply.to.as_deref()) {
            let notice = self.answer_to_tie(Vec::new(), false, reply);
            return out.notify(line, notice);
        }
        if self.tie(line).is_none_or(|tie| tie.questions.len() >= QUESTIONS_PER_TIE_MAX) {
            let notice = self.answer_to_tie(Vec::new(), true, reply);
            return out.notify(line, notice);
        }
        let name = reply.to.clone().unwrap_or_default();
        self.pose(now, Asker { line, name, reply: Some(reply), hops: hops.max(1) }, query, out);
    }

    pub(super) fn answer_to_tie(
        &self,
        entries: Vec<PresenceEntry>,
        truncated: bool,
        reply: Reply,
    ) -> Notice<'static> {
        Notice::Tie(TieNotice::PresenceResult(Box::new(TieReply { entries, truncated, reply })))
    }

    /// The other exchange says who is there: in answer to the question it names, else to the oldest of that asker, else to
    /// the oldest of all.
    pub(super) fn on_tie_answer(&mut self, line: LineId, answer: TieAnswer, out: &mut Outbox<'_>) {
        let TieAnswer { mut entries, truncated, reply_to, number } = answer;
        let Some(tie) = self.lines.get_mut(line.0).and_then(|line| line.tie_mut()) else { return };
        let at = match (number, reply_to) {
            (Some(number), _) => tie.asked.iter().position(|asked| Some(asked.number) == number),
            (None, Some(name)) => tie.asked.iter().position(|asked| asked.reply_to == name),
            (None, None) => Some(0),
        };
        let Some(AskedOf { question, query, .. }) = at.and_then(|at| tie.asked.remove(at)) else { return };
        // It is believed about those who were asked for.
        let domain = query.domain.as_deref().map(lower);
        entries.retain(|entry| {
            domain.as_ref() == Some(&lower(entry.address.domain()))
                && self.speaks_for(line, entry.address.as_str())
        });
        let found = Box::new(Found { entries, truncated });
        self.send(question.shard(), Signal::PresenceFound { question, found, by_tie: true }, out);
    }
}
