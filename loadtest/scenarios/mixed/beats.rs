//! Heartbeats of a day: all lines beat in turn, and an answer that does not come is a fault.

use super::Mixed;
use super::figures::HEARTBEAT;
use crate::engine::Context;
use crate::engine::timers::Nanos;

impl Mixed {
    /// Whoever's turn it is beats.
    pub(super) fn beat(&mut self, ctx: &mut Context) {
        let Some(rota) = &mut self.rota else { return };
        while let Some((line, due)) = rota.next_due(ctx) {
            if let Some(client) = self.lines.begin_beat(line, due) {
                rota.send(ctx, client);
            }
        }
    }

    /// A heartbeat was answered.
    pub(super) fn on_beat(&mut self, ctx: &mut Context, line: usize, payload: &[u8]) {
        match self.lines.end_beat(line) {
            Some(due) => ctx.tally.record(HEARTBEAT, due, ctx.now()),
            None => self.fault(ctx, line, "doubled: a heartbeat was answered again", payload),
        }
    }

    /// Heartbeats that were due by then and have not been answered are lost.
    pub(super) fn lose_beats(&mut self, ctx: &mut Context, by: Nanos) {
        for line in 0..self.lines.all.len() {
            if self.lines.all[line].beat.is_some_and(|due| due <= by) {
                self.lines.end_beat(line);
                self.fault(ctx, line, "lost: a heartbeat was not acknowledged", b"");
            }
        }
    }
}
