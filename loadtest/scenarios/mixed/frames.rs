//! What comes back on a line, and whether it is what the dial was meant to give.
//!
//! A race between two ends is counted and no fault: a call that is answered while it is taken back, a busy line that has
//! become free when the dial arrives. Everything else that is out of turn is a fault.

use super::call::{Kind, Stage};
use super::figures::{
    BUSY, CANCELLED, CONNECTED, DIAL_TO_RING, MESSAGE, MESSAGES, RACED, RING_TO_CONNECTED, UNANSWERED,
    UNKNOWN,
};
use super::lines::Role;
use super::{Mixed, RING_MAX, below, remove};
use crate::engine::Context;
use crate::engine::timers::MILLISECOND;
use crate::engine::wire;
use crate::scenarios::msg::talk::Received;

impl Mixed {
    /// A frame for a line.
    pub(super) fn take_frame(&mut self, ctx: &mut Context, line: usize, payload: &[u8]) {
        let kind = wire::kind(payload);
        if kind == b"HEARTBEAT_ACK" {
            return self.on_beat(ctx, line, payload);
        }
        if line >= self.lines.phones {
            return self.fault(ctx, line, "misdelivered: a frame for a line that asked for nothing", payload);
        }
        match (kind, self.lines.all[line].role) {
            // What is left of a call that was given up.
            (_, Role::Down) => {}
            (b"RING", Role::Callee(caller))
                if self.is_due(caller, Stage::Dialled) && self.is_from(caller, payload) =>
            {
                self.on_ring(ctx, line, caller, payload);
            }
            (b"RING", _) => self.on_stray_ring(ctx, line, payload),
            (b"DIALING", Role::Caller) => self.on_dialing(ctx, line, payload),
            (b"CONNECTED", _) => self.on_connected(ctx, line, payload),
            (b"BUSY", Role::Caller) => self.on_busy(ctx, line, payload),
            (b"ERROR", Role::Caller) => self.on_error(ctx, line, payload),
            (b"HANGUP", Role::Caller) => self.on_callers_hang_up(ctx, line, payload),
            (b"HANGUP", Role::Callee(caller)) => self.on_callees_hang_up(ctx, line, caller, payload),
            (b"MSG", Role::Caller) => self.on_message(ctx, line, line, payload),
            (b"MSG", Role::Callee(caller)) => self.on_message(ctx, line, caller, payload),
            _ => self.fault(ctx, line, "out of turn or doubled", payload),
        }
    }

    fn is_due(&self, caller: usize, stage: Stage) -> bool {
        self.calls[caller].as_ref().is_some_and(|call| call.stage == stage)
    }

    fn is_from(&self, caller: usize, payload: &[u8]) -> bool {
        wire::text(payload, "from") == Some(self.lines.all[caller].name.as_bytes())
    }

    /// Whether a frame names this caller's call.
    fn is_about(&self, caller: usize, payload: &[u8]) -> bool {
        self.calls[caller].as_ref().is_some_and(|call| wire::call_id(payload) == Some(call.id))
    }

    /// Whether a frame names whom this caller has dialled.
    fn is_to_callee(&self, caller: usize, payload: &[u8]) -> bool {
        let callee = self.calls[caller].as_ref().and_then(|call| call.callee);
        callee.is_some_and(|callee| wire::text(payload, "to") == Some(self.lines.all[callee].name.as_bytes()))
    }

    fn on_ring(&mut self, ctx: &mut Context, callee: usize, caller: usize, payload: &[u8]) {
        let Some(id) = wire::call_id(payload) else {
            return self.fault(ctx, callee, "malformed: a RING without a call id", payload);
        };
        let now = ctx.now();
        let pause = MILLISECOND + below(ctx, RING_MAX as usize) as u64;
        let Some(call) = &mut self.calls[caller] else { return };
        if call.told.is_some_and(|told| told != id) {
            return self.fault(ctx, callee, "misdelivered: RING and DIALING name different calls", payload);
        }
        (call.id, call.since) = (id, now);
        ctx.tally.record(DIAL_TO_RING, call.due, now);
        match call.kind {
            Kind::Talk => {
                call.stage = Stage::Answered;
                if let Some(client) = self.lines.all[callee].client {
                    ctx.send_about(client, &self.answer, &id);
                }
            }
            Kind::Cancelled => {
                call.stage = Stage::Ringing;
                self.step_after(ctx, caller, pause);
            }
            Kind::Unanswered | Kind::Busy | Kind::Unknown => {
                call.stage = Stage::Ringing;
                if ctx.is_over() {
                    self.take_back(ctx, caller);
                }
            }
        }
    }

