//! The time line: what each second of the run was like. Rate, latency, connections and the server's memory share an axis.
//!
//! A long run is drawn in stretches of several seconds. Invariant: a stretch shows the greatest of its p99 and maxima,
//! never their mean, so that no hiccup is smoothed away.

use super::plot::{Axis, Plot, Reading, Series};
use super::scale::Scale;
use crate::report::headline::many;
use crate::report::units;
use crate::results::{Results, Slot};

/// Stretches that are drawn at most: more would be narrower than a pixel.
const STRETCHES_MAX: usize = 300;
const MARKS_X: usize = 8;
const MARKS_Y: usize = 4;

/// The plots of a run, those that have something to show.
pub fn plots(results: &Results) -> Vec<Plot> {
    let slots = stretches(&results.timeline);
    if slots.is_empty() {
        return Vec::new();
    }
    let unit = if slots.len() < results.timeline.len() { "stretch" } else { "second" };
    let all = [rate(results, &slots, unit), latency(&slots, unit), connections(&slots), memory(&slots)];
    all.into_iter().flatten().collect()
}

/// Seconds put together until there are few enough.
fn stretches(timeline: &[Slot]) -> Vec<Slot> {
    let together = timeline.len().div_ceil(STRETCHES_MAX).max(1);
    timeline.chunks(together).map(merge).collect()
}

fn merge(slots: &[Slot]) -> Slot {
    let greatest = |of: fn(&Slot) -> Option<f64>| slots.iter().filter_map(of).reduce(f64::max);
    let halves: Vec<f64> = slots.iter().filter_map(|slot| slot.p50_us).collect();
    let last = slots.last().cloned().unwrap_or_default();
    Slot {
        length_s: slots.iter().map(|slot| slot.length_s).sum(),
        operations: slots.iter().map(|slot| slot.operations).sum(),
        errors: slots.iter().map(|slot| slot.errors).sum(),
        p50_us: (!halves.is_empty()).then(|| halves.iter().sum::<f64>() / halves.len() as f64),
        p99_us: greatest(|slot| slot.p99_us),
        max_us: greatest(|slot| slot.max_us),
        ..last
    }
}

fn per_second(slot: &Slot) -> f64 {
    if slot.length_s > 0.0 { slot.operations as f64 / slot.length_s } else { 0.0 }
}

fn plot(id: &'static str, title: String, slots: &[Slot], y: Axis, series: Vec<Series>) -> Plot {
    let end = slots.last().map_or(1.0, |slot| slot.at_s).max(f64::MIN_POSITIVE);
    let scale = Scale::Linear { low: 0.0, high: end };
    let marks = scale.marks(MARKS_X).into_iter().map(|second| (second, units::significant(second)));
    let x =
        Axis { scale, marks: marks.collect(), label: "seconds since the start of the measured part".into() };
    let readings = slots.iter().map(|slot| Reading { x: slot.at_s, text: reading(slot) }).collect();
    let description = describe(slots);
    Plot { id, title, description, height: 220.0, x, y, series, marks: None, readings }
}

fn axis(scale: Scale, label: &str, write: fn(f64) -> String) -> Axis {
    let marks = scale.marks(MARKS_Y).into_iter().map(|value| (value, write(value))).collect();
    Axis { scale, marks, label: label.to_owned() }
}

fn series(name: &str, slots: &[Slot], value: impl Fn(&Slot) -> Option<f64>) -> Series {
    let points = slots.iter().map(|slot| value(slot).map(|value| (slot.at_s, value))).collect();
    Series { name: name.to_owned(), points, filled: false }
}

fn rate(results: &Results, slots: &[Slot], unit: &str) -> Option<Plot> {
    let operations = many(&results.operation);
    let y = axis(Scale::from_zero(slots.iter().map(per_second)), "rate", units::amount);
    let line = Series { filled: true, ..series(&operations, slots, |slot| Some(per_second(slot))) };
    let failed = slots.iter().filter(|slot| slot.errors > 0).map(|slot| slot.at_s).collect();
    let plot = plot("rate", format!("{operations} a second"), slots, y, vec![line]);
    Some(Plot { marks: Some((format!("{} with errors", many(unit)), failed)), ..plot })
}

fn latency(slots: &[Slot], unit: &str) -> Option<Plot> {
    let lines = vec![
        series("p50", slots, |slot| slot.p50_us),
        series("p99", slots, |slot| slot.p99_us),
        series("max", slots, |slot| slot.max_us),
    ];
    let values: Vec<f64> =
        lines.iter().flat_map(|line| &line.points).flatten().map(|(_, value)| *value).collect();
    if values.is_empty() {
        return None;
    }
    let scale = Scale::fit(values.into_iter());
    let notice = if scale.is_log() { ", logarithmic scale" } else { "" };
    let title = format!("Latency of each {unit}{notice}");
    Some(plot("latency", title, slots, axis(scale, "time", units::time), lines))
}

