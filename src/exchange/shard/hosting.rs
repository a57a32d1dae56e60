//! Party lines, on the home shard of their names (spec sections 17, 19.7).
//!
//! A party is hosted here unless a tie line leads to its name. Then its home knows those members only who are here or come by
//! way of here: what they say goes up to the host, what the host says comes down to all of them. Whoever wants in waits
//! for the host's word, but no line is held up by that. A tie line counts for those only who have come by it, and,
//! if it leads to the host, as the host's voice.

use crate::exchange::address::Address;
use crate::exchange::cause::Cause;
use crate::exchange::effect::Outbox;
use crate::exchange::event::Verb;
use crate::exchange::ids::{LineId, PartyId, ShardSet};
use crate::exchange::limits::{PARTY_HOPS_MAX, PARTY_WAIT_MS};
use crate::exchange::party::{Guest, Member, PartyLine};
use crate::exchange::signal::{Join, Joined, Signal};
use crate::exchange::tie_party::PartyWord;
use crate::exchange::time::Moment;
use crate::exchange::timers::Due;

use super::Shard;

/// A wish to be in a party, of a line or by a tie line.
pub(super) struct Wish {
    pub(super) member: Member,
    pub(super) address: Address,
    pub(super) ticket: u32,
    pub(super) create_if_missing: bool,
    pub(super) hops: u8,
}

/// Who wants in, and who is.
impl Shard {
    pub(super) fn on_join(&mut self, now: Moment, join: Join, out: &mut Outbox<'_>) {
        let Join { line, address, party, create_if_missing, ticket } = join;
        let member = Member::Line(line);
        self.let_in(now, party, Wish { member, address, ticket, create_if_missing, hops: 0 }, out);
    }

    pub(super) fn let_in(&mut self, now: Moment, party: Address, wish: Wish, out: &mut Outbox<'_>) {
        let id = match self.party_for(&party, &wish) {
            Ok(id) => id,
            Err(cause) => {
                let guest = Guest { address: wish.address, ticket: wish.ticket, is_in: false };
                return self.turn_down(party, wish.member, guest, Verb::Join, cause, out);
            }
        };
        let Wish { member, address, ticket, create_if_missing, hops } = wish;
        let Some(host) = self.parties.get_mut(id.0) else { return };
        host.add(member.clone(), address, ticket);
        if host.upstream.is_none() {
            let participants = host.participants();
            return self.welcome(id, &member, participants, out);
        }
        self.await_host(now, id, member, (create_if_missing, hops + 1), out);
    }

    /// The party that a wish is for, made if it has to be and may be.
    fn party_for(&mut self, name: &Address, wish: &Wish) -> Result<PartyId, Cause> {
        let is_spent = wish.hops >= PARTY_HOPS_MAX;
        if let Some(&id) = self.party_names.get(name) {
            let host = self.parties.get(id.0).ok_or(Cause::NoSuchParty)?;
            if host.upstream.is_some() && is_spent {
                return Err(Cause::LoopDetected);
            }
            let objection = host.objection(&wish.member, &wish.address, self.limits.party_members_max);
            return objection.map_or(Ok(id), Err);
        }
        let way = self.routes.find_host(name.as_str(), &self.limits.domain, wish.member.tie());
        let way = way.filter(|&way| self.speaks_for(way, name.as_str()));
        if way.is_some() && is_spent {
            return Err(Cause::LoopDetected);
        }
        if self.parties.is_full() || (way.is_none() && !wish.create_if_missing) {
            return Err(Cause::NoSuchParty);
        }
        Ok(self.found_party(name, way))
    }

    fn found_party(&mut self, name: &Address, way: Option<LineId>) -> PartyId {
        let party = PartyLine::new(name.clone(), way, self.shards, self.hasher.clone());
        let id = PartyId(self.parties.insert_with(|_| party));
        self.party_names.insert(name.clone(), id);
        id
    }

    /// The host is another exchange: it is asked, unless it is asked already.
    fn await_host(
        &mut self,
        now: Moment,
        id: PartyId,
        member: Member,
        (create_if_missing, hops): (bool, u8),
        out: &mut Outbox<'_>,
    ) {
        let Some(host) = self.parties.get_mut(id.0) else { return };
        let (Some(guest), party) = (host.guest(&member).cloned(), host.name.clone()) else { return };
        let Some(upstream) = &mut host.upstream else { return };
        let until = now.tick.plus_millis(PARTY_WAIT_MS);
        let waits_already = upstream.waiting.contains_key(&member);
        if !waits_already {
            upstream.waiting.insert(member.clone(), until);
            let timers = &mut self.timers;
            upstream.timer.get_or_insert_with(|| timers.set(until, Due::Party(id)));
            let from = guest.address.detached();
            self.tell_host(id, PartyWord::Join { from, create_if_missing, hops }, out);
        }
        if let Member::Line(line) = member {
            let Guest { ticket, is_in, .. } = guest;
            self.send(line.shard(), Signal::JoinPending { line, party, ticket, is_in }, out);
        }
    }

