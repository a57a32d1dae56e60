//! REGISTER: holding an address, refreshing, renaming (spec section 4).
//!
//! Everything is checked before anything changes. An unregistered line first moves to its address's home shard; a
//! registered one that wants an address of another home stays where it is for now (see `guests.rs`).

use std::sync::Arc;

use crate::exchange::address::{Address, LOG_SERVICE};
use crate::exchange::call::{LegStage, Record};
use crate::exchange::cause::Cause;
use crate::exchange::directory::Pool;
use crate::exchange::effect::{Notice, Outbox};
use crate::exchange::event::{Concurrency, Profile, Registration, Verb, WakeHandler, WakeKind};
use crate::exchange::ids::LineId;
use crate::exchange::limits::WAKE_PROFILE_BYTES_MAX;
use crate::exchange::signal::{Grant, Signal};
use crate::exchange::time::Moment;

use super::Shard;
use super::departure::Afterlife;

/// What of a registration decides whether it can share an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) concurrency: Concurrency,
    pub(super) pool_size: Option<u32>,
}

impl Shape {
    pub(super) fn of(registration: &Registration) -> Self {
        Self { concurrency: registration.concurrency, pool_size: registration.pool_size }
    }

    /// The size of the pool it asks for. A size without parallel calls means nothing (section 14).
    pub(super) fn pool(self) -> Option<(u32, Option<u32>)> {
        match self.concurrency {
            Concurrency::Parallel { max_sessions } => Some((self.pool_size?, max_sessions)),
            Concurrency::Single | Concurrency::Broadcast { .. } => None,
        }
    }

    /// Whether nothing was said about how calls are taken.
    fn is_bare(self) -> bool {
        self.concurrency == Concurrency::Single && self.pool_size.is_none()
    }
}

impl Shard {
    pub(super) fn register(
        &mut self,
        now: Moment,
        line: LineId,
        mut registration: Box<Registration>,
        out: &mut Outbox<'_>,
    ) {
        if let Some(WakeHandler { kind: WakeKind::Spawn { command }, .. }) = &registration.wake
            && !command.first().is_some_and(|program| self.limits.spawn.allows(program))
        {
            return self.refuse(line, Verb::Register, Cause::SpawnDisabled, out);
        }
        if registration.address.as_str() == LOG_SERVICE && !self.is_internal(line) {
            // Reserved also while the service is switched off (section 20).
            return out.notify(line, Notice::RegisterRefused(Cause::AddressInUse));
        }
        if !self.admits(now, line, &mut registration, out) {
            return;
        }
        let home = self.home(registration.address.as_str());
        if home == self.id {
            return self.register_here(now, line, *registration, out);
        }
        if self.is_registered(line) || self.is_tie(line) {
            return self.claim(line, home, registration, out);
        }
        self.relocate(line, home, Some(registration), out);
    }

    pub(super) fn is_internal(&self, line: LineId) -> bool {
        self.lines.get(line.0).is_some_and(|entry| entry.internal)
    }

    /// The address is at home here, and so is the line.
    pub(super) fn register_here(
        &mut self,
        now: Moment,
        line: LineId,
        registration: Registration,
        out: &mut Outbox<'_>,
    ) {
        let (address, shape) = (registration.address.clone(), Shape::of(&registration));
        if !self.may_hold(line, &address, shape) {
            return out.notify(line, Notice::RegisterRefused(Cause::AddressInUse));
        }
        let before = self.address_of(line).cloned();
        let wake = self.handler_brought(line, &registration);
        if before.as_ref() != Some(&address) {
            self.give_up_address(line, Afterlife::None, out);
            self.bear(line, address.clone());
        }
        let grant = self.seat(line, &address, shape, wake);
        self.settle_in(now, line, before, registration, grant, out);
        self.serve_waiting(now, line, out);
    }

    /// The wake handler that a REGISTER brings along: its own, or, if it is a refresh without one, the line's.
    pub(super) fn handler_brought(
        &self,
        line: LineId,
        registration: &Registration,
    ) -> Option<Arc<WakeHandler>> {
        let entry = self.lines.get(line.0)?;
        if let Some(handler) = &registration.wake {
            return Some(Arc::new(WakeHandler { registered_by: Some(entry.session), ..handler.clone() }));
        }
        entry.wake().filter(|_| entry.address.as_ref() == Some(&registration.address)).cloned()
    }

    /// Whether a line may hold an address of this shard: nobody else does, or it is a pool with a place left.
    pub(super) fn may_hold(&self, line: LineId, address: &Address, shape: Shape) -> bool {
        if self.directory.sole(address.as_str(), &self.lines).is_some_and(|holder| holder != line) {
            return false;
        }
        let Some(listing) = self.directory.listing(address.as_str()) else { return true };
        if listing.elsewhere.is_some_and(|holder| holder != line) {
            return false;
        }
        let Some(pool) = &listing.pool else { return true };
        let inside = pool.members.contains(&line);
        let others = pool.members.len() - usize::from(inside);
        let fits = shape.pool().is_some() || pool.adopts(line, shape, !listing.runs.is_empty());
        others == 0 || (fits && (inside || pool.has_place(0)))
    }

