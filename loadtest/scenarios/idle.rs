//! `idle`: lines that are registered and do nothing but beat. One operation is a heartbeat that was acknowledged.
//!
//! The ramp is the set-up of the run, so that the measured part is the hold; how long each line took to get in is kept
//! and handed over at the end. Little is kept for a line: tens of thousands are held.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::crowd::Crowd;
use crate::engine::run::{self, Outcome};
use crate::engine::timers::{Nanos, SECOND};
use crate::engine::wire;
use crate::engine::{Client, Closed, Context, Plan, Scenario};
use crate::fault::Fault;
use crate::frames::client_text;
use crate::measure::open_loop::{Pacing, Schedule};
use crate::measure::tally::{Figures, histogram};
use crate::options::{Common, not_negative, positive};
use crate::scenarios::Load;

const HEARTBEAT: usize = 0;
const CONNECT: usize = 1;
const SENT: usize = 0;
const LOST: usize = 1;
const LEFT_OUT: usize = 2;
const FIGURES: Figures = Figures {
    operation: "heartbeat",
    latencies: &["heartbeat", "connect"],
    counters: &["heartbeats_sent", "connections_lost", "heartbeats_left_out"],
};
/// The next line of the ramp is due.
const ENTER: u64 = 1 << 62;

/// Options of `idle`.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Lines to hold.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// How many connect in a second; without it as fast as --connects at a time can.
    #[arg(long, value_name = "R", value_parser = positive)]
    connects_per_second: Option<f64>,
    /// Between two heartbeats of a line; 0: the next as soon as the last was acknowledged.
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS", value_parser = not_negative)]
    heartbeat: f64,
}

impl Load for Options {
    fn parameters(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::from([
            ("connections".to_owned(), self.connections.to_string()),
            ("heartbeat".to_owned(), self.heartbeat.to_string()),
        ]);
        if let Some(rate) = self.connects_per_second {
            found.insert("connects-per-second".to_owned(), rate.to_string());
        }
        found
    }

    fn run(&self, common: &Common) -> Result<Outcome, Fault> {
        common.check_share("connections", self.connections)?;
        let plan = common.plan()?;
        let make = |_, plan: &Plan| Idle::new(self, common.floor, plan);
        run::run(&plan, common.watch()?, u64::from(self.connections), make)
    }
}

/// When something began; 0 for what is not under way.
type Since = Nanos;

/// One worker's lines.
struct Idle {
    connections: usize,
    rate: Option<f64>,
    gap: Nanos,
    ack: &'static [u8],
    names: (String, String),
    beat: Vec<u8>,
    lines: Crowd,
    /// When a line began to connect.
    entering: Vec<Since>,
    /// When the heartbeat was due that has not been acknowledged.
    beating: Vec<Since>,
    unanswered: usize,
    /// When a line is to beat next.
    turns: Vec<Nanos>,
    /// Lines whose turn to connect has come.
    begun: usize,
    under_way: usize,
    ramp: Option<Schedule>,
    started: Nanos,
    running: bool,
    /// Times of the set-up, which belong to no second of the window.
    connects: Histogram<u64>,
}

