//! What a shard counts: what it holds now, and what there has been so far.
//!
//! Every way into a shard that has effects goes through [`Shard::counted`], so whatever leaves it is counted once. What
//! must hold between these numbers and the shard's state is checked here as well, like all invariants between events.

use crate::exchange::call::{Record, Stage};
use crate::exchange::effect::Outbox;
use crate::exchange::tally::Tally;
use crate::exchange::time::Moment;

use super::Shard;

/// How many of each thing a shard holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Connections.
    pub lines: usize,
    /// Connections that hold an address.
    pub registered: usize,
    /// Callers' ends of calls.
    pub legs: usize,
    /// Callees' ends of calls, and broadcast sessions.
    pub records: usize,
    /// Parties hosted here.
    pub parties: usize,
    /// Broadcasts and parties with members here.
    pub audiences: usize,
    /// Running timers.
    pub timers: usize,
    /// Addresses with something that is not plain about them.
    pub listings: usize,
    /// Lines of this shard whose address is at home on another.
    pub guests: usize,
    /// Wakes in flight.
    pub runs: usize,
    /// Calls that wait for a sleeping callee.
    pub waiting_calls: usize,
    /// Calls of two that are up, by their callees' ends.
    pub connected_calls: usize,
    /// Ears of broadcasts that are spoken here.
    pub listeners: usize,
    /// Addresses whose agent sleeps.
    pub profiles: usize,
    /// Links to other exchanges that lead somewhere.
    pub ties: usize,
    /// Calls over those links, in both directions.
    pub tie_calls: usize,
    /// Broadcasts that are spoken here.
    pub sessions: usize,
}

impl Counts {
    /// Calls of two that ring.
    pub fn ringing_calls(&self) -> usize {
        self.records - self.sessions - self.waiting_calls - self.connected_calls
    }
}

impl Shard {
    /// Does something and counts what leaves the shard because of it.
    pub(super) fn counted<'a, T>(
        &mut self,
        now: Moment,
        out: &mut Outbox<'a>,
        act: impl FnOnce(&mut Self, &mut Outbox<'a>) -> T,
    ) -> T {
        let before = out.effects.len();
        let done = act(self, out);
        self.settle(now, out);
        self.tally.count_effects(&out.effects[before..]);
        done
    }

    /// How many of each thing there are.
    pub fn counts(&self) -> Counts {
        let ties = || self.routes.ties().filter(|(line, _)| line.shard() == self.id);
        let calls_of = |line| self.tie(line).map_or(0, |tie| tie.legs.len() + tie.records.len());
        Counts {
            lines: self.lines.len(),
            registered: self.census.len(),
            legs: self.legs.len(),
            records: self.records.len(),
            parties: self.parties.len(),
            audiences: self.audiences.len(),
            timers: self.timers.len(),
            listings: self.directory.listings_len(),
            guests: self.guests.len(),
            runs: self.runs.len(),
            waiting_calls: self.waiting_calls,
            connected_calls: (self.tally.answered - self.tally.ended.total()) as usize,
            listeners: (self.tally.listeners - self.tally.listeners_gone.total()) as usize,
            profiles: self.directory.profiles_len(),
            sessions: self.sessions,
            ties: ties().count(),
            tie_calls: ties().map(|(line, _)| calls_of(line)).sum(),
        }
    }

    /// What there has been so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// That what has begun and not ended is there.
    pub(super) fn check_tally(&self) {
        let calls = |of: fn(Stage) -> bool| {
            let of = move |record: &Record| matches!(record, Record::Call(call) if of(call.stage));
            self.records.iter().filter(|(_, record)| of(record)).count()
        };
        let listeners = self.records.iter().map(|(_, record)| match record {
            Record::Call(_) => 0,
            Record::Session(session) => session.listeners.len(),
        });
        let counts = self.counts();
        let sessions = self.records.iter().filter(|(_, record)| matches!(record, Record::Session(_)));
        assert_eq!(counts.sessions, sessions.count(), "broadcasts");
        assert_eq!(counts.connected_calls, calls(|stage| stage == Stage::Connected), "calls that are up");
        assert_eq!(
            counts.waiting_calls,
            calls(|stage| matches!(stage, Stage::Waiting { .. })),
            "waiting calls"
        );
        assert_eq!(counts.listeners, listeners.sum::<usize>(), "listeners");
        let profiles = self.directory.listings().filter(|(_, listing)| listing.has_profile());
        assert_eq!(counts.profiles, profiles.count(), "wake profiles");
    }
}