    /// Enters a line into the directory for an address it may hold. The line may be on another shard.
    pub(super) fn seat(
        &mut self,
        line: LineId,
        address: &Address,
        shape: Shape,
        wake: Option<Arc<WakeHandler>>,
    ) -> Grant {
        let listing = self.directory.listing(address.as_str());
        let is_plain = listing.is_none() && shape.pool().is_none() && line.shard() == self.id;
        if !is_plain
            && let Some(grant) = self.directory.edit(address, |listing| {
                let waking = !listing.runs.is_empty();
                listing.pool.as_mut()?.join(line, shape, wake.as_ref(), waking)
            })
        {
            return grant;
        }
        if is_plain {
            self.seat_plainly(line, address);
            return Grant { wake, was_asleep: false, pool: None };
        }
        self.directory.unseat(line, address.as_str(), &self.lines);
        let here = line.shard() == self.id;
        let grant = self.directory.edit(address, |listing| {
            let stored = listing.asleep.take().or(listing.pool.take().and_then(|pool| pool.wake));
            let was_asleep = stored.is_some();
            let wake = wake.or(stored);
            listing.pool = shape.pool().map(|(size, max_sessions)| Pool {
                size,
                max_sessions,
                members: vec![line],
                wake: wake.clone(),
                kept: false,
                next: 0,
            });
            listing.elsewhere = (listing.pool.is_none() && !here).then_some(line);
            Grant { wake, was_asleep, pool: None }
        });
        if here && shape.pool().is_none() {
            self.seat_plainly(line, address);
        }
        grant
    }

    fn seat_plainly(&mut self, line: LineId, address: &Address) {
        if self.directory.sole(address.as_str(), &self.lines).is_none() {
            self.directory.seat(line, address.as_str(), &self.lines);
        }
    }

    /// Takes a line out of the directory. `sleeps` is the handler to keep for the address.
    pub(super) fn vacate(&mut self, line: LineId, address: &Address, sleeps: Option<Arc<WakeHandler>>) {
        if line.shard() == self.id {
            self.directory.unseat(line, address.as_str(), &self.lines);
        }
        let sleeps = sleeps.filter(|_| self.directory.profile_bytes() < WAKE_PROFILE_BYTES_MAX);
        if sleeps.is_none() && self.directory.listing(address.as_str()).is_none() {
            return;
        }
        self.directory.edit(address, |listing| {
            if listing.elsewhere == Some(line) {
                listing.elsewhere = None;
            }
            let Some(pool) = &mut listing.pool else {
                listing.asleep = sleeps.or(listing.asleep.take());
                return;
            };
            pool.members.retain(|&member| member != line);
            pool.kept |= sleeps.is_some();
            if pool.members.is_empty() && !pool.kept {
                listing.pool = None;
            }
        });
    }

    /// What a line does once it holds its address: takes over what the frame says, tells those who talk to it
    /// about its new name, and is told that it is registered.
    pub(super) fn settle_in(
        &mut self,
        now: Moment,
        line: LineId,
        before: Option<Address>,
        registration: Registration,
        grant: Grant,
        out: &mut Outbox<'_>,
    ) {
        let is_pool = grant.pool.is_some() || Shape::of(&registration).pool().is_some();
        let Registration { address, profile, concurrency, credentials, .. } = registration;
        self.show_profile(line, profile);
        let new = grant.pool.unwrap_or(concurrency);
        let Some(entry) = self.lines.get_mut(line.0) else { return };
        if entry.reach.is_some() || new != Concurrency::Single || grant.wake.is_some() {
            let reach = entry.reach_mut();
            (reach.concurrency, reach.wake) = (new, grant.wake);
        }
        let session = entry.session;
        let is_refresh = before.as_ref() == Some(&address);
        if before.is_some() && !is_refresh {
            self.tell_new_address(line, &address, out);
        }
        out.notify(line, Notice::Registered { address: address.clone(), session });
        self.wear_badge(now, line, credentials.proof, is_refresh, out);
        if self.home(address.as_str()) == self.id {
            self.settle_runs(now, &address, is_pool, out);
        }
        // Last, because a line that is free again is given calls that wait for it: by its new rules, after REGISTERED.
        self.end_session_if_reconfigured(now, line, new, out);
    }

