//! `compare`: two runs beside each other, with what may be concluded from the difference.
//!
//! [`rows`] decides, [`statistics`] says how sure, [`warnings`] whether the comparison makes sense at all. Reads only
//! files; the exit code is the caller's to make of `worse`.

mod page;
mod rows;
pub mod statistics;
mod warnings;

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use crate::report::headline::Verdict;
use crate::report::json::{self, FileError};
use crate::report::units;
use crate::results::Results;
use rows::{Row, Unit};

/// The exit code of a comparison that found a run worse than allowed.
const WORSE: u8 = 2;
const NAME_COLUMNS: usize = 31;

/// Which runs, and how the result is told.
#[derive(clap::Args)]
pub struct Options {
    /// Findings of the run to compare with.
    a: PathBuf,
    /// Findings of the run in question.
    b: PathBuf,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Write a page with both runs to this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// End with exit code 2 if anything judged is worse by more than this many per cent (5 if no number is given), or if
    /// the second run failed.
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, default_missing_value = "5")]
    fail_on_worse: Option<f64>,
}

/// Everything a comparison says.
#[derive(Serialize)]
struct Comparison {
    warnings: Vec<String>,
    judged: Vec<Row>,
    unjudged: Vec<Row>,
}

impl Comparison {
    fn of(a: &Results, b: &Results) -> Self {
        Self {
            warnings: warnings::warnings(a, b),
            judged: rows::judged(a, b),
            unjudged: rows::unjudged(a, b),
        }
    }
}

/// Compares, tells the result, and gives the exit code.
pub fn run(options: &Options) -> Result<ExitCode, FileError> {
    let (a, b) = (json::read(&options.a)?, json::read(&options.b)?);
    let comparison = Comparison::of(&a, &b);
    if let Some(path) = &options.html {
        json::keep(path, &page::page(&a, &b, &comparison))?;
    }
    if options.json {
        let text = serde_json::to_string_pretty(&comparison).expect("plain data is always JSON");
        println!("{text}");
    } else {
        print!("{}", text(&comparison, options));
    }
    let worst = comparison.judged.iter().map(Row::worse_by_percent).fold(0.0, f64::max);
    // A run with faults, or without operations, is worse than any number says.
    let worthless = Verdict::of(&b) != Verdict::Correct;
    let failed = options.fail_on_worse.is_some_and(|percent| worthless || worst > percent.max(0.0));
    Ok(if failed { ExitCode::from(WORSE) } else { ExitCode::SUCCESS })
}

fn text(comparison: &Comparison, options: &Options) -> String {
    let mut text = format!("a  {}\nb  {}\n", options.a.display(), options.b.display());
    for warning in &comparison.warnings {
        text += &format!("warning: {warning}\n");
    }
    text += "\nThe median second of each run, and the 99 % interval of b/a:\n\n";
    text += &format!("{:NAME_COLUMNS$}{:>10}{:>10}{:>7}\n", "", "a", "b", "b/a");
    for row in &comparison.judged {
        text += &line(row);
    }
    text += "\nOne number for each run, so nothing to judge by (cannot tell):\n\n";
    for row in &comparison.unjudged {
        text += &line(row);
    }
    text
}

fn line(row: &Row) -> String {
    let ratio = ratio(row);
    let name: String = row.name.chars().take(NAME_COLUMNS - 1).collect();
    let head =
        format!("{name:NAME_COLUMNS$}{:>10}{:>10}{ratio:>7}", value(row.unit, row.a), value(row.unit, row.b));
    let told = match (row.interval, row.reason) {
        (Some(_), _) => format!("  {:<6} {}", row.verdict.word(), interval(row)),
        (None, None) => format!("  {}", row.verdict.word()),
        (None, Some("one number for each run")) => String::new(),
        (None, Some(reason)) => format!("  {reason}"),
    };
    format!("{head}{told}\n")
}

fn ratio(row: &Row) -> String {
    row.ratio.map_or("–".to_owned(), |ratio| match ratio {
        ratio if ratio < 100.0 => format!("{ratio:.3}"),
        ratio => units::amount(ratio),
    })
}

fn interval(row: &Row) -> String {
    row.interval.map_or(String::new(), |(low, high)| format!("{low:.2}..{high:.2}"))
}

fn value(unit: Unit, value: f64) -> String {
    match unit {
        Unit::PerSecond => units::rate(value),
        Unit::Us => units::time(value),
        Unit::Bytes => units::bytes(value),
        Unit::Share => units::share(value),
    }
}
