//! What do a million lines cost, in bytes and in processor time?
//!
//! A core of eight shards in one thread, without sockets: a million lines with addresses of 30 bytes, with listings,
//! presence indexes and heartbeats every 30 s of simulated time, and some calls. It prints bytes per line from the
//! process's own anonymous memory, processor time, and the arithmetic of what a machine of 128 GiB holds. Not criterion:
//! there is one run. Options after `--`: `--profiles PERCENT` gives so many lines metadata, capabilities and a location;
//! `--domain LINES` says how many lines share a domain (10); `--lines N`, `--shards N`, `--seconds N`. As a test it runs
//! small, and checks the same: every heartbeat is answered, nobody is cut, calls connect, PRESENCE finds whom it should.
//!
//! What grows must not stall a shard: at the end the fill is done again, several times, and of each event's times the
//! least counts. Growth comes at the same event in each fill, what else the machine does meanwhile does not.

#![allow(clippy::print_stdout, reason = "a program whose result is what it prints")]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use support::exchange::{Exchange, connected_in, dial, registration, ring_in};
use support::{Shuffle, processor_time, scaled};
use systemx::exchange::effect::{Effect, Notice};
use systemx::exchange::event::{Location, PresenceQuery, Profile, Registration, Request};
use systemx::exchange::ids::{CallId, LineId};
use systemx::exchange::line::Line;
use systemx::shell::connection::Connection;

/// Fills of which the least time of each event counts.
const FILLS: usize = 3;
/// How often the allocator looks through what was freed.
const TIDYINGS: usize = 10;
/// Of the longest events, so many are shown.
const PAUSES_SHOWN: usize = 5;
const HEARTBEAT_SECONDS: usize = 30;
/// Deadlines are looked at so often; a shard under load does so several times a millisecond, and it costs nothing then.
const STEP_MS: usize = 100;
const STEPS_PER_SECOND: usize = 1000 / STEP_MS;
/// One line in so many begins a call in a second of simulated time: 1,000 calls a second of a million lines. One call in
/// ten is not answered and ends by its timer.
const LINES_PER_CALL: usize = 1000;
const UNANSWERED: usize = 10;
/// The kernel's part of a connection at the server's end: socket, inode, file, epoll item (shared/research/performance.md).
const KERNEL_BYTES: usize = 4096;
/// What an idle registered line takes in the server process, all in, measured over sockets (docs/BENCHMARKS.md).
const SERVER_BYTES: usize = 293;
const MACHINE_GIB: usize = 128;
/// Of that machine, what is left to the system and to output under way, in percent.
const RESERVE_PERCENT: usize = 25;

/// What was asked for on the command line.
struct Plan {
    lines: usize,
    shards: usize,
    seconds: usize,
    domain: usize,
    profiles_percent: usize,
}

impl Plan {
    fn from_arguments() -> Self {
        let arguments: Vec<String> = std::env::args().collect();
        let given = |flag: &str| {
            let at = arguments.iter().position(|argument| argument == flag)?;
            let number = arguments.get(at + 1).and_then(|number| number.parse().ok());
            Some(number.unwrap_or_else(|| panic!("{flag} wants a number")))
        };
        Self {
            lines: given("--lines").unwrap_or(scaled(1_000_000, 1000)),
            shards: given("--shards").unwrap_or(8),
            seconds: given("--seconds").unwrap_or(scaled(120, 61)),
            domain: given("--domain").unwrap_or(10).max(1),
            profiles_percent: given("--profiles").unwrap_or(0),
        }
    }

    fn address(&self, number: usize) -> String {
        format!("agent-{number:06}@unit-{:05}.agents", number / self.domain)
    }

    fn registration(&self, number: usize) -> Registration {
        let mut registration = registration(&self.address(number));
        if number % 100 < self.profiles_percent {
            registration.profile = Profile {
                metadata: Some(Bytes::copy_from_slice(
                    br#"{"capabilities":["chat","search"],"location":{"lat":52.5,"lon":13.4},"v":3}"#,
                )),
                capabilities: ["chat".into(), "search".into()].into(),
                location: Some(Location {
                    lat: (number % 120) as f64 - 60.0,
                    lon: (number % 300) as f64 - 150.0,
                }),
            };
        }
        registration
    }

