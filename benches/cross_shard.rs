//! What do calls and messages cost between two shards, compared with the same inside one?
//!
//! Two threads, each on a processor of its own, own a shard each and its ends of real trunks, and take turns as the
//! switchboard does: outboxes, freight, wake-ups, sleep. Sockets and translation are left out. Callers are on one shard,
//! callees on the other, or all on one shard for comparison; the phones at their ends answer at once. `ring_to_connected`
//! runs from the callee's ANSWER to the caller's CONNECTED; `whole_call` and `there_and_back` are times per call or round
//! trip with one pair (latency) and with 64 (throughput). `cpu` is what both threads ran for it, to be compared across
//! ways of running; elapsed times of two threads are not. Every run ends only when each CONNECTED or echo has come out.

mod support;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use support::clients::address_on;
use support::exchange::{Core, dial, limits, registration};
use support::sleepers::{Bed, Rest, Stop, pin, threads};
use support::{processor_time, short};
use systemx::exchange::effect::{Effect, Notice};
use systemx::exchange::event::{ContentType, Event, Request};
use systemx::exchange::ids::{CallId, LineId, ShardId};
use systemx::shell::switchboard::Freight;
use systemx::shell::trunk::{CAPACITY_DEFAULT, RECEIVE_BUDGET, TrunkPort};

const DATA: &[u8] = br#""sixty-four bytes of an utterance that is said and is said again""#;
const PAIRS: usize = 64;

/// What a phone does next.
enum Deed {
    Dial(LineId),
    Answer(LineId, CallId),
    HangUp(LineId, CallId),
    Say(LineId, CallId),
}

/// What callers do once they are connected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    /// Hang up and dial again.
    Call,
    /// Say something, and say it again when the callee has said it back.
    Talk,
}

/// The phones of one shard.
struct Phones {
    /// Whom each caller dials, by the slot of its line; callees have nobody.
    partners: Vec<Option<String>>,
    script: Script,
    deeds: VecDeque<Deed>,
    /// Calls or messages that are still to be begun.
    left: u64,
    connected: u64,
    echoed: u64,
    /// Calls that are up, for talking.
    talking: Vec<(LineId, CallId)>,
    start: Instant,
    /// When the last ANSWER was given, in ns since `start`; shared by both shards.
    answered_ns: Arc<AtomicU64>,
    /// The sum of all times from ANSWER to CONNECTED. Means something with one pair only.
    ring_to_connected: Duration,
}

impl Phones {
    fn new(start: Instant, answered_ns: Arc<AtomicU64>) -> Self {
        Self {
            partners: Vec::new(),
            script: Script::Call,
            deeds: VecDeque::new(),
            left: 0,
            connected: 0,
            echoed: 0,
            talking: Vec::new(),
            start,
            answered_ns,
            ring_to_connected: Duration::ZERO,
        }
    }

    fn is_caller(&self, line: LineId) -> bool {
        self.partners[line.slot() as usize].is_some()
    }

    fn hear(&mut self, effect: &Effect<'_>) {
        let Effect::Notify { line, notice } = effect else { return };
        match notice {
            Notice::Ring { call, .. } => self.deeds.push_back(Deed::Answer(*line, *call)),
            Notice::Connected { call, .. } => self.on_connected(*line, *call),
            Notice::Message { call, .. } => {
                if self.is_caller(*line) {
                    self.echoed += 1;
                    if self.left == 0 {
                        return;
                    }
                    self.left -= 1;
                }
                self.deeds.push_back(Deed::Say(*line, *call));
            }
            Notice::HungUp { .. } | Notice::Registered { .. } => {}
            other => unreachable!("{other:?}"),
        }
    }

    fn on_connected(&mut self, line: LineId, call: CallId) {
        let answered = Duration::from_nanos(self.answered_ns.load(Ordering::Relaxed));
        self.ring_to_connected += self.start.elapsed().saturating_sub(answered);
        self.connected += 1;
        if self.script == Script::Talk {
            return self.talking.push((line, call));
        }
        self.deeds.push_back(Deed::HangUp(line, call));
        if self.left > 0 {
            self.left -= 1;
            self.deeds.push_back(Deed::Dial(line));
        }
    }
}

