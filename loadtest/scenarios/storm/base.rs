//! Pairs that call while the storm goes on beside them: do calls of those who stay remain fast?
//!
//! They have a worker of their own, so that the generator's work for thousands of connects is not taken for the
//! server's. What a call's ring-to-connected is counted as depends on the weather when it ends.

use std::sync::Arc;

use super::course::{Course, Weather};
use super::{RING_AFTER, RING_BEFORE, RING_DURING};
use crate::engine::{Client, Closed, Context, Scenario as _, Share};
use crate::measure::open_loop::Pacing;
use crate::scenarios::pairs::Naming;
use crate::scenarios::ring::{Counting, Ring};

/// The worker that calls.
pub struct Base {
    ring: Ring,
    course: Arc<Course>,
}

impl Base {
    pub(super) fn new(naming: Naming, rate: f64, course: Arc<Course>) -> Self {
        let counting = Counting::only(RING_BEFORE);
        Self { ring: Ring::beside(naming, Some((rate, Pacing::Poisson)), counting), course }
    }

    /// The ring, all of which belongs to this worker.
    pub(super) fn alone(&mut self, ctx: &mut Context, act: fn(&mut Ring, &mut Context)) {
        let share = std::mem::replace(&mut ctx.share, Share { worker: 0, workers: 1 });
        act(&mut self.ring, ctx);
        ctx.share = share;
    }

    pub(super) fn ring(&mut self) -> &mut Ring {
        &mut self.ring
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ring.is_ready()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.ring.in_flight()
    }

    pub(super) fn on_frame(&mut self, ctx: &mut Context, client: Client, payload: &[u8]) {
        self.ring.counting = Counting::only(match self.course.weather() {
            Weather::Before => RING_BEFORE,
            Weather::During => RING_DURING,
            Weather::After => RING_AFTER,
        });
        self.ring.on_frame(ctx, client, payload);
    }

    pub(super) fn on_closed(&mut self, ctx: &mut Context, client: Client, why: &Closed) {
        self.ring.on_closed(ctx, client, why);
    }
}
