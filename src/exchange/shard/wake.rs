//! Wake-on-ring: calls that wait for a sleeping agent (spec section 15).
//!
//! A waiting call has its record on the home shard of the dialled address, with a timer, and a place in the
//! listing's queue. Whoever comes to hold the address is given the oldest first. One handler runs at a time for an
//! address; a pool may have as many running as it has places left.

use std::sync::Arc;

use crate::exchange::address::Address;
use crate::exchange::call::{Record, Stage};
use crate::exchange::cause::Cause;
use crate::exchange::directory::Listing;
use crate::exchange::effect::{CallMode, Effect, Outbox};
use crate::exchange::event::{Concurrency, WakeHandler, WakeOutcome};
use crate::exchange::ids::{LineId, RecordId, WakeRun};
use crate::exchange::limits::{
    SHORTEST_WAIT_MS, TIMER_MS_MAX, WAITING_CALLS_MAX, WAITING_METADATA_BYTES_MAX,
};
use crate::exchange::signal::Dial;
use crate::exchange::tie::Vouch;
use crate::exchange::time::{Moment, Tick};
use crate::exchange::timers::{Due, TimerId};

use super::Shard;

/// A wake in flight. It is over when somebody comes to hold the address, when the handler fails, or when the
/// time is over in which the agent should have come.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) address: Address,
    started: Tick,
    /// The end of that time.
    deadline: Tick,
    /// Set as soon as the handler has done its work; until then the shell keeps the time.
    pub(super) timer: Option<TimerId>,
}

impl Shard {
    /// A dial to an address whose agent sleeps: steps 1 to 3.
    pub(super) fn wait_for_wake(&mut self, now: Moment, dial: Dial, out: &mut Outbox<'_>) {
        let Some(listing) = self.directory.listing(dial.to.as_str()) else { return };
        let Some(handler) = listing.asleep.clone().filter(|_| self.has_room_to_wait(listing)) else {
            return self.refuse_call(now, &dial, Cause::Unavailable, CallMode::Single, out);
        };
        let run = match listing.runs.first() {
            Some(&run) => run,
            None => self.start_run(now, &dial.to, &handler, out),
        };
        self.hold_call(now, dial, run, handler.timeout_ms, out);
    }

    /// Whether one more call may wait for an address.
    pub(super) fn has_room_to_wait(&self, listing: &Listing) -> bool {
        listing.waiting.len() < WAITING_CALLS_MAX
            && self.waiting_metadata_bytes < WAITING_METADATA_BYTES_MAX
            && !self.records.is_full()
    }

    /// Keeps a call until somebody holds the address.
    pub(super) fn hold_call(
        &mut self,
        now: Moment,
        dial: Dial,
        run: u64,
        timeout_ms: u64,
        out: &mut Outbox<'_>,
    ) {
        let (leg, call, line, hops, to) = (dial.leg, dial.call, dial.line, dial.hops, dial.to.clone());
        self.waiting_metadata_bytes += dial.metadata.as_ref().map_or(0, |metadata| metadata.len());
        self.waiting_calls += 1;
        let id = self.insert_call(dial, Stage::Waiting { run: Some(run) }, out);
        let timer = self.timers.set(wake_deadline(now, timeout_ms), Due::Call(id));
        if let Some(Record::Call(call)) = self.records.get_mut(id.0) {
            call.timer = Some(timer);
        }
        self.directory.edit(&to, |listing| listing.waiting.push_back(id));
        if hops > 0 {
            self.send(
                leg.shard(),
                crate::exchange::signal::Signal::Located { leg, call, line, record: id },
                out,
            );
        }
    }

    /// Runs the handler of an address.
    pub(super) fn start_run(
        &mut self,
        now: Moment,
        address: &Address,
        handler: &Arc<WakeHandler>,
        out: &mut Outbox<'_>,
    ) -> u64 {
        self.runs_started += 1;
        let number = self.runs_started;
        let deadline = wake_deadline(now, handler.timeout_ms);
        self.runs.insert(number, Run { address: address.clone(), started: now.tick, deadline, timer: None });
        self.directory.edit(address, |listing| listing.runs.push(number));
        let run = WakeRun { shard: self.id, number };
        out.push(Effect::Wake { run, address: address.clone(), handler: handler.clone() });
        number
    }

    /// A handler has come to its end. If it did its work, the calls go on waiting for the agent itself.
    pub(super) fn on_woken(&mut self, now: Moment, run: WakeRun, outcome: WakeOutcome, out: &mut Outbox<'_>) {
        let cause = match outcome {
            WakeOutcome::Answered => return self.expect_agent(run.number),
            WakeOutcome::Failed => Cause::WakeFailed,
            WakeOutcome::TimedOut => Cause::Timeout,
        };
        let Some(address) = self.runs.get(&run.number).map(|run| run.address.clone()) else { return };
        self.forget_run(run.number);
        self.tally.wakes_failed += 1;
        let waiting = self.directory.listing(address.as_str()).map(|listing| &listing.waiting);
        let calls: Vec<RecordId> =
            waiting.into_iter().flatten().copied().filter(|&id| self.waits_for(id, run)).collect();
        for call in calls {
            self.fail_call(now, call, cause, out);
        }
    }

