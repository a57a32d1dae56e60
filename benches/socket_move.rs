//! What does it cost that a connection landed on another shard than its address's home?
//!
//! An exchange of two shards, real sockets. The kernel decides where a connection lands; nobody is told, so this bench
//! looks which shard's thread ran during the handshake (`/proc/self/task/*/schedstat`, Linux only), and then registers an
//! address of that shard or of the other one. `register` is the client's time from REGISTER to REGISTERED, `cpu` the
//! time that both shards' threads ran for it, both less for the right shard than for the wrong one. Checked in each run:
//! when nothing moves, the other shard's thread does not run.

mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use support::clients::{Client, Hub, address_on, register};
use support::{coarse, scaled};

const SHARDS: usize = 2;
/// A look at a thread's time is repeated until it has not changed for so many looks: the thread sleeps again.
const STILL_LOOKS: usize = 3;

/// How long it may take until the shards' threads bear their names.
const NAMED_WITHIN: Duration = Duration::from_secs(10);

fn thread_named(name: &str) -> Option<PathBuf> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux lists the threads");
    let mut paths = tasks.filter_map(|task| Some(task.ok()?.path()));
    paths.find(|path| std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name))
}

/// The clocks of the shards' threads.
struct Clocks([PathBuf; SHARDS]);

impl Clocks {
    fn find() -> Self {
        Self([0, 1].map(|shard| {
            // A thread gives itself its name, a moment after it was started.
            let until = Instant::now() + NAMED_WITHIN;
            loop {
                if let Some(path) = thread_named(&format!("shard-{shard}")) {
                    return path.join("schedstat");
                }
                assert!(Instant::now() < until, "each shard has a thread");
                std::thread::yield_now();
            }
        }))
    }

    /// How long each has run so far, once both sleep.
    fn read(&self) -> [u64; SHARDS] {
        let (mut last, mut still) = (self.look(), 0);
        while still < STILL_LOOKS {
            let now = self.look();
            still = if now == last { still + 1 } else { 0 };
            last = now;
        }
        last
    }

    fn look(&self) -> [u64; SHARDS] {
        self.0.each_ref().map(|path| {
            let text = std::fs::read_to_string(path).expect("the thread lives");
            let first = text.split_whitespace().next().and_then(|number| number.parse().ok());
            first.expect("schedstat begins with the time run, in ns")
        })
    }
}

/// One registration: its latency and the processor time of both shards, in ns.
struct Sample {
    latency: Duration,
    cpu: Duration,
}

struct Bench {
    hub: Hub,
    clocks: Clocks,
    /// REGISTER of an address of each shard.
    frames: [Vec<u8>; SHARDS],
}

impl Bench {
    fn new() -> Self {
        let hub = Hub::start(SHARDS);
        let clocks = Clocks::find();
        let frames = [0, 1].map(|shard| register(&address_on(shard, SHARDS, "mover")));
        Self { hub, clocks, frames }
    }

    /// A connection, and the shard on which it landed.
    fn land(&self) -> (Client, usize) {
        let before = self.clocks.read();
        let client = self.hub.connect();
        let after = self.clocks.read();
        let ran = [after[0] - before[0], after[1] - before[1]];
        (client, usize::from(ran[1] > ran[0]))
    }

    /// Registers a new connection at home or away from it.
    fn sample(&self, moves: bool) -> Sample {
        let (mut client, landing) = self.land();
        let home = if moves { 1 - landing } else { landing };
        let before = self.clocks.read();
        let start = Instant::now();
        client.send(&self.frames[home]);
        client.expect("REGISTERED");
        let latency = start.elapsed();
        let after = self.clocks.read();
        let ran = [after[0] - before[0], after[1] - before[1]];
        // Each shard also looks at its second's work, a few us; a move is more.
        assert!(ran[landing] > 0, "the landing shard reads the REGISTER");
        assert!(!moves || ran[home] > 0, "the home shard takes the connection in");
        client.reset();
        Sample { latency, cpu: Duration::from_nanos(ran.iter().sum()) }
    }

    /// In how many of so many registrations at the right shard the other one ran.
    fn strangers(&self, times: usize) -> usize {
        let mut ran = 0;
        for _ in 0..times {
            let (mut client, landing) = self.land();
            let before = self.clocks.read();
            client.send(&self.frames[landing]);
            client.expect("REGISTERED");
            let after = self.clocks.read();
            ran += usize::from(after[1 - landing] != before[1 - landing]);
            client.reset();
        }
        ran
    }
}

fn socket_move(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("socket_move");
    coarse(&mut group);
    let bench = Bench::new();
    let times = scaled(50, 5);
    assert!(bench.strangers(times) <= times / 2, "at the right shard nothing moves");
    for (name, moves) in [("right_shard", false), ("wrong_shard", true)] {
        group.bench_function(BenchmarkId::new("register", name), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| bench.sample(moves).latency).sum());
        });
        group.bench_function(BenchmarkId::new("cpu", name), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| bench.sample(moves).cpu).sum());
        });
    }
    group.finish();
}

criterion_group!(benches, socket_move);
criterion_main!(benches);