impl Idle {
    fn new(options: &Options, floor: bool, plan: &Plan) -> Self {
        Self {
            connections: options.connections as usize,
            rate: options.connects_per_second,
            gap: (options.heartbeat * SECOND as f64) as Nanos,
            ack: if floor { b"HEARTBEAT" } else { b"HEARTBEAT_ACK" },
            names: (plan.tag.clone(), plan.domain.clone()),
            beat: client_text(br#"{"type":"HEARTBEAT"}"#),
            lines: Crowd::default(),
            entering: Vec::new(),
            beating: Vec::new(),
            unanswered: 0,
            turns: Vec::new(),
            begun: 0,
            under_way: 0,
            ramp: None,
            started: 0,
            running: false,
            connects: histogram(),
        }
    }

    /// Connects lines as long as there is room among those that do: with none of ours waiting, what is timed is the
    /// server's part.
    fn ramp_up(&mut self, ctx: &mut Context) {
        while self.ramp.is_none() && self.begun < self.lines.len() && self.under_way < ctx.plan().connects_max
        {
            self.begun += 1;
            self.enter(ctx, self.begun - 1, ctx.now());
        }
    }

    /// The line is due by the ramp's schedule, and so is the next one at its time.
    fn enter_due(&mut self, ctx: &mut Context) {
        let Some(schedule) = &mut self.ramp else { return };
        let due = schedule.next(&mut ctx.rng);
        if self.begun + 1 < self.lines.len() {
            ctx.at(due, ENTER);
        }
        self.begun += 1;
        self.enter(ctx, self.begun - 1, ctx.now());
    }

    fn enter(&mut self, ctx: &mut Context, line: usize, since: Nanos) {
        self.entering[line] = since;
        self.under_way += 1;
        let (number, (tag, domain)) = (self.lines.number(line), &self.names);
        let name = format!("idle-{number:06}-{tag}@{domain}");
        self.lines.enter(ctx, line, &name, "");
    }

    /// When a line's turn is, after `now`: all take turns, the same way in each round.
    fn turn(&self, line: usize, now: Nanos) -> Nanos {
        let offset = (self.gap as u128 * self.lines.number(line) as u128 / self.connections as u128) as Nanos;
        next_turn(self.started + offset, self.gap, now)
    }

    /// A line beats. Whose last heartbeat has not been acknowledged leaves its turn out.
    fn beat(&mut self, ctx: &mut Context, line: usize, due: Nanos) {
        let Some(client) = self.lines.client(line).filter(|_| self.lines.is_up(line)) else { return };
        if ctx.is_over() {
            return;
        }
        if self.beating[line] > 0 {
            return ctx.tally.count(LEFT_OUT, 1);
        }
        self.beating[line] = due.max(1);
        self.unanswered += 1;
        ctx.tally.count(SENT, 1);
        ctx.send(client, &self.beat);
    }

    /// Beats in turn from now on.
    fn begin_beating(&mut self, ctx: &mut Context, line: usize) {
        match self.gap {
            0 if self.running => self.beat(ctx, line, ctx.now()),
            0 => {}
            _ => {
                self.turns[line] = self.turn(line, ctx.now());
                ctx.at(self.turns[line], line as u64);
            }
        }
    }

    fn on_turn(&mut self, ctx: &mut Context, line: usize) {
        let (now, due) = (ctx.now(), self.turns[line]);
        // A line that was lost and came again has two timers, of which one is too many.
        if now < due || !self.lines.is_up(line) || ctx.is_over() {
            return;
        }
        ctx.tally.late(now - due);
        self.beat(ctx, line, due);
        self.turns[line] = due + self.gap;
        ctx.at(due + self.gap, line as u64);
    }
}

/// The next of the moments `first`, `first + gap`, ... after `now`.
fn next_turn(first: Nanos, gap: Nanos, now: Nanos) -> Nanos {
    if now < first { first } else { first + ((now - first) / gap + 1) * gap }
}

impl Scenario for Idle {
    fn figures(&self) -> Figures {
        FIGURES
    }

    fn start(&mut self, ctx: &mut Context) {
        self.started = ctx.now();
        self.lines.gather(ctx, self.connections);
        self.entering = vec![0; self.lines.len()];
        self.beating = vec![0; self.lines.len()];
        self.turns = vec![0; self.lines.len()];
        let share = ctx.share;
        let schedule = |rate| Schedule::new(rate, Pacing::Even, self.started, share.worker, share.workers);
        self.ramp = self.rate.map(schedule);
        if let Some(schedule) = &mut self.ramp {
            let due = schedule.next(&mut ctx.rng);
            ctx.at(due, ENTER);
        }
        self.ramp_up(ctx);
    }

