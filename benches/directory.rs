//! What does the directory of a million listings cost: to find, to insert, to remove, and a whole registration?
//!
//! One shard holds all of them, addresses of 30 bytes, asked for in an order that no cache can guess. Checked once: who
//! holds an address is found, who holds none is not, and after as many removals as insertions all are there.

mod support;

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use support::exchange::{Exchange, address, agent, registration};
use support::{Shuffle, coarse, scaled};
use systemx::exchange::Tick;
use systemx::exchange::directory::{Directory, Holder};
use systemx::exchange::event::{Event, Loss};
use systemx::exchange::ids::{LineId, SessionId, ShardId};
use systemx::exchange::line::Line;
use systemx::exchange::rack::Rack;
use systemx::exchange::survey::{LineFilter, PAGE_LEN_MAX};

/// Listings that are taken out and put in again in one go, so that the clock is read once for all.
const BATCH: usize = 1000;

/// So many rounds a batch stays out.
const ROUNDS_OUT: usize = 48;
/// Batches that are out at the same time have no listing in common.
const CLASSES: usize = 64;

struct Book {
    lines: Rack<Line>,
    directory: Directory,
    ids: Vec<LineId>,
    out: VecDeque<Vec<(usize, String)>>,
    class: usize,
}

impl Book {
    fn new(listings: usize) -> Self {
        let mut lines = Rack::new(ShardId::new(0));
        let mut directory = Directory::new(ahash::RandomState::with_seeds(1, 2, 3, 4));
        let mut ids = Vec::with_capacity(listings);
        for number in 0..listings {
            let mut line = Line::new(SessionId::mint(number as u128), Tick::default(), false);
            line.address = Some(address(&agent(number)));
            let id = LineId(lines.insert_with(|_| line));
            directory.seat(id, &agent(number), &lines);
            ids.push(id);
        }
        Self { lines, directory, ids, out: VecDeque::new(), class: 0 }
    }

    /// Takes the listings of the next class out and puts those in again that were taken out some rounds ago and are in
    /// no cache any more; how long each took, and for how many.
    fn exchange(&mut self, shuffle: &mut Shuffle) -> (Timing, Timing) {
        self.class = (self.class + 1) % CLASSES;
        let leaving = some(shuffle, self.ids.len(), self.class);
        let start = Instant::now();
        for (number, address) in &leaving {
            self.directory.unseat(self.ids[*number], address, &self.lines);
        }
        let removing = (start.elapsed(), leaving.len() as u64);
        self.out.push_back(leaving);
        let back = if self.out.len() > ROUNDS_OUT { self.out.pop_front() } else { None };
        (removing, self.put_back(&back.unwrap_or_default()))
    }

    fn put_back(&mut self, listings: &[(usize, String)]) -> Timing {
        let start = Instant::now();
        for (number, address) in listings {
            self.directory.seat(self.ids[*number], address, &self.lines);
        }
        (start.elapsed(), listings.len() as u64)
    }
}

/// How long something took, and for how many.
type Timing = (Duration, u64);

/// Different listings of a class (their numbers modulo [`CLASSES`]), with their addresses, in no order.
fn some(shuffle: &mut Shuffle, listings: usize, class: usize) -> Vec<(usize, String)> {
    let numbers: BTreeSet<usize> =
        (0..BATCH).map(|_| shuffle.below(listings / CLASSES) * CLASSES + class).collect();
    let mut picked: Vec<_> = numbers.into_iter().map(|number| (number, agent(number))).collect();
    picked.sort_unstable_by_key(|(number, _)| number.wrapping_mul(0x9e37_79b9) as u32);
    picked
}

fn listings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("directory_1m");
    coarse(&mut group);
    let count = scaled(1_000_000, 10_000);
    let mut book = Book::new(count);
    let mut shuffle = Shuffle::new();
    let (held, strangers) = (some(&mut shuffle, count, 0), agent(count - 1).replace("agent", "other"));
    for (number, address) in &held {
        assert_eq!(book.directory.find(address, &book.lines), Holder::Here(book.ids[*number]));
    }
    assert_eq!(book.directory.find(&strangers, &book.lines), Holder::Nobody);
    let asked: Vec<String> = (0..scaled(200_000, 1000)).map(|_| agent(shuffle.below(count))).collect();
    let mut next = asked.iter().cycle();
    group.bench_function("look_up", |bencher| {
        bencher.iter(|| book.directory.find(next.next().expect("it goes round"), &book.lines));
    });
    let missed: Vec<String> = asked.iter().map(|address| address.replace("agent", "other")).collect();
    let mut next = missed.iter().cycle();
    group.bench_function("look_up_nobody", |bencher| {
        bencher.iter(|| book.directory.find(next.next().expect("it goes round"), &book.lines));
    });
    for (name, insertion) in [("remove", false), ("insert", true)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let (mut spent, mut done) = (Duration::ZERO, 0);
                while done < times {
                    let (removing, inserting) = book.exchange(&mut shuffle);
                    let (time, count) = if insertion { inserting } else { removing };
                    spent += time;
                    done += count;
                }
                spent.mul_f64(times as f64 / done as f64)
            });
        });
    }
    while let Some(batch) = book.out.pop_front() {
        book.put_back(&batch);
    }
    assert_eq!(book.directory.sole_len(), count, "everything is in its place again");
    group.finish();
}

/// A whole life: a connection lands, registers, and is lost, on a shard of a million lines.
fn registration_and_loss(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("directory_1m");
    coarse(&mut group);
    let count = scaled(999_000, 1000);
    let mut exchange = Exchange::new(1);
    for number in 0..count {
        exchange.registered(registration(&agent(number)));
    }
    let newcomers: Vec<String> = (count..count + 1000).map(agent).collect();
    let mut next = newcomers.iter().cycle();
    group.bench_function("open_register_lose_in_core", |bencher| {
        bencher.iter(|| {
            let line = exchange.registered(registration(next.next().expect("it goes round")));
            let core = &mut exchange.cores[0];
            core.feed(Event::Lost { line, loss: Loss::Closed }, |_, _| {}, |_| {});
        });
    });
    assert_eq!(exchange.cores[0].shard.counts().registered, count, "the newcomers are gone");
    // What an operator's page costs the shard: a full one, and one for which nobody is found.
    for (name, prefix, least) in
        [("survey_page", "agent", PAGE_LEN_MAX.min(count)), ("survey_in_vain", "zz", 0)]
    {
        let filter = LineFilter { prefix: Some(prefix.into()), domain: None };
        let mut from = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let page = exchange.cores[0].shard.survey_lines(&filter, from);
                assert!(page.next.is_none() || page.entries.len() >= least);
                from = page.next.unwrap_or_default();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, listings, registration_and_loss);
criterion_main!(benches);
