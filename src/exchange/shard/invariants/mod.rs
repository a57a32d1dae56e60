//! Everything that must hold between events: [`Shard::check`] within a shard, [`check_together`] across shards
//! when no signal is under way.
//!
//! Both walk all state and panic with a clear text. Tests and the simulation call them after every event; nothing
//! that serves lines does. A new field of a shard belongs into one of these functions in the same commit.

mod together;

use std::collections::{HashMap, HashSet};

use crate::exchange::address::Address;
use crate::exchange::call::{Call, Leg, LegStage, Record, Session, Stage};
use crate::exchange::directory::Listing;
use crate::exchange::ids::{LegId, LineId, PartyId, RecordId};
use crate::exchange::line::{Business, Line, Pauses};
use crate::exchange::party::{Member, PartyLine};
use crate::exchange::question::Question;
use crate::exchange::signal::AudienceId;
use crate::exchange::timers::{Due, TimerId};

use super::Shard;

pub use together::check_together;

impl Shard {
    /// Checks that everything in this shard agrees with everything else. To be called between events.
    ///
    /// # Panics
    /// If anything does not: then the exchange has a bug.
    pub fn check(&self) {
        assert!(self.loopback.is_empty(), "a shard has said something to itself that it has not heard");
        for (handle, line) in self.lines.iter() {
            self.check_line(LineId(handle), line);
        }
        for (handle, leg) in self.legs.iter() {
            self.check_leg(LegId(handle), leg);
        }
        for (handle, record) in self.records.iter() {
            match record {
                Record::Call(call) => self.check_call(RecordId(handle), call),
                Record::Session(session) => self.check_session(RecordId(handle), session),
            }
        }
        for (handle, party) in self.parties.iter() {
            let id = PartyId(handle);
            self.check_party(id, party);
        }
        for (address, listing) in self.directory.listings() {
            self.check_listing(address, listing);
        }
        self.check_audiences();
        self.check_runs();
        self.check_totals();
    }

    fn check_line(&self, id: LineId, line: &Line) {
        assert_eq!(
            line.business.as_ref().is_some_and(|business| business.claiming.is_some()),
            line.pauses.has(Pauses::CLAIM),
            "{id} is paused exactly while it claims an address"
        );
        assert_eq!(
            self.question_of(line).is_some_and(|question| question.missing_shards > 0),
            line.pauses.has(Pauses::PRESENCE),
            "{id} is paused exactly while other shards look who is there"
        );
        assert_eq!(
            self.is_held(id),
            line.pauses.has(Pauses::FLOW),
            "{id} is paused exactly while it is held"
        );
        if let Some(business) = &line.business {
            self.check_business(id, business);
        }
        if line.in_call() {
            assert!(line.address.is_some(), "{id} is in a call without an address");
        } else {
            assert_eq!(line.shown(), line.chosen(), "{id} without calls shows what it chose");
        }
        if let Some(setting) = line.reach.as_ref().and_then(|reach| reach.auto_sleep.as_ref()) {
            assert!(setting.timer.is_some() || !setting.pending, "{id} waits for sleep without a timer");
            self.check_timer(setting.timer, Due::Sleep(id));
        }
        self.check_badge(id, line);
        match &line.address {
            Some(address) => self.check_held(id, address),
            None => assert!(!self.guests.contains(&id), "{id} is a guest without an address"),
        }
    }

    /// Whoever has shown a token that ends has a timer that says so.
    fn check_badge(&self, id: LineId, line: &Line) {
        let Some(badge) = line.reach.as_ref().and_then(|reach| reach.badge) else { return };
        assert_eq!(badge.timer.is_some(), badge.proof.expiry.is_some(), "{id} has a token without an end");
        self.check_timer(badge.timer, Due::Expiry(id));
    }

    fn question_of(&self, line: &Line) -> Option<&Question> {
        let question = line.business.as_ref()?.asking?;
        Some(self.questions.get(question.0).expect("a line's question is there"))
    }

