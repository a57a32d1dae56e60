//! The way out: effects are performed, notices translated and corked; `flushing.rs` writes the sockets.
//!
//! Effects are performed in the order in which the core gave them. Output is bounded: beyond the limit a
//! connection is lost as a slow consumer, unless the core says that whoever fills it is being held back.

use bytes::Bytes;

use crate::dialect::systemx::{encode, encode_named, encoded_len_hint};
use crate::exchange::LineId;
use crate::exchange::effect::{Effect, Notice, Outbox, Payload};
use crate::exchange::event::Event;
use crate::exchange::ids::{Handle, ShardId};
use crate::exchange::line::Luggage;
use crate::exchange::tie::TieNotice;
use crate::exchange::tie_party::PartyWord;
use crate::websocket::{MessageKind, encoder};

use super::super::connection::Role;
use super::{Freight, Switchboard};

/// How much beyond the limit a connection's output may grow while its sender is being held: one message of the
/// largest size, and what was under way when the sender was told.
const TOLERATED_BYTES: usize = 32 << 20;
/// How many times as much as for a client may wait for a link to another exchange. A client that does not take its own calls
/// loses them; a link that is cut loses those of many, who cannot be held one by one. With the defaults it is 16 MiB, as
/// long as the longest message: what one call says in one breath cuts off no other.
const TIE_OUTPUT_TIMES: usize = 16;
/// From half its limit on, each time a blocked link's output has grown by this part of it, the calls that press most end.
/// Half is far more than those leave behind that were held in time; eight steps are left for those that cannot be.
const PRESSED_STEP_PART: usize = 16;
/// The part of the total by which it may be exceeded before connections are dropped without a word.
const SEVERE_EXCESS_PART: usize = 4;

/// Whether there is room for output. The less there is in all, the less for each, or thousands that stop reading at
/// the high-water mark would exceed any total.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scarcity {
    None,
    Some,
    Severe,
}

/// What is written to a connection, as far as its bounds are concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// What clients say to each other.
    Message,
    /// What the exchange says: never dropped, and never a reason to cut a connection that still reads.
    Signalling,
}

/// Whether an output that grows from `before` to `after` comes a step closer to its limit, all in bytes.
fn has_passed_a_step(before: usize, after: usize, most: usize) -> bool {
    let step = (most / PRESSED_STEP_PART).max(1);
    after > most / 2 && before / step != after / step
}

/// Whether clients say something, on whatever way.
fn said_by(notice: &Notice<'_>) -> Said {
    match notice {
        Notice::Message { .. } | Notice::PartyMessage { .. } => Said::Message,
        Notice::Tie(TieNotice::Party(talk)) if matches!(talk.word, PartyWord::Says { .. }) => Said::Message,
        _ => Said::Signalling,
    }
}

