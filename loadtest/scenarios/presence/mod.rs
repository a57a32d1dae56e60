//! `presence`: some clients ask who is there, among many lines. One operation is a query that was answered rightly.
//!
//! Lines and askers are spread over all workers; what an answer has to say is known from the names alone, which
//! `check.rs` compares. A line that was ever lost may be missing from then on.

mod check;
mod options;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use check::{By, Check};
pub use options::Options;
use rand_chacha::rand_core::Rng as _;

use super::crowd::Crowd;
use crate::engine::timers::Nanos;
use crate::engine::wire;
use crate::engine::{Client, Closed, Context, Scenario};
use crate::frames::client_text;
use crate::measure::open_loop::{OpenLoop, Pacing};
use crate::measure::tally::Figures;

const PRESENCE: usize = 0;
const SENT: usize = 0;
const ENTRIES: usize = 1;
const FIGURES: Figures =
    Figures { operation: "query", latencies: &["presence"], counters: &["queries_sent", "entries_received"] };
/// Something is due in the open loop.
const DUE: u64 = 0;

/// What an asker waits for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    group: usize,
    /// When it was sent or due.
    time: Nanos,
}

/// One worker's lines and askers.
struct Presence {
    /// Askers come behind the lines in the numbering of the run.
    lines: usize,
    askers: usize,
    plan: check::Plan,
    rate: Option<(f64, Pacing)>,
    crowd: Crowd,
    check: Check,
    /// Of all workers' lines, by number: it was lost once.
    lost: Arc<[AtomicBool]>,
    /// Of members that ask.
    asked: Vec<Option<Asked>>,
    open_loop: Option<OpenLoop>,
    /// Askers of the open loop that wait for nothing.
    free: Vec<usize>,
    running: bool,
    in_flight: usize,
}

impl Presence {
    fn new(options: &Options, plan: check::Plan, lost: Arc<[AtomicBool]>) -> Self {
        Self {
            lines: plan.connections,
            askers: options.askers(),
            rate: options.rate(),
            crowd: Crowd::default(),
            check: Check::new(plan.clone()),
            plan,
            lost,
            asked: Vec::new(),
            open_loop: None,
            free: Vec::new(),
            running: false,
            in_flight: 0,
        }
    }

    fn is_asker(&self, member: usize) -> bool {
        self.crowd.number(member) >= self.lines
    }

