//! One client speaks, many listen: what `fanout` and `slow` have in common. One operation is a delivery.
//!
//! The speaker is the first worker's; listeners are spread over all. Each delivery's latency counts from the time inside
//! the message. Order, loss, doubling and content are checked for each listener; the speaker must not hear itself.

mod audience;
mod form;
mod listeners;
mod speaker;
mod stage;

use std::sync::Arc;

use audience::{Audience, Heard};
use form::Form;
pub use form::Kind;
use listeners::Place;
use stage::Stage;

use super::crowd::Crowd;
use crate::engine::run::{self, Outcome};
use crate::engine::timers::{MILLISECOND, Nanos, SECOND};
use crate::engine::wire;
use crate::engine::{Client, Closed, Context, Enter, Plan, Scenario};
use crate::fault::Fault;
use crate::frames::client_text;
use crate::measure::open_loop::{OpenLoop, Pacing};
use crate::measure::tally::Figures;
use crate::options::Common;

const DELIVERY: usize = 0;
/// In a hall without deaf listeners.
const LAST_LISTENER: usize = 1;
/// In a hall with some.
const BEFORE: usize = 1;
const AFTER: usize = 2;
const UNTIL_CLOSED: usize = 3;
const COUNTERS: &[&str] = &["messages_sent"];
const SENT: usize = 0;

/// The worker that has the speaker.
const SPEAKERS_WORKER: usize = 0;
/// A worker whose listeners wait for the speaker looks so often.
const LOOK_EVERY: Nanos = MILLISECOND;
/// A speaker that was lost, or a dial that was refused, is tried again after this.
const RETRY: Nanos = SECOND;
/// What the server gets after the load to close whoever was deaf.
const DEAF_WAIT: Nanos = 2 * SECOND;

/// Something is due in the open loop.
const DUE: u64 = 0;
/// Look whether the speaker is in.
const LOOK: u64 = 1;
/// The deaf stop reading.
const DEAFEN: u64 = 2;
/// The speaker is to come again.
const SPEAKER_AGAIN: u64 = 3;
/// The server had its last chance to close the deaf.
const WAITED: u64 = 4;
/// With a listener behind it: it is to ask again.
const ASK_AGAIN: u64 = 1 << 62;

/// The data of a message has room for its number and its time.
pub const BYTES_MIN: usize = Form::BYTES_MIN;

/// What is to happen in the hall.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How one speaks to many.
    pub kind: Kind,
    /// Listeners of all workers.
    pub listeners: usize,
    /// Bytes of data in a message.
    pub bytes: usize,
    /// Messages that not everybody has.
    pub in_flight: usize,
    /// Messages a second; without it the next goes when there is room in flight.
    pub rate: Option<(f64, Pacing)>,
    /// How many of the listeners stop reading, and how long after the beginning of the window.
    pub deaf: Option<(usize, Nanos)>,
}

impl Settings {
    /// Runs it.
    pub fn run(&self, common: &Common) -> Result<Outcome, Fault> {
        if usize::from(common.threads) > self.listeners {
            let (threads, listeners) = (common.threads, self.listeners);
            let why = format!("--threads {threads} is more than there are listeners ({listeners})");
            return Err(Fault::BadOption(why));
        }
        let plan = common.plan()?;
        let stage = Arc::new(Stage::new(plan.threads, self.in_flight));
        let make = |_, plan: &Plan| Hall::new(self, plan, common.floor, Arc::clone(&stage));
        run::run(&plan, common.watch()?, self.listeners as u64 + 1, make)
    }
}

/// One worker's part of the hall.
pub struct Hall {
    settings: Settings,
    floor: bool,
    stage: Arc<Stage>,
    tag: String,
    domain: String,
    speaker_name: String,
    /// Known as soon as the call is.
    form: Option<Form>,
    /// The worker that has the speaker knows its client, and whether it is in.
    speaker: Option<Client>,
    rings: usize,
    open_loop: Option<OpenLoop>,
    running: bool,
    listeners: Crowd,
    places: Vec<Place>,
    audience: Audience,
    looking: bool,
    /// When listeners go deaf.
    deaf_at: Nanos,
    /// The server had time enough to close them.
    waited: bool,
    /// How far the audience was, and since when.
    moved: (u64, Nanos),
}

