//! Pairs that call: DIAL, RING, ANSWER, CONNECTED, HANGUP. One operation is a whole call.
//!
//! Closed loop: each pair calls again as soon as the last call has ended. Open loop: calls are due at a rate, and a
//! call that finds no free pair waits. Every frame is checked for its turn, its parties and its call id.

mod call;
mod options;

use std::collections::VecDeque;

use super::pairs::{End, Naming, Pairs};
use crate::engine::timers::{MILLISECOND, Nanos};
use crate::engine::wire::{self, CALL_ID_BYTES, CallFrame};
use crate::engine::{Client, Closed, Context, Scenario};
use crate::frames::client_text;
use crate::measure::open_loop::{OpenLoop, Pacing};
use crate::measure::tally::Figures;
pub use call::Counting;
use call::{CONNECTED, Call, DIALS, FIGURES, Other, RINGS, Stage};
pub use options::Options;

/// A pair that was refused in a closed loop tries again after this, so that refusals do not become the load.
const REFUSED_PAUSE: Nanos = 10 * MILLISECOND;

/// Something is due in the open loop.
const DUE: u64 = 0;
/// With a pair and a call behind it: the call has been held long enough, or the pair may try again.
const GO_ON: u64 = 1 << 62;

/// One worker's pairs.
pub struct Ring {
    pairs: Pairs,
    calls: Vec<Call>,
    dials: Vec<Vec<u8>>,
    /// Pairs without a call, the longest free first.
    free: VecDeque<usize>,
    rate: Option<(f64, Pacing)>,
    hold: Nanos,
    /// The target sends back what it gets.
    floor: bool,
    /// Where calls are counted.
    pub(super) counting: Counting,
    running: bool,
    open_loop: Option<OpenLoop>,
    answer: CallFrame,
    hang_up: CallFrame,
    /// Pairs with both ends up.
    up: usize,
    /// Calls that have begun.
    begun: usize,
    /// When the load ended.
    stopped: Nanos,
}

impl Ring {
    fn new(options: &Options, floor: bool, naming: Naming) -> Self {
        let rate = options.pace.open();
        let hold = (options.hold * MILLISECOND as f64) as Nanos;
        Self { hold, floor, ..Self::beside(naming, rate, Counting::ALL) }
    }

    /// Pairs that call while something else is measured.
    pub fn beside(naming: Naming, rate: Option<(f64, Pacing)>, counting: Counting) -> Self {
        Self {
            pairs: Pairs::new(naming),
            calls: Vec::new(),
            dials: Vec::new(),
            free: VecDeque::new(),
            rate,
            hold: 0,
            floor: false,
            counting,
            running: false,
            open_loop: None,
            answer: CallFrame::new("ANSWER"),
            hang_up: CallFrame::new("HANGUP"),
            up: 0,
            begun: 0,
            stopped: 0,
        }
    }

    fn begin(&mut self, ctx: &mut Context, pair: usize, due: Nanos) {
        let call = &mut self.calls[pair];
        (call.stage, call.due, call.since) = (Stage::Dialled, due, ctx.now());
        call.serial = call.serial.wrapping_add(1);
        self.begun += 1;
        self.counting.count(ctx, DIALS);
        ctx.send(self.pairs.client(pair, End::Caller), &self.dials[pair]);
    }

    /// Begins what is due as long as there are free pairs.
    fn begin_due(&mut self, ctx: &mut Context) {
        while let Some(open_loop) = &mut self.open_loop
            && let Some(pair) = self.free.pop_front()
        {
            let Some(due) = open_loop.take(ctx) else { return self.free.push_front(pair) };
            self.begin(ctx, pair, due);
        }
    }

    /// A pair has no call any more.
    fn set_free(&mut self, ctx: &mut Context, pair: usize) {
        self.calls[pair].stage = Stage::Free;
        if self.open_loop.is_some() {
            self.free.push_back(pair);
            self.begin_due(ctx);
        } else if self.running && !ctx.is_over() {
            self.begin(ctx, pair, ctx.now());
        }
    }

