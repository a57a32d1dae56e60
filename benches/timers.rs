//! What does time cost a shard of a million lines?
//!
//! A heartbeat, a look at the deadlines when nothing is due, the same when one line in a hundred has to be looked at, and
//! arming and cancelling a ring while a million timers run. Each is checked once: heartbeats are answered, all lines due
//! are looked at and none is cut, a timer comes when it is due and not when it was cancelled.

mod support;

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use support::exchange::{Exchange, limits, moment};
use support::{Shuffle, coarse, scaled};
use systemx::exchange::effect::{Effect, Notice};
use systemx::exchange::event::Request;
use systemx::exchange::ids::{Handle, LineId, ShardId};
use systemx::exchange::timers::{Due, Timers};
use systemx::exchange::{Limits, Tick};

/// The lines came during so many seconds, the same number in each.
const SECONDS: usize = 100;
/// Lines come up again that long after they were heard: the whole second of their stamp counts as heard.
const TIMEOUT_MS: u64 = (SECONDS as u64 - 1) * 1000;

/// A million lines, of which one in a hundred comes up each second.
struct Watch {
    exchange: Exchange,
    lines: Vec<LineId>,
    second: usize,
}

impl Watch {
    fn new(lines: usize) -> Self {
        let limits = Limits { heartbeat_timeout_ms: TIMEOUT_MS, ..limits() };
        let mut exchange = Exchange::with(1, limits);
        let each = lines / SECONDS;
        let mut all = Vec::with_capacity(lines);
        for second in 0..SECONDS {
            exchange.set_clock(second as u64 * 1000);
            all.extend((0..each).map(|_| exchange.cores[0].open()));
        }
        Self { exchange, lines: all, second: SECONDS - 1 }
    }

    fn touch(&mut self, line: usize) -> bool {
        let mut heard = false;
        self.exchange.ask(self.lines[line], Request::Heartbeat, |effect| {
            heard = matches!(effect, Effect::Notify { notice: Notice::HeartbeatHeard { .. }, .. });
        });
        heard
    }

    /// One second passes. Lines that come up are heard just before, which is not timed; they must be looked at and
    /// entered anew, which is.
    fn second_passes(&mut self) -> Duration {
        self.second += 1;
        self.exchange.set_clock(self.second as u64 * 1000);
        let each = self.lines.len() / SECONDS;
        let first = (self.second % SECONDS) * each;
        (first..first + each).for_each(|line| assert!(self.touch(line), "a heartbeat is answered"));
        let (shard, now) = (&mut self.exchange.cores[0], moment(self.second as u64 * 1000).tick);
        let start = Instant::now();
        // As the switchboard does: a large bucket comes in several turns.
        while shard.shard.next_deadline().is_some_and(|(tick, _)| tick <= now) {
            shard.tick(|_, _| {}, |effect| unreachable!("nobody is cut: {effect:?}"));
        }
        start.elapsed()
    }
}

fn liveness(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("liveness_1m_lines");
    coarse(&mut group);
    let lines = scaled(1_000_000, 1000);
    let mut watch = Watch::new(lines);
    let mut shuffle = Shuffle::new();
    let mut nothing_due = watch.exchange.cores[0].shard.next_deadline().expect("lines are watched").0;
    group.bench_function("heartbeat", |bencher| bencher.iter(|| watch.touch(shuffle.below(lines))));
    group.bench_function("tick_nothing_due", |bencher| {
        bencher.iter(|| {
            nothing_due = watch.exchange.cores[0].shard.next_deadline().map_or(nothing_due, |(tick, _)| tick);
            watch.exchange.tick(|_| {});
        });
    });
    assert!(nothing_due > watch.exchange.cores[0].now.tick, "nothing was due");
    let before = watch.exchange.cores[0].shard.next_deadline();
    watch.second_passes();
    assert_ne!(watch.exchange.cores[0].shard.next_deadline(), before, "a second's lines were looked at");
    group.throughput(Throughput::Elements((lines / SECONDS) as u64));
    group.bench_function("tick_one_percent_due", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| watch.second_passes()).sum());
    });
    assert_eq!(watch.exchange.cores[0].shard.counts().lines, lines, "nobody was cut");
    group.finish();
}

/// A wheel on which so many timers run, spread over the length of a ring.
fn wheel(timers: usize) -> Timers {
    let mut wheel = Timers::new(ShardId::new(0));
    for number in 0..timers {
        wheel.set(Tick::from_millis(number as u64 * RING_MS / timers as u64), due(number));
    }
    wheel
}

/// How long a ring lasts.
const RING_MS: u64 = 30_000;

fn due(number: usize) -> Due {
    Due::Sleep(LineId(Handle::new(ShardId::new(0), number as u32, 0)))
}

fn ring_deadlines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timers_1m_running");
    coarse(&mut group);
    let count = scaled(1_000_000, 1000);
    let mut timers = wheel(count);
    let mut shuffle = Shuffle::new();
    let at = |millis: usize| Tick::from_millis(millis as u64);
    let gone = timers.set(at(5), due(count));
    timers.cancel(gone);
    assert_eq!((timers.len(), timers.due(gone)), (count, None), "a cancelled timer is gone");
    group.bench_function("arm_and_cancel", |bencher| {
        bencher.iter(|| {
            let timer = timers.set(at(shuffle.below(RING_MS as usize)), due(count));
            timers.cancel(timer);
        });
    });
    assert_eq!(timers.len(), count);
    let mut now_ms = 0;
    let share = count / SECONDS;
    group.throughput(Throughput::Elements(share as u64));
    group.bench_function("one_percent_comes_and_is_set_anew", |bencher| {
        bencher.iter(|| {
            now_ms += RING_MS / SECONDS as u64;
            let mut came = 0;
            while let Some((_, due)) = timers.pop(at(now_ms as usize)) {
                // Spread again, or all would come in one step.
                let ahead = RING_MS as usize - shuffle.below(RING_MS as usize / SECONDS);
                timers.set(at(now_ms as usize + ahead), due);
                came += 1;
            }
            // The wheel's step is coarser than the spread.
            assert!(came >= share / 2 && came <= 2 * share, "{came} of {share}");
        });
    });
    assert_eq!(timers.len(), count, "every timer runs again");
    group.finish();
}

criterion_group!(benches, liveness, ring_deadlines);
criterion_main!(benches);
