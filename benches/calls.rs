//! What does a call inside one shard cost the core: DIAL, RING, ANSWER, CONNECTED, HANGUP?
//!
//! Events in, effects out, without bytes; then the same with all translation, from the clients' frames to the frames
//! for clients, still without sockets. Among two lines, where everything is in the cache, and among 100,000, where
//! nothing is. Each kind is checked once: the ring rings, CONNECTED reaches the caller, HANGUP the callee.

mod support;

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use support::clients::about_call;
use support::exchange::{Exchange, agent, connected_in, dial, hung_up_in, registration, ring_in};
use support::frames::{client_text, field};
use support::wire::Wire;
use support::{Shuffle, scaled, short};
use systemx::exchange::event::Request;
use systemx::exchange::ids::{CallId, LineId};

/// Calls that ring at the same time where only the answers are timed, so that the clock is read once for all.
const RINGING: usize = 64;

/// Lines of one shard, the even ones callers of the odd ones.
struct Crowd {
    exchange: Exchange,
    lines: Vec<LineId>,
    addresses: Vec<String>,
    shuffle: Shuffle,
}

impl Crowd {
    fn new(lines: usize) -> Self {
        let addresses: Vec<String> = (0..lines).map(agent).collect();
        let mut exchange = Exchange::new(1);
        let lines = addresses.iter().map(|address| exchange.registered(registration(address))).collect();
        Self { exchange, lines, addresses, shuffle: Shuffle::new() }
    }

    /// A whole call of some pair; how many of the three who had to hear something heard it.
    fn call(&mut self) -> usize {
        let caller = self.shuffle.below(self.lines.len() / 2) * 2;
        let (exchange, from, to) = (&mut self.exchange, self.lines[caller], &self.addresses[caller + 1]);
        let mut rung = None;
        exchange.ask(from, dial(to), |effect| rung = ring_in(effect).or(rung));
        let Some((callee, call)) = rung else { return 0 };
        let mut heard = 1;
        exchange.ask(callee, Request::Answer { call }, |effect| {
            heard += usize::from(connected_in(effect) == Some((from, call)));
        });
        exchange.ask(from, Request::HangUp { call, reason: None }, |effect| {
            heard += usize::from(hung_up_in(effect) == Some(callee));
        });
        heard
    }

    /// Rings [`RINGING`] callees, times their answers, hangs up.
    fn answers(&mut self) -> Duration {
        let mut ringing: Vec<(LineId, LineId, CallId)> = Vec::with_capacity(RINGING);
        for pair in 0..RINGING.min(self.lines.len() / 2) {
            let from = self.lines[2 * pair];
            let (callee, call) = self.exchange.ring(from, &self.addresses[2 * pair + 1]);
            ringing.push((from, callee, call));
        }
        let (mut connected, start) = (0, Instant::now());
        for &(_, callee, call) in &ringing {
            self.exchange.ask(callee, Request::Answer { call }, |effect| {
                connected += usize::from(connected_in(effect).is_some());
            });
        }
        let elapsed = start.elapsed();
        assert_eq!(connected, ringing.len(), "everybody is connected");
        for (from, _, call) in ringing {
            self.exchange.ask(from, Request::HangUp { call, reason: None }, |_| {});
        }
        elapsed
    }
}

fn in_core(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("call_same_shard");
    short(&mut group);
    for lines in [2, scaled(100_000, 1000)] {
        let mut crowd = Crowd::new(lines);
        assert_eq!(crowd.call(), 3, "RING, CONNECTED and HANGUP");
        group.bench_function(BenchmarkId::new("whole_call", lines), |bencher| bencher.iter(|| crowd.call()));
        assert_eq!(crowd.exchange.cores[0].shard.counts().records, 0, "no call is left over");
    }
    let mut crowd = Crowd::new(2 * RINGING);
    group.bench_function("ring_to_connected", |bencher| {
        bencher.iter_custom(|times| {
            let rounds = times.div_ceil(RINGING as u64);
            let total: Duration = (0..rounds).map(|_| crowd.answers()).sum();
            total.mul_f64(times as f64 / (rounds * RINGING as u64) as f64)
        });
    });
    group.finish();
}

/// A whole call from frames to frames; the call's id is read from the RING, as a client does.
fn call_by_wire(wire: &mut Wire, (caller, callee): (LineId, LineId), dial: &[u8]) -> usize {
    wire.take(caller, dial);
    let mut notices = wire.notices;
    let call = field(&wire.out, "call_id").expect("it rings");
    let call = std::str::from_utf8(call).expect("an id is text").to_owned();
    wire.take(callee, &about_call("ANSWER", &call));
    notices += wire.notices;
    assert_eq!(field(&wire.out, "type"), Some(&b"CONNECTED"[..]));
    wire.take(caller, &about_call("HANGUP", &call));
    assert_eq!(field(&wire.out, "type"), Some(&b"HANGUP"[..]));
    notices + wire.notices
}

/// The frames of a call are made by its client during the call, because they bear its id. That time is not counted.
fn call_timed(wire: &mut Wire, (caller, callee): (LineId, LineId), dial: &[u8]) -> Duration {
    let start = Instant::now();
    wire.take(caller, dial);
    let mut elapsed = start.elapsed();
    let call = field(&wire.out, "call_id").and_then(|call| std::str::from_utf8(call).ok());
    let call = call.expect("it rings").to_owned();
    let (answer, hang_up) = (about_call("ANSWER", &call), about_call("HANGUP", &call));
    let start = Instant::now();
    wire.take(callee, &answer);
    wire.take(caller, &hang_up);
    elapsed += start.elapsed();
    elapsed
}

fn by_wire(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("call_same_shard");
    short(&mut group);
    let mut wire = Wire::new();
    let pair = (wire.registered(&agent(0)), wire.registered(&agent(1)));
    let dial = client_text(format!(r#"{{"type":"DIAL","to":"{}"}}"#, agent(1)).as_bytes());
    assert_eq!(call_by_wire(&mut wire, pair, &dial), 3, "RING, CONNECTED and HANGUP");
    group.bench_function("whole_call_bytes_to_bytes", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| call_timed(&mut wire, pair, &dial)).sum());
    });
    group.finish();
}

criterion_group!(benches, in_core, by_wire);
criterion_main!(benches);