    /// A broadcaster that becomes something else has no audience any more.
    fn end_session_if_reconfigured(
        &mut self,
        now: Moment,
        line: LineId,
        new: Concurrency,
        out: &mut Outbox<'_>,
    ) {
        let Some(entry) = self.lines.get(line.0) else { return };
        let session = entry.business.as_ref().and_then(|business| business.session);
        if let Some(session) = session.filter(|_| !matches!(new, Concurrency::Broadcast { .. })) {
            self.end_session(now, session, Cause::Reconfigured.into(), out);
        }
    }

    /// Gives an unnamed line its address, and a place in the census.
    pub(super) fn bear(&mut self, line: LineId, address: Address) {
        let Some(entry) = self.lines.get_mut(line.0) else { return };
        entry.address = Some(address);
        self.census.enter(line.slot(), &self.lines);
    }

    /// Takes a line's address away, if it has one, here and at the address's home.
    pub(super) fn give_up_address(&mut self, line: LineId, afterlife: Afterlife, out: &mut Outbox<'_>) {
        let Some(entry) = self.lines.get(line.0) else { return };
        let Some(address) = entry.address.clone() else { return };
        let sleeps = entry.wake().filter(|_| afterlife == Afterlife::Sleeps).cloned();
        let home = self.home(address.as_str());
        if home == self.id {
            self.vacate(line, &address, sleeps);
        } else {
            self.guests.remove(&line);
            self.send(home, Signal::Unclaim { line, address, sleeps }, out);
        }
        self.leave_census(line);
    }

    /// The line is not counted any more, and has no address.
    pub(super) fn leave_census(&mut self, line: LineId) -> Option<Address> {
        self.lines.get(line.0)?.address.as_ref()?;
        self.census.leave(line.slot(), &self.lines);
        self.lines.get_mut(line.0)?.address.take()
    }

    /// Replaces what others may see of a registered line.
    fn show_profile(&mut self, line: LineId, profile: Profile) {
        let profile = (profile != Profile::default()).then(|| Box::new(profile));
        let Some(entry) = self.lines.get_mut(line.0) else { return };
        self.census.leave_profile(line.slot(), entry.profile.as_deref());
        self.census.enter_profile(line.slot(), profile.as_deref());
        entry.profile = profile;
    }

    /// Those who talk to a line hear by which name it goes now.
    fn tell_new_address(&mut self, line: LineId, address: &Address, out: &mut Outbox<'_>) {
        let Some(business) = self.lines.get(line.0).and_then(|entry| entry.business.as_ref()) else { return };
        let mut signals = Vec::new();
        for leg in business.legs.iter().filter_map(|leg| self.legs.get(leg.0)) {
            let shard = match leg.stage {
                LegStage::Dialling => leg.shard,
                LegStage::Connected(record) | LegStage::Listening { record, .. } => record.shard(),
            };
            signals.push((shard, Signal::CallerRenamed { call: leg.id, line, address: address.detached() }));
        }
        let mut to_caller = |leg: crate::exchange::ids::LegId| {
            signals.push((leg.shard(), Signal::CalleeRenamed { leg, address: address.detached() }));
        };
        for record in business.records.iter().filter_map(|record| self.records.get(record.0)) {
            match record {
                Record::Call(call) => to_caller(call.leg),
                Record::Session(session) => {
                    session.listeners.values().for_each(|listener| to_caller(listener.leg))
                }
            }
        }
        for seat in &business.seats {
            let signal =
                Signal::MemberRenamed { line, party: seat.party.clone(), address: address.detached() };
            signals.push((self.home(seat.party.as_str()), signal));
        }
        for (shard, signal) in signals {
            self.send(shard, signal, out);
        }
    }
}

impl Pool {
    /// Whether a REGISTER that says nothing about pools belongs to this one: from a member that refreshes, or
    /// from an instance that was woken for it.
    fn adopts(&self, line: LineId, shape: Shape, waking: bool) -> bool {
        shape.is_bare() && (waking || self.members.contains(&line))
    }

    /// Takes a line in, if its REGISTER is one for this pool.
    fn join(
        &mut self,
        line: LineId,
        shape: Shape,
        wake: Option<&Arc<WakeHandler>>,
        waking: bool,
    ) -> Option<Grant> {
        let asked = shape.pool();
        let others = self.members.iter().any(|&member| member != line);
        let adopted = self.adopts(line, shape, waking);
        if !adopted && (asked.is_none() || !(others || self.kept || self.members.contains(&line))) {
            return None;
        }
        if !self.members.contains(&line) {
            self.members.push(line);
        }
        if let Some((size, max_sessions)) = asked {
            (self.size, self.max_sessions) = (size.max(self.members.len() as u32), max_sessions);
        }
        if let Some(handler) = wake {
            self.wake = Some(handler.clone());
        }
        let pool = adopted.then_some(Concurrency::Parallel { max_sessions: self.max_sessions });
        Some(Grant { wake: self.wake.clone(), was_asleep: self.kept, pool })
    }
}