/// One shard's thread, without sockets.
struct Switch {
    core: Core,
    port: TrunkPort<Freight>,
    bed: Bed,
    rest: Rest,
    phones: Phones,
    callers: Vec<LineId>,
}

impl Switch {
    fn register(&mut self, address: &str, partner: Option<String>) {
        let line = self.core.open();
        self.phones.partners.push(partner);
        assert_eq!(line.slot() as usize + 1, self.phones.partners.len(), "slots are given in order");
        if self.phones.is_caller(line) {
            self.callers.push(line);
        }
        self.feed(Event::Request { line, request: Request::Register(Box::new(registration(address))) });
        assert!(self.core.shard.is_registered(line));
    }

    fn feed(&mut self, event: Event<'_>) {
        let (port, phones) = (&mut self.port, &mut self.phones);
        let send = |to, signal| port.send(to, Freight::Signal(signal));
        self.core.feed(event, send, |effect| phones.hear(effect));
    }

    fn act(&mut self, deed: Deed) {
        match deed {
            Deed::Dial(line) => {
                let to = self.phones.partners[line.slot() as usize].take().expect("callers dial");
                self.feed(Event::Request { line, request: dial(&to) });
                self.phones.partners[line.slot() as usize] = Some(to);
            }
            Deed::Answer(line, call) => {
                let now = self.phones.start.elapsed().as_nanos() as u64;
                self.phones.answered_ns.store(now, Ordering::Relaxed);
                self.feed(Event::Request { line, request: Request::Answer { call } });
            }
            Deed::HangUp(line, call) => {
                self.feed(Event::Request { line, request: Request::HangUp { call, reason: None } });
            }
            Deed::Say(line, call) => {
                let content_type = ContentType::Text;
                let request = Request::Message { call, data: Some(DATA), content_type };
                self.feed(Event::Request { line, request });
            }
        }
    }

    /// One turn, in the switchboard's order.
    fn turn(&mut self) {
        self.port.flush_outboxes();
        let mut round = self.port.begin_receive(RECEIVE_BUDGET);
        while let Some((from, freight)) = self.port.receive_next(&mut round) {
            let Freight::Signal(signal) = freight else { unreachable!("no connection moves") };
            self.feed(Event::Signal { from: ShardId::new(from), signal });
        }
        while let Some(deed) = self.phones.deeds.pop_front() {
            self.act(deed);
        }
        self.port.wake_peers();
    }

    fn run_until(&mut self, is_done: impl Fn(&Phones) -> bool) {
        loop {
            self.turn();
            if is_done(&self.phones) {
                return;
            }
            self.bed.rest(&mut self.port, self.rest);
        }
    }
}

/// Callers and callees: the callers' shard here, the callees' on a thread of its own unless it is the same.
struct Stage {
    here: Switch,
    peer: Option<(Stop, JoinHandle<()>)>,
}

impl Stage {
    fn new(shards: usize, pairs: usize, rest: Rest) -> Self {
        pin(0);
        let (start, answered_ns) = (Instant::now(), Arc::<AtomicU64>::default());
        let mut stops = Vec::new();
        let mut switches: Vec<Switch> = threads(shards, CAPACITY_DEFAULT)
            .into_iter()
            .enumerate()
            .map(|(id, (port, bed, stop))| {
                stops.push(stop);
                let core = Core::new(id, shards, Arc::new(limits()));
                let phones = Phones::new(start, answered_ns.clone());
                Switch { core, port, bed, rest, phones, callers: Vec::new() }
            })
            .collect();
        let callees = shards - 1;
        for pair in 0..pairs {
            let callee = address_on(callees, shards, &format!("callee-{pair}-"));
            switches[callees].register(&callee, None);
            let caller = address_on(0, shards, &format!("caller-{pair}-"));
            switches[0].register(&caller, Some(callee));
        }
        let peer = (shards > 1).then(|| {
            let (mut there, stop) = (switches.remove(1), stops.remove(1));
            let end = stop.clone();
            let body = move || {
                pin(1);
                there.run_until(|_| end.is_said());
            };
            (stop, std::thread::spawn(body))
        });
        Self { here: switches.remove(0), peer }
    }

