//! Clients that come and go: connect, upgrade, REGISTER, REGISTERED, close. One operation is a whole visit.
//!
//! Closed loop: each client comes again as soon as it is gone. Open loop: visits are due at a rate, and one that finds
//! all clients there waits. A name that comes again has to be free again: that it is not is an error by its reason.

mod options;

use std::collections::VecDeque;

use options::Names;
pub use options::Options;

use crate::engine::timers::{MILLISECOND, Nanos};
use crate::engine::{Client, Closed, Context, Enter, Plan, Scenario};
use crate::measure::open_loop::{OpenLoop, Pacing, uniform};
use crate::measure::tally::Figures;

const FIGURES: Figures = Figures {
    operation: "visit",
    latencies: &["total", "connect", "upgrade", "register", "close"],
    counters: &["closed_in_order", "cut"],
};
const TOTAL: usize = 0;
const CONNECT: usize = 1;
const UPGRADE: usize = 2;
const REGISTER: usize = 3;
const CLOSE: usize = 4;
const IN_ORDER: usize = 0;
const CUT: usize = 1;

/// A client that was refused in a closed loop comes again after this, so that refusals do not become the load.
const REFUSED_PAUSE: Nanos = 10 * MILLISECOND;
/// Something is due in the open loop.
const DUE: u64 = 0;
/// With a place and a visit behind it: it has lasted long enough, or the place may be taken again.
const GO_ON: u64 = 1 << 62;

/// How far a visit is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Free,
    Entering,
    In,
    Leaving,
}

/// A client's place, taken by one visit after the other.
#[derive(Clone, Debug)]
struct Place {
    /// In the whole run.
    number: usize,
    stage: Stage,
    client: Option<Client>,
    /// When the visit was due.
    due: Nanos,
    /// When the last step was taken.
    since: Nanos,
    /// Which visit it is.
    serial: u32,
}

/// One worker's clients.
pub struct Churn {
    clients: usize,
    rate: Option<(f64, Pacing)>,
    names: Names,
    hold: Nanos,
    abrupt: f64,
    tag: String,
    domain: String,
    places: Vec<Place>,
    /// By a client's index.
    owners: Vec<usize>,
    free: VecDeque<usize>,
    open_loop: Option<OpenLoop>,
    /// Visits that have begun.
    begun: usize,
}

impl Churn {
    fn new(options: &Options, plan: &Plan) -> Self {
        Self {
            clients: options.clients as usize,
            rate: options.pace.open(),
            names: options.names,
            hold: (options.hold * MILLISECOND as f64) as Nanos,
            abrupt: options.abrupt,
            tag: plan.tag.clone(),
            domain: plan.domain.clone(),
            places: Vec::new(),
            owners: Vec::new(),
            free: VecDeque::new(),
            open_loop: None,
            begun: 0,
        }
    }

    fn begin(&mut self, ctx: &mut Context, place: usize, due: Nanos) {
        let visit = &mut self.places[place];
        visit.serial = visit.serial.wrapping_add(1);
        let salt = if self.names == Names::Fresh { visit.serial } else { 0 };
        let name = format!("guest-{}-{salt}-{}@{}", visit.number, self.tag, self.domain);
        let register = ctx.plan().register(&name, "");
        let client = ctx.connect(Enter { register, place: visit.number });
        (visit.stage, visit.client, visit.due) = (Stage::Entering, Some(client), due);
        self.begun += 1;
        if self.owners.len() <= client.index() {
            self.owners.resize(client.index() + 1, 0);
        }
        self.owners[client.index()] = place;
    }

    /// Begins what is due as long as there are free places.
    fn begin_due(&mut self, ctx: &mut Context) {
        while let Some(open_loop) = &mut self.open_loop
            && let Some(place) = self.free.pop_front()
        {
            let Some(due) = open_loop.take(ctx) else { return self.free.push_front(place) };
            self.begin(ctx, place, due);
        }
    }

    /// A place can be taken again.
    fn set_free(&mut self, ctx: &mut Context, place: usize) {
        if self.open_loop.is_some() {
            self.free.push_back(place);
            self.begin_due(ctx);
        } else if !ctx.is_over() {
            self.begin(ctx, place, ctx.now());
        }
    }

