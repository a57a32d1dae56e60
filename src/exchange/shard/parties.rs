//! Party lines (spec section 17).
//!
//! A party is hosted on its name's home shard, which decides who is in and in which order words are heard. The
//! shard of each member keeps the member's seat, and the local audience. A membership is no call.

use bytes::Bytes;

use crate::exchange::address::Address;
use crate::exchange::cause::Cause;
use crate::exchange::effect::{Notice, Outbox};
use crate::exchange::event::{ContentType, Verb};
use crate::exchange::ids::{LineId, PartyId};
use crate::exchange::line::{Pauses, Seat};
use crate::exchange::party::PartyLine;
use crate::exchange::signal::{AudienceId, Join, Joined, News, PartySays, Publication, Signal};
use crate::exchange::time::Moment;

use super::Shard;

/// The member's side.
impl Shard {
    pub(super) fn join(
        &mut self,
        now: Moment,
        line: LineId,
        party: Address,
        create_if_missing: bool,
        out: &mut Outbox<'_>,
    ) {
        let Some(entry) = self.lines.get_mut(line.0) else { return };
        let Some(address) = entry.address.clone() else {
            return self.refuse(line, Verb::Join, Cause::NotRegistered, out);
        };
        let seats = &mut entry.business_mut().seats;
        if !seats.iter().any(|seat| seat.party == party) {
            if seats.len() >= self.limits.parties_per_line_max {
                entry.drop_empty_business();
                return self.refuse(line, Verb::Join, Cause::TooManyParties, out);
            }
            seats.push(Seat { party: party.clone(), id: None });
        }
        self.reconsider_pause(now, line, out);
        let host = self.home(party.as_str());
        if host != self.id {
            // A LEAVE, or another JOIN after it, must not cross the answer: the line would sit in the audience of a
            // party that it has left.
            self.pause(line, Pauses::JOIN, out);
        }
        let (address, party) = (address.detached(), party.detached());
        self.send(host, Signal::Join(Box::new(Join { line, address, party, create_if_missing })), out);
    }

    pub(super) fn on_joined(&mut self, now: Moment, joined: Joined, out: &mut Outbox<'_>) {
        let Joined { line, party, id, participants } = joined;
        let Some(seat) = self.seat_mut(line, party.as_str()) else { return };
        seat.id = Some(id);
        self.enter_audience(AudienceId::Party(id), line);
        out.notify(line, Notice::Joined { party, participants });
        self.unpause(now, line, Pauses::JOIN, out);
    }

    pub(super) fn on_party_refused(
        &mut self,
        now: Moment,
        line: LineId,
        party: &Address,
        verb: Verb,
        cause: Cause,
        out: &mut Outbox<'_>,
    ) {
        if self.lines.get(line.0).is_none() {
            return;
        }
        self.refuse(line, verb, cause, out);
        if verb == Verb::Join {
            self.unpause(now, line, Pauses::JOIN, out);
            self.take_seat(line, party.as_str());
            self.after_party(now, line, out);
        }
    }

    pub(super) fn say_in_party(
        &mut self,
        line: LineId,
        party: &str,
        data: Option<&[u8]>,
        content_type: Option<ContentType>,
        out: &mut Outbox<'_>,
    ) {
        let Some(seat) = self.seat_mut(line, party) else {
            return self.refuse_party(line, Verb::PartyMessage, out);
        };
        let party = seat.party.clone();
        let host = self.home(party.as_str());
        let words = PartySays { line, party, data: data.map(Bytes::copy_from_slice), content_type };
        self.send(host, Signal::PartySays(Box::new(words)), out);
    }

    pub(super) fn leave(&mut self, now: Moment, line: LineId, party: &str, out: &mut Outbox<'_>) {
        let Some(seat) = self.take_seat(line, party) else {
            return self.refuse_party(line, Verb::Leave, out);
        };
        self.give_up_seat(line, seat, out);
        self.after_party(now, line, out);
    }

    /// Tells the host that a seat is free. The seat has been taken from the line already.
    pub(super) fn give_up_seat(&mut self, line: LineId, seat: Seat, out: &mut Outbox<'_>) {
        if let Some(id) = seat.id {
            self.leave_audience(AudienceId::Party(id), line);
        }
        let host = self.home(seat.party.as_str());
        self.send(host, Signal::Leave { line, party: seat.party }, out);
    }