    /// Somebody is in, and is told who else is.
    pub(super) fn welcome(
        &mut self,
        id: PartyId,
        member: &Member,
        participants: std::sync::Arc<[Address]>,
        out: &mut Outbox<'_>,
    ) {
        let Some(host) = self.parties.get_mut(id.0) else { return };
        host.admit(member);
        let Some(Guest { address, ticket, .. }) = host.guest(member).cloned() else { return };
        let party = host.name.clone();
        match member {
            Member::Line(line) => {
                let joined = Joined { line: *line, party, id, ticket, participants };
                self.send(line.shard(), Signal::Joined(Box::new(joined)), out);
            }
            Member::Far { tie, .. } => {
                let word = PartyWord::Joined { to: Some(address), participants };
                self.tell_tie(*tie, party, ticket, word, out);
            }
        }
    }

    /// Somebody is not in.
    pub(super) fn turn_down(
        &mut self,
        party: Address,
        member: Member,
        guest: Guest,
        verb: Verb,
        cause: Cause,
        out: &mut Outbox<'_>,
    ) {
        let Guest { address, ticket, .. } = guest;
        match member {
            Member::Line(line) => {
                let refused = Signal::PartyRefused { line, party, verb, cause, ticket: Some(ticket) };
                self.send(line.shard(), refused, out);
            }
            Member::Far { tie, .. } => {
                self.tell_tie(tie, party, ticket, PartyWord::Failed { to: Some(address), cause }, out);
            }
        }
    }

    pub(super) fn on_leave(&mut self, line: LineId, party: &Address, out: &mut Outbox<'_>) {
        if let Some(&id) = self.party_names.get(party) {
            self.let_out(id, &Member::Line(line), out);
        }
    }

    /// A member is out, for whatever reason. The host is told, unless it knows another member by the same name.
    pub(super) fn let_out(&mut self, id: PartyId, member: &Member, out: &mut Outbox<'_>) -> Option<Guest> {
        let host = self.parties.get_mut(id.0)?;
        let guest = host.remove(member)?;
        if host.upstream.is_some() {
            let is_last = !host.bears(&guest.address);
            self.wait_no_longer(id, member);
            if is_last {
                self.tell_host(id, PartyWord::Leave { from: guest.address.detached() }, out);
            }
        }
        self.close_if_empty(id, out);
        Some(guest)
    }

    pub(super) fn wait_no_longer(&mut self, id: PartyId, member: &Member) -> bool {
        let upstream = self.parties.get_mut(id.0).and_then(|host| host.upstream.as_mut());
        let Some(upstream) = upstream else { return false };
        let waited = upstream.waiting.shift_remove(member).is_some();
        if upstream.waiting.is_empty()
            && let Some(timer) = upstream.timer.take()
        {
            self.timers.cancel(timer);
        }
        waited
    }

    pub(super) fn close_if_empty(&mut self, id: PartyId, out: &mut Outbox<'_>) {
        if !self.parties.get(id.0).is_some_and(PartyLine::is_empty) {
            return;
        }
        let Some(tie) = self.close_party(id).and_then(|host| Some((host.upstream?.tie, host.name))) else {
            return;
        };
        self.send(tie.0.shard(), Signal::PartyDone { tie: tie.0, party: tie.1 }, out);
    }

    pub(super) fn close_party(&mut self, id: PartyId) -> Option<PartyLine> {
        let host = self.parties.remove(id.0)?;
        self.party_names.remove(&host.name);
        if let Some(timer) = host.upstream.as_ref().and_then(|upstream| upstream.timer) {
            self.timers.cancel(timer);
        }
        Some(host)
    }

    /// Elsewhere a name is all that a member is known by: it comes in by the new one before it leaves by the old one, so that
    /// a party of one does not end.
    pub(super) fn on_member_renamed(
        &mut self,
        line: LineId,
        party: &Address,
        address: Address,
        out: &mut Outbox<'_>,
    ) {
        let Some(&id) = self.party_names.get(party) else { return };
        let Some(host) = self.parties.get_mut(id.0) else { return };
        let Some(before) = host.rename(&Member::Line(line), address.clone()) else { return };
        if host.upstream.is_none() || before == address {
            return;
        }
        let is_gone = !host.bears(&before);
        let from = address.detached();
        self.tell_host(id, PartyWord::Join { from, create_if_missing: true, hops: 1 }, out);
        if is_gone {
            self.tell_host(id, PartyWord::Leave { from: before.detached() }, out);
        }
    }
}

/// What the shell's outbox rule has to know about a request that names a party: at the party's home it may reach every shard
/// with members, and those of tie lines.
impl Shard {
    pub(super) fn party_reaches(&self, party: &str) -> ShardSet {
        let home = self.home(party);
        if home == self.id { ShardSet::all(self.shards) } else { ShardSet::of(home) }
    }
}
