//! How connections end: dismissed by the core, closed by us or by the client, given up, or lost.
//!
//! Whoever can still be told is told: the close frame goes behind what waits, our side is shut down, and what the client
//! still sends is read and discarded, because a socket closed with unread input shows its client a reset instead of
//! the code. No connection may take longer over it than `CLOSING_SECONDS`.

use std::os::fd::AsRawFd;

use tracing::debug;

use crate::console::ladder::Way;
use crate::dialect::systemx::{close_of, close_of_restart};
use crate::exchange::event::{Event, Loss};
use crate::exchange::ids::Handle;
use crate::exchange::{Cause, LineId};
use crate::websocket::{CloseCode, encoder};

use super::super::connection::Role;
use super::outbound::{Said, Scarcity};
use super::{CLOSING_SECONDS, MESSAGES_PER_CLOSING, Switchboard};

impl Switchboard {
    /// The core has dismissed a line.
    pub(super) fn close_line(&mut self, line: LineId, cause: Cause) {
        let (code, reason) = close_of(cause);
        self.dismiss_line(line, cause, code, reason);
    }

    /// The core has sent a line away, because the exchange is about to stop.
    pub(super) fn send_line_away(&mut self, line: LineId, retry_after_ms: u64) {
        let (code, reason) = close_of_restart(retry_after_ms);
        self.dismiss_line(line, Cause::Restarting, code, &reason);
    }

    fn dismiss_line(&mut self, line: LineId, cause: Cause, code: u16, reason: &str) {
        let Some(handle) = self.connection_of(line) else { return };
        self.note_dismissed(line, cause);
        self.watch_remark(line, Way::Out, "close", reason);
        if let Some(connection) = self.connections.get_mut(handle) {
            connection.role = Role::Closing;
        }
        self.send_close(handle, CloseCode::new(code).unwrap_or(CloseCode::APPLICATION), reason);
    }

    /// Ends a connection because the exchange stops, or is about to.
    pub(super) fn say_farewell(&mut self, handle: Handle) {
        match self.shard.retry_after_ms() {
            Some(ms) => self.close(handle, CloseCode::RESTART, &close_of_restart(ms).1),
            None => self.close(handle, CloseCode::GOING_AWAY, close_of(Cause::Shutdown).1),
        }
    }

    /// Ends a connection from our side; the core hears of it if it was a line.
    pub(super) fn close(&mut self, handle: Handle, code: CloseCode, reason: &str) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        let role = std::mem::replace(&mut connection.role, Role::Closing);
        if role == Role::Closing {
            return;
        }
        debug!(shard = self.id.index(), code = code.get(), reason, "connection closed by us");
        if code != CloseCode::GOING_AWAY && code != CloseCode::RESTART {
            self.meter.violations.count(code);
        }
        self.send_close(handle, code, reason);
        if let Role::Line(line) = role {
            self.note_gone(line, reason);
            self.watch_remark(line, Way::Out, "close", reason);
            self.feed(Event::Lost { line, loss: Loss::Closed });
        }
    }

    fn send_close(&mut self, handle: Handle, code: CloseCode, reason: &str) {
        self.write(handle, Said::Signalling, |out| encoder::close(out, code, reason));
        self.begin_closing(handle);
    }

    /// From now on the connection is only written, drained and dropped.
    pub(super) fn begin_closing(&mut self, handle: Handle) {
        self.messages_left = self.messages_left.saturating_sub(MESSAGES_PER_CLOSING);
        self.queues.messages += MESSAGES_PER_CLOSING;
        let Some(connection) = self.connections.get_mut(handle) else { return };
        let state = &mut connection.state;
        (state.paused, state.self_paused, state.overflowed, state.congested) = (false, false, false, false);
        connection.parked = None;
        connection.forget_token();
        // What it had begun to say is of no interest any more.
        connection.decoder = crate::websocket::Decoder::new();
        let total =
            if connection.state.registered { &mut self.totals.input } else { &mut self.totals.unregistered };
        *total = total.saturating_sub(std::mem::take(&mut connection.counted) as usize);
        self.queues.congested.retain(|&other| other != handle);
        self.queues.closing.push_back((self.second + CLOSING_SECONDS, handle));
        self.enqueue(handle);
    }

    /// The close frame is out.
    pub(super) fn finish_closing(&mut self, handle: Handle) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        if !connection.state.shut {
            connection.state.shut = true;
            // What the client still sends is read and discarded, else it would see a reset instead of the code. That
            // holds for its own close as well: it need not be the last it sends.
            connection.transport.shut();
        }
    }

    /// Connections that were told to go and did not.
    pub(super) fn give_up_closing(&mut self) {
        while let Some(&(by, handle)) = self.queues.closing.front() {
            if by > self.second {
                return;
            }
            self.queues.closing.pop_front();
            self.drop_connection(handle);
        }
    }

    /// Congested connections whose output has not moved for too long.
    pub(super) fn give_up_stalled(&mut self) {
        let most = self.bounds.stalled_seconds_max;
        let stalled = self.queues.congested.iter().copied().filter(|&handle| {
            let connection = self.connections.get(handle);
            connection.is_some_and(|connection| self.second.saturating_sub(connection.progress_s) > most)
        });
        for handle in stalled.collect::<Vec<_>>() {
            self.give_up_slow(handle);
        }
    }

    /// A connection that does not take what it is sent: it is told so behind all that waits, and its calls end.
    pub(super) fn give_up_slow(&mut self, handle: Handle) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        let role = connection.role;
        connection.state.overflowed = false;
        if connection.state.moving {
            // Its new shard will judge it.
            return;
        }
        let queued = connection.output_len();
        if role == Role::Closing {
            return if self.scarcity() == Scarcity::Severe {
                self.drop_connection(handle)
            };
        }
        connection.role = Role::Closing;
        self.meter.slow_consumers += 1;
        self.warn_of_slowness(if let Role::Line(line) = role { Some(line) } else { None }, queued);
        if self.scarcity() == Scarcity::Severe {
            // What waits is what there is no room for.
            self.drop_connection(handle);
        } else {
            self.send_close(handle, CloseCode::APPLICATION, "slow_consumer");
        }
        if let Role::Line(line) = role {
            self.watch_remark(line, Way::Out, "close", "slow_consumer");
            self.feed(Event::Lost { line, loss: Loss::SlowConsumer });
        }
    }

    /// A connection is gone without a word.
    pub(super) fn lose(&mut self, handle: Handle, loss: Loss) {
        let Some(connection) = self.connections.get(handle) else { return };
        // On the way to another shard it would take its line's luggage along; there it is found dead.
        if connection.state.moving {
            return;
        }
        let role = connection.role;
        self.drop_connection(handle);
        if let Role::Line(line) = role {
            self.note_gone(line, "connection lost");
            self.watch_remark(line, Way::In, "lost", "");
            self.feed(Event::Lost { line, loss });
        }
    }

    /// Closes the socket and forgets the connection.
    pub(super) fn drop_connection(&mut self, handle: Handle) {
        let Some(mut connection) = self.connections.remove(handle) else { return };
        self.count_input(&mut connection, false);
        if let Some(mut output) = connection.output.take() {
            self.totals.output = self.totals.output.saturating_sub(output.len());
            output.clear(&mut self.spares);
            self.spares.give_queue(output);
        }
        if connection.state.congested {
            self.queues.congested.retain(|&other| other != handle);
        }
        debug!(shard = self.id.index(), socket = connection.transport.as_raw_fd(), "connection gone");
    }
}
