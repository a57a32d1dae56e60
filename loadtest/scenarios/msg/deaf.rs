//! Callees that stop reading in the middle of their calls: who they are, what their callers are told, and what they find
//! when they read on.
//!
//! A server holds whoever speaks to them, then cuts them off; nobody else may feel it. Invariant: what is under way to a
//! callee that does not read is not waited for, but what it reads later must be in order all the same.

use super::{
    CALLERS_HELD, Client, Closed, Context, End, HELD_BACK, Msg, Stage, UNTIL_CLOSED, WAITED, Way, wire,
};
use crate::engine::timers::{Nanos, SECOND};

/// What a caller says that its socket does not take, in bytes, before it says no more: the server does not read it.
const BACKLOG_BYTES_MAX: usize = 1 << 20;
/// What the server gets after the load to cut off whoever was deaf.
const DEAF_WAIT: Nanos = 2 * SECOND;
/// What the other end of a call is told whose callee was cut off.
const REASON: &[u8] = b"slow_consumer";

/// Who stops reading, and when.
#[derive(Clone, Copy, Debug)]
pub struct Deafness {
    /// How many callees: those of the last pairs.
    pub callees: usize,
    /// Pairs of all workers.
    pub pairs: usize,
    /// From the beginning of the window.
    pub after: Nanos,
}

/// How a callee takes what is said to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hearing {
    /// It reads.
    Reads,
    /// It has stopped.
    Deaf {
        /// The server has stopped reading its caller.
        held: bool,
    },
    /// Its caller was told that it is cut off; it reads what was left for it.
    CutOff,
}

impl Msg {
    /// The deaf stop reading.
    pub(super) fn deafen(&mut self, ctx: &mut Context) {
        let Some(deafness) = self.deafness else { return };
        for pair in 0..self.talks.len() {
            let talk = &mut self.talks[pair];
            if talk.stage != Stage::Standing || self.pairs.number(pair) < deafness.pairs - deafness.callees {
                continue;
            }
            self.in_flight -= talk.ways.iter().map(Way::in_flight).sum::<u64>();
            talk.hearing = Hearing::Deaf { held: false };
            ctx.pause_reading(self.pairs.client(pair, End::Callee));
        }
    }

    /// Whether a message that is due may be said to a pair whose callee does not read. If not, it never is.
    pub(super) fn may_say_to_deaf(&mut self, ctx: &mut Context, pair: usize) -> bool {
        let full = ctx.backlog(self.pairs.client(pair, End::Caller)) > BACKLOG_BYTES_MAX;
        match &mut self.talks[pair].hearing {
            Hearing::Deaf { .. } if !full => return true,
            Hearing::Deaf { held } => {
                if !std::mem::replace(held, true) {
                    ctx.tally.count(CALLERS_HELD, 1);
                }
            }
            Hearing::Reads | Hearing::CutOff => {}
        }
        ctx.tally.count(HELD_BACK, 1);
        false
    }

    /// The caller of a deaf callee is told that the call is over.
    pub(super) fn on_cut_off(&mut self, ctx: &mut Context, pair: usize, payload: &[u8]) {
        if wire::call_id(payload) != Some(self.talks[pair].id) {
            return self.fault(ctx, pair, "misdelivered: HANGUP with another call id", payload);
        }
        match wire::reason(payload) {
            REASON => {}
            // It stops, which has nothing to do with who reads.
            b"shutdown" => return self.on_hung_up(ctx, pair, payload),
            _ => {
                return self.fault(ctx, pair, "changed: a callee that does not read was cut off as", payload);
            }
        }
        ctx.tally.record(UNTIL_CLOSED, self.deaf_at, ctx.now());
        self.talks[pair].hearing = Hearing::CutOff;
        // To see what was left for it, and with which code it is closed.
        ctx.resume_reading(self.pairs.client(pair, End::Callee));
    }

    /// A connection is gone. True if that is what has to become of it, or has been counted.
    pub(super) fn on_closed_in_deafness(&mut self, ctx: &mut Context, client: Client, why: &Closed) -> bool {
        let (pair, end) = self.pairs.owner(client);
        let (number, is_standing) = (self.pairs.number(pair), self.talks[pair].stage == Stage::Standing);
        match (why, end, self.talks[pair].hearing) {
            (_, End::Callee, Hearing::CutOff) if why.is_for_slowness() => true,
            (_, End::Callee, Hearing::Deaf { .. }) if why.is_for_slowness() => {
                ctx.tally.error("deaf", "caller_not_told");
                true
            }
            (Closed::Peer(code), ..) if self.deafness.is_some() && is_standing && why.is_for_slowness() => {
                let end = end.word();
                ctx.tally.fault(|| format!("lost: {end} {number}, which reads, was closed with {code}"));
                true
            }
            _ => false,
        }
    }

    /// All read to the end, and the server gets its last chance.
    pub(super) fn undeafen(&mut self, ctx: &mut Context) {
        for pair in 0..self.talks.len() {
            if matches!(self.talks[pair].hearing, Hearing::Deaf { .. }) {
                ctx.resume_reading(self.pairs.client(pair, End::Callee));
            }
        }
        ctx.at(ctx.now() + DEAF_WAIT, WAITED);
    }

    /// Those whom the server has not cut off.
    pub(super) fn deaf_left(&self) -> usize {
        self.talks.iter().filter(|talk| matches!(talk.hearing, Hearing::Deaf { .. })).count()
    }
}
