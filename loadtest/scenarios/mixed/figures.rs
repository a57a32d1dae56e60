//! What a day counts: latencies and counters by name, and their places. Nothing else.

use crate::measure::tally::Figures;

/// What is counted, by name.
pub const FIGURES: Figures = Figures {
    operation: "dial",
    latencies: &["ring_to_connected", "dial_to_ring", "message", "heartbeat"],
    counters: &[
        "dials",
        "connected",
        "cancelled",
        "unanswered",
        "busy",
        "unknown",
        "raced",
        "messages",
        "guests",
    ],
};
/// By its place in [`FIGURES`].
pub const RING_TO_CONNECTED: usize = 0;
/// By its place in [`FIGURES`].
pub const DIAL_TO_RING: usize = 1;
/// By its place in [`FIGURES`].
pub const MESSAGE: usize = 2;
/// By its place in [`FIGURES`].
pub const HEARTBEAT: usize = 3;
/// By its place in [`FIGURES`].
pub const DIALS: usize = 0;
/// By its place in [`FIGURES`].
pub const CONNECTED: usize = 1;
/// By its place in [`FIGURES`].
pub const CANCELLED: usize = 2;
/// By its place in [`FIGURES`].
pub const UNANSWERED: usize = 3;
/// By its place in [`FIGURES`].
pub const BUSY: usize = 4;
/// By its place in [`FIGURES`].
pub const UNKNOWN: usize = 5;
/// By its place in [`FIGURES`].
pub const RACED: usize = 6;
/// By its place in [`FIGURES`].
pub const MESSAGES: usize = 7;
/// By its place in [`FIGURES`].
pub const GUESTS: usize = 8;
