//! What is said in calls that stand, by mode, and what becomes of it at the other end.
//!
//! Who speaks when; numbers, forms and the check of what comes are `talk.rs`. Invariant: of no pair more is under way than
//! its window.

use super::deaf::Hearing;
use super::talk::Received;
use super::{AFTER, BEFORE, Context, End, Mode, Msg, ONE_WAY, RECEIVED, ROUND_TRIP, SENT, Stage, wire};
use crate::engine::timers::Nanos;

impl Msg {
    /// The first words of a pair.
    pub(super) fn begin(&mut self, ctx: &mut Context, pair: usize) {
        match self.mode {
            Mode::Pingpong | Mode::Flood => self.fill(ctx, pair),
            Mode::Open => self.say_due(ctx),
        }
    }

    /// As many as may be in flight.
    fn fill(&mut self, ctx: &mut Context, pair: usize) {
        while !ctx.is_over() && self.talks[pair].ways[End::Caller as usize].in_flight() < self.window {
            let now = ctx.now();
            if self.mode == Mode::Pingpong {
                if self.talks[pair].pings.len() as u64 >= self.window {
                    return;
                }
                self.talks[pair].pings.push_back(now);
            }
            self.say(ctx, pair, End::Caller, now);
        }
    }

    /// What is due in an open loop: pairs take turns, and those with too many in flight are passed over.
    pub(super) fn say_due(&mut self, ctx: &mut Context) {
        while self.open_loop.as_ref().is_some_and(|open_loop| open_loop.len() > 0) {
            let fits = |pair: usize| {
                let talk = &self.talks[pair];
                let is_open = talk.ways[End::Caller as usize].in_flight() < self.window;
                talk.stage == Stage::Standing && (is_open || talk.hearing != Hearing::Reads)
            };
            let all = self.talks.len();
            let Some(pair) = (0..all).map(|step| (self.turn + step) % all).find(|&pair| fits(pair)) else {
                return;
            };
            self.turn = pair + 1;
            let Some(due) = self.open_loop.as_mut().and_then(|open_loop| open_loop.take(ctx)) else { return };
            if self.talks[pair].hearing != Hearing::Reads && !self.may_say_to_deaf(ctx, pair) {
                continue;
            }
            self.say(ctx, pair, End::Caller, due);
        }
    }

    fn say(&mut self, ctx: &mut Context, pair: usize, end: End, time: Nanos) {
        let talk = &mut self.talks[pair];
        let way = &mut talk.ways[end as usize];
        let values = self.form.stamp(way.sent, time);
        way.sent(ctx.now());
        self.in_flight += u64::from(talk.hearing == Hearing::Reads);
        ctx.tally.count(SENT, 1);
        let places = self.form.places(&talk.id, &values);
        ctx.send_filled(self.pairs.client(pair, end), self.form.template(), &places);
    }

    /// A message that `end` has received.
    fn on_message(&mut self, ctx: &mut Context, pair: usize, end: End, payload: &[u8]) {
        let talk = &mut self.talks[pair];
        let from = if self.floor { None } else { Some(self.pairs.name(pair, end.other()).as_bytes()) };
        let way = &mut talk.ways[end.other() as usize];
        let before = way.in_flight();
        let received = match self.form.read(&mut way.head, payload, &talk.id, from) {
            Ok((number, time)) => way.received(number, time, ctx.now()),
            Err(what) => return self.fault(ctx, pair, what, payload),
        };
        if talk.hearing == Hearing::Reads {
            self.in_flight -= before - way.in_flight();
        }
        match received {
            Received::InOrder { .. } if self.talks[pair].hearing != Hearing::Reads => {}
            Received::InOrder { time } => self.on_delivered(ctx, pair, end, time),
            Received::Otherwise(what) => {
                let number = self.pairs.number(pair);
                let from = end.other().word();
                ctx.tally.fault(|| format!("{what}: pair {number}, said by the {from}"));
            }
        }
    }

    fn on_delivered(&mut self, ctx: &mut Context, pair: usize, end: End, time: Nanos) {
        let now = ctx.now();
        ctx.tally.record(ONE_WAY, time, now);
        if self.deafness.is_some() {
            ctx.tally.record(if time < self.deaf_at { BEFORE } else { AFTER }, time, now);
        }
        ctx.tally.count(RECEIVED, 1);
        ctx.tally.done();
        match (self.mode, end) {
            (Mode::Pingpong, End::Callee) => self.say(ctx, pair, End::Callee, now),
            (Mode::Pingpong, End::Caller) => {
                if let Some(sent) = self.talks[pair].pings.pop_front() {
                    ctx.tally.record(ROUND_TRIP, sent, now);
                }
                self.fill(ctx, pair);
            }
            // In halves: what is freed is refilled by many frames in one write.
            (Mode::Flood, _)
                if self.talks[pair].ways[End::Caller as usize].in_flight() <= self.window / 2 =>
            {
                self.fill(ctx, pair);
            }
            (Mode::Flood, _) => {}
            (Mode::Open, _) => self.say_due(ctx),
        }
    }

    /// The server has ended a call by itself.
    pub(super) fn on_hung_up(&mut self, ctx: &mut Context, pair: usize, payload: &[u8]) {
        ctx.tally.error("hangup", &String::from_utf8_lossy(wire::reason(payload)));
        self.take_down(pair);
        self.pairs.reset(ctx, pair);
    }

    pub(super) fn on_standing_frame(&mut self, ctx: &mut Context, pair: usize, end: End, payload: &[u8]) {
        match wire::kind(payload) {
            b"MSG" => self.on_message(ctx, pair, end, payload),
            b"HANGUP" if end == End::Caller && self.talks[pair].hearing != Hearing::Reads => {
                self.on_cut_off(ctx, pair, payload);
            }
            b"HANGUP" => self.on_hung_up(ctx, pair, payload),
            _ => self.fault(ctx, pair, "out of turn or doubled", payload),
        }
    }
}
