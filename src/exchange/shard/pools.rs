//! Pools: one address, several lines (spec section 14).
//!
//! The listing on the address's home shard knows the members. A dial goes to the member with the fewest calls;
//! when all are taken, one more may be woken.

use std::sync::Arc;

use crate::exchange::address::Address;
use crate::exchange::cause::Cause;
use crate::exchange::directory::{Listing, Pool};
use crate::exchange::effect::{CallMode, Outbox};
use crate::exchange::event::{Concurrency, WakeHandler};
use crate::exchange::ids::LineId;
use crate::exchange::line::Line;
use crate::exchange::signal::Dial;
use crate::exchange::time::Moment;

use super::Shard;

impl Shard {
    /// How many calls a parallel line takes at a time; `None` = any number.
    pub(super) fn capacity(&self, line: LineId) -> Option<u32> {
        let entry = self.lines.get(line.0)?;
        let address = entry.address.as_ref()?;
        let pool = self.directory.listing(address.as_str()).and_then(|listing| listing.pool.as_ref());
        capacity(entry, pool)
    }

    pub(super) fn offer_to_pool(&mut self, now: Moment, dial: Dial, out: &mut Outbox<'_>) {
        let listing = self.directory.listing(dial.to.as_str());
        let Some(pool) = listing.and_then(|listing| listing.pool.as_ref()) else { return };
        match self.choose_member(pool, dial.line) {
            Ok(line) if line.shard() == self.id => {
                self.directory.edit(&dial.to, |listing| listing.pass_turn(line));
                self.start_call(now, line, dial, out);
            }
            Ok(line) => self.send_on(now, line.shard(), Some(line), dial, out),
            Err(cause) => match self.handler_of_one_more(&dial.to) {
                Some(handler) => {
                    let run = self.start_run(now, &dial.to, &handler, out);
                    self.hold_call(now, dial, run, handler.timeout_ms, out);
                }
                None => self.refuse_call(now, &dial, cause, CallMode::Parallel, out),
            },
        }
    }

    /// The member with the fewest calls, ties going round; a member that stays on another shard only if there is
    /// no other, because its calls cannot be counted from here. If nobody can take the call, what the caller
    /// hears: what all members say, if they say the same, else that all sessions are taken.
    fn choose_member(&self, pool: &Pool, caller: LineId) -> Result<LineId, Cause> {
        let mut best: Option<(usize, LineId)> = None;
        let mut elsewhere = None;
        let mut objection = None;
        for member in pool.members_in_turn() {
            let Some(entry) = self.lines.get(member.0) else {
                elsewhere = elsewhere.or(Some(member));
                continue;
            };
            if let Some(cause) = self.member_objection(pool, entry, member == caller) {
                let agrees = objection.is_none_or(|before| before == cause);
                objection = Some(if agrees { cause } else { Cause::MaxSessionsReached });
            } else if best.is_none_or(|(fewest, _)| entry.sessions() < fewest) {
                best = Some((entry.sessions(), member));
            }
        }
        let member = best.map(|(_, member)| member).or(elsewhere);
        member.ok_or(objection.unwrap_or(Cause::MaxSessionsReached))
    }

    fn member_objection(&self, pool: &Pool, entry: &Line, is_caller: bool) -> Option<Cause> {
        if is_caller {
            return Some(Cause::AlreadyInCall);
        }
        let most = capacity(entry, Some(pool)).unwrap_or(u32::MAX).min(self.limits.calls_per_line_max);
        let full = entry.sessions() >= most as usize || self.records.is_full();
        entry.reserve().or(full.then_some(Cause::MaxSessionsReached))
    }

    /// The handler to wake one more instance of a pool with, if the pool has one and a place left. During a drain that instance
    /// would not be let in.
    fn handler_of_one_more(&self, address: &Address) -> Option<Arc<WakeHandler>> {
        if self.is_draining() {
            return None;
        }
        let listing = self.directory.listing(address.as_str())?;
        let pool = listing.pool.as_ref()?;
        let may_wait = self.has_room_to_wait(listing);
        pool.wake.clone().filter(|_| pool.has_place(listing.runs.len()) && may_wait)
    }
}

/// A parallel line's `max_sessions`; in a pool that can wake others, one if it said nothing; else any number.
fn capacity(entry: &Line, pool: Option<&Pool>) -> Option<u32> {
    let Concurrency::Parallel { max_sessions } = entry.concurrency() else { return None };
    max_sessions.or(pool.is_some_and(|pool| pool.wake.is_some()).then_some(1))
}

impl Pool {
    /// All members, beginning where the last search ended.
    fn members_in_turn(&self) -> impl Iterator<Item = LineId> {
        let (before, after) = self.members.split_at(self.next.min(self.members.len()));
        after.iter().chain(before).copied()
    }
}

impl Listing {
    /// The next search for a member begins after this one.
    fn pass_turn(&mut self, line: LineId) {
        let Some(pool) = &mut self.pool else { return };
        if let Some(at) = pool.members.iter().position(|&member| member == line) {
            pool.next = at + 1;
        }
    }
}
