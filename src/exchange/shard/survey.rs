//! What an operator is shown of a shard. It only looks: nothing here changes anything, counts anything or emits an effect.
//!
//! No page costs more than its bound, whatever is asked: lists go by slots from where the last page ended, a domain by its index.
//! An entry that comes or goes between two pages may be missed or not, as in any list of what changes.

use crate::exchange::address::Address;
use crate::exchange::call::{Call, Record, Session, Stage, Traffic};
use crate::exchange::directory::{Holder, Listing};
use crate::exchange::effect::CallMode;
use crate::exchange::ids::{CallId, LineId, RecordId};
use crate::exchange::line::Line;
use crate::exchange::party::PartyLine;
use crate::exchange::survey::{
    CallSight, CallState, Cursor, Holders, LOOKS_MAX, LineFilter, LineSight, LinkSight, PAGE_LEN_MAX, Page,
    PartySight,
};

use super::Shard;

impl Shard {
    /// Registered lines from a slot on.
    pub fn survey_lines(&self, filter: &LineFilter, from: Cursor) -> Page<LineSight> {
        let slots = self.census.of_domain_from(filter.domain.as_deref(), from, &self.lines);
        let prefix = filter.prefix.as_deref().unwrap_or_default();
        page(slots, |slot| {
            let (handle, line) = self.lines.at(slot)?;
            let address = line.address.as_ref()?;
            address.as_str().starts_with(prefix).then(|| sight_of(LineId(handle), line))
        })
    }

    /// One line.
    pub fn survey_line(&self, line: LineId) -> Option<LineSight> {
        self.lines.get(line.0).map(|found| sight_of(line, found))
    }

    /// Who holds an address whose home is here.
    pub fn survey_holders(&self, address: &str) -> Holders {
        let listing = self.directory.listing(address);
        let pool = listing.and_then(|listing| listing.pool.as_ref());
        let holder = self.directory.find(address, &self.lines);
        let (lines, count) = match (holder, pool) {
            (Holder::Here(line) | Holder::Elsewhere(line), _) => (vec![line], 1),
            (Holder::Pool, Some(pool)) => {
                (pool.members.iter().copied().take(PAGE_LEN_MAX).collect(), pool.members.len())
            }
            _ => (Vec::new(), 0),
        };
        let is_asleep = matches!(holder, Holder::Asleep | Holder::PoolAsleep);
        let of_listing = |count: fn(&Listing) -> usize| listing.map_or(0, count);
        Holders {
            lines,
            count,
            is_asleep,
            waiting_calls: of_listing(|listing| listing.waiting.len()),
            wakes: of_listing(|listing| listing.runs.len()),
        }
    }

    /// Calls and broadcasts with a record here, from a slot on.
    pub fn survey_calls(&self, from: Cursor) -> Page<CallSight> {
        page(self.records.slots_from(from), |slot| {
            let (_, record) = self.records.at(slot)?;
            self.call_sight(record)
        })
    }

    /// The call of this id, if its record is here; by a listener's own dial, the broadcast.
    pub fn survey_call(&self, call: CallId) -> Option<CallSight> {
        let id = *self.records_by_call.get(&call)?;
        self.call_sight(self.records.get(id.0)?)
    }

    /// The ids of a line's calls, those that it placed first; at most [`PAGE_LEN_MAX`], and how many there are. Those of a tie
    /// line are not among them.
    pub fn survey_calls_of(&self, line: LineId) -> (Vec<CallId>, usize) {
        let Some(business) = self.lines.get(line.0).and_then(|line| line.business.as_ref()) else {
            return (Vec::new(), 0);
        };
        let placed = business.legs.iter().filter_map(|leg| Some(self.legs.get(leg.0)?.shown_id()));
        let called = business.records.iter().filter_map(|&record| self.call_of(record));
        let ids = placed.chain(called).take(PAGE_LEN_MAX).collect();
        (ids, business.legs.len() + business.records.len())
    }

    /// Parties whose home is here, from a slot on.
    pub fn survey_parties(&self, from: Cursor) -> Page<PartySight> {
        page(self.parties.slots_from(from), |slot| self.parties.at(slot).map(|(_, party)| party_sight(party)))
    }

