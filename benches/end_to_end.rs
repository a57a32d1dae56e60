//! How long from ring to connected, for a whole call and for a message, over real sockets against a real exchange?
//!
//! The exchange runs in this process, on loopback; its clients are blocking and speak in turns, so that each time is a
//! latency with nothing else going on, not a throughput. With one shard, and with two: both parties on the same one, or on
//! different ones. Every answer is checked for its type by the client that waits for it.

mod support;

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use support::clients::{Client, Hub, about_call, address_on, dial};
use support::frames::{client_text, field};
use support::short;

/// A caller and a callee that hold their addresses.
struct Pair {
    caller: Client,
    callee: Client,
    dial: Vec<u8>,
    // Last: clients go before their exchange.
    _hub: Hub,
}

impl Pair {
    /// The caller at home on the first of so many shards, the callee on this one.
    fn new(shards: usize, callees_shard: usize) -> Self {
        let hub = Hub::start(shards);
        let (from, to) = (address_on(0, shards, "caller"), address_on(callees_shard, shards, "callee"));
        let (caller, callee) = (hub.registered(&from), hub.registered(&to));
        Self { caller, callee, dial: dial(&to), _hub: hub }
    }

    /// A call that rings.
    fn ring(&mut self) -> String {
        self.caller.send(&self.dial);
        self.callee.rung()
    }

    fn hang_up(&mut self, call: &str) {
        self.caller.send(&about_call("HANGUP", call));
        self.callee.expect("HANGUP");
    }

    fn ring_to_connected(&mut self) -> Duration {
        let call = self.ring();
        let answer = about_call("ANSWER", &call);
        let start = Instant::now();
        self.callee.send(&answer);
        let connected = self.caller.expect("CONNECTED");
        let elapsed = start.elapsed();
        assert_eq!(field(connected, "call_id"), Some(call.as_bytes()));
        self.hang_up(&call);
        elapsed
    }

    fn whole_call(&mut self) -> Duration {
        let start = Instant::now();
        let call = self.ring();
        self.callee.send(&about_call("ANSWER", &call));
        self.caller.expect("CONNECTED");
        self.hang_up(&call);
        start.elapsed()
    }

    fn connect(&mut self) -> String {
        let call = self.ring();
        self.callee.send(&about_call("ANSWER", &call));
        self.caller.expect("CONNECTED");
        call
    }
}

/// Shards of the exchange, the callee's shard, and a name.
const WAYS: [(usize, usize, &str); 3] =
    [(1, 0, "one_shard"), (2, 0, "two_shards_same"), (2, 1, "two_shards_across")];

fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("end_to_end");
    short(&mut group);
    for (shards, callees_shard, name) in WAYS {
        let mut pair = Pair::new(shards, callees_shard);
        group.bench_function(BenchmarkId::new("ring_to_connected", name), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| pair.ring_to_connected()).sum());
        });
        group.bench_function(BenchmarkId::new("whole_call", name), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| pair.whole_call()).sum());
        });
    }
    group.finish();
}

fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("end_to_end");
    short(&mut group);
    for (shards, callees_shard, name) in WAYS {
        let mut pair = Pair::new(shards, callees_shard);
        let call = pair.connect();
        for (size, bytes) in [("64", 64), ("1k", 1 << 10), ("16k", 16 << 10)] {
            let data = "m".repeat(bytes);
            let frame =
                client_text(format!(r#"{{"type":"MSG","call_id":"{call}","data":"{data}"}}"#).as_bytes());
            group.bench_function(BenchmarkId::new(format!("message_{size}"), name), |bencher| {
                bencher.iter(|| {
                    pair.caller.send(&frame);
                    let heard = pair.callee.expect("MSG");
                    assert!(heard.len() > data.len(), "the data is there");
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, calls, messages);
criterion_main!(benches);
