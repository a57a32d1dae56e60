//! What does it cost to send calls as traces?
//!
//! What a shard pays for each call: deciding whether its trace is sent, and handing the record over if so. And what sending takes
//! for each span, all threads together: the time of the processors while a full queue is emptied, in which the collector that reads
//! and answers is included. Each run checks that nothing was lost.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use support::{coarse, process_time, scaled};
use systemx::exchange::tie::Secret;
use systemx::exchange::trace::TraceParent;
use systemx::store::traces::{Ratio, Sampling, Settings};
use systemx::store::{CallMode, CallRecord, Dialect, EndedBy, Recorders, RecordersSettings, Volume};

/// Fewer than the queue holds.
const ROUND: usize = 16_000;
/// How long a full queue may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A collector that takes everything; its thread lives as long as this process.
fn collector() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).filter_map(take).for_each(|()| {}));
    address
}

fn take(stream: TcpStream) -> Option<()> {
    let (mut reader, mut length) = (BufReader::new(stream.try_clone().ok()?), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        if line == "\r\n" {
            break;
        }
        let value = line.to_ascii_lowercase();
        length =
            value.strip_prefix("content-length: ").map_or(Some(length), |value| value.trim().parse().ok())?;
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).ok()?;
    (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").ok()
}

fn recorders(collector: SocketAddr, ratio: f64) -> Recorders {
    let ratio = Ratio::new(ratio).expect("a share");
    let traces = Settings {
        url: Secret::new(format!("http://{collector}/v1/traces")),
        headers: Vec::new(),
        service: "systemx".into(),
        node: "bench.test".into(),
        sampling: Sampling { heeds_parent: true, ratio },
        answer_limit: PATIENCE,
        clock_unix_ms: || 1_795_219_200_000,
        seed: [7; 32],
    };
    let settings = RecordersSettings { traces: Some(traces), ..RecordersSettings::default() };
    Recorders::start(settings).expect("it can be used")
}

/// The id of a call and both addresses, unlike those before.
fn texts(number: u64) -> [String; 3] {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let address =
        |name: &str, part: u64| format!("{name}-{:05}@domain{}.example.test", part % 100_000, part % 100);
    let id = format!("{number:08x}-0000-8000-8000-{:012x}", mixed >> 16);
    [id, address("caller", mixed >> 17), address("callee", mixed >> 37)]
}

fn call(texts: &[String; 3], trace: Option<TraceParent>) -> CallRecord<&str> {
    let started_at_ms = 1_795_219_200_000;
    let [call_id, from, to] = texts;
    CallRecord {
        call_id,
        from,
        to,
        mode: CallMode::Single,
        started_at_ms,
        answered_at_ms: Some(started_at_ms + 1),
        ended_at_ms: started_at_ms + 90,
        end_reason: "normal",
        ended_by: EndedBy::Caller,
        dialect: Dialect::Systemx,
        ring_us: Some(40),
        answer_us: Some(100),
        talk_us: Some(89_000),
        to_callee: Volume { messages: 1, bytes: 10 },
        to_caller: Volume::default(),
        forwarded: None,
        link: None,
        trace,
    }
}

/// Hands over all calls and stops; the time that the former takes.
fn round(collector: SocketAddr, ratio: f64, calls: &[CallRecord<&str>]) -> Duration {
    let recorders = recorders(collector, ratio);
    let recorder = recorders.recorder();
    let start = Instant::now();
    calls.iter().for_each(|call| recorder.record(call));
    let handed = start.elapsed();
    recorders.stop(Instant::now() + PATIENCE);
    let state = recorder.sinks().traces.expect("they are on");
    assert_eq!((state.delivered, state.lost), ((calls.len() as f64 * ratio) as u64, 0));
    handed
}

fn send(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("traces");
    coarse(&mut group);
    let length = scaled(ROUND, 500) as u64;
    group.throughput(Throughput::Elements(length));
    let collector = collector();
    let texts: Vec<_> = (0..length).map(texts).collect();
    let alone: Vec<_> = texts.iter().map(|texts| call(texts, None)).collect();
    let parent = TraceParent::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let traced: Vec<_> = texts.iter().map(|texts| call(texts, parent)).collect();
    for (name, ratio) in [("a_shard_keeps_none", 0.0), ("a_shard_keeps_all", 1.0)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| round(collector, ratio, &alone)).sum());
        });
    }
    for (name, calls) in [("a_span_is_sent", &alone), ("a_span_with_a_parent_is_sent", &traced)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let before = process_time();
                (0..rounds).for_each(|_| {
                    round(collector, 1.0, calls);
                });
                // Criterion cannot do with a time of nothing, which a smoke run may take.
                (process_time() - before).max(Duration::from_nanos(1))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, send);
criterion_main!(benches);
