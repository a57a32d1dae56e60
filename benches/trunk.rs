//! What does a message over a trunk cost: within one thread, to a peer that is awake, to one that sleeps?
//!
//! Real trunks with messages of 64 bytes, the size of the exchange's freight. `same_thread` is the queue alone, 64
//! messages at a time. In `there_and_back` one message goes to a second thread, on another processor, and returns;
//! asleep, both ways pay a real wake-up (eventfd, poller). `stream` is one way, as many as the peer takes, 64 a turn.
//! Checked in each run: every message arrives, in order.

mod support;

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use support::short;
use support::sleepers::{Bed, Rest, Stop, pin, threads};
use systemx::shell::trunk::{CAPACITY_DEFAULT, RECEIVE_BUDGET, TrunkPort};

/// As large as what the exchange sends.
type Freight = [u64; 8];
/// Messages sent in one turn before peers are woken.
const TURN: u64 = 64;

const HERE: usize = 0;
const THERE: usize = 1;
/// The message that asks for an answer.
const ECHO: u64 = 1;

fn freight(number: u64, kind: u64) -> Freight {
    [number, kind, 0, 0, 0, 0, 0, 0]
}

fn same_thread(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("trunk");
    short(&mut group);
    let mut ends = threads::<Freight>(2, CAPACITY_DEFAULT);
    let (mut there, _, _) = ends.pop().expect("two ports");
    let (mut here, _, _) = ends.pop().expect("two ports");
    group.throughput(Throughput::Elements(TURN));
    group.bench_function("same_thread_64", |bencher| {
        bencher.iter(|| {
            (0..TURN).for_each(|number| here.send(THERE, freight(number, 0)));
            here.wake_peers();
            let mut expected = 0;
            let received = there.receive(RECEIVE_BUDGET, |_, message| {
                assert_eq!(message[0], expected);
                expected += 1;
            });
            assert_eq!(received, TURN as usize);
        });
    });
    group.finish();
}

/// A second thread, which checks the order and answers what asks for it.
struct Peer {
    port: TrunkPort<Freight>,
    bed: Bed,
    stop: Stop,
    thread: Option<JoinHandle<u64>>,
    sent: u64,
}

impl Peer {
    fn start(rest: Rest) -> Self {
        pin(0);
        let mut ends = threads::<Freight>(2, CAPACITY_DEFAULT);
        let (there, there_bed, stop) = ends.pop().expect("two ports");
        let (port, bed, _) = ends.pop().expect("two ports");
        let end = stop.clone();
        let thread = std::thread::spawn(move || {
            pin(1);
            serve(there, there_bed, rest, &end)
        });
        Self { port, bed, stop, thread: Some(thread), sent: 0 }
    }

    fn send(&mut self, kind: u64) {
        self.port.send(THERE, freight(self.sent, kind));
        self.sent += 1;
    }

    /// Waits for the answer to everything up to the last message.
    fn await_answer(&mut self, rest: Rest) {
        let last = self.sent - 1;
        loop {
            self.port.flush_outboxes();
            let mut seen = None;
            self.port.receive(RECEIVE_BUDGET, |_, message| seen = Some(message[0]));
            if seen == Some(last) {
                return;
            }
            self.bed.rest(&mut self.port, rest);
        }
    }

    fn there_and_back(&mut self, times: u64, rest: Rest) -> Duration {
        let start = Instant::now();
        for _ in 0..times {
            self.send(ECHO);
            self.port.wake_peers();
            self.await_answer(rest);
        }
        start.elapsed()
    }

    /// Sends as a flooding shard does: while messages wait for room, no more are taken from sockets.
    fn stream(&mut self, times: u64, rest: Rest) -> Duration {
        let start = Instant::now();
        for number in 1..=times {
            let kind = if number == times { ECHO } else { 0 };
            self.send(kind);
            if number.is_multiple_of(TURN) {
                self.port.wake_peers();
                while self.port.is_blocked(THERE) {
                    self.port.flush_outboxes();
                    if self.port.is_blocked(THERE) {
                        self.bed.rest(&mut self.port, rest);
                    }
                }
            }
        }
        self.port.wake_peers();
        self.await_answer(rest);
        start.elapsed()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.say();
        let received = self.thread.take().map(|thread| thread.join().expect("the peer ends"));
        assert_eq!(received, Some(self.sent), "every message arrived");
    }
}

/// The peer's turns. Gives how many messages came.
fn serve(mut port: TrunkPort<Freight>, mut bed: Bed, rest: Rest, stop: &Stop) -> u64 {
    let mut expected = 0;
    while !stop.is_said() {
        port.flush_outboxes();
        let mut round = port.begin_receive(RECEIVE_BUDGET);
        while let Some((_, message)) = port.receive_next(&mut round) {
            assert_eq!(message[0], expected, "messages arrive in order");
            expected += 1;
            if message[1] == ECHO {
                port.send(HERE, message);
            }
        }
        bed.rest(&mut port, rest);
    }
    expected
}

fn between_threads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("trunk");
    short(&mut group);
    for rest in [Rest::Awake, Rest::Asleep] {
        let mut peer = Peer::start(rest);
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("there_and_back", rest.name()), |bencher| {
            bencher.iter_custom(|times| peer.there_and_back(times, rest));
        });
        group.bench_function(BenchmarkId::new("stream", rest.name()), |bencher| {
            bencher.iter_custom(|times| peer.stream(times, rest));
        });
    }
    group.finish();
}

criterion_group!(benches, same_thread, between_threads);
criterion_main!(benches);
