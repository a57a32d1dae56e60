//! The orderly end of a shard, and the drain before it: everybody is told, what waits is written, and nobody is waited for too long.
//!
//! A shard ends only when all have stopped, because until then connections may be on their way to it that nobody has
//! told anything. The operator's limit ends it in any case.

use std::sync::atomic::Ordering;

use crate::exchange::event::{DrainOrder, Event};
use crate::exchange::ids::Handle;

use super::super::connection::Role;
use super::Switchboard;
use super::wait::RUNTIME_VISITS;

/// At a stop: how long clients may take to answer the close frame. Whose socket is closed while it still sends would
/// see a reset instead of the code; whoever does not answer is not waited for any longer.
const FAREWELL_MS: u64 = 250;
/// At a stop: how often to look whether it is over.
pub(super) const STOP_LOOK_MS: u64 = 10;

/// A stop under way.
#[derive(Clone, Copy)]
pub(super) struct Stopping {
    /// When to end in any case.
    deadline_ms: u64,
    /// When to end if nothing is left to be written.
    farewell_ms: u64,
    /// Whether the other shards know that this one sends them no more connections.
    is_announced: bool,
}

impl Switchboard {
    /// Nobody is let in any more; lines are sent away as the core says.
    pub(super) fn drain(&mut self, order: DrainOrder) {
        self.lobby.close();
        // The listener hears of it on the runtime.
        self.visits_left = RUNTIME_VISITS;
        self.feed(Event::Drain(order));
    }

    /// Whether nothing is left but what only a stop ends: links to other exchanges without calls, services of our own.
    pub(super) fn is_drained(&self) -> bool {
        if !self.shard.is_draining() || !self.lobby.is_closed() || !self.lobby.is_empty() {
            return false;
        }
        let counts = self.shard.counts();
        self.connections.len() <= counts.ties && counts.legs == 0 && counts.records == counts.sessions
    }

    /// Ends every call and line; the connections get a moment to hear of it.
    pub(super) fn stop(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        let now_ms = self.now.tick.millis();
        let deadline_ms = now_ms + self.stop_timeout.as_millis() as u64;
        let farewell_ms = now_ms + FAREWELL_MS;
        self.stopping = Some(Stopping { deadline_ms, farewell_ms, is_announced: false });
        self.feed(Event::Shutdown);
        let echoes: Vec<Handle> =
            self.connections.iter().filter(|(_, c)| c.role == Role::Echo).map(|(h, _)| h).collect();
        for handle in echoes {
            self.say_farewell(handle);
        }
    }

    /// Whether a stop has come to its end: everybody has been told and has answered, or the time is over.
    pub(super) fn is_done(&mut self) -> bool {
        let Some(stopping) = &mut self.stopping else { return false };
        let now_ms = self.now.tick.millis();
        if now_ms >= stopping.deadline_ms {
            return true;
        }
        if !stopping.is_announced && (0..self.port.shards()).all(|peer| self.port.outbox_len(peer) == 0) {
            stopping.is_announced = true;
            self.stopped.fetch_add(1, Ordering::SeqCst);
        }
        // Until all shards have stopped, connections may be on their way here that nobody has told anything.
        if self.stopped.load(Ordering::SeqCst) < self.port.shards() || self.port.has_work() {
            return false;
        }
        let is_told = self.connections.iter().all(|(_, connection)| connection.output.is_none());
        self.connections.is_empty() || (is_told && now_ms >= stopping.farewell_ms)
    }
}