    fn check_business(&self, id: LineId, business: &Business) {
        let Business { legs, records, session, seats, asking, claiming, tie } = business;
        let idle = tie.is_none() && legs.is_empty() && records.is_empty() && seats.is_empty();
        assert!(!idle || asking.is_some() || claiming.is_some(), "{id} keeps an empty box of business");
        assert!(all_differ(legs) && all_differ(records), "{id} has a call twice");
        for leg in legs {
            assert_eq!(self.legs.get(leg.0).map(|leg| leg.line), Some(id), "{id} has {leg:?}");
        }
        for &record in records {
            let owner = self.records.get(record.0).map(|record| match record {
                Record::Call(call) => call.callee,
                Record::Session(session) => Some(session.broadcaster),
            });
            assert_eq!(owner, Some(Some(id)), "{id} has {record:?}");
            assert_eq!(
                self.session(record).is_some(),
                *session == Some(record),
                "{id}: which is its session"
            );
        }
        assert!(session.is_none_or(|session| records.contains(&session)), "{id}: its session is a call");
        for question in tie.iter().flat_map(|tie| &tie.questions).chain(asking) {
            let known = self.questions.get(question.0).map(|question| question.line);
            assert_eq!(known, Some(id), "{id} has {question:?}");
        }
        for leg in tie.iter().flat_map(|tie| tie.legs.values()) {
            assert_eq!(self.legs.get(leg.0).map(|leg| leg.line), Some(id), "tie line {id} has {leg:?}");
        }
        self.check_timer(tie.as_ref().and_then(|tie| tie.heartbeat), Due::Tie(id));
        for record in tie.iter().flat_map(|tie| &tie.records) {
            let is_its =
                matches!(self.records.get(record.0), Some(Record::Call(call)) if call.callee == Some(id));
            assert!(is_its, "tie line {id} has {record:?}");
        }
        let names: Vec<_> = seats.iter().map(|seat| seat.party.as_str()).collect();
        assert!(all_differ(&names), "{id} is in a party twice");
        let joining = self.lines.get(id.0).is_some_and(|line| line.pauses.has(Pauses::JOIN));
        for seat in seats {
            let is_known = seat.id.is_some() || seat.waits || joining;
            assert!(is_known, "{id} waits for {} and is read", seat.party);
            let Some(party) = seat.id else { continue };
            let audience = self.audiences.get(&AudienceId::Party(party));
            assert!(audience.is_some_and(|lines| lines.contains(&id)), "{id} does not hear {}", seat.party);
        }
    }

    fn check_party(&self, id: PartyId, party: &PartyLine) {
        let name = &party.name;
        assert_eq!(self.party_names.get(name), Some(&id), "party {name} by its name");
        assert!(!party.is_empty(), "party {name} has nobody in it");
        let lines = party.members().filter_map(|(member, _)| match member {
            Member::Line(line) => Some(*line),
            Member::Far { .. } => None,
        });
        check_per_shard(party.per_shard(), lines, self.shards, "a party");
        let mut by_tie = HashMap::new();
        let ties = party.members().filter_map(|(member, _)| member.tie());
        ties.for_each(|tie| *by_tie.entry(tie).or_insert(0) += 1);
        assert_eq!(party.per_tie().collect::<HashMap<_, _>>(), by_tie, "members of {name} by tie line");
        let waits =
            |member| party.upstream.as_ref().is_some_and(|upstream| upstream.waiting.contains_key(member));
        for (member, guest) in party.members() {
            assert!(guest.is_in || waits(member), "{member:?} is not in party {name}, and does not wait");
        }
        let Some(upstream) = &party.upstream else { return };
        let known = upstream.waiting.keys().all(|member| party.guest(member).is_some());
        assert!(known, "somebody waits for party {name} who is no member");
        assert_eq!(upstream.timer.is_some(), !upstream.waiting.is_empty(), "the timer of party {name}");
        self.check_timer(upstream.timer, Due::Party(id));
    }

    /// The directory, the guest list and the census know a registered line.
    fn check_held(&self, id: LineId, address: &Address) {
        let is_guest = self.home(address.as_str()) != self.id;
        assert_eq!(self.guests.contains(&id), is_guest, "{id} {address}: is it a guest");
        let sole = self.directory.sole(address.as_str(), &self.lines) == Some(id);
        let pool = self.directory.listing(address.as_str()).and_then(|listing| listing.pool.as_ref());
        let member = pool.is_some_and(|pool| pool.members.contains(&id));
        assert!(is_guest || sole != member, "{id} holds {address} as one: {sole}, in a pool: {member}");
        assert!(self.census.has(id.slot(), &self.lines), "{id} in the census");
    }

