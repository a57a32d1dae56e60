//! The way in: connect, upgrade, REGISTER, REGISTERED, one step at a time and never waiting.
//!
//! A limited number of clients is on its way at once, and each has a time limit. Why one was refused is told with
//! the step at which it happened.

use std::net::SocketAddr;

use mio::Interest;

use super::context::{Context, lost_by, word_for};
use super::link::{Client, Closed, Enter, Entering, Link, Slot, Stage, State, WayIn};
use super::sources::{self, token};
use super::timers::Nanos;
use super::transport::Transport;
use super::wire;
use crate::target::{ACCEPT, Place};

/// An answer to an upgrade that is longer is none.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// What became of bytes that came before the upgrade.
pub enum Upgrade {
    /// The answer is not all there.
    Partial,
    /// Upgraded by the first so many bytes.
    Done(usize),
    /// Something else; its status or what is wrong.
    Refused(String),
}

impl Context {
    /// Lets clients that wait begin to connect, as many as may at once, and ends those that take too long.
    pub(super) fn begin_connects(&mut self) {
        for _ in 0..self.portion {
            if !self.may_connect() {
                break;
            }
            let Some(client) = self.waiting.pop_front() else { break };
            // It may have been closed while it waited.
            let slot = &mut self.slots[client.index()];
            if matches!(slot, Slot::Waiting(_))
                && let Slot::Waiting(enter) = std::mem::replace(slot, Slot::Gone)
            {
                self.begin(client, *enter);
            }
        }
        self.end_late_connects();
        self.end_late_closes();
    }

    /// Whether somebody waits to connect who need not wait.
    pub(super) fn may_connect(&self) -> bool {
        self.under_way < self.connects_max && !self.waiting.is_empty()
    }

    fn begin(&mut self, client: Client, enter: Enter) {
        let places = &self.plan.target.places;
        let place = places[enter.place % places.len()].clone();
        let source = self.sources.next();
        match self.open_socket(client, &place, source) {
            Ok(transport) => {
                let (stage, begun) = (Stage::Connecting, self.now);
                let way = WayIn { begun, ..WayIn::default() };
                let entering = Entering { stage, register: enter.register, way };
                self.slots[client.index()] = Slot::Live(Link::new(transport, entering, place.upgrade));
                self.under_way += 1;
                self.entering.push_back((client, begun));
            }
            Err(error) => {
                let why = Closed::Refused("connect", word_for(error.kind()).to_owned());
                self.gone.push_back((client, why));
            }
        }
    }