impl Hall {
    fn new(settings: &Settings, plan: &Plan, floor: bool, stage: Arc<Stage>) -> Self {
        let (tag, domain) = (plan.tag.clone(), plan.domain.clone());
        Self {
            settings: settings.clone(),
            floor,
            stage,
            speaker_name: format!("speaker-{tag}@{domain}"),
            tag,
            domain,
            form: None,
            speaker: None,
            rings: 0,
            open_loop: None,
            running: false,
            listeners: Crowd::default(),
            places: Vec::new(),
            audience: Audience::default(),
            looking: false,
            deaf_at: Nanos::MAX,
            waited: false,
            moved: (0, 0),
        }
    }

    fn party(&self) -> String {
        format!("hall-{}@{}", self.tag, self.domain)
    }

    fn join_frame(&self) -> Vec<u8> {
        client_text(format!(r#"{{"type":"JOIN","party":"{}"}}"#, self.party()).as_bytes())
    }

    fn has_speaker(ctx: &Context) -> bool {
        ctx.share.worker == SPEAKERS_WORKER
    }

    /// Messages take this form from now on, unless they do already.
    fn speak_in(&mut self, place: &str) {
        if self.form.as_ref().is_none_or(|form| form.place() != place) {
            self.form = Some(Form::new(self.settings.kind, place, self.settings.bytes));
        }
    }

    fn on_message(&mut self, ctx: &mut Context, listener: usize, payload: &[u8]) {
        let from = (!self.floor).then_some(self.speaker_name.as_str());
        let Some(form) = &mut self.form else { return fault(ctx, "out of turn", payload) };
        let (number, time) = match form.read(payload, from) {
            Ok(found) => found,
            Err(what) => return fault(ctx, what, payload),
        };
        match self.audience.hear(listener, number, self.stage.said()) {
            Heard::InOrder if self.places[listener] == Place::In => self.delivered(ctx, time),
            Heard::InOrder => {}
            Heard::Otherwise(what) => {
                let listener = self.listeners.number(listener);
                ctx.tally.fault(|| format!("{what}: listener {listener}"));
            }
        }
        self.settle(ctx, Some(time));
    }

    fn delivered(&self, ctx: &mut Context, time: Nanos) {
        let now = ctx.now();
        ctx.tally.record(DELIVERY, time, now);
        if self.settings.deaf.is_some() {
            ctx.tally.record(if time < self.deaf_at { BEFORE } else { AFTER }, time, now);
        }
        ctx.tally.done();
    }

    /// Passes on which messages all of this worker's listeners have. `time`: of the one that was just heard.
    fn settle(&mut self, ctx: &mut Context, time: Option<Nanos>) {
        let mut more = false;
        while let Some(number) = self.audience.next_complete(self.stage.said()) {
            if !self.stage.heard_by_worker(number) {
                continue;
            }
            more = true;
            if let (Some(time), None) = (time, self.settings.deaf) {
                ctx.tally.record(LAST_LISTENER, time, ctx.now());
            }
        }
        if !more {
            return;
        }
        if Self::has_speaker(ctx) { self.say_due(ctx) } else { self.stage.wake_speaker() }
    }

    /// Who has not got for too long what was said is given up.
    fn give_up_late(&mut self, ctx: &mut Context) {
        let (now, complete) = (ctx.now(), self.audience.complete());
        let late: Vec<_> = self.audience.behind(self.stage.said()).collect();
        if self.moved.0 != complete || late.is_empty() {
            self.moved = (complete, now);
        }
        if now - self.moved.1 <= ctx.plan().op_limit {
            return;
        }
        for (listener, due) in late {
            self.count_lost(ctx, listener, due);
            self.reset(ctx, listener);
        }
    }

    fn count_lost(&self, ctx: &mut Context, listener: usize, due: u64) {
        let number = self.listeners.number(listener);
        ctx.tally.fault(|| format!("lost: {due} messages did not come to listener {number}"));
    }
}

fn fault(ctx: &mut Context, what: &str, payload: &[u8]) {
    const SHOWN_BYTES: usize = 200;
    let shown = String::from_utf8_lossy(&payload[..payload.len().min(SHOWN_BYTES)]);
    ctx.tally.fault(|| format!("{what}: {shown}"));
}

fn reason(payload: &[u8]) -> String {
    String::from_utf8_lossy(wire::reason(payload)).into_owned()
}

impl Scenario for Hall {
    fn figures(&self) -> Figures {
        let latencies: &[&str] = match self.settings.deaf {
            None => &["delivery", "last_listener"],
            Some(_) => &["delivery", "delivery_before", "delivery_after", "until_closed"],
        };
        Figures { operation: "delivery", latencies, counters: COUNTERS }
    }

    fn start(&mut self, ctx: &mut Context) {
        if Self::has_speaker(ctx) {
            self.stage.speaker_wakes_by(ctx.waker());
            self.enter_speaker(ctx);
        }
        self.start_listeners(ctx);
    }

    fn is_ready(&self) -> bool {
        let all = self.settings.listeners;
        let rung = self.settings.kind == Kind::Party || self.floor || self.rings >= all;
        let speaks = self.form.is_some() && self.stage.joined() == all && rung;
        self.audience.present() == self.places.len() && (self.speaker.is_none() || speaks)
    }

    fn run(&mut self, ctx: &mut Context) {
        if let Some((_, after)) = self.settings.deaf {
            self.deaf_at = ctx.now() + ctx.plan().warm_up + after;
            ctx.at(self.deaf_at, DEAFEN);
        }
        self.moved.1 = ctx.now();
        if Self::has_speaker(ctx) {
            self.running = true;
            // A schedule is divided among the workers, but one speaks for all.
            let all = ctx.share.workers as f64;
            let rate = self.settings.rate;
            self.open_loop = rate.map(|(rate, pacing)| OpenLoop::begin(ctx, rate * all, pacing, DUE));
            self.say_due(ctx);
        }
    }

    fn on_registered(&mut self, ctx: &mut Context, client: Client) {
        if self.speaker == Some(client) {
            return self.on_speaker_in(ctx, client);
        }
        self.on_listener_registered(ctx, client);
    }

    fn on_frame(&mut self, ctx: &mut Context, client: Client, payload: &[u8]) {
        if self.speaker == Some(client) {
            return self.on_speaker_frame(ctx, payload);
        }
        self.on_listener_frame(ctx, client, payload);
    }

    fn on_woken(&mut self, ctx: &mut Context) {
        self.say_due(ctx);
    }

    fn on_timer(&mut self, ctx: &mut Context, token: u64) {
        match token {
            DUE => {
                if let Some(open_loop) = &mut self.open_loop {
                    open_loop.on_timer(ctx);
                }
                self.say_due(ctx);
            }
            LOOK => self.look(ctx),
            DEAFEN => self.deafen(ctx),
            WAITED => self.waited = true,
            SPEAKER_AGAIN if ctx.is_over() => {}
            SPEAKER_AGAIN => self.enter_speaker(ctx),
            token => self.on_listener_timer(ctx, token),
        }
    }

    fn on_closed(&mut self, ctx: &mut Context, client: Client, why: &Closed) {
        if self.speaker != Some(client) {
            return self.on_listener_closed(ctx, client, why);
        }
        why.count(ctx);
        self.speaker = None;
        self.stage.speaker_is(false);
        if !ctx.is_over() {
            ctx.at(ctx.now() + RETRY, SPEAKER_AGAIN);
        }
    }

    fn on_second(&mut self, ctx: &mut Context) {
        self.settle(ctx, None);
        self.give_up_late(ctx);
        self.wake_the_deaf(ctx);
    }

    fn stop(&mut self, ctx: &mut Context) {
        ctx.at(ctx.now() + DEAF_WAIT, WAITED);
        self.undeafen(ctx);
        if !Self::has_speaker(ctx) {
            return;
        }
        self.running = false;
        if let Some(open_loop) = &mut self.open_loop {
            open_loop.give_up(ctx);
        }
        self.stage.end();
    }

    fn in_flight(&self) -> usize {
        usize::from(!self.stage.is_over()) + if self.waited { 0 } else { self.deaf_left() }
    }

    fn finish(&mut self, ctx: &mut Context) {
        let behind: Vec<_> = self.audience.behind(self.stage.said()).collect();
        for (listener, due) in behind {
            self.count_lost(ctx, listener, due);
        }
        for _ in 0..self.deaf_left() {
            ctx.tally.error("deaf", "not_closed");
        }
    }
}