    fn after_party(&mut self, now: Moment, line: LineId, out: &mut Outbox<'_>) {
        if let Some(entry) = self.lines.get_mut(line.0) {
            entry.drop_empty_business();
        }
        self.reconsider_pause(now, line, out);
        self.go_home_if_idle(line, out);
    }

    fn refuse_party(&self, line: LineId, verb: Verb, out: &mut Outbox<'_>) {
        let cause = if self.is_registered(line) { Cause::NotInParty } else { Cause::NotRegistered };
        self.refuse(line, verb, cause, out);
    }

    fn seat_mut(&mut self, line: LineId, party: &str) -> Option<&mut Seat> {
        let business = self.lines.get_mut(line.0)?.business.as_mut()?;
        business.seats.iter_mut().find(|seat| seat.party.as_str() == party)
    }

    fn take_seat(&mut self, line: LineId, party: &str) -> Option<Seat> {
        let business = self.lines.get_mut(line.0)?.business.as_mut()?;
        let at = business.seats.iter().position(|seat| seat.party.as_str() == party)?;
        Some(business.seats.swap_remove(at))
    }
}

/// The host's side.
impl Shard {
    pub(super) fn on_join(&mut self, join: Join, out: &mut Outbox<'_>) {
        let Join { line, address, party, create_if_missing } = join;
        let id = match self.party_names.get(&party) {
            Some(&id) => id,
            None if create_if_missing && !self.parties.is_full() => self.found_party(&party),
            None => return self.refuse_join(line, party, Cause::NoSuchParty, out),
        };
        let Some(host) = self.parties.get_mut(id.0) else { return };
        if host.member(line).is_none() && host.len() >= self.limits.party_members_max {
            return self.refuse_join(line, party, Cause::PartyFull, out);
        }
        if host.member(line).is_none() {
            host.add(line, address);
        }
        let participants = host.participants();
        self.send(line.shard(), Signal::Joined(Box::new(Joined { line, party, id, participants })), out);
    }

    fn found_party(&mut self, name: &Address) -> PartyId {
        let party = PartyLine::new(name.clone(), self.shards, self.hasher.clone());
        let id = PartyId(self.parties.insert_with(|_| party));
        self.party_names.insert(name.clone(), id);
        id
    }

    fn refuse_join(&mut self, line: LineId, party: Address, cause: Cause, out: &mut Outbox<'_>) {
        self.send(line.shard(), Signal::PartyRefused { line, party, verb: Verb::Join, cause }, out);
    }

    pub(super) fn on_party_says(&mut self, words: PartySays, out: &mut Outbox<'_>) {
        let PartySays { line, party, data, content_type } = words;
        let id = self.party_names.get(&party).copied();
        let host = id.and_then(|id| self.parties.get(id.0));
        let (Some(id), Some(host), Some(from)) = (id, host, host.and_then(|host| host.member(line))) else {
            let signal =
                Signal::PartyRefused { line, party, verb: Verb::PartyMessage, cause: Cause::NotInParty };
            return self.send(line.shard(), signal, out);
        };
        let (from, per_shard) = (from.clone(), host.per_shard().to_vec());
        let news = News::PartyMessage { party, from, data, content_type };
        self.publish(
            &per_shard,
            Publication { audience: AudienceId::Party(id), except: Some(line), news },
            out,
        );
    }

    pub(super) fn on_leave(&mut self, line: LineId, party: &Address) {
        let Some(&id) = self.party_names.get(party) else { return };
        let Some(host) = self.parties.get_mut(id.0) else { return };
        host.remove(line);
        if host.is_empty() {
            self.parties.remove(id.0);
            self.party_names.remove(party);
        }
    }

    pub(super) fn on_member_renamed(&mut self, line: LineId, party: &Address, address: Address) {
        let host = self.party_names.get(party).and_then(|id| self.parties.get_mut(id.0));
        if let Some(host) = host {
            host.rename(line, address);
        }
    }
}
