//! How many connections are let in when all clients come at once: a number a second that grows for as long as the storm lasts.
//!
//! Whoever has no leave yet waits in the kernel's queue, where he costs nothing. A storm begins anew when nobody has come for a
//! while, so that a start, a network that is back, and the clients of another exchange that was lost are all the same.

use std::time::Duration;

use tokio::time::Instant;

/// A storm is over when nobody has come for so long.
const CALM: Duration = Duration::from_secs(2);
/// The allowance that may be saved up, in seconds of the rate: it is taken in at once, so no more than what leaves calls their turn.
const SAVED_S: f64 = 0.01;

/// The allowance of one shard.
#[derive(Clone, Copy, Debug)]
pub struct Ramp {
    /// Connections in the first second of a storm; by so many more in each further one.
    per_second: f64,
    /// When the storm began, and when the last one came.
    begun: Option<Instant>,
    last: Option<Instant>,
    /// Those who may come at once, and since when that is known.
    allowance: f64,
    counted: Option<Instant>,
}

impl Ramp {
    /// A ramp that begins with so many connections a second.
    pub fn new(per_second: f64) -> Self {
        Self { per_second, begun: None, last: None, allowance: 1.0, counted: None }
    }

    /// How long the next one has to wait; `None` if he may come.
    pub fn wait(&mut self, now: Instant) -> Option<Duration> {
        let rate = self.rate(now);
        let since = self.counted.map_or(Duration::ZERO, |counted| now.saturating_duration_since(counted));
        let most = (rate * SAVED_S).max(1.0);
        self.allowance = (self.allowance + rate * since.as_secs_f64()).min(most);
        self.counted = Some(now);
        (self.allowance < 1.0).then(|| Duration::from_secs_f64((1.0 - self.allowance) / rate))
    }

    /// One has come.
    pub fn take(&mut self, now: Instant) {
        if self.is_calm(now) {
            self.begun = Some(now);
        }
        self.last = Some(now);
        self.allowance -= 1.0;
    }

    fn is_calm(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= CALM)
    }

    fn rate(&self, now: Instant) -> f64 {
        let lasts = match self.begun {
            Some(begun) if !self.is_calm(now) => now.saturating_duration_since(begun).as_secs_f64(),
            _ => 0.0,
        };
        self.per_second * (1.0 + lasts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many get in within `span` if there is always one more.
    fn let_in(ramp: &mut Ramp, from: Instant, span: Duration) -> u32 {
        let (mut now, mut count) = (from, 0);
        while now < from + span {
            match ramp.wait(now) {
                Some(wait) => now += wait.max(Duration::from_millis(1)),
                None => {
                    ramp.take(now);
                    count += 1;
                }
            }
        }
        count
    }

    #[test]
    fn the_rate_grows_while_the_storm_lasts_and_falls_back_after_it() {
        let mut ramp = Ramp::new(1000.0);
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let first = let_in(&mut ramp, start, second);
        assert!((1400..=1600).contains(&first), "from 1000 to 2000 a second: {first}");
        let tenth = let_in(&mut ramp, start + 9 * second, second);
        assert!((10..=30).contains(&(tenth / 100)), "{tenth}");
        let again = let_in(&mut ramp, start + 20 * second, second);
        assert!((1400..=1600).contains(&again), "{again}");
    }

    #[test]
    fn somebody_who_comes_alone_does_not_wait() {
        let mut ramp = Ramp::new(1.0);
        let start = Instant::now();
        for minute in 0..3 {
            let now = start + Duration::from_secs(60 * minute);
            assert_eq!(ramp.wait(now), None);
            ramp.take(now);
        }
    }
}
