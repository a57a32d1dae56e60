//! Messages in calls that stand. One operation is a message delivered.
//!
//! Three modes: to and fro (`pingpong`), one way with many in flight (`flood`), at a rate (`open`). Every message
//! carries its number and the time it was sent or due; `talk.rs` checks that none is lost, doubled, late or changed.

mod options;
mod set_up;
mod speaking;
pub(super) mod talk;

use std::collections::VecDeque;

use options::Mode;
pub use options::Options;
use talk::{MessageForm, Way};

use super::pairs::{End, Naming, Pairs};
use crate::engine::timers::{Nanos, SECOND};
use crate::engine::wire::{self, CALL_ID_BYTES, CallFrame};
use crate::engine::{Client, Closed, Context, Scenario};
use crate::frames::client_text;
use crate::measure::open_loop::{OpenLoop, Pacing};
use crate::measure::tally::Figures;

const FIGURES: Figures = Figures {
    operation: "message",
    latencies: &["one_way", "round_trip"],
    counters: &["messages_sent", "messages_received"],
};
const ONE_WAY: usize = 0;
const ROUND_TRIP: usize = 1;
const SENT: usize = 0;
const RECEIVED: usize = 1;

/// A call that could not be set up is tried again after this.
const RETRY: Nanos = SECOND;
/// Something is due in the open loop.
const DUE: u64 = 0;
/// With a pair behind it: its call is to be dialled again.
const DIAL_AGAIN: u64 = 1 << 62;

/// How far a pair's call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Not both ends are registered, or the call was refused.
    Down,
    Dialled,
    Answered,
    Standing,
}

/// A pair's call and what is said in it.
#[derive(Debug)]
struct Talk {
    stage: Stage,
    id: [u8; CALL_ID_BYTES],
    /// When the last step of the set-up was taken.
    since: Nanos,
    /// What each end says.
    ways: [Way; 2],
    /// When the caller sent what has not been answered.
    pings: VecDeque<Nanos>,
}

impl Talk {
    fn new() -> Self {
        let ways = [Way::default(), Way::default()];
        Self { stage: Stage::Down, id: [b'0'; CALL_ID_BYTES], since: 0, ways, pings: VecDeque::new() }
    }
}

/// One worker's pairs.
pub struct Msg {
    mode: Mode,
    window: u64,
    rate: Option<(f64, Pacing)>,
    floor: bool,
    pairs: Pairs,
    talks: Vec<Talk>,
    form: MessageForm,
    open_loop: Option<OpenLoop>,
    /// Whose turn it is in an open loop.
    turn: usize,
    running: bool,
    standing: usize,
    /// Messages under way.
    in_flight: u64,
    answer: CallFrame,
    hang_up: CallFrame,
}

impl Msg {
    fn new(options: &Options, floor: bool, naming: Naming) -> Self {
        Self {
            mode: options.mode,
            window: options.in_flight(),
            rate: options.pace.open(),
            floor,
            pairs: Pairs::new(naming),
            talks: Vec::new(),
            form: MessageForm::new(options.bytes as usize),
            open_loop: None,
            turn: 0,
            running: false,
            standing: 0,
            in_flight: 0,
            answer: CallFrame::new("ANSWER"),
            hang_up: CallFrame::new("HANGUP"),
        }
    }

    fn fault(&mut self, ctx: &mut Context, pair: usize, what: &str, payload: &[u8]) {
        const SHOWN_BYTES: usize = 200;
        let number = self.pairs.number(pair);
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(SHOWN_BYTES)]);
        ctx.tally.fault(|| format!("{what}: pair {number}: {shown}"));
        self.take_down(pair);
        self.pairs.reset(ctx, pair);
    }

    /// The call, if it stood, does not any more; what was under way in it does not count as lost.
    fn take_down(&mut self, pair: usize) {
        let talk = &mut self.talks[pair];
        if talk.stage == Stage::Standing {
            self.standing -= 1;
            self.in_flight -= talk.ways.iter().map(Way::in_flight).sum::<u64>();
        }
        talk.stage = Stage::Down;
    }

    /// Messages of a pair that did not come.
    fn count_lost(&mut self, ctx: &mut Context, pair: usize) {
        let number = self.pairs.number(pair);
        for end in [End::Caller, End::Callee] {
            let lost = self.talks[pair].ways[end as usize].in_flight();
            if lost > 0 {
                ctx.tally
                    .fault(|| format!("lost: {lost} messages of pair {number}, said by the {}", end.word()));
            }
        }
    }
}

