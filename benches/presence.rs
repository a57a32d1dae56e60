//! What does PRESENCE cost with 15,000 and with a million lines, when ten match?
//!
//! By domain, by capability, by a capability within a domain, and with a common capability that half of all lines have.
//! Then the worst questions that a client can ask, of which none may stall a shard for a millisecond (design.md): two
//! common capabilities that nobody has both of, many that all of some thousand lines have but nobody all of, a place with
//! everybody near it but not near enough, and what finds more than the 10,000 that are told. On one shard, and scattered
//! over eight in one thread (their work added up, without trunks). The answer is written as a frame, because
//! the asker waits for that. The same question is asked again and again, so that its matches are in the cache;
//! `million_lines.rs` asks different ones. design.md wants 20 us by domain with ten matches. Checked once: the answer
//! names exactly those who match.

mod support;

use compact_str::CompactString;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use support::exchange::{DOMAIN_SIZE, Exchange, address, agent, registration};
use support::{coarse, scaled};
use systemx::dialect::systemx::encode;
use systemx::exchange::census::Census;
use systemx::exchange::effect::{Effect, Notice};
use systemx::exchange::event::{Location, Near, PresenceQuery, Profile, Registration, Request};
use systemx::exchange::ids::{LineId, SessionId, ShardId};
use systemx::exchange::line::Line;
use systemx::exchange::rack::Rack;
use systemx::exchange::{Limits, Tick};

/// Every line of a domain with this number has the rare capability.
const RARE_DOMAIN: usize = 7;
/// Asks, and is in no domain of the others.
const ASKER: &str = "asker@elsewhere.test";

/// One line in so many is able to do everything but one thing: sets as long as a set may be before it is one of bits.
const SKILLED_EVERY: usize = 300;
/// One line in so many has a capability that more lines have than one answer tells, none beside another in memory.
const SCATTERED_EVERY: usize = 50;
/// As many as a client may ask for at once.
const SKILLS: usize = 256;

fn skill(number: usize) -> CompactString {
    format!("skill-{number:03}").into()
}

fn profile_of(number: usize) -> Profile {
    let rare = (number / DOMAIN_SIZE == RARE_DOMAIN).then(|| "translate-latin".into());
    let common = if number.is_multiple_of(2) { "chat" } else { "video" };
    let location = Some(Location { lat: 50.1, lon: 8.1 });
    Profile { capabilities: rare.into_iter().chain([common.into()]).collect(), location, metadata: None }
}

/// The profile of a line in [`populated`]; one in [`SKILLED_EVERY`] has more to offer.
fn full_profile_of(number: usize) -> Profile {
    let mut profile = profile_of(number);
    if number.is_multiple_of(SCATTERED_EVERY) {
        profile.capabilities = profile.capabilities.iter().cloned().chain(["scattered".into()]).collect();
    }
    if number.is_multiple_of(SKILLED_EVERY) {
        let lacks = if (number / SKILLED_EVERY).is_multiple_of(2) { 0 } else { SKILLS - 1 };
        let skills = (0..SKILLS).filter(|&number| number != lacks).map(skill);
        profile.capabilities = skills.chain(profile.capabilities).collect();
    }
    profile
}

fn populated(shards: usize, lines: usize) -> (Exchange, LineId) {
    let mut exchange = Exchange::new(shards);
    for number in 0..lines {
        let profile = full_profile_of(number);
        exchange.registered(Registration { profile, ..registration(&agent(number)) });
    }
    let asker = exchange.registered(registration(ASKER));
    (exchange, asker)
}

