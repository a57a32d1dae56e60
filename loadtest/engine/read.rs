//! From a readable socket to a scenario's `on_frame`: one read, its frames cut, the rest kept.
//!
//! The bytes stay in one buffer of the worker; only the beginning of an unfinished frame is copied. Control frames
//! are answered here. Invariant: no frame is handed over for a client that is gone or paused.

use std::io::ErrorKind;

use super::context::lost_by;
use super::link::{CLOSE_ABNORMAL, Client, Closed, Slot, Stage, State};
use super::wire::{self, Cut};
use super::{Scenario, worker::Worker};

/// What one read takes.
pub const SCRATCH_BYTES: usize = 256 << 10;
/// Room that is left for new bytes behind kept ones.
const ROOM_BYTES: usize = 64 << 10;

/// Whether a client's bytes are to be looked at further.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Further {
    Yes,
    No,
}

impl<S: Scenario> Worker<S> {
    /// Reads a client until its socket is empty. `ended`: the server has said that nothing more comes.
    pub(super) fn read(&mut self, client: Client, ended: bool) {
        loop {
            let Some(Slot::Live(link)) = self.ctx.slots.get_mut(client.index()) else { return };
            if link.paused {
                link.unread = true;
                return;
            }
            if link.stage() == Some(Stage::Connecting) {
                return;
            }
            let kept = link.kept.len();
            if self.scratch.len() < kept + ROOM_BYTES {
                self.scratch.resize(kept + SCRATCH_BYTES, 0);
            }
            self.scratch[..kept].copy_from_slice(&link.kept);
            let room = self.scratch.len() - kept;
            let count = match link.transport.read(&mut self.scratch[kept..]) {
                Ok(0) => return self.on_end(client),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    let why = lost_by(link, &error);
                    return self.ctx.lose(client, why);
                }
            };
            let emptied = link.transport.short_read_empties() && count < room && !ended;
            self.ctx.now = self.ctx.clock.now();
            self.ctx.tally.traffic.bytes_received += count as u64;
            self.take(client, kept + count);
            self.settle();
            if emptied {
                return;
            }
        }
    }

    /// Goes on with a client that was paused: frames that had been read come first.
    pub(super) fn read_again(&mut self, client: Client) {
        let Some(Slot::Live(link)) = self.ctx.slots.get(client.index()) else { return };
        let kept = link.kept.len();
        if kept > 0 {
            self.scratch.resize(self.scratch.len().max(kept), 0);
            self.scratch[..kept].copy_from_slice(&link.kept);
            self.take(client, kept);
            self.settle();
        }
        self.read(client, false);
    }

    fn on_end(&mut self, client: Client) {
        let Some(Slot::Live(link)) = self.ctx.slots.get_mut(client.index()) else { return };
        let why = match link.state {
            State::Closing => Closed::Local,
            State::Open => Closed::Peer(CLOSE_ABNORMAL),
            State::Entering(_) => lost_by(link, &ErrorKind::UnexpectedEof.into()),
        };
        self.ctx.lose(client, why);
    }

    /// Hands out the frames of the first `len` bytes and keeps the rest.
    fn take(&mut self, client: Client, len: usize) {
        let scratch = std::mem::take(&mut self.scratch);
        let used = self.take_from(client, &scratch[..len]);
        if let Some(Slot::Live(link)) = self.ctx.slots.get_mut(client.index()) {
            let rest = &scratch[used..len];
            if rest.is_empty() && link.kept.capacity() > 0 {
                link.kept = Vec::new();
            } else {
                link.kept.clear();
                link.kept.extend_from_slice(rest);
            }
        }
        self.scratch = scratch;
    }

    /// Gives how many bytes are done with.
    fn take_from(&mut self, client: Client, input: &[u8]) -> usize {
        let mut used = 0;
        if self.stage(client) == Some(Stage::Upgrading) {
            match self.ctx.on_answer(client, input) {
                Some(len) => used = len,
                None => return 0,
            }
        }
        loop {
            match wire::cut(&input[used..]) {
                Cut::Partial => return used,
                Cut::Malformed(what) => {
                    self.ctx.lose(client, Closed::Malformed(what));
                    return used;
                }
                Cut::Frame { opcode: wire::TEXT, last: true, payload, len } => {
                    used += len;
                    if self.on_message(client, payload) == Further::No {
                        return used;
                    }
                }
                Cut::Frame { opcode, last, payload, len } => {
                    used += len;
                    if self.on_rare_frame(client, opcode, last, payload) == Further::No {
                        return used;
                    }
                }
            }
        }
    }

    fn stage(&self, client: Client) -> Option<Stage> {
        match self.ctx.slots.get(client.index()) {
            Some(Slot::Live(link)) => link.stage(),
            _ => None,
        }
    }

    fn on_message(&mut self, client: Client, payload: &[u8]) -> Further {
        let Some(Slot::Live(link)) = self.ctx.slots.get(client.index()) else { return Further::No };
        self.ctx.tally.traffic.frames_received += 1;
        match link.state {
            State::Open => self.scenario.on_frame(&mut self.ctx, client, payload),
            State::Closing => {}
            State::Entering(_) => {
                if self.ctx.on_first_frame(client, payload) {
                    self.scenario.on_registered(&mut self.ctx, client);
                }
            }
        }
        // Most frames leave their client as it was.
        match self.ctx.slots.get(client.index()) {
            Some(Slot::Live(link)) if !link.paused => Further::Yes,
            Some(Slot::Live(_)) => self.pause_with_rest(client),
            _ => Further::No,
        }
    }

    /// Frames that have been read already and not handed over are looked at when reading goes on.
    fn pause_with_rest(&mut self, client: Client) -> Further {
        if let Some(Slot::Live(link)) = self.ctx.slots.get_mut(client.index()) {
            link.unread = true;
        }
        Further::No
    }

    /// Control frames, and messages that come in parts.
    fn on_rare_frame(&mut self, client: Client, opcode: u8, last: bool, payload: &[u8]) -> Further {
        match opcode {
            wire::PING => {
                self.ctx.push_out(client, &wire::control(wire::PONG, payload));
                Further::Yes
            }
            wire::PONG => Further::Yes,
            wire::CLOSE => self.on_close_frame(client, payload),
            wire::BINARY => self.malformed(client, "a binary message"),
            _ => self.on_part(client, opcode, last, payload),
        }
    }

    fn on_close_frame(&mut self, client: Client, payload: &[u8]) -> Further {
        /// What a close frame without a code means.
        const NO_CODE: u16 = 1005;
        let Some(Slot::Live(link)) = self.ctx.slots.get_mut(client.index()) else { return Further::No };
        let code = payload.first_chunk().map_or(NO_CODE, |bytes| u16::from_be_bytes(*bytes));
        let why = match link.state {
            State::Closing => Closed::Local,
            State::Open => Closed::Peer(code),
            State::Entering(_) => Closed::Refused("register", format!("closed {code}")),
        };
        // An answer is polite; whether it arrives changes nothing.
        if matches!(link.state, State::Open) && link.out.is_empty() {
            drop(link.transport.write(&wire::control(wire::CLOSE, payload)));
        }
        self.ctx.lose(client, why);
        Further::No
    }

    fn on_part(&mut self, client: Client, opcode: u8, last: bool, payload: &[u8]) -> Further {
        let Some(Slot::Live(link)) = self.ctx.slots.get_mut(client.index()) else { return Further::No };
        let begins = opcode != wire::CONTINUATION;
        if begins == link.partial.is_some() {
            return self.malformed(client, "a part of no message");
        }
        let partial = link.partial.get_or_insert_default();
        partial.extend_from_slice(payload);
        if !last {
            return Further::Yes;
        }
        match link.partial.take() {
            Some(whole) => self.on_message(client, &whole),
            None => Further::Yes,
        }
    }

    fn malformed(&mut self, client: Client, what: &'static str) -> Further {
        self.ctx.lose(client, Closed::Malformed(what));
        Further::No
    }
}
