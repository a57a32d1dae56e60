//! Time as the core knows it: given from outside with every event, never read.
//!
//! `Tick` is monotonic and measures spans, `Moment` adds the wall clock for what people read. Nothing here
//! may read a clock; `shell/clock.rs` is the one place that does.

/// A point on the exchange's monotonic clock, in microseconds since it started.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Tick(u64);

impl Tick {
    /// The tick `micros` microseconds after the start.
    pub fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The tick `millis` milliseconds after the start.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since the start.
    pub fn micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the start.
    pub fn millis(self) -> u64 {
        self.0 / 1000
    }

    /// Whole seconds since the start; enough for liveness (it wraps after 136 years).
    pub fn seconds(self) -> u32 {
        (self.0 / 1_000_000) as u32
    }

    /// The tick `millis` milliseconds later.
    #[must_use]
    pub fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis.saturating_mul(1000)))
    }
}

/// Now: the monotonic tick and the wall clock that goes with it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Moment {
    /// For spans and deadlines.
    pub tick: Tick,
    /// Milliseconds since the Unix epoch, for HEARTBEAT_ACK and call records.
    pub wall_ms: u64,
}