    fn is_ready(&self) -> bool {
        self.lines.up() == self.lines.len()
    }

    fn run(&mut self, ctx: &mut Context) {
        self.running = true;
        for line in 0..self.lines.len() {
            if self.gap == 0 {
                self.beat(ctx, line, ctx.now());
            }
        }
    }

    fn on_registered(&mut self, ctx: &mut Context, client: Client) {
        let line = self.lines.on_registered(client);
        self.under_way -= 1;
        self.connects.saturating_record(ctx.now().saturating_sub(self.entering[line]));
        self.begin_beating(ctx, line);
        self.ramp_up(ctx);
    }

    fn on_frame(&mut self, ctx: &mut Context, client: Client, payload: &[u8]) {
        const SHOWN_BYTES: usize = 200;
        let line = self.lines.member(client);
        let due = std::mem::take(&mut self.beating[line]);
        if due == 0 || wire::kind(payload) != self.ack {
            self.unanswered -= usize::from(due > 0);
            let (number, end) = (self.lines.number(line), payload.len().min(SHOWN_BYTES));
            let shown = String::from_utf8_lossy(&payload[..end]);
            return ctx.tally.fault(|| format!("out of turn or doubled: line {number}: {shown}"));
        }
        self.unanswered -= 1;
        ctx.tally.record(HEARTBEAT, due, ctx.now());
        ctx.tally.done();
        if self.gap == 0 {
            self.beat(ctx, line, ctx.now());
        }
    }

    fn on_timer(&mut self, ctx: &mut Context, token: u64) {
        if Crowd::owns(token) {
            if let Some(line) = self.lines.returning(token).filter(|_| !ctx.is_over()) {
                self.enter(ctx, line, ctx.now());
            }
            return;
        }
        if token == ENTER { self.enter_due(ctx) } else { self.on_turn(ctx, token as usize) }
    }

    fn on_closed(&mut self, ctx: &mut Context, client: Client, why: &Closed) {
        why.count(ctx);
        let line = self.lines.member(client);
        if self.lines.is_up(line) {
            ctx.tally.count(LOST, u64::from(*why != Closed::Local));
        } else {
            self.under_way -= 1;
        }
        self.lines.on_closed(ctx, client);
        self.unanswered -= usize::from(std::mem::take(&mut self.beating[line]) > 0);
        self.ramp_up(ctx);
    }

    fn on_second(&mut self, ctx: &mut Context) {
        let (now, limit) = (ctx.now(), ctx.plan().op_limit);
        for line in 0..self.beating.len() {
            let due = self.beating[line];
            if due == 0 || now.saturating_sub(due) <= limit {
                continue;
            }
            let number = self.lines.number(line);
            ctx.tally.fault(|| format!("lost: a heartbeat of line {number} was not acknowledged"));
            if let Some(client) = self.lines.client(line) {
                ctx.close(client);
            }
        }
    }

    fn stop(&mut self, _ctx: &mut Context) {}

    fn in_flight(&self) -> usize {
        self.unanswered
    }

    fn finish(&mut self, ctx: &mut Context) {
        for line in (0..self.beating.len()).filter(|&line| self.beating[line] > 0) {
            let number = self.lines.number(line);
            ctx.tally.fault(|| format!("lost: a heartbeat of line {number} was not acknowledged"));
        }
        ctx.tally.latencies[CONNECT].add(&self.connects).expect("both have the same bounds");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beat_in_turn_and_first_within_one_gap() {
        let gap = 40;
        // (started, offset, now) and when the turn is.
        for (started, offset, now, due) in [
            (100, 10, 100, 110),
            (100, 10, 110, 150),
            (100, 10, 149, 150),
            (100, 10, 151, 190),
            (0, 0, 0, 40),
        ] {
            assert_eq!(next_turn(started + offset, gap, now), due, "{started} {offset} {now}");
        }
    }
}