    /// The handler has done its work: the wake stays in flight for the rest of its time.
    fn expect_agent(&mut self, number: u64) {
        let Some(run) = self.runs.get_mut(&number) else { return };
        run.timer.get_or_insert_with(|| self.timers.set(run.deadline, Due::Wake(number)));
    }

    /// A wake is not in flight any more.
    pub(super) fn forget_run(&mut self, number: u64) {
        let Some(run) = self.runs.remove(&number) else { return };
        self.directory.edit(&run.address, |listing| listing.runs.retain(|&other| other != number));
        if let Some(timer) = run.timer {
            self.timers.cancel(timer);
        }
    }

    fn waits_for(&self, id: RecordId, run: WakeRun) -> bool {
        let stage = Stage::Waiting { run: Some(run.number) };
        matches!(self.records.get(id.0), Some(Record::Call(call)) if call.stage == stage)
    }

    /// The address is held: what the handler has started may live on. In a pool, each
    /// new member takes the place of one run; which one cannot be told, so nothing that any of them started is ended.
    pub(super) fn settle_runs(
        &mut self,
        now: Moment,
        address: &Address,
        is_pool: bool,
        out: &mut Outbox<'_>,
    ) {
        if self.runs.is_empty() || self.directory.listing(address.as_str()).is_none() {
            return;
        }
        let most = if is_pool { 1 } else { usize::MAX };
        let runs = self.directory.listing(address.as_str()).map(|listing| &listing.runs);
        let settled: Vec<u64> = runs.into_iter().flatten().copied().collect();
        for (at, number) in settled.into_iter().enumerate() {
            // Which instance of a pool has come cannot be told: none is ended, but only one place is taken.
            if at < most {
                if let Some(run) = self.runs.get(&number) {
                    self.tally.waking.note_since(run.started, now.tick);
                }
                self.forget_run(number);
            }
            out.push(Effect::WakeSettled(WakeRun { shard: self.id, number }));
        }
    }

    /// Gives a line that is free as many of the calls that wait for its address as it can take, oldest first.
    pub(super) fn serve_waiting(&mut self, now: Moment, line: LineId, out: &mut Outbox<'_>) {
        if self.directory.is_plain() {
            return;
        }
        let Some(address) = self.address_of(line).cloned() else { return };
        if self.home(address.as_str()) != self.id {
            return;
        }
        while self.can_take_waiting(line) {
            let listing = self.directory.listing(address.as_str());
            // A line that waits for an address and comes to hold it itself does not ring itself.
            let waiting = listing.into_iter().flat_map(|listing| &listing.waiting).copied();
            let mut others = waiting.filter(|&id| !self.is_placed_by(id, line));
            let Some(id) = others.next() else { return };
            self.directory.edit(&address, |listing| listing.stop_waiting(id));
            self.serve_call(now, line, id, out);
        }
    }

    fn is_placed_by(&self, id: RecordId, line: LineId) -> bool {
        matches!(self.records.get(id.0), Some(Record::Call(call)) if call.caller == line)
    }

    fn can_take_waiting(&self, line: LineId) -> bool {
        let Some(entry) = self.lines.get(line.0) else { return false };
        if entry.reserve().is_some() || entry.calls() as u32 >= self.limits.calls_per_line_max {
            return false;
        }
        match entry.concurrency() {
            Concurrency::Single => !entry.in_call(),
            Concurrency::Parallel { .. } => {
                self.capacity(line).is_none_or(|most| entry.sessions() < most as usize)
            }
            Concurrency::Broadcast { .. } => true,
        }
    }

    fn serve_call(&mut self, now: Moment, line: LineId, id: RecordId, out: &mut Outbox<'_>) {
        let Some(Record::Call(call)) = self.records.get_mut(id.0) else { return };
        let metadata = call.metadata.take();
        self.waiting_metadata_bytes -= metadata.as_ref().map_or(0, |metadata| metadata.len());
        if let Some(timer) = call.timer.take() {
            self.timers.cancel(timer);
        }
        let Some(Concurrency::Broadcast { .. }) = self.lines.get(line.0).map(|line| line.concurrency())
        else {
            self.waiting_calls -= 1;
            return self.ring(now, line, id, metadata, out);
        };
        if call.is_inbound {
            return self.fail_call(now, id, Cause::Unsupported, out);
        }
        self.waiting_calls -= 1;
        // A listener has no record of its own: the call becomes a dial again.
        let Some(Record::Call(call)) = self.records.remove(id.0) else { return };
        self.records_by_call.remove(&call.id);
        let dial = Dial {
            call: call.id,
            leg: call.leg,
            line: call.caller,
            from: call.from,
            to: call.to,
            metadata,
            started: call.started,
            hops: 0,
            guest: None,
            vouch: Vouch::Unverified,
            inbound: None,
            trace: call.trace,
        };
        self.listen(now, line, dial, out);
    }
}

/// Until when a caller waits for an agent, and an agent is expected.
fn wake_deadline(now: Moment, timeout_ms: u64) -> Tick {
    now.tick.plus_millis(timeout_ms.clamp(SHORTEST_WAIT_MS, TIMER_MS_MAX))
}
