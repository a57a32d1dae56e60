//! Party lines, the member's side (spec section 17).
//!
//! A party has its home on its name's home shard, which decides who is in and in which order words are heard (`hosting.rs`).
//! The shard of each member keeps the member's seat, and the local audience. A membership is no call.

use bytes::Bytes;

use crate::exchange::address::Address;
use crate::exchange::cause::Cause;
use crate::exchange::effect::{Notice, Outbox};
use crate::exchange::event::{ContentType, Verb};
use crate::exchange::ids::LineId;
use crate::exchange::line::{Pauses, Seat};
use crate::exchange::signal::{AudienceId, Join, Joined, PartySays, Signal};
use crate::exchange::time::Moment;

use super::Shard;

impl Shard {
    pub(super) fn join(
        &mut self,
        now: Moment,
        line: LineId,
        party: Address,
        create_if_missing: bool,
        out: &mut Outbox<'_>,
    ) {
        let ticket = self.next_ticket();
        let Some(address) = self.address_of(line).cloned() else {
            return self.refuse(line, Verb::Join, Cause::NotRegistered, out);
        };
        if !self.may_dial(address.as_str(), party.as_str()) {
            return self.refuse(line, Verb::Join, Cause::Forbidden, out);
        }
        let Some(entry) = self.lines.get_mut(line.0) else { return };
        let seats = &mut entry.business_mut().seats;
        match seats.iter().position(|seat| seat.party == party) {
            Some(at) => seats[at].ticket = ticket,
            None if seats.len() >= self.limits.parties_per_line_max => {
                entry.drop_empty_business();
                return self.refuse(line, Verb::Join, Cause::TooManyParties, out);
            }
            None => seats.push(Seat { party: party.clone(), id: None, ticket, waits: false }),
        }
        self.reconsider_pause(now, line, out);
        let host = self.home(party.as_str());
        if host != self.id {
            // A LEAVE, or another JOIN after it, must not cross the answer: the line would sit in the audience of a
            // party that it has left.
            self.pause(line, Pauses::JOIN, out);
        }
        let (address, party) = (address.detached(), party.detached());
        self.send(
            host,
            Signal::Join(Box::new(Join { line, address, party, create_if_missing, ticket })),
            out,
        );
    }

    /// A name for a JOIN, until there have been four billion others.
    pub(super) fn next_ticket(&mut self) -> u32 {
        self.joins = self.joins.wrapping_add(1);
        self.joins
    }

    pub(super) fn on_joined(&mut self, now: Moment, joined: Joined, out: &mut Outbox<'_>) {
        let Joined { line, party, id, ticket, participants } = joined;
        let Some(seat) = self.seat_mut(line, party.as_str()).filter(|seat| seat.ticket == ticket) else {
            return;
        };
        seat.waits = false;
        if let Some(before) = seat.id.replace(id).filter(|&before| before != id) {
            // That one is over, and this JOIN has crossed the word of it.
            self.leave_audience(AudienceId::Party(before), line);
        }
        self.enter_audience(AudienceId::Party(id), line);
        out.notify(line, Notice::Joined { party, participants });
        self.unpause(now, line, Pauses::JOIN, out);
    }

    /// The host is another exchange, and nobody waits for a network: the line is read while it thinks.
    pub(super) fn on_join_pending(
        &mut self,
        now: Moment,
        line: LineId,
        party: &Address,
        ticket: u32,
        is_in: bool,
        out: &mut Outbox<'_>,
    ) {
        let Some(seat) = self.seat_mut(line, party.as_str()).filter(|seat| seat.ticket == ticket) else {
            return;
        };
        seat.waits = true;
        if let Some(before) = seat.id.take_if(|_| !is_in) {
            self.leave_audience(AudienceId::Party(before), line);
        }
        self.unpause(now, line, Pauses::JOIN, out);
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one signal")]
    pub(super) fn on_party_refused(
        &mut self,
        now: Moment,
        line: LineId,
        party: &Address,
        verb: Verb,
        cause: Cause,
        ticket: Option<u32>,
        out: &mut Outbox<'_>,
    ) {
        if self.lines.get(line.0).is_none() {
            return;
        }
        let Some(ticket) = ticket else { return self.refuse(line, verb, cause, out) };
        if self.seat_mut(line, party.as_str()).is_none_or(|seat| seat.ticket != ticket) {
            return;
        }
        self.refuse(line, verb, cause, out);
        self.unpause(now, line, Pauses::JOIN, out);
        if let Some(Seat { id: Some(id), .. }) = self.take_seat(line, party.as_str()) {
            self.leave_audience(AudienceId::Party(id), line);
        }
        self.after_party(now, line, out);
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