    /// Calls that begin in one step.
    fn calls_per_step(&self) -> usize {
        self.lines.div_ceil(LINES_PER_CALL * STEPS_PER_SECOND)
    }

    /// Lines that send their heartbeat in one step.
    fn heartbeats_per_step(&self) -> usize {
        self.lines.div_ceil(HEARTBEAT_SECONDS * STEPS_PER_SECOND)
    }
}

/// What was found. Bytes are what came in addition to what was there before.
#[derive(Default)]
struct Findings {
    opened_bytes: usize,
    registered_bytes: usize,
    served_bytes: usize,
    ramp: Duration,
    heartbeats: usize,
    heartbeats_time: Duration,
    deadlines_time: Duration,
    longest_look: Duration,
    calls: usize,
    calls_time: Duration,
    serving_cpu: Duration,
    presence: Vec<Duration>,
    presence_found: usize,
    tidying: Duration,
    pauses: Vec<Pause>,
}

/// An event, and how long it took.
struct Pause {
    verb: &'static str,
    time: Duration,
    /// Lines of its shard by then, itself included.
    lines: usize,
}

fn main() {
    let plan = Plan::from_arguments();
    let mut exchange = Exchange::new(plan.shards);
    let findings = Findings::default();
    // Filled, so that its pages are there before the first look at memory.
    let mut lines = vec![LineId(systemx::exchange::ids::Handle::from_bits(1)); plan.lines];
    let findings = populate(&plan, &mut exchange, &mut lines, findings);
    let findings = serve(&plan, &mut exchange, &lines, findings);
    let mut findings = ask(&plan, &mut exchange, &lines, findings);
    let registered: usize = exchange.cores.iter().map(|core| core.shard.counts().registered).sum();
    assert_eq!(registered, plan.lines, "nobody was cut");
    assert!(findings.calls > 0, "calls were connected");
    findings.tidying = exodus(&mut exchange, &lines);
    drop(exchange);
    findings.pauses = longest_pauses(&plan, &mut lines);
    report(&plan, &findings);
}

/// Lines come during one interval of heartbeats, so that these are spread evenly, and register.
fn populate(plan: &Plan, exchange: &mut Exchange, lines: &mut [LineId], mut findings: Findings) -> Findings {
    let (empty, cpu) = (anonymous_bytes(), processor_time());
    for (number, line) in lines.iter_mut().enumerate() {
        if number % plan.heartbeats_per_step() == 0 {
            exchange.set_clock((number / plan.heartbeats_per_step() * STEP_MS) as u64);
        }
        *line = exchange.open_at_home_of(&plan.address(number));
    }
    findings.opened_bytes = anonymous_bytes().saturating_sub(empty);
    exchange.set_clock((HEARTBEAT_SECONDS * 1000) as u64);
    for (number, &line) in lines.iter().enumerate() {
        exchange.register(line, plan.registration(number));
    }
    findings.ramp = processor_time() - cpu;
    findings.registered_bytes = anonymous_bytes().saturating_sub(empty + findings.opened_bytes);
    findings
}

/// Simulated time passes: heartbeats, deadlines, calls.
fn serve(plan: &Plan, exchange: &mut Exchange, lines: &[LineId], mut findings: Findings) -> Findings {
    let (before, cpu) = (anonymous_bytes(), processor_time());
    let mut shuffle = Shuffle::new();
    let mut up: Vec<(LineId, CallId)> = Vec::new();
    let mut next = 0;
    for step in 1..=plan.seconds * STEPS_PER_SECOND {
        exchange.set_clock((HEARTBEAT_SECONDS * 1000 + step * STEP_MS) as u64);
        let start = Instant::now();
        for _ in 0..plan.heartbeats_per_step() {
            beat(exchange, lines[next]);
            next = (next + 1) % lines.len();
        }
        findings.heartbeats += plan.heartbeats_per_step();
        let beaten = Instant::now();
        exchange.meet_deadlines();
        let ticked = Instant::now();
        findings.calls += call(plan, exchange, lines, &mut shuffle, &mut up);
        findings.heartbeats_time += beaten - start;
        findings.deadlines_time += ticked - beaten;
        findings.longest_look = findings.longest_look.max(ticked - beaten);
        findings.calls_time += ticked.elapsed();
    }
    findings.serving_cpu = processor_time() - cpu;
    findings.served_bytes = anonymous_bytes().saturating_sub(before);
    findings
}