    fn enter(&mut self, ctx: &mut Context, member: usize) {
        let number = self.crowd.number(member);
        if number >= self.lines {
            let name = format!("asker-{number}-{}@{}", self.plan.tag, self.plan.domain);
            return self.crowd.enter(ctx, member, &name, "");
        }
        let metadata = self.plan.metadata(number);
        let extra = metadata.map(|metadata| format!(r#","metadata":{metadata}"#)).unwrap_or_default();
        self.crowd.enter(ctx, member, &self.plan.name(number), &extra);
    }

    /// An asker has nothing to wait for: it asks, or waits until something is due.
    fn set_free(&mut self, ctx: &mut Context, member: usize) {
        if !self.running || ctx.is_over() {
            return;
        }
        if self.rate.is_none() {
            return self.ask(ctx, member, ctx.now());
        }
        self.free.push(member);
        self.ask_due(ctx);
    }

    fn ask_due(&mut self, ctx: &mut Context) {
        while let Some(&member) = self.free.last() {
            let is_free = self.crowd.is_up(member) && self.asked[member].is_none();
            if is_free {
                let Some(due) = self.open_loop.as_mut().and_then(|open_loop| open_loop.take(ctx)) else {
                    return;
                };
                self.ask(ctx, member, due);
            }
            self.free.pop();
        }
    }

    fn ask(&mut self, ctx: &mut Context, member: usize, time: Nanos) {
        let Some(client) = self.crowd.client(member) else { return };
        let group = (ctx.rng.next_u64() % self.plan.domains as u64) as usize;
        self.asked[member] = Some(Asked { group, time });
        self.in_flight += 1;
        ctx.tally.count(SENT, 1);
        ctx.send(client, &client_text(self.plan.query(group).as_bytes()));
    }

    fn on_result(&mut self, ctx: &mut Context, member: usize, payload: &[u8]) {
        let Some(Asked { group, time }) = self.asked[member].take() else {
            return fault(ctx, "doubled: nothing was asked", payload);
        };
        self.in_flight -= 1;
        let lost = &self.lost;
        match self.check.answer(group, payload, |line| lost[line].load(Ordering::Relaxed)) {
            Ok(entries) => {
                ctx.tally.record(PRESENCE, time, ctx.now());
                ctx.tally.count(ENTRIES, entries as u64);
                ctx.tally.done();
            }
            Err(what) => fault(ctx, &format!("{what}: domain {group}"), payload),
        }
        self.set_free(ctx, member);
    }

    fn forget(&mut self, member: usize) {
        self.in_flight -= usize::from(self.asked[member].take().is_some());
    }
}

fn fault(ctx: &mut Context, what: &str, payload: &[u8]) {
    const SHOWN_BYTES: usize = 200;
    let shown = String::from_utf8_lossy(&payload[..payload.len().min(SHOWN_BYTES)]);
    ctx.tally.fault(|| format!("{what}: {shown}"));
}

impl Scenario for Presence {
    fn figures(&self) -> Figures {
        FIGURES
    }

    fn start(&mut self, ctx: &mut Context) {
        self.crowd.gather(ctx, self.lines + self.askers);
        self.asked = vec![None; self.crowd.len()];
        for member in 0..self.crowd.len() {
            self.enter(ctx, member);
        }
    }

    fn is_ready(&self) -> bool {
        self.crowd.up() == self.crowd.len()
    }

    fn run(&mut self, ctx: &mut Context) {
        self.running = true;
        self.open_loop = self.rate.map(|(rate, pacing)| OpenLoop::begin(ctx, rate, pacing, DUE));
        for member in 0..self.crowd.len() {
            if self.is_asker(member) && self.crowd.is_up(member) {
                self.set_free(ctx, member);
            }
        }
    }

    fn on_registered(&mut self, ctx: &mut Context, client: Client) {
        let member = self.crowd.on_registered(client);
        if self.is_asker(member) {
            self.set_free(ctx, member);
        }
    }

    fn on_frame(&mut self, ctx: &mut Context, client: Client, payload: &[u8]) {
        let member = self.crowd.member(client);
        match wire::kind(payload) {
            b"PRESENCE_RESULT" => self.on_result(ctx, member, payload),
            b"ERROR" if self.asked[member].is_some() => {
                let reason = wire::reason(payload);
                ctx.tally.error("error", &String::from_utf8_lossy(reason));
                self.forget(member);
                ctx.close(client);
            }
            _ => fault(ctx, "out of turn", payload),
        }
    }

    fn on_timer(&mut self, ctx: &mut Context, token: u64) {
        if Crowd::owns(token) {
            if let Some(member) = self.crowd.returning(token).filter(|_| !ctx.is_over()) {
                self.enter(ctx, member);
            }
            return;
        }
        if let Some(open_loop) = &mut self.open_loop {
            open_loop.on_timer(ctx);
        }
        self.ask_due(ctx);
    }

    fn on_closed(&mut self, ctx: &mut Context, client: Client, why: &Closed) {
        why.count(ctx);
        let member = self.crowd.on_closed(ctx, client);
        self.forget(member);
        if let Some(lost) = self.lost.get(self.crowd.number(member)) {
            lost.store(true, Ordering::Relaxed);
        }
    }

    fn on_second(&mut self, ctx: &mut Context) {
        let (now, limit) = (ctx.now(), ctx.plan().op_limit);
        for member in 0..self.asked.len() {
            let late = self.asked[member].filter(|asked| now.saturating_sub(asked.time) > limit);
            let Some(asked) = late else { continue };
            ctx.tally.fault(|| format!("lost: no answer about domain {}", asked.group));
            self.forget(member);
            if let Some(client) = self.crowd.client(member) {
                ctx.close(client);
            }
        }
    }

    fn stop(&mut self, ctx: &mut Context) {
        if let Some(open_loop) = &mut self.open_loop {
            open_loop.give_up(ctx);
        }
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn finish(&mut self, ctx: &mut Context) {
        for asked in self.asked.iter().flatten() {
            ctx.tally.fault(|| format!("lost: no answer about domain {}", asked.group));
        }
        // Its lines go now; another worker may still wait for an answer, which need not name them.
        for member in 0..self.crowd.len() {
            if let Some(lost) = self.lost.get(self.crowd.number(member)) {
                lost.store(true, Ordering::Relaxed);
            }
        }
    }
}
