//! What does a dial cost that nobody here answers, when there are thousands of routes?
//!
//! Look-ups in a table of as many routes as there may be: most by domain, as many as allowed with patterns that have to be
//! tried, and an address that makes trying them as long as can be. Then what it costs each shard when a link with as many routes as one
//! may have comes and goes. Each is checked once against what a linear search would find.

mod support;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use support::{scaled, short};
use systemx::exchange::ids::{Handle, LineId, ShardId};
use systemx::exchange::limits::{ROUTES_MAX, ROUTES_PER_TIE_MAX, WILD_ROUTES_MAX};
use systemx::exchange::pattern::Pattern;
use systemx::exchange::routes::{RouteTable, TieRoutes};

fn tie(number: usize) -> LineId {
    LineId(Handle::new(ShardId::new(0), number as u32, 0))
}

fn routes(domain: &str, texts: impl Iterator<Item = String>) -> Arc<TieRoutes> {
    let routes = texts.map(|text| Pattern::parse(&text).expect("a pattern")).collect();
    Arc::new(TieRoutes { domain: domain.into(), routes, announced: Box::default(), configured: None })
}

/// Tie lines with as many routes as each may have, so many altogether.
fn table(routes_len: usize) -> RouteTable {
    let mut table = RouteTable::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4));
    for first in (0..routes_len).step_by(ROUTES_PER_TIE_MAX) {
        let texts =
            (first..(first + ROUTES_PER_TIE_MAX).min(routes_len)).map(|n| format!("*@unit-{n:05}.home.test"));
        table.add(tie(first), routes(&format!("d{first}"), texts));
    }
    table
}

fn look_up(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("routes");
    short(&mut group);
    let all = scaled(ROUTES_MAX - WILD_ROUTES_MAX, 3 * ROUTES_PER_TIE_MAX);
    let mut table = table(all);
    let (first, nobody) = ("agent@unit-00007.home.test", "agent@nowhere.test");
    assert_eq!((table.find(first, None), table.find(nobody, None)), (Some(tie(0)), None));
    group.bench_function("by_domain", |bencher| bencher.iter(|| table.find(black_box(first), None)));
    group.bench_function("nobody", |bencher| bencher.iter(|| table.find(black_box(nobody), None)));
    // Every piece is found, again and again, but for the last.
    let wild = (0..WILD_ROUTES_MAX).map(|n| format!("*a*a*a*a*a*a*{n}*b"));
    table.add(tie(ROUTES_MAX), routes("wild", wild));
    let spiteful = format!("{}@{}.test", "a".repeat(120), "a".repeat(120));
    assert_eq!(table.find(&spiteful, None), None);
    group.bench_function("nobody_beside_1024_wild", |bencher| {
        bencher.iter(|| table.find(black_box(nobody), None))
    });
    group.bench_function("spiteful_beside_1024_wild", |bencher| {
        bencher.iter(|| table.find(black_box(&spiteful), None));
    });
}

fn come_and_go(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("routes");
    short(&mut group);
    let mut table = table(scaled(ROUTES_MAX - ROUTES_PER_TIE_MAX, 1));
    let before = table.len();
    let link = routes("new.test", (0..ROUTES_PER_TIE_MAX).map(|n| format!("*@new-{n}.test")));
    group.bench_function("a_link_with_1024_comes_and_goes", |bencher| {
        bencher.iter(|| {
            table.add(tie(ROUTES_MAX), link.clone());
            assert!(table.remove(tie(ROUTES_MAX)).is_some());
        });
    });
    assert_eq!(table.len(), before);
}

criterion_group!(benches, look_up, come_and_go);
criterion_main!(benches);
