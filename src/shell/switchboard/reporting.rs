//! What a switchboard says about itself: a report a few times a second, and stamps that time the trunks.
//!
//! Both ride on what happens anyway: a shard turns once a second at least, and a stamp goes before a signal. A report never
//! waits for whoever reads the last one.

use crate::console::TrunkReport;
use crate::exchange::ids::ShardId;
use crate::exchange::time::Tick;

use super::super::log_service::LogService;
use super::{Freight, Switchboard};

/// Between two reports, in milliseconds: as fresh as a page that people look at shows it, and a few kilobytes copied each time.
const REPORT_EVERY_MS: u64 = 250;
/// Between two stamps, in milliseconds: a hundred samples a second from each busy shard.
const STAMP_EVERY_MS: u64 = 10;

/// Whether so many milliseconds have passed.
fn is_due(now: Tick, last: Tick, every_ms: u64) -> bool {
    now >= last.plus_millis(every_ms)
}

impl Switchboard {
    /// Does at the end of a turn what is due of this.
    pub(super) fn report(&mut self) {
        self.meter.turns += 1;
        // The operator waits for the end of a drain.
        let is_news = self.is_drained() != self.said_drained;
        if is_news || is_due(self.now.tick, self.reported, REPORT_EVERY_MS) {
            self.write_report();
        }
    }

    /// Sends the time ahead of a signal, now and then: the other shard finds out how long both have waited.
    pub(super) fn stamp_trunk(&mut self, to: ShardId) {
        if is_due(self.now.tick, self.stamped, STAMP_EVERY_MS) {
            self.stamped = self.now.tick;
            self.port.send(to.index(), Freight::Stamp(self.now.tick));
        }
    }

    /// Writes how it stands.
    pub(super) fn write_report(&mut self) {
        let board = self.board.clone();
        let is_drained = self.is_drained();
        let mut counts = self.shard.counts();
        // Operators count clients.
        counts.registered = counts.registered.saturating_sub(self.services());
        let is_written = board.write(|report| {
            report.at = self.now.tick;
            report.tally.clone_from(self.shard.tally());
            report.counts = counts;
            report.meter.clone_from(&self.meter);
            report.handshakes = self.lobby.handshakes();
            report.connections = self.connections.len();
            report.is_drained = is_drained;
            report.congested = self.queues.congested.len();
            report.input_bytes = self.totals.input + self.totals.unregistered;
            report.output_bytes = self.totals.output;
            report.trunks.clear();
            report.trunks.extend((0..self.port.shards()).map(|peer| self.trunk_report(peer)));
        });
        if is_written {
            self.reported = self.now.tick;
            self.said_drained = is_drained;
        }
    }

    /// Services of the exchange that hold an address here.
    fn services(&self) -> usize {
        let line = self.log_service.as_ref().and_then(LogService::line);
        usize::from(line.is_some_and(|line| self.shard.is_registered(line)))
    }

    fn trunk_report(&self, peer: usize) -> TrunkReport {
        if peer == self.id.index() {
            return TrunkReport::default();
        }
        let counters = self.port.counters(peer);
        TrunkReport {
            queued: self.port.queued(peer),
            outbox: self.port.outbox_len(peer),
            outbox_max: counters.outbox_len_max,
            sent: counters.sent,
            received: counters.received,
            full: counters.full,
        }
    }
}
