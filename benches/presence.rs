//! What does PRESENCE cost with 15,000 and with a million lines, when ten match?
//!
//! By domain, by capability, by a capability within a domain, and with a common capability that half of all lines have.
//! Then the worst that indexes of one thing each allow: two common capabilities that nobody has both of. On one shard,
//! and scattered over eight in one thread (their work added up, without trunks). The answer is written as a frame, because
//! the asker waits for that. The same question is asked again and again, so that its matches are in the cache;
//! `million_lines.rs` asks different ones. design.md wants 20 us by domain with ten matches. Checked once: the answer
//! names exactly those who match.

mod support;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use support::exchange::{DOMAIN_SIZE, Exchange, agent, registration};
use support::{coarse, scaled};
use systemx::dialect::systemx::encode;
use systemx::exchange::census::Census;
use systemx::exchange::effect::{Effect, Notice};
use systemx::exchange::event::{PresenceQuery, Profile, Registration, Request};
use systemx::exchange::ids::LineId;

/// Every line of a domain with this number has the rare capability.
const RARE_DOMAIN: usize = 7;
/// Asks, and is in no domain of the others.
const ASKER: &str = "asker@elsewhere.test";

fn profile_of(number: usize) -> Profile {
    let rare = (number / DOMAIN_SIZE == RARE_DOMAIN).then(|| "translate-latin".into());
    let common = if number.is_multiple_of(2) { "chat" } else { "video" };
    Profile { capabilities: rare.into_iter().chain([common.into()]).collect(), ..Profile::default() }
}

fn populated(shards: usize, lines: usize) -> (Exchange, LineId) {
    let mut exchange = Exchange::new(shards);
    for number in 0..lines {
        let profile = profile_of(number);
        exchange.registered(Registration { profile, ..registration(&agent(number)) });
    }
    let asker = exchange.registered(registration(ASKER));
    (exchange, asker)
}

/// Each question with the number of those it finds.
fn questions() -> [(&'static str, PresenceQuery, usize); 5] {
    let domain = agent(RARE_DOMAIN * DOMAIN_SIZE).split_once('@').map(|(_, domain)| domain.into());
    let by_domain = PresenceQuery { domain, ..PresenceQuery::default() };
    let rare = vec!["translate-latin".into()];
    let by_capability = PresenceQuery { capabilities: rare, ..PresenceQuery::default() };
    let common = vec!["chat".into()];
    let both = PresenceQuery { capabilities: common.clone(), ..by_domain.clone() };
    let disjoint = vec!["chat".into(), "video".into()];
    let nobody = PresenceQuery { capabilities: disjoint, ..PresenceQuery::default() };
    let first_ten = PresenceQuery { capabilities: common, limit: Some(10), ..PresenceQuery::default() };
    [
        ("by_domain", by_domain, DOMAIN_SIZE),
        ("by_capability", by_capability, DOMAIN_SIZE),
        ("by_domain_and_common_capability", both, DOMAIN_SIZE / 2),
        ("first_ten_of_common_capability", first_ten, 10),
        ("two_common_capabilities_nobody_has_both", nobody, 0),
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
    for (name, query, matching) in questions() {
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

/// What the indexes cost whoever registers and leaves, apart from everything else.
fn census(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("census_1m");
    coarse(&mut group);
    let lines = scaled(1_000_000, 1000);
    let mut census = Census::new(ahash::RandomState::with_seeds(1, 2, 3, 4));
    let domain =
        |number: usize| agent(number).split_once('@').map_or(String::new(), |(_, domain)| domain.into());
    for number in 0..lines {
        census.enter(number as u32, &domain(number), Some(&profile_of(number)));
    }
    let newcomers: Vec<(String, Profile)> =
        (0..1000).map(|number| (domain(number * (lines / 1000)), profile_of(number))).collect();
    let mut next = newcomers.iter().cycle();
    group.bench_function("enter_and_leave", |bencher| {
        bencher.iter(|| {
            let (domain, profile) = next.next().expect("it goes round");
            let seats = census.enter(lines as u32, domain, Some(profile));
            census.leave(lines as u32, seats, domain, Some(profile))
        });
    });
    assert_eq!(census.len(), lines, "the newcomers are gone");
    group.finish();
}

criterion_group!(benches, presence, census);
criterion_main!(benches);
