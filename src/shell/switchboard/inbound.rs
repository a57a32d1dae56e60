//! The way in: frames are decoded, messages translated and handed to the core.
//!
//! Bytes of one connection are handled in the order in which they arrived. A connection that is held (by the
//! core, by a full trunk, by a move) keeps its bytes, is not read, and TCP slows its client down.

use std::time::Duration;

use tracing::{Level, debug, enabled};

use crate::console::ladder::Way;
use crate::dialect::systemx::{
    CloseWhy, Standing, WireError, encode_invalid_address, encode_refusal, retry_after_ms,
};
use crate::exchange::LineId;
use crate::exchange::event::{Event, Loss, Registration, Request};
use crate::exchange::ids::Handle;
use crate::websocket::{CloseCode, Incoming, Limits, Message, MessageKind, Sender, encoder};

use super::super::connection::{Connection, Role, State};
use super::outbound::Said;
use super::{BYTES_PER_FLUSH, Crossing, Freight, MESSAGES_PER_FLUSH, Switchboard};

/// Deliveries of fan-outs after which a connection waits for its next turn: about a millisecond's work.
const DELIVERIES_PER_READ: usize = 16 << 10;
/// The part of a budget by which it may be exceeded before what was merely left over of a read counts as a hoard too: of
/// connections that are held for long, because nobody takes what they say.
const EXCESS_PART: usize = 4;
/// What a connection may keep of an incomplete message even when the shard's budget is used up, in bytes: a whole
/// REGISTER, so that those who hoard cannot lock out the others.
const SPARED_BYTES: usize = 4 << 10;

impl Switchboard {
    /// Handles the frames in `input` until there is none left or the connection is held. Gives the number of
    /// bytes that are done with.
    pub(super) fn consume(&mut self, handle: Handle, input: &mut [u8]) -> usize {
        let mut at = 0;
        let (mut owed, delivered) = (None, self.delivered);
        loop {
            let Some(connection) = self.connections.get_mut(handle) else { return input.len() };
            if connection.role == Role::Closing {
                return self.discard(handle, input);
            }
            // A short question may have a long answer, and one message many receivers: the others' turn comes first.
            let most = *owed.get_or_insert(connection.output_len()) + self.bounds.output_high_water;
            let is_greedy =
                connection.output_len() > most || self.delivered - delivered > DELIVERIES_PER_READ;
            // Until it has read some of them, in any case.
            connection.state.self_paused |= connection.output_len() > most && !connection.state.tie;
            if connection.is_held() || is_greedy || self.messages_left == 0 || at == input.len() {
                return at;
            }
            let limits = frame_limits(connection, &self.bounds);
            let step = connection.decoder.next(&mut input[at..], &limits);
            at += step.consumed;
            self.messages_left -= 1;
            match step.incoming {
                Incoming::NeedMore => return input.len(),
                Incoming::Message(message) => self.on_message(handle, message),
                Incoming::Ping(payload) => {
                    self.write(handle, Said::Signalling, |out| encoder::pong(out, &payload))
                }
                Incoming::Pong(_) => {}
                Incoming::Close { code, reason } => self.on_peer_close(handle, code, &reason),
                Incoming::Violation(violation) => {
                    self.close(handle, violation.close_code(), violation.reason())
                }
            }
        }
    }

    /// A connection that was told to go: only its own close frame is of interest, and the end of the stream.
    fn discard(&mut self, handle: Handle, input: &[u8]) -> usize {
        let Some(connection) = self.connections.get_mut(handle) else { return input.len() };
        connection.decoder = crate::websocket::Decoder::new();
        input.len()
    }

