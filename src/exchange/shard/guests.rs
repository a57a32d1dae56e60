//! Lines on the move, and guests: lines that hold an address whose home is another shard (design.md, D1).
//!
//! A line without business moves to its address's home. One with calls or parties cannot, because others know it
//! by its place; it claims the address from afar and is a guest where it is. The home shard's directory then
//! says where to find it. As soon as a guest has nothing going on, it goes home.

use std::sync::Arc;

use crate::exchange::address::Address;
use crate::exchange::cause::Cause;
use crate::exchange::effect::{Effect, Notice, Outbox};
use crate::exchange::event::{Registration, WakeHandler};
use crate::exchange::ids::{LineId, ShardId};
use crate::exchange::line::{Luggage, Pauses};
use crate::exchange::signal::{Claim, Claimed, Signal};
use crate::exchange::time::Moment;

use super::Shard;
use super::departure::Afterlife;
use super::registration::Shape;

impl Shard {
    /// Sends a line to another shard. Nothing here names it any more.
    pub(super) fn relocate(
        &mut self,
        line: LineId,
        to: ShardId,
        registration: Option<Box<Registration>>,
        out: &mut Outbox<'_>,
    ) {
        self.pack_idle_timer(line);
        self.stop_expiry_timer(line);
        let Some(entry) = self.lines.remove(line.0) else { return };
        debug_assert!(entry.is_idle() && !entry.pauses.any(), "a line with business cannot move");
        let luggage = Box::new(Luggage { line: entry, was: line, registration });
        out.push(Effect::Relocate { line, to, luggage });
    }

    /// A line has arrived from another shard. `None` if this one holds as many lines as it can count; the
    /// connection is then to be closed.
    pub fn admit(&mut self, now: Moment, luggage: Box<Luggage>, out: &mut Outbox<'_>) -> Option<LineId> {
        self.counted(now, out, |shard, out| shard.unpack(now, luggage, out))
    }

    #[expect(clippy::boxed_local, reason = "luggage travels in a box; callers need not open it")]
    fn unpack(&mut self, now: Moment, luggage: Box<Luggage>, out: &mut Outbox<'_>) -> Option<LineId> {
        let Luggage { line: mut entry, was, registration } = *luggage;
        let address = entry.address.take();
        if self.lines.is_full() {
            if let Some(address) = address {
                self.vacate(was, &address, entry.wake().cloned());
            }
            return None;
        }
        entry.congested = false;
        let (heard_s, internal) = (entry.heard_s, entry.internal);
        let line = LineId(self.lines.insert_with(|_| entry));
        if !internal {
            self.liveness.watch(line, heard_s);
        }
        self.unpack_idle_timer(line);
        self.start_expiry_timer(now, line);
        if let Some(address) = address {
            self.bear(line, address.clone());
            self.come_home(was, line, &address);
        }
        match registration {
            Some(registration) => self.register_here(now, line, *registration, out),
            None => self.serve_waiting(now, line, out),
        }
        if self.stopping {
            self.send_home(now, line, out);
        }
        self.keep_draining(now);
        Some(line)
    }

    /// The directory knew the line by its old place.
    fn come_home(&mut self, was: LineId, line: LineId, address: &Address) {
        let is_member = self.directory.edit(address, |listing| {
            if listing.elsewhere == Some(was) {
                listing.elsewhere = None;
            }
            let members = listing.pool.iter_mut().flat_map(|pool| &mut pool.members);
            members.filter(|member| **member == was).map(|member| *member = line).count() > 0
        });
        if !is_member {
            self.directory.seat(line, address.as_str(), &self.lines);
        }
    }

    /// A guest without business goes home.
    pub(super) fn go_home_if_idle(&mut self, line: LineId, out: &mut Outbox<'_>) {
        if self.guests.is_empty() || self.stopping {
            return;
        }
        let Some(entry) = self.lines.get(line.0) else { return };
        let Some(address) = entry.address.clone() else { return };
        let home = self.home(address.as_str());
        if home == self.id || !entry.is_idle() || entry.pauses.any() {
            return;
        }
        self.guests.remove(&line);
        self.leave_census(line);
        if let Some(entry) = self.lines.get_mut(line.0) {
            // It holds the address all the time; only its place changes.
            entry.address = Some(address);
        }
        self.relocate(line, home, None, out);
    }

    /// Asks the home of an address for it. The line waits for the answer before it says anything else.
    pub(super) fn claim(
        &mut self,
        line: LineId,
        home: ShardId,
        registration: Box<Registration>,
        out: &mut Outbox<'_>,
    ) {
        let claim = Claim {
            line,
            address: registration.address.detached(),
            concurrency: registration.concurrency,
            pool_size: registration.pool_size,
            wake: self.handler_brought(line, &registration),
        };
        let Some(entry) = self.lines.get_mut(line.0) else { return };
        entry.business_mut().claiming = Some(registration);
        self.pause(line, Pauses::CLAIM, out);
        self.send(home, Signal::Claim(Box::new(claim)), out);
    }

    /// A line of another shard wants an address of this one.
    pub(super) fn on_claim(&mut self, now: Moment, claim: Claim, out: &mut Outbox<'_>) {
        let Claim { line, address, concurrency, pool_size, wake } = claim;
        let shape = Shape { concurrency, pool_size };
        if !self.may_hold(line, &address, shape) {
            return self.send(line.shard(), Signal::ClaimRefused { line }, out);
        }
        let grant = self.seat(line, &address, shape, wake);
        let is_pool = grant.pool.is_some() || shape.pool().is_some();
        self.settle_runs(now, &address, is_pool, out);
        let claimed = Claimed { line, address: address.detached(), grant };
        self.send(line.shard(), Signal::Claimed(Box::new(claimed)), out);
    }

    pub(super) fn on_claimed(&mut self, now: Moment, claimed: Claimed, out: &mut Outbox<'_>) {
        let Claimed { line, address, grant } = claimed;
        let claiming = self.take_claim(line);
        let Some(registration) = claiming else {
            // The line has gone meanwhile. Its registration came to nothing, so the stored handler goes back.
            let (home, sleeps) = (self.home(address.as_str()), grant.wake.filter(|_| grant.was_asleep));
            return self.send(home, Signal::Unclaim { line, address, sleeps }, out);
        };
        let before = self.address_of(line).cloned();
        if before.as_ref() != Some(&address) {
            self.give_up_address(line, Afterlife::None, out);
            self.bear(line, address);
            self.guests.insert(line);
        }
        self.settle_in(now, line, before, *registration, grant, out);
        self.after_claim(now, line, out);
    }

    pub(super) fn on_claim_refused(&mut self, now: Moment, line: LineId, out: &mut Outbox<'_>) {
        if self.take_claim(line).is_some() {
            out.notify(line, Notice::RegisterRefused(Cause::AddressInUse));
            self.after_claim(now, line, out);
        }
    }

    fn take_claim(&mut self, line: LineId) -> Option<Box<Registration>> {
        let entry = self.lines.get_mut(line.0)?;
        let registration = entry.business.as_mut()?.claiming.take();
        entry.drop_empty_business();
        registration
    }

    fn after_claim(&mut self, now: Moment, line: LineId, out: &mut Outbox<'_>) {
        self.unpause(now, line, Pauses::CLAIM, out);
        self.go_home_if_idle(line, out);
    }

    pub(super) fn on_unclaim(&mut self, line: LineId, address: &Address, sleeps: Option<Arc<WakeHandler>>) {
        self.vacate(line, address, sleeps);
    }
}
