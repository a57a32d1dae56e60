//! The plot of percentiles: how long the slowest took, from the half to the last in a million.
//!
//! The x axis counts nines: each step to the right is ten times rarer. A curve ends where the run has recorded too few
//! values to go on.

use super::plot::{Axis, Plot, Reading, Series};
use super::scale::Scale;
use crate::report::headline::words;
use crate::report::units;
use crate::results::Latency;

/// The axis ends at one in a million, however much was recorded.
const NINES_MAX: f64 = 6.0;
/// Quantiles that are written on the axis and read off it.
const MARKS: [(f64, &str); 8] = [
    (0.0, "0 %"),
    (0.5, "50 %"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
    (0.99999, "99.999 %"),
    (0.999_999, "99.9999 %"),
];
/// Readings between two nines.
const READINGS_PER_NINE: u32 = 10;
const MARKS_Y: usize = 6;

/// The curves of several latencies by name; `None` if none has recorded anything.
pub fn plot(latencies: &[(String, &Latency)]) -> Option<Plot> {
    let latencies: Vec<_> = latencies.iter().filter(|(_, latency)| latency.count > 0).collect();
    let end = latencies.iter().map(|(_, latency)| last_nine(latency)).reduce(f64::max)?;
    let series: Vec<Series> = latencies.iter().map(|(name, latency)| curve(name, latency)).collect();
    let values = series.iter().flat_map(|series| &series.points).flatten().map(|(_, value)| *value);
    let y = Scale::fit(values);
    let marks = MARKS.iter().map(|(quantile, label)| (nines(*quantile), (*label).to_owned()));
    let notice = if y.is_log() { ", logarithmic scale" } else { "" };
    Some(Plot {
        id: "percentiles",
        title: format!("Latency by percentile{notice}"),
        description: describe(&latencies),
        height: 340.0,
        x: Axis {
            scale: Scale::Linear { low: 0.0, high: end },
            marks: marks.filter(|(at, _)| *at <= end).collect(),
            label: "so many took no longer".to_owned(),
        },
        y: Axis {
            scale: y,
            marks: y.marks(MARKS_Y).into_iter().map(|us| (us, units::time(us))).collect(),
            label: "time".to_owned(),
        },
        readings: readings(&series, end),
        series,
        marks: None,
    })
}

/// How many nines a quantile has: 0.9 has one, 0.99 two.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).max(10f64.powf(-NINES_MAX)).log10()
}

/// The rarest quantile that this many values can speak of.
fn last_nine(latency: &Latency) -> f64 {
    (latency.count as f64).log10().clamp(1.0, NINES_MAX)
}

fn curve(name: &str, latency: &Latency) -> Series {
    let end = last_nine(latency);
    let points = latency.curve.iter().map(|(quantile, us)| (nines(*quantile).min(end), *us));
    Series { name: words(name), points: points.map(Some).collect(), filled: false }
}

fn describe(latencies: &[&(String, &Latency)]) -> String {
    let one = |(name, latency): &&(String, &Latency)| {
        let times = [latency.p50_us, latency.p99_us, latency.max_us].map(units::time);
        format!(
            "{}: half within {}, 99 % within {}, the longest {}.",
            words(name),
            times[0],
            times[1],
            times[2]
        )
    };
    latencies.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn readings(series: &[Series], end: f64) -> Vec<Reading> {
    let steps = (end * f64::from(READINGS_PER_NINE)).floor() as u32;
    let places = (0..=steps).map(|step| f64::from(step) / f64::from(READINGS_PER_NINE));
    places.map(|x| Reading { x, text: reading(series, x) }).collect()
}

fn reading(series: &[Series], x: f64) -> String {
    // As many decimals as tell a quantile from the next.
    let decimals = (x - 1.0).ceil().max(1.0) as usize;
    let quantile = 100.0 * (1.0 - 10f64.powf(-x));
    let mut text = format!("{quantile:.decimals$} %");
    for one in series {
        if let Some(us) = value_at(one, x) {
            text += &format!(" · {} {}", one.name, units::time(us));
        }
    }
    text
}

/// The value of the first point at or beyond a place; `None` beyond the curve's end.
fn value_at(series: &Series, x: f64) -> Option<f64> {
    // Sums of tenths miss the curve's own points by a hair.
    const HAIR: f64 = 1e-9;
    series.points.iter().flatten().find(|(at, _)| *at + HAIR >= x).map(|(_, us)| *us)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn each_nine_is_a_step() {
        assert!((nines(0.9) - 1.0).abs() < 1e-9 && (nines(0.999) - 3.0).abs() < 1e-9);
        assert!(nines(0.0) == 0.0 && nines(1.0) == NINES_MAX);
    }

    #[test]
    fn a_curve_ends_where_the_values_do() {
        let few = Latency { count: 1_000, curve: vec![(0.5, 1.0), (1.0, 9.0)], ..Latency::default() };
        let plot = plot(&[("few".into(), &few)]).expect("there is something");
        assert_eq!(plot.series[0].points.last(), Some(&Some((3.0, 9.0))));
        assert_eq!(plot.x.marks.last().map(|(_, label)| label.as_str()), Some("99.9 %"));
    }

    #[test]
    fn what_recorded_nothing_has_no_curve() {
        assert!(plot(&[("none".into(), &Latency::default())]).is_none());
    }

    #[test]
    fn readings_agree_with_the_table() {
        let results = sample();
        let latency = &results.latencies["ring_to_connected"];
        let plot = plot(&[("ring_to_connected".into(), latency)]).expect("there is something");
        let at_99 =
            plot.readings.iter().find(|reading| reading.text.starts_with("99.0 %")).expect("two nines");
        assert!(at_99.text.contains(&units::time(latency.p99_us)), "{}", at_99.text);
    }
}
