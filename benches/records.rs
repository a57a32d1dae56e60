//! What does it cost to keep call records?
//!
//! What a shard pays for each call: writing the record down for the file's keeper, or for nobody. And what the
//! keeper's thread takes for each record, flushes included: the time in which it empties a full pad at its stop, into an
//! empty file and into one of a million calls. What opening costs is in it, which for files up to 256 MiB is reading all of
//! them. And how long questions to a file of a million calls take. Each run checks that nothing was lost.

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use support::{coarse, scaled};
use systemx::exchange::Tick;
use systemx::exchange::address::Address;
use systemx::exchange::call::Traffic;
use systemx::exchange::cause::Cause;
use systemx::exchange::effect::{CallMode, CallRecord, EndedBy, Name};
use systemx::exchange::ids::{CallId, Handle, LegId, ShardId};
use systemx::exchange::time::Moment;
use systemx::shell::desk::foreign_record;
use systemx::store::records::query::{Archive, Filter};
use systemx::store::records::{Retention, Settings};
use systemx::store::{Recorder, Recorders, RecordersSettings};

/// Records between two looks of the keeper: fewer than a shard's pad holds.
const ROUND: usize = 30_000;
/// Calls in the large file.
const LARGE: usize = 1_000_000;
/// How long a full queue may take.
const PATIENCE: Duration = Duration::from_secs(120);

fn file(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("systemx-bench-{}-{name}.db", std::process::id()));
    remove(&path);
    path
}

fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}

fn recorders(path: &Path) -> Recorders {
    let file = Settings {
        path: path.to_owned(),
        node: "bench.test".into(),
        retention: Retention { days: 36_500, bytes_max: 1 << 40 },
        clock_unix_ms: || 1_795_219_200_000,
    };
    let settings =
        RecordersSettings { file: Some(file), node: "bench.test".into(), ..RecordersSettings::default() };
    Recorders::start(settings).expect("the file can be made")
}

/// A call of which the id and both addresses are unlike those before.
fn call(number: u64) -> CallRecord {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let address = |name: &str, part: u64| {
        Address::parse(&format!("{name}-{:05}@domain{}.example.test", part % 100_000, part % 100))
            .expect("an address")
    };
    let moment =
        |micros: u64| Moment { tick: Tick::from_micros(micros), wall_ms: 1_795_219_200_000 + number };
    CallRecord {
        call: CallId::mint(
            LegId(Handle::new(ShardId::new(0), number as u32 % 4096, number as u32)),
            u128::from(mixed),
        ),
        from: address("caller", mixed >> 17),
        to: Name::Address(address("callee", mixed >> 37)),
        mode: CallMode::Single,
        started: moment(1_000),
        rang: Some(Tick::from_micros(1_040)),
        answered: Some(moment(1_100)),
        ended: moment(90_000),
        reason: Cause::Normal.into(),
        ended_by: EndedBy::Caller,
        traffic: Traffic::default(),
        crossing: None,
    }
}

fn hand_over(recorder: &Recorder, calls: &[CallRecord]) -> Duration {
    let start = Instant::now();
    for call in calls {
        if recorder.is_on() {
            let id = call.call.text();
            let id = std::str::from_utf8(&id).expect("it is ASCII");
            recorder.record(&foreign_record(call, id));
        }
    }
    start.elapsed()
}

/// The processor time of all threads, also of those that have ended; exact to 10 ms.
fn process_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // The 14th and the 15th value, user and system time, in hundredths of a second.
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Hands over `calls` and stops; the time of each.
fn round(path: &Path, calls: &[CallRecord]) -> (Duration, Duration) {
    let recorders = recorders(path);
    let recorder = recorders.recorder();
    let handed = hand_over(&recorder, calls);
    let start = Instant::now();
    recorders.stop(start + PATIENCE);
    let written = start.elapsed();
    let state = recorder.sinks().file.expect("it is on");
    assert_eq!((state.kept, state.lost), (calls.len() as u64, 0));
    (handed, written)
}

/// What people ask of the large file.
fn questions() -> [(&'static str, Filter); 3] {
    let some = |text: &str| Some(text.to_owned());
    [
        (
            "an_address_among_a_million",
            Filter { address: some("caller-00001@domain1.example.test"), ..Filter::default() },
        ),
        (
            "a_domain_of_a_hundred_among_a_million",
            Filter { domain: some("domain1.example.test"), ..Filter::default() },
        ),
        ("a_summary_of_a_million", Filter::default()),
    ]
}

fn records(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("records");
    coarse(&mut group);
    let length = scaled(ROUND, 500) as u64;
    group.throughput(Throughput::Elements(length));
    let calls: Vec<CallRecord> = (0..length).map(call).collect();
    group.bench_function("a_shard_without_records", |bencher| {
        bencher.iter(|| hand_over(std::hint::black_box(&Recorder::default()), &calls));
    });
    let path = file("shard");
    group.bench_function("a_shard_hands_over", |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| {
                    remove(&path);
                    round(&path, &calls).0
                })
                .sum()
        });
    });
    group.bench_function("the_keeper_writes_to_a_new_file", |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| {
                    remove(&path);
                    round(&path, &calls).1
                })
                .sum()
        });
    });
    remove(&path);
    let mut next = 0;
    while next < scaled(LARGE, 1_000) as u64 {
        let more: Vec<CallRecord> = (next..next + length).map(call).collect();
        let before = process_time();
        let (handed, written) = round(&path, &more);
        let all = (process_time() - before).as_nanos() / u128::from(length);
        eprintln!(
            "at {next} calls: {all} ns of processor time a record, handing over {handed:?}, writing {written:?}"
        );
        next += length;
    }
    group.bench_function("the_keeper_writes_to_a_million", |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| {
                    let more: Vec<CallRecord> = (next..next + length).map(call).collect();
                    next += length;
                    round(&path, &more).1
                })
                .sum()
        });
    });
    for (name, filter) in questions() {
        group.bench_function(name, |bencher| {
            let archive = Archive::open(&path).expect("it opens");
            bencher.iter(|| archive.summary(&filter).expect("it is sound").calls);
        });
    }
    let bytes = std::fs::metadata(&path).expect("it is there").len();
    eprintln!("a file of {next} calls has {bytes} bytes, {} a call", bytes / next);
    remove(&path);
    group.finish();
}

criterion_group!(benches, records);
criterion_main!(benches);
