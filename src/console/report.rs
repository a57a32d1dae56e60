//! Reports: what a shard says about itself, and the board on which it says so.
//!
//! Counts never go down and hold since the start; all else is how it is at the moment of the report. A shard never waits
//! for a reader: if somebody reads just then, it writes the next time. So a report is up to a second old, or a turn
//! longer than that.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::exchange::shard::Counts;
use crate::exchange::tally::{Histogram, Tally};
use crate::exchange::time::Tick;
use crate::websocket::CloseCode;

/// What one shard says about itself.
#[derive(Clone, Default, Debug)]
pub struct Report {
    /// When it said so; the start of the exchange, if it has not yet.
    pub at: Tick,
    /// What the core has done.
    pub tally: Tally,
    /// What the core holds.
    pub counts: Counts,
    /// What the connections have done.
    pub meter: Meter,
    /// What became of those who knocked.
    pub handshakes: Handshakes,
    /// Connections that are there.
    pub connections: usize,
    /// Those that have more to be sent than the high-water mark.
    pub congested: usize,
    /// Bytes held for incomplete messages.
    pub input_bytes: usize,
    /// Bytes held because their receivers have not taken them.
    pub output_bytes: usize,
    /// The trunks to and from each shard, by its number; the shard's own is empty.
    pub trunks: Vec<TrunkReport>,
}

/// What the connections of a shard have done since the start.
#[derive(Clone, Default, Debug)]
pub struct Meter {
    /// Connections that came in, links to other exchanges among them.
    pub opened: u64,
    /// Bytes read, as frames.
    pub bytes_in: u64,
    /// Bytes written, as frames.
    pub bytes_out: u64,
    /// Messages of clients that were read.
    pub messages_in: u64,
    /// Messages that were not understood: ERROR was the answer.
    pub bad_messages: u64,
    /// Connections that were told to go because of what they sent, by close code.
    pub violations: Violations,
    /// Connections that were given up because they did not take what they were sent.
    pub slow_consumers: u64,
    /// Turns of the shard's thread.
    pub turns: u64,
    /// How long signals of other shards waited in a trunk. One in each turn is measured.
    pub queue_wait: Histogram,
}

/// Connections that were told to go, by the close code they got.
#[derive(Clone, Copy, Default, Debug)]
pub struct Violations {
    /// 1002: it is no WebSocket.
    pub protocol: u64,
    /// 1007: text that is none.
    pub not_text: u64,
    /// 1009: a message beyond the limit.
    pub too_big: u64,
    /// Any other.
    pub other: u64,
}

impl Violations {
    /// Counts one.
    pub fn count(&mut self, code: CloseCode) {
        let count = match code {
            CloseCode::PROTOCOL => &mut self.protocol,
            CloseCode::INVALID_DATA => &mut self.not_text,
            CloseCode::TOO_BIG => &mut self.too_big,
            _ => &mut self.other,
        };
        *count += 1;
    }
}

/// What became of those who knocked.
#[derive(Clone, Copy, Default, Debug)]
pub struct Handshakes {
    /// They are connections.
    pub accepted: u64,
    /// There were too many connections, in all or from one address.
    pub crowded: u64,
    /// The page that asked is of an origin that is not allowed.
    pub origin: u64,
    /// TLS came to nothing.
    pub tls: u64,
    /// TLS is done; WebSocket need not be. Not among the outcomes.
    pub encrypted: u64,
    /// They took too long.
    pub timed_out: u64,
    /// They left, or asked for something else than WebSocket.
    pub other: u64,
}

/// One shard's end of a pair of trunks.
#[derive(Clone, Copy, Default, Debug)]
pub struct TrunkReport {
    /// Signals that wait in the trunk to the other shard.
    pub queued: usize,
    /// Signals that wait for room in it.
    pub outbox: usize,
    /// The most that ever did.
    pub outbox_max: u64,
    /// Signals sent.
    pub sent: u64,
    /// Signals received.
    pub received: u64,
    /// How often the trunk was full.
    pub full: u64,
}

/// Where a shard's report hangs. Clones are the same board.
#[derive(Clone, Default, Debug)]
pub struct Board(Arc<Mutex<Report>>);

impl Board {
    /// Writes a new report, unless somebody is reading the last one. Says whether it did.
    pub fn write(&self, fill: impl FnOnce(&mut Report)) -> bool {
        self.0.try_lock().map(|mut report| fill(&mut report)).is_some()
    }

    /// The last report.
    pub fn read(&self) -> Report {
        self.0.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_does_not_wait_for_a_reader() {
        let board = Board::default();
        assert!(board.write(|report| report.connections = 1));
        let reading = board.0.lock();
        assert!(!board.clone().write(|report| report.connections = 2));
        drop(reading);
        assert_eq!(board.read().connections, 1);
    }
}
