//! The lines of a storm: all registered, all gone at once, all on their way back.
//!
//! Who is refused tries again after a pause by chance (full jitter), twice as long at most each time, so that the
//! crowd that was turned away does not come back as a crowd.

use std::sync::Arc;

use super::course::Course;
use super::{LOST, OPERATIONS_LATENCY, RECONNECT_ALONE, REFUSED};
use crate::engine::timers::{MILLISECOND, Nanos, SECOND};
use crate::engine::{Client, Closed, Context, Enter, Share};
use crate::measure::open_loop::uniform;
use crate::scenarios::rota::Rota;

/// The first pause is below this.
const PAUSE_MIN: Nanos = 50 * MILLISECOND;
/// No pause is above this.
const PAUSE_MAX: Nanos = 5 * SECOND;
/// The cut.
const CUT: u64 = 0;
/// Heartbeats are due.
const HEARTBEAT: u64 = 1;
/// With a line behind it: it tries again.
const AGAIN: u64 = 1 << 62;

/// A line.
#[derive(Clone, Debug)]
struct Line {
    number: usize,
    client: Option<Client>,
    is_in: bool,
    /// It was lost in the storm and has not come back.
    lost: bool,
    /// It has come back once.
    back: bool,
    /// How often it was refused since it was last in.
    refused: u32,
    /// What kept it the last time, since it was last in.
    kept_by: Option<String>,
}

/// One worker's lines.
pub struct Lines {
    share: Share,
    total: usize,
    /// Nobody calls beside them.
    pub(super) are_alone: bool,
    /// From the beginning of the load to the cut; not if somebody else restarts the server.
    cut_after: Option<Nanos>,
    at_once: Option<usize>,
    tag: String,
    domain: String,
    course: Arc<Course>,
    lines: Vec<Line>,
    owners: Vec<usize>,
    /// When the storm began, as this worker knows.
    begun: Option<Nanos>,
    /// Lines that are in.
    count_in: usize,
    rota: Option<Rota>,
}

impl Lines {
    pub(super) fn new(share: Share, names: [String; 2], course: Arc<Course>, storm: Plan) -> Self {
        let [tag, domain] = names;
        Self {
            share,
            total: storm.connections,
            are_alone: storm.are_alone,
            cut_after: storm.cut_after,
            at_once: storm.at_once,
            tag,
            domain,
            course,
            lines: Vec::new(),
            owners: Vec::new(),
            begun: None,
            count_in: 0,
            rota: None,
        }
    }

    fn enter(&mut self, ctx: &mut Context, line: usize) {
        let number = self.lines[line].number;
        let name = format!("line-{number}-{}@{}", self.tag, self.domain);
        let register = ctx.plan().register(&name, "");
        let client = ctx.connect(Enter { register, place: number });
        self.lines[line].client = Some(client);
        if self.owners.len() <= client.index() {
            self.owners.resize(client.index() + 1, 0);
        }
        self.owners[client.index()] = line;
    }

    fn cut_all(&mut self, ctx: &mut Context) {
        self.begin_storm(ctx);
        for line in &mut self.lines {
            line.lost = true;
            if let Some(client) = line.client {
                ctx.cut(client);
            }
        }
    }

    fn begin_storm(&mut self, ctx: &mut Context) {
        if self.begun.is_none() {
            self.begun = Some(self.course.begin(ctx.now()));
            let at_once = self.at_once.unwrap_or(self.lines.len());
            ctx.allow_connects(at_once);
        }
    }

    /// A pause by chance: anything up to twice the last bound.
    fn pause(ctx: &mut Context, refused: u32) -> Nanos {
        let bound = PAUSE_MIN.saturating_mul(1 << refused.min(u32::BITS / 2)).min(PAUSE_MAX);
        (bound as f64 * uniform(&mut ctx.rng)) as Nanos
    }