    /// A call was refused, as the protocol allows.
    fn refused(&mut self, ctx: &mut Context, pair: usize, what: &str, payload: &[u8]) {
        ctx.tally.error(what, &String::from_utf8_lossy(wire::reason(payload)));
        self.begun -= 1;
        self.calls[pair].stage = Stage::Free;
        if self.open_loop.is_some() {
            return self.set_free(ctx, pair);
        }
        let serial = u64::from(self.calls[pair].serial);
        ctx.at(ctx.now() + REFUSED_PAUSE, GO_ON | serial << 30 | pair as u64);
    }

    /// A breach of correctness; the pair begins anew.
    fn fault(&mut self, ctx: &mut Context, pair: usize, end: End, what: &str, payload: &[u8]) {
        const SHOWN_BYTES: usize = 200;
        let number = self.pairs.number(pair);
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(SHOWN_BYTES)]);
        ctx.tally.fault(|| format!("{what}: pair {number}, {}: {shown}", end.word()));
        self.reset(ctx, pair);
    }

    fn reset(&mut self, ctx: &mut Context, pair: usize) {
        self.take_down(pair);
        self.pairs.reset(ctx, pair);
    }

    /// Its call, if it had one, will not end.
    fn take_down(&mut self, pair: usize) {
        match self.calls[pair].stage {
            Stage::Down => return,
            Stage::Free => self.free.retain(|&free| free != pair),
            Stage::Dialled | Stage::Answered | Stage::Up | Stage::HungUp => self.begun -= 1,
        }
        self.up -= 1;
        self.calls[pair].stage = Stage::Down;
    }

    fn on_callee_frame(&mut self, ctx: &mut Context, pair: usize, payload: &[u8]) {
        let (kind, stage) = (wire::kind(payload), self.calls[pair].stage);
        match (kind, stage) {
            (b"RING", Stage::Dialled) => self.on_ring(ctx, pair, payload),
            (b"DIAL", Stage::Dialled) if self.floor => self.on_ring(ctx, pair, payload),
            (b"HANGUP", Stage::HungUp) => self.on_hang_up(ctx, pair, payload),
            // The exchange ended a call by itself, such as one that rang too long.
            (b"HANGUP", Stage::Answered | Stage::Up) => self.on_early_hang_up(ctx, pair, payload),
            _ => self.out_of_turn(ctx, pair, End::Callee, payload),
        }
    }

    fn on_ring(&mut self, ctx: &mut Context, pair: usize, payload: &[u8]) {
        let from_caller = wire::text(payload, "from") == Some(self.pairs.name(pair, End::Caller).as_bytes());
        if !from_caller && !self.floor {
            return self.fault(ctx, pair, End::Callee, "misdelivered: a RING from somebody else", payload);
        }
        let id = match wire::call_id(payload) {
            Some(id) => id,
            None if self.floor => [b'0'; CALL_ID_BYTES],
            None => {
                return self.fault(ctx, pair, End::Callee, "malformed: a RING without a call id", payload);
            }
        };
        let (now, call) = (ctx.now(), &mut self.calls[pair]);
        (call.id, call.stage, call.since) = (id, Stage::Answered, now);
        self.counting.record(ctx, Other::DialToRing, call.due);
        self.counting.count(ctx, RINGS);
        ctx.send_about(self.pairs.client(pair, End::Callee), &self.answer, &id);
    }

    fn on_hang_up(&mut self, ctx: &mut Context, pair: usize, payload: &[u8]) {
        if wire::call_id(payload) != Some(self.calls[pair].id) {
            return self.fault(ctx, pair, End::Callee, "misdelivered: HANGUP with another call id", payload);
        }
        // The caller gave no reason, which the protocol calls normal.
        match wire::reason(payload) {
            b"normal" => {}
            // Which gives back what it gets.
            _ if self.floor => {}
            reason if wire::is_exchanges_own(reason) => return self.on_early_hang_up(ctx, pair, payload),
            _ => return self.fault(ctx, pair, End::Callee, "changed: HANGUP with another reason", payload),
        }
        let call = &self.calls[pair];
        self.counting.record(ctx, Other::HangUp, call.since);
        self.counting.done(ctx);
        self.begun -= 1;
        self.set_free(ctx, pair);
    }

    fn on_early_hang_up(&mut self, ctx: &mut Context, pair: usize, payload: &[u8]) {
        ctx.tally.error("hangup", &String::from_utf8_lossy(wire::reason(payload)));
        self.reset(ctx, pair);
    }

    fn on_caller_frame(&mut self, ctx: &mut Context, pair: usize, payload: &[u8]) {
        let (kind, stage) = (wire::kind(payload), self.calls[pair].stage);
        match (kind, stage) {
            (b"CONNECTED", Stage::Answered) => self.on_connected(ctx, pair, payload),
            (b"ANSWER", Stage::Answered) if self.floor => self.on_connected(ctx, pair, payload),
            (b"BUSY", Stage::Dialled) => self.refused(ctx, pair, "busy", payload),
            (b"ERROR", Stage::Dialled) => self.refused(ctx, pair, "error", payload),
            (b"BUSY" | b"HANGUP", Stage::Answered | Stage::Up) => self.on_early_hang_up(ctx, pair, payload),
            // Both ended it at the same time.
            (b"HANGUP", Stage::HungUp) if wire::is_exchanges_own(wire::reason(payload)) => {
                self.on_early_hang_up(ctx, pair, payload);
            }
            _ => self.out_of_turn(ctx, pair, End::Caller, payload),
        }
    }

    fn on_connected(&mut self, ctx: &mut Context, pair: usize, payload: &[u8]) {
        if wire::call_id(payload) != Some(self.calls[pair].id) {
            return self.fault(
                ctx,
                pair,
                End::Caller,
                "misdelivered: CONNECTED with another call id",
                payload,
            );
        }
        let to_callee = wire::text(payload, "to") == Some(self.pairs.name(pair, End::Callee).as_bytes());
        if !to_callee && !self.floor {
            return self.fault(ctx, pair, End::Caller, "misdelivered: CONNECTED to somebody else", payload);
        }
        let (now, call) = (ctx.now(), &mut self.calls[pair]);
        ctx.tally.record(self.counting.ring_to_connected, call.since, now);
        self.counting.record(ctx, Other::DialToConnected, call.due);
        self.counting.count(ctx, CONNECTED);
        call.stage = Stage::Up;
        if self.hold == 0 || ctx.is_over() {
            return self.hang_up(ctx, pair);
        }
        ctx.at(now + self.hold, GO_ON | u64::from(call.serial) << 30 | pair as u64);
    }

    fn hang_up(&mut self, ctx: &mut Context, pair: usize) {
        let call = &mut self.calls[pair];
        (call.stage, call.since) = (Stage::HungUp, ctx.now());
        ctx.send_about(self.pairs.client(pair, End::Caller), &self.hang_up, &call.id);
    }

    /// A frame that is due has not come, although both connections stand and there was time enough.
    fn lost(&mut self, ctx: &mut Context, pair: usize) {
        let due = self.calls[pair].stage.due();
        let number = self.pairs.number(pair);
        ctx.tally.fault(|| format!("lost: pair {number}: {due} has not come"));
    }

    fn out_of_turn(&mut self, ctx: &mut Context, pair: usize, end: End, payload: &[u8]) {
        let due = self.calls[pair].stage.due();
        self.fault(ctx, pair, end, &format!("out of turn or doubled, {due} was due"), payload);
    }
}

