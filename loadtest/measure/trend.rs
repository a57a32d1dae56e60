//! Whether a level grows, or only moves: the trend of samples over time and how sure it is.
//!
//! The trend is the median of the slopes of all pairs (Theil and Sen), with Sen's interval from Kendall's statistic. Unlike
//! a fitted line it does not follow a single step. Pure arithmetic: no clock, no files.

/// More samples are first brought together to so many: neighbours are not independent, and pairs grow with the square.
const POINTS_MAX: usize = 200;
/// Fewer samples have no trend worth the name.
pub const POINTS_MIN: usize = 20;
/// Of a normal distribution: 99 % lie within so many deviations.
const Z_99: f64 = 2.576;

/// A level at a time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    /// In hours, from anywhere.
    pub hours: f64,
    /// In its unit.
    pub level: f64,
}

/// Growth for each hour, and where it lies with 99 % confidence.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Trend {
    /// The median.
    pub per_hour: f64,
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

/// What has to be exceeded for growth to be called a leak.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// Growth for each hour.
    pub per_hour: f64,
    /// Growth from the first samples to the last: below this a short run says nothing.
    pub least: f64,
}

/// The trend, if there are enough samples.
pub fn trend(points: &[Point]) -> Option<Trend> {
    let points = thinned(points);
    if points.len() < POINTS_MIN {
        return None;
    }
    let pairs = points.iter().enumerate().flat_map(|(at, first)| {
        points[at + 1..].iter().map(move |last| (last.level - first.level) / (last.hours - first.hours))
    });
    let mut slopes: Vec<f64> = pairs.filter(|slope| slope.is_finite()).collect();
    slopes.sort_by(f64::total_cmp);
    let (count, pairs) = (points.len() as f64, slopes.len() as f64);
    let deviation = (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
    let at = |rank: f64| slopes.get((rank.max(0.0) as usize).min(slopes.len() - 1)).copied();
    Some(Trend {
        per_hour: at(pairs / 2.0)?,
        low: at((pairs - Z_99 * deviation) / 2.0)?,
        high: at((pairs + Z_99 * deviation) / 2.0)?,
    })
}

/// Whether the level grows without end: over all samples and still over their second half, surely and by more than
/// the bound. A step at the beginning, such as a cache that fills, does neither.
pub fn leaks(points: &[Point], bound: Bound) -> bool {
    let half = &points[points.len() / 2..];
    let grows = |part: &[Point], least: f64| {
        let span = part.first().zip(part.last()).map_or(0.0, |(first, last)| last.hours - first.hours);
        trend(part).is_some_and(|trend| {
            trend.low > 0.0 && trend.per_hour > bound.per_hour && trend.per_hour * span > least
        })
    };
    grows(points, bound.least) && grows(half, bound.least / 2.0)
}

/// Means of neighbours, so that no more than [`POINTS_MAX`] are left.
fn thinned(points: &[Point]) -> Vec<Point> {
    let mean = |part: &[Point]| {
        let count = part.len() as f64;
        let sum = |of: fn(&Point) -> f64| part.iter().map(of).sum::<f64>() / count;
        Point { hours: sum(|point| point.hours), level: sum(|point| point.level) }
    };
    points.chunks(points.len().div_ceil(POINTS_MAX).max(1)).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;
    use crate::measure::open_loop::uniform;

    const MIB: f64 = 1_048_576.0;
    const BOUND: Bound = Bound { per_hour: 8.0 * MIB, least: 2.0 * MIB };

    /// Samples of two hours: a level of MiB by the sample's number, with noise of so many MiB.
    fn samples(seed: u64, noise: f64, level: impl Fn(usize) -> f64) -> Vec<Point> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut point = |at: usize| Point {
            hours: at as f64 / 360.0,
            level: (level(at) + noise * (uniform(&mut rng) - 0.5)) * MIB,
        };
        (0..720).map(&mut point).collect()
    }

    #[test]
    fn a_flat_level_with_noise_is_no_leak() {
        for seed in 0..20 {
            let points = samples(seed, 30.0, |_| 100.0);
            assert!(!leaks(&points, BOUND));
            let trend = trend(&points).expect("there are enough");
            assert!(trend.low < trend.per_hour && trend.per_hour < trend.high, "{trend:?}");
        }
        let still = samples(0, 0.0, |_| 100.0);
        assert_eq!(trend(&still), Some(Trend { per_hour: 0.0, low: 0.0, high: 0.0 }));
    }

    #[test]
    fn slow_growth_is_a_leak_and_its_size_is_found() {
        for seed in 0..20 {
            // 16 MiB an hour, under noise as large as an hour's growth.
            let points = samples(seed, 16.0, |at| 100.0 + at as f64 * 16.0 / 360.0);
            assert!(leaks(&points, BOUND));
            let trend = trend(&points).expect("there are enough");
            assert!((trend.per_hour / MIB - 16.0).abs() < 2.0, "{trend:?}");
            assert!(trend.low < 16.0 * MIB && trend.high > 16.0 * MIB, "{trend:?}");
        }
    }

    #[test]
    fn growth_below_the_bound_is_no_leak() {
        assert!(!leaks(&samples(1, 1.0, |at| 100.0 + at as f64 * 4.0 / 360.0), BOUND));
    }

    #[test]
    fn a_step_at_the_start_is_no_leak() {
        for step in [10, 100, 300] {
            assert!(!leaks(&samples(1, 5.0, |at| if at < step { 50.0 } else { 150.0 }), BOUND), "{step}");
        }
        // A cache that fills ever more slowly.
        assert!(!leaks(&samples(2, 5.0, |at| 100.0 * (1.0 - (-(at as f64) / 60.0).exp())), BOUND));
    }

    #[test]
    fn a_short_run_and_few_samples_say_nothing() {
        let minute: Vec<Point> = (0..60)
            .map(|at| Point { hours: f64::from(at) / 3600.0, level: f64::from(at) * 0.02 * MIB })
            .collect();
        assert!(!leaks(&minute, BOUND), "1.2 MiB in a minute may be anything");
        assert_eq!(trend(&minute[..POINTS_MIN - 1]), None);
        assert!(!leaks(&[], BOUND));
    }
}
