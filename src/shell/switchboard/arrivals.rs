//! How connections come to a shard: from the lobby once their handshake is done, from another shard, or as links to other
//! exchanges that this one has called.
//!
//! In any case a connection gets a place in the rack, is joined to the poller, and is looked at at once, because what
//! it has sent already is announced by nobody.

use std::os::fd::AsRawFd;

use mio::{Interest, Token};
use tracing::{debug, warn};

use crate::exchange::event::Loss;
use crate::exchange::ids::{Handle, LineId};

use crate::identity::{self, Credentials};
use crate::tls::PeerName;

use super::super::admission::Permit;
use super::super::connection::{Belongings, Connection, Role};
use super::super::lobby::Upgraded;
use super::super::peers::Link;
use super::super::transport::Transport;
use super::{Crossing, Switchboard};

/// What a client has shown before it says anything: a token in its handshake, a certificate.
fn credentials_of(token: Option<identity::Token>, names: &[PeerName]) -> Option<Box<Credentials>> {
    let names = names.iter().map(|name| Box::from(name.as_str()));
    let certificate = (names.len() > 0).then(|| names.collect());
    let shows_something = token.is_some() || certificate.is_some();
    shows_something.then(|| Box::new(Credentials { token, certificate, proof: None }))
}

/// Most new connections taken in one turn.
const ARRIVALS_PER_TURN: usize = 128;

impl Switchboard {
    /// Connections whose handshake is done.
    pub(super) fn take_arrivals(&mut self) {
        for _ in 0..ARRIVALS_PER_TURN {
            let Some(arrival) = self.lobby.next() else { return };
            self.take_arrival(arrival);
        }
    }

    fn take_arrival(&mut self, arrival: Upgraded) {
        let Upgraded { transport, early, echo, client, permit, token } = arrival;
        let role = if echo {
            Role::Echo
        } else {
            let Some(line) = self.shard.open_line(self.now, false) else {
                return self.turn_away(transport, permit);
            };
            self.note_arrival(line, client);
            Role::Line(line)
        };
        // Whoever echoes never registers.
        let token = token.filter(|_| !echo);
        let credentials = credentials_of(token, transport.peer_names());
        self.meter.opened += 1;
        let mut connection = Connection::new(transport, role, Belongings { permit, credentials });
        if !early.is_empty() {
            connection.decoder.carry(&early);
        }
        let handle = self.install(connection);
        self.after_consume(handle);
        self.send_off(handle);
    }

    /// The core lets nobody in. During a drain and at a stop whoever comes is told so.
    fn turn_away(&mut self, transport: Transport, permit: Option<Box<Permit>>) {
        let belongings = Belongings { permit, credentials: None };
        // It has no line, as those who only echo; it does not get so far.
        let handle = self.install(Connection::new(transport, Role::Echo, belongings));
        self.say_farewell(handle);
    }

    /// A link to another exchange. The core has something to say on it at once, so it is seated before that is performed.
    pub(super) fn take_link(&mut self, link: Link) {
        let Link { peer, transport, early, permit } = link;
        debug!(shard = self.id.index(), peer = &*peer.id, "link taken");
        let mut out = std::mem::take(&mut self.outbox);
        if let Some(line) = self.shard.open_tie(self.now, &peer, &mut out) {
            self.meter.opened += 1;
            let belongings = Belongings { permit: Some(permit), credentials: None };
            let mut connection = Connection::new(transport, Role::Line(line), belongings);
            let state = &mut connection.state;
            (state.outbound, state.tie, state.registered) = (true, true, true);
            connection.decoder.carry(&early);
            let handle = self.install(connection);
            self.perform(&mut out);
            self.send_off(handle);
        }
        self.outbox = out;
        self.settle_accounts();
    }

    /// Whoever comes while the exchange stops is told so.
    pub(super) fn send_off(&mut self, handle: Handle) {
        if self.stopping.is_some() {
            self.say_farewell(handle);
        }
    }

    /// Gives a connection its place among those of this shard.
    pub(super) fn install(&mut self, connection: Connection) -> Handle {
        let role = connection.role;
        let handle = self.connections.insert_with(|_| connection);
        if let Role::Line(line) = role {
            self.seat(line, handle);
        }
        let Some(connection) = self.connections.get_mut(handle) else { return handle };
        let mut source = mio::unix::SourceFd(&connection.transport.as_raw_fd());
        let token = Token(handle.to_bits() as usize);
        let registry = self.poller.get_ref().registry();
        if let Err(error) = registry.register(&mut source, token, Interest::READABLE | Interest::WRITABLE) {
            warn!(shard = self.id.index(), %error, "a connection cannot be polled");
            self.lose(handle, Loss::Vanished);
            return handle;
        }
        if connection.output.is_some() {
            self.mark_dirty(handle);
        }
        self.mark_readable(handle);
        handle
    }

    fn seat(&mut self, line: LineId, handle: Handle) {
        let slot = line.slot() as usize;
        if self.seats.len() <= slot {
            // A handle that finds nothing: generation 0 of a slot that is another's.
            self.seats.resize(slot + 1, Handle::from_bits(u64::MAX));
        }
        self.seats[slot] = handle;
    }

    /// The connection of a line, if it still is that line's.
    pub(super) fn connection_of(&self, line: LineId) -> Option<Handle> {
        let handle = *self.seats.get(line.slot() as usize)?;
        (self.connections.get(handle)?.role == Role::Line(line)).then_some(handle)
    }

    /// A connection from another shard.
    pub(super) fn take_in(&mut self, crossing: Crossing) {
        let Crossing { mut connection, luggage } = crossing;
        connection.state.moving = false;
        let waits = connection.parked.is_some();
        let mut out = std::mem::take(&mut self.outbox);
        let admitted = self.shard.admit(self.now, luggage, &mut out);
        let mut seated = None;
        if let Some(line) = admitted {
            connection.role = Role::Line(line);
            self.count_input(&mut connection, true);
            self.totals.output += connection.output_len();
            seated = Some(self.install(connection));
        }
        self.perform(&mut out);
        self.outbox = out;
        self.settle_accounts();
        if let Some(handle) = seated {
            self.send_off(handle);
        }
        // It waited for a trunk that may not be in its way from here; nobody would say so.
        if let Some(handle) = admitted.filter(|_| waits).and_then(|line| self.connection_of(line)) {
            self.queues.parked.push(handle);
            self.unpark();
        }
    }
}
