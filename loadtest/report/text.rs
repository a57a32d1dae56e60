//! The findings for a terminal: what ran, the rate, a table of latencies, errors, faults, the server's use, notes.
//!
//! No colour and no cursor movement, so that it reads the same in a log. Invariant: no line of ours is wider than 80
//! columns; only a fault, which is quoted as it came, may be.

use std::fmt::Write as _;

use super::headline::{self, Verdict};
use super::units;
use crate::results::{Latency, Results, ServerUse};

const COLUMNS: usize = 80;
/// Room for a heading at the left of each part.
const INDENT: usize = 10;
/// Names of latencies longer than this are cut, so that the row fits.
const NAME_MAX: usize = 22;

/// The whole text, with a line end.
pub fn text(results: &Results) -> String {
    let mut text =
        format!("{} · {} · {}\n", results.scenario, units::moment(results.started_unix_s), results.generator);
    let verdict = Verdict::of(results);
    text += &part("", &format!("{}. {}", verdict.word().to_uppercase(), verdict.sentence(results)));
    text.push('\n');
    text += &part("rate", &rate(results));
    text += &latencies(results);
    text += &errors(results);
    if let Some(server) = &results.server {
        text += &part("server", &server_use(server, &results.operation));
    }
    text += &faults(results);
    for note in &results.notes {
        text += &part("note", note);
    }
    text
}

fn rate(results: &Results) -> String {
    let all = headline::several(results.operations, &results.operation);
    let operations = headline::many(&results.operation);
    format!(
        "{} {operations} a second ({all} in {})",
        units::amount(results.rate_per_s),
        units::length(results.measured_s)
    )
}

fn latencies(results: &Results) -> String {
    if results.latencies.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n");
    let columns = ["count", "p50", "p90", "p99", "p99.9", "max"].map(str::to_owned);
    text += &row("latency", &columns);
    for (name, latency) in &results.latencies {
        text += &row(&headline::words(name), &cells(latency));
    }
    text.push('\n');
    text
}

fn cells(latency: &Latency) -> [String; 6] {
    let Latency { p50_us, p90_us, p99_us, p999_us, max_us, .. } = *latency;
    let time = |us| if latency.count == 0 { "–".to_owned() } else { units::time(us) };
    let times = [p50_us, p90_us, p99_us, p999_us, max_us].map(time);
    let [p50, p90, p99, p999, max] = times;
    [units::count(latency.count), p50, p90, p99, p999, max]
}

fn row(name: &str, cells: &[String; 6]) -> String {
    let short: String = if name.chars().count() > NAME_MAX {
        name.chars().take(NAME_MAX - 1).chain(['…']).collect()
    } else {
        name.to_owned()
    };
    let [count, times @ ..] = cells;
    let mut text = format!("{short:<NAME_MAX$}{count:>12}");
    for time in times {
        let _ = write!(text, "{time:>9}");
    }
    text.push('\n');
    text
}

fn errors(results: &Results) -> String {
    let total = headline::errors(results);
    if total == 0 {
        return part("errors", "none");
    }
    let share = units::share(headline::error_share(results));
    let mut text = part("errors", &format!("{} ({share} of what ended)", units::count(total)));
    let width = results.errors.values().map(|number| units::count(*number).len()).max().unwrap_or(0);
    for (reason, number) in &results.errors {
        text += &part("", &format!("{:>width$} {reason}", units::count(*number)));
    }
    text
}

fn server_use(server: &ServerUse, operation: &str) -> String {
    let mut text = format!(
        "{} of processor a {operation}, {} {} for each second of it",
        units::time(server.cpu_per_operation_us),
        units::amount(server.operations_per_cpu_s),
        headline::many(operation)
    );
    let sampled = server.cpu_user_s + server.cpu_system_s;
    if sampled > 0.0 {
        let _ = write!(text, "; {} of it in the kernel", units::share(server.cpu_system_s / sampled));
    }
    if let Some(bytes) = server.bytes_per_connection {
        let _ = write!(text, "; {} of memory a connection", units::bytes(bytes));
    }
    text
}

fn faults(results: &Results) -> String {
    if results.faults_total == 0 {
        return part("faults", "none");
    }
    let mut text = part("faults", &units::count(results.faults_total));
    for fault in &results.faults {
        let _ = writeln!(text, "{:INDENT$}{fault}", "");
    }
    let shown = results.faults.len() as u64;
    if results.faults_total > shown {
        text += &part("", &format!("and {} more", units::count(results.faults_total - shown)));
    }
    text
}

/// A heading and what it says, broken between words.
fn part(heading: &str, what: &str) -> String {
    let mut text = String::new();
    let mut line = format!("{heading:<INDENT$}");
    for word in what.split_whitespace() {
        let length = line.chars().count();
        if length > INDENT && length + 1 + word.chars().count() > COLUMNS {
            text += line.trim_end();
            text.push('\n');
            line = " ".repeat(INDENT);
        }
        if line.chars().count() > INDENT {
            line.push(' ');
        }
        line += word;
    }
    text += line.trim_end();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let mut results = sample();
        results.notes = vec!["a long note ".repeat(20)];
        results.latencies.insert("a_latency_with_a_name_that_is_far_too_long".into(), Latency::default());
        let text = text(&results);
        let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > COLUMNS).collect();
        assert!(wide.is_empty(), "{wide:#?}");
    }

    #[test]
    fn the_table_has_a_row_for_each_latency_and_its_columns_are_aligned() {
        let text = text(&sample());
        let rows: Vec<&str> =
            text.lines().filter(|line| line.starts_with("latency") || line.contains("connected  ")).collect();
        assert_eq!(rows.len(), 3, "{text}");
        assert!(rows.iter().all(|row| row.chars().count() == rows[0].chars().count()), "{text}");
    }

    #[test]
    fn a_failed_run_says_so_first_and_quotes_the_faults() {
        let mut results = sample();
        (results.faults_total, results.faults) = (5, vec!["call 7 rang twice".into()]);
        let text = text(&results);
        assert!(text.lines().nth(1).is_some_and(|line| line.contains("FAILED. 5 breaches")), "{text}");
        assert!(text.contains("call 7 rang twice") && text.contains("and 4 more"), "{text}");
    }

    #[test]
    fn what_was_not_measured_is_no_zero() {
        let mut results = sample();
        results.latencies = [("ring".to_owned(), Latency::default())].into();
        results.server = None;
        let text = text(&results);
        assert!(text.contains('–') && !text.contains("\nserver"), "{text}");
    }
}