    /// A phone that was to be busy is free again when the dial arrives: it rejects.
    fn on_stray_ring(&mut self, ctx: &mut Context, line: usize, payload: &[u8]) {
        let probes = &self.lines.all[line].probed_by;
        let caller = probes.iter().copied().find(|&caller| self.is_from(caller, payload));
        let (Some(caller), Some(id)) = (caller, wire::call_id(payload)) else {
            return self.fault(ctx, line, "out of turn, doubled or from somebody else", payload);
        };
        let Some(call) = &mut self.calls[caller] else { return };
        if call.stage != Stage::Dialled {
            return self.fault(ctx, line, "doubled: RING came again", payload);
        }
        (call.id, call.stage, call.since) = (id, Stage::Ending, ctx.now());
        ctx.tally.count(RACED, 1);
        if let Some(client) = self.lines.all[line].client {
            ctx.send_about(client, &self.hang_up, &id);
        }
    }

    fn on_dialing(&mut self, ctx: &mut Context, caller: usize, payload: &[u8]) {
        let serial = self.serials[caller].to_string();
        let Some(call) = &mut self.calls[caller] else { return };
        let (Some(id), true) = (wire::call_id(payload), call.kind.has_ref() && call.told.is_none()) else {
            return self.fault(ctx, caller, "out of turn: DIALING that nobody asked for", payload);
        };
        if wire::text(payload, "ref") != Some(serial.as_bytes())
            || call.stage == Stage::Ringing && call.id != id
        {
            return self.fault(ctx, caller, "misdelivered: DIALING of another dial", payload);
        }
        call.told = Some(id);
        // The day is over, and this was all that the caller had to know to give up.
        if ctx.is_over() && call.stage == Stage::Ringing && call.kind == Kind::Unanswered {
            self.take_back(ctx, caller);
        }
    }

    fn on_connected(&mut self, ctx: &mut Context, caller: usize, payload: &[u8]) {
        if wire::call_id(payload).is_some() && wire::call_id(payload) == self.raced[caller] {
            self.raced[caller] = None;
            return ctx.tally.count(RACED, 1);
        }
        let is_due = self.lines.all[caller].role == Role::Caller && self.is_due(caller, Stage::Answered);
        if !is_due || !self.is_about(caller, payload) || !self.is_to_callee(caller, payload) {
            return self.fault(ctx, caller, "misdelivered, doubled or out of turn: CONNECTED", payload);
        }
        let (messages, talk) = (self.day.messages_per_call, self.day.talk_ms);
        let count = messages.least + below(ctx, (messages.most - messages.least + 1) as usize) as u64;
        let talk = talk.least * MILLISECOND
            + below(ctx, ((talk.most - talk.least) * MILLISECOND + 1) as usize) as u64;
        let (now, over) = (ctx.now(), ctx.is_over());
        let Some(call) = &mut self.calls[caller] else { return };
        ctx.tally.record(RING_TO_CONNECTED, call.since, now);
        ctx.tally.count(CONNECTED, 1);
        ctx.tally.done();
        (call.stage, call.since) = (Stage::Standing, now);
        call.left = if over { 0 } else { count };
        call.gap = talk / (count + 1);
        self.standing.push(caller);
        let pause = if over { 0 } else { talk / (count + 1) };
        self.step_after(ctx, caller, pause);
    }

    fn on_busy(&mut self, ctx: &mut Context, caller: usize, payload: &[u8]) {
        let reason = wire::reason(payload);
        let Some(call) = &mut self.calls[caller] else { return };
        let in_turn = match call.kind {
            // The server gave up while the caller did; the far end's HANGUP ends it.
            Kind::Unanswered if call.stage == Stage::Ending => return,
            Kind::Unanswered => call.stage == Stage::Ringing,
            _ => call.stage == Stage::Dialled,
        };
        if !in_turn {
            return self.fault(ctx, caller, "out of turn or doubled: BUSY", payload);
        }
        if !call.kind.expects_busy(reason) {
            ctx.tally.error("busy", &String::from_utf8_lossy(reason));
            return self.abort(ctx, caller);
        }
        match call.kind {
            // Its other end is told as well.
            Kind::Unanswered if !std::mem::replace(&mut call.half_over, true) => return,
            Kind::Unanswered => ctx.tally.count(UNANSWERED, 1),
            Kind::Busy => ctx.tally.count(BUSY, 1),
            _ => ctx.tally.count(UNKNOWN, 1),
        }
        ctx.tally.done();
        self.end(ctx, caller);
    }

