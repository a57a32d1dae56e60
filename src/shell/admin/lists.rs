//! What the API shows: lines, calls, parties, links, slow connections, warnings and deeds.
//!
//! A page is made of bounded questions to one shard after the other, as many as fit into [`ROUNDS_MAX`]. Its cursor names where the
//! last one ended, so a search that finds little comes back with less than a page and a cursor, instead of taking long.

use serde_json::{Value, json};

use super::inquiries::Unanswered;
use super::office::Office;
use super::parameters::Parameters;
use super::reply::Answer;
use crate::console::{overview, views};
use crate::exchange::address::{home, is_address};
use crate::exchange::ids::{CallId, LineId, ShardId};
use crate::exchange::survey::{Cursor, LineFilter, PAGE_LEN_MAX, Page};
use crate::exchange::time::Moment;
use crate::logging::{self, desk};
use crate::shell::switchboard::{CallAnswer, Inquiry, LineAnswer, Reply};

/// Questions that one page may cost. Each is bounded by itself; together they look at some 65,000 lines.
const ROUNDS_MAX: usize = 32;

type Listed = Result<Answer, Answer>;

pub(super) fn overview(office: &Office) -> Answer {
    let now = office.facts.clock.now();
    let started_ms = now.wall_ms.saturating_sub(now.tick.millis());
    let reports = office.reports();
    Answer::json(&overview::overview(&reports, &office.history.lock(), now, started_ms))
}

/// What the query of a list says.
#[derive(Default, Debug)]
struct Wanted {
    filter: LineFilter,
    address: Option<String>,
    limit: Option<usize>,
    from: Place,
}

/// Where a page begins: a shard, and a slot there.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Place {
    shard: usize,
    slot: Cursor,
}

impl Wanted {
    /// What is said of `prefix`, `domain`, `address`, `limit` and `cursor`.
    fn of(said: &Parameters) -> Result<Self, Answer> {
        let domain = said.get("domain").map(|domain| domain.trim_start_matches('@').into());
        Ok(Self {
            filter: LineFilter { prefix: said.get("prefix").map(Into::into), domain },
            address: said.get("address").map(str::to_owned),
            limit: limit(said)?,
            from: said.read("cursor", "no such cursor", Place::parse)?.unwrap_or_default(),
        })
    }

    fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE_LEN_MAX)
    }
}

/// How many entries a page may have.
pub(super) fn limit(said: &Parameters) -> Result<Option<usize>, Answer> {
    let why = format!("limit must be from 1 to {PAGE_LEN_MAX}");
    said.read("limit", &why, |value| value.parse().ok().filter(|limit| (1..=PAGE_LEN_MAX).contains(limit)))
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let (shard, slot) = text.split_once('.')?;
        Some(Self { shard: shard.parse().ok()?, slot: slot.parse().ok()? })
    }

    fn text(self) -> String {
        format!("{}.{}", self.shard, self.slot)
    }
}

/// Asks shard after shard until there is a page, or enough has been asked.
async fn gather<T>(
    office: &Office,
    wanted: &Wanted,
    ask: impl Fn(Cursor, Reply<Page<T>>) -> Inquiry,
) -> Result<(Vec<T>, Option<Place>), Unanswered> {
    let (mut entries, mut place, limit) = (Vec::new(), wanted.from, wanted.limit());
    for _ in 0..ROUNDS_MAX {
        if place.shard >= office.inquiries.shards() {
            return Ok((entries, None));
        }
        let slot = place.slot;
        let page = office.inquiries.ask(ShardId::new(place.shard), |reply| ask(slot, reply)).await?;
        for (slot, entry) in page.entries {
            if entries.len() == limit {
                return Ok((entries, Some(Place { slot, ..place })));
            }
            entries.push(entry);
        }
        place = match page.next {
            Some(slot) => Place { slot, ..place },
            None => Place { shard: place.shard + 1, slot: 0 },
        };
    }
    Ok((entries, Some(place)))
}

/// A list with its cursor.
fn listed(name: &str, entries: Vec<Value>, next: Option<Place>) -> Answer {
    Answer::json(&json!({ name: entries, "next": next.map(Place::text) }))
}

pub(super) async fn lines(office: &Office, said: &Parameters) -> Listed {
    let wanted = Wanted::of(said)?;
    let filter = &wanted.filter;
    let ask = |slot, reply| Inquiry::Lines(filter.clone(), slot, reply);
    let (found, next) = gather(office, &wanted, ask).await?;
    let now = office.facts.clock.now();
    Ok(listed("lines", found.iter().map(|sight| views::line(sight, now)).collect(), next))
}

pub(super) async fn line(office: &Office, address: &str) -> Listed {
    let shard = home_of(office, address).ok_or_else(|| Answer::not_found("that is no address"))?;
    let holders = office.inquiries.ask(shard, |reply| Inquiry::Holders(address.into(), reply)).await?;
    if holders.count == 0 && !holders.is_asleep {
        return Err(Answer::not_found("nobody holds this address"));
    }
    let now = office.facts.clock.now();
    let mut lines = Vec::new();
    for line in holders.lines {
        lines.extend(line_of(office, line).await?.map(|found| line_view(&found, now)));
    }
    Ok(Answer::json(&json!({
        "address": address,
        "home_shard": shard.index(),
        "sleeping": holders.is_asleep,
        "waiting_calls": holders.waiting_calls,
        "wakes_in_flight": holders.wakes,
        "lines_count": holders.count,
        "lines": lines,
    })))
}