impl Scenario for Ring {
    fn figures(&self) -> Figures {
        FIGURES
    }

    fn start(&mut self, ctx: &mut Context) {
        self.pairs.connect(ctx);
        for pair in 0..self.pairs.len() {
            let to = self.pairs.name(pair, End::Callee);
            self.dials.push(client_text(format!(r#"{{"type":"DIAL","to":"{to}"}}"#).as_bytes()));
            let (stage, id) = (Stage::Down, [b'0'; CALL_ID_BYTES]);
            self.calls.push(Call { stage, id, due: 0, since: 0, serial: 0 });
        }
    }

    fn is_ready(&self) -> bool {
        self.up == self.calls.len()
    }

    fn run(&mut self, ctx: &mut Context) {
        self.running = true;
        if let Some((rate, pacing)) = self.rate {
            self.open_loop = Some(OpenLoop::begin(ctx, rate, pacing, DUE));
        }
        for pair in 0..self.calls.len() {
            if self.calls[pair].stage == Stage::Free {
                self.set_free(ctx, pair);
            }
        }
    }

    fn on_registered(&mut self, ctx: &mut Context, client: Client) {
        if let Some(pair) = self.pairs.on_registered(client) {
            self.up += 1;
            self.set_free(ctx, pair);
        }
    }

    fn on_frame(&mut self, ctx: &mut Context, client: Client, payload: &[u8]) {
        match self.pairs.owner(client) {
            // What is left of a call whose other end is gone.
            (pair, _) if self.calls[pair].stage == Stage::Down => {}
            (pair, End::Callee) => self.on_callee_frame(ctx, pair, payload),
            (pair, End::Caller) => self.on_caller_frame(ctx, pair, payload),
        }
    }

    fn on_timer(&mut self, ctx: &mut Context, token: u64) {
        if self.pairs.on_timer(ctx, token) {
            return;
        }
        if token == DUE {
            if let Some(open_loop) = &mut self.open_loop {
                open_loop.on_timer(ctx);
            }
            return self.begin_due(ctx);
        }
        let (pair, serial) = ((token & 0x3fff_ffff) as usize, (token & !GO_ON) >> 30);
        if u64::from(self.calls[pair].serial) != serial {
            return;
        }
        match self.calls[pair].stage {
            Stage::Up => self.hang_up(ctx, pair),
            Stage::Free => self.set_free(ctx, pair),
            Stage::Down | Stage::Dialled | Stage::Answered | Stage::HungUp => {}
        }
    }

    fn on_closed(&mut self, ctx: &mut Context, client: Client, why: &Closed) {
        why.count(ctx);
        let pair = self.pairs.on_closed(ctx, client);
        self.take_down(pair);
    }

    fn on_second(&mut self, ctx: &mut Context) {
        let limit = ctx.plan().op_limit;
        for pair in 0..self.calls.len() {
            let call = &self.calls[pair];
            if call.stage.is_waiting() && ctx.now().saturating_sub(call.since) > limit {
                self.lost(ctx, pair);
                self.reset(ctx, pair);
            }
        }
    }

    fn stop(&mut self, ctx: &mut Context) {
        self.stopped = ctx.now();
        for pair in 0..self.calls.len() {
            if self.calls[pair].stage == Stage::Up {
                self.hang_up(ctx, pair);
            }
        }
    }

    fn in_flight(&self) -> usize {
        self.begun + self.open_loop.as_ref().map_or(0, OpenLoop::len)
    }

    fn finish(&mut self, ctx: &mut Context) {
        for pair in 0..self.calls.len() {
            match &self.calls[pair] {
                call if !call.stage.is_waiting() => {}
                // It has waited for as long as what is in flight is given.
                call if call.since <= self.stopped => self.lost(ctx, pair),
                _ => ctx.tally.error("unfinished", "call"),
            }
        }
        if let Some(open_loop) = &mut self.open_loop {
            open_loop.give_up(ctx);
        }
    }
}
