//! The table of targets: from the readings of all rounds to one line for each row, for people and for machines.
//!
//! A ratio is that of one round, where both sides met the same machine; what is shown is the median of the rounds, with
//! the least and the greatest. Invariant: a round in which one side failed counts for neither.

use serde::Serialize;

use super::figure::{FLOOR, Figure, HUB};
use super::reading::{Quantity, Reading};
use super::targets::{Bound, Of, Row};
use crate::compare::statistics::median;
use crate::report::units;

/// What the rounds say together.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Value {
    /// Of the rounds.
    pub median: f64,
    /// The least of them.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Value {
    /// `None` of no rounds.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        let least = values.iter().copied().min_by(f64::total_cmp)?;
        let greatest = values.iter().copied().max_by(f64::total_cmp)?;
        Some(Self { median: median(&mut values), least, greatest })
    }
}

/// What became of a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The median is on the right side.
    Reached,
    /// It is not.
    Missed,
    /// No round has a value.
    NotMeasured,
    /// There is nothing to reach: the row is there to be read.
    NoTarget,
}

impl Verdict {
    fn of(bound: Option<Bound>, value: Option<Value>) -> Self {
        match (bound, value) {
            (_, None) => Self::NotMeasured,
            (None, Some(_)) => Self::NoTarget,
            (Some(bound), Some(value)) if bound.holds(value.median) => Self::Reached,
            (Some(_), Some(_)) => Self::Missed,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Missed => "missed",
            Self::NotMeasured => "not measured",
            Self::NoTarget => "–",
        }
    }
}

/// A row with its numbers.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Line {
    #[serde(flatten)]
    row: Row,
    /// The row's left side by itself.
    left_value: Option<Value>,
    /// The row's right side by itself.
    right_value: Option<Value>,
    /// The ratio, or what the left side has if there is no right one.
    value: Option<Value>,
    verdict: Verdict,
}

impl Line {
    /// Puts the numbers of all rounds into a row.
    pub fn of(row: Row, readings: &[Reading]) -> Self {
        let in_rounds = |of: Of| in_rounds(row.figure, of, readings);
        let values = |of: Of| Value::of(in_rounds(of).into_iter().map(|(_, value)| value).collect());
        let (left_value, right_value) = (values(row.left), row.right.and_then(values));
        let value = match row.right {
            None => left_value,
            Some(right) => Value::of(ratios(&in_rounds(row.left), &in_rounds(right))),
        };
        let verdict = Verdict::of(row.bound, value);
        Self { row, left_value, right_value, value, verdict }
    }

    fn markdown(&self) -> String {
        let Row { what, bound, left, right, .. } = &self.row;
        let target = bound.map_or("–".to_owned(), |bound| self.bound(bound));
        let hub = cell(*left, self.left_value, (left.side != HUB).then_some(left.side));
        let floor = right.map_or("–".to_owned(), |right| {
            // Two quantities of one side are told apart by what they are.
            let note = if right.side == left.side { right.quantity.word() } else { right.side };
            cell(right, self.right_value, (right.side != FLOOR).then_some(note))
        });
        let value = self.value.map_or("–".to_owned(), |value| {
            let show = |number| self.show(number);
            format!("{} ({} to {})", show(value.median), show(value.least), show(value.greatest))
        });
        let verdict = self.verdict.word();
        format!("| {what} | {target} | {hub} | {floor} | {value} | {verdict} |\n")
    }

    fn bound(&self, bound: Bound) -> String {
        let (sign, value) = match bound {
            Bound::AtLeast(value) => (">=", value),
            Bound::AtMost(value) => ("<=", value),
        };
        // The ratios of the design have two digits.
        if self.row.right.is_some() {
            return format!("{sign} {value:.2}");
        }
        format!("{sign} {}", self.show(value))
    }

    fn show(&self, value: f64) -> String {
        if self.row.right.is_some() { format!("{value:.3}") } else { shown(self.row.left.quantity, value) }
    }
}

/// The values of a side, by round.
fn in_rounds(figure: Figure, of: Of, readings: &[Reading]) -> Vec<(usize, f64)> {
    let of_side = readings.iter().filter(|reading| reading.figure == figure && reading.side == of.side);
    of_side.filter_map(|reading| Some((reading.round, of.quantity.of(reading)?))).collect()
}

/// Left to right, of the rounds that have both.
fn ratios(left: &[(usize, f64)], right: &[(usize, f64)]) -> Vec<f64> {
    let other = |round| right.iter().find(|(other, value)| *other == round && *value > 0.0);
    left.iter().filter_map(|(round, value)| Some(value / other(*round)?.1)).collect()
}

fn cell(of: Of, value: Option<Value>, note: Option<&str>) -> String {
    let value = value.map_or("–".to_owned(), |value| shown(of.quantity, value.median));
    note.map_or_else(|| value.clone(), |note| format!("{value} ({note})"))
}

fn shown(quantity: Quantity, value: f64) -> String {
    match quantity {
        Quantity::OperationsPerCpuS | Quantity::RatePerS => units::rate(value),
        Quantity::BytesPerConnection => units::bytes(value),
        Quantity::CpuUs
        | Quantity::UserUs
        | Quantity::SystemUs
        | Quantity::P50Us
        | Quantity::P99Us
        | Quantity::P999Us
        | Quantity::MaxUs => units::time(value),
    }
}

/// All lines as Markdown, ready for a page.
pub fn markdown(lines: &[Line]) -> String {
    let head =
        "| what | target | hub | floor | ratio or value (range of rounds) | |\n|---|---|---|---|---|---|\n";
    lines.iter().fold(head.to_owned(), |text, line| text + &line.markdown())
}