    /// So many whole calls; how long they took, and the part from ANSWER to CONNECTED.
    fn call(&mut self, times: u64) -> (Duration, Duration) {
        let here = &mut self.here;
        let first = times.min(here.callers.len() as u64);
        here.phones.script = Script::Call;
        here.phones.left = times - first;
        here.phones.connected = 0;
        here.phones.ring_to_connected = Duration::ZERO;
        here.phones.deeds.extend(here.callers.iter().take(first as usize).map(|&line| Deed::Dial(line)));
        let start = Instant::now();
        here.run_until(|phones| phones.connected == times);
        (start.elapsed(), here.phones.ring_to_connected)
    }

    /// Connects all pairs for talking.
    fn connect(&mut self) {
        let here = &mut self.here;
        here.phones.script = Script::Talk;
        here.phones.deeds.extend(here.callers.iter().map(|&line| Deed::Dial(line)));
        let pairs = here.callers.len();
        here.run_until(|phones| phones.talking.len() == pairs);
    }

    /// So many messages, each said back.
    fn talk(&mut self, times: u64) -> Duration {
        let here = &mut self.here;
        let first = times.min(here.phones.talking.len() as u64);
        here.phones.left = times - first;
        here.phones.echoed = 0;
        let begin = here.phones.talking.iter().take(first as usize);
        here.phones.deeds.extend(begin.map(|&(line, call)| Deed::Say(line, call)));
        let start = Instant::now();
        here.run_until(|phones| phones.echoed == times);
        start.elapsed()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.peer.take() {
            stop.say();
            thread.join().expect("the callees' shard ends");
        }
    }
}

/// Every way of running: where the callees are, how threads wait, and its name.
fn ways() -> [(usize, Rest, String); 3] {
    [(1, Rest::Awake), (2, Rest::Awake), (2, Rest::Asleep)].map(|(shards, rest)| {
        let name = if shards == 1 { "one_shard".to_owned() } else { format!("two_shards_{}", rest.name()) };
        (shards, rest, name)
    })
}

/// What all threads ran while `work` was done. The clock of threads is coarse, so a test may see none.
fn in_processor_time(work: impl FnOnce() -> Duration) -> Duration {
    let before = processor_time();
    let elapsed = work();
    let ran = processor_time().saturating_sub(before);
    if ran.is_zero() { elapsed } else { ran }
}

fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cross_shard_call");
    short(&mut group);
    for (shards, rest, name) in ways() {
        let mut stage = Stage::new(shards, 1, rest);
        group.bench_function(BenchmarkId::new("ring_to_connected", &name), |bencher| {
            bencher.iter_custom(|times| stage.call(times).1);
        });
        for pairs in [1, PAIRS] {
            let mut stage = Stage::new(shards, pairs, rest);
            let id = BenchmarkId::new(format!("whole_call_{pairs}_pairs"), &name);
            group.bench_function(id, |bencher| bencher.iter_custom(|times| stage.call(times).0));
        }
        let mut stage = Stage::new(shards, PAIRS, rest);
        group.bench_function(BenchmarkId::new("cpu_whole_call_64_pairs", &name), |bencher| {
            bencher.iter_custom(|times| in_processor_time(|| stage.call(times).0));
        });
    }
    group.finish();
}

fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cross_shard_message");
    short(&mut group);
    for (shards, rest, name) in ways() {
        for pairs in [1, PAIRS] {
            let mut stage = Stage::new(shards, pairs, rest);
            stage.connect();
            let id = BenchmarkId::new(format!("there_and_back_{pairs}_pairs"), &name);
            group.bench_function(id, |bencher| bencher.iter_custom(|times| stage.talk(times)));
        }
        let mut stage = Stage::new(shards, PAIRS, rest);
        stage.connect();
        group.bench_function(BenchmarkId::new("cpu_there_and_back_64_pairs", &name), |bencher| {
            bencher.iter_custom(|times| in_processor_time(|| stage.talk(times)));
        });
    }
    group.finish();
}

criterion_group!(benches, calls, messages);
criterion_main!(benches);
