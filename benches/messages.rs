//! What does a message of a call inside one shard cost from the sender's bytes to the receiver's bytes?
//!
//! The copy of the read, WebSocket frame, dialect, core, dialect, frame: everything that the server does but its system
//! calls. One message at a time, and 32 in one read as in a flood. What comes out is checked once to be the data that
//! went in. Messages across shards are in `cross_shard.rs`.

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use support::exchange::{agent, dial, ring_in};
use support::frames::{client_text, measure};
use support::wire::Wire;
use systemx::exchange::event::{Event, Request};
use systemx::exchange::ids::{CallId, LineId};

/// Frames in one read of a flood; the number that design.md's target has in flight.
const FLOOD: usize = 32;

/// A call that is up; gives it and its caller.
fn connect(wire: &mut Wire) -> (LineId, CallId) {
    let (caller, callee) = (wire.registered(&agent(0)), wire.registered(&agent(1)));
    let mut rung = None;
    let to = agent(1);
    let event = Event::Request { line: caller, request: dial(&to) };
    wire.core.feed(event, |_, _| {}, |effect| rung = ring_in(effect).or(rung));
    let (line, call) = rung.expect("it rings");
    assert_eq!(line, callee);
    wire.core.feed(Event::Request { line, request: Request::Answer { call } }, |_, _| {}, |_| {});
    (caller, call)
}

fn verify(wire: &mut Wire, caller: LineId, frame: &[u8], data: &str) {
    wire.take(caller, frame);
    let (head, len) = measure(&wire.out).expect("one frame");
    assert_eq!(head + len, wire.out.len(), "one frame and nothing more");
    let value: serde_json::Value = serde_json::from_slice(&wire.out[head..]).expect("it is JSON");
    assert_eq!((&value["type"], &value["from"]), (&"MSG".into(), &agent(0).into()));
    assert_eq!(value["data"], data);
}

fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("message_same_shard");
    support::short(&mut group);
    let mut wire = Wire::new();
    let (caller, call) = connect(&mut wire);
    for (name, bytes) in [("64", 64), ("1k", 1 << 10), ("16k", 16 << 10)] {
        let data = "plain words of a message ".repeat(bytes / 25 + 1)[..bytes].to_owned();
        let text = format!(r#"{{"type":"MSG","call_id":"{call}","data":"{data}","content_type":"text"}}"#);
        let frame = client_text(text.as_bytes());
        verify(&mut wire, caller, &frame, &data);
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("one", name), |bencher| {
            bencher.iter(|| wire.take(caller, &frame));
        });
        if frame.len() > 2 << 10 {
            continue;
        }
        let flood = frame.repeat(FLOOD);
        wire.take(caller, &flood);
        assert_eq!(wire.notices, FLOOD, "every message of a flood comes out");
        group.throughput(Throughput::Elements(FLOOD as u64));
        group.bench_function(BenchmarkId::new("flood_of_32", name), |bencher| {
            bencher.iter(|| wire.take(caller, &flood));
        });
    }
    group.finish();
}

criterion_group!(benches, messages);
criterion_main!(benches);
