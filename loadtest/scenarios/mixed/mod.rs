//! A described day: many idle lines with heartbeats, calls at a rate between random phones, messages in them, and the
//! dials that come to nothing. One operation is a dial with the outcome that was meant.
//!
//! `lines.rs` has the lines, `call.rs` what is meant by a dial, `frames.rs` what comes back and whether it is right.
//! `beats.rs` has the heartbeats. Here are the schedule and the steps that a caller takes by itself.

mod beats;
mod call;
mod figures;
mod frames;
mod lines;
mod options;

use call::{Call, Kind, RINGING_ENDS, Stage};
use figures::{DIALS, FIGURES, GUESTS};
use lines::{Lines, Owner, RECONNECT, Role};
pub use options::{Day, Options};

use super::msg::talk::MessageForm;
use super::rota::Rota;
use crate::engine::timers::{MILLISECOND, Nanos, SECOND};
use crate::engine::wire::CallFrame;
use crate::engine::{Client, Closed, Context, Plan, Scenario};
use crate::frames::client_text;
use crate::measure::open_loop::{OpenLoop, Pacing, uniform};
use crate::measure::tally::Figures;

/// A call is due.
const DUE: u64 = 0;
/// Heartbeats are due.
const BEAT: u64 = 1;
/// A guest is due.
const GUEST: u64 = 2;
/// With a call's serial and its caller behind it: its next step is due.
const STEP: u64 = 1 << 62;

/// A call that is taken back has rung for up to this.
const RING_MAX: Nanos = 200 * MILLISECOND;
/// Of the calls that are taken back, one of so many is answered at the same moment.
const RACE_EVERY: f64 = 10.0;
/// A step that has to wait for something else is tried again after this.
const WAIT: Nanos = 2 * MILLISECOND;

/// One worker's part of the day.
pub struct Mixed {
    day: Day,
    lines: Lines,
    /// By caller.
    calls: Vec<Option<Call>>,
    /// By caller: which of its calls it is, so that a timer of an earlier one is known.
    serials: Vec<u32>,
    /// By caller: the id of its last call that was answered while it was taken back; CONNECTED may come late.
    raced: Vec<Option<[u8; 36]>>,
    /// Callers whose call stands.
    standing: Vec<usize>,
    form: MessageForm,
    dials: Option<OpenLoop>,
    guests: Option<OpenLoop>,
    rota: Option<Rota>,
    answer: CallFrame,
    hang_up: CallFrame,
    /// Calls that have begun.
    begun: usize,
    /// When the load ended.
    stopped: Nanos,
}

impl Mixed {
    fn new(day: &Day, _plan: &Plan) -> Self {
        Self {
            day: day.clone(),
            lines: Lines::default(),
            calls: Vec::new(),
            serials: Vec::new(),
            raced: Vec::new(),
            standing: Vec::new(),
            form: MessageForm::new(day.message_bytes as usize),
            dials: None,
            guests: None,
            rota: None,
            answer: CallFrame::new("ANSWER"),
            hang_up: CallFrame::new("HANGUP"),
            begun: 0,
            stopped: 0,
        }
    }

    /// Dials what is due as long as there are two free phones.
    fn dial_due(&mut self, ctx: &mut Context) {
        while self.lines.free.len() >= 2
            && let Some(due) = self.dials.as_mut().and_then(|dials| dials.take(ctx))
        {
            self.dial(ctx, due);
        }
    }

