//! One connection as its shard's driver sees it: the way to its client, framing state, output.
//!
//! There is one of these for each client, and nothing else of the shell: no task, no buffer (design.md, D2). What
//! a connection needs only now and then is boxed. It holds no protocol state; that is the core's line.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use crate::exchange::LineId;
use crate::identity::{Credentials, Token};
use crate::websocket::{Decoder, Message};

use super::admission::Permit;
use super::output::Output;
use super::transport::Transport;

/// A client's connection.
#[derive(Debug)]
pub struct Connection {
    /// The socket, not blocking, and what lies between it and the bytes.
    pub transport: Transport,
    /// Framing state: a frame that is not complete, bytes that have been read but not handled.
    pub decoder: Decoder,
    /// What waits to be written; `None` if nothing does.
    pub output: Option<Box<Output>>,
    /// A message that waits for room in a trunk.
    pub parked: Option<Box<Message<'static>>>,
    /// What it is for.
    pub role: Role,
    /// Flags.
    pub state: State,
    /// Second in which its output last moved, or began to wait.
    pub progress_s: u32,
    /// Bytes of the decoder that have been counted in the shard's budget.
    pub counted: u32,
    /// What few have.
    belongings: Option<Box<Belongings>>,
}

/// What goes with a connection that nobody looks at while it is up, or hardly anybody.
#[derive(Default, Debug)]
pub struct Belongings {
    /// Its place in the limits on connections; `None` if there are none. Given back when it is dropped.
    pub permit: Option<Box<Permit>>,
    /// What its client has shown outside of frames: in the handshake, by a certificate.
    pub credentials: Option<Box<Credentials>>,
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It is a line of the exchange.
    Line(LineId),
    /// It echoes what it is sent (`--echo-endpoint`).
    Echo,
    /// It has been sent a close frame, or will be, and goes.
    Closing,
}

/// The flags of a connection.
#[derive(Clone, Copy, Default, Debug)]
pub struct State {
    /// The socket has, or may have, bytes to read.
    pub readable: bool,
    /// The stream has ended, or will once what has come is read. Said once by the poller, so to be remembered.
    pub hung_up: bool,
    /// In the list of connections to read.
    pub queued: bool,
    /// Read, and what came is not handled yet.
    pub unhandled: bool,
    /// In the list of connections to write, because something was said to it alone.
    pub dirty: bool,
    /// In the list of connections to write, because something was said to many.
    pub fanned: bool,
    /// The socket takes nothing now; the poller will say when it does.
    pub blocked: bool,
    /// The core does not want it read.
    pub paused: bool,
    /// Its own output has to drain before it is read again (it asks faster than it takes the answers).
    pub self_paused: bool,
    /// More output than the high-water mark waits.
    pub congested: bool,
    /// Its line holds an address: larger messages are allowed.
    pub registered: bool,
    /// This exchange has called: what is written is masked, what is read must not be, and no ERROR is said.
    pub outbound: bool,
    /// It leads to another exchange: it may say what only exchanges say. It carries the calls of many: more may wait for it than
    /// for a client, and it is always read.
    pub tie: bool,
    /// On its way to another shard.
    pub moving: bool,
    /// Our side has been shut down after the close frame.
    pub shut: bool,
    /// Its output has overflowed; it is lost as soon as the event at hand is over.
    pub overflowed: bool,
}

impl Connection {
    /// A connection that has just been upgraded.
    pub fn new(transport: Transport, role: Role, belongings: Belongings) -> Self {
        let has_some = belongings.permit.is_some() || belongings.credentials.is_some();
        let state = State { readable: true, ..State::default() };
        Self {
            transport,
            decoder: Decoder::new(),
            output: None,
            parked: None,
            role,
            state,
            progress_s: 0,
            counted: 0,
            belongings: has_some.then(|| Box::new(belongings)),
        }
    }

    /// What its client has shown outside of frames.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.belongings.as_ref()?.credentials.as_deref()
    }

    /// The other exchange ends a link that was called from here, and has said when to come back.
    pub fn come_back_after(&mut self, wait: Duration) {
        if let Some(permit) = self.belongings.as_mut().and_then(|belongings| belongings.permit.as_mut()) {
            permit.come_back_after(wait);
        }
    }

    /// Forgets the token of its handshake: the line holds an address, or never will.
    pub fn forget_token(&mut self) {
        let Some(belongings) = &mut self.belongings else { return };
        belongings.credentials.take_if(|shown| {
            shown.token = None;
            shown.certificate.is_none()
        });
    }

    /// Whether what it sends must not be looked at now.
    pub fn is_held(&self) -> bool {
        let State { paused, self_paused, moving, overflowed, .. } = self.state;
        paused || self_paused || moving || overflowed || self.parked.is_some()
    }

    /// Whether there is something to look at: bytes kept, or bytes in the socket.
    pub fn has_input(&self) -> bool {
        self.state.readable || self.decoder.carried_len() > 0
    }

    /// Heap bytes held of what it has sent: a message that is not complete or that waits, what was not looked at yet, what
    /// TLS has not made sense of, and the token of its handshake.
    pub fn held_bytes(&self) -> usize {
        self.decoder.buffered_bytes() + self.withheld_bytes()
    }

    /// Those of them that are not just what one read has brought and a turn has left over.
    pub fn hoarded_bytes(&self) -> usize {
        self.decoder.incomplete_bytes() + self.withheld_bytes()
    }

    fn withheld_bytes(&self) -> usize {
        let parked = self.parked.as_ref().map_or(0, |parked| parked.as_bytes().len());
        let token = self.credentials().and_then(|shown| shown.token.as_ref());
        parked + self.transport.withheld_bytes() + token.map_or(0, Token::byte_len)
    }

    /// What waits to be written, and where to, if it is one piece that may be written to the socket as it is.
    pub fn letter(&self) -> Option<(BorrowedFd<'_>, &[u8])> {
        let piece = self.output.as_ref()?.sole_piece()?;
        (!self.transport.is_secure()).then(|| (self.transport.as_fd(), piece))
    }

    /// Bytes that wait to be written.
    pub fn output_len(&self) -> usize {
        self.output.as_ref().map_or(0, |output| output.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Connection>() <= 96, "{}", size_of::<Connection>());
    }
}
