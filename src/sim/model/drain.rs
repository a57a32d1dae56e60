//! A drain in the model (section 20; docs/OPERATIONS.md, deploying).
//!
//! In which order lines go is each shard's own choice, so the model is told who goes and when. What it says by itself: who may
//! go by then and what he hears last, what the others hear, that whoever may go does so in time, and that nobody is
//! left when the exchange has stopped. How many go at a time is the judge's affair (`judge/drain.rs`).

use crate::exchange::Tick;
use crate::exchange::cause::Cause;
use crate::exchange::event::DrainOrder;
use crate::sim::client::{ClientNo, Heard, Place};
use crate::sim::judge::Breach;

use super::{GRAIN_MS, Model};

/// What one line takes at the slowest pace, 50 a second, in ms.
const TURN_MS: u64 = 20;
/// Until a line that has just become idle is noticed, in ms: in so small an exchange a round through all places takes a quarter of
/// the second that it may take, and some steps.
const NOTICE_MS: u64 = 300;

/// A drain under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    order: DrainOrder,
    begun_ms: u64,
    /// How many lines there were: all others may have their turn before one.
    lines: u64,
    /// Its limit is reached.
    is_over: bool,
}

/// For what a line is left alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Business {
    None,
    /// Parties and broadcasts, until idle lines have had their time.
    Standing,
    /// A call of two, until its end or the limit.
    Call,
    /// A service of the exchange goes when the exchange does.
    Service,
}

impl Model {
    /// Whether a drain has begun.
    pub fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    pub(super) fn begin_drain(&mut self, order: DrainOrder) {
        let lines = self.alive().count() as u64;
        let begun_ms = self.now_ms;
        self.drain.get_or_insert(Drain { order, begun_ms, lines, is_over: false });
    }

    /// When those in parties and broadcasts may go as well, in ms.
    pub(super) fn turn_ms(&self) -> Option<u64> {
        self.drain.map(|drain| drain.begun_ms + drain.order.spread_ms)
    }

    /// The limit is reached.
    pub(super) fn stop(&mut self) {
        self.drain.iter_mut().for_each(|drain| drain.is_over = true);
    }

    /// A line has been closed by the drain, and `heard` is all that it has heard.
    ///
    /// # Errors
    /// If it should not have been.
    pub fn send_away(
        &mut self,
        client: ClientNo,
        cause: Cause,
        at: Tick,
        heard: &[Heard],
    ) -> Result<(), Breach> {
        self.catch_up(client, at, heard);
        let business = self.business(client);
        let is_service = cause == Cause::ServiceShutdown;
        let is_due = self.drain.is_some_and(|drain| {
            business <= drain.most(self.now_ms) && is_service == (business == Business::Service)
        });
        if !is_due {
            let Self { drain, now_ms, .. } = self;
            let detail = format!("client {client}, {business:?}, goes by {cause} at {now_ms}, {drain:?}");
            return Err(Breach::new("nobody is sent away before his time", detail));
        }
        if !is_service {
            self.say_what_is_over(client);
        }
        self.leave_everything(client, if is_service { cause } else { Cause::Shutdown });
        self.hear(client, Heard::Closed(cause));
        self.note_leisure();
        Ok(())
    }

    /// Brings the model to the moment at which a line goes. What else is due at that very moment may come before or after; of
    /// rings it makes no difference to anybody else, and whether the line was about to sleep it has heard.
    fn catch_up(&mut self, client: ClientNo, at: Tick, heard: &[Heard]) {
        self.pass(Tick::from_millis(at.millis().saturating_sub(1)));
        self.now_ms = self.now_ms.max(at.millis());
        while let Some(nth) = self.calls.iter().position(|call| self.is_now(call.due_ms)) {
            self.ring_timeout(nth);
        }
        let warnings = |heard: &[Heard]| {
            heard.iter().filter(|heard| matches!(heard, Heard::SleepPending { .. })).count()
        };
        let is_warned = warnings(heard) > warnings(&self.clients[client].transcript);
        if is_warned && self.is_now(self.lines[client].sleep.and_then(|sleep| sleep.due_ms)) {
            self.idle(client);
        }
    }

    fn is_now(&self, due_ms: Option<u64>) -> bool {
        due_ms.is_some_and(|due_ms| due_ms.div_ceil(GRAIN_MS) * GRAIN_MS <= self.now_ms)
    }

    /// Whoever goes while he has calls is told that they are over, and that what rang has come to nothing.
    fn say_what_is_over(&mut self, client: ClientNo) {
        let reason = || Cause::Shutdown.name().to_owned();
        let mine = self.calls.iter().filter(|call| call.is_party(client));
        let told = mine.map(|call| call.last_word(client, reason()));
        let told: Vec<_> = told.collect();
        let sessions = self.sessions.iter().filter(|session| session.has(client));
        let listened: Vec<_> = sessions
            .map(|session| Heard::HungUp { call: session.id, reason: reason(), from: None })
            .collect();
        let (dials, calls): (Vec<_>, Vec<_>) =
            told.into_iter().partition(|heard| matches!(heard, Heard::Busy { .. }));
        for heard in dials.into_iter().chain(calls).chain(listened) {
            self.hear(client, heard);
        }
    }

    fn business(&self, client: ClientNo) -> Business {
        if self.clients[client].internal {
            return Business::Service;
        }
        if self.calls.iter().any(|call| call.is_party(client)) {
            return Business::Call;
        }
        let stands = self.parties.iter().any(|(_, members)| members.contains(&client))
            || self.sessions.iter().any(|session| session.host == client || session.entertains(client));
        if stands { Business::Standing } else { Business::None }
    }

    /// Notes since when lines may go.
    pub(super) fn note_leisure(&mut self) {
        let Some(drain) = self.drain else { return };
        let (now_ms, most) = (self.now_ms, drain.most(self.now_ms).min(Business::Standing));
        for client in 0..self.lines.len() {
            let may_go = self.clients[client].place != Place::Gone && self.business(client) <= most;
            let since_ms = self.lines[client].at_leisure_since_ms.unwrap_or(now_ms);
            self.lines[client].at_leisure_since_ms = may_go.then_some(since_ms);
        }
    }

    /// Judges a moment at which the exchange has done what it had to.
    ///
    /// # Errors
    /// If somebody is here who should have gone.
    pub fn judge_drain(&self) -> Result<(), Breach> {
        let Some(drain) = self.drain else { return Ok(()) };
        let patience_ms = if drain.is_over { 0 } else { drain.lines * TURN_MS + NOTICE_MS };
        let late = self.alive().find(|&client| {
            let since_ms = self.lines[client].at_leisure_since_ms;
            drain.is_over || since_ms.is_some_and(|since_ms| self.now_ms > since_ms + patience_ms)
        });
        let Some(client) = late else { return Ok(()) };
        let (now_ms, business) = (self.now_ms, self.business(client));
        let detail = format!("client {client}, {business:?}, is here at {now_ms}, {drain:?}");
        Err(Breach::new("whoever may go in a drain does so in time", detail))
    }
}

impl Drain {
    /// The busiest that may go by now.
    fn most(&self, now_ms: u64) -> Business {
        match (self.is_over, now_ms >= self.begun_ms + self.order.spread_ms) {
            (true, _) => Business::Service,
            (false, true) => Business::Standing,
            (false, false) => Business::None,
        }
    }
}
