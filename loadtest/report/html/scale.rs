//! Scales: where on an axis a value lies, and which round values are written beside it.
//!
//! Invariant: a place is a fraction from 0 to 1, whatever value is asked about; a mark lies within its scale.

/// Values this many times apart are drawn on a logarithmic scale.
const LOG_FROM_RATIO: f64 = 12.0;
/// Room above the greatest value.
const HEADROOM: f64 = 1.05;
/// Decades up to which a logarithmic scale has marks at 1, 2 and 5.
const FINE_DECADES: f64 = 2.2;

/// From values to places.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Scale {
    /// Equal distances are equal differences.
    Linear {
        /// At 0.
        low: f64,
        /// At 1.
        high: f64,
    },
    /// Equal distances are equal ratios.
    Log {
        /// At 0; above zero.
        low: f64,
        /// At 1.
        high: f64,
    },
}

impl Scale {
    /// From zero to a little above the greatest value.
    pub fn from_zero(values: impl Iterator<Item = f64>) -> Self {
        let greatest = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        Self::Linear { low: 0.0, high: if greatest > 0.0 { greatest * HEADROOM } else { 1.0 } }
    }

    /// Logarithmic if the values are far apart, else from zero.
    pub fn fit(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.filter(|value| value.is_finite() && *value > 0.0).collect();
        let (least, greatest) =
            values.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(*v), high.max(*v)));
        if values.is_empty() || greatest / least < LOG_FROM_RATIO {
            return Self::from_zero(values.into_iter());
        }
        Self::Log { low: round_below(least), high: round_above(greatest) }
    }

    /// The place of a value; beyond the ends it is the end.
    pub fn place(self, value: f64) -> f64 {
        let fraction = match self {
            Self::Linear { low, high } => (value - low) / (high - low),
            Self::Log { low, high } => (value.max(low) / low).ln() / (high / low).ln(),
        };
        if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) }
    }

    /// Round values for marks, about as many as asked for.
    pub fn marks(self, about: usize) -> Vec<f64> {
        match self {
            Self::Linear { low, high } => {
                let step = round_above((high - low) / about.max(1) as f64);
                let first = (low / step).ceil() as i64;
                (first..).map(|index| index as f64 * step).take_while(|value| *value <= high).collect()
            }
            Self::Log { low, high } => {
                let steps: &[f64] =
                    if (high / low).log10() <= FINE_DECADES { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
                let values =
                    decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
                // A hair of tolerance: ends are round values themselves.
                values.filter(|value| *value >= low * 0.999 && *value <= high * 1.001).collect()
            }
        }
    }

    /// Values that are round in a unit of their own, such as MiB, on a scale that is not logarithmic.
    pub fn marks_of(self, about: usize, unit: f64) -> Vec<f64> {
        match self {
            Self::Linear { low, high } => {
                let scale = Self::Linear { low: low / unit, high: high / unit };
                scale.marks(about).into_iter().map(|mark| mark * unit).collect()
            }
            Self::Log { .. } => self.marks(about),
        }
    }

    /// The value at 1.
    pub fn high(self) -> f64 {
        match self {
            Self::Linear { high, .. } | Self::Log { high, .. } => high,
        }
    }

    /// Whether the scale should be pointed out as logarithmic.
    pub fn is_log(self) -> bool {
        matches!(self, Self::Log { .. })
    }
}

const ROUND: [f64; 4] = [1.0, 2.0, 5.0, 10.0];

fn round_below(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    ROUND.iter().rev().map(|step| step * decade).find(|round| *round <= value).unwrap_or(decade)
}

fn round_above(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    ROUND.iter().map(|step| step * decade).find(|round| *round >= value).unwrap_or(decade * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ratios_are_equal_distances_on_a_logarithmic_scale() {
        let scale = Scale::fit([10.0, 1_000.0].into_iter());
        assert_eq!(scale, Scale::Log { low: 10.0, high: 1_000.0 });
        assert!((scale.place(100.0) - 0.5).abs() < 1e-12);
        assert!(scale.place(0.0) == 0.0 && scale.place(1e9) == 1.0);
    }

    #[test]
    fn close_values_are_drawn_from_zero() {
        let scale = Scale::fit([90.0, 110.0].into_iter());
        assert!(!scale.is_log() && scale.place(0.0) == 0.0);
        assert_eq!(scale.marks(4), [0.0, 50.0, 100.0]);
    }

    #[test]
    fn marks_are_round_and_within_the_scale() {
        assert_eq!(
            Scale::fit([40.0, 900.0].into_iter()).marks(5),
            [20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0]
        );
        assert_eq!(Scale::fit([40.0, 90_000.0].into_iter()).marks(5), [100.0, 1e3, 1e4, 1e5]);
    }

    #[test]
    fn marks_are_round_in_their_own_unit() {
        const MIB: f64 = 1_048_576.0;
        let marks = Scale::from_zero([14.3 * MIB].into_iter()).marks_of(4, MIB);
        assert_eq!(marks, [0.0, 5.0 * MIB, 10.0 * MIB, 15.0 * MIB]);
    }

    #[test]
    fn nothing_to_draw_is_still_a_scale() {
        for scale in [Scale::fit(std::iter::empty()), Scale::from_zero([0.0, f64::NAN].into_iter())] {
            assert!(scale.place(0.0) == 0.0 && scale.marks(4).len() > 1, "{scale:?}");
        }
    }
}