impl Scenario for Msg {
    fn figures(&self) -> Figures {
        let latencies = if self.mode == Mode::Pingpong { FIGURES.latencies } else { &FIGURES.latencies[..1] };
        Figures { latencies, ..FIGURES }
    }

    fn start(&mut self, ctx: &mut Context) {
        self.pairs.connect(ctx);
        self.talks.extend((0..self.pairs.len()).map(|_| Talk::new()));
    }

    fn is_ready(&self) -> bool {
        self.standing == self.talks.len()
    }

    fn run(&mut self, ctx: &mut Context) {
        self.running = true;
        if let Some((rate, pacing)) = self.rate {
            self.open_loop = Some(OpenLoop::begin(ctx, rate, pacing, DUE));
        }
        for pair in 0..self.talks.len() {
            if self.talks[pair].stage == Stage::Standing {
                self.begin(ctx, pair);
            }
        }
    }

    fn on_registered(&mut self, ctx: &mut Context, client: Client) {
        if let Some(pair) = self.pairs.on_registered(client) {
            self.dial(ctx, pair);
        }
    }

    fn on_frame(&mut self, ctx: &mut Context, client: Client, payload: &[u8]) {
        let (pair, end) = self.pairs.owner(client);
        match (self.talks[pair].stage, end) {
            (Stage::Standing, end) => self.on_standing_frame(ctx, pair, end, payload),
            // What is left of a call whose other end is gone.
            (Stage::Down, _) => {}
            (_, End::Callee) => self.on_callee_set_up(ctx, pair, payload),
            (_, End::Caller) => self.on_caller_set_up(ctx, pair, payload),
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
            return self.say_due(ctx);
        }
        let pair = (token & !DIAL_AGAIN) as usize;
        if self.pairs.is_up(pair) && self.talks[pair].stage == Stage::Down {
            self.dial(ctx, pair);
        }
    }

    fn on_closed(&mut self, ctx: &mut Context, client: Client, why: &Closed) {
        why.count(ctx);
        let pair = self.pairs.on_closed(ctx, client);
        self.take_down(pair);
    }

    fn on_second(&mut self, ctx: &mut Context) {
        let (now, limit) = (ctx.now(), ctx.plan().op_limit);
        for pair in 0..self.talks.len() {
            let talk = &self.talks[pair];
            let late = |since: Nanos| now.saturating_sub(since) > limit;
            match talk.stage {
                Stage::Dialled | Stage::Answered if late(talk.since) => {
                    let due = if talk.stage == Stage::Dialled { "RING or BUSY" } else { "CONNECTED" };
                    let number = self.pairs.number(pair);
                    ctx.tally.fault(|| format!("lost: pair {number}: {due} has not come"));
                }
                Stage::Standing if talk.ways.iter().any(|way| way.is_late(now, limit)) => {
                    self.count_lost(ctx, pair);
                }
                _ => continue,
            }
            self.take_down(pair);
            self.pairs.reset(ctx, pair);
        }
    }

    fn stop(&mut self, ctx: &mut Context) {
        // What waits in the queue has not been said: nothing can be lost of it.
        if let Some(open_loop) = &mut self.open_loop {
            open_loop.give_up(ctx);
        }
    }

    fn in_flight(&self) -> usize {
        self.in_flight as usize
    }

    fn finish(&mut self, ctx: &mut Context) {
        for pair in 0..self.talks.len() {
            if self.talks[pair].stage == Stage::Standing {
                self.count_lost(ctx, pair);
                ctx.send_about(self.pairs.client(pair, End::Caller), &self.hang_up, &self.talks[pair].id);
            }
        }
    }
}
