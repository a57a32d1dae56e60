//! Heartbeats of lines that are there for something else: each in its turn, spread evenly over the interval.
//!
//! Without them the server ends a line after its heartbeat timeout (60 s unless told otherwise).

use crate::engine::timers::{Nanos, SECOND};
use crate::engine::{Client, Context};
use crate::frames::client_text;

/// Between two heartbeats of a line: two may be lost before the default timeout.
const INTERVAL: Nanos = 20 * SECOND;

/// Whose turn it is.
#[derive(Debug)]
pub struct Rota {
    lines: usize,
    turn: usize,
    gap: Nanos,
    next: Nanos,
    token: u64,
    frame: Vec<u8>,
}

impl Rota {
    /// Begins now. `on_timer` gets `token` when a heartbeat is due.
    pub fn begin(ctx: &mut Context, lines: usize, token: u64) -> Self {
        Self::every(ctx, lines, token, INTERVAL)
    }

    /// The same with another interval.
    pub fn every(ctx: &mut Context, lines: usize, token: u64, interval: Nanos) -> Self {
        let gap = (interval / lines.max(1) as u64).max(1);
        let next = ctx.now() + gap;
        ctx.at(next, token);
        Self { lines, turn: 0, gap, next, token, frame: client_text(br#"{"type":"HEARTBEAT"}"#) }
    }

    /// The next line that is due and since when. If none is, the timer is asked for again.
    pub fn next_due(&mut self, ctx: &mut Context) -> Option<(usize, Nanos)> {
        if self.lines == 0 || ctx.is_over() {
            return None;
        }
        if self.next > ctx.now() {
            ctx.at(self.next, self.token);
            return None;
        }
        let (line, due) = (self.turn, self.next);
        self.turn = (self.turn + 1) % self.lines;
        self.next += self.gap;
        Some((line, due))
    }

    /// Says the heartbeat.
    pub fn send(&self, ctx: &mut Context, client: Client) {
        ctx.send(client, &self.frame);
    }
}
