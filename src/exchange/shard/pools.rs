//! Pools: one address, several lines (spec section 14).
//!
//! The listing on the address's home shard knows the members. A dial goes to the member with the fewest calls;
//! when all are taken, one more may be woken.

use crate::exchange::cause::Cause;
use crate::exchange::directory::Pool;
use crate::exchange::effect::{CallMode, Outbox};
use crate::exchange::event::{Concurrency, Status};
use crate::exchange::ids::LineId;
use crate::exchange::limits::WAITING_CALLS_MAX;
use crate::exchange::signal::Dial;
use crate::exchange::time::Moment;

use super::Shard;

/// What a pool does with a dial.
enum Choice {
    /// This member takes it.
    Member(LineId),
    /// Nobody can: for this reason.
    Nobody(Cause),
}

impl Shard {
    /// How many calls a parallel line takes at a time: its `max_sessions`; in a pool that can wake others, one if
    /// it said nothing; else any number (`None`).
    pub(super) fn capacity(&self, line: LineId) -> Option<u32> {
        let entry = self.lines.get(line.0)?;
        let Concurrency::Parallel { max_sessions } = entry.concurrency() else { return None };
        max_sessions.or_else(|| {
            let address = entry.address.as_ref()?;
            let pool = self.directory.listing(address.as_str())?.pool.as_ref()?;
            (pool.members.contains(&line) && pool.wake.is_some()).then_some(1)
        })
    }

    pub(super) fn offer_to_pool(&mut self, now: Moment, dial: Dial, out: &mut Outbox<'_>) {
        let Some(pool) = self.directory.listing(dial.to.as_str()).and_then(|listing| listing.pool.as_ref())
        else {
            return;
        };
        let choice = self.choose_member(pool, dial.line);
        let cause = match choice {
            Choice::Member(line) if line.shard() == self.id => {
                self.directory.edit(&dial.to, |listing| listing.pass_turn(line));
                return self.start_call(now, line, dial, out);
            }
            Choice::Member(line) => return self.send_on(now, line.shard(), dial, out),
            Choice::Nobody(cause) => cause,
        };
        if !self.wake_one_more(now, &dial, out) {
            return self.refuse_call(now, &dial, cause, CallMode::Parallel, out);
        }
    }

    /// The member with the fewest calls, ties going round; a member that stays on another shard only if there is
    /// no other, because its calls cannot be counted from here.
    fn choose_member(&self, pool: &Pool, caller: LineId) -> Choice {
        let turns = pool.members.len();
        let members = (0..turns).map(|turn| pool.members[(pool.next + turn) % turns]);
        let mut best: Option<(usize, LineId)> = None;
        let mut elsewhere = None;
        let mut objections = Vec::new();
        for member in members {
            if member.shard() != self.id {
                elsewhere = elsewhere.or(Some(member));
                continue;
            }
            match self.member_objection(member, caller) {
                Some(cause) => objections.push(cause),
                None => {
                    let calls = self.lines.get(member.0).map_or(usize::MAX, |line| line.sessions());
                    if best.is_none_or(|(fewest, _)| calls < fewest) {
                        best = Some((calls, member));
                    }
                }
            }
        }
        match best.map(|(_, member)| member).or(elsewhere) {
            Some(member) => Choice::Member(member),
            None => Choice::Nobody(common_cause(&objections)),
        }
    }

    fn member_objection(&self, member: LineId, caller: LineId) -> Option<Cause> {
        let entry = self.lines.get(member.0)?;
        if member == caller {
            return Some(Cause::AlreadyInCall);
        }
        match entry.shown() {
            Status::Dnd => return Some(Cause::Dnd),
            Status::Away => return Some(Cause::Away),
            Status::Busy if !entry.in_call() => return Some(Cause::Busy),
            Status::Busy | Status::Available => {}
        }
        let most = self.capacity(member).unwrap_or(u32::MAX).min(self.limits.calls_per_line_max);
        (entry.sessions() >= most as usize || self.records.is_full()).then_some(Cause::MaxSessionsReached)
    }

    /// Wakes one more instance for a dial and holds the call, if the pool has a place left.
    fn wake_one_more(&mut self, now: Moment, dial: &Dial, out: &mut Outbox<'_>) -> bool {
        let Some(listing) = self.directory.listing(dial.to.as_str()) else { return false };
        let Some(pool) = &listing.pool else { return false };
        let taken = pool.members.len() + listing.runs.len();
        let Some(handler) = pool.wake.clone() else { return false };
        if taken >= pool.size as usize || listing.waiting.len() >= WAITING_CALLS_MAX || self.records.is_full()
        {
            return false;
        }
        let run = self.start_run(&dial.to, &handler, out);
        self.hold_call(now, dial.again(), Some(run), handler.timeout_ms, out);
        true
    }
}

impl crate::exchange::directory::Listing {
    /// The next search for a member begins after this one.
    fn pass_turn(&mut self, line: LineId) {
        let Some(pool) = &mut self.pool else { return };
        if let Some(at) = pool.members.iter().position(|&member| member == line) {
            pool.next = at + 1;
        }
    }
}

impl Dial {
    /// The same dial once more.
    fn again(&self) -> Self {
        Self {
            call: self.call,
            leg: self.leg,
            line: self.line,
            from: self.from.clone(),
            to: self.to.clone(),
            metadata: self.metadata.clone(),
            started_ms: self.started_ms,
            hops: self.hops,
        }
    }
}

/// What a caller hears when no member can take the call: their status if they all say the same, else that all
/// sessions are taken.
fn common_cause(objections: &[Cause]) -> Cause {
    match objections {
        [first, rest @ ..] if rest.iter().all(|cause| cause == first) => *first,
        _ => Cause::MaxSessionsReached,
    }
}