    fn open_socket(
        &mut self,
        client: Client,
        place: &Place,
        source: Option<std::net::Ipv4Addr>,
    ) -> std::io::Result<Transport> {
        let mut stream = sources::connect(place.address, source)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, token(client), interest)?;
        let secure = self.plan.target.tls.as_ref().zip(place.server_name.clone());
        Transport::new(stream, secure)
    }

    /// When something is to be done without an event.
    pub(super) fn next_deadline(&self) -> Nanos {
        let entering = self.entering.front().map(|(_, begun)| begun + self.plan.connect_limit);
        let closing = self.closing.front().map(|(_, until)| *until);
        [self.timers.next(), entering, closing].into_iter().flatten().min().unwrap_or(Nanos::MAX)
    }

    fn end_late_connects(&mut self) {
        while let Some(&(client, begun)) = self.entering.front() {
            let slot = &self.slots[client.index()];
            let stage = match slot {
                Slot::Live(Link { state: State::Entering(entering), .. }) if entering.way.begun == begun => {
                    Some(entering.stage)
                }
                _ => None,
            };
            if let Some(stage) = stage {
                if begun + self.plan.connect_limit > self.now {
                    return;
                }
                let what = match stage {
                    Stage::Connecting => "connect",
                    Stage::Upgrading => "upgrade",
                    Stage::Registering => "register",
                };
                self.lose(client, Closed::Refused(what, "timeout".to_owned()));
            }
            self.entering.pop_front();
        }
    }

    fn end_late_closes(&mut self) {
        while let Some(&(client, until)) = self.closing.front() {
            let closing =
                matches!(&self.slots[client.index()], Slot::Live(Link { state: State::Closing, .. }));
            if closing && until > self.now {
                return;
            }
            if closing {
                self.lose(client, Closed::Local);
            }
            self.closing.pop_front();
        }
    }

    /// The socket can be written to: it has connected, or there is room again.
    pub(super) fn on_writable(&mut self, client: Client) {
        let Some(Slot::Live(link)) = self.slots.get_mut(client.index()) else { return };
        if link.stage() == Some(Stage::Connecting) {
            let broken = link.transport.stream().take_error().unwrap_or_else(Some);
            if let Some(error) = broken {
                let why = lost_by(link, &error);
                return self.lose(client, why);
            }
            let connected: std::io::Result<SocketAddr> = link.transport.stream().peer_addr();
            // The poller may say so before it is true.
            if connected.is_err() {
                return;
            }
            if let State::Entering(entering) = &mut link.state {
                entering.stage = Stage::Upgrading;
                entering.way.connected = self.clock.now();
            }
        }
        // A TLS session may have kept something of its own.
        if link.blocked || !link.transport.short_read_empties() {
            link.blocked = false;
            self.write(client);
        }
    }

    /// Bytes that came before the upgrade. Gives how many belonged to its answer, once that is whole.
    pub(super) fn on_answer(&mut self, client: Client, input: &[u8]) -> Option<usize> {
        match read_answer(input) {
            Upgrade::Partial => None,
            Upgrade::Refused(reason) => {
                self.lose(client, Closed::Refused("upgrade", reason));
                None
            }
            Upgrade::Done(len) => {
                let Slot::Live(link) = &mut self.slots[client.index()] else { return None };
                let State::Entering(entering) = &mut link.state else { return None };
                entering.stage = Stage::Registering;
                entering.way.upgraded = self.now;
                let register = std::mem::take(&mut entering.register);
                self.push_out(client, &register);
                Some(len)
            }
        }
    }

    /// The first frame after the upgrade. True if the client is in with it.
    pub(super) fn on_first_frame(&mut self, client: Client, payload: &[u8]) -> bool {
        let refused = match wire::kind(payload) {
            b"REGISTERED" => return self.enter(client),
            b"REGISTER_FAILED" | b"ERROR" => String::from_utf8_lossy(wire::reason(payload)).into_owned(),
            other => format!("unexpected {}", String::from_utf8_lossy(other)),
        };
        self.lose(client, Closed::Refused("register", refused));
        false
    }

    /// The client is in.
    pub(super) fn enter(&mut self, client: Client) -> bool {
        let Slot::Live(link) = &mut self.slots[client.index()] else { return false };
        if let State::Entering(entering) = std::mem::replace(&mut link.state, State::Open) {
            self.way_in = entering.way;
        }
        self.under_way -= 1;
        self.open += 1;
        true
    }
}

/// Whether this is an upgrade, by a server that understood.
fn read_answer(input: &[u8]) -> Upgrade {
    let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") else {
        if input.len() > ANSWER_BYTES_MAX {
            return Upgrade::Refused("endless answer".to_owned());
        }
        return Upgrade::Partial;
    };
    let head = String::from_utf8_lossy(&input[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or("no HTTP");
    if status != "101" {
        return Upgrade::Refused(status.to_owned());
    }
    let accept = lines
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == ACCEPT);
    if accept { Upgrade::Done(end + 4) } else { Upgrade::Refused("wrong accept".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_right_answer_upgrades() {
        let right = format!("HTTP/1.1 101 X\r\nsec-websocket-ACCEPT:  {ACCEPT}\r\n\r\nab");
        assert!(matches!(read_answer(right.as_bytes()), Upgrade::Done(len) if len == right.len() - 2));
        assert!(matches!(read_answer(&right.as_bytes()[..30]), Upgrade::Partial));
        for (answer, reason) in [
            ("HTTP/1.1 503 Busy\r\n\r\n", "503"),
            ("HTTP/1.1 101 X\r\nSec-WebSocket-Accept: no\r\n\r\n", "wrong accept"),
            ("hello\r\n\r\n", "no HTTP"),
        ] {
            assert!(
                matches!(read_answer(answer.as_bytes()), Upgrade::Refused(why) if why == reason),
                "{answer}"
            );
        }
        assert!(matches!(read_answer(&[b'x'; ANSWER_BYTES_MAX + 1]), Upgrade::Refused(_)));
    }
}
