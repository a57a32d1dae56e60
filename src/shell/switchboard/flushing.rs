//! Sockets are written: what waits for each connection leaves as far as it is taken.
//!
//! What was said to one connection alone leaves in the turn in which it was said; of what was said to many, a bounded part
//! in each turn, so that a large audience delays nobody else. What a socket does not take waits for the poller.

use crate::exchange::event::{Event, Loss};
use crate::exchange::ids::Handle;

use super::super::connection::{Connection, Role, State};
use super::super::mailer::{Attempt, BATCH_MAX, BATCH_MIN};
use super::super::output::Written;
use super::outbound::Scarcity;
use super::{FAN_OUT_BYTES_PER_TURN, Switchboard};

/// Connections that are being written. Empty but for its memory outside of a flush.
#[derive(Default)]
pub(super) struct Mailbag {
    /// Those that have one piece to write.
    letters: Vec<Handle>,
    /// What came of sending them together.
    attempts: Vec<Attempt>,
    /// What came of writing, where something follows from it.
    written: Vec<(Handle, Written)>,
}

impl Mailbag {
    fn is_full(&self) -> bool {
        self.letters.len() == BATCH_MAX
    }
}

impl Switchboard {
    /// Writes what waits. Everything that was said to one connection alone goes now; of what was said to many at
    /// once, so many connections' at most, and not many more bytes than the turn has for that.
    pub(super) fn flush(&mut self, fan_out_writes: usize) {
        (self.queues.messages, self.queues.bytes) = (0, 0);
        let mut next = 0;
        // By number, because a lost connection makes others dirty.
        while let Some(&handle) = self.queues.dirty.get(next) {
            self.pick_up(handle, |state| &mut state.dirty);
            next += 1;
            if self.mailbag.is_full() || next == self.queues.dirty.len() {
                self.deliver();
            }
        }
        self.queues.dirty.clear();
        let mut bytes = 0;
        for _ in 0..fan_out_writes {
            let Some(handle) = self.queues.fanned.pop_front() else { break };
            bytes += self.pick_up(handle, |state| &mut state.fanned);
            if bytes >= FAN_OUT_BYTES_PER_TURN {
                break;
            }
            if self.mailbag.is_full() {
                self.deliver();
            }
        }
        self.deliver();
        self.settle_accounts();
        if self.scarcity() == Scarcity::Severe {
            self.shed_closing();
        }
    }

    /// Those who go anyway make room first, if they hold much.
    fn shed_closing(&mut self) {
        let (connections, most) = (&self.connections, self.bounds.output_high_water);
        let is_large = |&(_, handle): &(u32, Handle)| {
            connections.get(handle).is_some_and(|connection| connection.output_len() > most)
        };
        for (_, handle) in self.queues.closing.iter().copied().filter(is_large).collect::<Vec<_>>() {
            self.drop_connection(handle);
        }
    }

    /// Puts what waits for a connection into the bag, taken from the list that `listed` is the mark of; how many bytes.
    fn pick_up(&mut self, handle: Handle, listed: impl FnOnce(&mut State) -> &mut bool) -> usize {
        let Some(connection) = self.connections.get_mut(handle) else { return 0 };
        *listed(&mut connection.state) = false;
        // What is on its way to another shard is written there: a socket found dead here would take the luggage along.
        if connection.state.blocked || connection.state.moving {
            return 0;
        }
        let Some(output) = &connection.output else { return 0 };
        let len = output.len();
        if connection.letter().is_some() {
            self.mailbag.letters.push(handle);
        } else {
            // The rest of the batch would not gain: several pieces are one system call as well. What is to be encrypted
            // cannot be sent by anybody else.
            self.write_out(handle, None);
        }
        len
    }

    /// Writes what is in the bag: many by one system call, few one by one. Only when all is written is the core told
    /// what came of it, because what it does then may concern another connection of the same bag.
    fn deliver(&mut self) {
        let mut letters = std::mem::take(&mut self.mailbag.letters);
        let mut attempts = std::mem::take(&mut self.mailbag.attempts);
        if letters.len() >= BATCH_MIN {
            // Attempts are told from each other by their order alone: whoever is missing ends the batch.
            let parcels = letters.iter().map_while(|&handle| self.connections.get(handle)?.letter());
            self.mailer.send_all(parcels, &mut attempts);
        }
        let tried = attempts.drain(..).chain(std::iter::repeat_with(|| None));
        for (handle, attempt) in letters.drain(..).zip(tried) {
            self.write_out(handle, attempt);
        }
        let mut written = std::mem::take(&mut self.mailbag.written);
        for (handle, written) in written.drain(..) {
            self.follow_up(handle, written);
        }
        self.mailbag = Mailbag { letters, attempts, written };
    }

    /// Writes what waits for a connection and keeps the accounts; what else follows is left to [`Self::follow_up`].
    fn write_out(&mut self, handle: Handle, attempt: Attempt) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        let Some(mut output) = connection.output.take() else { return };
        let before = output.len();
        let written = connection.transport.write(&mut output, &mut self.spares, attempt);
        let sent = before - output.len();
        self.totals.output = self.totals.output.saturating_sub(sent);
        self.meter.bytes_out += sent as u64;
        let needs_word = match written {
            Written::All => {
                self.spares.give_queue(output);
                let state = &connection.state;
                state.self_paused || state.congested || connection.role == Role::Closing
            }
            Written::Blocked { progress } => {
                if progress {
                    connection.progress_s = self.second;
                }
                connection.state.blocked = true;
                connection.output = Some(output);
                true
            }
            Written::Lost => {
                connection.output = Some(output);
                true
            }
        };
        if needs_word {
            self.mailbag.written.push((handle, written));
        }
    }

    fn follow_up(&mut self, handle: Handle, written: Written) {
        match written {
            Written::All => self.on_drained(handle),
            Written::Blocked { .. } => {
                let len = self.connections.get(handle).map_or(0, Connection::output_len);
                if len < self.bounds.output_low_water {
                    self.on_drained(handle);
                } else if len > self.bounds.output_high_water && self.scarcity() == Scarcity::Severe {
                    self.overflow(handle);
                }
            }
            Written::Lost => self.lose(handle, Loss::Vanished),
        }
    }

    /// A connection's output is empty, or nearly.
    fn on_drained(&mut self, handle: Handle) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        // Apart from congestion, which a move to another shard forgets.
        let was_paused = std::mem::take(&mut connection.state.self_paused);
        let eased = std::mem::take(&mut connection.state.congested);
        match connection.role {
            Role::Line(line) if eased => self.queues.afterwards.push_back(Event::Drained(line)),
            Role::Closing if connection.output.is_none() => return self.finish_closing(handle),
            Role::Line(_) | Role::Echo | Role::Closing => {}
        }
        if eased {
            self.queues.congested.retain(|&other| other != handle);
        }
        if eased || was_paused {
            self.enqueue(handle);
        }
    }
}