    /// The links to other exchanges whose lines are here, by their lines. There are at most a thousand in all.
    pub fn survey_links(&self) -> Vec<LinkSight> {
        let here = self.routes.ties().filter(|(line, _)| line.shard() == self.id);
        let mut links: Vec<_> = here
            .filter_map(|(line, routes)| {
                let tie = self.tie(line)?;
                Some(LinkSight {
                    line,
                    domain: routes.domain.clone(),
                    peer: tie.peer.as_ref().map(|peer| (peer.id.clone(), peer.position)),
                    routes: routes.routes.len(),
                    calls_in: tie.legs.len(),
                    calls_out: tie.records.len(),
                    unanswered: tie.unanswered,
                })
            })
            .collect();
        links.sort_by_key(|link| link.line);
        links
    }

    fn call_of(&self, record: RecordId) -> Option<CallId> {
        Some(match self.records.get(record.0)? {
            Record::Call(call) => call.id,
            Record::Session(session) => session.id,
        })
    }

    fn call_sight(&self, record: &Record) -> Option<CallSight> {
        match record {
            Record::Call(call) => Some(sight_of_call(call)),
            Record::Session(session) => {
                Some(sight_of_session(session, self.address_of(session.broadcaster)?.detached()))
            }
        }
    }
}

/// What `look` makes of these slots, within the bounds of a page.
fn page<T>(slots: impl Iterator<Item = Cursor>, look: impl Fn(Cursor) -> Option<T>) -> Page<T> {
    let (mut entries, mut next) = (Vec::new(), None);
    for (looks, slot) in slots.enumerate() {
        if looks == LOOKS_MAX || entries.len() == PAGE_LEN_MAX {
            next = Some(slot);
            break;
        }
        entries.extend(look(slot).map(|entry| (slot, entry)));
    }
    Page { entries, next }
}

fn sight_of(id: LineId, line: &Line) -> LineSight {
    LineSight {
        line: id,
        session: line.session,
        // What leaves the shard must not share a counter with it.
        address: line.address.as_ref().map(Address::detached),
        status: line.shown(),
        concurrency: line.concurrency(),
        since: line.since.tick(),
        heard_s: line.heard_s,
        capabilities: line.profile.as_ref().map_or(0, |profile| profile.capabilities.len()),
        calls: line.calls() + line.tie().map_or(0, |tie| tie.legs.len() + tie.records.len()),
        seats: line.business.as_ref().map_or(0, |business| business.seats.len()),
        can_be_woken: line.wake().is_some(),
        is_congested: line.congested,
        is_paused: line.pauses.any(),
        is_internal: line.internal,
        is_tie: line.tie().is_some(),
    }
}

fn sight_of_call(call: &Call) -> CallSight {
    CallSight {
        call: call.id,
        from: call.from.detached(),
        to: call.to.detached(),
        callee: call.callee,
        caller_shard: call.leg.shard(),
        mode: call.mode,
        state: match call.stage {
            Stage::Waiting { .. } => CallState::Waiting,
            Stage::Ringing => CallState::Ringing,
            Stage::Connected => CallState::Connected,
        },
        started: Some(call.started),
        rang: call.rang,
        answered: call.answered,
        traffic: call.traffic,
        listeners: 0,
        is_held: call.held,
    }
}

fn sight_of_session(session: &Session, broadcaster: Address) -> CallSight {
    CallSight {
        call: session.id,
        from: broadcaster.clone(),
        to: broadcaster,
        callee: Some(session.broadcaster),
        caller_shard: session.broadcaster.shard(),
        mode: CallMode::Broadcast,
        state: CallState::Broadcast,
        started: None,
        rang: None,
        answered: None,
        traffic: Traffic { to_caller: session.said, ..Traffic::default() },
        listeners: session.listeners.len(),
        is_held: false,
    }
}

fn party_sight(party: &PartyLine) -> PartySight {
    PartySight {
        name: party.name.detached(),
        members: party.members().len(),
        far_members: party.per_tie().map(|(_, count)| count as usize).sum(),
        host: party.upstream.as_ref().map(|upstream| upstream.tie),
    }
}
