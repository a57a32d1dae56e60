//! One shard: takes events, gives effects. Dispatch only; each verb family has a file of its own.
//!
//! (The contract; the families follow.)

use std::sync::Arc;

use super::effect::Outbox;
use super::event::{Event, Request};
use super::ids::{LineId, ShardId, ShardSet};
use super::limits::Limits;
use super::line::Luggage;
use super::time::{Moment, Tick};

/// What a shard is built from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which shard it is.
    pub id: ShardId,
    /// How many there are.
    pub shards: usize,
    /// The seed of its call ids. Unpredictable in production, chosen in simulation.
    pub seed: [u8; 32],
    /// Its limits.
    pub limits: Arc<Limits>,
}

/// Why a shard wants to be called at its next deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wakeup {
    /// A ring, a wait for a sleeping agent or an idle time is over.
    Timer,
    /// Lines may have been silent for too long.
    Liveness,
}

/// One shard of an exchange.
#[derive(Debug)]
pub struct Shard {
    setup: Setup,
}
