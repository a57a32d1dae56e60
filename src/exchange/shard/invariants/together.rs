//! What must hold across the shards of one exchange when nothing is under way between them.
//!
//! Each end of a call, each listener and each member is looked up where the other end says it is.

use crate::exchange::address::Address;
use crate::exchange::call::{Leg, LegStage, Record, Stage};
use crate::exchange::ids::{CallId, LegId, LineId, RecordId};
use crate::exchange::line::{Line, Pauses};
use crate::exchange::party::{Member, PartyLine};
use crate::exchange::tie::Tie;

use super::super::Shard;

/// Checks that the shards of one exchange agree with each other. Holds only when no signal and no line is on its
/// way between them.
///
/// # Panics
/// If they do not agree: then the exchange has a bug.
pub fn check_together(shards: &[Shard]) {
    for shard in shards {
        for (handle, leg) in shard.legs.iter() {
            check_leg_has_record(shards, LegId(handle), leg);
        }
        for (handle, record) in shard.records.iter() {
            check_record_has_legs(shards, RecordId(handle), record);
        }
        for (_, party) in shard.parties.iter() {
            check_members(shards, party);
        }
        for (handle, line) in shard.lines.iter() {
            check_line_is_known(shards, LineId(handle), line);
            if let Some(tie) = line.tie() {
                check_tie_parties(shards, LineId(handle), tie);
            }
        }
        check_holders_elsewhere(shards, shard);
        check_ties(shards, shard);
    }
}

/// Members of a party and their seats, and the party and the way to its host.
fn check_members(shards: &[Shard], party: &PartyLine) {
    let name = &party.name;
    for (member, guest) in party.members() {
        let seated = match member {
            Member::Line(line) => {
                let business = line_of(shards, *line).and_then(|line| line.business.as_ref());
                let mut seats = business.iter().flat_map(|business| &business.seats);
                seats.any(|seat| {
                    seat.party == *name && seat.ticket == guest.ticket && seat.id.is_some() == guest.is_in
                })
            }
            Member::Far { tie, address } => {
                let tie = line_of(shards, *tie).and_then(|line| line.tie());
                tie.is_some_and(|tie| tie.parties.ticket(name, address) == Some(guest.ticket))
            }
        };
        assert!(seated, "{member:?} is in party {name} and does not know it");
    }
    if let Some(upstream) = &party.upstream {
        let tie = line_of(shards, upstream.tie).and_then(|line| line.tie());
        assert!(tie.is_some_and(|tie| tie.parties.leads_to(name)), "the way to party {name}");
    }
}

/// Seats by way of a tie line, and parties that it leads to, are known where the parties are at home.
fn check_tie_parties(shards: &[Shard], id: LineId, tie: &Tie) {
    assert!(tie.parties.is_counted(), "the parties of {id} are counted");
    let is_congested = line_of(shards, id).is_some_and(|line| line.congested);
    assert!(
        is_congested || tie.parties.speakers.is_empty(),
        "nobody presses on {id}, which takes everything"
    );
    let home_of = |name: &Address| {
        let home = &shards[name.home(shards.len()).index()];
        home.party_names.get(name).and_then(|party| home.parties.get(party.0))
    };
    for (name, address, ticket) in tie.parties.seats() {
        let member = Member::Far { tie: id, address: address.clone() };
        let guest = home_of(name).and_then(|party| party.guest(&member));
        assert_eq!(guest.map(|guest| guest.ticket), Some(ticket), "{address} in {name} by way of {id}");
    }
    for name in tie.parties.names().iter().filter(|name| tie.parties.leads_to(name)) {
        assert!(home_of(name).is_some_and(|party| party.is_led_by(id)), "{id} leads to party {name}");
    }
}

