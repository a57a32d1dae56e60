//! Messages in calls that stand. One operation is a message delivered.
//!
//! Three modes: to and fro (`pingpong`), one way with many in flight (`flood`), at a rate (`open`). Every message
//! carries its number and the time it was sent or due; `talk.rs` checks that none is lost, doubled, late or changed.
//! For `slow`, some callees stop reading (`deaf.rs`).

mod deaf;
mod options;
mod set_up;
mod speaking;
pub(super) mod talk;

use std::collections::VecDeque;

pub use deaf::Deafness;
use deaf::Hearing;
pub use options::{Mode, Options};
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
/// Where some callees stop reading.
const DEAF_FIGURES: Figures = Figures {
    operation: "delivery",
    latencies: &["delivery", "delivery_before", "delivery_after", "until_closed"],
    counters: &["messages_sent", "messages_received", "messages_held_back", "callers_held"],
};
const BEFORE: usize = 1;
const AFTER: usize = 2;
const UNTIL_CLOSED: usize = 3;
const HELD_BACK: usize = 2;
const CALLERS_HELD: usize = 3;

/// A call that could not be set up is tried again after this.
const RETRY: Nanos = SECOND;
/// Something is due in the open loop.
const DUE: u64 = 0;
/// Some stop reading.
const DEAFEN: u64 = 1;
/// The server had its last chance to cut them off.
const WAITED: u64 = 2;
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
    /// Whether its callee reads.
    hearing: Hearing,
}

impl Talk {
    fn new() -> Self {
        let ways = [Way::default(), Way::default()];
        let (stage, hearing) = (Stage::Down, Hearing::Reads);
        Self { stage, id: [b'0'; CALL_ID_BYTES], since: 0, ways, pings: VecDeque::new(), hearing }
    }
}

/// What is to be said.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How messages follow each other.
    pub mode: Mode,
    /// Messages of a pair that may be under way.
    pub window: u64,
    /// Messages a second of all pairs, in an open loop.
    pub rate: Option<(f64, Pacing)>,
    /// Bytes of data in a message.
    pub bytes: usize,
    /// The target sends back what it gets.
    pub floor: bool,
    /// Some callees stop reading.
    pub deafness: Option<Deafness>,
}

/// One worker's pairs.
pub struct Msg {
    mode: Mode,
    window: u64,
    rate: Option<(f64, Pacing)>,
    floor: bool,
    deafness: Option<Deafness>,
    /// When callees go deaf.
    deaf_at: Nanos,
    /// The server had time enough to cut them off.
    waited: bool,
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
    /// Pairs with these names.
    pub fn new(settings: Settings, naming: Naming) -> Self {
        let Settings { mode, window, rate, bytes, floor, deafness } = settings;
        Self {
            mode,
            window,
            rate,
            floor,
            deafness,
            deaf_at: Nanos::MAX,
            waited: false,
            pairs: Pairs::new(naming),
            talks: Vec::new(),
            form: MessageForm::new(bytes),
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
            if talk.hearing == Hearing::Reads {
                self.in_flight -= talk.ways.iter().map(Way::in_flight).sum::<u64>();
            }
        }
        (talk.stage, talk.hearing) = (Stage::Down, Hearing::Reads);
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
        if self.deafness.is_some() {
            return DEAF_FIGURES;
        }
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
        if let Some(deafness) = self.deafness {
            self.deaf_at = ctx.now() + ctx.plan().warm_up + deafness.after;
            ctx.at(self.deaf_at, DEAFEN);
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
        match token {
            DUE => {
                if let Some(open_loop) = &mut self.open_loop {
                    open_loop.on_timer(ctx);
                }
                return self.say_due(ctx);
            }
            DEAFEN => return self.deafen(ctx),
            WAITED => return self.waited = true,
            _ => {}
        }
        let pair = (token & !DIAL_AGAIN) as usize;
        if self.pairs.is_up(pair) && self.talks[pair].stage == Stage::Down {
            self.dial(ctx, pair);
        }
    }

    fn on_closed(&mut self, ctx: &mut Context, client: Client, why: &Closed) {
        if !self.on_closed_in_deafness(ctx, client, why) {
            why.count(ctx);
        }
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
                Stage::Standing if talk.hearing != Hearing::Reads => continue,
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
        if self.deafness.is_some() {
            self.undeafen(ctx);
        }
    }

    fn in_flight(&self) -> usize {
        self.in_flight as usize + if self.waited { 0 } else { self.deaf_left() }
    }

    fn finish(&mut self, ctx: &mut Context) {
        for pair in 0..self.talks.len() {
            if matches!(self.talks[pair].hearing, Hearing::Deaf { .. }) {
                ctx.tally.error("deaf", "not_closed");
            } else if self.talks[pair].stage == Stage::Standing {
                self.count_lost(ctx, pair);
                ctx.send_about(self.pairs.client(pair, End::Caller), &self.hang_up, &self.talks[pair].id);
            }
        }
    }
}
