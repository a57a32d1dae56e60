//! Operations that become due by a schedule, whether or not the server keeps up.
//!
//! Their latency counts from when they were due, so that a server that stalls is charged for everybody who waited
//! (no coordinated omission). What is due and finds no free pair waits in a queue; nothing is dropped.

use std::collections::VecDeque;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng as _;

use crate::engine::Context;
use crate::engine::timers::{Nanos, SECOND};

/// How operations are laid out in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Pacing {
    /// Independent of each other, as those of many people are.
    Poisson,
    /// At equal distances.
    Even,
}

/// The moments at which operations become due.
#[derive(Clone, Debug)]
pub struct Schedule {
    pacing: Pacing,
    /// Between two, on average, in nanoseconds.
    gap: f64,
    /// The last one, from the beginning. A fraction is kept, so that the rate is exact.
    at: f64,
    begin: Nanos,
}

impl Schedule {
    /// A worker's part of `rate` operations a second from `begin` on.
    pub fn new(rate: f64, pacing: Pacing, begin: Nanos, worker: usize, workers: usize) -> Self {
        let gap = SECOND as f64 * workers as f64 / rate;
        // Workers take turns if the pacing is even: the last one is a gap after the beginning.
        let at = match pacing {
            Pacing::Even => gap * (worker as f64 + 1.0) / workers as f64 - gap,
            Pacing::Poisson => 0.0,
        };
        Self { pacing, gap, at, begin }
    }

    /// The next one.
    pub fn next(&mut self, rng: &mut ChaCha8Rng) -> Nanos {
        self.at += match self.pacing {
            Pacing::Even => self.gap,
            Pacing::Poisson => -self.gap * uniform(rng).ln(),
        };
        self.begin + self.at as Nanos
    }
}

/// Above 0, at most 1.
pub fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    /// Bits that a number between 1/2 and 1 has.
    const BITS: u32 = 53;
    ((rng.next_u64() >> (u64::BITS - BITS)) + 1) as f64 / (1_u64 << BITS) as f64
}

/// A schedule and those that are due.
#[derive(Clone, Debug)]
pub struct OpenLoop {
    schedule: Schedule,
    next: Nanos,
    /// When each was due, and when that was noticed.
    due: VecDeque<(Nanos, Nanos)>,
    token: u64,
}

impl OpenLoop {
    /// Begins now. `on_timer` gets `token` when something is due.
    pub fn begin(ctx: &mut Context, rate: f64, pacing: Pacing, token: u64) -> Self {
        let share = ctx.share;
        let mut schedule = Schedule::new(rate, pacing, ctx.now(), share.worker, share.workers);
        let next = schedule.next(&mut ctx.rng);
        ctx.at(next, token);
        Self { schedule, next, due: VecDeque::new(), token }
    }

    /// To be called from `on_timer`: queues what is due and asks for the next timer.
    pub fn on_timer(&mut self, ctx: &mut Context) {
        if ctx.is_over() {
            return;
        }
        let now = ctx.now();
        while self.next <= now {
            ctx.tally.late(now - self.next);
            self.due.push_back((self.next, now));
            self.next = self.schedule.next(&mut ctx.rng);
        }
        ctx.tally.queued(self.due.len());
        ctx.at(self.next, self.token);
    }

    /// The oldest that is due and not begun, which begins now.
    pub fn take(&mut self, ctx: &mut Context) -> Option<Nanos> {
        let (due, noticed) = self.due.pop_front()?;
        let now = ctx.now();
        ctx.tally.began(now.saturating_sub(noticed));
        Some(due)
    }

    /// Gives up what is due and not begun, each an error.
    pub fn give_up(&mut self, ctx: &mut Context) {
        for _ in self.due.drain(..) {
            ctx.tally.error("unfinished", "queued");
        }
    }

    /// How many are due and not begun.
    pub fn len(&self) -> usize {
        self.due.len()
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;

    fn moments(pacing: Pacing, worker: usize, workers: usize, seed: u64) -> Vec<Nanos> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut schedule = Schedule::new(1000.0, pacing, 50, worker, workers);
        (0..20_000).map(|_| schedule.next(&mut rng)).collect()
    }

    #[test]
    fn even_workers_take_turns_and_keep_the_rate() {
        let (first, second) = (moments(Pacing::Even, 0, 2, 1), moments(Pacing::Even, 1, 2, 2));
        assert_eq!((first[0], second[0], first[1]), (1_000_050, 2_000_050, 3_000_050));
        assert_eq!(second[19_999], 40 * SECOND + 50);
    }

    #[test]
    fn chance_keeps_the_rate_and_is_the_same_for_the_same_seed() {
        let found = moments(Pacing::Poisson, 0, 1, 7);
        assert_eq!(found, moments(Pacing::Poisson, 0, 1, 7));
        assert_ne!(found, moments(Pacing::Poisson, 0, 1, 8));
        assert!(found.is_sorted());
        let mean = found[19_999] as f64 / 20_000.0;
        assert!((mean / 1e6 - 1.0).abs() < 0.03, "{mean}");
        // Of gaps that are independent, 1/e are longer than the mean.
        let long = found.windows(2).filter(|pair| pair[1] - pair[0] > 1_000_000).count();
        assert!((long as f64 / 20_000.0 - 0.3679).abs() < 0.02, "{long}");
    }
}