impl Switchboard {
    /// Performs effects, in order.
    pub(super) fn perform(&mut self, out: &mut Outbox<'_>) {
        let mut effects = std::mem::take(&mut out.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Notify { line, notice } => self.notify(line, notice, out),
                Effect::Publish { lines, notice } => self.publish(&lines, &notice),
                Effect::Close { line, cause } => self.close_line(line, cause),
                Effect::SendAway { line, retry_after_ms } => self.send_line_away(line, retry_after_ms),
                Effect::Pause(line) => self.pause(line),
                Effect::Resume(line) => self.resume(line),
                Effect::Relocate { line, to, luggage } => self.relocate(line, to, luggage),
                Effect::Signal { to, signal } => {
                    self.stamp_trunk(to);
                    self.port.send(to.index(), Freight::Signal(signal));
                }
                Effect::Wake { run, address, handler } => self.desk.wake(run, &address, &handler),
                Effect::WakeSettled(run) => self.desk.settle(run),
                Effect::Record(record) => {
                    let name = self.call_names.as_ref().and_then(|names| names.get(record.call));
                    self.desk.record(&record, name);
                }
                Effect::CallNamed { call, name } => self.call_names.get_or_insert_default().add(call, name),
                Effect::CallForgotten(call) => {
                    if let Some(names) = &mut self.call_names {
                        names.forget(call);
                    }
                }
                Effect::Tie { line, news } => self.note_tie(line, &news),
                Effect::Stray(line) => self.warn_of_stray(line),
                Effect::KeysWanted => self.desk.want_keys(),
            }
        }
        out.effects = effects;
    }

    fn notify(&mut self, line: LineId, notice: Notice<'_>, out: &mut Outbox<'_>) {
        let Some(handle) = self.connection_of(line) else { return self.notify_service(line, &notice) };
        self.note(line, &notice);
        self.watch_notice(line, &notice);
        if matches!(notice, Notice::Refused { .. }) && self.is_outbound(handle) {
            return;
        }
        match notice {
            Notice::Registered { .. } => self.note_registered(handle),
            Notice::Tie(TieNotice::Registered { .. }) => self.note_tie_line(handle),
            _ => {}
        }
        let said = said_by(&notice);
        let names = self.call_names.take();
        self.write_text(handle, said, encoded_len_hint(&notice), |buffer| {
            encode_named(&notice, names.as_deref(), buffer);
        });
        self.call_names = names;
        if let Notice::Message { data: Payload::Owned(spent), .. } = notice {
            out.recycle(spent);
        }
    }

    /// Whether this exchange has called there: nothing is answered with ERROR then (spec 19.9).
    pub(super) fn is_outbound(&self, handle: Handle) -> bool {
        self.connections.get(handle).is_some_and(|connection| connection.state.outbound)
    }

    /// The connection may send larger messages from now on, and counts in the other budget.
    fn note_registered(&mut self, handle: Handle) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        if !connection.state.registered {
            let counted = connection.counted as usize;
            self.totals.unregistered = self.totals.unregistered.saturating_sub(counted);
            connection.forget_token();
            connection.state.registered = true;
            connection.counted = u32::try_from(connection.held_bytes()).unwrap_or(u32::MAX);
            self.totals.input += connection.counted as usize;
        }
    }

    /// The connection leads to another exchange, which may say more than clients.
    pub(super) fn note_tie_line(&mut self, handle: Handle) {
        self.note_registered(handle);
        if let Some(connection) = self.connections.get_mut(handle) {
            connection.state.tie = true;
        }
    }

    fn notify_service(&mut self, line: LineId, notice: &Notice<'_>) {
        if let Some(service) = &mut self.log_service {
            service.hear(self.now, line, notice);
        }
    }

    /// The same for many: translated and framed once.
    fn publish(&mut self, lines: &[LineId], notice: &Notice<'_>) {
        let mut frame = Vec::with_capacity(encoded_len_hint(notice));
        let mark = encoder::begin_expecting(&mut frame, encoded_len_hint(notice));
        encode(notice, &mut frame);
        mark.finish(&mut frame, MessageKind::Text);
        let frame = Bytes::from(frame);
        self.delivered += lines.len();
        self.watch_publication(lines, notice);
        for &line in lines {
            let Some(handle) = self.connection_of(line) else { continue };
            let Some(connection) = self.connections.get_mut(handle) else { continue };
            let output = connection.output.get_or_insert_with(|| self.spares.take_queue());
            let before = output.len();
            if connection.state.outbound {
                // Its mask is its own.
                let masks = &mut self.masks;
                output.cork(&mut self.spares, |out| masks.append(out, &frame));
            } else {
                output.share(&mut self.spares, &frame);
            }
            let len = output.len();
            self.totals.output += len - before;
            if before == 0 {
                connection.progress_s = self.second;
            }
            self.queues.fan(handle, &mut connection.state);
            if self.is_much(len) {
                self.check_bounds(handle, before, Said::Message);
            }
        }
    }

    /// Appends one text message to a connection's output.
    pub(super) fn write_text(
        &mut self,
        handle: Handle,
        said: Said,
        len_hint: usize,
        append: impl FnOnce(&mut Vec<u8>),
    ) {
        self.write(handle, said, |out| {
            let mark = encoder::begin_expecting(out, len_hint);
            append(out);
            mark.finish(out, MessageKind::Text);
        });
    }

    /// Appends frames to a connection's output.
    pub(super) fn write(&mut self, handle: Handle, said: Said, append: impl FnOnce(&mut Vec<u8>)) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        let output = connection.output.get_or_insert_with(|| self.spares.take_queue());
        let before = output.len();
        if connection.state.outbound {
            let masks = &mut self.masks;
            output.cork(&mut self.spares, |out| {
                let at = out.len();
                append(out);
                masks.apply(out, at);
            });
        } else {
            output.cork(&mut self.spares, append);
        }
        let len = output.len();
        self.totals.output += len - before;
        self.queues.bytes += len - before;
        if before == 0 {
            connection.progress_s = self.second;
        }
        if !std::mem::replace(&mut connection.state.dirty, true) {
            self.queues.dirty.push(handle);
        }
        if self.is_much(len) {
            self.check_bounds(handle, before, said);
        }
    }

    /// Puts a connection on the list of those to write.
    pub(super) fn mark_dirty(&mut self, handle: Handle) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        if !connection.state.dirty && connection.output.is_some() {
            connection.state.dirty = true;
            self.queues.dirty.push(handle);
        }
    }

    /// The socket takes something again. What waits for it takes its turn with what was said to many: a large audience
    /// that was blocked together delays nobody when it is unblocked together.
    pub(super) fn unblock(&mut self, handle: Handle) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        if std::mem::take(&mut connection.state.blocked) && connection.output.is_some() {
            self.queues.fan(handle, &mut connection.state);
        }
    }

    /// Whether what waits for a connection, or all of it, has to be looked at.
    fn is_much(&self, len: usize) -> bool {
        len > self.bounds.output_high_water || self.totals.output > self.bounds.output_bytes_total
    }

    /// Marks and limits of a connection's output (design.md, D7). `before` is what waited already: a message may
    /// be larger than the limit, but none may come on top of a queue beyond it that does not move. Signalling may, or
    /// a ring behind a large message would cut off a client that is busy reading it; so that a client's own requests
    /// do not grow the queue for ever, it is not read meanwhile.
    fn check_bounds(&mut self, handle: Handle, before: usize, said: Said) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        let above = connection.output_len() > self.bounds.output_high_water;
        let scarce = self.totals.output > self.bounds.output_bytes_total;
        if !above && !scarce || connection.role == Role::Closing {
            return;
        }
        let newly = above && !std::mem::replace(&mut connection.state.congested, true);
        if newly {
            self.queues.congested.push(handle);
        }
        let Role::Line(line) = connection.role else {
            connection.state.self_paused |= above;
            return;
        };
        if newly {
            self.queues.afterwards.push_back(Event::Congested(line));
        }
        let is_tie = connection.state.tie;
        let most = self.output_most(is_tie);
        let Some(connection) = self.connections.get_mut(handle) else { return };
        if !connection.state.blocked {
            return;
        }
        let len = connection.output_len();
        // Two exchanges that both wait for the other to read would wait for ever.
        connection.state.self_paused |= before > most && above && !is_tie;
        let excused = said == Said::Signalling || self.shard.tolerates_backlog(line);
        if is_tie && has_passed_a_step(before, len, most) {
            // Rather the call or the seat that says too much than all of the link's. Once a step: it means a look at all calls.
            let is_over = before > most && !excused;
            self.queues.afterwards.push_back(Event::Pressed { line, is_over });
        }
        if before <= most {
            return;
        }
        let is_tolerable = !scarce && before <= most + TOLERATED_BYTES;
        if !is_tolerable || !excused && !is_tie {
            self.overflow(handle);
        }
    }

    /// How much may wait for one connection that takes nothing now.
    fn output_most(&self, is_tie: bool) -> usize {
        let times = if is_tie { TIE_OUTPUT_TIMES } else { 1 };
        match self.scarcity() {
            Scarcity::None => self.bounds.output_bytes_max.saturating_mul(times),
            Scarcity::Some => self.bounds.output_high_water.saturating_mul(times),
            Scarcity::Severe => 0,
        }
    }

    /// Whether all output together is within its bounds.
    pub(super) fn scarcity(&self) -> Scarcity {
        let most = self.bounds.output_bytes_total;
        match self.totals.output.saturating_sub(most) {
            0 => Scarcity::None,
            excess if excess <= most / SEVERE_EXCESS_PART => Scarcity::Some,
            _ => Scarcity::Severe,
        }
    }

    pub(super) fn overflow(&mut self, handle: Handle) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        if !connection.state.overflowed {
            connection.state.overflowed = true;
            self.queues.overflowed.push(handle);
        }
    }

    fn pause(&mut self, line: LineId) {
        let handle = self.connection_of(line);
        if let Some(connection) = handle.and_then(|handle| self.connections.get_mut(handle)) {
            connection.state.paused = true;
        }
    }

    fn resume(&mut self, line: LineId) {
        let Some(handle) = self.connection_of(line) else { return };
        if let Some(connection) = self.connections.get_mut(handle) {
            connection.state.paused = false;
        }
        self.enqueue(handle);
    }

    fn relocate(&mut self, line: LineId, to: ShardId, luggage: Box<Luggage>) {
        let Some(handle) = self.connection_of(line) else { return };
        let Some(connection) = self.connections.get_mut(handle) else { return };
        connection.state.moving = true;
        // Bytes of it that have been read go along: it then leaves right after they were handled.
        let at_once = self.reading != Some(handle) && !connection.state.unhandled;
        self.queues.moves.push((handle, to, luggage));
        if at_once {
            self.ship(handle);
        }
    }
}
