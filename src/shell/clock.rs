//! The only place of the exchange that reads a clock or draws a seed.
//!
//! Every shard has a copy of the same clock, so that their ticks agree.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::exchange::time::{Moment, Tick};

/// The exchange's clock: it starts when the exchange does.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// A clock that was started so long ago.
    #[cfg(test)]
    pub fn started_before(age: std::time::Duration) -> Self {
        Self { start: Instant::now().checked_sub(age).expect("the machine runs for longer than that") }
    }

    /// Now, by both clocks.
    pub fn now(&self) -> Moment {
        Moment { tick: self.tick(), wall_ms: unix_ms() }
    }

    /// Now, by the monotonic clock.
    pub fn tick(&self) -> Tick {
        Tick::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The point on the runtime's clock that a tick names.
    pub fn instant(&self, tick: Tick) -> Instant {
        self.start + std::time::Duration::from_micros(tick.micros())
    }
}

/// The wall clock in ms since the epoch; a clock before 1970 reads as 1970.
pub fn unix_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// A seed that nobody can guess, from the kernel.
pub fn draw_seed() -> std::io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    let mut filled = 0;
    while filled < seed.len() {
        filled += rustix::rand::getrandom(&mut seed[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(seed)
}