/// All shards know the same routes, and each name that is taken has a call.
fn check_ties(shards: &[Shard], shard: &Shard) {
    let known = |shard: &Shard| {
        let mut ties: Vec<_> = shard.routes.ties().map(|(line, _)| line).collect();
        ties.sort_unstable();
        ties
    };
    assert_eq!(known(shard), known(&shards[0]), "the routes that shard {} knows", shard.id);
    for line in known(shard) {
        assert!(line_of(shards, line).is_some_and(|line| line.tie().is_some()), "{line} is a tie line");
    }
    assert!(shard.announcements.is_empty(), "tie lines that wait for nothing");
    for (call, leg) in shard.names.iter() {
        let named = shards[leg.shard().index()].legs.get(leg.0);
        assert!(named.is_some_and(|leg| leg.id == *call), "{call} has a name and no leg");
    }
}

fn check_leg_has_record(shards: &[Shard], id: LegId, leg: &Leg) {
    let shard = match leg.stage {
        LegStage::Dialling => &shards[leg.shard.index()],
        LegStage::Connected(record) | LegStage::Listening { record, .. } => &shards[record.shard().index()],
    };
    let record =
        shard.records_by_call.get(&leg.id).and_then(|record| Some((*record, shard.records.get(record.0)?)));
    let agrees = match (leg.stage, record) {
        (LegStage::Dialling, Some((_, Record::Call(call)))) => {
            call.leg == id && call.stage != Stage::Connected
        }
        (LegStage::Connected(known), Some((record, Record::Call(call)))) => {
            call.leg == id && call.stage == Stage::Connected && known == record
        }
        (LegStage::Listening { session, .. }, Some((_, Record::Session(found)))) => {
            found.id == session && found.listeners.get(&leg.line).is_some_and(|listener| listener.leg == id)
        }
        _ => false,
    };
    assert!(agrees, "{id} of call {} is {:?}, its record says otherwise", leg.id, leg.stage);
}

fn check_record_has_legs(shards: &[Shard], id: RecordId, record: &Record) {
    let leg_is = |leg: LegId, call: CallId, line: LineId| {
        let found = shards[leg.shard().index()].legs.get(leg.0);
        assert!(
            found.is_some_and(|leg| leg.id == call && leg.line == line),
            "{id} of call {call} has no leg"
        );
    };
    match record {
        Record::Call(call) => leg_is(call.leg, call.id, call.caller),
        Record::Session(session) => {
            session.listeners.iter().for_each(|(&line, listener)| leg_is(listener.leg, listener.dial, line));
        }
    }
}

fn check_line_is_known(shards: &[Shard], id: LineId, line: &Line) {
    let pauses = line.pauses;
    let waits = [Pauses::CLAIM, Pauses::PRESENCE, Pauses::JOIN].iter().any(|&reason| pauses.has(reason));
    assert!(!waits, "{id} waits for an answer");
    for seat in line.business.iter().flat_map(|business| &business.seats) {
        let host = &shards[crate::exchange::address::home(seat.party.as_str(), shards.len()).index()];
        let party = host.party_names.get(&seat.party).and_then(|party| host.parties.get(party.0));
        assert!(
            party.and_then(|party| party.guest(&Member::Line(id))).map(|guest| &guest.address)
                == line.address.as_ref(),
            "{id} in {}",
            seat.party
        );
    }
    let Some(address) = &line.address else { return };
    let home = address.home(shards.len());
    if home == id.shard() {
        return;
    }
    assert!(!line.is_idle(), "{id} is a guest without business");
    let listing = shards[home.index()].directory.listing(address.as_str());
    let members = listing.and_then(|listing| listing.pool.as_ref()).map(|pool| &pool.members);
    let known = listing.is_some_and(|listing| listing.elsewhere == Some(id))
        || members.is_some_and(|members| members.contains(&id));
    assert!(known, "the home of {address} does not know its guest {id}");
}

fn check_holders_elsewhere(shards: &[Shard], shard: &Shard) {
    for (address, listing) in shard.directory.listings() {
        let members = listing.pool.iter().flat_map(|pool| &pool.members);
        for &line in members.chain(&listing.elsewhere) {
            let bears = line_of(shards, line).and_then(|line| line.address.as_ref()) == Some(address);
            assert!(bears, "{address} is listed with {line}, which does not bear it");
        }
    }
}

fn line_of(shards: &[Shard], line: LineId) -> Option<&Line> {
    shards[line.shard().index()].lines.get(line.0)
}