    fn check_leg(&self, id: LegId, leg: &Leg) {
        let owner = self.lines.get(leg.line.0).and_then(|line| line.business.as_ref());
        if leg.forwarded.is_some() {
            let tie = owner.and_then(|owner| owner.tie.as_ref());
            assert_eq!(
                tie.and_then(|tie| tie.legs.get(&leg.id)),
                Some(&id),
                "{id} and its tie line {}",
                leg.line
            );
            return;
        }
        assert!(owner.is_some_and(|owner| owner.legs.contains(&id)), "{id} and its line {}", leg.line);
        assert_eq!((leg.id.shard_index(), leg.id.slot()), (self.id.index(), id.slot()), "the name of {id}");
        if let LegStage::Listening { session, .. } = leg.stage {
            assert_eq!(self.listening.get(&(session, leg.line)), Some(&id), "{id} listens");
            let audience = self.audiences.get(&AudienceId::Session(session));
            assert!(audience.is_some_and(|lines| lines.contains(&leg.line)), "{id} is in the audience");
        }
    }

    fn check_call(&self, id: RecordId, call: &Call) {
        assert_eq!(self.records_by_call.get(&call.id), Some(&id), "call {} by its name", call.id);
        let waits = matches!(call.stage, Stage::Waiting { .. });
        match call.callee {
            Some(callee) => {
                assert!(!waits, "call {} waits and has a callee", call.id);
                let owner = self.lines.get(callee.0).and_then(|line| line.business.as_ref());
                assert!(
                    owner.is_some_and(|owner| owner.all_records().any(|record| record == id)),
                    "{id} and its callee {callee}"
                );
            }
            None => {
                let listing = self.directory.listing(call.to.as_str());
                let queued = listing.is_some_and(|listing| listing.waiting.contains(&id));
                assert!(waits && queued, "call {} without callee waits in the queue", call.id);
            }
        }
        let timed = call.stage != Stage::Connected;
        assert_eq!(call.timer.is_some(), timed, "call {} has a timer until it is up", call.id);
        self.check_timer(call.timer, Due::Call(id));
    }

    fn check_session(&self, id: RecordId, session: &Session) {
        let owner = self.lines.get(session.broadcaster.0).and_then(|line| line.business.as_ref());
        assert_eq!(owner.and_then(|owner| owner.session), Some(id), "session {} of its speaker", session.id);
        assert_eq!(self.records_by_call.get(&session.id), Some(&id), "session {} by its name", session.id);
        assert!(!session.listeners.is_empty(), "session {} without listeners", session.id);
        for listener in session.listeners.values() {
            let by_dial = self.records_by_call.get(&listener.dial);
            assert_eq!(by_dial, Some(&id), "session {} by the dial {}", session.id, listener.dial);
        }
        let lines = session.listeners.keys().copied();
        check_per_shard(&session.per_shard, lines, self.shards, "a session");
    }

    fn check_listing(&self, address: &Address, listing: &Listing) {
        let Listing { elsewhere, pool, asleep, waiting, runs } = listing;
        assert_eq!(self.home(address.as_str()), self.id, "{address} is listed away from home");
        assert!(!listing.says_nothing(), "the listing of {address} says nothing");
        let sole = self.directory.sole(address.as_str(), &self.lines);
        let holds = [sole.is_some(), elsewhere.is_some(), pool.is_some()];
        assert!(holds.iter().filter(|&&held| held).count() <= 1, "{address} is held in two ways {holds:?}");
        assert!(asleep.is_none() || holds == [false; 3], "{address} is held and asleep");
        assert!(elsewhere.is_none_or(|line| line.shard() != self.id), "{address} is elsewhere, but here");
        if let Some(pool) = pool {
            assert!(all_differ(&pool.members), "a line is twice in the pool {address}");
            let asleep = pool.kept && pool.wake.is_some();
            assert!(!pool.members.is_empty() || asleep, "the pool {address} is empty and cannot be woken");
            for member in pool.members.iter().filter(|member| member.shard() == self.id) {
                let bears = self.address_of(*member) == Some(address);
                assert!(bears, "{member} is in the pool {address} and bears another address");
            }
        }
        for id in waiting {
            let Some(Record::Call(call)) = self.records.get(id.0) else { panic!("{id} waits for {address}") };
            let fits = call.callee.is_none() && call.to == *address;
            assert!(fits, "call {} waits for {address}, of all addresses", call.id);
        }
        for run in runs {
            let known = self.runs.get(run).map(|run| &run.address);
            assert_eq!(known, Some(address), "wake run {run} of {address}");
        }
    }

    fn check_audiences(&self) {
        for (audience, lines) in self.audiences.iter() {
            assert!(!lines.is_empty(), "{audience:?} has nobody in it");
            for line in lines {
                let belongs = match audience {
                    AudienceId::Session(call) => self.listening.contains_key(&(*call, *line)),
                    AudienceId::Party(party) => self.lines.get(line.0).is_some_and(|line| {
                        let seats = line.business.iter().flat_map(|business| &business.seats);
                        seats.filter(|seat| seat.id == Some(*party)).count() == 1
                    }),
                };
                assert!(belongs, "{line} hears {audience:?} and does not belong to it");
            }
        }
    }

