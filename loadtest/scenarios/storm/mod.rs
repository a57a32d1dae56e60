//! All come at once: lines that are registered lose their connections at the same moment and connect again, as after
//! the restart of a server. One operation is one line that is registered again.
//!
//! `lines.rs` is the crowd, `base.rs` the calls beside it, `course.rs` what the workers tell each other.

mod base;
mod course;
mod lines;
mod options;

use std::sync::Arc;

use base::Base;
use course::Course;
use lines::Lines;
pub use options::Options;

use super::pairs::Naming;
use crate::engine::timers::{Nanos, SECOND};
use crate::engine::{Client, Closed, Context, Plan, Scenario, Share};
use crate::measure::tally::Figures;

const FIGURES: Figures = Figures {
    operation: "reconnection",
    latencies: &["registered_again", "reconnect", "ring_before", "ring_during", "ring_after"],
    counters: &["lost", "refused"],
};
/// From the beginning of the storm.
const OPERATIONS_LATENCY: usize = 0;
/// Of the attempt that got in, alone.
const RECONNECT_ALONE: usize = 1;
const RING_BEFORE: usize = 2;
const RING_DURING: usize = 3;
const RING_AFTER: usize = 4;
const LOST: usize = 0;
const REFUSED: usize = 1;

/// What a worker does in a storm.
pub enum Storm {
    /// It is a part of the crowd.
    Lines(Box<Lines>),
    /// It calls.
    Base(Box<Base>),
}

impl Storm {
    fn lines(options: &Options, share: Share, plan: &Plan, course: Arc<Course>) -> Self {
        let cut_after = (!options.wait_for_restart).then_some((options.after * SECOND as f64) as Nanos);
        let at_once = options.at_once.map(|at_once| (at_once as usize).div_ceil(share.workers));
        let storm = lines::Plan {
            connections: options.connections as usize,
            are_alone: options.pairs == 0,
            cut_after,
            at_once,
        };
        let names = [plan.tag.clone(), plan.domain.clone()];
        Self::Lines(Box::new(Lines::new(share, names, course, storm)))
    }

    fn base(naming: Naming, rate: f64, course: Arc<Course>) -> Self {
        Self::Base(Box::new(Base::new(naming, rate, course)))
    }
}

impl Scenario for Storm {
    fn figures(&self) -> Figures {
        match self {
            Self::Lines(lines) if lines.are_alone => {
                Figures { latencies: &FIGURES.latencies[..2], ..FIGURES }
            }
            Self::Lines(_) | Self::Base(_) => FIGURES,
        }
    }

    fn start(&mut self, ctx: &mut Context) {
        match self {
            Self::Lines(lines) => lines.start(ctx),
            Self::Base(base) => base.alone(ctx, Scenario::start),
        }
    }

    fn is_ready(&self) -> bool {
        match self {
            Self::Lines(lines) => lines.is_ready(),
            Self::Base(base) => base.is_ready(),
        }
    }

    fn run(&mut self, ctx: &mut Context) {
        match self {
            Self::Lines(lines) => lines.run(ctx),
            Self::Base(base) => base.alone(ctx, Scenario::run),
        }
    }

    fn on_registered(&mut self, ctx: &mut Context, client: Client) {
        match self {
            Self::Lines(lines) => lines.on_registered(ctx, client),
            Self::Base(base) => base.ring().on_registered(ctx, client),
        }
    }

    fn on_frame(&mut self, ctx: &mut Context, client: Client, payload: &[u8]) {
        match self {
            Self::Lines(_) => Lines::on_frame(ctx, payload),
            Self::Base(base) => base.on_frame(ctx, client, payload),
        }
    }

    fn on_timer(&mut self, ctx: &mut Context, token: u64) {
        match self {
            Self::Lines(lines) => lines.on_timer(ctx, token),
            Self::Base(base) => base.ring().on_timer(ctx, token),
        }
    }

    fn on_closed(&mut self, ctx: &mut Context, client: Client, why: &Closed) {
        match self {
            Self::Lines(lines) => lines.on_closed(ctx, client, why),
            Self::Base(base) => base.on_closed(ctx, client, why),
        }
    }

    fn on_second(&mut self, ctx: &mut Context) {
        if let Self::Base(base) = self {
            base.ring().on_second(ctx);
        }
    }

    fn stop(&mut self, ctx: &mut Context) {
        if let Self::Base(base) = self {
            base.ring().stop(ctx);
        }
    }

    fn in_flight(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.in_flight(),
            Self::Base(base) => base.in_flight(),
        }
    }

    fn finish(&mut self, ctx: &mut Context) {
        match self {
            Self::Lines(lines) => lines.finish(ctx),
            Self::Base(base) => base.ring().finish(ctx),
        }
    }
}
