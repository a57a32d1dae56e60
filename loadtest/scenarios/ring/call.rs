//! A pair's call as `ring` keeps it: how far it is, what is due next, and where it is counted.
//!
//! Plain data without I/O; the steps from one stage to the next are in `mod.rs`.

use crate::engine::Context;
use crate::engine::timers::Nanos;
use crate::engine::wire::CALL_ID_BYTES;
use crate::measure::tally::Figures;

/// What `ring` counts.
pub(super) const FIGURES: Figures = Figures {
    operation: "call",
    latencies: &["ring_to_connected", "dial_to_ring", "dial_to_connected", "hangup"],
    counters: &["dials", "rings", "connected"],
};
/// Counters, by their order in the figures.
pub(super) const DIALS: usize = 0;
/// Likewise.
pub(super) const RINGS: usize = 1;
/// Likewise.
pub(super) const CONNECTED: usize = 2;

/// Where calls are counted: as the figures of `ring`, or as one latency of a scenario that has them beside its own.
#[derive(Clone, Copy, Debug)]
pub struct Counting {
    pub(super) ring_to_connected: usize,
    /// The others, by their order in the figures of `ring`.
    others: Option<[usize; 3]>,
}

impl Counting {
    /// All figures of `ring`.
    pub(super) const ALL: Self = Self { ring_to_connected: 0, others: Some([1, 2, 3]) };

    /// Only this latency.
    pub fn only(ring_to_connected: usize) -> Self {
        Self { ring_to_connected, others: None }
    }

    /// A time that has ended now.
    pub(super) fn record(self, ctx: &mut Context, other: Other, from: Nanos) {
        if let Some(others) = self.others {
            ctx.tally.record(others[other as usize], from, ctx.now());
        }
    }

    /// A call has ended, which is an operation if calls are what is measured.
    pub(super) fn done(self, ctx: &mut Context) {
        if self.others.is_some() {
            ctx.tally.done();
        }
    }

    /// One more.
    pub(super) fn count(self, ctx: &mut Context, counter: usize) {
        if self.others.is_some() {
            ctx.tally.count(counter, 1);
        }
    }
}

/// The latencies beside the main one.
#[derive(Clone, Copy)]
pub(super) enum Other {
    DialToRing = 0,
    DialToConnected = 1,
    HangUp = 2,
}

/// What is due next in a pair's call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Not both ends are registered.
    Down,
    /// No call.
    Free,
    /// RING, at the callee.
    Dialled,
    /// CONNECTED, at the caller.
    Answered,
    /// Nothing: the call is held.
    Up,
    /// HANGUP, at the callee.
    HungUp,
}

impl Stage {
    /// The frame that is waited for.
    pub(super) fn due(self) -> &'static str {
        match self {
            Self::Dialled => "RING or BUSY",
            Self::Answered => "CONNECTED",
            Self::HungUp => "HANGUP",
            Self::Down | Self::Free | Self::Up => "nothing",
        }
    }

    /// Whether it is for a frame of the server that the call stands still.
    pub(super) fn is_waiting(self) -> bool {
        matches!(self, Self::Dialled | Self::Answered | Self::HungUp)
    }
}

/// A pair's call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// How far it is.
    pub(super) stage: Stage,
    /// Its id, from RING.
    pub(super) id: [u8; CALL_ID_BYTES],
    /// When the call was due.
    pub(super) due: Nanos,
    /// When the last step was taken.
    pub(super) since: Nanos,
    /// Which call it is, so that a timer of an earlier one is known.
    pub(super) serial: u32,
}
