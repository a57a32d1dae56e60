//! Thresholds: the names a profile may give bounds to, and whether findings keep them. A pure function over [`Results`].
//!
//! Invariant: what was not measured never passes.

use crate::report::headline;
use crate::report::units;
use crate::results::{Latency, Results};

/// Thresholds with fixed names, with what they bound.
pub const NAMES: [&str; 8] = [
    "rate_per_s_min",
    "operations_min",
    "operations_per_cpu_s_min",
    "errors_max",
    "error_share_max",
    "cpu_per_operation_us_max",
    "bytes_per_connection_max",
    FAULTS_MAX,
];
/// How thresholds of latencies end; before it stands the latency's name.
const PERCENTILES: [&str; 6] = ["_p50_us", "_p90_us", "_p99_us", "_p999_us", "_max_us", "_mean_us"];
/// The bound that holds even if a profile says nothing.
const FAULTS_MAX: &str = "faults_max";

/// A value of a distribution.
type OfLatency = fn(&Latency) -> f64;

/// A bound for one measure.
#[derive(Clone, PartialEq, Debug)]
pub struct Threshold {
    /// As in the profile.
    pub name: String,
    /// The least or the greatest value that passes.
    pub bound: f64,
}

/// What a threshold came to.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// The threshold.
    pub threshold: Threshold,
    /// What was measured; `None` if nothing was.
    pub value: Option<f64>,
}

impl Outcome {
    /// Whether the bound was kept.
    pub fn is_passed(&self) -> bool {
        let Threshold { name, bound } = &self.threshold;
        self.value.is_some_and(|value| if name.ends_with("_min") { value >= *bound } else { value <= *bound })
    }

    /// The value as people read it.
    pub fn value_text(&self) -> String {
        self.value.map_or_else(|| "not measured".to_owned(), |value| written(&self.threshold.name, value))
    }

    /// The bound as people read it.
    pub fn bound_text(&self) -> String {
        let sign = if self.threshold.name.ends_with("_min") { '≥' } else { '≤' };
        format!("{sign} {}", written(&self.threshold.name, self.threshold.bound))
    }
}

fn written(name: &str, value: f64) -> String {
    match name {
        "bytes_per_connection_max" => units::bytes(value),
        "error_share_max" => units::share(value),
        "cpu_per_operation_us_max" => units::time(value),
        name if name.ends_with("_us") => units::time(value),
        _ => units::amount(value),
    }
}

/// Whether a threshold may be called so.
pub fn is_name(name: &str) -> bool {
    NAMES.contains(&name) || latency_of(name).is_some()
}

/// What may be written, for those who wrote something else.
pub fn allowed() -> Vec<String> {
    let latencies = PERCENTILES.map(|end| format!("LATENCY{end}"));
    NAMES.map(str::to_owned).into_iter().chain(latencies).collect()
}

/// The latency's name and how the value is taken from it.
fn latency_of(name: &str) -> Option<(&str, OfLatency)> {
    let end = PERCENTILES.into_iter().find(|end| name.ends_with(end))?;
    let latency = name.strip_suffix(end).filter(|latency| !latency.is_empty())?;
    let of: OfLatency = match end {
        "_p50_us" => |it| it.p50_us,
        "_p90_us" => |it| it.p90_us,
        "_p99_us" => |it| it.p99_us,
        "_p999_us" => |it| it.p999_us,
        "_max_us" => |it| it.max_us,
        _ => |it| it.mean_us,
    };
    Some((latency, of))
}

/// Holds findings against thresholds; [`FAULTS_MAX`] is 0 unless it is among them.
pub fn check(thresholds: &[Threshold], results: &Results) -> Vec<Outcome> {
    let default = Threshold { name: FAULTS_MAX.to_owned(), bound: 0.0 };
    let said = thresholds.iter().any(|threshold| threshold.name == FAULTS_MAX);
    let all = thresholds.iter().chain((!said).then_some(&default));
    all.map(|threshold| Outcome { value: measured(&threshold.name, results), threshold: threshold.clone() })
        .collect()
}

fn measured(name: &str, results: &Results) -> Option<f64> {
    let server = results.server.as_ref();
    match name {
        "rate_per_s_min" => Some(results.rate_per_s),
        "operations_min" => Some(results.operations as f64),
        "operations_per_cpu_s_min" => server.map(|server| server.operations_per_cpu_s),
        "errors_max" => Some(headline::errors(results) as f64),
        "error_share_max" => Some(headline::error_share(results)),
        "cpu_per_operation_us_max" => server.map(|server| server.cpu_per_operation_us),
        "bytes_per_connection_max" => server.and_then(|server| server.bytes_per_connection),
        FAULTS_MAX => Some(results.faults_total as f64),
        name => {
            let (latency, of) = latency_of(name)?;
            results.latencies.get(latency).filter(|latency| latency.count > 0).map(of)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    fn passes(name: &str, bound: f64, results: &Results) -> bool {
        let threshold = Threshold { name: name.to_owned(), bound };
        check(&[threshold], results).iter().all(Outcome::is_passed)
    }

    #[test]
    fn bounds_are_kept_or_broken_on_the_right_side() {
        let results = sample();
        assert!(passes("rate_per_s_min", 10_000.0, &results) && !passes("rate_per_s_min", 1e6, &results));
        let p99 = results.latencies["ring_to_connected"].p99_us;
        assert!(passes("ring_to_connected_p99_us", p99, &results));
        assert!(!passes("ring_to_connected_p99_us", p99 - 0.1, &results));
        assert!(passes("errors_max", 12.0, &results) && !passes("errors_max", 11.0, &results));
        assert!(passes("error_share_max", 0.001, &results) && !passes("error_share_max", 1e-9, &results));
    }

    #[test]
    fn what_was_not_measured_does_not_pass() {
        let mut results = sample();
        results.server = None;
        assert!(!passes("cpu_per_operation_us_max", 1e9, &results));
        assert!(!passes("bytes_per_connection_max", 1e9, &results));
        assert!(!passes("rign_to_connected_p99_us", 1e9, &results));
    }

    #[test]
    fn faults_fail_unless_they_are_allowed() {
        let mut results = sample();
        assert!(check(&[], &results).iter().all(Outcome::is_passed));
        results.faults_total = 1;
        assert!(!check(&[], &results).iter().all(Outcome::is_passed));
        assert!(passes(FAULTS_MAX, 1.0, &results));
    }

    #[test]
    fn names_are_a_closed_set_but_for_latencies() {
        assert!(is_name("rate_per_s_min") && is_name("one_way_p999_us"));
        assert!(!is_name("rate_min") && !is_name("_p99_us") && !is_name("one_way_p98_us"));
    }
}
