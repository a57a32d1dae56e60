//! What the benches share: the allocator, how long they run, and the fixtures.
//!
//! Each bench is a program of its own that answers one question; here is only what several need. The allocator is the
//! server's, because figures of another one would say nothing about it. Under `cargo test --benches` (criterion's test
//! mode) every bench runs once, with small fixtures, so that what it claims stays checked.

#![allow(dead_code, reason = "each bench is a program of its own and uses its part of this")]

pub mod clients;
pub mod exchange;
pub mod frames;
pub mod sleepers;
pub mod wire;

use std::time::Duration;

use criterion::BenchmarkGroup;
use criterion::measurement::WallTime;

/// As in `src/main.rs`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whether this run is a test: everything once, and small. The same rule as criterion's own.
pub fn is_test() -> bool {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    has("--test") || !has("--bench")
}

/// `full` when measuring, `small` in a test.
pub fn scaled(full: usize, small: usize) -> usize {
    if is_test() { small } else { full }
}

/// The usual length of one measurement: the whole of `cargo bench` has to stay under a quarter of an hour.
pub fn short(group: &mut BenchmarkGroup<'_, WallTime>) {
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(20);
}

/// For what has a large fixture or a long step: fewer samples.
pub fn coarse(group: &mut BenchmarkGroup<'_, WallTime>) {
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1)).sample_size(10);
}

/// How long all threads of this process have run. Exact to a tick of the kernel, a few ms, for those that run now.
pub fn processor_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux lists the threads");
    let nanos = tasks.filter_map(|task| {
        // A thread may have ended since it was listed.
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// The processor time of all threads, also of those that have ended; exact to 10 ms.
pub fn process_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // The 14th and the 15th value, user and system time, in hundredths of a second.
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Numbers below `bound` in an order that no cache can guess, the same in every run (splitmix64).
pub struct Shuffle(u64);

impl Shuffle {
    /// From the start.
    pub fn new() -> Self {
        Self(0x5157_e3a1)
    }

    /// The next number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ (mixed >> 31)) >> 32) as usize * bound) >> 32
    }
}
