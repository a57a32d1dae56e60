//! Whether two runs differ by more than the spread of their own seconds.
//!
//! What is estimated is the ratio of the medians of two series of seconds, with a 99 % interval by the moving-block
//! bootstrap: series are drawn again from blocks of neighbouring seconds, because a second is like the one before.
//! Invariant: seeded and single-threaded, so the same two files always give the same answer.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// Seconds that each run needs: the median of fewer has no interval worth the name.
pub const SECONDS_MIN: usize = 10;
/// Redrawn pairs of series. The ends of a 99 % interval then rest on the 10 outermost on either side.
const REDRAWS: usize = 2_000;
/// Outside the interval, on each side: 99 % wide, as half a dozen rows are judged at once.
const TAIL: f64 = 0.005;
/// Two runs of the same program differ by about this much from causes that no second of either shows, such as where
/// its memory came to lie. Less than this is never called a difference.
pub const SHARE_MIN: f64 = 0.02;
const SEED: u64 = 0x5EC0_2D5E_C02D;

/// What two series of seconds say about each other.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Estimate {
    /// Median of the second run over the median of the first.
    pub ratio: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Estimate {
    /// Whether the interval leaves no room for "the same" and the difference is one that matters.
    pub fn is_difference(&self) -> bool {
        let apart = self.low > 1.0 || self.high < 1.0;
        apart && (self.ratio - 1.0).abs() >= SHARE_MIN
    }
}

/// Compares the medians. `None`: a run is too short, or a median is zero.
pub fn medians(first: &[f64], second: &[f64]) -> Option<Estimate> {
    estimate(first, second, |values| median(&mut values.to_vec()))
}

/// Compares sums, for what most seconds have none of. Same conditions.
pub fn sums(first: &[f64], second: &[f64]) -> Option<Estimate> {
    estimate(first, second, |values| values.iter().sum::<f64>() / values.len() as f64)
}

fn estimate(first: &[f64], second: &[f64], of: fn(&[f64]) -> f64) -> Option<Estimate> {
    if first.len().min(second.len()) < SECONDS_MIN {
        return None;
    }
    let (of_first, of_second) = (of(first), of(second));
    if of_first <= 0.0 || of_second <= 0.0 {
        return None;
    }
    let mut dice = ChaCha8Rng::seed_from_u64(SEED);
    let mut ratios: Vec<f64> = (0..REDRAWS)
        .map(|_| (of(&redraw(first, &mut dice)), of(&redraw(second, &mut dice))))
        .map(|(first, second)| if first > 0.0 { second / first } else { f64::INFINITY })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let outside = (REDRAWS as f64 * TAIL) as usize;
    let (low, high) = (ratios[outside], ratios[REDRAWS - 1 - outside]);
    Some(Estimate { ratio: of_second / of_first, low, high })
}

/// A series of the same length from blocks that begin anywhere and go on at the front after the end.
fn redraw(values: &[f64], dice: &mut ChaCha8Rng) -> Vec<f64> {
    // The usual length: the cube root.
    let block = (values.len() as f64).cbrt().ceil() as usize;
    let mut drawn = Vec::with_capacity(values.len() + block);
    while drawn.len() < values.len() {
        let from = (dice.next_u64() % values.len() as u64) as usize;
        drawn.extend((from..from + block).map(|index| values[index % values.len()]));
    }
    drawn.truncate(values.len());
    drawn
}

/// The middle value, or the mean of the two in the middle; 0 of none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => 0.0,
        length if length % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds around a level with so much spread, each a little like the one before.
    fn seconds(number: usize, level: f64, spread: f64, seed: u64) -> Vec<f64> {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut drift = 0.0;
        let mut next = || {
            let fresh = f64::from(dice.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0;
            drift = 0.4 * drift + fresh;
            level * (1.0 + spread * drift)
        };
        (0..number).map(|_| next()).collect()
    }

    #[test]
    fn a_run_compared_with_itself_is_the_same() {
        let run = seconds(60, 12_000.0, 0.05, 1);
        let estimate = medians(&run, &run).expect("long enough");
        assert!(estimate.ratio == 1.0 && !estimate.is_difference(), "{estimate:?}");
    }

    #[test]
    fn two_runs_of_the_same_kind_are_rarely_called_different() {
        let differs = |seed| {
            let (first, second) = (seconds(30, 100.0, 0.05, seed), seconds(30, 100.0, 0.05, seed + 1_000));
            medians(&first, &second).expect("long enough").is_difference()
        };
        let wrong = (1..=100).filter(|seed| differs(*seed)).count();
        assert!(wrong <= 4, "{wrong} of 100 at 99 %");
    }

    #[test]
    fn a_tenth_more_is_found() {
        let found = |seed| {
            let (first, second) = (seconds(30, 100.0, 0.05, seed), seconds(30, 110.0, 0.05, seed + 1_000));
            let estimate = medians(&first, &second).expect("long enough");
            estimate.is_difference() && estimate.low > 1.0
        };
        let found = (1..=50).filter(|seed| found(*seed)).count();
        assert!(found >= 45, "{found} of 50");
    }

    #[test]
    fn a_sure_difference_of_one_per_cent_is_noise() {
        let (first, second) = (vec![100.0; 30], vec![101.0; 30]);
        let estimate = medians(&first, &second).expect("long enough");
        assert!(estimate.low > 1.0 && !estimate.is_difference(), "{estimate:?}");
    }

    #[test]
    fn nothing_is_said_of_a_few_seconds_or_of_zeros() {
        let few = vec![1.0; SECONDS_MIN - 1];
        assert!(medians(&few, &[1.0; 30]).is_none() && medians(&[1.0; 30], &few).is_none());
        assert!(medians(&[0.0; 30], &[1.0; 30]).is_none());
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!((median(&mut [3.0, 1.0, 2.0]), median(&mut [])), (2.0, 0.0));
    }
}