    fn check_totals(&self) {
        let lines = || self.lines.iter().map(|(_, line)| line);
        let registered = lines().filter(|line| line.address.is_some()).count();
        assert_eq!(self.census.len(), registered, "the census counts registered lines");
        let homes =
            lines().filter_map(|line| line.address.as_ref()).filter(|a| self.home(a.as_str()) == self.id);
        let pooled = |address: &&Address| {
            self.directory.listing(address.as_str()).is_some_and(|listing| listing.pool.is_some())
        };
        assert_eq!(self.directory.sole_len(), homes.filter(|a| !pooled(a)).count(), "plain holds");
        assert_eq!(self.directory.listings_len(), self.directory.listings().count(), "listings");
        let profiles: usize = self.directory.listings().map(|(_, listing)| listing.profile_bytes()).sum();
        assert_eq!(self.directory.profile_bytes(), profiles, "bytes of wake profiles");
        let waiting = self.records.iter().filter_map(|(_, record)| match record {
            Record::Call(call) => call.metadata.as_ref().map(|metadata| metadata.len()),
            Record::Session(_) => None,
        });
        assert_eq!(self.waiting_metadata_bytes, waiting.sum::<usize>(), "metadata of waiting calls");
        self.check_tally();
        let guests =
            lines().filter_map(|line| line.address.as_ref()).filter(|a| self.home(a.as_str()) != self.id);
        assert_eq!(self.guests.len(), guests.count(), "guests");
        assert_eq!(self.party_names.len(), self.parties.len(), "names of parties");
        let runs: usize = self.directory.listings().map(|(_, listing)| listing.runs.len()).sum();
        assert_eq!(self.runs.len(), runs, "wake runs");
        let listening = |(_, leg): &(_, &Leg)| matches!(leg.stage, LegStage::Listening { .. });
        assert_eq!(self.listening.len(), self.legs.iter().filter(listening).count(), "legs that listen");
        let names: usize = self.records.iter().map(|(_, record)| names_of(record)).sum();
        assert_eq!(self.records_by_call.len(), names, "names of calls");
        assert_eq!(self.timers.len(), self.timers_owned(), "timers and their owners");
    }

    fn check_runs(&self) {
        for (&number, run) in self.runs.iter() {
            self.check_timer(run.timer, Due::Wake(number));
        }
    }

    fn timers_owned(&self) -> usize {
        let calls = self.records.iter().filter(|(_, record)| match record {
            Record::Call(call) => call.timer.is_some(),
            Record::Session(_) => false,
        });
        let settings = self.lines.iter().filter_map(|(_, line)| line.reach.as_ref()?.auto_sleep.as_ref());
        let runs = self.runs.iter().map(|(_, run)| run).filter(|run| run.timer.is_some());
        let badges = self.lines.iter().filter_map(|(_, line)| line.reach.as_ref()?.badge?.timer);
        let beats = self.lines.iter().filter_map(|(_, line)| line.tie()?.heartbeat);
        let waits = self.questions.iter().filter(|(_, question)| question.timer.is_some());
        let joins = self.parties.iter().filter_map(|(_, party)| party.upstream.as_ref()?.timer);
        let drain = usize::from(self.drain_timer().is_some());
        drain
            + waits.count()
            + joins.count()
            + beats.count()
            + calls.count()
            + settings.filter(|setting| setting.timer.is_some()).count()
            + runs.count()
            + badges.count()
    }

    fn check_timer(&self, timer: Option<TimerId>, due: Due) {
        let Some(timer) = timer else { return };
        assert_eq!(self.timers.due(timer), Some(due), "a timer and its owner");
    }
}

fn names_of(record: &Record) -> usize {
    match record {
        Record::Call(_) => 1,
        Record::Session(session) => 1 + session.listeners.len(),
    }
}

fn all_differ<T: std::hash::Hash + Eq>(items: &[T]) -> bool {
    items.iter().collect::<HashSet<_>>().len() == items.len()
}

fn check_per_shard(counts: &[u32], lines: impl Iterator<Item = LineId>, shards: usize, whose: &str) {
    let mut counted = vec![0; shards];
    lines.for_each(|line| counted[line.shard().index()] += 1);
    assert_eq!(counts, counted, "members of {whose} by shard");
}