    fn on_error(&mut self, ctx: &mut Context, caller: usize, payload: &[u8]) {
        let reason = wire::reason(payload);
        ctx.tally.error("error", &String::from_utf8_lossy(reason));
        self.abort(ctx, caller);
    }

    /// The far end has rejected, which only happens where a busy line had become free, or the server ended the call.
    fn on_callers_hang_up(&mut self, ctx: &mut Context, caller: usize, payload: &[u8]) {
        if !self.is_about(caller, payload) {
            return self.fault(ctx, caller, "misdelivered: HANGUP with another call id", payload);
        }
        let rejected = self.calls[caller].as_ref().is_some_and(|call| call.kind == Kind::Busy);
        if rejected && self.is_due(caller, Stage::Ending) {
            ctx.tally.done();
            return self.end(ctx, caller);
        }
        self.ended_by_server(ctx, caller, payload);
    }

    fn on_callees_hang_up(&mut self, ctx: &mut Context, callee: usize, caller: usize, payload: &[u8]) {
        if !self.is_about(caller, payload) {
            return self.fault(ctx, callee, "misdelivered: HANGUP with another call id", payload);
        }
        let reason = wire::reason(payload);
        let Some(call) = &mut self.calls[caller] else { return };
        match (call.kind, call.stage, reason) {
            (Kind::Talk, Stage::Ending, b"normal") => return self.end(ctx, caller),
            (Kind::Cancelled, Stage::Ending, b"cancelled") => ctx.tally.count(CANCELLED, 1),
            // It was answered first.
            (Kind::Cancelled, Stage::Ending, b"normal") if call.races => {}
            // The server gave up while the caller did.
            (Kind::Unanswered, Stage::Ending, b"cancelled" | b"timeout") => ctx.tally.count(UNANSWERED, 1),
            (Kind::Unanswered, Stage::Ringing, b"timeout") => {
                if !std::mem::replace(&mut call.half_over, true) {
                    return;
                }
                ctx.tally.count(UNANSWERED, 1);
            }
            (_, Stage::Ending, reason) if !wire::is_exchanges_own(reason) => {
                return self.fault(ctx, callee, "changed: HANGUP with another reason", payload);
            }
            _ => return self.ended_by_server(ctx, caller, payload),
        }
        ctx.tally.done();
        self.end(ctx, caller);
    }

    fn ended_by_server(&mut self, ctx: &mut Context, caller: usize, payload: &[u8]) {
        let reason = wire::reason(payload);
        ctx.tally.error("hangup", &String::from_utf8_lossy(reason));
        remove(&mut self.standing, caller);
        self.abort(ctx, caller);
    }

    fn on_message(&mut self, ctx: &mut Context, line: usize, caller: usize, payload: &[u8]) {
        let now = ctx.now();
        let Some(call) = &mut self.calls[caller] else { return };
        // What the caller says comes to the callee, and the other way round.
        let (end, from) = if line == caller { (1, call.callee.unwrap_or(line)) } else { (0, caller) };
        if call.stage != Stage::Standing {
            return self.fault(ctx, line, "out of turn or doubled: MSG", payload);
        }
        let way = &mut call.ways[end];
        let (id, mut head) = (call.id, std::mem::take(&mut way.head));
        let read = self.form.read(&mut head, payload, &id, Some(self.lines.all[from].name.as_bytes()));
        way.head = head;
        match read.map(|(number, time)| way.received(number, time, now)) {
            Ok(Received::InOrder { time }) => {
                ctx.tally.record(MESSAGE, time, now);
                ctx.tally.count(MESSAGES, 1);
            }
            Ok(Received::Otherwise(what)) => self.fault(ctx, line, &what, payload),
            Err(what) => self.fault(ctx, line, what, payload),
        }
    }
}