/// Connections, if their number has changed.
fn connections(slots: &[Slot]) -> Option<Plot> {
    let first = slots.first()?.connections;
    if slots.iter().all(|slot| slot.connections == first) {
        return None;
    }
    let y = axis(Scale::from_zero(slots.iter().map(|slot| slot.connections as f64)), "open", units::amount);
    let line = series("connections", slots, |slot| Some(slot.connections as f64));
    Some(plot("connections", "Connections open".into(), slots, y, vec![Series { filled: true, ..line }]))
}

fn memory(slots: &[Slot]) -> Option<Plot> {
    let bytes = |slot: &Slot| slot.server_anonymous_bytes.map(|bytes| bytes as f64);
    slots.iter().find_map(bytes)?;
    let scale = Scale::from_zero(slots.iter().filter_map(bytes));
    let unit = units::byte_unit(scale.high());
    let marks = scale.marks_of(MARKS_Y, unit).into_iter().map(|value| (value, units::bytes(value))).collect();
    let y = Axis { scale, marks, label: "memory".to_owned() };
    let line = Series { filled: true, ..series("anonymous memory", slots, bytes) };
    Some(plot("memory", "Server's memory".into(), slots, y, vec![line]))
}

fn reading(slot: &Slot) -> String {
    let mut text = format!("{} s · {}", units::significant(slot.at_s), units::rate(per_second(slot)));
    for (name, us) in [("p50", slot.p50_us), ("p99", slot.p99_us), ("max", slot.max_us)] {
        if let Some(us) = us {
            text += &format!(" · {name} {}", units::time(us));
        }
    }
    text += &format!(" · {} connections", units::count(slot.connections));
    if let Some(bytes) = slot.server_anonymous_bytes {
        text += &format!(" · {}", units::bytes(bytes as f64));
    }
    if slot.errors > 0 {
        text += &format!(" · {} errors", units::count(slot.errors));
    }
    text
}

fn describe(slots: &[Slot]) -> String {
    let rates = slots.iter().map(per_second);
    let (least, greatest) =
        rates.fold((f64::INFINITY, 0.0_f64), |(low, high), rate| (low.min(rate), high.max(rate)));
    let errors: u64 = slots.iter().map(|slot| slot.errors).sum();
    let worst = slots
        .iter()
        .filter(|slot| slot.p99_us.is_some())
        .max_by(|a, b| a.p99_us.unwrap_or_default().total_cmp(&b.p99_us.unwrap_or_default()));
    let mut text = format!("Between {} and {}; {errors} errors.", units::rate(least), units::rate(greatest));
    if let Some((slot, p99)) = worst.and_then(|slot| Some((slot, slot.p99_us?))) {
        text += &format!(" The greatest p99, {}, at {} s.", units::time(p99), units::significant(slot.at_s));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{HICCUP, sample};

    #[test]
    fn a_steady_number_of_connections_needs_no_plot() {
        let mut results = sample();
        let ids = |results: &Results| plots(results).iter().map(|plot| plot.id).collect::<Vec<_>>();
        assert_eq!(ids(&results), ["rate", "latency", "connections", "memory"]);
        for slot in &mut results.timeline {
            (slot.connections, slot.server_anonymous_bytes) = (128, None);
        }
        assert_eq!(ids(&results), ["rate", "latency"]);
    }

    #[test]
    fn seconds_with_errors_are_marked() {
        let plots = plots(&sample());
        let marks = plots[0].marks.as_ref().map(|(_, places)| places.clone());
        assert_eq!(marks, Some(vec![(HICCUP + 1) as f64]));
    }

    #[test]
    fn a_long_run_keeps_its_hiccup() {
        let mut results = sample();
        let second = results.timeline[0].clone();
        results.timeline = (1..=7_200).map(|at| Slot { at_s: f64::from(at), ..second.clone() }).collect();
        results.timeline[5_000].max_us = Some(123_456.0);
        let slots = stretches(&results.timeline);
        assert!(slots.len() <= STRETCHES_MAX);
        assert!(slots.iter().any(|slot| slot.max_us == Some(123_456.0)));
        assert!((per_second(&slots[0]) - per_second(&second)).abs() < 1e-9);
    }

    #[test]
    fn a_second_without_a_value_is_a_gap() {
        let mut results = sample();
        results.timeline[5].p99_us = None;
        assert!(plots(&results)[1].series[1].points[5].is_none());
    }

    #[test]
    fn no_seconds_no_plots() {
        let mut results = sample();
        results.timeline.clear();
        assert!(plots(&results).is_empty());
    }
}
