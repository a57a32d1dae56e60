//! What a reader wants to know first: whether the run was correct, and the few numbers that sum it up.
//!
//! Pure questions to [`Results`], shared by the terminal, the page and the comparison, so that all say the same.

use super::units;
use crate::results::{Latency, Results};

/// Whether a run may be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Something was measured and every frame was right.
    Correct,
    /// Frames were lost, doubled, reordered or misdelivered.
    Faulty,
    /// No operation was completed.
    Empty,
}

impl Verdict {
    /// Of these findings.
    pub fn of(results: &Results) -> Self {
        match results {
            results if results.faults_total > 0 => Self::Faulty,
            results if results.operations == 0 => Self::Empty,
            _ => Self::Correct,
        }
    }

    /// One word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Correct => "Correct",
            Self::Faulty => "Failed",
            Self::Empty => "Empty",
        }
    }

    /// A sentence for it.
    pub fn sentence(self, results: &Results) -> String {
        match self {
            Self::Correct => {
                let sentence = "Every frame was checked: none was lost, doubled, reordered or misdelivered.";
                match errors(results) {
                    0 => sentence.to_owned(),
                    some => format!("{sentence} But there were {}.", several(some, "error")),
                }
            }
            Self::Faulty => {
                format!("{} of correctness: see the faults.", several(results.faults_total, "breach"))
            }
            Self::Empty => format!("No {} was completed.", results.operation),
        }
    }
}

/// The latency that the time line is about. Files of older versions do not name it: there it is the one whose greatest
/// value the seconds have seen. `None` without any.
pub fn main_latency(results: &Results) -> Option<(&str, &Latency)> {
    if let Some((name, latency)) =
        results.main_latency.as_ref().and_then(|name| results.latencies.get_key_value(name))
    {
        return Some((name, latency));
    }
    let seen = results.timeline.iter().filter_map(|slot| slot.max_us).fold(f64::NAN, f64::max);
    let distance = |latency: &Latency| if seen.is_nan() { 0.0 } else { (latency.max_us / seen).ln().abs() };
    let by_distance = |(_, a): &(&String, &Latency), (_, b): &(&String, &Latency)| {
        distance(a).total_cmp(&distance(b)).then(b.count.cmp(&a.count))
    };
    results.latencies.iter().min_by(by_distance).map(|(name, latency)| (name.as_str(), latency))
}

/// Operations that failed, of all reasons.
pub fn errors(results: &Results) -> u64 {
    results.errors.values().sum()
}

/// Failed operations among all that ended; 0 if none did.
pub fn error_share(results: &Results) -> f64 {
    let failed = errors(results);
    let ended = results.operations + failed;
    if ended == 0 { 0.0 } else { failed as f64 / ended as f64 }
}

/// The run in one sentence.
pub fn sentence(results: &Results) -> String {
    let length = units::length(results.measured_s);
    let rate =
        format!("{} {} a second over {length}", units::amount(results.rate_per_s), many(&results.operation));
    match main_latency(results) {
        Some((name, latency)) if latency.count > 0 => format!(
            "{rate}. {}: half within {}, 99 % within {}.",
            capital(&words(name)),
            units::time(latency.p50_us),
            units::time(latency.p99_us)
        ),
        _ => format!("{rate}."),
    }
}

/// A name of the file as words: `ring_to_connected` is `ring to connected`.
pub fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// The plural of an operation's name.
pub fn many(noun: &str) -> String {
    let sibilant = ["ch", "sh", "s", "x"].iter().any(|end| noun.ends_with(end));
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if sibilant => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

/// A number of things, such as `1 breach`, `2 breaches`.
pub fn several(number: u64, noun: &str) -> String {
    let noun = if number == 1 { noun.to_owned() } else { many(noun) };
    format!("{} {noun}", units::count(number))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn the_main_latency_is_the_one_the_seconds_saw() {
        let results = sample();
        assert_eq!(main_latency(&results).map(|(name, _)| name), Some("ring_to_connected"));
        let named = Results { main_latency: Some("dial_to_connected".to_owned()), ..results };
        assert_eq!(main_latency(&named).map(|(name, _)| name), Some("dial_to_connected"));
    }

    #[test]
    fn faults_outweigh_everything_and_an_empty_run_is_no_success() {
        let mut results = sample();
        assert_eq!(Verdict::of(&results), Verdict::Correct);
        results.operations = 0;
        assert_eq!(Verdict::of(&results), Verdict::Empty);
        results.faults_total = 1;
        assert_eq!(Verdict::of(&results), Verdict::Faulty);
        assert!(Verdict::Faulty.sentence(&results).starts_with("1 breach of"));
    }

    #[test]
    fn errors_are_a_share_of_what_ended() {
        let mut results = sample();
        results.operations = 98;
        results.errors = [("busy:offline".to_owned(), 2)].into();
        assert!((error_share(&results) - 0.02).abs() < 1e-12);
    }

    #[test]
    fn nouns_of_operations_have_plurals() {
        let nouns = ["call", "delivery", "relay", "breach"].map(many);
        assert_eq!(nouns, ["calls", "deliveries", "relays", "breaches"]);
    }
}