    fn dial(&mut self, ctx: &mut Context, due: Nanos) {
        let caller = self.take_free(ctx);
        let mut kind = Kind::of(&self.day, uniform(&mut ctx.rng) * 100.0);
        if kind == Kind::Busy && self.standing.is_empty() {
            kind = Kind::Talk;
        }
        let callee = match kind {
            Kind::Unknown => None,
            Kind::Busy => {
                let other = self.standing[below(ctx, self.standing.len())];
                let target = self.calls[other].as_ref().and_then(|call| call.callee).unwrap_or(other);
                self.lines.all[target].probed_by.push(caller);
                Some(target)
            }
            Kind::Talk | Kind::Cancelled | Kind::Unanswered => {
                let callee = self.take_free(ctx);
                self.lines.all[callee].role = Role::Callee(caller);
                Some(callee)
            }
        };
        self.lines.all[caller].role = Role::Caller;
        self.serials[caller] = self.serials[caller].wrapping_add(1);
        self.calls[caller] = Some(Call::new(kind, callee, due, ctx.now()));
        self.begun += 1;
        ctx.tally.count(DIALS, 1);
        let to = callee.map(|callee| self.lines.all[callee].name.clone());
        let to = to.unwrap_or_else(|| format!("nobody-{}", self.lines.all[caller].name));
        let own =
            if kind.has_ref() { format!(r#","ref":"{}""#, self.serials[caller]) } else { String::new() };
        self.lines.send(
            ctx,
            caller,
            &client_text(format!(r#"{{"type":"DIAL","to":"{to}"{own}}}"#).as_bytes()),
        );
    }

    fn take_free(&mut self, ctx: &mut Context) -> usize {
        let at = below(ctx, self.lines.free.len());
        self.lines.free.swap_remove(at)
    }

    /// The caller's next step by itself comes after this.
    fn step_after(&self, ctx: &mut Context, caller: usize, pause: Nanos) {
        let serial = u64::from(self.serials[caller]);
        ctx.at(ctx.now() + pause, STEP | serial << 30 | caller as u64);
    }

    fn step(&mut self, ctx: &mut Context, caller: usize) {
        let Some(call) = &self.calls[caller] else { return };
        match call.stage {
            Stage::Ringing if call.kind == Kind::Cancelled => self.take_back(ctx, caller),
            Stage::Standing if call.left > 0 => self.say(ctx, caller),
            // Nothing may be under way when it ends, so that what is missing is really lost.
            Stage::Standing if call.in_flight() > 0 => self.step_after(ctx, caller, WAIT),
            Stage::Standing => self.hang_up(ctx, caller),
            Stage::Dialled | Stage::Ringing | Stage::Answered | Stage::Ending => {}
        }
    }

    /// One message, the ends in turn.
    fn say(&mut self, ctx: &mut Context, caller: usize) {
        let now = ctx.now();
        let Some(call) = &mut self.calls[caller] else { return };
        let (end, Some(callee)) = ((call.left % 2) as usize, call.callee) else { return };
        call.left -= 1;
        let way = &mut call.ways[end];
        let stamp = self.form.stamp(way.sent, now);
        way.sent(now);
        let (id, gap) = (call.id, call.gap);
        let from = if end == 0 { caller } else { callee };
        if let Some(client) = self.lines.all[from].client {
            ctx.send_filled(client, self.form.template(), &self.form.places(&id, &stamp));
        }
        self.step_after(ctx, caller, gap);
    }

    fn hang_up(&mut self, ctx: &mut Context, caller: usize) {
        let Some(call) = &mut self.calls[caller] else { return };
        if call.stage == Stage::Standing {
            remove(&mut self.standing, caller);
        }
        (call.stage, call.since) = (Stage::Ending, ctx.now());
        if let Some(client) = self.lines.all[caller].client {
            ctx.send_about(client, &self.hang_up, &call.id);
        }
    }

    /// A ringing call is taken back by the id that its caller was told. Some are answered at the same moment.
    fn take_back(&mut self, ctx: &mut Context, caller: usize) {
        let Some(call) = &mut self.calls[caller] else { return };
        if call.told.is_none() {
            return self.step_after(ctx, caller, WAIT);
        }
        call.races = call.kind == Kind::Cancelled && uniform(&mut ctx.rng) * RACE_EVERY <= 1.0;
        if call.races {
            self.raced[caller] = Some(call.id);
            if let Some(client) = call.callee.and_then(|callee| self.lines.all[callee].client) {
                ctx.send_about(client, &self.answer, &call.id);
            }
        }
        self.hang_up(ctx, caller);
    }

    /// A call is over, as it was meant.
    fn end(&mut self, ctx: &mut Context, caller: usize) {
        let Some(call) = self.calls[caller].take() else { return };
        self.begun -= 1;
        match (call.kind, call.callee) {
            (Kind::Busy, Some(target)) => self.lines.end_probe(target, caller),
            (_, Some(callee)) => self.lines.set_free(callee),
            (_, None) => {}
        }
        self.lines.set_free(caller);
        self.dial_due(ctx);
    }

    /// A call will not end as it was meant: both ends begin anew, so that nothing of it can cross what follows.
    fn abort(&mut self, ctx: &mut Context, caller: usize) {
        let Some(call) = self.calls[caller].take() else { return };
        self.begun -= 1;
        if call.stage == Stage::Standing {
            remove(&mut self.standing, caller);
        }
        self.lines.reset(ctx, caller);
        match (call.kind, call.callee) {
            (Kind::Busy, Some(target)) => self.lines.end_probe(target, caller),
            (_, Some(callee)) => self.lines.reset(ctx, callee),
            (_, None) => {}
        }
    }

    fn fault(&mut self, ctx: &mut Context, line: usize, what: &str, payload: &[u8]) {
        const SHOWN_BYTES: usize = 200;
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(SHOWN_BYTES)]);
        let name = &self.lines.all[line].name;
        ctx.tally.fault(|| format!("{what}: {name}: {shown}"));
        match self.lines.all[line].role {
            Role::Caller => self.abort(ctx, line),
            Role::Callee(caller) => self.abort(ctx, caller),
            Role::Free | Role::Down => self.lines.reset(ctx, line),
        }
    }

    fn invite_guests(&mut self, ctx: &mut Context) {
        while self.guests.as_mut().and_then(|guests| guests.take(ctx)).is_some() {
            self.lines.invite_guest(ctx);
        }
    }
}

impl Scenario for Mixed {
    fn figures(&self) -> Figures {
        FIGURES
    }

    fn start(&mut self, ctx: &mut Context) {
        self.lines.connect(ctx, self.day.phones as usize, self.day.idle as usize);
        let phones = self.lines.phones;
        self.calls.resize_with(phones, || None);
        self.serials.resize(phones, 0);
        self.raced.resize(phones, None);
    }

    fn is_ready(&self) -> bool {
        self.lines.count_in == self.lines.all.len()
    }

    fn run(&mut self, ctx: &mut Context) {
        self.dials = Some(OpenLoop::begin(ctx, self.day.calls_per_second, Pacing::Poisson, DUE));
        if self.day.churn > 0.0 {
            self.guests = Some(OpenLoop::begin(ctx, self.day.churn, Pacing::Poisson, GUEST));
        }
        let interval = (self.day.heartbeat * SECOND as f64) as Nanos;
        self.rota = Some(Rota::every(ctx, self.lines.all.len(), BEAT, interval));
    }

    fn on_registered(&mut self, ctx: &mut Context, client: Client) {
        match self.lines.owner(client) {
            Owner::Line(line) => {
                self.lines.on_registered(line);
                self.dial_due(ctx);
            }
            Owner::Guest => {
                ctx.tally.count(GUESTS, 1);
                ctx.close(client);
            }
        }
    }

    fn on_frame(&mut self, ctx: &mut Context, client: Client, payload: &[u8]) {
        if let Owner::Line(line) = self.lines.owner(client) {
            self.take_frame(ctx, line, payload);
        }
    }

    fn on_timer(&mut self, ctx: &mut Context, token: u64) {
        if token & RECONNECT != 0 {
            self.lines.on_timer(ctx, token);
            return;
        }
        let due = match token {
            BEAT => return self.beat(ctx),
            DUE => &mut self.dials,
            GUEST => &mut self.guests,
            step => {
                let (caller, serial) = ((step & 0x3fff_ffff) as usize, (step & !STEP) >> 30);
                if u64::from(self.serials[caller]) == serial {
                    self.step(ctx, caller);
                }
                return;
            }
        };
        if let Some(open_loop) = due {
            open_loop.on_timer(ctx);
        }
        self.dial_due(ctx);
        self.invite_guests(ctx);
    }

    fn on_closed(&mut self, ctx: &mut Context, client: Client, why: &Closed) {
        why.count(ctx);
        let Owner::Line(line) = self.lines.owner(client) else { return };
        match self.lines.all[line].role {
            Role::Caller => self.abort(ctx, line),
            Role::Callee(caller) => self.abort(ctx, caller),
            Role::Free if line < self.lines.phones => self.lines.reset(ctx, line),
            Role::Free | Role::Down => {}
        }
        self.lines.on_closed(ctx, line);
    }

    fn on_second(&mut self, ctx: &mut Context) {
        let (now, limit) = (ctx.now(), ctx.plan().op_limit);
        let ring_limit = (self.day.ring_limit * SECOND as f64) as Nanos;
        for caller in 0..self.calls.len() {
            let late = self.calls[caller].as_ref().and_then(|call| call.is_late(now, limit, ring_limit));
            match late {
                // How long a phone may ring is the server's own affair.
                Some(RINGING_ENDS) => {
                    ctx.tally.error("timeout", RINGING_ENDS);
                    self.abort(ctx, caller);
                }
                Some(due) => self.fault(ctx, caller, &format!("lost: {due} has not come"), b""),
                None => {}
            }
        }
        self.lose_beats(ctx, now.saturating_sub(limit));
    }

    fn stop(&mut self, ctx: &mut Context) {
        self.stopped = ctx.now();
        for caller in 0..self.calls.len() {
            let Some(call) = &mut self.calls[caller] else { continue };
            call.left = 0;
            match call.stage {
                Stage::Standing => self.step(ctx, caller),
                // The day is over before the server gives up: the caller does.
                Stage::Ringing if call.kind == Kind::Unanswered => self.take_back(ctx, caller),
                _ => {}
            }
        }
    }

    fn in_flight(&self) -> usize {
        self.begun + self.lines.beating + self.dials.as_ref().map_or(0, OpenLoop::len)
    }

    fn finish(&mut self, ctx: &mut Context) {
        // What has waited since then has waited for as long as what is in flight is given.
        let stopped = self.stopped;
        for caller in 0..self.calls.len() {
            match self.calls[caller].as_ref().map(|call| call.waits_since(stopped)) {
                Some(Some(due)) => self.fault(ctx, caller, &format!("lost: {due} has not come"), b""),
                Some(None) => ctx.tally.error("unfinished", "dial"),
                None => {}
            }
        }
        self.lose_beats(ctx, stopped);
        if let Some(dials) = &mut self.dials {
            dials.give_up(ctx);
        }
    }
}

/// By chance, a number below this.
fn below(ctx: &mut Context, limit: usize) -> usize {
    ((uniform(&mut ctx.rng) * limit as f64) as usize).min(limit.saturating_sub(1))
}

fn remove(list: &mut Vec<usize>, what: usize) {
    if let Some(at) = list.iter().position(|&found| found == what) {
        list.swap_remove(at);
    }
}
