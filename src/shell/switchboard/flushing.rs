//! Sockets are written: what waits for each connection leaves as far as it is taken.
//!
//! What was said to one connection alone leaves in the turn in which it was said; of what was said to many, a bounded part
//! in each turn, so that a large audience delays nobody else. What a socket does not take waits for the poller.

use crate::exchange::event::{Event, Loss};
use crate::exchange::ids::Handle;

use super::super::connection::{Role, State};
use super::super::output::Written;
use super::Switchboard;
use super::outbound::Scarcity;

impl Switchboard {
    /// Writes what waits. Everything that was said to one connection alone goes now; of what was said to many at
    /// once, as much as the budget allows.
    pub(super) fn flush(&mut self, fan_out_budget: usize) {
        (self.queues.messages, self.queues.bytes) = (0, 0);
        let mut next = 0;
        // By number, because a lost connection makes others dirty.
        while let Some(&handle) = self.queues.dirty.get(next) {
            self.flush_one(handle, |state| &mut state.dirty);
            next += 1;
        }
        self.queues.dirty.clear();
        for _ in 0..fan_out_budget {
            let Some(handle) = self.queues.fanned.pop_front() else { break };
            self.flush_one(handle, |state| &mut state.fanned);
        }
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

    /// Writes what waits for a connection, taken from the list that `listed` is the mark of.
    fn flush_one(&mut self, handle: Handle, listed: impl FnOnce(&mut State) -> &mut bool) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        *listed(&mut connection.state) = false;
        // What is on its way to another shard is written there: a socket found dead here would take the luggage along.
        if connection.state.blocked || connection.state.moving {
            return;
        }
        let Some(mut output) = connection.output.take() else { return };
        let before = output.len();
        let written = output.write_to(&connection.stream, &mut self.spares);
        self.totals.output = self.totals.output.saturating_sub(before - output.len());
        match written {
            Written::All => {
                self.spares.give_queue(output);
                self.on_drained(handle);
            }
            Written::Blocked { progress } => {
                if progress {
                    connection.progress_s = self.second;
                }
                connection.state.blocked = true;
                let len = output.len();
                connection.output = Some(output);
                if len < self.bounds.output_low_water {
                    self.on_drained(handle);
                } else if len > self.bounds.output_high_water && self.scarcity() == Scarcity::Severe {
                    self.overflow(handle);
                }
            }
            Written::Lost => {
                self.totals.output = self.totals.output.saturating_sub(output.len());
                self.lose(handle, Loss::Vanished);
            }
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