/// Each question with the number of those it finds among so many lines.
fn questions(lines: usize) -> [(&'static str, PresenceQuery, usize); 9] {
    let domain = agent(RARE_DOMAIN * DOMAIN_SIZE).split_once('@').map(|(_, domain)| domain.into());
    let by_domain = PresenceQuery { domain, ..PresenceQuery::default() };
    let rare = vec!["translate-latin".into()];
    let by_capability = PresenceQuery { capabilities: rare, ..PresenceQuery::default() };
    let common = vec!["chat".into()];
    let both = PresenceQuery { capabilities: common.clone(), ..by_domain.clone() };
    let disjoint = vec!["chat".into(), "video".into()];
    let nobody = PresenceQuery { capabilities: disjoint, ..PresenceQuery::default() };
    let capabilities = (0..SKILLS).map(skill).collect();
    let all_skills = PresenceQuery { capabilities, ..PresenceQuery::default() };
    let near = Some(Near { middle: Location { lat: 50.9, lon: 8.9 }, radius_km: 5.0 });
    let too_far = PresenceQuery { near, ..PresenceQuery::default() };
    let scattered = PresenceQuery { capabilities: vec!["scattered".into()], ..PresenceQuery::default() };
    let most = Limits::default().presence_limit;
    let first_ten = PresenceQuery { capabilities: common, limit: Some(10), ..PresenceQuery::default() };
    [
        ("by_domain", by_domain, DOMAIN_SIZE),
        ("by_capability", by_capability, DOMAIN_SIZE),
        ("by_domain_and_common_capability", both, DOMAIN_SIZE / 2),
        ("first_ten_of_common_capability", first_ten, 10),
        ("two_common_capabilities_nobody_has_both", nobody, 0),
        ("many_capabilities_nobody_has_all", all_skills, 0),
        ("everybody_near_but_not_near_enough", too_far, 0),
        ("everybody", PresenceQuery::default(), lines.min(most)),
        ("as_many_scattered_lines_as_are_told", scattered, lines.div_ceil(SCATTERED_EVERY).min(most)),
    ]
}

/// Asks, and writes the answer; how many it names.
fn ask(exchange: &mut Exchange, asker: LineId, query: &PresenceQuery, out: &mut Vec<u8>) -> usize {
    out.clear();
    let mut found = 0;
    exchange.ask(asker, Request::Presence(Box::new(query.clone())), |effect| {
        if let Effect::Notify { notice, .. } = effect {
            encode(notice, out);
            if let Notice::Presence { entries, .. } = notice {
                found = entries.len();
            }
        }
    });
    found
}

fn ask_all(group: &mut BenchmarkGroup<'_, WallTime>, shards: usize, lines: usize) {
    let (mut exchange, asker) = populated(shards, lines);
    let mut out = Vec::new();
    for (name, query, matching) in questions(lines) {
        assert_eq!(ask(&mut exchange, asker, &query, &mut out), matching, "{name}");
        let id = BenchmarkId::new(name, format!("{lines}_lines_{shards}_shards"));
        group.bench_function(id, |bencher| {
            bencher.iter(|| ask(&mut exchange, asker, &query, &mut out));
        });
    }
}

fn presence(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("presence");
    coarse(&mut group);
    for lines in [scaled(15_000, 500), scaled(1_000_000, 1000)] {
        for shards in [1, 8] {
            ask_all(&mut group, shards, lines);
        }
    }
    group.finish();
}

fn line(number: usize) -> Line {
    let mut line = Line::new(SessionId::mint(number as u128), Tick::default(), false);
    line.address = Some(address(&agent(number)));
    line.profile = Some(Box::new(profile_of(number)));
    line
}

/// What the indexes cost whoever registers and leaves, apart from everything else.
fn census(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("census_1m");
    coarse(&mut group);
    let lines = scaled(1_000_000, 1000);
    let mut census = Census::new(ahash::RandomState::with_seeds(1, 2, 3, 4));
    let mut rack = Rack::new(ShardId::new(0));
    for number in 0..lines {
        let handle = rack.insert_with(|_| line(number));
        census.enter(handle.slot(), &rack);
    }
    let newcomers: Vec<u32> =
        (0..1000).map(|number| rack.insert_with(|_| line(number * (lines / 1000))).slot()).collect();
    let mut next = newcomers.iter().cycle();
    group.bench_function("enter_and_leave", |bencher| {
        bencher.iter(|| {
            let newcomer = *next.next().expect("it goes round");
            census.enter(newcomer, &rack);
            census.leave(newcomer, &rack);
        });
    });
    assert_eq!(census.len(), lines, "the newcomers are gone");
    group.finish();
}

criterion_group!(benches, presence, census);
criterion_main!(benches);