    pub(super) fn start(&mut self, ctx: &mut Context) {
        for number in self.share.of(self.total) {
            let line = self.lines.len();
            self.lines.push(Line {
                number,
                client: None,
                is_in: false,
                lost: false,
                back: false,
                refused: 0,
                kept_by: None,
            });
            self.enter(ctx, line);
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.count_in == self.lines.len()
    }

    pub(super) fn run(&mut self, ctx: &mut Context) {
        if let Some(after) = self.cut_after {
            let begin = ctx.now() + ctx.plan().warm_up;
            ctx.at(begin + after, CUT);
        }
        self.rota = Some(Rota::begin(ctx, self.lines.len(), HEARTBEAT));
    }

    pub(super) fn on_registered(&mut self, ctx: &mut Context, client: Client) {
        let now = ctx.now();
        let line = &mut self.lines[self.owners[client.index()]];
        (line.is_in, line.refused, line.kept_by) = (true, 0, None);
        self.count_in += 1;
        if !std::mem::take(&mut line.lost) {
            return;
        }
        let way = ctx.way_in();
        ctx.tally.record(RECONNECT_ALONE, way.begun, now);
        if !std::mem::replace(&mut line.back, true) {
            self.course.back(now, self.total);
        }
        if let Some(begun) = self.begun {
            ctx.tally.record(OPERATIONS_LATENCY, begun, now);
            ctx.tally.done();
        }
    }

    pub(super) fn on_frame(ctx: &mut Context, payload: &[u8]) {
        const SHOWN_BYTES: usize = 200;
        if crate::engine::wire::kind(payload) == b"HEARTBEAT_ACK" {
            return;
        }
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(SHOWN_BYTES)]);
        ctx.tally.fault(|| format!("misdelivered: a frame for a line that asked for nothing: {shown}"));
    }

    pub(super) fn on_timer(&mut self, ctx: &mut Context, token: u64) {
        match token {
            CUT => self.cut_all(ctx),
            HEARTBEAT => {
                let Some(rota) = &mut self.rota else { return };
                while let Some((line, _)) = rota.next_due(ctx) {
                    if let Some(client) = self.lines[line].client {
                        rota.send(ctx, client);
                    }
                }
            }
            again if !ctx.is_over() => self.enter(ctx, (again & !AGAIN) as usize),
            _ => {}
        }
    }

    pub(super) fn on_closed(&mut self, ctx: &mut Context, client: Client, why: &Closed) {
        let at = self.owners[client.index()];
        let was_in = std::mem::take(&mut self.lines[at].is_in);
        self.lines[at].client = None;
        if was_in {
            self.count_in -= 1;
        }
        if ctx.is_over() {
            return why.count(ctx);
        }
        if was_in && *why != Closed::Local {
            self.lost(ctx, at, why);
        } else if !was_in {
            why.count(ctx);
            ctx.tally.count(REFUSED, 1);
            self.lines[at].kept_by = Some(why.word());
        }
        let line = &mut self.lines[at];
        // The crowd comes at once, as clients do that know no better; only who is turned away waits.
        if was_in && *why == Closed::Local {
            return self.enter(ctx, at);
        }
        let pause = Self::pause(ctx, line.refused);
        line.refused += 1;
        ctx.at(ctx.now() + pause, AGAIN | at as u64);
    }

    /// The server has ended a line's connection: that is the storm if it is waited for, and an error otherwise.
    fn lost(&mut self, ctx: &mut Context, line: usize, why: &Closed) {
        ctx.tally.count(LOST, 1);
        if self.cut_after.is_some() || self.lines[line].back || matches!(why, Closed::Malformed(_)) {
            why.count(ctx);
        }
        if self.cut_after.is_none() && !self.lines[line].back {
            self.begin_storm(ctx);
            self.lines[line].lost = true;
        }
    }

    pub(super) fn finish(&self, ctx: &mut Context) {
        for line in self.lines.iter().filter(|line| line.lost) {
            ctx.tally.error("unfinished", "reconnect");
            self.course.miss(line.kept_by.as_deref().unwrap_or("no answer yet"));
        }
    }

    /// Lines that have not come back.
    pub(super) fn in_flight(&self) -> usize {
        self.lines.iter().filter(|line| line.lost && line.client.is_some()).count()
    }
}

/// What the lines are to do.
pub(super) struct Plan {
    /// Of all workers.
    pub connections: usize,
    /// See [`Lines`].
    pub are_alone: bool,
    /// See [`Lines`].
    pub cut_after: Option<Nanos>,
    /// Of this worker.
    pub at_once: Option<usize>,
}