/// The events that took longest, the longest first, when lines come one by one and register.
fn longest_pauses(plan: &Plan, lines: &mut [LineId]) -> Vec<Pause> {
    let mut least = vec![(u32::MAX, u32::MAX); plan.lines];
    let mut counts = vec![0_usize; plan.shards];
    for _ in 0..FILLS {
        let mut exchange = Exchange::new(plan.shards);
        for (number, line) in lines.iter_mut().enumerate() {
            let registration = plan.registration(number);
            let start = Instant::now();
            *line = exchange.open_at_home_of(registration.address.as_str());
            let opened = Instant::now();
            exchange.register(*line, registration);
            let (open, register) = (opened - start, opened.elapsed());
            least[number].0 = least[number].0.min(open.as_nanos() as u32);
            least[number].1 = least[number].1.min(register.as_nanos() as u32);
        }
    }
    let mut pauses = Vec::with_capacity(2 * plan.lines);
    for (line, &(open, register)) in lines.iter().zip(&least) {
        counts[line.shard().index()] += 1;
        let lines = counts[line.shard().index()];
        for (verb, nanos) in [("open", open), ("REGISTER", register)] {
            pauses.push(Pause { verb, time: Duration::from_nanos(nanos.into()), lines });
        }
    }
    pauses.sort_unstable_by_key(|pause| std::cmp::Reverse(pause.time));
    pauses.truncate(PAUSES_SHOWN);
    pauses
}

fn beat(exchange: &mut Exchange, line: LineId) {
    let mut heard = false;
    exchange.ask(line, Request::Heartbeat, |effect| {
        heard = matches!(effect, Effect::Notify { notice: Notice::HeartbeatHeard { .. }, .. });
    });
    assert!(heard, "a heartbeat is answered");
}

/// The calls of one step: those of the last step are hung up, new ones dial. Gives how many were connected.
fn call(
    plan: &Plan,
    exchange: &mut Exchange,
    lines: &[LineId],
    shuffle: &mut Shuffle,
    up: &mut Vec<(LineId, CallId)>,
) -> usize {
    for (caller, call) in up.drain(..) {
        exchange.ask(caller, Request::HangUp { call, reason: None }, |_| {});
    }
    for _ in 0..plan.calls_per_step() {
        let (caller, callee) = (shuffle.below(lines.len()), shuffle.below(lines.len()));
        let mut rung = None;
        exchange.ask(lines[caller], dial(&plan.address(callee)), |effect| rung = rung.or(ring_in(effect)));
        // Busy ones do not ring, nor do some who ring answer.
        let is_answered = shuffle.below(UNANSWERED) > 0;
        let Some((callee, call)) = rung.filter(|_| is_answered) else { continue };
        exchange.ask(callee, Request::Answer { call }, |effect| up.extend(connected_in(effect)));
    }
    up.len()
}

/// PRESENCE by domain while everything is full.
fn ask(plan: &Plan, exchange: &mut Exchange, lines: &[LineId], mut findings: Findings) -> Findings {
    let mut shuffle = Shuffle::new();
    for _ in 0..scaled(10_000, 100) {
        let (asker, whom) = (lines[shuffle.below(lines.len())], shuffle.below(lines.len()));
        let domain = plan.address(whom).split_once('@').map(|(_, domain)| domain.into());
        let query = PresenceQuery { domain, limit: Some(10), ..PresenceQuery::default() };
        let mut found = 0;
        let start = Instant::now();
        exchange.ask(asker, Request::Presence(Box::new(query)), |effect| {
            if let Effect::Notify { notice: Notice::Presence { entries, .. }, .. } = effect {
                found = entries.len();
            }
        });
        findings.presence.push(start.elapsed());
        assert!(found + 1 >= plan.domain.min(10), "everybody of the domain but perhaps the asker: {found}");
        findings.presence_found += found;
    }
    findings.presence.sort_unstable();
    findings
}

/// Every other line goes, so that memory is free everywhere in between; the longest that the allocator then takes to look
/// through it, which a shard has it do once a second. Here one thread has freed what eight would have.
fn exodus(exchange: &mut Exchange, lines: &[LineId]) -> Duration {
    for &line in lines.iter().step_by(2) {
        exchange.lose(line);
    }
    let tidy_up = |_| {
        let start = Instant::now();
        systemx::shell::allocator::tidy_up();
        start.elapsed()
    };
    (0..TIDYINGS).map(tidy_up).max().unwrap_or_default()
}