/// The shard that knows who holds an address.
pub(super) fn home_of(office: &Office, address: &str) -> Option<ShardId> {
    is_address(address).then(|| home(address, office.inquiries.shards()))
}

async fn line_of(office: &Office, line: LineId) -> Result<Option<LineAnswer>, Unanswered> {
    office.inquiries.ask(line.shard(), |reply| Inquiry::Line(line, reply)).await
}

fn line_view(found: &LineAnswer, now: Moment) -> Value {
    let mut view = views::line(&found.sight, now);
    view["output_bytes"] = json!(found.output_bytes);
    view["input_bytes"] = json!(found.input_bytes);
    view["call_ids"] = json!(found.calls);
    view
}

pub(super) async fn calls(office: &Office, said: &Parameters) -> Listed {
    let wanted = Wanted::of(said)?;
    let now = office.facts.clock.now();
    if let Some(address) = &wanted.address {
        let calls = calls_of(office, address).await?;
        return Ok(listed("calls", calls.iter().map(|call| call_view(call, now)).collect(), None));
    }
    let (found, next) = gather(office, &wanted, Inquiry::Calls).await?;
    Ok(listed("calls", found.iter().map(|call| call_view(call, now)).collect(), next))
}

/// The calls of whoever holds an address.
async fn calls_of(office: &Office, address: &str) -> Result<Vec<CallAnswer>, Answer> {
    let shard = home_of(office, address).ok_or_else(|| Answer::bad_request("address is no address"))?;
    let holders = office.inquiries.ask(shard, |reply| Inquiry::Holders(address.into(), reply)).await?;
    let mut calls = Vec::new();
    for line in holders.lines {
        let Some(found) = line_of(office, line).await? else { continue };
        for name in found.calls {
            if calls.len() == PAGE_LEN_MAX {
                return Ok(calls);
            }
            calls.extend(find_call(office, &name).await?);
        }
    }
    Ok(calls)
}

/// A call, wherever its record is.
pub(super) async fn find_call(office: &Office, name: &str) -> Result<Option<CallAnswer>, Unanswered> {
    let call = CallId::parse(name.as_bytes());
    let answers = office.inquiries.ask_all(|reply| Inquiry::Call(call, reply)).await?;
    Ok(answers.into_iter().flatten().next())
}

fn call_view(call: &CallAnswer, now: Moment) -> Value {
    views::call(&call.sight, call.name.as_deref(), now)
}

pub(super) async fn call(office: &Office, name: &str) -> Listed {
    let found = find_call(office, name).await?;
    let found = found.ok_or_else(|| Answer::not_found("no such call is in progress"))?;
    Ok(Answer::json(&call_view(&found, office.facts.clock.now())))
}

pub(super) async fn parties(office: &Office, said: &Parameters) -> Listed {
    let wanted = Wanted::of(said)?;
    let (found, next) = gather(office, &wanted, Inquiry::Parties).await?;
    Ok(listed("parties", found.iter().map(views::party).collect(), next))
}

pub(super) async fn links(office: &Office) -> Listed {
    let answers = office.inquiries.ask_all(Inquiry::Links).await?;
    let up: Vec<_> = answers.into_iter().flatten().collect();
    let is_up = |position: usize| {
        up.iter().any(|link| link.peer.as_ref().is_some_and(|(_, at)| *at as usize == position))
    };
    let missing = office.facts.peers.iter().enumerate().filter(|(position, _)| !is_up(*position));
    let missing = missing.map(|(_, (peer, routes))| views::missing_link(peer, *routes));
    let links: Vec<Value> = up.iter().map(views::link).chain(missing).collect();
    Ok(Answer::json(&json!({ "links": links })))
}

pub(super) async fn slow(office: &Office) -> Listed {
    let answers = office.inquiries.ask_all(Inquiry::Slow).await?;
    let found = answers.into_iter().enumerate().flat_map(|(shard, slow)| {
        slow.into_iter().map(move |slow| {
            json!({
                "address": slow.address.as_ref().map(|address| address.as_str()),
                "shard": shard,
                "output_bytes": slow.output_bytes,
                "stalled_s": slow.stalled_s,
                "link": slow.is_tie,
            })
        })
    });
    let congested: usize = office.reports().iter().map(|report| report.congested).sum();
    Ok(Answer::json(&json!({ "congested": congested, "slow": found.collect::<Vec<_>>() })))
}

pub(super) fn warnings() -> Answer {
    let lines = desk().map(|desk| desk.warnings(logging::desk::WARNINGS_MAX)).unwrap_or_default();
    Answer::json(&json!({ "warnings": lines.iter().map(views::warning).collect::<Vec<_>>() }))
}

pub(super) fn audit(office: &Office) -> Answer {
    let deeds = office.audit.latest();
    Answer::json(&json!({ "audit": deeds.iter().map(views::deed).collect::<Vec<_>>() }))
}