    /// What has to happen once a batch of frames is done with.
    pub(super) fn after_consume(&mut self, handle: Handle) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        let buffered = connection.held_bytes();
        if buffered == connection.counted as usize || connection.state.moving {
            return;
        }
        let (registered, counted) = (connection.state.registered, connection.counted as usize);
        connection.counted = u32::try_from(buffered).unwrap_or(u32::MAX);
        let (total, most) = if registered {
            (&mut self.totals.input, self.bounds.input_bytes_total)
        } else {
            (&mut self.totals.unregistered, self.bounds.unregistered_bytes_total)
        };
        *total = (*total + buffered).saturating_sub(counted);
        let is_severe = connection.is_held() && *total > most + most / EXCESS_PART;
        let hoarded = if is_severe { buffered } else { connection.hoarded_bytes() };
        if buffered > counted && *total > most && hoarded > SPARED_BYTES {
            self.close(handle, CloseCode::TRY_AGAIN, "out of memory for incomplete messages");
        }
    }

    /// Counts a connection's incomplete input in or out of the shard's budget.
    pub(super) fn count_input(&mut self, connection: &mut Connection, enters: bool) {
        let total =
            if connection.state.registered { &mut self.totals.input } else { &mut self.totals.unregistered };
        if enters {
            connection.counted = u32::try_from(connection.held_bytes()).unwrap_or(u32::MAX);
            *total += connection.counted as usize;
        } else {
            *total = total.saturating_sub(connection.counted as usize);
            connection.counted = 0;
        }
    }

    fn on_message(&mut self, handle: Handle, message: Message<'_>) {
        let Some(connection) = self.connections.get(handle) else { return };
        match connection.role {
            Role::Line(line) => {
                let State { registered, tie, .. } = connection.state;
                self.on_line_message(handle, line, Standing { registered, tie }, message);
            }
            Role::Echo => self.echo(handle, message.kind(), message.as_bytes()),
            Role::Closing => {}
        }
        self.count_message();
    }

    fn on_line_message(&mut self, handle: Handle, line: LineId, standing: Standing, message: Message<'_>) {
        self.meter.messages_in += 1;
        let request = match &message {
            Message::Text(text) => self.dialect.decode_text(text, standing),
            Message::Binary(bytes) => self.dialect.decode(bytes, standing),
        };
        let mut request = match request {
            Ok(request) => request,
            Err(_) if self.is_outbound(handle) => return self.warn_of_nonsense(line),
            Err(error) => return self.on_wire_error(handle, &error),
        };
        if let Request::Register(registration) = &mut request {
            self.lend_credentials(handle, registration);
        }
        if enabled!(Level::DEBUG) {
            debug!(shard = self.id.index(), %line, verb = ?request.verb(), bytes = message.as_bytes().len(), "message in");
        }
        if self.must_wait(line, &request) {
            drop(request);
            if let Some(connection) = self.connections.get_mut(handle) {
                connection.parked = Some(Box::new(message.into_owned()));
                self.queues.parked.push(handle);
            }
            return;
        }
        self.watch_request(line, &request);
        self.feed(Event::Request { line, request });
    }

    /// Adds to a REGISTER what its client has shown elsewhere. A token of the handshake stands in for one that is not in
    /// the frame until the line holds an address, and is then forgotten; a certificate counts for as long as the connection lives.
    fn lend_credentials(&self, handle: Handle, registration: &mut Registration) {
        let Some(shown) = self.connections.get(handle).and_then(Connection::credentials) else { return };
        let credentials = &mut registration.credentials;
        credentials.certificate = shown.certificate.clone();
        if credentials.token.is_none() {
            credentials.token = shown.token.clone();
        }
    }

    /// Whether a request may cause a signal to a shard whose trunk is full (design.md, D6).
    fn must_wait(&self, line: LineId, request: &Request<'_>) -> bool {
        let blocked = self.port.blocked_mask();
        blocked != 0 && self.shard.reaches(line, request).bits() & blocked != 0
    }

    /// There is room in some trunk again: everybody who waits for one tries once more.
    pub(super) fn unpark(&mut self) {
        for handle in std::mem::take(&mut self.queues.parked) {
            let Some(parked) =
                self.connections.get_mut(handle).and_then(|connection| connection.parked.take())
            else {
                continue;
            };
            self.reading = Some(handle);
            self.on_message(handle, *parked);
            self.reading = None;
            self.after_consume(handle);
            self.ship(handle);
            self.enqueue(handle);
        }
    }

    fn on_wire_error(&mut self, handle: Handle, error: &WireError) {
        self.meter.bad_messages += 1;
        if let Some(Role::Line(line)) = self.connections.get(handle).map(|connection| connection.role) {
            self.watch_remark(line, Way::In, "?", "not understood");
        }
        match error {
            WireError::Refuse(refusal) => {
                self.write_text(handle, Said::Signalling, 256, |out| encode_refusal(refusal, out))
            }
            WireError::InvalidAddress => {
                self.write_text(handle, Said::Signalling, 64, encode_invalid_address)
            }
            WireError::Close(why) => {
                let reason = match why {
                    CloseWhy::Empty => "Unsupported message type",
                    CloseWhy::InvalidJson => "Invalid JSON",
                };
                self.close(handle, CloseCode::UNSUPPORTED, reason);
            }
        }
    }

    fn echo(&mut self, handle: Handle, kind: MessageKind, payload: &[u8]) {
        self.write(handle, Said::Signalling, |out| encoder::message(out, kind, payload));
    }

    /// The client closes: it gets its answer and is gone.
    fn on_peer_close(&mut self, handle: Handle, code: Option<CloseCode>, reason: &str) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        if connection.state.outbound
            && let Some(ms) = code.and_then(|code| retry_after_ms(code.get(), reason))
        {
            connection.come_back_after(Duration::from_millis(ms));
        }
        let role = connection.role;
        connection.role = Role::Closing;
        match code {
            Some(code) => self.write(handle, Said::Signalling, |out| encoder::close(out, code, "")),
            None => self.write(handle, Said::Signalling, encoder::close_without_code),
        }
        self.begin_closing(handle);
        if let Role::Line(line) = role {
            self.note_gone(line, "closed by the other side");
            self.watch_remark(line, Way::In, "close", "");
            self.feed(Event::Lost { line, loss: Loss::Closed });
        }
    }

    /// Sends a connection that the core has relocated on its way, with everything that belongs to it.
    pub(super) fn ship(&mut self, handle: Handle) {
        if self.queues.moves.is_empty() {
            return;
        }
        let Some(at) = self.queues.moves.iter().position(|(moving, ..)| *moving == handle) else { return };
        let (handle, to, luggage) = self.queues.moves.swap_remove(at);
        let Some(mut connection) = self.connections.remove(handle) else { return };
        let mut source = mio::unix::SourceFd(&std::os::fd::AsRawFd::as_raw_fd(&connection.transport));
        if self.poller.get_ref().registry().deregister(&mut source).is_err() {
            // The socket cannot be polled any more: the other shard will notice that it is gone.
            connection.state.blocked = false;
        }
        self.count_input(&mut connection, false);
        self.totals.output = self.totals.output.saturating_sub(connection.output_len());
        if connection.state.congested {
            self.queues.congested.retain(|&other| other != handle);
        }
        let state = &mut connection.state;
        (state.queued, state.dirty, state.fanned) = (false, false, false);
        (state.blocked, state.congested, state.overflowed) = (false, false, false);
        (state.paused, state.readable) = (false, true);
        self.port.send(to.index(), Freight::Connection(Box::new(Crossing { connection, luggage })));
    }

    /// Every so many messages what was said is written, so that nobody waits for the whole turn.
    pub(super) fn count_message(&mut self) {
        self.queues.messages += 1;
        if self.queues.messages >= MESSAGES_PER_FLUSH || self.queues.bytes >= BYTES_PER_FLUSH {
            self.flush(0);
            self.port.wake_peers();
        }
    }
}

fn frame_limits(connection: &Connection, bounds: &super::ByteBounds) -> Limits {
    let registered = connection.state.registered || connection.role == Role::Echo;
    let message_len_max =
        if registered { bounds.message_bytes_max } else { bounds.unregistered_message_bytes_max };
    let sender = if connection.state.outbound { Sender::Server } else { Sender::Client };
    Limits { message_len_max, sender }
}