/// What stands above the raw rows.
pub fn raw_head() -> String {
    format!(
        "{:<10} {:>5} {:<14} {:>10} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "figure",
        "round",
        "side",
        "op/cpu-s",
        "user us",
        "sys us",
        "wall/s",
        "p50 us",
        "p99 us",
        "p99.9",
        "max us"
    )
}

/// A raw row: one side in one round.
pub fn raw(reading: &Reading) -> String {
    let number = |quantity: Quantity, decimals: usize| {
        quantity.of(reading).map_or("–".to_owned(), |value| format!("{value:.decimals$}"))
    };
    let [user, system] = [Quantity::UserUs, Quantity::SystemUs].map(|quantity| number(quantity, 2));
    let [cpu, rate] = [Quantity::OperationsPerCpuS, Quantity::RatePerS].map(|quantity| number(quantity, 0));
    let [p50, p99, p999, max] = [Quantity::P50Us, Quantity::P99Us, Quantity::P999Us, Quantity::MaxUs]
        .map(|quantity| number(quantity, 0));
    let (figure, round, side) = (reading.figure.name(), reading.round, reading.side);
    format!(
        "{figure:<10} {round:>5} {side:<14} {cpu:>10} {user:>8} {system:>8} {rate:>9} {p50:>9} {p99:>9} {p999:>9} {max:>9}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versus::reading::Times;
    use crate::versus::reading::sample::reading;

    fn row(bound: Bound) -> Row {
        let of = |side| Of { side, quantity: Quantity::OperationsPerCpuS };
        let what = "calls".to_owned();
        Row { figure: Figure::Call, what, bound: Some(bound), left: of(HUB), right: Some(of(FLOOR)) }
    }

    /// Rounds with ratios of 0.8, 0.95 and 0.9.
    fn three_rounds() -> Vec<Reading> {
        let round = |round, hub, floor| [reading(round, HUB, hub), reading(round, FLOOR, floor)];
        [round(0, 40_000, 50_000), round(1, 57_000, 60_000), round(2, 900, 1_000)].concat()
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_ratios_and_not_the_ratio_of_medians() {
        let line = Line::of(row(Bound::AtLeast(0.9)), &three_rounds());
        assert_eq!(line.value, Some(Value { median: 0.9, least: 0.8, greatest: 0.95 }));
        assert_eq!(line.left_value.map(|hub| hub.median), Some(40_000.0));
        assert_eq!(line.right_value.map(|floor| floor.greatest), Some(60_000.0));
    }

    #[test]
    fn targets_are_reached_or_missed_from_either_side() {
        for (bound, verdict) in [
            (Bound::AtLeast(0.9), Verdict::Reached),
            (Bound::AtLeast(0.91), Verdict::Missed),
            (Bound::AtMost(0.9), Verdict::Reached),
            (Bound::AtMost(0.89), Verdict::Missed),
        ] {
            assert_eq!(Line::of(row(bound), &three_rounds()).verdict, verdict, "{bound:?}");
        }
        let unbound = Row { bound: None, ..row(Bound::AtMost(0.0)) };
        assert_eq!(Line::of(unbound, &three_rounds()).verdict, Verdict::NoTarget);
    }

    #[test]
    fn a_round_that_lacks_a_side_counts_for_neither() {
        let mut readings = three_rounds();
        readings.retain(|reading| (reading.round, reading.side) != (1, FLOOR));
        let line = Line::of(row(Bound::AtLeast(0.9)), &readings);
        assert_eq!(line.value.map(|value| value.greatest), Some(0.9));
        readings.retain(|reading| reading.side == HUB);
        let line = Line::of(row(Bound::AtLeast(0.9)), &readings);
        assert_eq!((line.value, line.verdict), (None, Verdict::NotMeasured));
        assert_eq!(line.markdown(), "| calls | >= 0.90 | 40,000/s | – | – | not measured |\n");
    }

    #[test]
    fn the_table_can_be_pasted_and_says_what_is_compared() {
        let mut readings = three_rounds();
        let times = Times { p50_us: 50.0, p99_us: 90.0, p999_us: 100.0, max_us: 1_234.0 };
        readings.iter_mut().for_each(|reading| reading.latency = Some(times));
        let [p50, p999] = [Quantity::P50Us, Quantity::P999Us].map(|quantity| Of { side: HUB, quantity });
        let tail = Row { left: p999, right: Some(p50), ..row(Bound::AtMost(3.0)) };
        let max = Of { side: HUB, quantity: Quantity::MaxUs };
        let value = Row { bound: Some(Bound::AtMost(1_000.0)), left: max, right: None, ..tail.clone() };
        let rows = [row(Bound::AtLeast(0.9)), tail, value];
        let text = markdown(&rows.map(|row| Line::of(row, &readings)));
        let lines: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| calls | >= 0.90 | 40,000/s | 50,000/s | 0.900 (0.800 to 0.950) | reached |",
                "| calls | <= 3.00 | 100 µs | 50.0 µs (p50) | 2.000 (2.000 to 2.000) | reached |",
                "| calls | <= 1.00 ms | 1.23 ms | – | 1.23 ms (1.23 ms to 1.23 ms) | missed |",
            ]
        );
        assert!(text.lines().all(|line| line.matches('|').count() == 7), "{text}");
    }

    #[test]
    fn raw_rows_stand_below_their_head() {
        let (head, raw) = (raw_head(), raw(&reading(3, "none stopped", 500)));
        assert_eq!(raw.chars().count(), head.chars().count(), "{head}\n{raw}");
        assert!(raw.starts_with("call           3 none stopped  "), "{raw}");
    }
}