fn report(plan: &Plan, findings: &Findings) {
    let Plan { lines, shards, seconds, domain, profiles_percent } = *plan;
    println!("{lines} lines, {shards} shards, {domain} a domain, {profiles_percent} % with profiles");
    let core_bytes = report_bytes(plan, findings);
    let micros = |time: Duration, of: usize| time.as_secs_f64() * 1e6 / of.max(1) as f64;
    let millis = |time: Duration| time.as_secs_f64() * 1e3 / seconds as f64;
    println!("processor time");
    row("open and register, us a line", micros(findings.ramp, lines));
    row("heartbeat, us each", micros(findings.heartbeats_time, findings.heartbeats));
    row("call, us each", micros(findings.calls_time, plan.calls_per_step() * STEPS_PER_SECOND * seconds));
    row("heartbeats, ms a simulated second", millis(findings.heartbeats_time));
    row("deadlines, ms a simulated second", millis(findings.deadlines_time));
    row("longest look at deadlines, all shards, ms", findings.longest_look.as_secs_f64() * 1e3);
    row("calls, ms a simulated second", millis(findings.calls_time));
    row("all together, CPU ms a simulated second", millis(findings.serving_cpu));
    let asked = &findings.presence;
    let percentile = |share: usize| asked[(asked.len() - 1) * share / 100].as_secs_f64() * 1e6;
    println!("PRESENCE by domain, the shards one after the other");
    row("addresses found", findings.presence_found as f64 / asked.len() as f64);
    row("us, median", percentile(50));
    row("us, 99th percentile", percentile(99));
    println!("half of the lines gone");
    row("longest look of the allocator, us", findings.tidying.as_secs_f64() * 1e6);
    println!("longest events of the fill, least of {FILLS} fills, us");
    for Pause { verb, time, lines } in &findings.pauses {
        row(&format!("{verb} with {lines} lines on the shard"), time.as_secs_f64() * 1e6);
    }
    report_machine(core_bytes);
}

/// Bytes of the core a line, by what they are for. Gives their sum.
fn report_bytes(plan: &Plan, findings: &Findings) -> f64 {
    let each = |bytes: usize| bytes as f64 / plan.lines as f64;
    println!("bytes a line, from RssAnon");
    row("connection open (line, liveness)", each(findings.opened_bytes));
    row("    of which the line itself", size_of::<Line>() as f64);
    row("registered (address, listing, census)", each(findings.registered_bytes));
    row("more after the service (calls, timers)", each(findings.served_bytes));
    let sum = each(findings.opened_bytes + findings.registered_bytes + findings.served_bytes);
    row("together", sum);
    sum
}

/// What a machine holds: the kernel's part, and the larger of what was measured over sockets and what this run says.
fn report_machine(core_bytes: f64) {
    let shell_bytes = size_of::<Option<Connection>>() as f64;
    let server_bytes = (core_bytes + shell_bytes).max(SERVER_BYTES as f64);
    let line_bytes = server_bytes + KERNEL_BYTES as f64;
    let usable = (MACHINE_GIB << 30) as f64 * (100 - RESERVE_PERCENT) as f64 / 100.0;
    println!("a machine of {MACHINE_GIB} GiB, of which {RESERVE_PERCENT} % are left free");
    row("kernel, bytes a connection", KERNEL_BYTES as f64);
    row("core (this run), bytes a line", core_bytes);
    row("shell's Connection, bytes", shell_bytes);
    row("server over sockets (BENCHMARKS.md), bytes", SERVER_BYTES as f64);
    row("kernel and the larger of the two, bytes", line_bytes);
    row("a million lines, GiB", line_bytes * 1e6 / (1_u64 << 30) as f64);
    row("lines it holds, millions", usable / line_bytes / 1e6);
}

fn row(what: &str, value: f64) {
    println!("  {what:<44}{value:>10.2}");
}

/// The process's anonymous memory.
fn anonymous_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says how much memory is used");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("it has this line");
    let kib: usize = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("it is a number");
    kib * 1024
}