    fn leave(&mut self, ctx: &mut Context, place: usize) {
        let visit = &mut self.places[place];
        (visit.stage, visit.since) = (Stage::Leaving, ctx.now());
        let Some(client) = visit.client else { return };
        if self.abrupt > 0.0 && uniform(&mut ctx.rng) <= self.abrupt {
            ctx.tally.count(CUT, 1);
            return ctx.cut(client);
        }
        ctx.tally.count(IN_ORDER, 1);
        ctx.close(client);
    }

    fn later(&self, ctx: &mut Context, place: usize, pause: Nanos) {
        let serial = u64::from(self.places[place].serial);
        ctx.at(ctx.now() + pause, GO_ON | serial << 30 | place as u64);
    }
}

impl Scenario for Churn {
    fn figures(&self) -> Figures {
        FIGURES
    }

    fn start(&mut self, ctx: &mut Context) {
        for number in ctx.share.of(self.clients) {
            let stage = Stage::Free;
            self.places.push(Place { number, stage, client: None, due: 0, since: 0, serial: 0 });
        }
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn run(&mut self, ctx: &mut Context) {
        if let Some((rate, pacing)) = self.rate {
            self.open_loop = Some(OpenLoop::begin(ctx, rate, pacing, DUE));
        }
        for place in 0..self.places.len() {
            self.set_free(ctx, place);
        }
    }

    fn on_registered(&mut self, ctx: &mut Context, client: Client) {
        let (place, way, now) = (self.owners[client.index()], ctx.way_in(), ctx.now());
        let visit = &mut self.places[place];
        visit.stage = Stage::In;
        ctx.tally.record(CONNECT, way.begun, way.connected);
        ctx.tally.record(UPGRADE, way.connected, way.upgraded);
        ctx.tally.record(REGISTER, way.upgraded, now);
        ctx.tally.record(TOTAL, visit.due, now);
        if self.hold == 0 || ctx.is_over() {
            return self.leave(ctx, place);
        }
        self.later(ctx, place, self.hold);
    }

    fn on_frame(&mut self, ctx: &mut Context, _client: Client, payload: &[u8]) {
        const SHOWN_BYTES: usize = 200;
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(SHOWN_BYTES)]);
        ctx.tally.fault(|| format!("misdelivered: a frame for a client that asked for nothing: {shown}"));
    }

    fn on_timer(&mut self, ctx: &mut Context, token: u64) {
        if token == DUE {
            if let Some(open_loop) = &mut self.open_loop {
                open_loop.on_timer(ctx);
            }
            return self.begin_due(ctx);
        }
        let (place, serial) = ((token & 0x3fff_ffff) as usize, (token & !GO_ON) >> 30);
        let visit = &self.places[place];
        if u64::from(visit.serial) != serial {
            return;
        }
        match visit.stage {
            Stage::In => self.leave(ctx, place),
            Stage::Free => self.set_free(ctx, place),
            Stage::Entering | Stage::Leaving => {}
        }
    }

    fn on_closed(&mut self, ctx: &mut Context, client: Client, why: &Closed) {
        why.count(ctx);
        let place = self.owners[client.index()];
        let visit = &mut self.places[place];
        let stage = std::mem::replace(&mut visit.stage, Stage::Free);
        visit.client = None;
        self.begun -= 1;
        if stage != Stage::Leaving {
            return self.later(ctx, place, REFUSED_PAUSE);
        }
        ctx.tally.record(CLOSE, visit.since, ctx.now());
        ctx.tally.done();
        self.set_free(ctx, place);
    }

    fn stop(&mut self, ctx: &mut Context) {
        for place in 0..self.places.len() {
            if self.places[place].stage == Stage::In {
                self.leave(ctx, place);
            }
        }
    }

    fn in_flight(&self) -> usize {
        self.begun + self.open_loop.as_ref().map_or(0, OpenLoop::len)
    }

    fn finish(&mut self, ctx: &mut Context) {
        for _ in 0..self.begun {
            ctx.tally.error("unfinished", "visit");
        }
        if let Some(open_loop) = &mut self.open_loop {
            open_loop.give_up(ctx);
        }
    }
}
